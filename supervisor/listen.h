/*
 * Listening sockets: made from addresses, or taken from the service manager (LISTEN_FDS).
 *
 * An address is ADDR:PORT (numeric IPv4), [ADDR6]:PORT, localhost:PORT, or *:PORT or :PORT for every interface (both
 * protocols where the kernel has IPv6). Names are not resolved: that would need NSS in a privileged program.
 */
#ifndef FERRITE_LISTEN_H
#define FERRITE_LISTEN_H

#include "supervisor/err.h"
#include "supervisor/messages.h"

#include <stdbool.h>
#include <sys/socket.h>
#include <sys/types.h>

#define LISTEN_SOCKETS_MAX 16
#define LISTEN_TEXT_MAX	   128

struct listen_address {
	struct sockaddr_storage address;
	socklen_t length;
	bool wildcard;
	unsigned port;
};

struct listen_socket {
	int fd;
	enum listen_kind kind;
	char text[LISTEN_TEXT_MAX]; /* for messages */
};

struct listen_set {
	struct listen_socket sockets[LISTEN_SOCKETS_MAX];
	unsigned n_sockets;
};

/* Parses one address; the error says what is accepted. */
int listen_parse(const char *text, struct listen_address *ret_address, struct err *err);

/* Opens the addresses in TEXT (separated by blanks, "none": nothing) and adds them. A port in use is named. */
int listen_open_tcp(struct listen_set *set, const char *text, struct err *err);

/*
 * Opens the UNIX socket PATH with mode 0660 and group GID (-1: mode 0600 of root), replacing what a predecessor left
 * there. The caller made sure that no other service owns the folder.
 */
int listen_open_unix(struct listen_set *set, const char *path, gid_t gid, struct err *err);

/*
 * Adds the sockets that the service manager passed (descriptors from 3, LISTEN_FDS for LISTEN_PID = us) and removes the
 * variables. Returns their number; 0 when there are none. A descriptor that is no listening stream socket is an error.
 */
int listen_take_passed(struct listen_set *set, struct err *err);

/* The id of GROUP in the text of a group file; -1 when it is not there. */
gid_t listen_find_group(const char *group_file, const char *group);

/* Closes all. */
void listen_close(struct listen_set *set);

#endif
