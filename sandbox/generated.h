/* Files that every instance gets from us, in place of what its image has under these names. */
#ifndef FERRITE_SANDBOX_GENERATED_H
#define FERRITE_SANDBOX_GENERATED_H

#include "supervisor/err.h"

#include <stdint.h>

/*
 * /etc/hosts, /etc/hostname, /etc/resolv.conf (empty where there is no network), and /tmp when the image has none.
 * ADDRESS is the instance's own on the bridge, 0 when it has none; addresses are in network order.
 */
int generated_put(int root_fd, const char *hostname, uint32_t address, const uint32_t *resolvers, unsigned n_resolvers,
		  struct err *err);

#endif
