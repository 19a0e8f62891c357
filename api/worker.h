/*
 * An event loop thread and its mailbox.
 *
 * A worker is one libevent loop that belongs to one thread. What other threads have for it travels as tasks: they are
 * embedded in their owners, posted from any thread, and run in the worker's thread in the order of posting. A task may
 * be posted again once it runs, not before. Events of a loop are touched by its own thread only, so libevent runs
 * without locks.
 *
 * The main thread is a worker too (it reads the control channel and the channels to the other servers).
 */
#ifndef FERRITE_API_WORKER_H
#define FERRITE_API_WORKER_H

#include "supervisor/err.h"

#include <event2/event.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

struct worker_task;
typedef void worker_function(struct worker_task *task);

struct worker_task {
	struct worker_task *next;
	worker_function *run;
};

struct worker {
	struct event_base *base;
	struct event *mail_event;
	int mail_fd;
	_Atomic(struct worker_task *) mail; /* newest first */
	struct worker_task stop_task;
	_Atomic bool stopping;
	pthread_t thread;
	bool running;
	unsigned index;
	void *context; /* of the program */
};

/* Makes the loop and the mailbox; no thread yet. */
int worker_open(struct worker *worker, unsigned index, void *context, struct err *err);

/* Starts a thread that runs the loop until worker_stop(). */
int worker_start(struct worker *worker, struct err *err);

/* Runs the loop in the calling thread until worker_stop(). */
void worker_run(struct worker *worker);

/* Ends the loop, after the tasks posted before; any thread, and more than once does no harm. */
void worker_stop(struct worker *worker);

/* Waits for the thread when there is one. */
void worker_join(struct worker *worker);

/* Runs what is still in the mailbox; for when no thread runs the loop any more. */
void worker_flush(struct worker *worker);

/* Waits for the thread when there is one, and frees everything; tasks still in the mailbox are run first. */
void worker_close(struct worker *worker);

/* Any thread. */
void worker_post(struct worker *worker, struct worker_task *task);

#endif
