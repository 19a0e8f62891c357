/*
 * The last steps before a function: resource limits and the end of privilege. After privileges_drop() the process
 * may only change its ids and signal its children, and that only until the function's own exec.
 */
#ifndef FERRITE_SANDBOX_PRIVILEGES_H
#define FERRITE_SANDBOX_PRIVILEGES_H

#include "supervisor/err.h"

#include <stdint.h>

/* Resource limits that are the same for all; the init sets the others. A limit that is lower already stays. */
int limits_set(struct err *err);

/* no_new_privs, securebits locked, bounding set empty; keeps what the init needs as ambient capabilities. */
int privileges_drop(uint32_t id, struct err *err);

#endif
