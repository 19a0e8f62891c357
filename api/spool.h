/*
 * Bytes that have come in and wait for their reader: in memory as long as they are few, else in a file without a name,
 * which is gone with its last descriptor, however the program ends. What all spools of the program hold together is
 * counted and bounded. A spool belongs to one thread.
 *
 * It is written first and read then: spool_write() goes on where it stopped, spool_rewind() begins again.
 */
#ifndef FERRITE_API_SPOOL_H
#define FERRITE_API_SPOOL_H

#include "supervisor/err.h"

#include <event2/buffer.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#define SPOOL_PARTS_MAX 8

/* What all spools hold together. Any thread. */
struct spool_totals {
	_Atomic uint64_t memory, files; /* bytes */
	_Atomic unsigned open;		/* files: each is a descriptor */
};

struct spool_limits {
	const char *folder;  /* for the files */
	uint64_t bytes;	     /* of one spool */
	uint64_t in_memory;  /* of one spool; 0: always a file */
	uint64_t all_memory; /* of all; beyond it: a file */
	uint64_t all_files;  /* of all */
	unsigned all_open;   /* files of all */
};

struct spool {
	struct evbuffer *memory; /* as long as there is no file; NULL: nothing yet */
	int fd;			 /* of the file, or -1 */
	uint64_t length;
	uint64_t at; /* of the reader */
	struct spool_totals *totals;
	uint64_t counted; /* in the totals */
};

void spool_open(struct spool *spool, struct spool_totals *totals);
/* Frees; for _cleanup_. */
void spool_done(struct spool *spool);

/*
 * Appends. -EFBIG: larger than LIMITS allow; -ENOBUFS: all spools together are; -ENOSPC: the device is full; -ENOMEM;
 * else the file cannot be made or written.
 */
int spool_add(struct spool *spool, const struct spool_limits *limits, const void *bytes, size_t length,
	      struct err *err);
/* Takes the content of BUFFER; stays in memory whatever its size, which its owner has bounded. */
int spool_take(struct spool *spool, struct evbuffer *buffer);

void spool_rewind(struct spool *spool);
/* Whether the rest can be read by spool_peek(): no file. */
static inline bool spool_in_memory(const struct spool *spool)
{
	return spool->fd < 0;
}
/* The rest in memory, or the beginning of it: the number of parts. */
unsigned spool_peek(const struct spool *spool, struct iovec parts[SPOOL_PARTS_MAX]);
/* The reader has used what it saw. */
void spool_skip(struct spool *spool, uint64_t length);
/* Moves on from the file what the pipe FD takes now. Returns the number of bytes; -EAGAIN: it takes none. */
ssize_t spool_splice(struct spool *spool, int fd);

#endif
