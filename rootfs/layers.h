/*
 * Runs the confined children for layers and collects what they report. For processes that may wait: the workers of the
 * server, and tests.
 */
#ifndef FERRITE_ROOTFS_LAYERS_H
#define FERRITE_ROOTFS_LAYERS_H

#include "rootfs/spool.h"
#include "rootfs/store.h"
#include "rootfs/unpack.h"
#include "supervisor/err.h"

#include <stddef.h>
#include <stdint.h>

#define LAYERS_TIME_MAX_US   (3600ull * 1000000) /* one layer, one archive */
#define LAYERS_LIBRARIES_MAX 8192		 /* names kept of what a layer needs and provides */

typedef void (*layers_progress)(void *context, uint64_t bytes);

struct layers_unpacked {
	char diff_id[DIGEST_TEXT_LENGTH + 1];
	char compression[8]; /* "", "gzip", "zstd" */
	struct store_layer record;
};

/*
 * Unpacks ARCHIVE_FD into the empty directory ROOT_FD and reads what came out. The caller clears ret->record. On
 * failure what was unpacked stays, and PHASE (REPORT_PHASE_MAX bytes) names the step.
 */
int layers_unpack(int archive_fd, int root_fd, const struct unpack_limits *limits, layers_progress progress,
		  void *context, struct layers_unpacked *ret, char *phase, struct err *err);

/* Reads an unpacked layer again and compares it with its record: 0, -EUCLEAN when something has changed. */
int layers_verify(const struct store *store, const char *id, struct err *err);

/* Reads an unpacked directory into a fresh record, without checking anything against. The caller clears it. */
int layers_record(int root_fd, struct store_layer *ret, struct err *err);

struct layers_file {
	enum spool_kind kind;
	char *name;   /* in the archive; "" for the archive itself */
	char *target; /* of links */
	char *file;   /* in the folder; NULL for links */
	char digest[DIGEST_TEXT_LENGTH + 1];
	char compression[8]; /* of the archive itself */
	uint64_t bytes;
};

struct layers_files {
	struct layers_file *items;
	size_t count;
};

/* Reads an image archive into the empty directory FOLDER_FD (spool.h). The caller clears the list. */
int layers_spool(int archive_fd, int folder_fd, const struct spool_limits *limits, layers_progress progress,
		 void *context, struct layers_files *ret_files, char *phase, struct err *err);
void layers_files_clear(struct layers_files *files);

#endif
