/*
 * The task queue as the program sees it: a thread of its own owns the file, everybody else hands it requests. All
 * requests that wait when it looks up become one transaction, so that many calls share the cost of one write to the
 * disk; where that transaction fails, each is tried alone, and fails alone.
 *
 * A request belongs to its owner and always ends with one call of `done`, in the thread of the worker that it names.
 */
#ifndef FERRITE_API_QUEUE_H
#define FERRITE_API_QUEUE_H

#include "api/queue_store.h"
#include "api/worker.h"

#include <sys/queue.h>

enum queue_operation {
	QUEUE_PUT,	   /* `item` becomes a task, on the disk when it is done */
	QUEUE_TAKE,	   /* the next task becomes `item`, `as` RESERVED or RUNNING */
	QUEUE_ACKNOWLEDGE, /* of `item` its id and priority count, and `as` */
	QUEUE_PUT_BACK,	   /* of `item` its id counts, `as`, and `delay_us`: when somebody may take it again */
	QUEUE_CRASHED,	   /* of `item` its id counts; `dead` says whether it was given up */
};

struct queue_request;
typedef void queue_function(struct queue_request *request);

struct queue_request {
	struct worker_task task;
	enum queue_operation operation;
	enum task_state as;
	struct task item;
	uint64_t delay_us;
	bool dead;
	struct worker *worker; /* in whose thread done() runs */
	queue_function *done;
	/* The outcome: 0, or a negative errno; the text is set but for -ENOENT and -ENOBUFS. */
	int result;
	struct err failure;
	/* Private. */
	struct queue *queue;
	STAILQ_ENTRY(queue_request) link;
};

struct queue;

struct queue_events {
	/* In the queue's thread: there may be something new to take. */
	void (*changed)(void *context);
	/* In queue_start(): opening the file found that something crashed each time that this task ran. */
	void (*died)(void *context, const struct task *task);
};

int queue_open(const char *path, const struct queue_limits *limits, const struct queue_events *events, void *context,
	       struct queue **ret_queue, struct err *err);
/* Starts the thread. */
int queue_start(struct queue *queue, struct err *err);
/* Ends the thread, after the requests handed in before. */
void queue_stop(struct queue *queue);
/* Does what was handed in since. */
void queue_flush(struct queue *queue);
/* Closes the file, for when nobody else runs any more. */
void queue_close(struct queue *queue);

/* The queue's thread, for what has to run beside it. */
struct worker *queue_worker(struct queue *queue);

/* Any thread. */
void queue_submit(struct queue *queue, struct queue_request *request);
/* Any thread: new limits, for what comes from now on. */
void queue_limit(struct queue *queue, const struct queue_limits *limits);

/* Any thread: what the statistics show. Each is as of the last transaction. */
struct queue_numbers {
	uint64_t ready;	   /* tasks that nobody took */
	uint64_t delayed;  /* the same, after a crash */
	uint64_t reserved; /* by clients of /tasks */
	uint64_t running, dead, bytes;
	uint64_t accepted, acknowledged, crashed; /* since the start */
};
struct queue_numbers queue_numbers(const struct queue *queue);
/* Tasks that were accepted and not started. */
uint64_t queue_depth(const struct queue *queue);
/* How long the oldest of them has been waiting; 0: none waits. */
uint64_t queue_oldest_age_us(const struct queue *queue);

#endif
