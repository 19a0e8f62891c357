/*
 * Ferrite's own groups in the cgroup hierarchies. Used by ferrited (which makes and removes the tree) and by
 * ferrite-sandbox (which makes its groups below `instances`).
 *
 * Two layouts are told apart, controller by controller:
 *	pure v2	every controller on the one v2 hierarchy
 *	hybrid	memory, cpu, cpuacct and pids each (or some together) on v1, and v2 beside them for births, kill and
 *freeze
 *
 * In each hierarchy that is needed ferrite has one group, `ferrite-<8 hex digits of the run dir's hash>`, with
 * `servers/<name>` and `instances` below. Under a service manager's own v2 group (the process is alone in it) it lies
 * there, and the process moves itself into the leaf `ferrited`; else it lies below the hierarchy's root. No group of
 * somebody else is changed, but for switching on controllers for our parent.
 *
 * Paths are absolute. Killing and removing are bounded in time; no function follows links or leaves the path it was
 * given.
 */
#ifndef FERRITE_CGROUP_H
#define FERRITE_CGROUP_H

#include "supervisor/err.h"

#include <stdbool.h>
#include <sys/types.h>

#define CGROUP_PATH_MAX 512

enum cgroup_controller { CGROUP_MEMORY, CGROUP_CPU, CGROUP_CPUACCT, CGROUP_PIDS, CGROUP_CONTROLLER_MAX };

struct cgroup_tree {
	char v2[CGROUP_PATH_MAX]; /* always there */
	/* Group on the controller's v1 hierarchy; empty when the controller is on v2 or missing. */
	char v1[CGROUP_CONTROLLER_MAX][CGROUP_PATH_MAX];
	char leaf[CGROUP_PATH_MAX]; /* where the process moved itself; empty when it did not */
};

/* "memory", "cpu", … */
const char *cgroup_controller_name(enum cgroup_controller controller);

/*
 * Looks at what is mounted and sets the paths of the group NAME; makes nothing. -ENOENT with the cure when there is no
 * v2 hierarchy or no memory or pids controller.
 */
int cgroup_tree_find(struct cgroup_tree *ret_tree, const char *name, struct err *err);

/* Kills and removes what a predecessor left under these paths, then makes the tree with `servers` and `instances`. */
int cgroup_tree_make(struct cgroup_tree *tree, struct err *err);

/* Makes the group SUB ("servers/api") in every hierarchy of the tree. */
int cgroup_tree_add(const struct cgroup_tree *tree, const char *sub, struct err *err);

/* Moves a process into SUB in every hierarchy. PID 0: the caller. */
int cgroup_tree_attach(const struct cgroup_tree *tree, const char *sub, pid_t pid, struct err *err);

/* Kills everything in and below SUB (NULL: the whole tree) and waits up to TIMEOUT_MS until it is empty. */
int cgroup_tree_kill(const struct cgroup_tree *tree, const char *sub, int timeout_ms, struct err *err);

/* Removes SUB (NULL: the whole tree) with all groups below; they must be empty of processes soon. */
int cgroup_tree_remove(const struct cgroup_tree *tree, const char *sub, int timeout_ms, struct err *err);

/* The same on one path of one hierarchy. A path that does not exist is done. */
int cgroup_path_kill(const char *path, int timeout_ms, struct err *err);
int cgroup_path_remove(const char *path, int timeout_ms, struct err *err);

#endif
