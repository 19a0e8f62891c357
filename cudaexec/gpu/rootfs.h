/*
 * Files below a root folder that is not ours: symbolic links are followed as a process with that root would, nothing
 * above it is reached. The driver may live in "/", in a container's root such as /run/nvidia/driver, or in a test's
 * folder; everything that looks for it goes through these.
 */
#ifndef FERRITE_CUDAEXEC_GPU_ROOTFS_H
#define FERRITE_CUDAEXEC_GPU_ROOTFS_H

#include "supervisor/err.h"

#include <stddef.h>
#include <sys/types.h>

/* Opens a root folder; the caller closes it. */
int rootfs_open(const char *path, struct err *err);

/* Opens PATH below ROOT_FD with FLAGS (O_CLOEXEC is added). Returns a descriptor or a negative errno; sets no text. */
int rootfs_open_at(int root_fd, const char *path, int flags);

/* Reads a whole text file below ROOT_FD; as file_read(). */
ssize_t rootfs_read(int root_fd, const char *path, size_t max, char **ret_text, struct err *err);

#endif
