#include "api/hot.h"

#include "supervisor/str.h"
#include "supervisor/util.h"

#include <string.h>

/* --- what the pool asks of an instance ---------------------------------------------------------------------------- */

static struct instance *instance_of(struct pool_member *member)
{
	return TABLE_OWNER(member, struct instance, member);
}

static void leave(struct pool_member *member)
{
	instance_leave(instance_of(member));
}

static bool arrive(struct pool_member *member)
{
	return instance_arrive(instance_of(member), member->worker->context);
}

static void freeze(struct pool_member *member)
{
	instance_freeze(instance_of(member), true);
}

static void end(struct pool_member *member)
{
	struct instance *instance = instance_of(member);

	instance->counts_as_room = true;
	atomic_fetch_add(&instance->api->dispatcher->room_coming, instance->grant.memory_bytes);
	instance_kill(instance, 0);
}

static void ended(struct pool_member *member)
{
	struct instance *instance = instance_of(member);

	/* It may have come this far without arriving: what is left of it is done with this loop's settings. */
	instance->loop = member->worker->context;
	instance_finish(instance);
}

const struct pool_operations hot_operations = {
	.leave = leave, .arrive = arrive, .freeze = freeze, .end = end, .ended = ended};

void hot_make_room(struct dispatcher *dispatcher)
{
	uint64_t lacking = budget_lacking(&dispatcher->budget);
	uint64_t coming = atomic_load(&dispatcher->room_coming);

	if (lacking > coming)
		(void)pools_make_room(&dispatcher->pools, lacking - coming);
}

void hot_make_half(struct dispatcher *dispatcher)
{
	uint64_t over = budget_over_half(&dispatcher->budget);
	uint64_t coming = atomic_load(&dispatcher->room_coming);

	if (over > coming)
		(void)pools_make_room(&dispatcher->pools, over - coming);
}

/* --- the turn ----------------------------------------------------------------------------------------------------- */

static void stop_timer(struct call *call)
{
	if (call->timer)
		event_free(call->timer);
	call->timer = NULL;
}

static void use(struct call *call, struct instance *instance)
{
	call->instance = instance;
	call->start = RECORD_START_HOT;
	call->admitted_us = clock_monotonic_us();
	if (instance->member.frozen)
		instance_freeze(instance, false);
	instance->member.frozen = false;
	call->executed_us = clock_monotonic_us();
	/* What it said between two calls is nobody's; the log has it. */
	capture_done(&instance->capture);
	if (!instance_has_output(instance)) {
		call_run(call);
		return;
	}
	/* It wrote something that nobody asked for, in this moment. */
	call_stop(call);
	instance_detach(take_ptr(call->instance));
	hot_enter(call);
}

/* In the call's loop: an instance, or (NULL) the right to start one. */
static void on_turn(struct pool_wait *turn)
{
	struct call *call = TABLE_OWNER(turn, struct call, turn);

	stop_timer(call);
	call->starting = !turn->member;
	if (!call_is_wanted(call)) {
		if (turn->member)
			pool_release(turn->member);
		call_abandon(call);
	} else if (turn->member) {
		use(call, instance_of(turn->member));
	} else {
		call_reserve(call);
	}
}

static void on_line_timeout(evutil_socket_t fd, short what, void *context)
{
	struct call *call = context;

	(void)fd;
	(void)what;
	if (pool_cancel(call->function->pool, &call->turn))
		call_fail(call, CALL_REFUSED, 504, "Timed out");
}

void hot_enter(struct call *call)
{
	const struct timeval limit = {.tv_sec = (time_t)(call->function->timeout_us / 1000000)};
	int r;

	call->stage = CALL_LINE;
	call->turn.done = on_turn;
	call->turn.version = call->image->digest;
	r = pool_enter(call->function->pool, &call->loop->api->dispatcher->pools, &call->turn,
		       call->loop->settings.max_waiting);
	if (r == 0) {
		on_turn(&call->turn);
	} else if (r == -ENOBUFS) {
		call_fail(call, CALL_REFUSED, 503, "The runner queue is full");
	} else {
		/* Without a timer it waits as long as those before it run. */
		call->timer = evtimer_new(call->loop->worker.base, on_line_timeout, call);
		if (call->timer)
			(void)evtimer_add(call->timer, &limit);
	}
}

static bool withdraw(struct pool_wait *turn)
{
	struct call *call = TABLE_OWNER(turn, struct call, turn);

	return budget_cancel(&call->loop->api->dispatcher->budget, &call->wait);
}

void hot_wait_for_memory(struct call *call)
{
	if (call->starting)
		pool_offer(call->function->pool, &call->turn, withdraw);
	hot_make_room(call->loop->api->dispatcher);
}

void hot_prepare(struct call *call)
{
	struct instance *instance = call->instance;

	instance->hot = true;
	instance->member.bytes = instance->grant.memory_bytes;
	instance->member.has_gpu = instance->grant.has_gpu;
	(void)str_copy(instance->member.version, sizeof(instance->member.version), call->image->digest);
}

void hot_started(struct call *call)
{
	call->starting = false;
	pool_started(call->function->pool, &call->instance->member, &call->loop->worker);
}

void hot_not_started(struct call *call)
{
	call->starting = false;
	pool_offer_done(call->function->pool, &call->turn);
	pool_not_started(call->function->pool);
}

/* --- the end of a turn -------------------------------------------------------------------------------------------- */

void hot_give_back(struct call *call)
{
	struct instance *instance = take_ptr(call->instance);
	struct dispatcher *dispatcher = instance->api->dispatcher;

	call->captured = *instance_log(instance, false);
	call->log = &call->captured;
	instance->capture = (struct capture){0};
	instance_rest(instance);
	pool_release(&instance->member);
	/* It may be idle now while another function waits for its memory. */
	hot_make_room(dispatcher);
}

bool hot_is_untouched(const struct call *call, int unread)
{
	return unread < 0 ? call->instance->sent == 0 : (uint64_t)unread == call->instance->sent;
}

bool hot_retry(struct call *call)
{
	if (call->retried || call->heard || !hot_is_untouched(call, instance_unread(call->instance)))
		return false;
	if (!call->instance->has_ended)
		instance_kill(call->instance, 0);
	call->retried = true;
	call->starting = true;
	call->start = RECORD_START_COLD;
	pool_replace(&call->instance->member);
	instance_detach(take_ptr(call->instance));
	stop_timer(call);
	spool_rewind(&call->payload);
	call_reserve(call);
	return true;
}
