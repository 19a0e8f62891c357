/*
 * Control groups of instances: one interface, two back ends.
 *
 *   v2      one group with all limits
 *   hybrid  a v2 group for birth, kill, freezing, devices and CPU time; v1 groups with the limits for memory, pids
 *           and cpu. Never the v1 freezer: what is frozen by it cannot be killed
 *
 * A group is made with its limits before anything is in it. On v2 a process is born inside; the v1 groups it enters
 * itself, as its first act, by descriptors that the server opened.
 */
#ifndef FERRITE_SANDBOX_CGROUP_H
#define FERRITE_SANDBOX_CGROUP_H

#include "sandbox/config.h"
#include "supervisor/err.h"

#include <stdbool.h>
#include <stdint.h>

#define CGROUP_NAME_MAX 32
#define CGROUP_V1_MAX	3

struct cgroup_limits {
	uint64_t memory_bytes; /* memory and swap together */
	uint32_t tasks;
	uint32_t cpu_percent; /* of one CPU; 0: no quota */
};

/* What it uses now. */
struct cgroup_state {
	uint64_t memory_bytes;
	uint64_t cpu_us;
	uint32_t tasks;
	bool frozen;
};

/* What it used in all. */
struct cgroup_usage {
	uint64_t memory_peak_bytes;
	uint64_t cpu_us;
	uint64_t oom_kills;
};

struct cgroup {
	char name[CGROUP_NAME_MAX]; /* empty: not made */
	int v2_fd;		    /* O_DIRECTORY, for CLONE_INTO_CGROUP */
	int freeze_fd;		    /* its freezer, for who may freeze it; -1: handed over */
	int v1_fds[CGROUP_V1_MAX];  /* memory, pids, cpu; -1: none */
	/* The cgroup.procs files that the new process has to write itself into; open until it exists. */
	int entry_fds[CGROUP_V1_MAX];
	unsigned n_entries;
};

struct cgroups;

struct cgroup_backend {
	const char *name;
	/* Makes what GROUP needs beside its v2 group. */
	int (*make)(const struct cgroups *, struct cgroup *, struct err *);
	int (*limit)(const struct cgroups *, const struct cgroup *, const struct cgroup_limits *, struct err *);
	/* Fill in what does not come from the v2 core files; fields that cannot be read stay as they are. */
	void (*state)(const struct cgroup *, struct cgroup_state *);
	void (*usage)(const struct cgroup *, struct cgroup_usage *);
	/* Removes what make() made; -EBUSY: try again later. */
	int (*remove)(const struct cgroups *, const char *name);
};

extern const struct cgroup_backend cgroup_backend_v2, cgroup_backend_hybrid;

#define CGROUP_POOL 8

struct cgroups {
	const struct cgroup_backend *backend;
	const char *below; /* the v2 directory's path below its mount point, in the configuration's text */
	int v2_fd;
	int v1_fds[CGROUP_V1_MAX];
	bool swap_limit;		  /* the kernel limits memory and swap together */
	int program_fd;			  /* device policy that every group gets; not owned */
	uint64_t next;			  /* number of the next name */
	struct cgroup ready[CGROUP_POOL]; /* made ahead: making one takes longer than all else before the clone */
	unsigned n_ready;
};

/* Opens the directories of the configuration (making the last part) and chooses the back end. */
int cgroups_open(struct cgroups *groups, const struct sandbox_config *config, struct err *err);
void cgroups_close(struct cgroups *groups);

/* Kills and removes every instance group that a predecessor left; returns how many. Waits up to WAIT_US. */
int cgroups_sweep(const struct cgroups *groups, uint64_t wait_us, struct err *err);

/* Takes a group made ahead, or makes one: with the device policy, still without limits. */
int cgroup_take(struct cgroups *groups, struct cgroup *group, struct err *err);

/* Makes up to N groups ahead; errors show when one is taken. Not on the way of a request. */
void cgroups_refill(struct cgroups *groups, unsigned n);

/* Closes what only the birth needs. */
void cgroup_close_entries(struct cgroup *group);
int cgroup_limit(const struct cgroups *groups, const struct cgroup *group, const struct cgroup_limits *limits,
		 struct err *err);

/* Kills everything in it. */
void cgroup_kill(const struct cgroup *group);

/* Lets a frozen group go on. */
void cgroup_thaw(const struct cgroup *group);

/* Unreadable values are 0. */
void cgroup_read_state(const struct cgroups *groups, const struct cgroup *group, struct cgroup_state *ret_state);
void cgroup_read_usage(const struct cgroups *groups, const struct cgroup *group, struct cgroup_usage *ret_usage);

/* Removes the (empty) group everywhere. 0, or -EBUSY: try again later. */
int cgroup_remove(const struct cgroups *groups, struct cgroup *group);

/* Shared by the back ends: the number in FILE, or the one after KEY in it; 0 when there is none. */
uint64_t cgroup_number(int group_fd, const char *file, const char *key);
int cgroup_write(int group_fd, const char *file, uint64_t value, struct err *err);

#endif
