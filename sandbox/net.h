/* The devices of an instance's own network namespace, set up from inside, before privileges are dropped. */
#ifndef FERRITE_SANDBOX_NET_H
#define FERRITE_SANDBOX_NET_H

#include "supervisor/err.h"

#include <netinet/in.h>

#define NET_BRIDGE_DEVICE "eth0"

int net_up_loopback(struct err *err);

/* The end of the connection to the bridge: its address, and the way to everything else. */
int net_up_bridge(struct in_addr address, struct in_addr gateway, struct err *err);

/* The hardware address that belongs to an address on the bridge. */
void net_mac_of(struct in_addr address, unsigned char ret_mac[6]);

#endif
