/*
 * Takes from the calling process everything that work on an archive does not need. Irrevocable; for a freshly forked,
 * single-threaded child only.
 */
#ifndef FERRITE_ROOTFS_CONFINE_H
#define FERRITE_ROOTFS_CONFINE_H

#include "supervisor/err.h"

#include <stdint.h>

/*
 * Makes the directory ROOT_FD the root and working directory, keeps the capabilities for owners, modes and whiteout
 * nodes, limits memory, descriptors and the size of written files (FILE_BYTES_MAX, 0: no limit), forbids new privileges
 * and every system call that is not on its list: a call outside of it kills the process.
 */
int confine(int root_fd, uint64_t file_bytes_max, struct err *err);

#endif
