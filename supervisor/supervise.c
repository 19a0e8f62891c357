#include "supervisor/supervise.h"

#include "supervisor/log.h"
#include "supervisor/str.h"
#include "supervisor/util.h"

#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>

/* A server that was ready for so long is no failed start. */
#define STABLE_US    1000000u
#define DELAY_FACTOR 10u
/* What the others get to finish after ferrite-api is gone. */
#define REST_DRAIN_US 2000000u
/* A process that exits closes its descriptors first; so long may pass until it is gone. */
#define LET_GO_US 1000000u
/* Killing by cgroup is immediate but for processes that are stuck in the kernel. */
#define KILL_MS 1000

static void arm_timer(struct supervisor *s);
static void plan(struct supervisor *s);

static void show_status(struct supervisor *s);

void supervisor_set_state(struct server_slot *server, enum server_state state)
{
	struct supervisor *s = server->supervisor;

	server->state = state;
	server->since_us = clock_monotonic_us();
	if (state == SERVER_READY)
		log_info("server ready", LOG_STR("server", server->row->program), LOG_INT("pid", server->process.pid));
	show_status(s);
	plan(s);
}

void supervisor_kill(struct server_slot *server, const char *why)
{
	if (server->process.pid == 0 || server->killed_for[0])
		return;
	(void)str_copy(server->killed_for, sizeof(server->killed_for), why);
	if (server->state != SERVER_DRAINING)
		log_warn("killing a server", LOG_STR("server", server->row->program),
			 LOG_INT("pid", server->process.pid), LOG_STR("why", why));
	(void)syscall(SYS_pidfd_send_signal, server->process.pidfd, SIGKILL, NULL, 0);
}

void supervisor_let_go(struct server_slot *server)
{
	loop_remove(&server->supervisor->loop, &server->control_watch);
	server->let_go = true;
	server->deadline_us = clock_monotonic_us() + LET_GO_US;
}

/* --- status ------------------------------------------------------------------------------------------------------- */

static void show_status(struct supervisor *s)
{
	const struct server_slot *failed = NULL, *pending = NULL;

	for (int i = PEER_API; i < PEER_MAX; i++) {
		const struct server_slot *server = &s->servers[i];

		if (server->state == SERVER_FAILED && (!failed || server->row->critical))
			failed = server;
		else if (server->state != SERVER_READY)
			pending = server;
	}
	if (s->phase != PHASE_SERVE)
		notify_send(&s->notify, "STATUS=Ending\n");
	else if (failed)
		notify_send(&s->notify, "STATUS=%s%s stays down: %s\n",
			    failed->row->critical ? "Not serving: " : "Serving, but ", failed->row->program,
			    failed->last_exit);
	else if (pending)
		notify_send(&s->notify, "STATUS=Starting %s\n", pending->row->program);
	else
		notify_send(&s->notify, "STATUS=Serving\n");
	if (s->announced || s->phase != PHASE_SERVE || pending || (failed && failed->row->critical))
		return;
	s->announced = true;
	notify_send(&s->notify, "READY=1\n");
	log_info("ferrited is ready", LOG_INT("sockets", s->listeners.n_sockets));
}

/* --- start and end of one server ---------------------------------------------------------------------------------- */

static void on_control(struct loop *loop, struct loop_watch *watch, uint32_t events)
{
	struct server_slot *server = watch->context;
	struct err err = ERR_INIT;

	(void)loop;
	(void)events;
	if (control_dispatch(server, &err) < 0) {
		char why[sizeof(server->killed_for)];

		log_error("a server broke the protocol", LOG_STR("server", server->row->program),
			  LOG_INT("pid", server->process.pid), LOG_STR("error", err.text));
		(void)snprintf(why, sizeof(why), "protocol: %.50s", err.text);
		loop_remove(&server->supervisor->loop, &server->control_watch);
		supervisor_kill(server, why);
	}
	arm_timer(server->supervisor);
}

static void on_process(struct loop *loop, struct loop_watch *watch, uint32_t events);
static void release(struct server_slot *server);

static int start(struct server_slot *server, struct err *err)
{
	struct supervisor *s = server->supervisor;
	uint64_t now = clock_monotonic_us();
	int r = process_start(server->row, &s->place, &server->process, err);

	if (r < 0)
		return r;
	server->turn = TURN_HELLO;
	server->killed_for[0] = '\0';
	server->let_go = false;
	server->asked_us = server->ready_us = 0;
	server->deadline_us = now + settings_time_us(&s->settings, SETTING_START_DEADLINE);
	r = loop_add(&s->loop, &server->process_watch, server->process.pidfd, EPOLLIN, on_process, server, err);
	if (r == 0)
		r = loop_add(&s->loop, &server->control_watch, server->process.control_fd, EPOLLIN, on_control, server,
			     err);
	if (r < 0) {
		/* Nobody would notice its end. */
		(void)syscall(SYS_pidfd_send_signal, server->process.pidfd, SIGKILL, NULL, 0);
		(void)waitid(P_PIDFD, (id_t)server->process.pidfd, NULL, WEXITED);
		release(server);
	}
	return r;
}

/* Ends counted against restart_limit: those within the window. */
static bool ended_too_often(struct server_slot *server, uint64_t now)
{
	struct supervisor *s = server->supervisor;
	unsigned limit = (unsigned)settings_number(&s->settings, SETTING_RESTART_LIMIT);
	uint64_t window = settings_time_us(&s->settings, SETTING_RESTART_WINDOW);
	unsigned n = 0;

	server->ends_us[server->n_ends++ % SETTING_RESTART_LIMIT_MAX] = now;
	for (unsigned i = 0; i < MIN(server->n_ends, (unsigned)SETTING_RESTART_LIMIT_MAX); i++)
		n += now - server->ends_us[i] < window;
	return n >= limit;
}

/* Decides what follows an end or a failed start that nobody asked for. */
static void plan_restart(struct server_slot *server)
{
	struct supervisor *s = server->supervisor;
	uint64_t now = clock_monotonic_us(), unit = settings_time_us(&s->settings, SETTING_RESTART_DELAY);
	uint64_t delay = 0;

	if (ended_too_often(server, now)) {
		log_error(server->row->critical ? "a server that is needed stays down: it ended too often"
						: "a server stays down: it ended too often",
			  LOG_STR("server", server->row->program), LOG_STR("last_end", server->last_exit),
			  LOG_STR("cure", "see its lines above; then reload or restart ferrited"));
		control_drop_held(s, server->row->peer, true);
		supervisor_set_state(server, SERVER_FAILED);
		return;
	}
	if (server->ready_us && now - server->ready_us >= STABLE_US)
		server->strikes = 0;
	if (server->strikes > 0)
		delay = MIN(unit << MIN(server->strikes - 1, 16u), unit * DELAY_FACTOR);
	server->strikes++;
	server->restarts++;
	/* 0 would mean "not planned". */
	server->start_us = now + delay;
	log_warn("server ended", LOG_STR("server", server->row->program), LOG_STR("why", server->last_exit),
		 LOG_INT("restart_in_ms", delay / 1000));
	supervisor_set_state(server, SERVER_DOWN);
}

static void describe_end(struct server_slot *server, const siginfo_t *info)
{
	if (server->killed_for[0])
		(void)str_copy(server->last_exit, sizeof(server->last_exit), server->killed_for);
	else if (info->si_code == CLD_EXITED)
		(void)snprintf(server->last_exit, sizeof(server->last_exit), "exit status %d", info->si_status);
	else
		(void)snprintf(server->last_exit, sizeof(server->last_exit), "signal %d (%s)", info->si_status,
			       sigdescr_np(info->si_status));
}

/* Its other processes, and for the sandbox all instances: nobody else answers for them. */
static void sweep(struct server_slot *server)
{
	struct supervisor *s = server->supervisor;
	struct err err = ERR_INIT;
	char group[64];

	(void)snprintf(group, sizeof(group), "servers/%s", server->row->name);
	if (cgroup_tree_kill(&s->cgroups, group, KILL_MS, &err) < 0)
		log_error("cannot end what a server left", LOG_STR("error", err.text));
	if (server->row->peer == PEER_SANDBOX && cgroup_tree_kill(&s->cgroups, "instances", KILL_MS, &err) < 0)
		log_error("cannot end the instances", LOG_STR("error", err.text));
}

static void release(struct server_slot *server)
{
	struct supervisor *s = server->supervisor;

	loop_remove(&s->loop, &server->process_watch);
	loop_remove(&s->loop, &server->control_watch);
	fd_close(&server->process.pidfd);
	fd_close(&server->process.control_fd);
	server->process.pid = 0;
	server->deadline_us = server->asked_us = 0;
	control_drop_held(s, server->row->peer, false);
}

static void on_process(struct loop *loop, struct loop_watch *watch, uint32_t events)
{
	struct server_slot *server = watch->context;
	struct supervisor *s = server->supervisor;
	siginfo_t info = {0};

	(void)loop;
	(void)events;
	if (waitid(P_PIDFD, (id_t)server->process.pidfd, &info, WEXITED | WNOHANG) < 0 || info.si_pid == 0)
		return;
	describe_end(server, &info);
	release(server);
	sweep(server);
	if (s->phase == PHASE_SERVE)
		plan_restart(server);
	else
		supervisor_set_state(server, SERVER_DOWN);
	arm_timer(s);
}

static bool predecessors_started(const struct supervisor *s, const struct process_row *row)
{
	for (int i = 0; i < PEER_MAX; i++) {
		const struct server_slot *other = &s->servers[i];

		/* One that ended once does not hold the others up. */
		if ((row->after >> i & 1) && other->state != SERVER_READY && other->state != SERVER_FAILED &&
		    other->restarts == 0)
			return false;
	}
	return true;
}

static void start_due(struct supervisor *s, uint64_t now)
{
	for (int i = PEER_API; i < PEER_MAX; i++) {
		struct server_slot *server = &s->servers[i];
		struct err err = ERR_INIT;

		if (!server->start_us || server->start_us > now || !predecessors_started(s, server->row))
			continue;
		server->start_us = 0;
		server->state = SERVER_STARTING;
		server->since_us = now;
		if (start(server, &err) < 0) {
			log_error("cannot start a server", LOG_STR("server", server->row->program),
				  LOG_STR("error", err.text));
			(void)snprintf(server->last_exit, sizeof(server->last_exit), "%.63s", err.text);
			plan_restart(server);
		}
	}
}

/* --- heartbeat and deadlines -------------------------------------------------------------------------------------- */

/* Heartbeats go to servers that serve. */
static bool is_asked(const struct server_slot *server)
{
	return server->state == SERVER_READY && !server->killed_for[0] && !server->let_go;
}

/* It may have answered in time while we were held up (by another's end, or stopped): what it sent comes first. */
static bool has_unread(const struct server_slot *server)
{
	struct pollfd p = {.fd = server->process.control_fd, .events = POLLIN};

	return poll(&p, 1, 0) == 1 && (p.revents & POLLIN);
}

static void check_server(struct server_slot *server, uint64_t now)
{
	struct supervisor *s = server->supervisor;

	if (server->process.pid == 0)
		return;
	if (server->deadline_us && now >= server->deadline_us) {
		if (server->state == SERVER_STARTING && !server->killed_for[0] && !server->let_go && has_unread(server))
			return;
		server->deadline_us = 0;
		supervisor_kill(server, server->let_go			   ? "closed its control channel"
					: server->state == SERVER_DRAINING ? "did not end in time"
									   : "was not ready in time");
		return;
	}
	if (!is_asked(server))
		return;
	if (server->asked_us && now - server->asked_us >= settings_time_us(&s->settings, SETTING_HEARTBEAT_DEADLINE)) {
		if (!has_unread(server))
			supervisor_kill(server, "hangs: no answer to a ping");
		return;
	}
	if (!server->asked_us && now >= server->ping_us) {
		server->asked_us = now;
		server->ping_us = now + settings_time_us(&s->settings, SETTING_HEARTBEAT_INTERVAL);
		control_send(server, &(struct ipc_out){.type = CTL_PING, .id = ++server->ping_id});
	}
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
	return b != 0 && b < a ? b : a;
}

/* The next moment at which something is to be done. */
static void arm_timer(struct supervisor *s)
{
	uint64_t next = UINT64_MAX;

	for (int i = PEER_API; i < PEER_MAX; i++) {
		const struct server_slot *server = &s->servers[i];

		if (server->start_us && predecessors_started(s, server->row))
			next = earlier(next, server->start_us);
		if (server->process.pid == 0)
			continue;
		next = earlier(next, server->deadline_us);
		if (!is_asked(server))
			continue;
		next = server->asked_us ? earlier(next, server->asked_us + settings_time_us(&s->settings,
											    SETTING_HEARTBEAT_DEADLINE))
					: earlier(next, server->ping_us);
	}
	next = earlier(next, s->watchdog_at_us);
	(void)loop_timer_set(s->timer_fd, next == UINT64_MAX ? 0 : next, NULL);
}

static void on_timer(struct loop *loop, struct loop_watch *watch, uint32_t events)
{
	struct supervisor *s = watch->context;
	uint64_t now = clock_monotonic_us(), expirations;

	(void)loop;
	(void)events;
	if (read(s->timer_fd, &expirations, sizeof(expirations)) < 0 && errno != EAGAIN)
		log_error("cannot read the timer", LOG_INT("errno", errno));
	for (int i = PEER_API; i < PEER_MAX; i++)
		check_server(&s->servers[i], now);
	if (s->watchdog_at_us && now >= s->watchdog_at_us) {
		s->watchdog_at_us = now + s->notify.watchdog_us / 2;
		notify_send(&s->notify, "WATCHDOG=1\n");
	}
	start_due(s, now);
	plan(s);
	arm_timer(s);
}

/* --- the end ------------------------------------------------------------------------------------------------------ */

static bool all_gone(const struct supervisor *s, bool api_only)
{
	for (int i = PEER_API; i < PEER_MAX; i++)
		if (s->servers[i].process.pid != 0 && (i == PEER_API || !api_only))
			return false;
	return true;
}

static void drain_server(struct server_slot *server, uint64_t deadline_us)
{
	if (server->process.pid == 0)
		return;
	if (server->turn != TURN_READY) {
		supervisor_kill(server, "ended before it was ready");
		return;
	}
	server->state = SERVER_DRAINING;
	server->since_us = clock_monotonic_us();
	server->deadline_us = deadline_us;
	control_send(server, &(struct ipc_out){.type = CTL_DRAIN, .deadline_us = deadline_us});
}

/* Goes to the next phase of ending when the servers of this one are gone. */
static void plan(struct supervisor *s)
{
	if (s->phase == PHASE_DRAIN_API && all_gone(s, true)) {
		uint64_t deadline = clock_monotonic_us() + REST_DRAIN_US;

		s->phase = PHASE_DRAIN_REST;
		for (int i = PEER_API; i < PEER_MAX; i++)
			drain_server(&s->servers[i], deadline);
	}
	if (s->phase == PHASE_DRAIN_REST && all_gone(s, false)) {
		s->phase = PHASE_END;
		s->loop.stop = true;
	}
}

static void begin_drain(struct supervisor *s)
{
	log_info("ending: running calls are finished first");
	s->phase = PHASE_DRAIN_API;
	notify_send(&s->notify, "STOPPING=1\n");
	show_status(s);
	for (int i = PEER_API; i < PEER_MAX; i++)
		s->servers[i].start_us = 0;
	/* New clients are refused by the kernel from here on. */
	listen_close(&s->listeners);
	drain_server(&s->servers[PEER_API],
		     clock_monotonic_us() + settings_time_us(&s->settings, SETTING_DRAIN_TIMEOUT));
	plan(s);
}

static void end_at_once(struct supervisor *s)
{
	log_warn("ending at once: a second signal");
	s->forced = true;
	s->phase = PHASE_DRAIN_REST;
	for (int i = PEER_API; i < PEER_MAX; i++)
		supervisor_kill(&s->servers[i], "a second signal ended ferrited");
	plan(s);
}

/* --- reload ------------------------------------------------------------------------------------------------------- */

/* Takes over what may change while servers run; says what waits for a restart. */
static void adopt(struct supervisor *s, struct settings *fresh)
{
	for (int i = 0; i < SETTING_MAX; i++) {
		enum setting setting = (enum setting)i;

		if (strcmp(settings_get(&s->settings, setting), settings_get(fresh, setting)) == 0)
			continue;
		if (settings_reloadable(setting)) {
			log_info("setting changed", LOG_STR("key", settings_key(setting)));
			memcpy(s->settings.value[i], fresh->value[i], sizeof(fresh->value[i]));
		} else {
			log_warn("this setting changes with the next start of ferrited",
				 LOG_STR("key", settings_key(setting)));
		}
		s->settings.given[i] = fresh->given[i];
	}
	(void)log_level_set(settings_get(&s->settings, SETTING_LOG_LEVEL));
}

static void reload(struct supervisor *s)
{
	_cleanup_free_ struct settings *fresh = malloc(sizeof(*fresh));
	struct err err = ERR_INIT;

	notify_send(&s->notify, "RELOADING=1\nMONOTONIC_USEC=%" PRIu64 "\n", clock_monotonic_us());
	if (!fresh || s->reload(s, fresh, &err) < 0) {
		log_error("the configuration stays as it was", LOG_STR("error", fresh ? err.text : "no memory"));
		notify_send(&s->notify, "READY=1\n");
		return;
	}
	adopt(s, fresh);
	for (int i = PEER_API; i < PEER_MAX; i++) {
		struct server_slot *server = &s->servers[i];

		if (server->process.pid != 0 && server->turn != TURN_HELLO &&
		    control_send_config(server, true, &err) < 0)
			log_error("cannot send the configuration", LOG_STR("error", err.text));
		if (server->state == SERVER_FAILED) {
			server->n_ends = server->strikes = 0;
			server->start_us = clock_monotonic_us();
			server->state = SERVER_DOWN;
		}
	}
	log_info("configuration read again");
	notify_send(&s->notify, "READY=1\n");
	show_status(s);
}

static void on_signal(struct loop *loop, struct loop_watch *watch, uint32_t events)
{
	struct supervisor *s = watch->context;
	struct signalfd_siginfo info;

	(void)loop;
	(void)events;
	while (read(s->signal_fd, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
		if (info.ssi_signo == SIGHUP && s->phase == PHASE_SERVE)
			reload(s);
		else if (info.ssi_signo != SIGHUP && s->phase == PHASE_SERVE)
			begin_drain(s);
		else if (info.ssi_signo != SIGHUP)
			end_at_once(s);
	}
	arm_timer(s);
}

/* --- the run ------------------------------------------------------------------------------------------------------ */

static void our_signals(sigset_t *signals)
{
	(void)sigemptyset(signals);
	(void)sigaddset(signals, SIGTERM);
	(void)sigaddset(signals, SIGINT);
	(void)sigaddset(signals, SIGHUP);
}

void supervisor_init(struct supervisor *supervisor)
{
	sigset_t signals;

	our_signals(&signals);
	(void)sigprocmask(SIG_BLOCK, &signals, NULL);
	memset(supervisor, 0, sizeof(*supervisor));
	supervisor->signal_fd = supervisor->timer_fd = supervisor->loop.epoll_fd = supervisor->notify.fd = -1;
	for (int i = 0; i < PEER_MAX; i++) {
		struct server_slot *server = &supervisor->servers[i];

		server->supervisor = supervisor;
		server->row = &process_rows[i];
		server->process = (struct process){0, -1, -1};
		server->process_watch.fd = server->control_watch.fd = -1;
		for (int k = 0; k < PEER_MAX; k++)
			supervisor->held_fds[i][k] = -1;
	}
}

static int watch_signals(struct supervisor *s, struct err *err)
{
	sigset_t signals;

	our_signals(&signals);
	s->signal_fd = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
	if (s->signal_fd < 0)
		return err_sys(err, errno, "make a signalfd");
	return loop_add(&s->loop, &s->signal_watch, s->signal_fd, EPOLLIN, on_signal, s, err);
}

int supervisor_run(struct supervisor *supervisor, struct err *err)
{
	struct supervisor *s = supervisor;
	uint64_t now = clock_monotonic_us();
	int r = loop_open(&s->loop, err);

	if (r == 0)
		r = watch_signals(s, err);
	if (r == 0) {
		s->timer_fd = r = loop_timer(err);
		r = r < 0 ? r : loop_add(&s->loop, &s->timer_watch, s->timer_fd, EPOLLIN, on_timer, s, err);
	}
	if (r == 0) {
		s->servers[PEER_SUPERVISOR].state = SERVER_READY;
		s->servers[PEER_SUPERVISOR].since_us = now;
		for (int i = PEER_API; i < PEER_MAX; i++)
			s->servers[i].start_us = now;
		s->watchdog_at_us = s->notify.watchdog_us ? now : 0;
		arm_timer(s);
		r = loop_run(&s->loop, err);
	}
	fd_close(&s->timer_fd);
	fd_close(&s->signal_fd);
	loop_close(&s->loop);
	return r < 0 ? r : s->forced;
}
