/*
 * The server's half of a birth. spawn_begin() makes everything that needs neither root nor command, up to a process in
 * all its namespaces; spawn_command() gives it both. Between the two lies what a warm pool will wait on.
 */
#ifndef FERRITE_SANDBOX_SPAWN_H
#define FERRITE_SANDBOX_SPAWN_H

#include "sandbox/birth.h"
#include "sandbox/config.h"
#include "sandbox/instance.h"
#include "sandbox/profile.h"
#include "supervisor/ipc.h"

/* What births share, opened once. */
struct spawn {
	const struct sandbox_config *config;
	struct cgroups *groups;
	int proc_fd;		     /* /proc of the host */
	int init_fd;		     /* O_PATH of ferrite-init */
	int program_fd;		     /* device policy of instances without a profile */
	int *idmap_fds;		     /* per id block, made at first use; -1: not yet */
	uint64_t namespaces;	     /* CLONE_NEW… flags that this kernel offers */
	struct ipc_message *message; /* receive buffer of the new process */
	char *texts;		     /* IPC_PAYLOAD_MAX bytes to pack a command in */
};

/* STATE_FD is the state directory; also makes the staging directory the working directory of the program. */
int spawn_open(struct spawn *spawn, const struct sandbox_config *config, struct cgroups *groups, int state_fd,
	       struct err *err);
void spawn_close(struct spawn *spawn);

/* Layers have to be directories that belong to store ids. */
int spawn_check_layers(const struct spawn *spawn, const int *fds, unsigned n, struct err *err);

/* Group, limits, devices, process, maps. On failure PHASE says where; the instance is still to be discarded. */
int spawn_begin(struct spawn *spawn, struct instance *instance, const struct cgroup_limits *limits,
		const struct profile *profile, const char **ret_phase, struct err *err);

/* What an instance runs. Layers were checked; lowest first. */
struct spawn_command {
	struct birth_command command;
	const int *layer_fds;
	unsigned n_layers;
	const char *cwd, *hostname;
	char *const *arguments; /* n_args, then n_env variables */
};

int spawn_command(struct spawn *spawn, struct instance *instance, const struct spawn_command *what,
		  const struct profile *profile, const char **ret_phase, struct err *err);

#endif
