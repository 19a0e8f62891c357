/*
 * From the end of a call to the history. The loops hand over records with a lock that only they and, a few times a
 * second, the writer thread take; the writer writes what has come together. Whoever reads the history has everything
 * written first, so that a call that was answered before a request is seen by it.
 *
 * A loop holds a bounded number of records; beyond it, which takes a writer that is stuck on its disk, the oldest go.
 */
#ifndef FERRITE_API_RECORDER_H
#define FERRITE_API_RECORDER_H

#include "api/history.h"
#include "api/worker.h"

struct api;
struct api_loop;
struct recorder;

/* Of one loop; begins as zeros, then record_feed_open(). */
struct record_feed {
	struct worker_task task; /* tells the writer that something has come */
	pthread_mutex_t lock;
	struct record_list list; /* the oldest first */
	unsigned n;
	size_t log_bytes;
	bool posted; /* the task is on its way */
};

void record_feed_open(struct record_feed *feed);
void record_feed_close(struct record_feed *feed);

/* Any thread: takes the record, on its way through the feed of LOOP. */
void recorder_add(struct api_loop *loop, struct record *record);

/*
 * Opens the history; the writer must not run yet. One that cannot be opened is logged, and kept in memory instead:
 * nothing about it is a reason not to start. -ENOMEM only.
 */
int recorder_open(struct api *api, struct recorder **ret_recorder, struct err *err);
/* Writes what is still there; when no loop and no writer runs any more. */
void recorder_close(struct recorder *recorder);

/* Writer: writes what has come, and returns the history to read from. */
struct history *recorder_history(struct recorder *recorder);
/* Writer: a reading failed; a damaged file is set aside. */
void recorder_failed(struct recorder *recorder, const struct err *err);

#endif
