/*
 * /proc and /sys of an instance. Normally only the instance's own processes exist in /proc and there is no /sys.
 * A GPU driver library reads more: then both are complete, with what leaks or steers the host masked or read-only,
 * every mask placed on a descriptor and its source made by us.
 */
#ifndef FERRITE_SANDBOX_PROC_H
#define FERRITE_SANDBOX_PROC_H

#include "supervisor/err.h"

#include <stdbool.h>

/* A detached /proc; must be made before the host's /proc is detached. */
int proc_new(bool full, struct err *err);

/* Places it in a root; with FULL also masks it, and mounts /sys. */
int proc_place(int root_fd, int proc_fd, bool full, struct err *err);

#endif
