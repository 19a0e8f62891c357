/*
 * The new mount API, by descriptor: mounts are made or cloned detached and then placed on a descriptor, so that no
 * path an image controls is ever a mount source or is looked up twice. All functions return a descriptor or 0, or a
 * negative errno with err set.
 */
#ifndef FERRITE_SANDBOX_MOUNTS_H
#define FERRITE_SANDBOX_MOUNTS_H

#include "supervisor/err.h"

#include <stdint.h>
#include <sys/mount.h>

/* One option of a file system; value NULL: a flag. A list ends with key NULL. */
struct mount_option {
	const char *key, *value;
};

/* A fresh detached file system; ATTRIBUTES are MOUNT_ATTR_… bits. */
int mount_new(const char *type, const struct mount_option *options, uint64_t attributes, struct err *err);

/* A detached tmpfs of at most SIZE bytes and INODES inodes, its root with MODE. */
int mount_new_tmpfs(uint64_t size, uint64_t inodes, const char *mode, uint64_t attributes, struct err *err);

/* Gives the tmpfs that MOUNT_FD is the root of another size. */
int mount_resize_tmpfs(int mount_fd, uint64_t size, uint64_t inodes, struct err *err);

/* A detached copy of the mount at PATH below DIRFD (PATH "": of what DIRFD itself refers to). Never follows a link at
 * the end. */
int mount_clone(int dirfd, const char *path, struct err *err);

/* Sets attributes on the mount that MOUNT_FD is the root of. */
int mount_set_attributes(int mount_fd, uint64_t attributes, struct err *err);

/* Makes a detached mount show ids as USERNS_FD maps them, with further attributes. */
int mount_set_idmap(int mount_fd, int userns_fd, uint64_t attributes, struct err *err);

/* Places a detached mount on what TARGET_FD refers to. */
int mount_place(int mount_fd, int target_fd, struct err *err);

#endif
