/*
 * A channel to a peer with a bounded queue for what it does not read at once: the server never blocks on a peer and
 * never drops a message. A peer that leaves QUEUE_MAX messages unread is treated as gone.
 */
#ifndef FERRITE_SANDBOX_CHANNEL_H
#define FERRITE_SANDBOX_CHANNEL_H

#include "supervisor/ipc.h"
#include "supervisor/loop.h"

struct channel_message;

struct channel {
	int fd; /* owned; -1: none */
	struct loop_watch watch;
	struct channel_message *first, *last;
	unsigned n_queued;
};

/* Watches FD, which the channel then owns; CALLBACK is called when it is readable, writable or gone. */
int channel_open(struct channel *channel, struct loop *loop, int fd, loop_callback *callback, void *context,
		 struct err *err);

/* Sends or queues a copy. Negative: the peer is gone or does not read; close the channel. */
int channel_send(struct channel *channel, struct loop *loop, const struct ipc_out *out, struct err *err);

/* Sends what is queued, as far as the peer reads; for EPOLLOUT. */
int channel_flush(struct channel *channel, struct loop *loop, struct err *err);

void channel_close(struct channel *channel, struct loop *loop);

#endif
