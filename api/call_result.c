#include "api/call.h"
#include "api/sniff.h"

#include "supervisor/log.h"
#include "supervisor/util.h"

#include <signal.h>
#include <string.h>

#define EXIT_OF_KILLED 137 /* 128 + SIGKILL: what the original reports when memory runs out */

/* --- the answer --------------------------------------------------------------------------------------------------- */

static void add_timing(struct call *call, struct http_request *request, uint64_t now)
{
	const char *wanted = http_header(request, "Ferrite-Timing");
	char text[256];
	int n;

	if (!wanted || strcmp(wanted, "1") != 0)
		return;
	n = snprintf(text, sizeof(text), "queue;dur=%.3f, start;desc=cold;dur=%.3f",
		     (double)(call->admitted_us - call->received_us) / 1000,
		     (double)(call->executed_us - MIN(call->admitted_us, call->executed_us)) / 1000);
	if (call->gpu.count > 0)
		n += snprintf(text + n, sizeof(text) - (size_t)n, ", gpu;dur=%.3f", (double)call->answer.gpu_us / 1000);
	(void)snprintf(text + n, sizeof(text) - (size_t)n, ", run;dur=%.3f",
		       (double)(now - MIN(now, call->executed_us)) / 1000);
	http_reply_header(request, "Server-Timing", text);
}

static const char *route_header(const struct function *function, const char *name)
{
	for (unsigned i = 0; i < function->n_headers; i++)
		if (strcasecmp(function->headers[i].name, name) == 0)
			return function->headers[i].value;
	return NULL;
}

/* What the function itself set; the route's headers go before it. Returns its content type. */
static const char *pass_headers(struct call *call, struct http_request *request)
{
	const char *type = NULL;

	for (unsigned i = 0; i < call->answer.n_headers; i++) {
		const char *name = answer_header_name(&call->answer, i);
		const char *value = answer_header_value(&call->answer, i);

		if (strcasecmp(name, "Content-Type") == 0)
			type = value;
		else if (!route_header(call->function, name))
			http_reply_header(request, name, value);
	}
	return type;
}

/* The call succeeded: STATUS with the output. */
static void succeed(struct call *call, unsigned status)
{
	struct http_request *request = take_ptr(call->request);
	const struct function *function = call->function;
	const char *type = pass_headers(call, request), *own = route_header(function, "Content-Type");
	unsigned char start[SNIFF_BYTES];
	ssize_t n = evbuffer_copyout(call->output, start, sizeof(start));

	log_debug("call done", LOG_STR("app_name", function->app), LOG_STR("path", function->path),
		  LOG_STR("call_id", call->id), LOG_INT("status", status),
		  LOG_INT("bytes", evbuffer_get_length(call->output)));
	for (unsigned i = 0; i < function->n_headers; i++)
		if (strcasecmp(function->headers[i].name, "Content-Type") != 0)
			http_reply_header(request, function->headers[i].name, function->headers[i].value);
	http_reply_header(request, "Ferrite-Call-Id", call->id);
	add_timing(call, request, clock_monotonic_us());
	if (own)
		type = own;
	else if (!type && n > 0)
		type = sniff_content_type(start, (size_t)n);
	http_reply_buffer(request, status, type, call->output);
	call_free(call);
}

/* --- what the instance does --------------------------------------------------------------------------------------- */

static void give_up(struct call *call, unsigned status, bool with_headers, const char *message)
{
	instance_kill(call->instance, 0);
	call_fail(call, status, with_headers, "%s", message);
}

static void on_answer(struct call *call, int r, const struct err *err)
{
	if (r == 1)
		succeed(call, call->answer.status);
	else if (r < 0)
		give_up(call, 502, false, err->text);
}

static void on_output(void *context, const void *bytes, size_t length)
{
	struct call *call = context;
	uint64_t max = call->loop->settings.max_output_bytes;
	struct err err = ERR_INIT;
	char message[96];

	if (call->framed) {
		on_answer(call, answer_feed(&call->answer, bytes, length, &err), &err);
	} else if (length > max - MIN((uint64_t)evbuffer_get_length(call->output), max)) {
		(void)snprintf(message, sizeof(message), "The function's output is larger than %llu bytes",
			       (unsigned long long)max);
		give_up(call, 502, false, message);
	} else if (evbuffer_add(call->output, bytes, length) < 0) {
		give_up(call, 503, false, "ferrite is out of memory");
	}
}

static void on_output_end(void *context)
{
	/* Whether that was the end of the answer or of the function is known when its exit is reported. */
	(void)context;
}

static void fail_by_exit(struct call *call, int exit_code)
{
	if (exit_code == EXIT_OF_KILLED)
		call_fail(call, 500, true, "out of memory error");
	else
		call_fail(call, 500, true, "exit code %d", exit_code);
}

static void on_exit_status(struct call *call, const struct sbx_exited *report)
{
	struct err err = ERR_INIT;

	if (call->framed && answer_end(&call->answer, &err) == 1)
		succeed(call, call->answer.status);
	else if (report->exit_code != 0)
		fail_by_exit(call, report->exit_code);
	else if (call->framed)
		call_fail(call, 502, true, "%s", err.text);
	else
		succeed(call, 200);
}

static void on_ended(void *context, const struct instance_end *end)
{
	struct call *call = context;
	const struct sbx_exited *report = &end->report;

	/* It frees itself after this. */
	call->instance = NULL;
	if (end->server_lost) {
		call_fail(call, 502, false, "ferrite-sandbox ended during the call");
		return;
	}
	switch ((enum sbx_end)report->end) {
	case SBX_END_EXIT:
		on_exit_status(call, report);
		break;
	case SBX_END_SIGNAL:
		fail_by_exit(call, 128 + report->signal);
		break;
	case SBX_END_OOM:
		call_fail(call, 500, true, "out of memory error");
		break;
	case SBX_END_TIMEOUT:
		call_fail(call, 504, true, "Timed out");
		break;
	case SBX_END_KILLED:
	case SBX_END_LOST:
	case SBX_END_MAX:
		call_fail(call, 502, false, "The function's container was ended from outside");
		break;
	}
}

static void on_timeout(evutil_socket_t fd, short what, void *context)
{
	struct call *call = context;

	(void)fd;
	(void)what;
	give_up(call, 504, true, "Timed out");
}

static const struct instance_events events = {.output = on_output, .output_end = on_output_end, .ended = on_ended};

void call_run(struct call *call)
{
	struct dispatcher *dispatcher = call->loop->api->dispatcher;
	uint64_t left_us = call->function->timeout_us;
	const struct timeval limit = {.tv_sec = (time_t)(left_us / 1000000),
				      .tv_usec = (suseconds_t)(left_us % 1000000)};

	call->stage = CALL_RUNNING;
	call->is_queued = false;
	call->is_running = true;
	atomic_fetch_sub(&dispatcher->queued, 1);
	atomic_fetch_add(&dispatcher->running, 1);
	answer_open(&call->answer, call->output, call->loop->settings.max_output_bytes);
	instance_attach(call->instance, &events, call);
	call->timer = evtimer_new(call->loop->worker.base, on_timeout, call);
	if (!call->timer || evtimer_add(call->timer, &limit) < 0)
		give_up(call, 503, false, "ferrite is out of memory");
}
