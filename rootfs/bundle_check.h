/* What can be seen of a bundle before it is built. Inside of the bundler only. */
#ifndef FERRITE_ROOTFS_BUNDLE_CHECK_H
#define FERRITE_ROOTFS_BUNDLE_CHECK_H

#include "rootfs/bundle_files.h"
#include "rootfs/funcfile.h"
#include "supervisor/err.h"

#include <stddef.h>

#define BUNDLE_MODULE_MAX (64 * 1024 * 1024) /* bytes of a kernel module */

/* Fills base, workdir and entrypoint with their defaults and checks the program or the module or handler. */
int bundle_check(struct function_file *file, int dir_fd, const struct bundle_files *files, struct err *err);

/* Compares the launches of the section with the kernels of a module image. */
int bundle_check_kernels(const struct function_file *file, const struct manifest *manifest, const void *image,
			 size_t length, struct err *err);

/* The absolute path of the module or handler in the image. False when it is no path. */
bool bundle_module_path(const struct function_file *file, const char *module, char *buffer, size_t size);

/* Reads a file of the bundle whole; the caller frees *ret. Returns its length. */
ssize_t bundle_read(int dir_fd, const struct bundle_file *file, size_t max, char **ret, struct err *err);

#endif
