/*
 * The processes of a birth between clone and the exec of the init (see sandbox/birth.h). They run in copies of the
 * server's memory, in the instance's own namespaces, and answer to nobody but the server, over their socket.
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
	bool own_network;		/* not the host's */
	uint64_t disk_bytes, shm_bytes; /* what an instance probably gets; BIRTH_ROOT has the last word */
	struct ipc_message *message;	/* receive buffer */
};

/* Never returns: ends as the init, or reports and exits. */
_Noreturn void child_run(const struct child_start *start);

#endif
