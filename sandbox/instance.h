/*
 * Instances: one container each, from the request to the removal of its last trace. An instance is a state machine;
 * nothing here waits for a child. All times are CLOCK_MONOTONIC.
 */
#ifndef FERRITE_SANDBOX_INSTANCE_H
#define FERRITE_SANDBOX_INSTANCE_H

#include "sandbox/birth.h"
#include "sandbox/bridge.h"
#include "sandbox/cgroup.h"
#include "sandbox/ids.h"
#include "supervisor/loop.h"
#include "supervisor/messages.h"

#include <sys/types.h>

enum instance_state {
	INSTANCE_PREPARING, /* in the pool: cloned, builds what needs neither root nor command, and waits for them */
	INSTANCE_STARTING,  /* has root and command; until the program is executed */
	INSTANCE_RUNNING,
	INSTANCE_STOPPING, /* got its stop signal; killed when the grace is over */
	INSTANCE_ENDING,   /* the program ended or all was killed; until the last process is gone */
	INSTANCE_REMOVING, /* reported; its groups and its id range are being given back */
	INSTANCE_STATE_MAX,
};

/* Why we ended it. */
enum instance_cause { CAUSE_NONE, CAUSE_TIMEOUT, CAUSE_KILLED, CAUSE_OWNER, CAUSE_SLOW_BIRTH, CAUSE_FAILED };

struct instances;

struct instance {
	struct instances *table;
	uint64_t id;
	uint64_t owner;	     /* generation of the channel it was made for */
	uint64_t request_id; /* of the request that made it */
	enum instance_state state;
	enum instance_cause cause;
	enum sbx_network network;
	struct bridge_port port; /* where its network is the bridge */
	bool warm;		 /* it waited in the pool */
	uint64_t deadline_us;	 /* of the state; 0: none */
	struct cgroup group;
	uint32_t block; /* id range */
	uint32_t uid_base;
	pid_t pid;
	int pid_fd, socket_fd;
	int stdio_fds[3]; /* our ends of stdin, stdout, stderr until they are handed over */
	struct loop_watch pid_watch, socket_watch;
	uint32_t stop_signal;
	uint64_t timeout_us;
	uint64_t born_us, executed_us;
	bool has_status;
	int status; /* wait status of the program */
};

/* What the owner of the table wants to know. Called from the loop, at most one of FAILED and EXITED per instance. */
struct instance_events {
	void (*created)(void *context, struct instance *instance);
	void (*failed)(void *context, struct instance *instance, const char *phase, const struct err *failure);
	void (*exited)(void *context, struct instance *instance, const struct sbx_exited *exited);
	/* The last one is removed. */
	void (*empty)(void *context);
};

struct instances {
	struct loop *loop;
	struct cgroups *groups;
	struct ids *ids;
	struct bridge *bridge;
	const struct instance_events *events;
	void *context;
	struct instance **list; /* n of max are used, in no order */
	unsigned n, max;
	uint64_t next_id;
	int timer_fd;
	struct loop_watch timer_watch;
	uint64_t timer_us; /* what it is set to */
};

const char *instance_state_name(enum instance_state state);

int instances_open(struct instances *table, struct loop *loop, struct cgroups *groups, struct ids *ids,
		   struct bridge *bridge, const struct instance_events *events, void *context, unsigned max,
		   struct err *err);
void instances_close(struct instances *table);

/* A new instance with a leased id range and nothing else; -EUSERS or -ENOMEM. Ends with instance_discard() or, once a
 * process exists, by itself. */
int instance_new(struct instances *table, struct instance **ret_instance, struct err *err);

/* Forgets an instance whose process is not watched yet or reaped already; what it holds is given back soon. */
void instance_discard(struct instance *instance);

/* Begins to watch the instance's process and socket. */
int instance_watch(struct instance *instance, struct err *err);

void instance_set_state(struct instance *instance, enum instance_state state, uint64_t deadline_us);

/* Kills everything in it for CAUSE (unless it is ending already). */
void instance_kill(struct instance *instance, enum instance_cause cause);

/* Sends the stop signal, and kills after GRACE_US. */
void instance_stop(struct instance *instance, uint64_t grace_us);

/* How many are in a state. */
unsigned instances_count(const struct instances *table, enum instance_state state);

struct instance *instances_find(const struct instances *table, uint64_t id);

/* Kills all of OWNER, or all when OWNER is 0. */
void instances_kill_owner(struct instances *table, uint64_t owner);

/* How an instance ended, from what was seen of it. Pure. */
struct sbx_exited instance_outcome(const struct instance *instance, const struct cgroup_usage *usage, uint64_t now_us);

#endif
