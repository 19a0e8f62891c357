/*
 * The rules between instances with the network "bridge" and everything else: two tables of nftables with the name of
 * the bridge, one for frames (who may use which address), one for packets (what may be reached). Nothing outside of
 * them is touched. The rules are a text (firewall.nft) that nft(8) loads once; what changes with each instance are
 * elements of sets, and those go to the kernel directly.
 */
#ifndef FERRITE_SANDBOX_FIREWALL_H
#define FERRITE_SANDBOX_FIREWALL_H

#include "supervisor/err.h"
#include "supervisor/messages.h"

#include <net/if.h>
#include <netinet/in.h>
#include <stdbool.h>

struct mnl_socket;

struct firewall {
	struct mnl_socket *socket; /* of nf_tables; NULL: closed */
	uint32_t sequence;
	char name[IFNAMSIZ]; /* of the tables and the bridge */
};

struct firewall_rules {
	const char *name;	  /* of the bridge */
	struct in_addr subnet;	  /* of the instances */
	unsigned prefix;	  /* its length */
	const char *resolvers;	  /* addresses with blanks between them: port 53 is open */
	bool only_ours;		  /* nothing else may be forwarded: the machine was no router before */
	unsigned connections_max; /* of one instance at a time */
};

/* Loads the rules, in the place of older ones with the same name. -ENOENT: there is no nft(8). */
int firewall_open(struct firewall *firewall, const struct firewall_rules *rules, struct err *err);
/* Takes the tables away. */
void firewall_close(struct firewall *firewall);

/* From now on the port PORT may send from these addresses, and from no others. */
int firewall_pin(struct firewall *firewall, const char *port, const unsigned char mac[6], struct in_addr address,
		 struct err *err);
int firewall_unpin(struct firewall *firewall, const char *port, const unsigned char mac[6], struct in_addr address,
		   struct err *err);

/* Opens to SOURCE what is closed to all; ADD false: closes it again. */
int firewall_allow(struct firewall *firewall, struct in_addr source, const struct sbx_allow *allow, bool add,
		   struct err *err);

#endif
