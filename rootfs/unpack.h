/*
 * Unpacks one layer into a directory: an archive in Docker's layer form becomes a directory in overlayfs form. The work
 * of a confined child (child.h).
 *
 * Parents are opened beneath the directory without following any symbolic link; files are made exclusively; a hard link
 * goes only to what this layer brought itself. Whiteouts become character devices 0:0 and the attribute
 * user.overlay.opaque, which an overlay in a user namespace (userxattr) obeys. Devices and FIFOs are left out, extended
 * attributes beside user.* too. Owners from 0 to 65534, modes with setuid bits, and times are kept.
 */
#ifndef FERRITE_ROOTFS_UNPACK_H
#define FERRITE_ROOTFS_UNPACK_H

#include "supervisor/err.h"

#include <stdbool.h>
#include <stdint.h>

#define UNPACK_OPAQUE_XATTR "user.overlay.opaque"
#define UNPACK_ID_MAX	    65534

struct unpack_limits {
	uint64_t bytes;	  /* of all files together, holes included, and of the archive itself when decompressed */
	uint64_t entries; /* archive entries */
};

#define UNPACK_LIMITS_DEFAULT ((struct unpack_limits){.bytes = 64ull << 30, .entries = 1000000})

struct unpack_result {
	char diff_id[72];    /* "sha256:…" of the decompressed archive */
	char compression[8]; /* of the archive: "", "gzip", "zstd" */
	uint64_t bytes, entries;
	bool opaque_root; /* the layer hides all layers below it */
};

/*
 * Unpacks the archive ARCHIVE_FD (plain, gzip or zstd) into the empty directory ROOT_FD. PROGRESS (may be NULL) gets
 * the number of archive bytes read. Returns 0 or a negative errno; the text names the entry and what is wrong with it.
 * What was unpacked so far stays in the directory.
 */
int unpack_layer(int archive_fd, int root_fd, const struct unpack_limits *limits,
		 void (*progress)(void *context, uint64_t bytes_in), void *context, struct unpack_result *ret_result,
		 struct err *err);

#endif
