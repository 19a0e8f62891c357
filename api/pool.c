#include "api/pool.h"

#include "supervisor/util.h"

#include <stddef.h>
#include <string.h>

/*
 * A call that gets its member while another gives it back may fail at once, and give it back itself. So many of them in
 * one another; the next one gets it by way of the mailbox.
 */
#define NESTED_MAX 8
static _Thread_local unsigned nested;

/* --- what the functions below have in common; all with the lock held ---------------------------------------------- */

static void run_done(struct worker_task *task)
{
	struct pool_wait *wait = (struct pool_wait *)((char *)task - offsetof(struct pool_wait, task));

	wait->done(wait);
}

static void tell(struct pool_wait *wait, struct pool_member *member)
{
	wait->member = member;
	wait->task.run = run_done;
	worker_post(wait->worker, &wait->task);
}

static void leave_idle(struct pool *pool, struct pool_member *member, enum pool_state state)
{
	unsigned loop = member->worker->index;

	TAILQ_REMOVE(&pool->idle[loop], member, link);
	if (TAILQ_EMPTY(&pool->idle[loop]))
		pool->loops &= ~(1ull << loop);
	member->state = state;
}

static struct pool_wait *take_waiting(struct pool *pool)
{
	struct pool_wait *wait = TAILQ_FIRST(&pool->line);

	if (wait) {
		TAILQ_REMOVE(&pool->line, wait, link);
		pool->n_waiting--;
		wait->queued = false;
	}
	return wait;
}

/* A place is free: the first of the line may start a member. */
static void give_place(struct pool *pool)
{
	struct pool_wait *wait;

	while (pool->n_members < pool->limit && (wait = take_waiting(pool)) != NULL) {
		pool->n_members++;
		tell(wait, NULL);
	}
}

static void end_idle(struct pool *pool, struct pool_member *member)
{
	leave_idle(pool, member, POOL_OUTSIDE);
	pool->n_members--;
	pool->pools->operations->end(member);
	give_place(pool);
}

static void end_all_idle(struct pool *pool)
{
	for (unsigned i = 0; i < POOL_LOOPS_MAX; i++)
		while (!TAILQ_EMPTY(&pool->idle[i]))
			end_idle(pool, TAILQ_FIRST(&pool->idle[i]));
}

/* --- on the way to another loop ----------------------------------------------------------------------------------- */

/* It did not get there: the call may start another in its place. */
static void fail_way(struct pool_member *member, bool has_ended)
{
	struct pool *pool = member->pool;

	tell(take_ptr(member->wait), NULL);
	member->state = POOL_OUTSIDE;
	if (!has_ended)
		pool->pools->operations->end(member);
}

static struct pool_member *member_of(struct worker_task *task)
{
	return (struct pool_member *)((char *)task - offsetof(struct pool_member, task));
}

/* In the thread of the loop that has it from now on. */
static void run_arrive(struct worker_task *task)
{
	struct pool_member *member = member_of(task);
	struct pool *pool = member->pool;
	struct pool_wait *wait = NULL;
	bool has_ended;

	pthread_mutex_lock(&pool->lock);
	has_ended = member->has_ended;
	member->worker = member->wait->worker;
	if (has_ended || member->broken || !pool->pools->operations->arrive(member)) {
		fail_way(member, has_ended);
	} else {
		wait = take_ptr(member->wait);
		member->state = POOL_BUSY;
		wait->member = member;
	}
	pthread_mutex_unlock(&pool->lock);
	if (has_ended)
		pool->pools->operations->ended(member);
	else if (wait)
		wait->done(wait);
}

/* With the lock held, in its loop's thread. */
static void send_off(struct pool_member *member)
{
	member->pool->pools->operations->leave(member);
	member->state = POOL_ARRIVING;
	member->task.run = run_arrive;
	worker_post(member->wait->worker, &member->task);
}

/* In the thread of the loop that was asked for it. */
static void run_leave(struct worker_task *task)
{
	struct pool_member *member = member_of(task);
	struct pool *pool = member->pool;
	bool has_ended;

	pthread_mutex_lock(&pool->lock);
	has_ended = member->has_ended;
	if (has_ended || member->broken)
		fail_way(member, has_ended);
	else
		send_off(member);
	pthread_mutex_unlock(&pool->lock);
	if (has_ended)
		pool->pools->operations->ended(member);
}

static void ask_for(struct pool *pool, struct pool_member *member, struct pool_wait *wait)
{
	leave_idle(pool, member, POOL_LEAVING);
	member->wait = wait;
	member->task.run = run_leave;
	worker_post(member->worker, &member->task);
}

/* --- coming and waiting ------------------------------------------------------------------------------------------- */

/* The latest idle member of the call's loop, else of another. Those of another version are ended. */
static struct pool_member *find_idle(struct pool *pool, const struct pool_wait *wait)
{
	unsigned own = wait->worker->index;

	while (pool->loops) {
		unsigned loop = pool->loops & 1ull << own ? own : (unsigned)__builtin_ctzll(pool->loops);
		struct pool_member *member = TAILQ_FIRST(&pool->idle[loop]);

		if (strcmp(member->version, wait->version) == 0)
			return member;
		end_idle(pool, member);
	}
	return NULL;
}

static void join(struct pools *pools, struct pool *pool)
{
	pthread_mutex_lock(&pools->lock);
	if (!pool->pools) {
		pthread_mutex_lock(&pool->lock);
		pool->pools = pools;
		pthread_mutex_unlock(&pool->lock);
		TAILQ_INSERT_TAIL(&pools->list, pool, link);
	}
	pthread_mutex_unlock(&pools->lock);
}

int pool_enter(struct pool *pool, struct pools *pools, struct pool_wait *wait, unsigned max_waiting)
{
	struct pool_member *member;
	int r = 0;

	wait->member = NULL;
	wait->queued = false;
	pthread_mutex_lock(&pool->lock);
	if (!pool->pools) {
		pthread_mutex_unlock(&pool->lock);
		join(pools, pool);
		pthread_mutex_lock(&pool->lock);
	}
	member = find_idle(pool, wait);
	if (member && member->worker == wait->worker) {
		leave_idle(pool, member, POOL_BUSY);
		wait->member = member;
	} else if (member) {
		ask_for(pool, member, wait);
		r = -EINPROGRESS;
	} else if (pool->n_members < pool->limit) {
		pool->n_members++;
	} else if (pool->n_waiting >= max_waiting) {
		r = -ENOBUFS;
	} else {
		wait->queued = true;
		TAILQ_INSERT_TAIL(&pool->line, wait, link);
		pool->n_waiting++;
		r = -EINPROGRESS;
	}
	pthread_mutex_unlock(&pool->lock);
	return r;
}

bool pool_cancel(struct pool *pool, struct pool_wait *wait)
{
	bool queued;

	pthread_mutex_lock(&pool->lock);
	queued = wait->queued;
	if (queued) {
		TAILQ_REMOVE(&pool->line, wait, link);
		pool->n_waiting--;
		wait->queued = false;
	}
	pthread_mutex_unlock(&pool->lock);
	return queued;
}

void pool_offer(struct pool *pool, struct pool_wait *wait, bool (*withdraw)(struct pool_wait *wait))
{
	pthread_mutex_lock(&pool->lock);
	wait->withdraw = withdraw;
	TAILQ_INSERT_TAIL(&pool->starting, wait, link);
	pthread_mutex_unlock(&pool->lock);
}

void pool_offer_done(struct pool *pool, struct pool_wait *wait)
{
	pthread_mutex_lock(&pool->lock);
	if (wait->withdraw)
		TAILQ_REMOVE(&pool->starting, wait, link);
	wait->withdraw = NULL;
	pthread_mutex_unlock(&pool->lock);
}

void pool_started(struct pool *pool, struct pool_member *member, struct worker *worker)
{
	pthread_mutex_lock(&pool->lock);
	member->pool = pool;
	member->worker = worker;
	member->state = POOL_BUSY;
	pthread_mutex_unlock(&pool->lock);
}

void pool_not_started(struct pool *pool)
{
	pthread_mutex_lock(&pool->lock);
	pool->n_members--;
	give_place(pool);
	pthread_mutex_unlock(&pool->lock);
}

/* --- giving back -------------------------------------------------------------------------------------------------- */

/* Who waits for memory came before the line, and needs its place no more. */
static struct pool_wait *take_starting(struct pool *pool)
{
	struct pool_wait *wait;

	for (wait = TAILQ_FIRST(&pool->starting); wait; wait = TAILQ_NEXT(wait, link)) {
		if (!wait->withdraw(wait))
			continue;
		TAILQ_REMOVE(&pool->starting, wait, link);
		wait->withdraw = NULL;
		pool->n_members--;
		return wait;
	}
	return NULL;
}

static void become_idle(struct pool *pool, struct pool_member *member)
{
	member->state = POOL_IDLE;
	member->idle_since_us = clock_monotonic_us();
	TAILQ_INSERT_HEAD(&pool->idle[member->worker->index], member, link);
	pool->loops |= 1ull << member->worker->index;
}

/* With the lock held. The call that goes on with the member in this thread at once, or NULL. */
static struct pool_wait *hand_over(struct pool *pool, struct pool_member *member)
{
	struct pool_wait *wait = take_starting(pool);

	if (!wait)
		wait = take_waiting(pool);
	if (!wait) {
		become_idle(pool, member);
		return NULL;
	}
	if (strcmp(wait->version, member->version) != 0) {
		member->wait = wait;
		fail_way(member, false);
		return NULL;
	}
	if (wait->worker == member->worker && nested < NESTED_MAX) {
		wait->member = member;
		return wait;
	}
	member->wait = wait;
	send_off(member);
	return NULL;
}

void pool_release(struct pool_member *member)
{
	struct pool *pool = member->pool;
	struct pool_wait *wait = NULL;

	pthread_mutex_lock(&pool->lock);
	if (pool->retired || atomic_load(&pool->pools->closed)) {
		member->state = POOL_OUTSIDE;
		pool->n_members--;
		pool->pools->operations->end(member);
	} else {
		wait = hand_over(pool, member);
	}
	give_place(pool);
	pthread_mutex_unlock(&pool->lock);
	nested++;
	if (wait)
		wait->done(wait);
	nested--;
}

bool pool_drop(struct pool_member *member)
{
	struct pool *pool = member->pool;
	bool mine = true;

	pthread_mutex_lock(&pool->lock);
	switch (member->state) {
	case POOL_IDLE:
		leave_idle(pool, member, POOL_OUTSIDE);
		pool->n_members--;
		break;
	case POOL_BUSY:
		member->state = POOL_OUTSIDE;
		pool->n_members--;
		break;
	case POOL_LEAVING:
	case POOL_ARRIVING:
		member->broken = true;
		mine = false;
		break;
	case POOL_OUTSIDE:
		break;
	}
	give_place(pool);
	pthread_mutex_unlock(&pool->lock);
	return mine;
}

void pool_replace(struct pool_member *member)
{
	struct pool *pool = member->pool;

	pthread_mutex_lock(&pool->lock);
	member->state = POOL_OUTSIDE;
	pthread_mutex_unlock(&pool->lock);
}

enum pool_end pool_ended(struct pool_member *member, const struct worker *here, struct worker **ret_worker)
{
	struct pool *pool = member->pool;
	enum pool_end result = POOL_END_HERE;

	pthread_mutex_lock(&pool->lock);
	if (member->state == POOL_ARRIVING) {
		member->has_ended = true;
		result = POOL_END_LATER;
	} else if (member->worker != here) {
		*ret_worker = member->worker;
		result = POOL_END_ELSEWHERE;
	} else if (member->state == POOL_LEAVING) {
		member->has_ended = true;
		result = POOL_END_LATER;
	} else if (member->state == POOL_IDLE) {
		leave_idle(pool, member, POOL_OUTSIDE);
		pool->n_members--;
		give_place(pool);
	}
	pthread_mutex_unlock(&pool->lock);
	return result;
}

void pool_retire(struct pool *pool)
{
	pthread_mutex_lock(&pool->lock);
	pool->retired = true;
	end_all_idle(pool);
	pthread_mutex_unlock(&pool->lock);
}

struct pool *pool_new(unsigned limit, uint64_t idle_us)
{
	struct pool *pool = calloc(1, sizeof(*pool));

	if (!pool)
		return NULL;
	pool->limit = limit;
	pool->idle_us = idle_us;
	(void)pthread_mutex_init(&pool->lock, NULL);
	for (unsigned i = 0; i < POOL_LOOPS_MAX; i++)
		TAILQ_INIT(&pool->idle[i]);
	TAILQ_INIT(&pool->line);
	TAILQ_INIT(&pool->starting);
	return pool;
}

void pool_free(struct pool *pool)
{
	if (!pool)
		return;
	if (pool->pools) {
		pthread_mutex_lock(&pool->pools->lock);
		TAILQ_REMOVE(&pool->pools->list, pool, link);
		pthread_mutex_unlock(&pool->pools->lock);
	}
	(void)pthread_mutex_destroy(&pool->lock);
	free(pool);
}

/* --- all pools ---------------------------------------------------------------------------------------------------- */

void pools_open(struct pools *pools, const struct pool_operations *operations)
{
	*pools = (struct pools){.operations = operations};
	(void)pthread_mutex_init(&pools->lock, NULL);
	TAILQ_INIT(&pools->list);
}

void pools_close(struct pools *pools)
{
	(void)pthread_mutex_destroy(&pools->lock);
}

/* With the lock held. */
static void look_at_idle(struct pool *pool, struct pool_members *idle, uint64_t now_us)
{
	struct pool_member *member;

	while ((member = TAILQ_LAST(idle, pool_members)) != NULL && now_us >= member->idle_since_us + pool->idle_us)
		end_idle(pool, member);
	for (; member; member = TAILQ_PREV(member, pool_members, link)) {
		if (now_us < member->idle_since_us + POOL_FREEZE_US)
			break;
		if (member->frozen)
			continue;
		member->frozen = true;
		pool->pools->operations->freeze(member);
	}
}

void pools_tick(struct pools *pools, uint64_t now_us)
{
	struct pool *pool;

	pthread_mutex_lock(&pools->lock);
	for (pool = TAILQ_FIRST(&pools->list); pool; pool = TAILQ_NEXT(pool, link)) {
		pthread_mutex_lock(&pool->lock);
		for (unsigned i = 0; pool->loops && i < POOL_LOOPS_MAX; i++)
			look_at_idle(pool, &pool->idle[i], now_us);
		pthread_mutex_unlock(&pool->lock);
	}
	pthread_mutex_unlock(&pools->lock);
}

/* The member of a list that has been idle the longest. */
static struct pool_member *last_of(struct pool_members *idle, bool with_gpu)
{
	struct pool_member *member = TAILQ_LAST(idle, pool_members);

	while (member && with_gpu && !member->has_gpu)
		member = TAILQ_PREV(member, pool_members, link);
	return member;
}

static struct pool_member *oldest_of(struct pool *pool, bool with_gpu)
{
	struct pool_member *oldest = NULL;

	for (unsigned i = 0; pool->loops && i < POOL_LOOPS_MAX; i++) {
		struct pool_member *member = last_of(&pool->idle[i], with_gpu);

		if (member && (!oldest || member->idle_since_us < oldest->idle_since_us))
			oldest = member;
	}
	return oldest;
}

/* The pool with the member that has been idle the longest, locked; or NULL. */
static struct pool *lock_oldest(struct pools *pools, bool with_gpu)
{
	struct pool *found = NULL, *pool;
	uint64_t since_us = UINT64_MAX;

	for (pool = TAILQ_FIRST(&pools->list); pool; pool = TAILQ_NEXT(pool, link)) {
		const struct pool_member *member;

		pthread_mutex_lock(&pool->lock);
		member = oldest_of(pool, with_gpu);
		if (member && member->idle_since_us < since_us) {
			since_us = member->idle_since_us;
			found = pool;
		}
		pthread_mutex_unlock(&pool->lock);
	}
	if (found)
		pthread_mutex_lock(&found->lock);
	return found;
}

/* With the lock of POOLS held. False: nothing is idle. */
static bool end_oldest(struct pools *pools, bool with_gpu, uint64_t *freed)
{
	struct pool *pool = lock_oldest(pools, with_gpu);
	struct pool_member *member = pool ? oldest_of(pool, with_gpu) : NULL;

	/* A call may have taken it in between. */
	if (member) {
		*freed += member->bytes;
		end_idle(pool, member);
	}
	if (pool)
		pthread_mutex_unlock(&pool->lock);
	return pool != NULL;
}

uint64_t pools_make_room(struct pools *pools, uint64_t bytes)
{
	uint64_t freed = 0;

	pthread_mutex_lock(&pools->lock);
	while (freed < bytes && end_oldest(pools, false, &freed))
		;
	pthread_mutex_unlock(&pools->lock);
	return freed;
}

bool pools_free_gpu(struct pools *pools)
{
	uint64_t freed = 0;
	bool found;

	pthread_mutex_lock(&pools->lock);
	found = end_oldest(pools, true, &freed);
	pthread_mutex_unlock(&pools->lock);
	return found;
}

void pools_drain(struct pools *pools)
{
	struct pool *pool;

	atomic_store(&pools->closed, true);
	pthread_mutex_lock(&pools->lock);
	for (pool = TAILQ_FIRST(&pools->list); pool; pool = TAILQ_NEXT(pool, link)) {
		pthread_mutex_lock(&pool->lock);
		end_all_idle(pool);
		pthread_mutex_unlock(&pool->lock);
	}
	pthread_mutex_unlock(&pools->lock);
}
