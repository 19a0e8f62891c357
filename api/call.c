#include "api/call.h"
#include "api/hot.h"
#include "api/variables.h"

#include "supervisor/log.h"
#include "supervisor/str.h"
#include "supervisor/util.h"

#include <stdarg.h>
#include <string.h>

/* A random (version 4) UUID. Each thread takes randomness from the kernel for many of them at once. */
void call_make_id(char *id)
{
	static const char digits[] = "0123456789abcdef";
	static _Thread_local unsigned char pool[1024];
	static _Thread_local size_t left;
	unsigned char *b;

	if (left == 0) {
		random_bytes(pool, sizeof(pool));
		left = sizeof(pool);
	}
	left -= 16;
	b = pool + left;
	b[6] = (unsigned char)((b[6] & 0x0f) | 0x40);
	b[8] = (unsigned char)((b[8] & 0x3f) | 0x80);
	for (unsigned i = 0; i < 16; i++) {
		if (i == 4 || i == 6 || i == 8 || i == 10)
			*id++ = '-';
		*id++ = digits[b[i] >> 4];
		*id++ = digits[b[i] & 15];
	}
	*id = '\0';
}

static void on_gone(struct http_request *request)
{
	struct call *call = request->user;

	call->request = NULL;
	switch (call->stage) {
	case CALL_BODY:
		call_abandon(call);
		break;
	case CALL_LINE:
		if (pool_cancel(call->function->pool, &call->turn))
			call_abandon(call);
		break;
	case CALL_WAITING:
		if (budget_cancel(&call->loop->api->dispatcher->budget, &call->wait))
			call_abandon(call);
		break;
	case CALL_RUNNING:
		call_stop(call);
		call_abandon(call);
		break;
	case CALL_OPENING:
	case CALL_ATTACHING:
	case CALL_CREATING:
		/* A reply is on its way; the call ends when it is there. */
		break;
	}
}

static struct call *new_call(struct api_loop *loop, struct function *function)
{
	struct call *call = calloc(1, sizeof(*call));

	if (call)
		call->output = evbuffer_new();
	if (!call || !call->output) {
		free(call);
		function_unref(function);
		return NULL;
	}
	call->loop = loop;
	call->function = function;
	call->peer.worker = call->wait.worker = call->turn.worker = &loop->worker;
	spool_open(&call->payload, &loop->api->spools);
	return call;
}

struct call *call_new(struct http_request *request, struct function *function)
{
	struct call *call = new_call(api_loop_of(request), function);

	if (!call)
		return NULL;
	call_make_id(call->id);
	call->request = request;
	call->received_us = request->received_us;
	request->user = call;
	request->gone = on_gone;
	return call;
}

struct call *call_new_task(struct api_loop *loop, struct function *function, struct call_task *task)
{
	struct call *call = new_call(loop, function);

	if (!call)
		return NULL;
	(void)str_copy(call->id, sizeof(call->id), task->id);
	call->task = task;
	call->received_us = clock_monotonic_us();
	return call;
}

static void call_free(struct call *call)
{
	if (call->instance)
		instance_detach(call->instance);
	if (call->starting)
		hot_not_started(call);
	grant_release(call->loop->api, &call->grant);
	if (call->timer)
		event_free(call->timer);
	spool_done(&call->payload);
	evbuffer_free(call->output);
	answer_done(&call->answer);
	share_free(call->share);
	capture_done(&call->captured);
	text_done(&call->head);
	text_done(&call->gpu_env);
	text_done(&call->tail);
	image_unref(call->image);
	function_unref(call->function);
	free(call);
}

void call_start(struct call *call, struct evbuffer *payload)
{
	atomic_fetch_add(&call->loop->api->dispatcher->queued, 1);
	call->is_queued = true;
	if (payload && spool_take(&call->payload, payload) < 0) {
		call_fail(call, CALL_REFUSED, 503, "ferrite is out of memory");
		return;
	}
	call->bytes_in = call->payload.length;
	call_open_image(call);
}

void call_stop(struct call *call)
{
	if (call->instance->hot)
		(void)pool_drop(&call->instance->member);
	instance_kill(call->instance, 0);
}

void call_variables(const struct call *call, struct env *env)
{
	const char *at;

	if (call->request) {
		variables_of_request(env, call->request, call->function);
		return;
	}
	at = call->task->variables;
	for (unsigned i = 0; i < call->task->n_variables; i++, at += strlen(at) + 1)
		env_put(env, at);
}

/* --- the end ------------------------------------------------------------------------------------------------------ */

/* Anybody can make calls fail, and fast. */
static void log_failure(struct call *call, const struct call_end *end)
{
	struct loglimit *limit = &call->loop->failures;
	uint64_t dropped = limit->dropped;

	if (!log_enabled(LOG_LEVEL_INFO) || !loglimit_allows(limit, clock_monotonic_us()))
		return;
	limit->dropped = 0;
	if (dropped > 0)
		log_warn("failed calls were not logged", LOG_INT("calls", dropped));
	log_info("call failed", LOG_STR("app_name", call->function->app), LOG_STR("path", call->function->path),
		 LOG_STR("image", call->function->image), LOG_STR("call_id", call->id), LOG_INT("status", end->status),
		 LOG_STR("error", end->message));
}

/* Before anybody is told: who asks for the numbers afterwards finds the call among the complete ones. */
static void count_end(const struct call *call)
{
	struct dispatcher *dispatcher = call->loop->api->dispatcher;

	if (call->is_queued)
		atomic_fetch_sub(&dispatcher->queued, 1);
	if (call->is_running)
		atomic_fetch_sub(&dispatcher->running, 1);
	if (call->is_queued || call->is_running)
		atomic_fetch_add(&dispatcher->complete, 1);
}

void call_end(struct call *call, const struct call_end *end)
{
	count_end(call);
	/* From here on the output is the connection's. */
	if (call->output_counted > 0)
		atomic_fetch_sub(&call->loop->api->http.buffered, call->output_counted);
	if (end->message)
		log_failure(call, end);
	else
		log_debug("call done", LOG_STR("app_name", call->function->app), LOG_STR("path", call->function->path),
			  LOG_STR("image", call->function->image), LOG_STR("call_id", call->id),
			  LOG_INT("status", end->status), LOG_INT("bytes", evbuffer_get_length(call->output)));
	call_observe(call, end);
	if (call->request)
		call_answer(call, end);
	else if (call->task)
		call->task->ended(call->task, end, call->output);
	call_free(call);
}

void call_fail(struct call *call, enum call_outcome outcome, unsigned status, const char *format, ...)
{
	char message[ERR_TEXT_MAX + 256];
	struct call_end end = {.outcome = outcome,
			       .status = status,
			       .message = message,
			       .report = call->has_report ? &call->report : NULL};
	va_list args;

	va_start(args, format);
	(void)vsnprintf(message, sizeof(message), format, args);
	va_end(args);
	call_end(call, &end);
}

void call_abandon(struct call *call)
{
	call_fail(call, CALL_ABANDONED, 0, "the client went away");
}
