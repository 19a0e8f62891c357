#include "sandbox/net.h"

#include "sandbox/route.h"
#include "supervisor/util.h"

#include <linux/rtnetlink.h>
#include <net/if.h>
#include <string.h>

#define LOOPBACK_INDEX 1 /* the first device of every network namespace */

int net_up_loopback(struct err *err)
{
	_cleanup_(route_close) struct route route = {0};
	int r = route_open(&route, err);

	return r == 0 ? route_bring_up(&route, LOOPBACK_INDEX, err) : r;
}

void net_mac_of(struct in_addr address, unsigned char ret_mac[6])
{
	ret_mac[0] = 0x02; /* locally administered */
	ret_mac[1] = 0xfe;
	memcpy(ret_mac + 2, &address, 4);
}

static int set_default_route(struct route *route, unsigned index, struct in_addr gateway, struct err *err)
{
	struct nlmsghdr *request = route_begin(route, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL);
	struct rtmsg *message = mnl_nlmsg_put_extra_header(request, sizeof(*message));

	*message = (struct rtmsg){.rtm_family = AF_INET,
				  .rtm_table = RT_TABLE_MAIN,
				  .rtm_protocol = RTPROT_STATIC,
				  .rtm_scope = RT_SCOPE_UNIVERSE,
				  .rtm_type = RTN_UNICAST,
				  .rtm_flags = RTNH_F_ONLINK};
	mnl_attr_put_u32(request, RTA_GATEWAY, gateway.s_addr);
	mnl_attr_put_u32(request, RTA_OIF, index);
	return route_do(route, request, err, "set the default route");
}

int net_up_bridge(struct in_addr address, struct in_addr gateway, struct err *err)
{
	_cleanup_(route_close) struct route route = {0};
	unsigned index = if_nametoindex(NET_BRIDGE_DEVICE);
	unsigned char mac[6];
	int r;

	if (index == 0)
		return err_sys(err, errno, "find " NET_BRIDGE_DEVICE);
	r = route_open(&route, err);
	if (r < 0)
		return r;
	r = route_set_no_ipv6(&route, index, err);
	if (r == 0)
		r = route_bring_up(&route, index, err);
	/* Alone in its subnet: everything, the other instances too, is behind the gateway. */
	if (r == 0)
		r = route_add_address(&route, index, address, 32, err);
	net_mac_of(gateway, mac);
	if (r == 0)
		r = route_change_neighbour(&route, RTM_NEWNEIGH, AF_INET, index, &gateway, mac, err);
	return r == 0 ? set_default_route(&route, index, gateway, err) : r;
}
