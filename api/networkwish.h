/* What a route asks of the network: its `network` key, a name or {"mode": NAME, "allow": [RANGE, …]}. Plain values. */
#ifndef FERRITE_API_NETWORKWISH_H
#define FERRITE_API_NETWORKWISH_H

#include "supervisor/messages.h"

#include <jansson.h>

struct network_wish {
	enum sbx_network mode;
	unsigned n_allow;
	struct sbx_allow allow[SBX_ALLOW_MAX]; /* what it wants to reach of what is closed to all */
};

/* -EINVAL names what is wrong. Whether the operator lets a route have it is decided when an instance is made. */
int network_wish_read(const json_t *value, struct network_wish *ret_wish, struct err *err);

#endif
