#include "api/dispatcher.h"

#include "api/hot.h"
#include "api/instance.h"
#include "supervisor/log.h"
#include "supervisor/str.h"
#include "supervisor/util.h"

#include <string.h>

#define TICK_US 250000

static void on_tick(evutil_socket_t fd, short what, void *context)
{
	struct dispatcher *dispatcher = context;

	(void)fd;
	(void)what;
	budget_tick(&dispatcher->budget, clock_monotonic_us());
	pools_tick(&dispatcher->pools, clock_monotonic_us());
	hot_make_room(dispatcher);
}

int dispatcher_open(struct worker *control, uint64_t memory_bytes, unsigned max_waiting, uint64_t max_wait_us,
		    struct dispatcher **ret_dispatcher, struct err *err)
{
	static const struct timeval interval = {.tv_usec = TICK_US};
	struct dispatcher *dispatcher = calloc(1, sizeof(*dispatcher));
	int r;

	if (!dispatcher)
		return err_sys(err, ENOMEM, "dispatcher");
	(void)pthread_mutex_init(&dispatcher->lock, NULL);
	pools_open(&dispatcher->pools, &hot_operations);
	budget_open(&dispatcher->budget, memory_bytes, max_waiting, max_wait_us);
	if (gethostname(dispatcher->host_name, sizeof(dispatcher->host_name) - 1) < 0)
		(void)str_copy(dispatcher->host_name, sizeof(dispatcher->host_name), "localhost");
	r = functions_open(&dispatcher->functions, err);
	if (r == 0)
		r = images_open(&dispatcher->images, err);
	if (r == 0)
		r = table_open(&dispatcher->instances, err);
	if (r == 0)
		r = shares_open(&dispatcher->shares, err);
	dispatcher->tick = event_new(control->base, -1, EV_PERSIST, on_tick, dispatcher);
	if (r == 0 && (!dispatcher->tick || event_add(dispatcher->tick, &interval) < 0))
		r = err_set(err, ENOMEM, "dispatcher");
	if (r < 0) {
		dispatcher_close(dispatcher);
		return r;
	}
	*ret_dispatcher = dispatcher;
	return 0;
}

void dispatcher_close(struct dispatcher *dispatcher)
{
	if (!dispatcher)
		return;
	if (dispatcher->tick)
		event_free(dispatcher->tick);
	shares_close(&dispatcher->shares);
	table_close(&dispatcher->instances);
	images_close(&dispatcher->images);
	functions_close(&dispatcher->functions);
	pools_close(&dispatcher->pools);
	budget_close(&dispatcher->budget);
	(void)pthread_mutex_destroy(&dispatcher->lock);
	free(dispatcher);
}

void dispatcher_add_instance(struct dispatcher *dispatcher, struct instance *instance)
{
	pthread_mutex_lock(&dispatcher->lock);
	table_insert(&dispatcher->instances, &instance->node, table_hash_u64(instance->created.instance));
	pthread_mutex_unlock(&dispatcher->lock);
}

size_t dispatcher_count(struct dispatcher *dispatcher)
{
	size_t count;

	pthread_mutex_lock(&dispatcher->lock);
	count = dispatcher->instances.count;
	pthread_mutex_unlock(&dispatcher->lock);
	return count;
}

void dispatcher_visit(struct dispatcher *dispatcher, unsigned max, void (*visit)(void *context, struct instance *),
		      void *context)
{
	pthread_mutex_lock(&dispatcher->lock);
	for (size_t i = 0; i < dispatcher->instances.n_buckets; i++)
		for (struct table_node *node = dispatcher->instances.buckets[i]; node && max > 0;
		     node = node->next, max--)
			visit(context, TABLE_OWNER(node, struct instance, node));
	pthread_mutex_unlock(&dispatcher->lock);
}

static struct instance *take_instance(struct dispatcher *dispatcher, uint64_t number)
{
	uint64_t hash = table_hash_u64(number);
	struct instance *found = NULL;

	pthread_mutex_lock(&dispatcher->lock);
	for (struct table_node *node = table_first(&dispatcher->instances, hash); node && !found;
	     node = table_next(node, hash)) {
		struct instance *instance = TABLE_OWNER(node, struct instance, node);

		if (instance->created.instance == number)
			found = instance;
	}
	if (found)
		table_remove(&dispatcher->instances, &found->node);
	pthread_mutex_unlock(&dispatcher->lock);
	return found;
}

static void on_event(void *context, enum peer peer, struct ipc_message *message)
{
	struct dispatcher *dispatcher = context;
	struct sbx_exited exited;
	struct instance *instance;

	if (peer == PEER_ROOTFS) {
		/* Names have aliases (a tag left out, a registry's default): one change forgets all. */
		images_forget(&dispatcher->images);
		return;
	}
	memcpy(&exited, message->payload, sizeof(exited));
	instance = take_instance(dispatcher, exited.instance);
	if (instance)
		instance_ended(instance, &exited, false);
	else
		log_warn("the end of an unknown instance", LOG_INT("instance", exited.instance));
}

static struct instance *take_any(struct dispatcher *dispatcher)
{
	struct table_node *node;

	pthread_mutex_lock(&dispatcher->lock);
	node = table_any(&dispatcher->instances);
	if (node)
		table_remove(&dispatcher->instances, node);
	pthread_mutex_unlock(&dispatcher->lock);
	return node ? TABLE_OWNER(node, struct instance, node) : NULL;
}

static void on_lost(void *context, enum peer peer)
{
	struct dispatcher *dispatcher = context;
	struct instance *instance;

	if (peer == PEER_ROOTFS)
		images_forget(&dispatcher->images);
	/* Its successor kills what the sandbox left; for us they have ended. */
	while (peer == PEER_SANDBOX && (instance = take_any(dispatcher)) != NULL) {
		const struct sbx_exited lost = {
			.instance = instance->created.instance, .end = SBX_END_LOST, .exit_code = -1};

		instance_ended(instance, &lost, true);
	}
}

static void on_opened(void *context, struct peers *peers, enum peer peer)
{
	struct dispatcher *dispatcher = context;

	if (peer == PEER_GPU)
		shares_announce(&dispatcher->shares, peers);
}

const struct peers_events dispatcher_events = {.event = on_event, .opened = on_opened, .lost = on_lost};
