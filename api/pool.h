/*
 * The hot instances of one state of a function, and the calls that wait for one of them.
 *
 * A member (an instance) serves one call at a time and belongs to one loop, whose thread has its events. A call gets an
 * idle member of its own loop; else one of another loop, which hands it over by itself; else the right to start one, as
 * long as there are fewer than the limit; else it waits in one line for all loops, in the order of coming. Who gives a
 * member back hands it to the first of the line directly. A call that may start a member but has to wait for memory is
 * served like one that waits, and before those behind it: it gives its right back.
 *
 * Members carry the version of what they run: one of another version than the call's is ended instead of given out.
 *
 * Any thread, where nothing else is said. What a member is, the pool does not know: it asks its operations.
 */
#ifndef FERRITE_API_POOL_H
#define FERRITE_API_POOL_H

#include "api/worker.h"

#include <stdint.h>
#include <sys/queue.h>

#define POOL_LOOPS_MAX	 64
#define POOL_VERSION_MAX 72
#define POOL_FREEZE_US	 1000000 /* after which an idle member is frozen */

struct pool;
struct pool_member;
struct pool_wait;

struct pool_operations {
	/* In the thread of its loop: gives up its events. */
	void (*leave)(struct pool_member *member);
	/* In the thread of the loop it came to: gets events there. False: it cannot be used. */
	bool (*arrive)(struct pool_member *member);
	/* Any thread, with the lock of the pool held: stops an idle member where it is; its next user lets it go on. */
	void (*freeze)(struct pool_member *member);
	/* Any thread, with the lock of the pool held: ends a member that is in the pool no more. */
	void (*end)(struct pool_member *member);
	/* In the thread that has it now: its end, which was reported while it was on its way. */
	void (*ended)(struct pool_member *member);
};

enum pool_state {
	POOL_OUTSIDE, /* not yet, or no more */
	POOL_BUSY,
	POOL_IDLE,
	POOL_LEAVING,  /* another loop asked for it */
	POOL_ARRIVING, /* its events are removed; the other loop is told */
};

/* Embedded in its owner, which must keep it as long as it is in the pool, and until it was ended. */
struct pool_member {
	struct pool *pool;
	struct worker *worker; /* that has its events; changes with the lock held, on the way only */
	enum pool_state state;
	bool frozen; /* its user resets this */
	bool has_gpu;
	uint64_t bytes; /* of memory that its end gives back */
	char version[POOL_VERSION_MAX];
	/* Private. */
	bool broken, has_ended;
	struct pool_wait *wait; /* where it goes */
	struct worker_task task;
	uint64_t idle_since_us;
	TAILQ_ENTRY(pool_member) link;
};

TAILQ_HEAD(pool_members, pool_member);

struct pool_wait {
	struct worker_task task;
	struct worker *worker; /* of the call's loop */
	const char *version;
	/* In that thread: the call has a MEMBER, or (NULL) may start one. */
	void (*done)(struct pool_wait *wait);
	struct pool_member *member;
	/* Private. */
	bool (*withdraw)(struct pool_wait *wait);
	bool queued;
	TAILQ_ENTRY(pool_wait) link;
};

TAILQ_HEAD(pool_line, pool_wait);

/* All pools of the program, for what looks at every idle member. */
struct pools {
	const struct pool_operations *operations;
	pthread_mutex_t lock;
	TAILQ_HEAD(pool_list, pool) list;
	_Atomic bool closed; /* members are ended instead of becoming idle */
};

struct pool {
	struct pools *pools; /* NULL: nobody has entered yet */
	pthread_mutex_t lock;
	unsigned limit, n_members; /* members, and rights to start one */
	unsigned n_waiting;
	bool retired;
	uint64_t idle_us;			  /* after which an idle member is ended */
	uint64_t loops;				  /* bit I: loop I has idle members */
	struct pool_members idle[POOL_LOOPS_MAX]; /* latest first */
	struct pool_line line, starting;
	TAILQ_ENTRY(pool) link;
};

void pools_open(struct pools *pools, const struct pool_operations *operations);
void pools_close(struct pools *pools);
/* Freezes the members that have been idle for a while, and ends those that have been for too long. A few times a
 * second.
 */
void pools_tick(struct pools *pools, uint64_t now_us);
/* Ends the members that have been idle the longest until BYTES are freed; returns what will be. */
uint64_t pools_make_room(struct pools *pools, uint64_t bytes);
/* Ends the member with a GPU that has been idle the longest. False: there is none. */
bool pools_free_gpu(struct pools *pools);
/* Ends all idle members, and from now on those that get idle. */
void pools_drain(struct pools *pools);

/* NULL: no memory. Freed when nobody can enter and it has no members. */
struct pool *pool_new(unsigned limit, uint64_t idle_us);
void pool_free(struct pool *pool);

/*
 * 0: wait->member is the call's, or NULL: it may start one. -EINPROGRESS: done() will run. -ENOBUFS: more than
 * MAX_WAITING wait. In the thread of wait->worker.
 */
int pool_enter(struct pool *pool, struct pools *pools, struct pool_wait *wait, unsigned max_waiting);
/* False: done() will run (or ran). */
bool pool_cancel(struct pool *pool, struct pool_wait *wait);

/*
 * The call that may start a member waits for something: a member that gets free meanwhile is given to it when WITHDRAW
 * can take it out of that other line (called in any thread with the lock of the pool held; true: it did).
 */
void pool_offer(struct pool *pool, struct pool_wait *wait, bool (*withdraw)(struct pool_wait *wait));
/* It waits no more; done() will not run, unless withdraw() returned true before. */
void pool_offer_done(struct pool *pool, struct pool_wait *wait);
/* The right to start a member was used: it is busy, in the loop of this thread. */
void pool_started(struct pool *pool, struct pool_member *member, struct worker *worker);
/* The right is given back. */
void pool_not_started(struct pool *pool);

/* In its loop's thread: the call of a busy member is over. May call done() of the next call at once. */
void pool_release(struct pool_member *member);
/*
 * In its loop's thread: it can serve no more, its place is free for another. True: the caller ends it. False: it is on
 * its way to another loop, and will be ended there.
 */
bool pool_drop(struct pool_member *member);
/* In its loop's thread: a busy member is gone, and the call it had may start another in its place. */
void pool_replace(struct pool_member *member);

enum pool_end {
	POOL_END_HERE,	    /* it is out of the pool: the caller goes on */
	POOL_END_LATER,	    /* it is on its way: `ended` will be called */
	POOL_END_ELSEWHERE, /* another loop has it, whose worker is returned */
};

/* The end of a member was reported to the thread of HERE. A busy one stays in the pool until it is dropped. */
enum pool_end pool_ended(struct pool_member *member, const struct worker *here, struct worker **ret_worker);

/* The function has changed: members are ended as soon as they are idle. */
void pool_retire(struct pool *pool);

#endif
