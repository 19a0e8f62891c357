#include "sandbox/instance.h"

#include "supervisor/util.h"

#include <signal.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/wait.h>

#define KILL_AGAIN_US	100000
#define REMOVE_AFTER_US 2000 /* lets the answer and the next request go first */
#define REMOVE_AGAIN_US 10000
#define REFILL_AT_ONCE	2
#define REMOVE_AT_ONCE	2 /* per round of the loop: requests go first */
#define REPORTS_AT_ONCE 4 /* a birth makes two */
#define ERRNO_MAX	4095

const char *instance_state_name(enum instance_state state)
{
	static const char *const names[INSTANCE_STATE_MAX] = {
		"preparing", "starting", "running", "stopping", "ending", "removing",
	};

	return state < INSTANCE_STATE_MAX ? names[state] : "?";
}

static void on_timer(struct loop *loop, struct loop_watch *watch, uint32_t events);

int instances_open(struct instances *table, struct loop *loop, struct cgroups *groups, struct ids *ids,
		   struct bridge *bridge, const struct instance_events *events, void *context, unsigned max,
		   struct err *err)
{
	*table = (struct instances){.loop = loop,
				    .groups = groups,
				    .ids = ids,
				    .bridge = bridge,
				    .events = events,
				    .context = context,
				    .max = max,
				    .next_id = clock_realtime_us()};
	table->list = calloc(max, sizeof(struct instance *));
	if (!table->list)
		return err_sys(err, ENOMEM, "make the table of instances");
	table->timer_fd = loop_timer(err);
	if (table->timer_fd < 0)
		return table->timer_fd;
	return loop_add(loop, &table->timer_watch, table->timer_fd, EPOLLIN, on_timer, table, err);
}

void instances_close(struct instances *table)
{
	loop_remove(table->loop, &table->timer_watch);
	fd_close(&table->timer_fd);
	free(table->list);
	table->list = NULL;
}

static void schedule(struct instances *table)
{
	uint64_t first_us = 0;

	for (unsigned i = 0; i < table->n; i++) {
		uint64_t d = table->list[i]->deadline_us;

		if (d && (!first_us || d < first_us))
			first_us = d;
	}
	if (first_us == table->timer_us)
		return;
	table->timer_us = first_us;
	(void)loop_timer_set(table->timer_fd, first_us, NULL);
}

void instance_set_state(struct instance *instance, enum instance_state state, uint64_t deadline_us)
{
	instance->state = state;
	instance->deadline_us = deadline_us;
	schedule(instance->table);
}

static void release_descriptors(struct instance *instance)
{
	struct loop *loop = instance->table->loop;

	loop_remove(loop, &instance->pid_watch);
	loop_remove(loop, &instance->socket_watch);
	fd_close(&instance->pid_fd);
	fd_close(&instance->socket_fd);
	for (unsigned i = 0; i < 3; i++)
		fd_close(&instance->stdio_fds[i]);
}

/* Gives back the groups and the id range, or tries again later. */
static void try_remove(struct instance *instance)
{
	struct instances *table = instance->table;

	if (instance->group.name[0] && cgroup_remove(table->groups, &instance->group) < 0) {
		instance->deadline_us = clock_monotonic_us() + REMOVE_AGAIN_US;
		return;
	}
	bridge_disconnect(table->bridge, &instance->port);
	ids_release(table->ids, instance->block);
	cgroups_refill(table->groups, REFILL_AT_ONCE);
	for (unsigned i = 0; i < table->n; i++)
		if (table->list[i] == instance)
			table->list[i] = table->list[--table->n];
	free(instance);
	if (table->n == 0)
		table->events->empty(table->context);
}

/* Removal waits for a quiet moment, unless its places are needed. */
static void remove_ended(struct instances *table)
{
	/* From the end: removal moves the last one into the gap. */
	for (unsigned i = table->n; i-- > 0;)
		if (i < table->n && table->list[i]->state == INSTANCE_REMOVING)
			try_remove(table->list[i]);
}

int instance_new(struct instances *table, struct instance **ret_instance, struct err *err)
{
	struct instance *instance;
	int r;

	if (table->n == table->max)
		remove_ended(table);
	if (table->n == table->max)
		return err_set(err, EUSERS, "all %u instances are in use (ids_blocks)", table->max);
	instance = calloc(1, sizeof(*instance));
	if (!instance)
		return err_sys(err, ENOMEM, "make an instance");
	r = ids_lease(table->ids, &instance->block, err);
	if (r < 0) {
		free(instance);
		return r;
	}
	instance->table = table;
	instance->id = ++table->next_id;
	instance->uid_base = ids_base(table->ids, instance->block);
	instance->pid_fd = instance->socket_fd = -1;
	instance->pid_watch.fd = instance->socket_watch.fd = -1;
	instance->group.v2_fd = instance->group.freeze_fd = -1;
	for (unsigned i = 0; i < 3; i++)
		instance->stdio_fds[i] = -1;
	table->list[table->n++] = instance;
	*ret_instance = instance;
	return 0;
}

void instance_discard(struct instance *instance)
{
	if (instance->pid > 0) {
		/* Nobody watches it: end it here and now. */
		(void)kill(instance->pid, SIGKILL);
		while (waitpid(instance->pid, NULL, 0) < 0 && errno == EINTR)
			;
	}
	release_descriptors(instance);
	instance_set_state(instance, INSTANCE_REMOVING, clock_monotonic_us() + REMOVE_AFTER_US);
}

void instance_kill(struct instance *instance, enum instance_cause cause)
{
	if (instance->state >= INSTANCE_ENDING)
		return;
	instance->cause = cause;
	cgroup_kill(&instance->group);
	/* Its death alone ends all of the pid namespace, also where there is no cgroup.kill. */
	(void)pidfd_send_signal(instance->pid_fd, SIGKILL, NULL, 0);
	instance_set_state(instance, INSTANCE_ENDING, clock_monotonic_us() + KILL_AGAIN_US);
}

void instance_stop(struct instance *instance, uint64_t grace_us)
{
	if (instance->state != INSTANCE_RUNNING && instance->state != INSTANCE_STOPPING)
		return;
	if (grace_us == 0 || instance->stop_signal == SIGKILL ||
	    pidfd_send_signal(instance->pid_fd, (int)instance->stop_signal, NULL, 0) < 0) {
		instance_kill(instance, CAUSE_KILLED);
		return;
	}
	/* The signal is taken as soon as it runs. */
	cgroup_thaw(&instance->group);
	instance->cause = CAUSE_KILLED;
	instance_set_state(instance, INSTANCE_STOPPING, clock_monotonic_us() + grace_us);
}

struct sbx_exited instance_outcome(const struct instance *instance, const struct cgroup_usage *usage, uint64_t now_us)
{
	struct sbx_exited e = {
		.instance = instance->id,
		.exit_code = -1,
		.cpu_us = usage->cpu_us,
		.memory_peak_bytes = usage->memory_peak_bytes,
		.run_us = now_us - instance->executed_us,
	};

	if (instance->has_status && WIFEXITED(instance->status))
		e.exit_code = WEXITSTATUS(instance->status);
	else if (instance->has_status)
		e.signal = WTERMSIG(instance->status);
	else if (instance->cause != CAUSE_NONE)
		e.signal = SIGKILL;
	if (instance->cause == CAUSE_TIMEOUT)
		e.end = SBX_END_TIMEOUT;
	else if (instance->cause != CAUSE_NONE)
		e.end = SBX_END_KILLED;
	else if (usage->oom_kills > 0)
		e.end = SBX_END_OOM;
	else if (!instance->has_status)
		e.end = SBX_END_LOST;
	else
		e.end = WIFEXITED(instance->status) ? SBX_END_EXIT : SBX_END_SIGNAL;
	if (e.end == SBX_END_OOM && !instance->has_status)
		e.signal = SIGKILL;
	return e;
}

static void fail(struct instance *instance, const char *phase, const struct err *failure)
{
	instance->table->events->failed(instance->table->context, instance, phase, failure);
	instance_kill(instance, CAUSE_FAILED);
}

/* Even the init is believed only what can be true: it lives in the function's namespaces. */
static void take_report(struct instance *instance, struct birth_report *report)
{
	struct err failure = ERR_INIT;
	uint64_t now_us = clock_monotonic_us();

	if (report->time_us < instance->born_us || report->time_us > now_us)
		report->time_us = now_us;
	report->phase[sizeof(report->phase) - 1] = '\0';
	report->text[sizeof(report->text) - 1] = '\0';
	switch (report->kind) {
	case BIRTH_FAILED:
		if (instance->state > INSTANCE_STARTING)
			break;
		if (report->code >= 0 || report->code < -ERRNO_MAX)
			report->code = -EIO;
		/* The init reports a number and an object; the process before it whole sentences. */
		if (strcmp(report->phase, "exec") == 0 || strcmp(report->phase, "interpreter") == 0)
			(void)err_sys(&failure, report->code, "execute %s%s", report->text,
				      report->phase[0] == 'i' ? ": its interpreter" : "");
		else
			(void)err_set(&failure, report->code, "%s", report->text);
		fail(instance, report->phase, &failure);
		break;
	case BIRTH_EXECUTED:
		if (instance->state != INSTANCE_STARTING)
			break;
		instance->executed_us = report->time_us;
		instance_set_state(instance, INSTANCE_RUNNING,
				   instance->timeout_us ? report->time_us + instance->timeout_us : 0);
		instance->table->events->created(instance->table->context, instance);
		break;
	case BIRTH_EXITED:
		if (!instance->executed_us)
			break;
		instance->has_status = true;
		instance->status = report->code;
		if (instance->state < INSTANCE_ENDING)
			instance_set_state(instance, INSTANCE_ENDING, clock_monotonic_us() + KILL_AGAIN_US);
		break;
	default:
		break;
	}
}

/* Takes the reports that are there. Passed descriptors are never received: there is no room for them. */
static void read_reports(struct instance *instance)
{
	for (unsigned i = 0; i < REPORTS_AT_ONCE && instance->socket_fd >= 0; i++) {
		struct birth_report report;
		ssize_t n = recv(instance->socket_fd, &report, sizeof(report), MSG_DONTWAIT | MSG_TRUNC);

		/* A peer that ended with messages unread shows as reset once, before what it has sent. */
		if (n < 0 && (errno == EINTR || errno == ECONNRESET))
			continue;
		if (n < 0 && errno == EAGAIN)
			return;
		if (n != (ssize_t)sizeof(report)) {
			loop_remove(instance->table->loop, &instance->socket_watch);
			fd_close(&instance->socket_fd);
			return;
		}
		take_report(instance, &report);
	}
}

static void finish(struct instance *instance)
{
	struct instances *table = instance->table;
	struct cgroup_usage usage;
	struct sbx_exited exited;
	struct err failure = ERR_INIT;

	cgroup_read_usage(table->groups, &instance->group, &usage);
	if (instance->executed_us) {
		exited = instance_outcome(instance, &usage, clock_monotonic_us());
		table->events->exited(table->context, instance, &exited);
	} else if (instance->cause != CAUSE_FAILED) {
		if (instance->cause == CAUSE_SLOW_BIRTH)
			(void)err_set(&failure, ETIMEDOUT, "the instance did not start in time");
		else if (instance->cause == CAUSE_OWNER)
			(void)err_set(&failure, ECANCELED, "who asked for the instance is gone");
		else if (usage.oom_kills > 0)
			(void)err_set(&failure, ENOMEM, "the memory limit is too small to start the instance");
		else
			(void)err_set(&failure, EIO, "the instance died before its program was executed");
		table->events->failed(table->context, instance, "birth", &failure);
	}
	instance_discard(instance);
}

static void on_socket(struct loop *loop, struct loop_watch *watch, uint32_t events)
{
	(void)loop;
	(void)events;
	read_reports(watch->context);
}

static void on_process(struct loop *loop, struct loop_watch *watch, uint32_t events)
{
	struct instance *instance = watch->context;
	siginfo_t info;

	(void)loop;
	(void)events;
	read_reports(instance);
	if (waitid(P_PIDFD, (id_t)instance->pid_fd, &info, WEXITED | WNOHANG) < 0 && errno == EINTR)
		return;
	instance->pid = 0;
	finish(instance);
}

int instance_watch(struct instance *instance, struct err *err)
{
	struct loop *loop = instance->table->loop;
	int r = loop_add(loop, &instance->socket_watch, instance->socket_fd, EPOLLIN, on_socket, instance, err);

	if (r == 0)
		r = loop_add(loop, &instance->pid_watch, instance->pid_fd, EPOLLIN, on_process, instance, err);
	return r;
}

static void on_deadline(struct instance *instance)
{
	/* When the server was held up, what is due may have happened in time, unread. */
	if (instance->state < INSTANCE_ENDING)
		read_reports(instance);
	if (!instance->deadline_us || instance->deadline_us > clock_monotonic_us())
		return;
	switch (instance->state) {
	case INSTANCE_PREPARING:
	case INSTANCE_STARTING:
		instance_kill(instance, CAUSE_SLOW_BIRTH);
		break;
	case INSTANCE_RUNNING:
		instance_kill(instance, CAUSE_TIMEOUT);
		break;
	case INSTANCE_STOPPING:
		instance_kill(instance, instance->cause);
		break;
	case INSTANCE_ENDING:
		cgroup_kill(&instance->group);
		(void)pidfd_send_signal(instance->pid_fd, SIGKILL, NULL, 0);
		instance->deadline_us = clock_monotonic_us() + KILL_AGAIN_US;
		break;
	default:
		try_remove(instance);
		break;
	}
}

static void on_timer(struct loop *loop, struct loop_watch *watch, uint32_t events)
{
	struct instances *table = watch->context;
	uint64_t now_us = clock_monotonic_us();
	uint64_t expirations;
	unsigned removed = 0;

	(void)loop;
	(void)events;
	(void)!read(table->timer_fd, &expirations, sizeof(expirations));
	table->timer_us = 0;
	/* From the end: removal moves the last one into the gap. */
	for (unsigned i = table->n; i-- > 0;) {
		struct instance *instance = i < table->n ? table->list[i] : NULL;

		if (!instance || !instance->deadline_us || instance->deadline_us > now_us)
			continue;
		if (instance->state == INSTANCE_REMOVING && removed++ >= REMOVE_AT_ONCE)
			continue;
		on_deadline(instance);
	}
	schedule(table);
}

unsigned instances_count(const struct instances *table, enum instance_state state)
{
	unsigned n = 0;

	for (unsigned i = 0; i < table->n; i++)
		n += table->list[i]->state == state;
	return n;
}

struct instance *instances_find(const struct instances *table, uint64_t id)
{
	for (unsigned i = 0; i < table->n; i++)
		if (table->list[i]->id == id)
			return table->list[i];
	return NULL;
}

void instances_kill_owner(struct instances *table, uint64_t owner)
{
	for (unsigned i = 0; i < table->n; i++)
		if (owner == 0 || table->list[i]->owner == owner)
			instance_kill(table->list[i], CAUSE_OWNER);
}
