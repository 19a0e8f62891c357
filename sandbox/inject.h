/*
 * Places what a profile brings (a GPU driver's libraries, nodes, links and texts) into an instance's root. The records
 * were checked when the profile was stored; sources are mounts that the server made.
 */
#ifndef FERRITE_SANDBOX_INJECT_H
#define FERRITE_SANDBOX_INJECT_H

#include "supervisor/err.h"

#include <stddef.h>

/* MOUNT_FDS holds one detached mount per file and device record, in order. */
int inject_items(int root_fd, char *records, size_t length, const int *mount_fds, unsigned n_mounts, struct err *err);

#endif
