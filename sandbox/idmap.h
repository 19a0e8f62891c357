/*
 * User namespaces that serve as id maps. One maps the ids that layers have on disk (store_base ...) to those of an
 * instance's range; it is made once per range and kept.
 */
#ifndef FERRITE_SANDBOX_IDMAP_H
#define FERRITE_SANDBOX_IDMAP_H

#include "supervisor/err.h"

#include <stdint.h>
#include <sys/types.h>

/* Writes "INSIDE OUTSIDE 65536" as uid and gid map of process PID; PROC_FD is /proc. */
int idmap_write(int proc_fd, pid_t pid, uint32_t inside, uint32_t outside, struct err *err);

/* A user namespace with that map; nobody is in it. */
int idmap_new(int proc_fd, uint32_t inside, uint32_t outside, struct err *err);

#endif
