/*
 * Paths inside an instance's root, whose content is hostile. Everything is resolved by the kernel as if the root
 * were "/" (openat2 RESOLVE_IN_ROOT, no magic links); what is created lands in the instance's own upper layer.
 * Nobody else can change the tree while these functions run: the mount namespace has one process.
 */
#ifndef FERRITE_SANDBOX_ROOT_H
#define FERRITE_SANDBOX_ROOT_H

#include "supervisor/err.h"

#include <stdbool.h>
#include <sys/types.h>

#define ROOT_PATH_MAX 1024

/*
 * An absolute path without empty, "." or ".." parts, control bytes, and shorter than ROOT_PATH_MAX: what may be named
 * as a place in a root.
 */
bool root_path_valid(const char *path);

/* Opens (O_PATH) the directory NAME directly below the root, making it when it is missing; a link is refused. */
int root_open_mount_point(int root_fd, const char *name, struct err *err);

/* Opens (O_PATH) a directory by absolute path, making what is missing with mode 0755. */
int root_open_directory(int root_fd, const char *path, struct err *err);

/* Makes a regular file NAME in DIRECTORY_FD, in place of anything but a directory that is there. */
int root_put_file(int directory_fd, const char *name, const void *content, size_t length, mode_t mode, struct err *err);

/* The same for a symbolic link. */
int root_put_link(int directory_fd, const char *name, const char *target, struct err *err);

#endif
