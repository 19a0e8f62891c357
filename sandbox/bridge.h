/*
 * The network "bridge": one bridge of ferrite's own on the host, and for each instance a pair of virtual Ethernet
 * devices, one end a port of the bridge, the other "eth0" inside. An instance's number decides its address and its
 * hardware address; neighbours are fixed on both sides, so that nobody has to ask who is who. What may be reached is
 * the firewall's business. The bridge is made when the first instance wants it: who needs none has none.
 */
#ifndef FERRITE_SANDBOX_BRIDGE_H
#define FERRITE_SANDBOX_BRIDGE_H

#include "sandbox/config.h"
#include "sandbox/firewall.h"
#include "sandbox/route.h"

#define BRIDGE_PORTS_MAX 4093 /* addresses of the subnet without its ends and the bridge's own */

struct bridge {
	const struct sandbox_config *config;
	int state_fd; /* the state directory */
	bool open;
	bool router_ours; /* the machine forwards because of us */
	unsigned index;	  /* of the device */
	struct in_addr subnet, gateway;
	unsigned prefix;
	struct route route;
	struct firewall firewall;
	unsigned next_port; /* numbers go round: the devices of one that ended live a little longer */
	bool taken[BRIDGE_PORTS_MAX];
};

/* One instance's connection; plain values. */
struct bridge_port {
	bool connected;
	unsigned number;
	struct in_addr address;
	unsigned char mac[6];
	char name[IFNAMSIZ]; /* of the host's end */
	unsigned n_allow;
	struct sbx_allow allow[SBX_ALLOW_MAX];
};

/* Also takes away what a predecessor left. STATE_FD stays the caller's. */
int bridge_init(struct bridge *bridge, const struct sandbox_config *config, int state_fd, struct err *err);
/* Takes away what was made. */
void bridge_close(struct bridge *bridge);

/*
 * Connects the network namespace of the process PID, which sets up its end itself (net.h). Whatever comes of it,
 * bridge_disconnect() gives the port back.
 */
int bridge_connect(struct bridge *bridge, pid_t pid, struct bridge_port *ret_port, struct err *err);
/* Opens to a connected port what is closed to all. */
int bridge_allow(struct bridge *bridge, struct bridge_port *port, const struct sbx_allow *allow, unsigned n_allow,
		 struct err *err);
/* Forgets a connection; its devices go with the instance's network namespace. */
void bridge_disconnect(struct bridge *bridge, struct bridge_port *port);

#endif
