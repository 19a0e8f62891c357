/* Files that every instance gets from us, in place of what its image has under these names. */
#ifndef FERRITE_SANDBOX_GENERATED_H
#define FERRITE_SANDBOX_GENERATED_H

#include "supervisor/err.h"

/* /etc/hosts, /etc/hostname, an empty /etc/resolv.conf (there is no network), and /tmp when the image has none. */
int generated_put(int root_fd, const char *hostname, struct err *err);

#endif
