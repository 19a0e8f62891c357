#include "supervisor/server.h"

#include "supervisor/log.h"
#include "supervisor/str.h"
#include "supervisor/util.h"

#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#define CONFIG_TAIL_MAX (64 * 1024)
#define CONFIG_MAX	256

/* Until CTL_START, and after it. */
enum { STATE_STARTING = 1, STATE_STARTED = 2, STATE_ANY = STATE_STARTING | STATE_STARTED };

static const struct ipc_rule rules[] = {
	{CTL_CONFIG, 0, 0, sizeof(struct ctl_config), CONFIG_TAIL_MAX, STATE_ANY, "config"},
	{CTL_CHANNEL, 1, 1, sizeof(struct ctl_channel), 0, STATE_ANY, "channel"},
	{CTL_LISTEN, 1, 1, sizeof(struct ctl_listen), 0, STATE_STARTING, "listen"},
	{CTL_START, 0, 0, 0, 0, STATE_STARTING, "start"},
	{CTL_PING, 0, 0, 0, 0, STATE_STARTED, "ping"},
	{CTL_DRAIN, 0, 0, 0, 0, STATE_ANY, "drain"},
	{CTL_STATUS, 0, 0, 0, PEER_MAX * sizeof(struct ctl_status_row), STATE_STARTED, "status"},
	{0},
};

static int handle_config(struct server *server, struct ipc_message *m, struct err *err)
{
	const struct ctl_config *body = (const void *)m->payload;
	char *list[CONFIG_MAX + 1];
	size_t length;
	char *tail = ipc_tail(m, sizeof(*body), &length);

	if (body->n_entries > CONFIG_MAX || str_unpack(tail, length, body->n_entries, list) != (long)length)
		return err_set(err, EPROTO, "malformed configuration");
	for (unsigned i = 0; i < body->n_entries; i++) {
		char *equals = strchr(list[i], '=');
		int r;

		if (!equals)
			return err_set(err, EPROTO, "configuration entry without a value");
		*equals = '\0';
		if (strcmp(list[i], "log_level") == 0)
			(void)log_level_set(equals + 1);
		r = server->callbacks->config(server->context, list[i], equals + 1, body->reload != 0, err);
		if (r < 0) {
			err_wrap(err, "setting %s", list[i]);
			return r;
		}
	}
	return 0;
}

static int handle(struct server *server, struct ipc_message *m, bool *started, struct err *err)
{
	const struct ctl_channel *channel = (const void *)m->payload;
	const struct ctl_listen *listener = (const void *)m->payload;
	size_t length;

	switch (m->header.type) {
	case CTL_CONFIG:
		return handle_config(server, m, err);
	case CTL_CHANNEL:
		if (channel->peer >= PEER_MAX)
			return err_set(err, EPROTO, "channel to unknown peer %u", channel->peer);
		return server->callbacks->channel(server->context, (enum peer)channel->peer, ipc_message_take_fd(m, 0),
						  err);
	case CTL_LISTEN:
		if (listener->kind >= LISTEN_KIND_MAX || !server->callbacks->listener)
			return err_set(err, EPROTO, "unexpected listening socket");
		return server->callbacks->listener(server->context, (enum listen_kind)listener->kind,
						   ipc_message_take_fd(m, 0), err);
	case CTL_START:
		*started = true;
		return 0;
	case CTL_PING:
		return ipc_send(server->fd, &(struct ipc_out){.type = CTL_PONG, .id = m->header.id}, err);
	case CTL_DRAIN:
		server->callbacks->drain(server->context, m->header.deadline_us);
		return 0;
	default: /* CTL_STATUS: the table lets nothing else through */
		(void)ipc_tail(m, 0, &length);
		if (!server->callbacks->status || length % sizeof(struct ctl_status_row) != 0)
			return err_set(err, EPROTO, "unexpected status");
		server->callbacks->status(server->context, m->header.id, (const void *)m->payload,
					  (unsigned)(length / sizeof(struct ctl_status_row)));
		return 0;
	}
}

/* Handles one message; 1 handled, 0 peer gone, -EAGAIN nothing there. */
static int dispatch_one(struct server *server, bool *started, struct err *err)
{
	int r = ipc_receive(server->fd, server->message, err);

	if (r <= 0)
		return r;
	r = ipc_accept(server->message, rules, *started ? STATE_STARTED : STATE_STARTING, err);
	if (r == 0)
		r = handle(server, server->message, started, err);
	ipc_message_done(server->message);
	return r < 0 ? r : 1;
}

int server_open(struct server *server, const char *name, const struct server_callbacks *callbacks, void *context,
		struct err *err)
{
	struct ctl_hello hello = {.protocol = FERRITE_PROTOCOL, .pid = (uint32_t)getpid()};
	bool started = false;
	int type = 0;
	socklen_t size = sizeof(type);
	int r;

	log_open(name);
	if (getsockopt(SERVER_CONTROL_FD, SOL_SOCKET, SO_TYPE, &type, &size) < 0 || type != SOCK_SEQPACKET)
		return err_set(err, EINVAL, "%s is started by ferrited, not by hand (descriptor 3 is no channel)",
			       name);
	*server = (struct server){.fd = SERVER_CONTROL_FD, .callbacks = callbacks, .context = context};
	server->message = malloc(sizeof(*server->message));
	if (!server->message)
		return err_sys(err, ENOMEM, "receive buffer");
	r = ipc_send(server->fd, &(struct ipc_out){.type = CTL_HELLO, .body = &hello, .body_size = sizeof(hello)}, err);
	while (r >= 0 && !started) {
		struct pollfd p = {.fd = server->fd, .events = POLLIN};

		(void)poll(&p, 1, -1);
		r = dispatch_one(server, &started, err);
		if (r == 0)
			return err_set(err, EPIPE, "ferrited ended during the start of %s", name);
		if (r == -EAGAIN)
			r = 0;
	}
	return r < 0 ? r : 0;
}

int server_ready(struct server *server, struct err *err)
{
	return ipc_send(server->fd, &(struct ipc_out){.type = CTL_READY}, err);
}

int server_dispatch(struct server *server, struct err *err)
{
	bool started = true;

	for (;;) {
		int r = dispatch_one(server, &started, err);

		if (r == -EAGAIN)
			return 1;
		if (r <= 0)
			return r;
	}
}

int server_status_get(struct server *server, uint64_t id, struct err *err)
{
	return ipc_send(server->fd, &(struct ipc_out){.type = CTL_STATUS_GET, .id = id}, err);
}

int server_accuse(enum peer peer, struct err *err)
{
	struct ctl_accuse body = {.peer = peer};

	return ipc_send(SERVER_CONTROL_FD,
			&(struct ipc_out){.type = CTL_ACCUSE, .body = &body, .body_size = sizeof(body)}, err);
}

int server_send_failed(int channel_fd, uint64_t id, const char *phase, const struct err *failure, struct err *err)
{
	struct msg_failed body = {.code = failure->code};

	(void)str_copy(body.phase, sizeof(body.phase), phase);
	(void)str_copy(body.text, sizeof(body.text), failure->text);
	return ipc_send_wait(channel_fd,
			     &(struct ipc_out){.type = MSG_FAILED, .id = id, .body = &body, .body_size = sizeof(body)},
			     1000, err);
}
