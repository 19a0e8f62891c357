/*
 * The server's half of a birth. spawn_begin() makes everything that needs neither root nor command, up to processes in
 * all their namespaces; between the two a container can wait in the pool. spawn_finish() gives it limits, devices, root
 * and command, in the same way whether it waited or not.
 */
#ifndef FERRITE_SANDBOX_SPAWN_H
#define FERRITE_SANDBOX_SPAWN_H

#include "sandbox/birth.h"
#include "sandbox/config.h"
#include "sandbox/instance.h"
#include "sandbox/profile.h"
#include "supervisor/ipc.h"

#include <sys/capability.h>

/* What births share, opened once. */
struct spawn {
	const struct sandbox_config *config;
	struct cgroups *groups;
	struct bridge *bridge;
	int proc_fd;		     /* /proc of the host */
	int init_fd;		     /* O_PATH of ferrite-init */
	int program_fd;		     /* device policy of instances without a profile */
	int *idmap_fds;		     /* per id block, made at first use; -1: not yet */
	uint64_t namespaces;	     /* CLONE_NEW… flags that this kernel offers */
	cap_t capabilities;	     /* our own, for when the user changes */
	int death_signal;	     /* the same */
	struct ipc_message *message; /* receive buffer of the new process */
	char *texts;		     /* IPC_PAYLOAD_MAX bytes to pack a command in */
};

/* STATE_FD is the state directory; also makes the staging directory the working directory of the program. */
int spawn_open(struct spawn *spawn, const struct sandbox_config *config, struct cgroups *groups, struct bridge *bridge,
	       int state_fd, struct err *err);
void spawn_close(struct spawn *spawn);

/* Layers have to be directories that belong to store ids. */
int spawn_check_layers(const struct spawn *spawn, const int *fds, unsigned n, struct err *err);

/* Group, process, maps. On failure PHASE says where; the instance is still to be discarded. */
int spawn_begin(struct spawn *spawn, struct instance *instance, const char **ret_phase, struct err *err);

/* Makes ahead what the layers of an instance with this id range will need. */
int spawn_prepare_layers(struct spawn *spawn, const struct instance *instance, struct err *err);

/* What an instance runs. Layers were checked; lowest first. */
struct spawn_command {
	struct birth_root root;
	struct birth_command command;
	const int *layer_fds;
	unsigned n_layers;
	struct sbx_allow allow[SBX_ALLOW_MAX];
	unsigned n_allow;
	const char *cwd, *hostname;
	char *const *arguments; /* n_args, then n_env variables */
};

/* Nothing of the image runs before all LIMITS hold. PROFILE may be NULL. */
int spawn_finish(struct spawn *spawn, struct instance *instance, const struct cgroup_limits *limits,
		 const struct spawn_command *what, const struct profile *profile, const char **ret_phase,
		 struct err *err);

#endif
