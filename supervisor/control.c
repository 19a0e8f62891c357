#include "supervisor/log.h"
#include "supervisor/resolvers.h"
#include "supervisor/str.h"
#include "supervisor/supervise.h"
#include "supervisor/util.h"

#include <inttypes.h>
#include <stdarg.h>
#include <string.h>

#define CONFIG_BYTES_MAX (60 * 1024)

/* What every server may send, and what only ferrite-api may. */
#define COMMON_RULES \
	{CTL_HELLO, 0, 0, sizeof(struct ctl_hello), 0, TURN_HELLO, "hello"}, \
		{CTL_READY, 0, 0, 0, 0, TURN_STARTED, "ready"}, \
		{CTL_ACCUSE, 0, 0, sizeof(struct ctl_accuse), 0, TURN_STARTED | TURN_READY, "accusation"}, \
	{ \
		CTL_PONG, 0, 0, 0, 0, TURN_READY, "pong" \
	}

static const struct ipc_rule server_rules[] = {COMMON_RULES, {0}};
static const struct ipc_rule api_rules[] = {
	COMMON_RULES, {CTL_STATUS_GET, 0, 0, 0, 0, TURN_STARTED | TURN_READY, "status request"}, {0}};

void control_send(struct server_slot *server, const struct ipc_out *out)
{
	struct err err = ERR_INIT;

	if (server->process.pid == 0 || ipc_send(server->process.control_fd, out, &err) == 0)
		return;
	/* A server that is gone is noticed through its pidfd. */
	if (err.code != -EPIPE && err.code != -ECONNRESET)
		supervisor_kill(server, "does not read its control channel");
}

/* --- configuration ------------------------------------------------------------------------------------------------ */

struct packer {
	char *buffer;
	size_t used;
	uint32_t n_entries;
	bool full;
};

__attribute__((format(printf, 2, 3))) static void pack(struct packer *p, const char *format, ...)
{
	char entry[SETTING_VALUE_MAX + 64];
	va_list args;
	int n;

	va_start(args, format);
	n = vsnprintf(entry, sizeof(entry), format, args);
	va_end(args);
	if (n < 0 || (size_t)n >= sizeof(entry) || !str_pack(p->buffer, CONFIG_BYTES_MAX, &p->used, entry))
		p->full = true;
	p->n_entries++;
}

/* What no setting says: folders, cgroups, ids. The keys are listed in ferrited(8). */
static void pack_computed(struct packer *p, const struct server_slot *server)
{
	const struct supervisor *s = server->supervisor;
	char resolvers[RESOLVERS_MAX];

	pack(p, "state_dir=%s", server->state_dir);
	pack(p, "run_dir=%s", server->run_dir);
	pack(p, "store_base=%u", s->place.uid_base + PROCESS_IDS_PER_BLOCK);
	if (server->row->peer != PEER_SANDBOX)
		return;
	pack(p, "ids_first_block=%u", s->ids_first_block);
	pack(p, "ids_blocks=%u", s->ids_blocks);
	pack(p, "bridge=%s", s->bridge);
	resolvers_find(settings_get(&s->settings, SETTING_RESOLVERS), resolvers, sizeof(resolvers));
	pack(p, "resolvers=%s", resolvers);
	pack(p, "cgroup_v2=%s/instances", s->cgroups.v2);
	for (int i = 0; i < CGROUP_CONTROLLER_MAX; i++)
		if (s->cgroups.v1[i][0])
			pack(p, "cgroup_v1_%s=%s/instances", cgroup_controller_name((enum cgroup_controller)i),
			     s->cgroups.v1[i]);
}

int control_send_config(struct server_slot *server, bool reload, struct err *err)
{
	struct supervisor *s = server->supervisor;
	_cleanup_free_ char *buffer = malloc(CONFIG_BYTES_MAX);
	struct packer p = {.buffer = buffer};
	struct ctl_config body = {.reload = reload};

	if (!buffer)
		return err_sys(err, ENOMEM, "send the configuration");
	if (!settings_pack(&s->settings, server->row->peer, buffer, CONFIG_BYTES_MAX, &p.used, &p.n_entries))
		p.full = true;
	pack_computed(&p, server);
	if (p.full)
		return err_set(err, E2BIG, "the configuration of %s is longer than %d bytes", server->row->program,
			       CONFIG_BYTES_MAX);
	body.n_entries = p.n_entries;
	control_send(server, &(struct ipc_out){.type = CTL_CONFIG,
					       .body = &body,
					       .body_size = sizeof(body),
					       .tail = buffer,
					       .tail_size = p.used});
	return 0;
}

/* --- channels ----------------------------------------------------------------------------------------------------- */

static void send_channel(struct server_slot *server, enum peer peer, int fd)
{
	struct ctl_channel body = {.peer = peer};

	control_send(server,
		     &(struct ipc_out){
			     .type = CTL_CHANNEL, .body = &body, .body_size = sizeof(body), .fds = &fd, .n_fds = 1});
}

static bool is_up(const struct server_slot *server)
{
	return server->process.pid != 0 && server->turn != TURN_HELLO;
}

/* One end to SERVER now; the other to the peer now, or when it says hello. */
static int make_channel(struct server_slot *server, enum peer peer, struct err *err)
{
	struct supervisor *s = server->supervisor;
	enum peer self = server->row->peer;
	struct server_slot *other = &s->servers[peer];
	_cleanup_fd_ int held = take_fd(&s->held_fds[self][peer]);
	int pair[2], r;

	if (held >= 0) {
		send_channel(server, peer, held);
		return 0;
	}
	r = ipc_pair(pair, err);
	if (r < 0)
		return r;
	send_channel(server, peer, pair[0]);
	(void)close(pair[0]);
	if (is_up(other))
		send_channel(other, self, pair[1]);
	if (is_up(other) || other->state == SERVER_FAILED) {
		(void)close(pair[1]);
	} else {
		fd_close(&s->held_fds[peer][self]);
		s->held_fds[peer][self] = pair[1];
	}
	return 0;
}

void control_drop_held(struct supervisor *supervisor, enum peer peer, bool failed)
{
	for (int other = 0; other < PEER_MAX; other++) {
		/* Its own other end went with it. */
		fd_close(&supervisor->held_fds[other][peer]);
		/* Nobody will come for these: let the others see the end of the channel. */
		if (failed)
			fd_close(&supervisor->held_fds[peer][other]);
	}
}

/* --- messages ----------------------------------------------------------------------------------------------------- */

static int handle_hello(struct server_slot *server, const struct ctl_hello *hello, struct err *err)
{
	struct supervisor *s = server->supervisor;
	int r;

	if (hello->protocol != FERRITE_PROTOCOL)
		return err_set(err, EPROTO, "speaks protocol %u, ferrited %u: they are of different versions",
			       hello->protocol, FERRITE_PROTOCOL);
	server->turn = TURN_STARTED;
	r = control_send_config(server, false, err);
	for (unsigned i = 0; r == 0 && server->row->listens && i < s->listeners.n_sockets; i++) {
		struct ctl_listen body = {.kind = s->listeners.sockets[i].kind};

		control_send(server, &(struct ipc_out){.type = CTL_LISTEN,
						       .body = &body,
						       .body_size = sizeof(body),
						       .fds = &s->listeners.sockets[i].fd,
						       .n_fds = 1});
	}
	for (unsigned peer = 0; r == 0 && peer < PEER_MAX; peer++)
		if (server->row->peers >> peer & 1)
			r = make_channel(server, (enum peer)peer, err);
	if (r == 0)
		control_send(server, &(struct ipc_out){.type = CTL_START});
	return r;
}

static void handle_status(struct server_slot *server, uint64_t id)
{
	struct supervisor *s = server->supervisor;
	struct ctl_status_row rows[PEER_MAX] = {0};

	for (int i = 0; i < PEER_MAX; i++) {
		const struct server_slot *slot = &s->servers[i];

		(void)str_copy(rows[i].name, sizeof(rows[i].name), slot->row->program);
		rows[i].state = slot->state;
		rows[i].pid = i == PEER_SUPERVISOR ? (uint32_t)getpid() : (uint32_t)slot->process.pid;
		rows[i].restarts = slot->restarts;
		rows[i].since_us = slot->since_us;
		(void)str_copy(rows[i].last_exit, sizeof(rows[i].last_exit), slot->last_exit);
	}
	control_send(server, &(struct ipc_out){.type = CTL_STATUS, .id = id, .tail = rows, .tail_size = sizeof(rows)});
}

/* A server may accuse those that it has a channel to. */
static int handle_accuse(struct server_slot *server, const struct ctl_accuse *accuse, struct err *err)
{
	char why[64];

	if (accuse->peer >= PEER_MAX || !(server->row->peers & (1u << accuse->peer)))
		return err_set(err, EPROTO, "accusation of peer %u, to which it has no channel", accuse->peer);
	(void)snprintf(why, sizeof(why), "broke the protocol towards %s", server->row->program);
	supervisor_kill(&server->supervisor->servers[accuse->peer], why);
	return 0;
}

static int handle(struct server_slot *server, struct err *err)
{
	struct supervisor *s = server->supervisor;
	const struct ipc_message *m = &s->message;

	switch (m->header.type) {
	case CTL_HELLO:
		return handle_hello(server, (const void *)m->payload, err);
	case CTL_READY:
		server->turn = TURN_READY;
		server->deadline_us = 0;
		server->ready_us = clock_monotonic_us();
		server->ping_us = server->ready_us + settings_time_us(&s->settings, SETTING_HEARTBEAT_INTERVAL);
		supervisor_set_state(server, SERVER_READY);
		return 0;
	case CTL_PONG:
		if (server->asked_us == 0 || m->header.id != server->ping_id)
			return err_set(err, EPROTO, "pong %" PRIu64 " answers no ping", m->header.id);
		server->asked_us = 0;
		return 0;
	case CTL_ACCUSE:
		return handle_accuse(server, (const void *)m->payload, err);
	default: /* CTL_STATUS_GET: the table lets nothing else through */
		handle_status(server, m->header.id);
		return 0;
	}
}

int control_dispatch(struct server_slot *server, struct err *err)
{
	struct supervisor *s = server->supervisor;
	const struct ipc_rule *rules = server->row->peer == PEER_API ? api_rules : server_rules;

	/* A few at a time: no server may keep the others waiting. */
	for (int i = 0; i < 16 && server->process.pid != 0; i++) {
		int r = ipc_receive(server->process.control_fd, &s->message, err);

		if (r == -EAGAIN || r == 0) {
			if (r == 0)
				supervisor_let_go(server);
			return 0;
		}
		if (r > 0)
			r = ipc_accept(&s->message, rules, server->turn, err);
		if (r == 0)
			r = handle(server, err);
		ipc_message_done(&s->message);
		if (r < 0)
			return r;
	}
	return 0;
}
