/*
 * Leases of id ranges: every instance has 65536 host uids and gids of its own. The table is a mapped file, so that a
 * lease outlives a killed server at no cost per lease; the file is locked while a server uses it. It holds one byte per
 * block. Leases of an earlier boot or of another layout are void.
 */
#ifndef FERRITE_SANDBOX_IDS_H
#define FERRITE_SANDBOX_IDS_H

#include "supervisor/err.h"

#include <stdint.h>

#define IDS_PER_BLOCK 65536u

struct ids_file;

struct ids {
	int fd;
	struct ids_file *file; /* mapped */
	uint32_t first, count, uid_base;
};

/* Opens the table in DIRECTORY_FD; -EBUSY when another server uses it (waited for up to WAIT_US). */
int ids_open(struct ids *ids, int directory_fd, uint32_t uid_base, uint32_t first, uint32_t count, uint64_t wait_us,
	     struct err *err);

/* Frees all leases that a predecessor left; returns how many. Only after its processes and groups are gone. */
unsigned ids_sweep(struct ids *ids);

/* Leases a block; -EUSERS when all are taken. */
int ids_lease(struct ids *ids, uint32_t *ret_block, struct err *err);
void ids_release(struct ids *ids, uint32_t block);

unsigned ids_leased(const struct ids *ids);

/* Host id of id 0 of a leased block. */
uint32_t ids_base(const struct ids *ids, uint32_t block);

void ids_close(struct ids *ids);

#endif
