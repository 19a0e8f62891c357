/* Writing the image archive of a bundle. Inside of the bundler only. */
#ifndef FERRITE_ROOTFS_BUNDLE_WRITE_H
#define FERRITE_ROOTFS_BUNDLE_WRITE_H

#include "rootfs/bundle.h"
#include "rootfs/bundle_files.h"

/* MANIFEST is the canonical section to store, NULL for other runtimes; NAME is whole. */
int bundle_write_archive(const struct function_file *file, const struct manifest *manifest, int dir_fd,
			 const struct bundle_files *files, const char *name, int out_fd, bundle_progress progress,
			 void *user, struct err *err);

#endif
