/*
 * Requests to the kernel's routing socket (rtnetlink): links, addresses, routes, neighbours. A socket belongs for ever
 * to the network namespace it was opened in. One request at a time, each waited for: the kernel answers at once.
 */
#ifndef FERRITE_SANDBOX_ROUTE_H
#define FERRITE_SANDBOX_ROUTE_H

#include "supervisor/err.h"

#include <libmnl/libmnl.h>
#include <netinet/in.h>
#include <stdbool.h>

struct route {
	struct mnl_socket *socket;
	uint32_t sequence;
	_Alignas(struct nlmsghdr) char buffer[2048]; /* the request, then its answer */
};

/* In the network namespace of the calling thread. */
int route_open(struct route *route, struct err *err);
void route_close(struct route *route);

/* Begins a request of TYPE (RTM_…) in the buffer; FLAGS beside NLM_F_REQUEST and NLM_F_ACK. */
struct nlmsghdr *route_begin(struct route *route, uint16_t type, uint16_t flags);
/* Sends what was begun. An error says what could not be done: "make the bridge x". */
int route_do(struct route *route, struct nlmsghdr *request, struct err *err, const char *what, ...)
	__attribute__((format(printf, 4, 5)));

/* The body of a request about a link, brought up or left down. INDEX 0: named by an attribute. */
void route_put_link(struct nlmsghdr *request, unsigned index, bool up);
/* No IPv6 on a link that is down: it will make no address for itself, and without one there is nothing. */
int route_set_no_ipv6(struct route *route, unsigned index, struct err *err);
int route_bring_up(struct route *route, unsigned index, struct err *err);

int route_add_address(struct route *route, unsigned index, struct in_addr address, unsigned prefix, struct err *err);
/*
 * Adds (RTM_NEWNEIGH) or deletes (RTM_DELNEIGH) a neighbour that never has to be asked: the ADDRESS behind a hardware
 * address, or, with the FAMILY AF_BRIDGE and no address, the port behind which a hardware address is.
 */
int route_change_neighbour(struct route *route, uint16_t type, uint8_t family, unsigned index,
			   const struct in_addr *address, const unsigned char mac[6], struct err *err);

#endif
