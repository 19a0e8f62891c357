/*
 * Counters of what happens to calls, for GET /metrics. Each loop has its own, which only its thread writes: counting is
 * a few plain additions. Whoever answers adds up those of all loops.
 *
 * An app is a label of the counter of calls; the first METRICS_APPS_MAX that are called have their own, all others
 * count as "_other", so that nobody who may create apps makes the answer, or the memory of whoever scrapes it, grow.
 */
#ifndef FERRITE_API_METRICS_H
#define FERRITE_API_METRICS_H

#include "api/record.h"

#define METRICS_APPS_MAX 100
#define METRICS_BUCKETS	 18 /* and one for what is longer */

struct metrics_histogram {
	_Atomic uint64_t buckets[METRICS_BUCKETS + 1]; /* not cumulative */
	_Atomic uint64_t sum_us;
};

/* Begins as zeros. */
struct metrics {
	_Atomic uint64_t calls[METRICS_APPS_MAX + 1][RECORD_OUTCOME_MAX];
	_Atomic uint64_t bytes_in, bytes_out;
	struct metrics_histogram queue, run, start[RECORD_START_MAX];
};

/* The place of an app in the counters; any thread. Once taken it is kept, as counters must not fall. */
unsigned metrics_app(const char *app);

/* The loop's thread: a call has ended. */
void metrics_count(struct metrics *metrics, const struct record *record);

/* Appends the sums over N loops, in Prometheus' text format. */
void metrics_write(const struct metrics *const *metrics, unsigned n, struct text *out);

/* The head of a family: what it is, and its type. Samples follow it at once. */
void metrics_family(struct text *out, const char *name, const char *type, const char *help);
/* A label's value, with its quotes. */
void metrics_label(struct text *out, const char *value);

#endif
