/*
 * The service's own workers: they take tasks from our queue, as many at a time as there are slots, as long as less than
 * half of the memory is in use; and acknowledge each after its run. What finds no room after all waits here for it, a
 * few times, and then once more in the queue. Everything but the runs themselves happens in the queue's thread.
 */
#ifndef FERRITE_API_RUNNER_H
#define FERRITE_API_RUNNER_H

#include "api/queue.h"
#include "api/task_run.h"

struct runner;

/* Must be there before the queue, whose events it gets. */
int runner_open(struct api *api, struct runner **ret_runner, struct err *err);
/* Begins to take tasks, once the loops run. */
int runner_start(struct runner *runner, struct err *err);
/* Any thread: takes no more; what runs goes on. */
void runner_stop(struct runner *runner);
/* Before the queue is closed, and when its thread runs no more. */
void runner_rest(struct runner *runner);
/* When no thread runs any more, after the queue was closed. What runs is forgotten: the queue has it still. */
void runner_close(struct runner *runner);

/* For queue_open(); the context is the runner. */
extern const struct queue_events runner_events;

#endif
