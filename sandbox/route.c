#include "sandbox/route.h"

#include "supervisor/util.h"

#include <linux/if_link.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <stdarg.h>

int route_open(struct route *route, struct err *err)
{
	route->sequence = 0;
	route->socket = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC);
	if (!route->socket)
		return err_sys(err, errno, "open a route socket");
	if (mnl_socket_bind(route->socket, 0, MNL_SOCKET_AUTOPID) < 0) {
		int r = err_sys(err, errno, "bind a route socket");

		route_close(route);
		return r;
	}
	return 0;
}

void route_close(struct route *route)
{
	if (route->socket)
		(void)mnl_socket_close(route->socket);
	route->socket = NULL;
}

struct nlmsghdr *route_begin(struct route *route, uint16_t type, uint16_t flags)
{
	struct nlmsghdr *request = mnl_nlmsg_put_header(route->buffer);

	request->nlmsg_type = type;
	request->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK | flags;
	request->nlmsg_seq = ++route->sequence;
	return request;
}

int route_do(struct route *route, struct nlmsghdr *request, struct err *err, const char *what, ...)
{
	char text[128];
	va_list args;
	ssize_t n = mnl_socket_sendto(route->socket, request, request->nlmsg_len);

	if (n >= 0)
		n = mnl_socket_recvfrom(route->socket, route->buffer, sizeof(route->buffer));
	if (n >= 0 && mnl_cb_run(route->buffer, (size_t)n, route->sequence, mnl_socket_get_portid(route->socket), NULL,
				 NULL) >= 0)
		return 0;
	n = errno;
	va_start(args, what);
	(void)vsnprintf(text, sizeof(text), what, args);
	va_end(args);
	return err_sys(err, (int)n, "%s", text);
}

void route_put_link(struct nlmsghdr *request, unsigned index, bool up)
{
	struct ifinfomsg *link = mnl_nlmsg_put_extra_header(request, sizeof(*link));

	link->ifi_family = AF_UNSPEC;
	link->ifi_index = (int)index;
	link->ifi_flags = up ? IFF_UP : 0;
	link->ifi_change = IFF_UP;
}

int route_set_no_ipv6(struct route *route, unsigned index, struct err *err)
{
	struct nlattr *families, *ipv6;
	struct nlmsghdr *request;

	/* A machine without IPv6 does not know what it means. */
	if (access("/proc/sys/net/ipv6/conf", F_OK) < 0)
		return 0;
	request = route_begin(route, RTM_NEWLINK, 0);
	route_put_link(request, index, false);
	families = mnl_attr_nest_start(request, IFLA_AF_SPEC);
	ipv6 = mnl_attr_nest_start(request, AF_INET6);
	mnl_attr_put_u8(request, IFLA_INET6_ADDR_GEN_MODE, IN6_ADDR_GEN_MODE_NONE);
	mnl_attr_nest_end(request, ipv6);
	mnl_attr_nest_end(request, families);
	return route_do(route, request, err, "switch off IPv6 on a device");
}

int route_bring_up(struct route *route, unsigned index, struct err *err)
{
	struct nlmsghdr *request = route_begin(route, RTM_NEWLINK, 0);

	route_put_link(request, index, true);
	return route_do(route, request, err, "bring up a device");
}

int route_add_address(struct route *route, unsigned index, struct in_addr address, unsigned prefix, struct err *err)
{
	struct nlmsghdr *request = route_begin(route, RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE);
	struct ifaddrmsg *message = mnl_nlmsg_put_extra_header(request, sizeof(*message));

	*message = (struct ifaddrmsg){.ifa_family = AF_INET, .ifa_prefixlen = (uint8_t)prefix, .ifa_index = index};
	mnl_attr_put_u32(request, IFA_LOCAL, address.s_addr);
	mnl_attr_put_u32(request, IFA_ADDRESS, address.s_addr);
	return route_do(route, request, err, "set an address");
}

int route_change_neighbour(struct route *route, uint16_t type, uint8_t family, unsigned index,
			   const struct in_addr *address, const unsigned char mac[6], struct err *err)
{
	struct nlmsghdr *request = route_begin(route, type, type == RTM_NEWNEIGH ? NLM_F_CREATE | NLM_F_REPLACE : 0);
	struct ndmsg *message = mnl_nlmsg_put_extra_header(request, sizeof(*message));

	*message = (struct ndmsg){.ndm_family = family,
				  .ndm_ifindex = (int)index,
				  .ndm_state = NUD_PERMANENT,
				  .ndm_flags = family == AF_BRIDGE ? NTF_MASTER : 0};
	if (address)
		mnl_attr_put_u32(request, NDA_DST, address->s_addr);
	mnl_attr_put(request, NDA_LLADDR, 6, mac);
	return route_do(route, request, err, "change a neighbour");
}
