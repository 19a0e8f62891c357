/*
 * Names inside layer archives: what is a legal path, and what a whiteout means. Pure functions on hostile text.
 */
#ifndef FERRITE_ROOTFS_ENTRY_H
#define FERRITE_ROOTFS_ENTRY_H

#include "supervisor/err.h"

#include <stdbool.h>
#include <stddef.h>

enum {
	ENTRY_PATH_MAX = 4095,
	ENTRY_NAME_MAX = 255,  /* bytes of one component */
	ENTRY_DEPTH_MAX = 128, /* components */
};

/*
 * Brings the path of an entry into its normal form: no leading "./" or "/./", no doubled or trailing slashes; "" is the
 * root of the layer. Refuses, naming the trick: absolute paths, "..", control bytes, backslashes (except the \xNN that
 * systemd uses in unit names), components and paths that are too long or too deep. WHAT is "entry", "hard link", …
 */
int entry_path_normalise(const char *what, const char *path, char ret_path[ENTRY_PATH_MAX + 1], struct err *err);

enum entry_whiteout {
	WHITEOUT_NONE,	 /* an ordinary name */
	WHITEOUT_ENTRY,	 /* hides one name of the layers below */
	WHITEOUT_OPAQUE, /* hides everything of its directory in the layers below */
	WHITEOUT_META,	 /* housekeeping of AUFS: to be skipped */
};

/*
 * Tells what the last component NAME of a path is. For WHITEOUT_ENTRY *ret_hidden points to the hidden name inside
 * NAME. -EINVAL: a whiteout of nothing, of "." or "..".
 */
int entry_whiteout(const char *name, enum entry_whiteout *ret_kind, const char **ret_hidden, struct err *err);

/* True for an extended attribute that an image may carry. */
bool entry_xattr_allowed(const char *name);

#endif
