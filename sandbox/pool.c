#include "sandbox/pool.h"

#include "supervisor/util.h"

#include <poll.h>

#define KEEP	       1     /* that stay however long nobody asks */
#define BUILD_AFTER_US 10000 /* a short call is served to its end first: building takes as long as it */

static void on_timer(struct loop *loop, struct loop_watch *watch, uint32_t events);

static void schedule(struct pool *pool, uint64_t when_us)
{
	(void)loop_timer_set(pool->timer_fd, when_us, NULL);
}

int pool_open(struct pool *pool, struct instances *instances, struct spawn *spawn, const struct sandbox_config *config,
	      struct err *err)
{
	*pool = (struct pool){.instances = instances,
			      .spawn = spawn,
			      .config = config,
			      .wanted = MIN(config->pool_max, (uint32_t)KEEP)};
	pool->timer_watch.fd = -1;
	pool->timer_fd = loop_timer(err);
	if (pool->timer_fd < 0)
		return pool->timer_fd;
	schedule(pool, 1);
	return loop_add(instances->loop, &pool->timer_watch, pool->timer_fd, EPOLLIN, on_timer, pool, err);
}

/* One whose end the loop has not read yet must not be given to a request, which would fail with it. */
static bool has_ended(const struct instance *instance)
{
	struct pollfd p = {.fd = instance->pid_fd, .events = POLLIN};

	return poll(&p, 1, 0) > 0;
}

static bool is_waiting(const struct instance *instance, enum sbx_network network)
{
	return instance->state == INSTANCE_PREPARING && instance->network == network && !has_ended(instance);
}

/* The one that waits the longest: it is the readiest. */
static struct instance *find(const struct pool *pool, enum sbx_network network)
{
	struct instance *oldest = NULL;

	for (unsigned i = 0; i < pool->instances->n; i++) {
		struct instance *instance = pool->instances->list[i];

		if (is_waiting(instance, network) && (!oldest || instance->id < oldest->id))
			oldest = instance;
	}
	return oldest;
}

static struct instance *find_any(const struct pool *pool)
{
	struct instance *instance = find(pool, SBX_NETWORK_NONE);

	return instance ? instance : find(pool, SBX_NETWORK_BRIDGE);
}

void pool_close(struct pool *pool)
{
	struct instance *instance;

	if (pool->instances)
		loop_remove(pool->instances->loop, &pool->timer_watch);
	fd_close(&pool->timer_fd);
	while (pool->instances && (instance = find_any(pool)))
		instance_kill(instance, CAUSE_OWNER);
	pool->instances = NULL;
}

struct instance *pool_take(struct pool *pool, enum sbx_network network)
{
	struct instance *instance;
	unsigned waiting;

	/* The network of the host has no namespace to be built ahead. */
	if (!pool->instances || network == SBX_NETWORK_HOST)
		return NULL;
	pool->network = network;
	instance = find(pool, network);
	if (!instance && network == SBX_NETWORK_BRIDGE)
		instance = find(pool, SBX_NETWORK_NONE);
	if (!instance && pool->wanted < pool->config->pool_max)
		pool->wanted++;
	waiting = instances_count(pool->instances, INSTANCE_PREPARING) - (instance != NULL);
	pool->least = MIN(pool->least, waiting);
	schedule(pool, clock_monotonic_us() + BUILD_AFTER_US);
	return instance;
}

void pool_rest(struct pool *pool)
{
	if (pool->instances)
		schedule(pool, clock_monotonic_us());
}

void pool_failed(struct pool *pool)
{
	pool->wanted = 0;
}

static int build(struct pool *pool)
{
	struct instance *instance;
	const char *phase;
	int r = instance_new(pool->instances, &instance, NULL);

	if (r < 0)
		return r;
	instance->born_us = clock_monotonic_us();
	instance->network = pool->network;
	instance_set_state(instance, INSTANCE_PREPARING, 0);
	r = spawn_begin(pool->spawn, instance, &phase, NULL);
	if (r == 0)
		r = spawn_prepare_layers(pool->spawn, instance, NULL);
	if (r == 0)
		r = instance_watch(instance, NULL);
	if (r < 0)
		instance_discard(instance);
	cgroups_refill(pool->instances->groups, 1);
	return r;
}

/* Gives back what nobody needed in the period that ended; another one begins. */
static void shrink(struct pool *pool, uint64_t now_us)
{
	unsigned unused = MIN(pool->least, pool->wanted > KEEP ? pool->wanted - KEEP : 0);
	struct instance *instance;

	pool->wanted -= unused;
	while (unused-- > 0 && (instance = find_any(pool)))
		instance_kill(instance, CAUSE_OWNER);
	pool->least = instances_count(pool->instances, INSTANCE_PREPARING);
	pool->period_end_us = now_us + pool->config->pool_idle_us;
}

static void on_timer(struct loop *loop, struct loop_watch *watch, uint32_t events)
{
	struct pool *pool = watch->context;
	uint64_t now_us = clock_monotonic_us(), expirations;
	unsigned waiting = instances_count(pool->instances, INSTANCE_PREPARING);

	(void)loop;
	(void)events;
	(void)!read(pool->timer_fd, &expirations, sizeof(expirations));
	if (now_us >= pool->period_end_us)
		shrink(pool, now_us);
	if (waiting < pool->wanted && instances_count(pool->instances, INSTANCE_STARTING) == 0 && build(pool) < 0)
		pool_failed(pool);
	if (waiting < pool->wanted)
		schedule(pool, now_us + BUILD_AFTER_US);
	else if (pool->wanted > KEEP)
		schedule(pool, pool->period_end_us);
}
