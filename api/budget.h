/*
 * Memory admission: one total, and one waiting line in front of it. Who fits, and finds nobody waiting, is let in at
 * once; the others wait in order, small ones behind large ones. Only the first of the line has a time limit: when it
 * runs out the first is sent away and the next becomes first. Any thread.
 */
#ifndef FERRITE_API_BUDGET_H
#define FERRITE_API_BUDGET_H

#include "api/worker.h"

#include <stdint.h>
#include <sys/queue.h>

struct budget_wait {
	struct worker_task task; /* run in WORKER when the wait is over; its run is the owner's */
	struct worker *worker;
	uint64_t bytes;
	int result; /* valid in the task: 0 let in, -ETIMEDOUT */
	/* Private. */
	bool queued;
	uint64_t first_since_us;
	TAILQ_ENTRY(budget_wait) link;
};

struct budget {
	pthread_mutex_t lock;
	uint64_t total, used; /* bytes */
	_Atomic unsigned n_waiting;
	unsigned max_waiting;
	uint64_t max_wait_us;
	TAILQ_HEAD(budget_line, budget_wait) line;
};

void budget_open(struct budget *budget, uint64_t total, unsigned max_waiting, uint64_t max_wait_us);
void budget_close(struct budget *budget);

/* New limits; who waits is looked at again. */
void budget_limit(struct budget *budget, uint64_t total, unsigned max_waiting, uint64_t max_wait_us);

/* 0: let in; -EINPROGRESS: waits, the task will run; -E2BIG: more than the total; -ENOBUFS: the line is full. */
int budget_enter(struct budget *budget, struct budget_wait *wait);
/* For what can wait elsewhere and must leave half of the memory to others: 0: let in; -EAGAIN: not now; -E2BIG. */
int budget_try_half(struct budget *budget, uint64_t bytes);
/* What has to be given back before budget_try_half() can let in anything. */
uint64_t budget_over_half(struct budget *budget);
/* Whether budget_try_half() would let in BYTES now; 0: anything at all. */
bool budget_has_half(struct budget *budget, uint64_t bytes);
/* Leaves the line. False: the wait is over already, the task runs (or ran). */
bool budget_cancel(struct budget *budget, struct budget_wait *wait);
/* Gives back what was let in. */
void budget_leave(struct budget *budget, uint64_t bytes);
/* How many bytes the first of the line lacks; 0: nobody waits. */
uint64_t budget_lacking(struct budget *budget);
/* Sends away the first when its time is over. To be called a few times a second. */
void budget_tick(struct budget *budget, uint64_t now_us);

#endif
