/*
 * /proc and /sys of an instance. Normally only the instance's own processes exist in /proc and there is no /sys.
 * A GPU driver library reads more: then both are complete, with what leaks or steers the host masked or read-only,
 * every mask placed on a descriptor and its source made by us.
 */
#ifndef FERRITE_SANDBOX_PROC_H
#define FERRITE_SANDBOX_PROC_H

#include "supervisor/err.h"

#include <stdbool.h>

/* Mounts /proc (and with FULL also /sys); must run before the host's /proc is detached. */
int proc_mount(int root_fd, bool full, struct err *err);

#endif
