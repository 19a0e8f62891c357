#include "api/recorder.h"

#include "api/api.h"
#include "supervisor/log.h"
#include "supervisor/util.h"

#include <string.h>

#define INTERVAL_US  500000	  /* between two batches */
#define TRIM_US	     60000000	  /* when nothing comes, so that what is too old goes */
#define RECORDS_MAX  16384	  /* of one loop */
#define BATCH	     8192	  /* this many are not kept waiting */
#define LOGS_MAX     (16ul << 20) /* bytes of captured logs of one loop */
#define COMPLAINT_US 60000000	  /* a disk that is full stays full for a while */

struct recorder {
	struct api *api;
	struct history *history;
	struct event *timer;
	bool hurried; /* the timer runs for records, not for age */
	uint64_t complained_us;
};

/* --- the loops' side ---------------------------------------------------------------------------------------------- */

static struct record *take_first(struct record_feed *feed)
{
	struct record *record = STAILQ_FIRST(&feed->list);

	STAILQ_REMOVE_HEAD(&feed->list, link);
	feed->n--;
	feed->log_bytes -= record->log.length;
	return record;
}

void recorder_add(struct api_loop *loop, struct record *record)
{
	struct record_feed *feed = &loop->feed;
	bool post;

	pthread_mutex_lock(&feed->lock);
	STAILQ_INSERT_TAIL(&feed->list, record, link);
	feed->n++;
	feed->log_bytes += record->log.length;
	while (feed->n > RECORDS_MAX || feed->log_bytes > LOGS_MAX)
		record_free(take_first(feed));
	post = !feed->posted && (feed->n == 1 || feed->n == BATCH);
	feed->posted |= post;
	pthread_mutex_unlock(&feed->lock);
	if (post)
		worker_post(&loop->api->writer, &feed->task);
}

/* --- the writer's side -------------------------------------------------------------------------------------------- */

static void set_timer(struct recorder *recorder, uint64_t us)
{
	const struct timeval interval = {.tv_sec = (time_t)(us / 1000000), .tv_usec = (suseconds_t)(us % 1000000)};

	recorder->hurried = us != TRIM_US;
	(void)evtimer_add(recorder->timer, &interval);
}

static size_t collect(struct api *api, struct record_list *list)
{
	size_t n = 0;

	STAILQ_INIT(list);
	for (unsigned i = 0; i < api->n_loops; i++) {
		struct record_feed *feed = &api->loops[i].feed;

		pthread_mutex_lock(&feed->lock);
		STAILQ_CONCAT(list, &feed->list);
		n += feed->n;
		feed->n = 0;
		feed->log_bytes = 0;
		pthread_mutex_unlock(&feed->lock);
	}
	return n;
}

static int compare(const void *a, const void *b)
{
	const struct record *left = *(struct record *const *)a, *right = *(struct record *const *)b;

	if (left->ended_us != right->ended_us)
		return left->ended_us < right->ended_us ? -1 : 1;
	return left->addition - right->addition;
}

void recorder_failed(struct recorder *recorder, const struct err *err)
{
	uint64_t now = clock_monotonic_us();
	struct err second = ERR_INIT;

	if (recorder->complained_us == 0 || now - recorder->complained_us >= COMPLAINT_US) {
		log_error("the call history failed", LOG_STR("error", err->text));
		recorder->complained_us = now;
	}
	if (err->code == -EUCLEAN && history_recover(recorder->history, &second) < 0)
		log_error("the call history cannot be begun anew", LOG_STR("error", second.text));
}

static void write_batch(struct recorder *recorder, struct record **records, size_t n)
{
	struct err err = ERR_INIT;

	if (history_write(recorder->history, records, n, clock_realtime_us(), &err) == 0)
		return;
	recorder_failed(recorder, &err);
	/* Once more, in the new file where the old one was damaged. */
	err_clear(&err);
	if (history_write(recorder->history, records, n, clock_realtime_us(), &err) < 0)
		log_debug("calls are missing in the history", LOG_INT("calls", n), LOG_STR("error", err.text));
}

static void take_limits(struct recorder *recorder)
{
	struct api *api = recorder->api;

	pthread_mutex_lock(&api->settings_lock);
	history_limit(recorder->history, &api->settings.history);
	pthread_mutex_unlock(&api->settings_lock);
}

static void flush(struct recorder *recorder)
{
	_cleanup_free_ struct record **records = NULL;
	struct record_list list;
	struct record *record;
	size_t n = collect(recorder->api, &list), i = 0;

	take_limits(recorder);
	records = malloc(MAX(n, 1) * sizeof(struct record *));
	for (record = STAILQ_FIRST(&list); records && record; record = STAILQ_NEXT(record, link))
		records[i++] = record;
	if (records) {
		qsort(records, n, sizeof(struct record *), compare);
		write_batch(recorder, records, n);
	}
	while ((record = STAILQ_FIRST(&list)) != NULL) {
		STAILQ_REMOVE_HEAD(&list, link);
		record_free(record);
	}
	set_timer(recorder, TRIM_US);
}

static void on_timer(evutil_socket_t fd, short what, void *context)
{
	(void)fd;
	(void)what;
	flush(context);
}

static void run_feed(struct worker_task *task)
{
	struct api_loop *loop = TABLE_OWNER(task, struct api_loop, feed.task);
	struct recorder *recorder = loop->api->recorder;
	unsigned n;

	pthread_mutex_lock(&loop->feed.lock);
	loop->feed.posted = false;
	n = loop->feed.n;
	pthread_mutex_unlock(&loop->feed.lock);
	if (n >= BATCH)
		flush(recorder);
	else if (n > 0 && !recorder->hurried)
		set_timer(recorder, INTERVAL_US);
}

struct history *recorder_history(struct recorder *recorder)
{
	flush(recorder);
	return recorder->history;
}

/* --- life --------------------------------------------------------------------------------------------------------- */

void record_feed_open(struct record_feed *feed)
{
	(void)pthread_mutex_init(&feed->lock, NULL);
	STAILQ_INIT(&feed->list);
	feed->task.run = run_feed;
}

void record_feed_close(struct record_feed *feed)
{
	while (!STAILQ_EMPTY(&feed->list))
		record_free(take_first(feed));
	(void)pthread_mutex_destroy(&feed->lock);
}

int recorder_open(struct api *api, struct recorder **ret_recorder, struct err *err)
{
	struct recorder *recorder = calloc(1, sizeof(*recorder));
	const char *path = *api->settings.history_path ? api->settings.history_path : ":memory:";
	struct err note = ERR_INIT;
	int r;

	if (!recorder)
		return err_sys(err, ENOMEM, "call history");
	recorder->api = api;
	r = history_open(path, &recorder->history, &note);
	if (r == 1)
		log_warn("the call history was set aside, and a new one begun", LOG_STR("reason", note.text));
	if (r < 0) {
		log_error("the call history is kept in memory only", LOG_STR("error", note.text));
		r = history_open(":memory:", &recorder->history, err);
	}
	if (r >= 0)
		recorder->timer = evtimer_new(api->writer.base, on_timer, recorder);
	if (!recorder->timer) {
		history_close(recorder->history);
		free(recorder);
		return r < 0 ? r : err_set(err, ENOMEM, "call history");
	}
	set_timer(recorder, TRIM_US);
	*ret_recorder = recorder;
	return 0;
}

void recorder_close(struct recorder *recorder)
{
	if (!recorder)
		return;
	flush(recorder);
	event_free(recorder->timer);
	history_close(recorder->history);
	free(recorder);
}
