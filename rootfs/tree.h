/*
 * Walks an unpacked layer: a digest over everything it holds, and the libraries its programs ask for. The work of a
 * confined child (child.h).
 *
 * The digest covers names, types, modes, owners, sizes, times, link targets, user.* attributes and contents, in sorted
 * order, so that any change on disk shows.
 */
#ifndef FERRITE_ROOTFS_TREE_H
#define FERRITE_ROOTFS_TREE_H

#include "supervisor/err.h"

#include <stdint.h>

struct tree_visitor {
	/* Each library that an ELF file of this machine needs, and the name of every ELF library and its soname. May be
	 * NULL. */
	void (*needed)(void *context, const char *name);
	void (*provided)(void *context, const char *name);
	void *context;
};

struct tree_result {
	char digest[72];
	uint64_t entries;
	uint64_t bytes; /* of file contents */
};

int tree_walk(int root_fd, const struct tree_visitor *visitor, struct tree_result *ret_result, struct err *err);

#endif
