/*
 * Messages between ferrite's programs.
 *
 * A channel is one end of a SOCK_SEQPACKET socket pair that ferrited made: the kernel keeps message boundaries, and
 * whoever holds the descriptor may speak. A message is a fixed header, a fixed structure per type, an optional tail of
 * bounded bytes, and passed descriptors. supervisor/messages.h lists every type.
 *
 * The receiver treats the sender as hostile. Each side of each channel has a table of rules: which types it accepts, in
 * which states of the peer, with which exact size, tail bound and number of descriptors. A message that breaks a rule
 * is a protocol violation: ipc_accept() fails with -EPROTO, the program closes the channel, logs it, and names the peer
 * to ferrited, which kills it (CTL_ACCUSE); it is never answered.
 *
 * Requests carry an id that the requester chose; the reply repeats it. Events have id 0. Sending from several threads
 * on one channel is safe (one sendmsg per message); receiving belongs to one thread.
 */
#ifndef FERRITE_IPC_H
#define FERRITE_IPC_H

#include "supervisor/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define IPC_MAGIC	0x31524546u  /* "FER1": layout version 1 */
#define IPC_FDS_MAX	200	     /* the kernel's SCM_MAX_FD is 253 */
#define IPC_PAYLOAD_MAX (160 * 1024) /* fits the default socket buffer of 208 KiB */

struct ipc_header {
	uint32_t magic;
	uint16_t type;
	uint16_t n_fds;
	uint32_t length;  /* bytes after the header: structure and tail */
	int32_t reserved; /* 0 */
	uint64_t id;
	uint64_t deadline_us; /* CLOCK_MONOTONIC; 0: none. The receiver may give up after it */
};

/* One received message. The descriptors belong to it until taken; ipc_message_done() closes the rest. */
struct ipc_message {
	struct ipc_header header;
	unsigned n_fds;
	int fds[IPC_FDS_MAX];
	/* Aligned for every message structure; one byte more, so that a tail can be terminated. */
	_Alignas(16) unsigned char payload[IPC_PAYLOAD_MAX + 1];
};

#define IPC_MESSAGE_INIT(m) \
	do { \
		(m)->header = (struct ipc_header){0}; \
		(m)->n_fds = 0; \
	} while (0)

/* What a receiver accepts. A table ends with a row of type 0. */
struct ipc_rule {
	uint16_t type;
	uint16_t fds_min, fds_max;
	uint32_t size;	   /* of the structure, exact */
	uint32_t tail_max; /* bytes allowed after it */
	uint32_t states;   /* bit mask of the receiver's own states for this peer; ~0u: any */
	const char *name;  /* for logs */
};

/* Makes a connected, close-on-exec pair. */
int ipc_pair(int ret_fds[2], struct err *err);

/* What a sender gives. Descriptors are duplicated by the kernel; the caller keeps its own. */
struct ipc_out {
	uint16_t type;
	uint64_t id;
	uint64_t deadline_us;
	const void *body;
	size_t body_size;
	const void *tail;
	size_t tail_size;
	const int *fds;
	unsigned n_fds;
};

/*
 * Sends one message without blocking. -EAGAIN: the peer does not read (its buffer is full); -EPIPE: it is gone;
 * -EMSGSIZE: larger than IPC_PAYLOAD_MAX or more than IPC_FDS_MAX descriptors.
 */
int ipc_send(int fd, const struct ipc_out *out, struct err *err);

/* The same, but waits up to TIMEOUT_MS for room. For start-up code and senders that must not drop a message. */
int ipc_send_wait(int fd, const struct ipc_out *out, int timeout_ms, struct err *err);

/*
 * Receives one message without blocking. 1: received; 0: the peer closed the channel; -EAGAIN: nothing there; -EPROTO:
 * malformed header, lengths that do not agree, or descriptors that did not fit. The message needs no initialisation.
 */
int ipc_receive(int fd, struct ipc_message *message, struct err *err);

/* Checks a received message against a table; -EPROTO names the type, the rule broken and the numbers. */
int ipc_accept(const struct ipc_message *message, const struct ipc_rule *rules, uint32_t state, struct err *err);

/* Takes descriptor INDEX out of the message (-1 when there is none at that place). */
int ipc_message_take_fd(struct ipc_message *message, unsigned index);

/* Closes the descriptors that were not taken. */
void ipc_message_done(struct ipc_message *message);

/* The tail of an accepted message: what follows a structure of SIZE bytes. It is followed by a zero byte. */
char *ipc_tail(struct ipc_message *message, size_t size, size_t *ret_length);

#endif
