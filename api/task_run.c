#include "api/task_run.h"

#include "api/model.h"
#include "supervisor/log.h"
#include "supervisor/str.h"
#include "supervisor/util.h"

#include <string.h>

/* Of what a task writes to its standard output, in the log. */
#define OUTPUT_LOGGED_MAX (64 * 1024)
/* Beyond it no task is taken. */
#define PAYLOAD_BYTES_MAX (256 * MIB)
#define LINE_MAX_BYTES	  1000

bool task_slots_take(struct task_slots *slots)
{
	unsigned used = atomic_load(&slots->used);

	do
		if (used >= atomic_load(&slots->limit))
			return false;
	while (!atomic_compare_exchange_weak(&slots->used, &used, used + 1));
	return true;
}

void task_slots_give(struct task_slots *slots)
{
	atomic_fetch_sub(&slots->used, 1);
}

/* --- the end ------------------------------------------------------------------------------------------------------ */

static void run_ended(struct worker_task *task)
{
	struct task_run *run = TABLE_OWNER(task, struct task_run, step);

	run->ended(run);
}

static void end(struct task_run *run, enum task_verdict verdict)
{
	run->verdict = verdict;
	run->step.run = run_ended;
	worker_post(run->worker, &run->step);
}

/* There is nobody else to tell what it wrote. */
static void log_output(const struct task_run *run, struct evbuffer *output)
{
	struct loglimit limit = {0};
	size_t logged = 0;
	char line[LINE_MAX_BYTES + 1];

	if (!log_enabled(LOG_LEVEL_INFO))
		return;
	while (logged < OUTPUT_LOGGED_MAX && evbuffer_get_length(output) > 0) {
		struct evbuffer_ptr newline = evbuffer_search_eol(output, NULL, NULL, EVBUFFER_EOL_LF);
		size_t length = newline.pos < 0 ? evbuffer_get_length(output) : (size_t)newline.pos;
		size_t n = MIN(length, (size_t)LINE_MAX_BYTES);

		(void)evbuffer_remove(output, line, n);
		(void)evbuffer_drain(output, n == length && newline.pos >= 0);
		line[n] = '\0';
		logged += n + 1;
		if (!loglimit_allows(&limit, clock_monotonic_us()))
			break;
		log_info(line, LOG_STR("user_log", "true"), LOG_STR("app_name", run->item.app),
			 LOG_STR("path", run->item.path), LOG_STR("image", run->item.image),
			 LOG_STR("call_id", run->item.id));
	}
	if (evbuffer_get_length(output) > 0)
		log_info("the rest of a task's output is not logged", LOG_STR("call_id", run->item.id),
			 LOG_INT("bytes", evbuffer_get_length(output)));
}

static void on_ended(struct call_task *call, const struct call_end *result, struct evbuffer *output)
{
	struct task_run *run = TABLE_OWNER(call, struct task_run, call);

	log_output(run, output);
	if (result->outcome == CALL_BROKEN)
		end(run, TASK_CRASHED);
	else if (result->outcome != CALL_REFUSED)
		end(run, TASK_OVER);
	/* 504: it waited in vain for an instance. */
	else if (result->status == 503 || result->status == 504)
		end(run, TASK_LATER);
	else
		end(run, TASK_UNABLE);
}

/* --- the function ------------------------------------------------------------------------------------------------- */

/* The document of the route, with the image that was frozen; where it is gone, or STORE is NULL, the defaults. */
static int route_document(struct store *store, const struct task *item, struct text *out, struct err *err)
{
	_cleanup_(route_done) struct route route = {0};
	_cleanup_(text_done) struct text stored = {0};
	_cleanup_json_ json_t *object = NULL;
	int r = store ? store_route_get(store, item->app, item->path, &stored, err) : -ENOENT;

	if (r == 0) {
		object = json_loadb(stored.data, stored.length, 0, NULL);
		r = object ? route_read(object, &route) : -EINVAL;
	} else if (r == -ENOENT) {
		route.app_name = strdup(item->app);
		route.path = strdup(item->path);
		r = route.app_name && route.path ? 0 : -ENOMEM;
	}
	free(route.image);
	route.image = strdup(item->image);
	if (r == 0)
		r = route.image ? route_complete(&route) : -ENOMEM;
	if (r < 0)
		return err_set(err, r, "the route of a task cannot be made");
	route_write(&route, out);
	return out->failed ? err_sys(err, ENOMEM, "the route of a task") : 0;
}

static int default_app(const struct task *item, struct text *out, struct err *err)
{
	text_puts(out, "{\"name\":");
	text_json(out, item->app);
	text_puts(out, ",\"config\":null}");
	return out->failed ? err_sys(err, ENOMEM, "the app of a task") : 0;
}

int task_function(const struct task *item, struct function **ret_function, struct err *err)
{
	_cleanup_(text_done) struct text app = {0}, route = {0};
	int r = default_app(item, &app, err);

	if (r == 0)
		r = route_document(NULL, item, &route, err);
	return r < 0 ? r : function_make(app.data, route.data, ret_function, err);
}

static int make_function(struct api_loop *loop, const struct task *item, bool exists, struct function **ret_function,
			 struct err *err)
{
	_cleanup_(text_done) struct text app = {0}, route = {0};
	int r = store_app_get(loop->store, item->app, &app, err);

	if (r == -ENOENT)
		r = default_app(item, &app, err);
	if (r == 0)
		r = route_document(exists ? loop->store : NULL, item, &route, err);
	return r < 0 ? r : function_make(app.data, route.data, ret_function, err);
}

static int find_function(struct api_loop *loop, const struct task *item, struct function **ret_function,
			 struct err *err)
{
	struct api *api = loop->api;
	struct function *found = NULL;
	enum function_missing missing;
	int r = functions_find(&api->dispatcher->functions, loop->store, atomic_load(&api->generation), item->app,
			       item->path, &found, &missing, err);

	if (r < 0)
		return r;
	if (missing == FUNCTION_FOUND && strcmp(found->image, item->image) == 0) {
		*ret_function = found;
		return 0;
	}
	if (missing == FUNCTION_FOUND)
		function_unref(found);
	else
		log_info("the route of a task is gone: it runs with the defaults", LOG_STR("app_name", item->app),
			 LOG_STR("path", item->path), LOG_STR("call_id", item->id));
	return make_function(loop, item, missing == FUNCTION_FOUND, ret_function, err);
}

/* --- the beginning ------------------------------------------------------------------------------------------------ */

static unsigned count_variables(const struct task *item)
{
	unsigned n = 0;

	for (const char *at = item->variables; at < item->variables + item->variables_size; at += strlen(at) + 1)
		n++;
	return n;
}

/* The payload stays with the task, for it may be needed once more. */
static int prepare(struct task_run *run)
{
	struct task *item = &run->item;

	if (!run->payload)
		run->payload = evbuffer_new();
	if (!run->payload)
		return -ENOMEM;
	(void)evbuffer_drain(run->payload, evbuffer_get_length(run->payload));
	run->call = (struct call_task){.variables = item->variables,
				       .n_variables = count_variables(item),
				       .payload = run->payload,
				       .created_us = item->created_us,
				       .ended = on_ended};
	/* Another queue may have ids of its own kind. */
	if (strlen(item->id) != CALL_ID_LENGTH || !str_copy(run->call.id, sizeof(run->call.id), item->id))
		call_make_id(run->call.id);
	return item->payload_size > 0 ? evbuffer_add(run->payload, item->payload, item->payload_size) : 0;
}

static bool can_ever_run(const struct api_loop *loop, const struct task *item, const struct function *function)
{
	if (function->memory_bytes <= loop->settings.memory_bytes)
		return true;
	log_error("a task was dropped: its route wants more memory than there is", LOG_STR("app_name", item->app),
		  LOG_STR("path", item->path), LOG_STR("call_id", item->id),
		  LOG_INT("memory_bytes", function->memory_bytes));
	return false;
}

/* Asked before there is a call, so that what has to wait is not a call that failed. An instance has its memory. */
static bool has_room(const struct api_loop *loop, const struct function *function)
{
	return function->pool || budget_has_half(&loop->api->dispatcher->budget, function->memory_bytes);
}

/* TASK_OVER: the call is on its way, and says itself when it is. */
static enum task_verdict try_start(struct task_run *run, struct err *err)
{
	struct function *function = NULL;
	struct call *call;
	enum task_verdict refusal;

	if (prepare(run) < 0) {
		(void)err_sys(err, ENOMEM, "payload");
		return TASK_LATER;
	}
	if (find_function(run->loop, &run->item, &function, err) < 0)
		return TASK_LATER;
	refusal = !can_ever_run(run->loop, &run->item, function) ? TASK_UNABLE
		  : !has_room(run->loop, function)		 ? TASK_LATER
								 : TASK_OVER;
	if (refusal != TASK_OVER) {
		function_unref(function);
		return refusal;
	}
	call = call_new_task(run->loop, function, &run->call);
	if (!call) {
		(void)err_sys(err, ENOMEM, "call");
		return TASK_LATER;
	}
	call_start(call, run->payload);
	return TASK_OVER;
}

static void run_start(struct worker_task *task)
{
	struct task_run *run = TABLE_OWNER(task, struct task_run, step);
	struct err err = ERR_INIT;
	char id[TASK_ID_MAX + 1];
	enum task_verdict refusal;

	/* The run may have ended, and be gone, by the time that it has been started. */
	memcpy(id, run->item.id, sizeof(id));
	refusal = try_start(run, &err);
	if (err.code)
		log_error("a task cannot be started now", LOG_STR("call_id", id), LOG_STR("error", err.text));
	if (refusal != TASK_OVER)
		end(run, refusal);
}

void task_run_take(struct api *api, struct task_run *run, struct task *item)
{
	run->api = api;
	run->item = *item;
	*item = (struct task){0};
	run->counted = run->item.payload_size;
	atomic_fetch_add(&api->task_bytes, run->counted);
}

bool task_run_has_memory(const struct api *api)
{
	return atomic_load(&api->task_bytes) < PAYLOAD_BYTES_MAX;
}

void task_run_start(struct task_run *run)
{
	struct api *api = run->api;

	run->loop = &api->loops[atomic_fetch_add(&api->next_loop, 1) % api->n_loops];
	run->step.run = run_start;
	worker_post(&run->loop->worker, &run->step);
}

void task_run_done(struct task_run *run)
{
	if (run->payload)
		evbuffer_free(run->payload);
	run->payload = NULL;
	if (run->api)
		atomic_fetch_sub(&run->api->task_bytes, run->counted);
	task_done(&run->item);
}
