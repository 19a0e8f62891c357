/*
 * The call history: the newest calls of each app, in one SQLite file. It is an observation, not a promise: nothing is
 * synced, so a machine that loses its power may lose the last seconds; a file that cannot be used is set aside. Bounded
 * in number for each app, in age, and in bytes over all.
 *
 * A struct history is one connection and belongs to the writer thread. Each call has a number in the order of their
 * ends: a time in microseconds, made larger where it would repeat, so that it grows over restarts too. Documents are
 * appended to the caller's text.
 */
#ifndef FERRITE_API_HISTORY_H
#define FERRITE_API_HISTORY_H

#include "api/record.h"

#define HISTORY_LIST_MAX 1000 /* calls of one answer */

struct history_limits {
	unsigned calls; /* of each app; 0: none are kept */
	uint64_t age_us;
	uint64_t bytes; /* of all records together, as they are counted: texts, log, and 512 for the rest */
};

struct history_filter {
	const char *app;       /* NULL: all */
	const char *path;      /* NULL: any */
	unsigned outcomes;     /* bits of enum record_outcome */
	int min_status;	       /* both 0: any, and those without one */
	int max_status;	       /* inclusive */
	int64_t since_us;      /* created then or later, CLOCK_REALTIME */
	int64_t before, after; /* numbers, exclusive; 0: no bound */
	unsigned limit;
};

struct history;

/*
 * Opens or creates PATH (":memory:" is fine). A file that is damaged, of a newer version or no history at all is
 * renamed to PATH.unusable, and a new one begun: then 1 is returned, and *ERR says why.
 */
int history_open(const char *path, struct history **ret_history, struct err *err);
void history_close(struct history *history);
/* They count from the next history_write() or history_trim() on. */
void history_limit(struct history *history, const struct history_limits *limits);

/*
 * Writes N records, the oldest first. Of each app only the newest that will be kept are written at all, so that the
 * cost is bounded however many calls have ended. NOW is CLOCK_REALTIME. -EUCLEAN: the file is damaged.
 */
int history_write(struct history *history, struct record *const *records, size_t n, uint64_t now_us, struct err *err);
/* Drops what is too old or too much. */
int history_trim(struct history *history, uint64_t now_us, struct err *err);
/* Sets a damaged file aside and begins a new one. */
int history_recover(struct history *history, struct err *err);

/* Documents with commas between them, without brackets; the newest first. */
int history_list(struct history *history, const struct history_filter *filter, struct text *out, struct err *err);
/* The newest call of that id; -ENOENT. */
int history_get(struct history *history, const char *app, const char *id, struct text *out, struct err *err);
/* What it wrote on standard error; -ENOENT. */
int history_log(struct history *history, const char *app, const char *id, struct text *out, bool *ret_truncated,
		struct err *err);

#endif
