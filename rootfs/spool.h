/*
 * Reads an image archive once, from a file or a pipe, into a folder: the work of a confined child (child.h).
 *
 * Whether the archive is an image (docker save, OCI layout) or a plain root file system shows in the first entry that
 * has a name. Of an image, every file goes to its own file "f0", "f1", …, hashed on the way, and is reported; of a root
 * file system the archive itself goes to the file "raw".
 */
#ifndef FERRITE_ROOTFS_SPOOL_H
#define FERRITE_ROOTFS_SPOOL_H

#include "supervisor/err.h"

#include <stdbool.h>
#include <stdint.h>

#define SPOOL_NAME_MAX	  255
#define SPOOL_ENTRIES_MAX 1024 /* files of one image archive */

enum spool_kind { SPOOL_FILE, SPOOL_LINK, SPOOL_RAW };

/* Reports of the child. */
enum {
	SPOOL_REPORT_PROGRESS = 1, /* a: bytes read */
	SPOOL_REPORT_ENTRY,	   /* a: enum spool_kind, b: bytes; digest; text: name, for links "name\ntarget" */
	SPOOL_REPORT_RAW,	   /* b: bytes; digest; text: compression */
};

struct spool_limits {
	uint64_t bytes; /* of all files together */
};

/* Reads ARCHIVE_FD to its end into FOLDER_FD, which is the child's root, and sends reports. */
int spool_archive(int archive_fd, int folder_fd, const struct spool_limits *limits, struct err *err);

/* True when an image archive may have a file of this name; decides for the first entry only. */
bool spool_is_image_name(const char *name);

#endif
