/*
 * The file of the task queue: SQLite in WAL mode, apart from the store of apps and routes, held by one process at a
 * time. A task is one row that says where it stands, and one that holds what it carries; so a change of state never
 * writes a payload again.
 *
 *	READY	  waits for somebody to take it: highest priority first, oldest first inside
 *	DELAYED	  the same, but not before its time
 *	RESERVED  taken by a client of GET /tasks; ready again at its time, in its old place
 *	RUNNING	  taken by this process: ready again when the file is opened the next time
 *	DEAD	  given up: it was running too often when something crashed
 *
 * A struct queue_store belongs to one thread. Changes are made between queue_store_begin() and queue_store_commit();
 * whatever fails with anything but -ENOENT and -ENOBUFS leaves the transaction to be rolled back. Times are
 * CLOCK_REALTIME, for they outlive the process.
 */
#ifndef FERRITE_API_QUEUE_STORE_H
#define FERRITE_API_QUEUE_STORE_H

#include "supervisor/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TASK_ID_MAX	  64
#define TASK_PRIORITY_MAX 2
#define TASK_RESERVE_US	  60000000u /* how long a client may keep what it took */
#define TASK_DEAD_MAX	  100	    /* records kept; the oldest goes first */

enum task_state { TASK_READY, TASK_DELAYED, TASK_RESERVED, TASK_RUNNING, TASK_DEAD, TASK_STATE_MAX };

struct task {
	char id[TASK_ID_MAX + 1];
	unsigned priority;
	char *app, *path, *image;
	char *variables; /* packed "NAME=VALUE" */
	size_t variables_size;
	unsigned char *payload;
	size_t payload_size;
	uint64_t created_us;
	unsigned crashes; /* how often something crashed while it ran */
	uint64_t died_us; /* when a dead one was given up */
};

/* Frees what the task points to; for _cleanup_. */
void task_done(struct task *task);

struct queue_limits {
	uint64_t tasks, bytes; /* of all together; also of the dead, who make room when it is needed */
	unsigned attempts;     /* a task that crashed so often is dead */
};

struct queue_counts {
	uint64_t tasks[TASK_STATE_MAX];
	uint64_t bytes;
};

struct queue_store;

/* Opens or creates PATH, and makes ready again what its last holder was running; each of those crashed once more. */
int queue_store_open(const char *path, const struct queue_limits *limits, uint64_t now_us,
		     struct queue_store **ret_store, struct err *err);
/* What is running is given back, without counting as a crash. */
void queue_store_close(struct queue_store *store);
static inline void queue_store_closep(struct queue_store **store)
{
	queue_store_close(*store);
}

void queue_store_limit(struct queue_store *store, const struct queue_limits *limits);

/* DURABLE: the commit returns when the disk has it; else it survives the end of the process, not of the machine. */
int queue_store_begin(struct queue_store *store, bool durable, struct err *err);
int queue_store_commit(struct queue_store *store, struct err *err);
void queue_store_rollback(struct queue_store *store);

/* -ENOBUFS: a limit is reached. */
int queue_store_put(struct queue_store *store, const struct task *task, struct err *err);
/* Takes the next task as RESERVED or RUNNING; -ENOENT: there is none. */
int queue_store_take(struct queue_store *store, enum task_state as, uint64_t now_us, struct task *ret_task,
		     struct err *err);
/* Deletes a task that is RESERVED (and still is at NOW_US) or RUNNING; -ENOENT. */
int queue_store_acknowledge(struct queue_store *store, const char *id, enum task_state as, unsigned priority,
			    uint64_t now_us, struct err *err);
/* Gives a task that is RESERVED or RUNNING back, as if nobody had taken it, but not before UNTIL_US (0: now); -ENOENT.
 */
int queue_store_put_back(struct queue_store *store, const char *id, enum task_state as, uint64_t until_us,
			 struct err *err);
/* A running task crashed: it is ready again after a pause that grows with each crash, or dead (*RET_DEAD). -ENOENT. */
int queue_store_crashed(struct queue_store *store, const char *id, uint64_t now_us, bool *ret_dead, struct err *err);

/* Calls VISIT for the dead, the oldest first; without what they carry, but for its size. */
int queue_store_dead(struct queue_store *store, void (*visit)(void *context, const struct task *task), void *context,
		     struct err *err);

const struct queue_counts *queue_store_counts(const struct queue_store *store);
/* When the oldest task that waits was accepted; 0: none waits. */
int queue_store_oldest(struct queue_store *store, uint64_t *ret_created_us, struct err *err);

#endif
