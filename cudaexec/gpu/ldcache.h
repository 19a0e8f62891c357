/*
 * Reads /etc/ld.so.cache without running ldconfig. The bytes are treated as hostile: every offset is checked, nothing
 * is allocated, the texts that are handed out point into the bytes.
 */
#ifndef FERRITE_CUDAEXEC_GPU_LDCACHE_H
#define FERRITE_CUDAEXEC_GPU_LDCACHE_H

#include "supervisor/err.h"

#include <stdbool.h>
#include <stddef.h>

#define LDCACHE_BYTES_MAX   (16u << 20)
#define LDCACHE_ENTRIES_MAX 1000000u

/* Called for each library of this machine's architecture: its soname and its path. Return false to stop. */
typedef bool ldcache_visit(void *context, const char *soname, const char *path);

/*
 * Visits the entries in their order. Accepts the new format, also behind the old one. Returns the number of entries
 * visited, or -EBADMSG (damaged: the text says where) or -EFBIG.
 */
int ldcache_each(const void *bytes, size_t size, ldcache_visit *visit, void *context, struct err *err);

#endif
