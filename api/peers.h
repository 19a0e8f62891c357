/*
 * The channels to ferrite-sandbox, ferrite-rootfs and ferrite-gpu.
 *
 * A request is embedded in its owner, sent from any thread, and always ends with one call of its `done` in the loop it
 * names: with the reply, with the server's MSG_FAILED, or with the loss of the server. What the request's message
 * points to must live until then. A server that is not there is waited for, at most PEER_WAIT_US (-EHOSTDOWN); a server
 * that ends with the request in hand fails it with -ECONNRESET, unless the request is `repeatable`: then it is sent
 * again, once.
 *
 * Everything is received in the control thread. A peer that breaks the rules of a message loses its channel.
 */
#ifndef FERRITE_API_PEERS_H
#define FERRITE_API_PEERS_H

#include "api/table.h"
#include "api/worker.h"
#include "supervisor/messages.h"

#include <sys/queue.h>

#define PEER_WAIT_US   2000000
#define PEER_QUEUE_MAX 4096 /* requests that wait for room in a channel */

struct peer_reply {
	unsigned n_fds;
	int fds[SBX_LAYERS_MAX];
	size_t length;
	_Alignas(16) unsigned char payload[]; /* structure, tail, and one zero byte */
};

struct peer_request;
typedef void peer_function(struct peer_request *request);

struct peer_request {
	struct worker_task task;
	struct worker *worker; /* in whose thread done() runs */
	peer_function *done;
	/* Runs first, in the control thread, in the order of the peer's messages; only for replies. May be NULL. */
	peer_function *received;
	struct ipc_out out; /* the id is set by peers_send() */
	uint16_t expects;   /* type of the reply */
	bool repeatable;
	/* The outcome: reply, or failure. Both belong to the request until peer_request_done(). */
	struct peer_reply *reply;
	struct err failure;
	char phase[32];
	/* Private. */
	enum peer peer;
	bool repeated;
	uint64_t give_up_us;
	struct table_node node;
	TAILQ_ENTRY(peer_request) link;
};

struct peers;

struct peers_events {
	/* Control thread. A message that is no reply; its payload was checked for size only. */
	void (*event)(void *context, enum peer peer, struct ipc_message *message);
	/* Control thread. A channel is there; what is told to the peer now comes before all requests. */
	void (*opened)(void *context, struct peers *peers, enum peer peer);
	/* Control thread. The server ended, or broke the rules. */
	void (*lost)(void *context, enum peer peer);
};

int peers_open(struct worker *control, const struct peers_events *events, void *context, struct peers **ret_peers,
	       struct err *err);
/* Control thread, when no loop runs any more. Requests that are still open are forgotten. */
void peers_close(struct peers *peers);

/* Control thread: a fresh channel, owned by peers; replaces an older one. */
int peers_channel(struct peers *peers, enum peer peer, int fd, struct err *err);

/* Any thread. */
void peers_send(struct peers *peers, enum peer peer, struct peer_request *request);
/*
 * Any thread: a message without a reply, which ends something. It waits, before all requests, for as long as the peer
 * does not read; a peer that is not there has ended it already. When more than PEER_QUEUE_MAX wait the peer is accused.
 */
void peers_tell(struct peers *peers, enum peer peer, const struct ipc_out *out);

bool peers_connected(struct peers *peers, enum peer peer);
/* The name of a server, for messages. */
const char *peer_name(enum peer peer);

/* Frees the reply and its descriptors. */
void peer_request_done(struct peer_request *request);
int peer_reply_take_fd(struct peer_reply *reply, unsigned index);

#endif
