/*
 * One run of a task in this process: from the task to its call, and from the end of the call to what becomes of the
 * task. It begins and ends in the thread of `worker`; the call itself runs in a loop.
 *
 * What was frozen when the call was accepted comes with the task: the image, the variables, the payload. Everything
 * else (time limit, memory, network, GPU) is that of the route now, or the default where the route is gone.
 */
#ifndef FERRITE_API_TASK_RUN_H
#define FERRITE_API_TASK_RUN_H

#include "api/call.h"
#include "api/queue_store.h"

enum task_verdict {
	TASK_OVER,    /* it ran, well or not */
	TASK_UNABLE,  /* it can never run here: no image, a container that cannot be made, too much memory */
	TASK_LATER,   /* there is no room for it now */
	TASK_CRASHED, /* something of ours ended under it */
};

struct task_run {
	struct task item;
	struct worker *worker;
	void (*ended)(struct task_run *run);
	enum task_verdict verdict;
	/* Private. */
	struct api *api;
	uint64_t counted; /* in task_bytes */
	struct worker_task step;
	struct call_task call;
	struct api_loop *loop;
	struct evbuffer *payload;
};

/* What a task is a call of, where nothing is known of its app and route but their names. Any thread. */
int task_function(const struct task *item, struct function **ret_function, struct err *err);

/* Any thread. False: no slot is free. */
bool task_slots_take(struct task_slots *slots);
void task_slots_give(struct task_slots *slots);

/*
 * The task is the run's from now on. Whoever takes tasks looks at task_run_has_memory() first: a payload is in our own
 * memory as long as its task runs.
 */
void task_run_take(struct api *api, struct task_run *run, struct task *item);
bool task_run_has_memory(const struct api *api);
/* Begins; may be called again after `ended`, until task_run_done(). */
void task_run_start(struct task_run *run);
/* Frees what it holds, the task too. */
void task_run_done(struct task_run *run);

#endif
