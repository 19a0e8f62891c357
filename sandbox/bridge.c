#include "sandbox/bridge.h"

#include "sandbox/net.h"

#include "supervisor/allow.h"
#include "supervisor/util.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/if_bridge.h>
#include <linux/if_link.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <string.h>

#define BOOT_ID		"/proc/sys/kernel/random/boot_id"
#define BOOT_ID_MAX	64
#define FORWARDING	"/proc/sys/net/ipv4/ip_forward"
#define FORWARDING_MARK "ip_forward" /* in the state directory: it was off before us */
#define SUBNET_PREFIX	20	     /* 4094 addresses: as many as there can be id ranges */
#define SUBNETS		16	     /* candidates, one after the other */
#define FIRST_SUBNET	0x0ae70000u  /* 10.231.0.0 */
#define FIRST_HOST	2	     /* 1 is the bridge */

static int delete_link(struct route *route, const char *name, struct err *err)
{
	struct nlmsghdr *request = route_begin(route, RTM_DELLINK, 0);
	int r;

	route_put_link(request, 0, false);
	mnl_attr_put_strz(request, IFLA_IFNAME, name);
	r = route_do(route, request, err, "delete the device %s", name);
	return r == -ENODEV ? 0 : r;
}

/* --- the bridge --------------------------------------------------------------------------------------------------- */

struct taken {
	uint32_t candidate, mask;
	bool found;
};

static int look_at_address(const struct nlmsghdr *message, void *context)
{
	const struct ifaddrmsg *address = mnl_nlmsg_get_payload(message);
	struct taken *taken = context;
	const struct nlattr *attribute;

	for (attribute = mnl_nlmsg_get_payload_offset(message, sizeof(*address));
	     mnl_attr_ok(attribute, (int)((char *)mnl_nlmsg_get_payload_tail(message) - (const char *)attribute));
	     attribute = mnl_attr_next(attribute)) {
		uint32_t mask = address->ifa_prefixlen ? ~0u << (32 - address->ifa_prefixlen) : 0;

		if (mnl_attr_get_type(attribute) != IFA_ADDRESS || address->ifa_family != AF_INET)
			continue;
		mask &= taken->mask;
		if ((ntohl(mnl_attr_get_u32(attribute)) & mask) == (taken->candidate & mask))
			taken->found = true;
	}
	return MNL_CB_OK;
}

/* Whether an interface of the machine has an address of the candidate subnet. */
static int subnet_is_taken(struct route *route, uint32_t candidate, bool *ret_taken, struct err *err)
{
	struct taken taken = {.candidate = candidate, .mask = ~0u << (32 - SUBNET_PREFIX)};
	struct nlmsghdr *request = route_begin(route, RTM_GETADDR, NLM_F_DUMP);
	struct rtgenmsg *message = mnl_nlmsg_put_extra_header(request, sizeof(*message));
	int r = MNL_CB_OK;
	char answer[8192];

	request->nlmsg_flags &= (uint16_t)~NLM_F_ACK;
	message->rtgen_family = AF_INET;
	if (mnl_socket_sendto(route->socket, request, request->nlmsg_len) < 0)
		return err_sys(err, errno, "list the machine's addresses");
	while (r == MNL_CB_OK) {
		ssize_t n = mnl_socket_recvfrom(route->socket, answer, sizeof(answer));

		if (n < 0)
			return err_sys(err, errno, "list the machine's addresses");
		r = mnl_cb_run(answer, (size_t)n, route->sequence, mnl_socket_get_portid(route->socket),
			       look_at_address, &taken);
	}
	*ret_taken = taken.found;
	return r < 0 ? err_sys(err, errno, "list the machine's addresses") : 0;
}

static int choose_subnet(struct bridge *bridge, struct err *err)
{
	for (unsigned i = 0; i < SUBNETS; i++) {
		uint32_t candidate = FIRST_SUBNET + (i << (32 - SUBNET_PREFIX));
		bool taken = true;
		int r = subnet_is_taken(&bridge->route, candidate, &taken, err);

		if (r < 0)
			return r;
		if (taken)
			continue;
		bridge->subnet.s_addr = htonl(candidate);
		bridge->gateway.s_addr = htonl(candidate + 1);
		bridge->prefix = SUBNET_PREFIX;
		return 0;
	}
	return err_set(err, EADDRINUSE,
		       "every subnet for the bridge, 10.231.0.0/16, is in use on this machine (network_default = none "
		       "does without)");
}

static int make_bridge(struct bridge *bridge, struct err *err)
{
	struct route *route = &bridge->route;
	const char *name = bridge->config->bridge;
	struct nlmsghdr *request;
	struct nlattr *info, *data;
	unsigned char mac[6];
	int r = delete_link(route, name, err);

	if (r < 0)
		return r;
	r = choose_subnet(bridge, err);
	if (r < 0)
		return r;
	net_mac_of(bridge->gateway, mac);
	request = route_begin(route, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL);
	route_put_link(request, 0, false);
	mnl_attr_put_strz(request, IFLA_IFNAME, name);
	mnl_attr_put(request, IFLA_ADDRESS, sizeof(mac), mac);
	info = mnl_attr_nest_start(request, IFLA_LINKINFO);
	mnl_attr_put_strz(request, IFLA_INFO_KIND, "bridge");
	data = mnl_attr_nest_start(request, IFLA_INFO_DATA);
	mnl_attr_put_u8(request, IFLA_BR_MCAST_SNOOPING, 0);
	mnl_attr_nest_end(request, data);
	mnl_attr_nest_end(request, info);
	r = route_do(route, request, err, "make the bridge %s", name);
	if (r < 0)
		return r;
	bridge->index = if_nametoindex(name);
	if (bridge->index == 0)
		return err_sys(err, errno, "find the bridge %s", name);
	r = route_set_no_ipv6(route, bridge->index, err);
	if (r == 0)
		r = route_add_address(route, bridge->index, bridge->gateway, bridge->prefix, err);
	return r == 0 ? route_bring_up(route, bridge->index, err) : r;
}

/* The mark counts for the boot that it was made in: afterwards the machine's setting is the operator's again. */
static bool is_marked(const struct bridge *bridge)
{
	_cleanup_free_ char *boot = NULL, *mark = NULL;

	return file_read(AT_FDCWD, BOOT_ID, BOOT_ID_MAX, &boot, NULL) > 0 &&
	       file_read(bridge->state_fd, FORWARDING_MARK, BOOT_ID_MAX, &mark, NULL) > 0 && strcmp(boot, mark) == 0;
}

/*
 * Packets of instances leave the machine only if it forwards packets. Where it does not, it is told to, while the rules
 * keep it from forwarding anything else; a mark remembers that over a crash, so that it is told otherwise in the end.
 */
static int plan_routing(struct bridge *bridge, struct err *err)
{
	_cleanup_free_ char *text = NULL, *boot = NULL;
	_cleanup_fd_ int mark_fd = -1;
	ssize_t n;

	if (file_read(AT_FDCWD, FORWARDING, 16, &text, err) < 0)
		return err->code;
	bridge->router_ours = text[0] != '1' || is_marked(bridge);
	if (text[0] == '1')
		return 0;
	n = file_read(AT_FDCWD, BOOT_ID, BOOT_ID_MAX, &boot, err);
	if (n < 0)
		return err->code;
	mark_fd =
		openat(bridge->state_fd, FORWARDING_MARK, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (mark_fd < 0 || write(mark_fd, boot, (size_t)n) != n)
		return err_sys(err, errno, "remember that the machine did not forward packets");
	return 0;
}

static int become_router(const struct bridge *bridge, struct err *err)
{
	return bridge->router_ours ? file_write(AT_FDCWD, FORWARDING, "1", err) : 0;
}

static void stop_being_router(struct bridge *bridge)
{
	if (!is_marked(bridge) || file_write(AT_FDCWD, FORWARDING, "0", NULL) == 0)
		(void)unlinkat(bridge->state_fd, FORWARDING_MARK, 0);
	bridge->router_ours = false;
}

static void take_away(struct bridge *bridge)
{
	if (bridge->route.socket)
		(void)delete_link(&bridge->route, bridge->config->bridge, NULL);
	/* Never a router without the rules. */
	stop_being_router(bridge);
	firewall_close(&bridge->firewall);
	route_close(&bridge->route);
	bridge->open = false;
}

static int open_firewall(struct bridge *bridge, struct err *err)
{
	const struct firewall_rules rules = {
		.name = bridge->config->bridge,
		.subnet = bridge->subnet,
		.prefix = bridge->prefix,
		.resolvers = bridge->config->resolvers,
		.only_ours = bridge->router_ours,
		.connections_max = bridge->config->connections_max,
	};

	return firewall_open(&bridge->firewall, &rules, err);
}

int bridge_init(struct bridge *bridge, const struct sandbox_config *config, int state_fd, struct err *err)
{
	int r = 0;

	*bridge = (struct bridge){.config = config};
	bridge->state_fd = fcntl(state_fd, F_DUPFD_CLOEXEC, 3);
	if (bridge->state_fd < 0)
		return err_sys(err, errno, "keep the state directory");
	if (if_nametoindex(config->bridge) == 0 && !is_marked(bridge))
		return 0;
	r = route_open(&bridge->route, err);
	(void)snprintf(bridge->firewall.name, sizeof(bridge->firewall.name), "%s", config->bridge);
	take_away(bridge);
	return r;
}

static int open_bridge(struct bridge *bridge, struct err *err)
{
	int r;

	r = route_open(&bridge->route, err);
	if (r == 0)
		r = make_bridge(bridge, err);
	if (r == 0)
		r = plan_routing(bridge, err);
	/* The rules stand before the first port is there, and before anything is forwarded. */
	if (r == 0)
		r = open_firewall(bridge, err);
	if (r == 0)
		r = become_router(bridge, err);
	if (r < 0)
		take_away(bridge);
	bridge->open = r == 0;
	return r;
}

void bridge_close(struct bridge *bridge)
{
	take_away(bridge);
	fd_close(&bridge->state_fd);
}

/* --- one instance ------------------------------------------------------------------------------------------------- */

static int make_pair(struct bridge *bridge, const struct bridge_port *port, pid_t pid, struct err *err)
{
	struct nlmsghdr *request = route_begin(&bridge->route, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL);
	struct nlattr *info, *data, *peer;

	route_put_link(request, 0, false);
	mnl_attr_put_strz(request, IFLA_IFNAME, port->name);
	mnl_attr_put_u32(request, IFLA_MASTER, bridge->index);
	info = mnl_attr_nest_start(request, IFLA_LINKINFO);
	mnl_attr_put_strz(request, IFLA_INFO_KIND, "veth");
	data = mnl_attr_nest_start(request, IFLA_INFO_DATA);
	peer = mnl_attr_nest_start(request, VETH_INFO_PEER);
	route_put_link(request, 0, false);
	mnl_attr_put_strz(request, IFLA_IFNAME, NET_BRIDGE_DEVICE);
	mnl_attr_put(request, IFLA_ADDRESS, sizeof(port->mac), port->mac);
	mnl_attr_put_u32(request, IFLA_NET_NS_PID, (uint32_t)pid);
	mnl_attr_nest_end(request, peer);
	mnl_attr_nest_end(request, data);
	mnl_attr_nest_end(request, info);
	return route_do(&bridge->route, request, err, "make the devices of %s", port->name);
}

/* The host's end: isolated from the other ports, with a neighbour that is known and need not be learned. */
static int set_up_port(struct bridge *bridge, const struct bridge_port *port, struct err *err)
{
	struct route *route = &bridge->route;
	unsigned index = if_nametoindex(port->name);
	struct nlmsghdr *request;
	struct nlattr *info, *data;
	int r;

	if (index == 0)
		return err_sys(err, errno, "find the device %s", port->name);
	r = route_set_no_ipv6(route, index, err);
	if (r < 0)
		return r;
	request = route_begin(route, RTM_NEWLINK, 0);
	route_put_link(request, index, true);
	info = mnl_attr_nest_start(request, IFLA_LINKINFO);
	mnl_attr_put_strz(request, IFLA_INFO_SLAVE_KIND, "bridge");
	data = mnl_attr_nest_start(request, IFLA_INFO_SLAVE_DATA);
	mnl_attr_put_u8(request, IFLA_BRPORT_ISOLATED, 1);
	mnl_attr_put_u8(request, IFLA_BRPORT_LEARNING, 0);
	mnl_attr_put_u8(request, IFLA_BRPORT_UNICAST_FLOOD, 0);
	mnl_attr_put_u8(request, IFLA_BRPORT_MCAST_FLOOD, 0);
	mnl_attr_put_u8(request, IFLA_BRPORT_BCAST_FLOOD, 0);
	mnl_attr_nest_end(request, data);
	mnl_attr_nest_end(request, info);
	r = route_do(route, request, err, "set up the port %s", port->name);
	if (r == 0)
		r = route_change_neighbour(route, RTM_NEWNEIGH, AF_BRIDGE, index, NULL, port->mac, err);
	if (r == 0)
		r = route_change_neighbour(route, RTM_NEWNEIGH, AF_INET, bridge->index, &port->address, port->mac, err);
	return r;
}

/* Numbers go round, and over those whose devices the kernel has not deleted yet. */
static int take_number(struct bridge *bridge, struct bridge_port *port, struct err *err)
{
	for (unsigned i = 0; i < BRIDGE_PORTS_MAX; i++) {
		unsigned number = (bridge->next_port + i) % BRIDGE_PORTS_MAX;

		(void)snprintf(port->name, sizeof(port->name), "%.8s.%x", bridge->config->bridge, number & 0xfff);
		if (bridge->taken[number] || if_nametoindex(port->name) != 0)
			continue;
		bridge->taken[number] = true;
		bridge->next_port = number + 1;
		port->number = number;
		port->address.s_addr = htonl(ntohl(bridge->subnet.s_addr) + FIRST_HOST + number);
		net_mac_of(port->address, port->mac);
		port->connected = true;
		return 0;
	}
	return err_set(err, EADDRINUSE, "every address of the bridge %s is in use", bridge->config->bridge);
}

int bridge_connect(struct bridge *bridge, pid_t pid, struct bridge_port *ret_port, struct err *err)
{
	struct bridge_port *port = ret_port;
	int r = bridge->open ? 0 : open_bridge(bridge, err);

	*port = (struct bridge_port){.connected = false};
	if (r == 0)
		r = take_number(bridge, port, err);
	if (r == 0)
		r = make_pair(bridge, port, pid, err);
	if (r == 0)
		r = firewall_pin(&bridge->firewall, port->name, port->mac, port->address, err);
	if (r == 0)
		r = set_up_port(bridge, port, err);
	return r;
}

/* Whether another range has all that is in range I: the kernel's set takes no interval inside another. */
static bool is_covered(const struct sbx_allow *allow, unsigned n, unsigned i)
{
	for (unsigned j = 0; j < n; j++)
		if (j != i && allow_within(&allow[i], &allow[j]) && (j < i || !allow_within(&allow[j], &allow[i])))
			return true;
	return false;
}

int bridge_allow(struct bridge *bridge, struct bridge_port *port, const struct sbx_allow *allow, unsigned n_allow,
		 struct err *err)
{
	for (unsigned i = 0; i < MIN(n_allow, (unsigned)SBX_ALLOW_MAX); i++) {
		int r;

		if (is_covered(allow, MIN(n_allow, (unsigned)SBX_ALLOW_MAX), i))
			continue;
		r = firewall_allow(&bridge->firewall, port->address, &allow[i], true, err);

		if (r < 0)
			return r;
		port->allow[port->n_allow++] = allow[i];
	}
	return 0;
}

void bridge_disconnect(struct bridge *bridge, struct bridge_port *port)
{
	if (!port->connected)
		return;
	port->connected = false;
	bridge->taken[port->number] = false;
	if (!bridge->open)
		return;
	for (unsigned i = 0; i < port->n_allow; i++)
		(void)firewall_allow(&bridge->firewall, port->address, &port->allow[i], false, NULL);
	(void)firewall_unpin(&bridge->firewall, port->name, port->mac, port->address, NULL);
	(void)route_change_neighbour(&bridge->route, RTM_DELNEIGH, AF_INET, bridge->index, &port->address, port->mac,
				     NULL);
}
