/* Compiling a `.cu` module to PTX with nvcc or clang. Inside of the bundler only. */
#ifndef FERRITE_ROOTFS_BUNDLE_COMPILE_H
#define FERRITE_ROOTFS_BUNDLE_COMPILE_H

#include "supervisor/err.h"

#include <stddef.h>

/*
 * Compiles the file PATH, relative to the folder DIR_FD, which becomes the compiler's working directory. The compiler
 * is nvcc or clang of the PATH, or nvcc below /usr/local/cuda; it is executed directly, not by a shell. Returns the
 * PTX text, which the caller frees; -ENOENT when there is no compiler; -EINVAL with the compiler's own message when it
 * refuses; -ETIMEDOUT after two minutes.
 */
int bundle_compile(int dir_fd, const char *path, char **ret_text, size_t *ret_length, struct err *err);

#endif
