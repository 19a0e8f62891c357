/* Loads the system call policy of functions, compiled from sandbox/policy/function.policy when ferrite is built. */
#ifndef FERRITE_SANDBOX_SECCOMP_H
#define FERRITE_SANDBOX_SECCOMP_H

#include "supervisor/err.h"

/* For the calling process and all it starts; needs no_new_privs. */
int seccomp_load_function_policy(struct err *err);

#endif
