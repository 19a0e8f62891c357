#include "api/queue.h"

#include "api/table.h"
#include "supervisor/log.h"
#include "supervisor/util.h"

#include <string.h>

enum number { READY, DELAYED, RESERVED, RUNNING, DEAD, BYTES, OLDEST, ACCEPTED, ACKNOWLEDGED, CRASHED, NUMBERS };

STAILQ_HEAD(request_list, queue_request);

struct queue {
	struct worker worker;
	struct queue_store *store;
	struct worker_task commit_task, limit_task;
	bool commit_posted;
	struct request_list pending;
	pthread_mutex_t lock; /* of the limits */
	struct queue_limits limits;
	_Atomic bool limit_posted;
	const struct queue_events *events;
	void *context;
	uint64_t opened_us;
	_Atomic uint64_t numbers[NUMBERS];
};

/* --- one request -------------------------------------------------------------------------------------------------- */

static int apply(struct queue *queue, struct queue_request *request)
{
	struct queue_store *store = queue->store;
	struct task *item = &request->item;
	uint64_t now_us = clock_realtime_us();

	err_clear(&request->failure);
	switch (request->operation) {
	case QUEUE_PUT:
		return queue_store_put(store, item, &request->failure);
	case QUEUE_TAKE:
		/* A second try finds what the first one took. */
		task_done(item);
		return queue_store_take(store, request->as, now_us, item, &request->failure);
	case QUEUE_ACKNOWLEDGE:
		return queue_store_acknowledge(store, item->id, request->as, item->priority, now_us, &request->failure);
	case QUEUE_PUT_BACK:
		return queue_store_put_back(store, item->id, request->as,
					    request->delay_us > 0 ? now_us + request->delay_us : 0, &request->failure);
	case QUEUE_CRASHED:
		return queue_store_crashed(store, item->id, now_us, &request->dead, &request->failure);
	}
	return -EINVAL;
}

/* The store is as it was, whatever the request wanted. */
static bool is_answer(int result)
{
	return result == 0 || result == -ENOENT || result == -ENOBUFS;
}

static void finish(struct queue *queue, struct queue_request *request)
{
	static const enum number counted[] = {
		[QUEUE_PUT] = ACCEPTED, [QUEUE_ACKNOWLEDGE] = ACKNOWLEDGED, [QUEUE_CRASHED] = CRASHED};

	if (request->result == 0 && request->operation < ARRAY_LEN(counted) && counted[request->operation] != READY)
		atomic_fetch_add(&queue->numbers[counted[request->operation]], 1);
	if (!is_answer(request->result))
		(void)err_wrap(&request->failure, "the task queue");
	worker_post(request->worker, &request->task);
}

static void run_done(struct worker_task *task)
{
	struct queue_request *request = TABLE_OWNER(task, struct queue_request, task);

	request->done(request);
}

/* --- batches ------------------------------------------------------------------------------------------------------ */

/* Only what was promised to somebody has to outlive the machine; what is lost of the rest is done once more. */
static bool must_last(const struct request_list *batch)
{
	const struct queue_request *request = STAILQ_FIRST(batch);

	while (request && request->operation != QUEUE_PUT)
		request = STAILQ_NEXT(request, link);
	return request != NULL;
}

/* All in one transaction, or none. */
static int try_batch(struct queue *queue, struct request_list *batch, struct err *err)
{
	struct queue_request *request = STAILQ_FIRST(batch);
	int r = queue_store_begin(queue->store, must_last(batch), err);

	for (; r == 0 && request; request = STAILQ_NEXT(request, link)) {
		request->result = apply(queue, request);
		if (!is_answer(request->result)) {
			r = request->result;
			*err = request->failure;
		}
	}
	if (r == 0)
		r = queue_store_commit(queue->store, err);
	if (r < 0)
		queue_store_rollback(queue->store);
	return r;
}

/* A transaction of its own. */
static void try_alone(struct queue *queue, struct queue_request *request)
{
	struct err err = ERR_INIT;
	int r = queue_store_begin(queue->store, request->operation == QUEUE_PUT, &err);

	if (r == 0) {
		request->result = apply(queue, request);
		r = is_answer(request->result) ? queue_store_commit(queue->store, &err) : request->result;
	}
	if (r == 0)
		return;
	queue_store_rollback(queue->store);
	request->result = r;
	if (err.code)
		request->failure = err;
}

static void show_numbers(struct queue *queue)
{
	const struct queue_counts *counts = queue_store_counts(queue->store);
	uint64_t oldest_us = 0;
	struct err err = ERR_INIT;

	if (counts->tasks[TASK_READY] > 0 && queue_store_oldest(queue->store, &oldest_us, &err) < 0)
		log_error("the task queue cannot be read", LOG_STR("error", err.text));
	atomic_store(&queue->numbers[READY], counts->tasks[TASK_READY]);
	atomic_store(&queue->numbers[DELAYED], counts->tasks[TASK_DELAYED]);
	atomic_store(&queue->numbers[RESERVED], counts->tasks[TASK_RESERVED]);
	atomic_store(&queue->numbers[RUNNING], counts->tasks[TASK_RUNNING]);
	atomic_store(&queue->numbers[DEAD], counts->tasks[TASK_DEAD]);
	atomic_store(&queue->numbers[BYTES], counts->bytes);
	atomic_store(&queue->numbers[OLDEST], oldest_us);
}

static void run_commit(struct worker_task *task)
{
	struct queue *queue = TABLE_OWNER(task, struct queue, commit_task);
	struct request_list batch = STAILQ_HEAD_INITIALIZER(batch);
	struct queue_request *request;
	struct err err = ERR_INIT;

	queue->commit_posted = false;
	STAILQ_CONCAT(&batch, &queue->pending);
	if (try_batch(queue, &batch, &err) < 0)
		for (request = STAILQ_FIRST(&batch); request; request = STAILQ_NEXT(request, link))
			try_alone(queue, request);
	/* Who hears of an end sees it in the numbers, too. */
	show_numbers(queue);
	while ((request = STAILQ_FIRST(&batch)) != NULL) {
		STAILQ_REMOVE_HEAD(&batch, link);
		/* Its memory is no longer ours from here on. */
		finish(queue, request);
	}
	queue->events->changed(queue->context);
}

/* The commit is behind everything that is in the mailbox now. */
static void run_request(struct worker_task *task)
{
	struct queue_request *request = TABLE_OWNER(task, struct queue_request, task);
	struct queue *queue = request->queue;

	request->task.run = run_done;
	STAILQ_INSERT_TAIL(&queue->pending, request, link);
	if (queue->commit_posted)
		return;
	queue->commit_posted = true;
	queue->commit_task.run = run_commit;
	worker_post(&queue->worker, &queue->commit_task);
}

void queue_submit(struct queue *queue, struct queue_request *request)
{
	request->queue = queue;
	request->task.run = run_request;
	worker_post(&queue->worker, &request->task);
}

/* --- the whole ---------------------------------------------------------------------------------------------------- */

static void run_limit(struct worker_task *task)
{
	struct queue *queue = TABLE_OWNER(task, struct queue, limit_task);

	atomic_store(&queue->limit_posted, false);
	pthread_mutex_lock(&queue->lock);
	queue_store_limit(queue->store, &queue->limits);
	pthread_mutex_unlock(&queue->lock);
}

void queue_limit(struct queue *queue, const struct queue_limits *limits)
{
	pthread_mutex_lock(&queue->lock);
	queue->limits = *limits;
	pthread_mutex_unlock(&queue->lock);
	if (!atomic_exchange(&queue->limit_posted, true))
		worker_post(&queue->worker, &queue->limit_task);
}

int queue_open(const char *path, const struct queue_limits *limits, const struct queue_events *events, void *context,
	       struct queue **ret_queue, struct err *err)
{
	struct queue *queue = calloc(1, sizeof(*queue));
	int r;

	if (!queue)
		return err_sys(err, ENOMEM, "queue");
	(void)pthread_mutex_init(&queue->lock, NULL);
	STAILQ_INIT(&queue->pending);
	queue->events = events;
	queue->context = context;
	queue->opened_us = clock_realtime_us();
	queue->limit_task.run = run_limit;
	r = worker_open(&queue->worker, 0, queue, err);
	if (r == 0)
		r = queue_store_open(path, limits, queue->opened_us, &queue->store, err);
	if (r < 0) {
		queue_close(queue);
		return r;
	}
	show_numbers(queue);
	*ret_queue = queue;
	return 0;
}

/* Those that died before were told of then. */
static void tell_dead(void *context, const struct task *task)
{
	struct queue *queue = context;

	if (task->died_us == queue->opened_us)
		queue->events->died(queue->context, task);
}

int queue_start(struct queue *queue, struct err *err)
{
	int r = queue_store_dead(queue->store, tell_dead, queue, err);

	return r < 0 ? r : worker_start(&queue->worker, err);
}

void queue_stop(struct queue *queue)
{
	if (queue->worker.running)
		worker_stop(&queue->worker);
	worker_join(&queue->worker);
}

void queue_flush(struct queue *queue)
{
	do
		worker_flush(&queue->worker);
	while (queue->commit_posted);
}

void queue_close(struct queue *queue)
{
	if (!queue)
		return;
	worker_close(&queue->worker);
	queue_store_close(queue->store);
	(void)pthread_mutex_destroy(&queue->lock);
	free(queue);
}

struct worker *queue_worker(struct queue *queue)
{
	return &queue->worker;
}

struct queue_numbers queue_numbers(const struct queue *queue)
{
	return (struct queue_numbers){.ready = atomic_load(&queue->numbers[READY]),
				      .delayed = atomic_load(&queue->numbers[DELAYED]),
				      .reserved = atomic_load(&queue->numbers[RESERVED]),
				      .running = atomic_load(&queue->numbers[RUNNING]),
				      .dead = atomic_load(&queue->numbers[DEAD]),
				      .bytes = atomic_load(&queue->numbers[BYTES]),
				      .accepted = atomic_load(&queue->numbers[ACCEPTED]),
				      .acknowledged = atomic_load(&queue->numbers[ACKNOWLEDGED]),
				      .crashed = atomic_load(&queue->numbers[CRASHED])};
}

uint64_t queue_depth(const struct queue *queue)
{
	return atomic_load(&queue->numbers[READY]) + atomic_load(&queue->numbers[DELAYED]);
}

uint64_t queue_oldest_age_us(const struct queue *queue)
{
	uint64_t oldest_us = atomic_load(&queue->numbers[OLDEST]), now_us = clock_realtime_us();

	return oldest_us == 0 || oldest_us > now_us ? 0 : now_us - oldest_us;
}
