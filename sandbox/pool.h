/*
 * Containers that wait for a root and a command, so that a call pays for those alone. Each serves one request. Their
 * number follows the demand: every request that finds none waiting makes it one larger, and what lay unused for a
 * whole period is given back, down to one. They are built when no request is being served.
 *
 * A waiting container is an instance in the state INSTANCE_PREPARING, without an owner: what dies or is killed is out
 * of the pool by that, and what a killed server left is swept with all other instances.
 */
#ifndef FERRITE_SANDBOX_POOL_H
#define FERRITE_SANDBOX_POOL_H

#include "sandbox/instance.h"
#include "sandbox/spawn.h"

struct pool {
	struct instances *instances;
	struct spawn *spawn;
	const struct sandbox_config *config;
	unsigned wanted;	  /* that should wait */
	enum sbx_network network; /* that the latest request wanted: more are built for it */
	unsigned least;		  /* that waited, since the period began */
	uint64_t period_end_us;
	int timer_fd;
	struct loop_watch timer_watch;
};

/* Begins to build. With pool_max = 0 there is never one. */
int pool_open(struct pool *pool, struct instances *instances, struct spawn *spawn, const struct sandbox_config *config,
	      struct err *err);

/* Builds no more, and kills those that wait. */
void pool_close(struct pool *pool);

/*
 * Takes a waiting container for this kind of network; NULL: there is none. One without a connection serves the bridge,
 * too: it is connected late.
 */
struct instance *pool_take(struct pool *pool, enum sbx_network network);

/* The end of an instance was reported: a good time to build. */
void pool_rest(struct pool *pool);

/* One died while it waited. Until a request finds the pool empty there is no other attempt. */
void pool_failed(struct pool *pool);

#endif
