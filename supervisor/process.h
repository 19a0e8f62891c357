/*
 * The servers as rows of a table, and how one is started.
 *
 * process_start() forks, puts the child into its cgroup and user namespace, takes away what its row does not leave it,
 * and executes it. What the server gets: descriptor 0 and 1 /dev/null, 2 ours, 3 the control channel, nothing else;
 * working directory /, a constant environment, its own session, no_new_privs, its seccomp filter, and SIGKILL when
 * ferrited ends. A step that fails is reported with its name and nothing runs.
 */
#ifndef FERRITE_PROCESS_H
#define FERRITE_PROCESS_H

#include "supervisor/cgroup.h"
#include "supervisor/err.h"
#include "supervisor/messages.h"

#include <linux/filter.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define PROCESS_IDS_PER_BLOCK 65536u

struct process_row {
	const char *program; /* file in the libexec folder, and the name that ps shows */
	const char *name;    /* short: "api"; its folder below the state and run directories, its cgroup */
	enum peer peer;
	unsigned peers; /* bit mask of enum peer: whom it has a channel to */
	unsigned after; /* bit mask: who must have started (or failed) before */
	bool critical;	/* without it no call can be served */
	bool listens;	/* gets the listening sockets */
	/* Its user is uid_base + id, 0: root. With store_ids it is root of a user namespace made of block 1 instead. */
	uint32_t id;
	bool store_ids;
	uint64_t capabilities; /* what it keeps, bit mask of CAP_… (inside its user namespace) */
	uint64_t files_max;    /* RLIMIT_NOFILE; less when the machine has less */
	const struct sock_filter *policy;
	unsigned n_policy;
};

/* One row per peer; the row of PEER_SUPERVISOR is ferrited itself. */
extern const struct process_row process_rows[PEER_MAX];

struct process {
	pid_t pid;
	int pidfd;
	int control_fd;
};

struct process_place {
	const char *libexec_dir;
	const struct cgroup_tree *cgroups;
	uint32_t uid_base;
};

/* The host's user id of a row's server. */
uid_t process_uid(const struct process_row *row, uint32_t uid_base);

/* Starts ROW's server; the caller owns the descriptors and reaps the process through pidfd. */
int process_start(const struct process_row *row, const struct process_place *place, struct process *ret_process,
		  struct err *err);

/* Lets ferrited itself keep only what it needs to start servers again. Call when sockets and folders are there. */
int process_confine_self(struct err *err);

/* --- process_child.c --- */

/*
 * The child's side: everything up to execveat(PROGRAM_FD). Never returns; a failed step is written to SYNC_FD (struct
 * err) and the child ends. SYNC_FD also carries the turns with the parent: the child waits for one byte first, and
 * when the row has store_ids it writes one byte and waits for another (the id maps).
 */
void process_child(const struct process_row *row, uint32_t uid_base, int program_fd, int control_fd, int sync_fd,
		   pid_t parent) __attribute__((noreturn));

#endif
