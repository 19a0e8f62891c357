#include "api/call.h"

#include "supervisor/util.h"

#include <signal.h>
#include <string.h>

#define EXIT_OF_KILLED 137 /* 128 + SIGKILL: what the original reports when memory runs out */

/* --- what the instance does --------------------------------------------------------------------------------------- */

static void succeed(struct call *call, unsigned status)
{
	call_end(call, &(struct call_end){.outcome = CALL_ANSWERED,
					  .status = status,
					  .report = call->has_report ? &call->report : NULL});
}

static void give_up(struct call *call, enum call_outcome outcome, unsigned status, const char *message)
{
	instance_kill(call->instance, 0);
	call_fail(call, outcome, status, "%s", message);
}

static void on_answer(struct call *call, int r, const struct err *err)
{
	if (r == 1)
		succeed(call, call->answer.status);
	else if (r < 0)
		give_up(call, CALL_FAILED, 502, err->text);
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
		give_up(call, CALL_FAILED, 502, message);
	} else if (evbuffer_add(call->output, bytes, length) < 0) {
		give_up(call, CALL_BROKEN, 503, "ferrite is out of memory");
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
		call_fail(call, CALL_FAILED, 500, "out of memory error");
	else
		call_fail(call, CALL_FAILED, 500, "exit code %d", exit_code);
}

static void on_exit_status(struct call *call, const struct sbx_exited *report)
{
	struct err err = ERR_INIT;

	if (call->framed && answer_end(&call->answer, &err) == 1)
		succeed(call, call->answer.status);
	else if (report->exit_code != 0)
		fail_by_exit(call, report->exit_code);
	else if (call->framed)
		call_fail(call, CALL_FAILED, 502, "%s", err.text);
	else
		succeed(call, 200);
}

static void on_ended(void *context, const struct instance_end *end)
{
	struct call *call = context;
	const struct sbx_exited *report = &end->report;

	/* It frees itself after this. */
	call->log = &call->instance->capture;
	call->instance = NULL;
	call->report = end->report;
	call->has_report = !end->server_lost;
	if (end->server_lost) {
		call_fail(call, CALL_BROKEN, 502, "ferrite-sandbox ended during the call");
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
		call_fail(call, CALL_FAILED, 500, "out of memory error");
		break;
	case SBX_END_TIMEOUT:
		call_fail(call, CALL_TIMED_OUT, 504, "Timed out");
		break;
	case SBX_END_KILLED:
	case SBX_END_LOST:
	case SBX_END_MAX:
		call_fail(call, CALL_BROKEN, 502, "The function's container was ended from outside");
		break;
	}
}

static void on_timeout(evutil_socket_t fd, short what, void *context)
{
	struct call *call = context;

	(void)fd;
	(void)what;
	give_up(call, CALL_TIMED_OUT, 504, "Timed out");
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
		give_up(call, CALL_BROKEN, 503, "ferrite is out of memory");
}
