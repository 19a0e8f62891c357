#include "api/call.h"

#include "supervisor/log.h"
#include "supervisor/util.h"

#include <stdarg.h>
#include <string.h>

/* A random (version 4) UUID. */
static void make_id(char *id)
{
	unsigned char b[16];

	random_bytes(b, sizeof(b));
	b[6] = (unsigned char)((b[6] & 0x0f) | 0x40);
	b[8] = (unsigned char)((b[8] & 0x3f) | 0x80);
	(void)snprintf(id, CALL_ID_LENGTH + 1, "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x",
		       b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11], b[12], b[13], b[14],
		       b[15]);
}

static void on_gone(struct http_request *request)
{
	struct call *call = request->user;

	call->request = NULL;
	switch (call->stage) {
	case CALL_BODY:
		call_free(call);
		break;
	case CALL_WAITING:
		if (budget_cancel(&call->loop->api->dispatcher->budget, &call->wait))
			call_free(call);
		break;
	case CALL_RUNNING:
		instance_kill(call->instance, 0);
		call_free(call);
		break;
	case CALL_OPENING:
	case CALL_ATTACHING:
	case CALL_CREATING:
		/* A reply is on its way; the call ends when it is there. */
		break;
	}
}

struct call *call_new(struct http_request *request, struct function *function)
{
	struct call *call = calloc(1, sizeof(*call));

	if (call) {
		call->input = evbuffer_new();
		call->output = evbuffer_new();
	}
	if (!call || !call->input || !call->output) {
		if (call && call->input)
			evbuffer_free(call->input);
		free(call);
		function_unref(function);
		return NULL;
	}
	call->request = request;
	call->loop = api_loop_of(request);
	call->function = function;
	call->received_us = request->received_us;
	call->peer.worker = call->wait.worker = &call->loop->worker;
	make_id(call->id);
	request->user = call;
	request->gone = on_gone;
	return call;
}

void call_free(struct call *call)
{
	struct dispatcher *dispatcher = call->loop->api->dispatcher;

	if (call->instance)
		instance_detach(call->instance);
	grant_release(call->loop->api, &call->grant);
	if (call->timer)
		event_free(call->timer);
	if (call->is_queued)
		atomic_fetch_sub(&dispatcher->queued, 1);
	if (call->is_running)
		atomic_fetch_sub(&dispatcher->running, 1);
	if (call->is_queued || call->is_running)
		atomic_fetch_add(&dispatcher->complete, 1);
	evbuffer_free(call->input);
	evbuffer_free(call->output);
	answer_done(&call->answer);
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
	if (payload && evbuffer_add_buffer(call->input, payload) < 0) {
		call_fail(call, 503, false, "ferrite is out of memory");
		return;
	}
	call_open_image(call);
}

static const char *route_content_type(const struct function *function)
{
	for (unsigned i = 0; i < function->n_headers; i++)
		if (strcasecmp(function->headers[i].name, "Content-Type") == 0)
			return function->headers[i].value;
	return NULL;
}

/* Anybody can make calls fail, and fast. */
static void log_failure(struct call *call, unsigned status, const char *message)
{
	struct loglimit *limit = &call->loop->failures;
	uint64_t dropped = limit->dropped;

	if (!log_enabled(LOG_LEVEL_INFO) || !loglimit_allows(limit, clock_monotonic_us()))
		return;
	limit->dropped = 0;
	if (dropped > 0)
		log_warn("failed calls were not logged", LOG_INT("calls", dropped));
	log_info("call failed", LOG_STR("app_name", call->function->app), LOG_STR("path", call->function->path),
		 LOG_STR("image", call->function->image), LOG_STR("call_id", call->id), LOG_INT("status", status),
		 LOG_STR("error", message));
}

void call_fail(struct call *call, unsigned status, bool with_headers, const char *format, ...)
{
	_cleanup_(text_done) struct text body = {0};
	const char *type = with_headers ? route_content_type(call->function) : NULL;
	char message[ERR_TEXT_MAX + 256];
	va_list args;

	va_start(args, format);
	(void)vsnprintf(message, sizeof(message), format, args);
	va_end(args);
	log_failure(call, status, message);
	text_printf(&body, "{\"request_id\":\"%s\",\"error\":{\"message\":", call->id);
	text_json(&body, message);
	text_puts(&body, "}}\n");
	if (call->request) {
		struct http_request *request = take_ptr(call->request);

		http_reply_header(request, "Ferrite-Call-Id", call->id);
		if (status == 503)
			http_reply_header(request, "Retry-After", "1");
		for (unsigned i = 0; with_headers && i < call->function->n_headers; i++)
			if (strcasecmp(call->function->headers[i].name, "Content-Type") != 0)
				http_reply_header(request, call->function->headers[i].name,
						  call->function->headers[i].value);
		http_reply(request, status, type ? type : "application/json; charset=utf-8", body.data, body.length);
	}
	call_free(call);
}
