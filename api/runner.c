#include "api/runner.h"

#include "api/hot.h"
#include "api/recorder.h"
#include "supervisor/log.h"
#include "supervisor/util.h"

#include <string.h>

#define TICK_US	   1000000
#define TAKING_MAX 4 /* each may be as large as a task can be */
/* A task that was refused so often goes back to the queue for a while, so that others get its slot. */
#define REFUSALS_MAX 5
#define REFUSED_US   5000000

struct own_run {
	struct task_run run;
	struct queue_request queue;
	struct runner *runner;
	unsigned refusals;
	TAILQ_ENTRY(own_run) link;
};

TAILQ_HEAD(run_list, own_run);

struct runner {
	struct api *api;
	struct event *tick;
	bool started;
	_Atomic bool stopping;
	unsigned taking; /* requests to the queue that have not come back */
	bool paused;	 /* until the next tick: the queue failed */
	unsigned n_parked;
	struct run_list parked;	 /* taken, but there was no room */
	struct run_list unsaved; /* ended, but the queue could not be told */
};

static void pump(struct runner *runner);

static void free_run(struct own_run *own)
{
	task_run_done(&own->run);
	task_done(&own->queue.item);
	task_slots_give(&own->runner->api->task_slots);
	free(own);
}

/* --- the end of a run --------------------------------------------------------------------------------------------- */

static bool keeps_history(struct api *api)
{
	bool keeps;

	pthread_mutex_lock(&api->settings_lock);
	keeps = api->settings.history.calls > 0;
	pthread_mutex_unlock(&api->settings_lock);
	return keeps;
}

/* Runs that ended with this process left no record; the newest one of its id says what became of the task. */
static void record_dead(struct api *api, const struct task *item, unsigned crashes, uint64_t died_us)
{
	struct function *function = NULL;
	struct record *record;
	struct err err = ERR_INIT;
	char message[96];

	if (!keeps_history(api) || task_function(item, &function, &err) < 0)
		return;
	record = record_new(function, item->id);
	function_unref(function);
	if (!record)
		return;
	(void)snprintf(message, sizeof(message), "given up: something crashed each of the %u times that it ran",
		       crashes);
	record->async = true;
	record->outcome = RECORD_BROKEN;
	record->status = 502;
	record->message = strdup(message);
	record->ended_us = (int64_t)clock_monotonic_us();
	record->created_us = (int64_t)item->created_us;
	record->completed_us = (int64_t)died_us;
	record->bytes_in = (int64_t)item->payload_size;
	recorder_add(&api->loops[0], record);
}

static void give_up(struct runner *runner, const struct task *item, unsigned crashes, uint64_t died_us)
{
	log_error("a task was given up: something crashed each time it ran", LOG_STR("app_name", item->app),
		  LOG_STR("path", item->path), LOG_STR("image", item->image), LOG_STR("call_id", item->id),
		  LOG_INT("crashes", crashes));
	record_dead(runner->api, item, crashes, died_us);
}

static void on_saved(struct queue_request *queue)
{
	struct own_run *own = TABLE_OWNER(queue, struct own_run, queue);
	struct runner *runner = own->runner;
	const struct task *item = &own->run.item;

	if (queue->result < 0 && queue->result != -ENOENT) {
		log_error("the end of a task cannot be stored, it is tried again", LOG_STR("call_id", item->id),
			  LOG_STR("error", queue->failure.text));
		TAILQ_INSERT_TAIL(&runner->unsaved, own, link);
		return;
	}
	if (queue->operation == QUEUE_CRASHED && queue->result == 0 && queue->dead)
		give_up(runner, item, item->crashes + 1, clock_realtime_us());
	free_run(own);
	pump(runner);
}

static void save(struct own_run *own)
{
	queue_submit(own->runner->api->queue, &own->queue);
}

/* In its place: where two have no room, the one that was first stays first. */
static void park(struct own_run *own)
{
	struct runner *runner = own->runner;
	struct own_run *other;

	runner->n_parked++;
	TAILQ_FOREACH(other, &runner->parked, link)
	if (other->run.item.priority < own->run.item.priority ||
	    (other->run.item.priority == own->run.item.priority &&
	     other->run.item.created_us > own->run.item.created_us)) {
		TAILQ_INSERT_BEFORE(other, own, link);
		return;
	}
	TAILQ_INSERT_TAIL(&runner->parked, own, link);
}

static void start_parked(struct runner *runner)
{
	struct own_run *own = TAILQ_FIRST(&runner->parked);

	if (!own || atomic_load(&runner->stopping) || !budget_has_half(&runner->api->dispatcher->budget, 0))
		return;
	runner->n_parked--;
	TAILQ_REMOVE(&runner->parked, own, link);
	atomic_fetch_add(&runner->api->tasks_running, 1);
	task_run_start(&own->run);
}

static void on_ended(struct task_run *run)
{
	static const enum queue_operation operations[] = {[TASK_OVER] = QUEUE_ACKNOWLEDGE,
							  [TASK_UNABLE] = QUEUE_ACKNOWLEDGE,
							  [TASK_LATER] = QUEUE_PUT_BACK,
							  [TASK_CRASHED] = QUEUE_CRASHED};
	struct own_run *own = TABLE_OWNER(run, struct own_run, run);
	struct runner *runner = own->runner;

	atomic_fetch_sub(&runner->api->tasks_running, 1);
	if (run->verdict == TASK_LATER && ++own->refusals < REFUSALS_MAX) {
		park(own);
		return;
	}
	own->queue.operation = operations[run->verdict];
	own->queue.delay_us = REFUSED_US;
	own->queue.done = on_saved;
	memcpy(own->queue.item.id, run->item.id, sizeof(run->item.id));
	own->queue.item.priority = run->item.priority;
	save(own);
	/* Its memory is free. */
	start_parked(runner);
}

/* --- the beginning ------------------------------------------------------------------------------------------------ */

static void on_taken(struct queue_request *queue)
{
	struct own_run *own = TABLE_OWNER(queue, struct own_run, queue);
	struct runner *runner = own->runner;

	runner->taking--;
	if (queue->result < 0) {
		if (queue->result != -ENOENT) {
			log_error("no task can be taken", LOG_STR("error", queue->failure.text));
			runner->paused = true;
		}
		free_run(own);
		return;
	}
	task_run_take(runner->api, &own->run, &queue->item);
	own->run.worker = queue_worker(runner->api->queue);
	own->run.ended = on_ended;
	atomic_fetch_add(&runner->api->tasks_running, 1);
	task_run_start(&own->run);
	pump(runner);
}

/* False: no slot is free. */
static bool take(struct runner *runner)
{
	struct api *api = runner->api;
	struct own_run *own;

	if (!task_slots_take(&api->task_slots))
		return false;
	own = calloc(1, sizeof(*own));
	if (!own) {
		task_slots_give(&api->task_slots);
		return false;
	}
	own->runner = runner;
	own->queue = (struct queue_request){
		.operation = QUEUE_TAKE, .as = TASK_RUNNING, .worker = queue_worker(api->queue), .done = on_taken};
	runner->taking++;
	queue_submit(api->queue, &own->queue);
	return true;
}

static bool may_take(const struct runner *runner)
{
	return runner->started && !atomic_load(&runner->stopping) && !runner->paused && runner->taking < TAKING_MAX &&
	       task_run_has_memory(runner->api) && budget_has_half(&runner->api->dispatcher->budget, 0);
}

static void pump(struct runner *runner)
{
	uint64_t ready = queue_numbers(runner->api->queue).ready;

	while (runner->taking < ready && may_take(runner) && take(runner))
		;
}

static void on_changed(void *context)
{
	pump(context);
}

static void on_died(void *context, const struct task *task)
{
	give_up(context, task, task->crashes, task->died_us);
}

const struct queue_events runner_events = {.changed = on_changed, .died = on_died};

static void on_tick(evutil_socket_t fd, short what, void *context)
{
	struct runner *runner = context;
	struct queue_numbers numbers = queue_numbers(runner->api->queue);
	struct run_list unsaved = TAILQ_HEAD_INITIALIZER(unsaved);
	struct own_run *own;

	(void)fd;
	(void)what;
	runner->paused = false;
	if (numbers.ready + runner->n_parked > 0)
		hot_make_half(runner->api->dispatcher);
	TAILQ_CONCAT(&unsaved, &runner->unsaved, link);
	while ((own = TAILQ_FIRST(&unsaved)) != NULL) {
		TAILQ_REMOVE(&unsaved, own, link);
		save(own);
	}
	for (unsigned n = runner->n_parked; n > 0; n--)
		start_parked(runner);
	pump(runner);
	/* What has a time of its own to come back is not ready before somebody asks. */
	if (numbers.delayed + numbers.reserved > 0 && runner->taking == 0 && may_take(runner))
		(void)take(runner);
}

/* --- the whole ---------------------------------------------------------------------------------------------------- */

int runner_open(struct api *api, struct runner **ret_runner, struct err *err)
{
	struct runner *runner = calloc(1, sizeof(*runner));

	if (!runner)
		return err_sys(err, ENOMEM, "workers");
	runner->api = api;
	TAILQ_INIT(&runner->parked);
	TAILQ_INIT(&runner->unsaved);
	*ret_runner = runner;
	return 0;
}

int runner_start(struct runner *runner, struct err *err)
{
	static const struct timeval interval = {.tv_usec = TICK_US % 1000000, .tv_sec = TICK_US / 1000000};

	runner->tick = event_new(queue_worker(runner->api->queue)->base, -1, EV_PERSIST, on_tick, runner);
	if (!runner->tick || event_add(runner->tick, &interval) < 0)
		return err_set(err, ENOMEM, "workers");
	runner->started = true;
	return 0;
}

void runner_stop(struct runner *runner)
{
	atomic_store(&runner->stopping, true);
}

void runner_rest(struct runner *runner)
{
	if (runner->tick)
		event_free(runner->tick);
	runner->tick = NULL;
}

static void free_list(struct run_list *list)
{
	struct own_run *own;

	while ((own = TAILQ_FIRST(list)) != NULL) {
		TAILQ_REMOVE(list, own, link);
		free_run(own);
	}
}

void runner_close(struct runner *runner)
{
	if (!runner)
		return;
	free_list(&runner->parked);
	free_list(&runner->unsaved);
	free(runner);
}
