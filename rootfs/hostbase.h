/*
 * The base layer `host`: the C library of this machine and what a bundle needs beside it, found as the loader would
 * find it (NEEDED entries, the loader's default directories), copied into layers of the store.
 *
 * There are up to two layers: the base, equal for all bundles, and one with the further libraries of a bundle. A
 * layer's id is a digest over its files, so it changes when the host's libraries do, and only then.
 */
#ifndef FERRITE_ROOTFS_HOSTBASE_H
#define FERRITE_ROOTFS_HOSTBASE_H

#include "rootfs/store.h"
#include "supervisor/err.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	HOSTBASE_LAYERS_MAX = 2,
	HOSTBASE_FILES_MAX = 512, /* libraries in both layers */
};

/* A file of the host as it was when it was copied. */
struct hostbase_source {
	char path[256];
	uint64_t device, inode, bytes, changed_ns;
};

struct hostbase {
	char ids[HOSTBASE_LAYERS_MAX][STORE_LAYER_ID_MAX];
	size_t n_ids;
	struct hostbase_source *sources;
	size_t n_sources;
};

/*
 * Checks that the host has all libraries that the names in NEEDED (a list of strings, may be NULL) lead to. RUNNER is a
 * program that the base serves too (cudaexec), NULL for none. -ENOENT names the library and who asks for it.
 */
int hostbase_check(const json_t *needed, const char *runner, struct err *err);

/* The same, and makes the layers where the store does not have them. The caller clears the result. */
int hostbase_build(const struct store *store, const json_t *needed, const char *runner, struct hostbase *ret,
		   struct err *err);

/* True when every file is still what it was. */
bool hostbase_is_current(const struct hostbase *base);

void hostbase_clear(struct hostbase *base);

/* True for libraries that the GPU profile brings (libcuda.so.1, libnvidia-…): no image and no host layer has them. */
bool hostbase_is_driver_library(const char *name);

#endif
