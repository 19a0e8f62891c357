/*
 * Opening names beneath a directory without following any symbolic link (openat2).
 */
#ifndef FERRITE_ROOTFS_BENEATH_H
#define FERRITE_ROOTFS_BENEATH_H

#include <sys/types.h>

/*
 * Opens PATH ("" or "." is DIRFD itself) with FLAGS (O_CLOEXEC and O_NOFOLLOW are added) and, for O_CREAT, MODE. No
 * component may be a symbolic link or leave DIRFD. Returns a descriptor or a negative errno (-ELOOP: a link, -EXDEV: it
 * leads out).
 */
int beneath_open(int dirfd, const char *path, int flags, mode_t mode);

#endif
