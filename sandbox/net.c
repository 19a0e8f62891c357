#include "sandbox/net.h"

#include "supervisor/util.h"

#include <libmnl/libmnl.h>
#include <linux/rtnetlink.h>
#include <net/if.h>

#define LOOPBACK_INDEX 1 /* the first device of every network namespace */

static void socket_close(struct mnl_socket **socket)
{
	if (*socket)
		(void)mnl_socket_close(*socket);
}

int net_up_loopback(struct err *err)
{
	_Alignas(struct nlmsghdr) char buffer[1024];
	_cleanup_(socket_close) struct mnl_socket *socket = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC);
	struct nlmsghdr *header = mnl_nlmsg_put_header(buffer);
	struct ifinfomsg *link;
	ssize_t n;

	if (!socket || mnl_socket_bind(socket, 0, MNL_SOCKET_AUTOPID) < 0)
		return err_sys(err, errno, "open a route socket");
	header->nlmsg_type = RTM_NEWLINK;
	header->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK;
	header->nlmsg_seq = 1;
	link = mnl_nlmsg_put_extra_header(header, sizeof(*link));
	link->ifi_family = AF_UNSPEC;
	link->ifi_index = LOOPBACK_INDEX;
	link->ifi_flags = IFF_UP;
	link->ifi_change = IFF_UP;
	if (mnl_socket_sendto(socket, header, header->nlmsg_len) < 0)
		return err_sys(err, errno, "bring up lo");
	n = mnl_socket_recvfrom(socket, buffer, sizeof(buffer));
	if (n < 0 || mnl_cb_run(buffer, (size_t)n, 1, mnl_socket_get_portid(socket), NULL, NULL) < 0)
		return err_sys(err, errno, "bring up lo");
	return 0;
}
