/* What the kernel has to offer. Nothing is done another way where it is missing: there is no second, weaker path. */
#ifndef FERRITE_SANDBOX_KERNEL_H
#define FERRITE_SANDBOX_KERNEL_H

#include "supervisor/err.h"

/* Fails with the name of the first system call that is missing (ENOSYS). */
int kernel_check(struct err *err);

#endif
