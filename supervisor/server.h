/*
 * The server's side of the control channel (descriptor 3).
 *
 * A server is started by ferrited only. Its main() calls server_open(), which says hello and blocks until CTL_START;
 * configuration, channels and listening sockets that arrive until then are handed to the callbacks in order. Then the
 * server enters its event loop, watches server->fd for reading and calls server_dispatch() each time it is readable.
 *
 * server_dispatch() answers pings and calls the callbacks for what comes later: a fresh channel after a peer was
 * restarted, a reload, the order to drain. When ferrited is gone it returns 0 and the server ends at once. The
 * callbacks run in the thread that calls server_dispatch().
 */
#ifndef FERRITE_SERVER_H
#define FERRITE_SERVER_H

#include "supervisor/err.h"
#include "supervisor/messages.h"

#include <stdbool.h>

#define SERVER_CONTROL_FD 3

struct server;

struct server_callbacks {
	/* One "key", "value" of the configuration. Unknown keys are to be ignored. Negative: refuse, with err set. */
	int (*config)(void *context, const char *key, const char *value, bool reload, struct err *err);
	/* A fresh channel; the callee owns fd and forgets what it had with the old one. */
	int (*channel)(void *context, enum peer peer, int fd, struct err *err);
	/* A listening socket, owned by the callee. NULL for servers that have none. */
	int (*listener)(void *context, enum listen_kind kind, int fd, struct err *err);
	/* Take no new work and exit before the deadline. */
	void (*drain)(void *context, uint64_t deadline_us);
	/* Reply to server_status_get(). NULL for servers that never ask. ROWS are valid during the call. */
	void (*status)(void *context, uint64_t id, const struct ctl_status_row *rows, unsigned n_rows);
};

struct server {
	int fd;
	const struct server_callbacks *callbacks;
	void *context;
	struct ipc_message *message; /* receive buffer */
};

/* Opens the log under NAME, checks that descriptor 3 is a channel, says hello, receives until CTL_START. */
int server_open(struct server *server, const char *name, const struct server_callbacks *callbacks, void *context,
		struct err *err);

/* Tells ferrited that the server serves. */
int server_ready(struct server *server, struct err *err);

/* Handles all messages that are there. 1: go on; 0: ferrited is gone; negative: protocol violation or a callback
 * failed. */
int server_dispatch(struct server *server, struct err *err);

/* Asks for the state of all servers; the status callback gets the answer. Any thread. */
int server_status_get(struct server *server, uint64_t id, struct err *err);

/* Tells ferrited that PEER broke the protocol, so that it is killed and both get a fresh channel. Any thread. */
int server_accuse(enum peer peer, struct err *err);

/* Sends MSG_FAILED as the reply to request ID. */
int server_send_failed(int channel_fd, uint64_t id, const char *phase, const struct err *failure, struct err *err);

#endif
