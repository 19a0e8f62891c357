/*
 * The process of a new instance, from clone to the exec of its init. It runs in a copy of the server's memory, in its
 * own namespaces, and answers to nobody but the server, over its socket. The first part (child_prepare) needs neither
 * root nor command; the rest begins when both have come.
 */
#ifndef FERRITE_SANDBOX_CHILD_H
#define FERRITE_SANDBOX_CHILD_H

#include "sandbox/cgroup.h"
#include "supervisor/ipc.h"

struct child_start {
	int socket_fd;
	int init_fd;		      /* O_PATH of ferrite-init */
	int group_fds[CGROUP_V1_MAX]; /* cgroup.procs files to enter, opened by the server */
	unsigned n_groups;
	struct ipc_message *message; /* receive buffer */
};

/* Never returns: ends as the init, or reports and exits. */
_Noreturn void child_run(const struct child_start *start);

#endif
