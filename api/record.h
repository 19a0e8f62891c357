/*
 * What is remembered of one call that has ended: made in the loop of the call, handed to the writer thread, kept in the
 * history. And what is learnt later of a call that was answered before its instance ended: its processor time, its
 * memory, the last lines of its log.
 */
#ifndef FERRITE_API_RECORD_H
#define FERRITE_API_RECORD_H

#include "api/capture.h"
#include "api/function.h"
#include "api/text.h"

#include <sys/queue.h>

#define RECORD_ID_LENGTH 36
#define RECORD_UNKNOWN	 (-1)

enum record_outcome {
	RECORD_SUCCESS,	  /* answered with a status below 500 */
	RECORD_ERROR,	  /* the function failed: exit code, signal, no answer, or a status of its own from 500 */
	RECORD_OOM,	  /* it was killed for memory */
	RECORD_TIMEOUT,	  /* it ran longer than its route allows */
	RECORD_REFUSED,	  /* it never ran: no memory, image, container or GPU */
	RECORD_BROKEN,	  /* a server or the container ended under it */
	RECORD_CANCELLED, /* its client went away */
	RECORD_OUTCOME_MAX,
};

enum record_start { RECORD_START_COLD, RECORD_START_WARM, RECORD_START_HOT, RECORD_START_MAX };

/* Numbers are RECORD_UNKNOWN where there is none: a call that was refused never started. */
struct record {
	STAILQ_ENTRY(record) link;
	struct function *function; /* a reference: app, path, image */
	char id[RECORD_ID_LENGTH + 1];
	bool addition; /* to the record of that id: report and log only */
	bool async;
	enum record_outcome outcome;
	int start; /* enum record_start */
	int status, exit_code, signal;
	int64_t ended_us;   /* CLOCK_MONOTONIC; orders the records */
	int64_t created_us; /* CLOCK_REALTIME, as is: */
	int64_t completed_us;
	int64_t queue_us, start_us, gpu_us, run_us; /* durations */
	int64_t cpu_us, memory_peak, bytes_in, bytes_out;
	char *message;	 /* NULL: nothing went wrong */
	struct text log; /* captured standard error */
	bool log_truncated;
};

STAILQ_HEAD(record_list, record);

/* Fills in ids and what is unknown; NULL: no memory. */
struct record *record_new(struct function *function, const char *id);
void record_free(struct record *record);

const char *record_outcome_name(enum record_outcome outcome);
/* False: there is no such word. */
bool record_outcome_read(const char *name, enum record_outcome *ret_outcome);
const char *record_start_name(enum record_start start);

/* What the end of its instance says about the call. */
void record_report(struct record *record, const struct sbx_exited *report);
void record_log(struct record *record, const struct capture *capture);

#endif
