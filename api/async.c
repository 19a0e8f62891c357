#include "api/async.h"

#include "api/call.h"
#include "api/queue.h"
#include "api/variables.h"
#include "supervisor/log.h"
#include "supervisor/util.h"

#include <string.h>

struct submission {
	struct queue_request queue;
	struct http_request *request; /* NULL: gone */
	struct function *function;
};

static void submission_free(struct submission *submission)
{
	task_done(&submission->queue.item);
	function_unref(submission->function);
	free(submission);
}

/* It is accepted all the same: nobody could tell whether it went away before or after. */
static void on_gone(struct http_request *request)
{
	struct submission *submission = request->user;

	submission->request = NULL;
}

static void on_gone_early(struct http_request *request)
{
	submission_free(request->user);
}

static void reply_failure(struct submission *submission)
{
	struct queue_request *queue = &submission->queue;

	if (queue->result == -ENOBUFS) {
		api_reply_error(submission->request, 503, "The runner queue is full");
		return;
	}
	log_error("an asynchronous call was not accepted", LOG_STR("app_name", queue->item.app),
		  LOG_STR("path", queue->item.path), LOG_STR("error", queue->failure.text));
	api_reply_error(submission->request,
			queue->result == -ENOSPC   ? 507
			: queue->result == -ENOMEM ? 503
						   : 500,
			"%s", queue->failure.text);
}

static void on_put(struct queue_request *queue)
{
	struct submission *submission = TABLE_OWNER(queue, struct submission, queue);
	_cleanup_(text_done) struct text body = {0};

	if (submission->request && queue->result < 0) {
		reply_failure(submission);
	} else if (submission->request) {
		text_printf(&body, "{\"call_id\":\"%s\"}", queue->item.id);
		api_reply(submission->request, 202, &body);
	}
	submission_free(submission);
}

static int freeze_variables(struct submission *submission)
{
	struct env *env = api_loop_of(submission->request)->env;
	struct task *item = &submission->queue.item;
	_cleanup_(text_done) struct text packed = {0};

	env_clear(env);
	variables_of_request(env, submission->request, submission->function);
	if (env->overflow)
		return -E2BIG;
	env_pack(env, &packed);
	if (packed.failed)
		return -ENOMEM;
	item->variables_size = packed.length;
	item->variables = take_ptr(packed.data);
	return 0;
}

static int freeze_payload(struct submission *submission)
{
	struct http_request *request = submission->request;
	struct task *item = &submission->queue.item;
	_cleanup_(text_done) struct text payload = {0};

	if (request->method == METHOD_GET) {
		if (!path_query(request->target, "payload", &payload))
			return 0;
		if (payload.failed)
			return -ENOMEM;
		item->payload_size = payload.length;
		item->payload = (unsigned char *)take_ptr(payload.data);
		return 0;
	}
	item->payload_size = evbuffer_get_length(request->body);
	item->payload = malloc(item->payload_size + 1);
	if (!item->payload)
		return -ENOMEM;
	return evbuffer_remove(request->body, item->payload, item->payload_size) == (int)item->payload_size ? 0 : -EIO;
}

static int freeze(struct submission *submission)
{
	struct task *item = &submission->queue.item;
	const struct function *function = submission->function;
	int r = freeze_variables(submission);

	if (r == 0)
		r = freeze_payload(submission);
	item->app = strdup(function->app);
	item->path = strdup(function->path);
	item->image = strdup(function->image);
	item->created_us = clock_realtime_us();
	call_make_id(item->id);
	return r < 0 ? r : item->app && item->path && item->image ? 0 : -ENOMEM;
}

static void on_body(struct http_request *request)
{
	struct submission *submission = request->user;
	int r = freeze(submission);

	if (r == 0) {
		request->gone = on_gone;
		request->patient = true;
		queue_submit(api_loop_of(request)->api->queue, &submission->queue);
		return;
	}
	if (r == -E2BIG)
		api_reply_error(request, 431, "The variables of the call are larger than %d bytes", ENV_BYTES_MAX);
	else if (r == -EIO)
		api_reply_error(request, 400, "Invalid payload");
	else
		api_reply_error(request, 503, "ferrite is out of memory");
	submission_free(submission);
}

/* A GET carries its payload in the query; a body it may have is not one. */
static bool on_ignored(struct http_request *request, const void *bytes, size_t length)
{
	(void)request;
	(void)bytes;
	(void)length;
	return true;
}

void async_call(struct http_request *request, struct function *function)
{
	struct submission *submission = calloc(1, sizeof(*submission));
	struct api_loop *loop = api_loop_of(request);

	if (!submission) {
		function_unref(function);
		api_reply_error(request, 503, "ferrite is out of memory");
		return;
	}
	submission->request = request;
	submission->function = function;
	submission->queue = (struct queue_request){.operation = QUEUE_PUT, .worker = &loop->worker, .done = on_put};
	request->user = submission;
	request->gone = on_gone_early;
	if (request->method == METHOD_GET)
		http_stream(request, on_ignored, on_body);
	else
		http_collect(request, (size_t)loop->settings.max_task_bytes, on_body);
}
