/*
 * Import of image archives into a store: `docker save` (both layouts), OCI image archives, and plain root file system
 * archives, each plain, gzip or zstd, from a file or a pipe that is read once.
 *
 * Runs in a worker that may wait; hostile bytes are handled by its confined children, JSON by the worker itself.
 * Digests and sizes are checked over the bytes that were read before anything uses them. Everything is made in one
 * working directory below the store's tmp/ and moved into place at the very end, after a sync; the caller then sets the
 * names. When anything fails, nothing of the store has changed.
 */
#ifndef FERRITE_ROOTFS_IMPORT_H
#define FERRITE_ROOTFS_IMPORT_H

#include "rootfs/layers.h"
#include "rootfs/store.h"
#include "supervisor/err.h"

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#define IMPORT_NAMES_MAX 64

struct import_request {
	const struct store *store;
	const char *work;   /* working directory in tmp/, made and deleted by the caller */
	const char *runner; /* program that the host base serves besides (hostbase.h); may be NULL */
	int archive_fd;
	const char *name;      /* "" or NULL: the archive's own names */
	uint64_t archive_size; /* for progress, 0: unknown */
	struct spool_limits spool_limits;
	struct unpack_limits unpack_limits;
	/* PHASE is "read" or "unpack"; may be NULL. */
	void (*progress)(void *context, const char *phase, uint64_t done, uint64_t total);
	void *context;
};

#define IMPORT_BYTES_MAX (64ull << 30)

struct import_result {
	struct store_name image; /* name NULL */
	char *names[IMPORT_NAMES_MAX];
	size_t n_names;
	json_t *verified; /* list of layer ids whose contents are known to be right */
};

/* The caller clears the result. PHASE (REPORT_PHASE_MAX bytes) names the step that failed. */
int import_run(const struct import_request *request, struct import_result *ret_result, char *phase, struct err *err);
void import_result_clear(struct import_result *result);

/* File in the working directory that lists what the import relies on, for the sweep: a JSON list of digests. */
#define IMPORT_PINS_FILE "pins"

#endif
