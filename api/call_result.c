#include "api/call.h"
#include "api/hot.h"

#include "supervisor/util.h"

#include <signal.h>
#include <string.h>

#define OUTPUT_UNCOUNTED (64 << 10)
#define EXIT_OF_KILLED	 137	/* 128 + SIGKILL: what the original reports when memory runs out */
#define END_US		 200000 /* between the end of a function's output and the report of its exit */

/* --- what the instance does --------------------------------------------------------------------------------------- */

static void on_timeout(evutil_socket_t fd, short what, void *context);

static void succeed(struct call *call, unsigned status)
{
	call_end(call, &(struct call_end){.outcome = CALL_ANSWERED,
					  .status = status,
					  .report = call->has_report ? &call->report : NULL});
}

static void give_up(struct call *call, enum call_outcome outcome, unsigned status, const char *message)
{
	call_stop(call);
	call_fail(call, outcome, status, "%s", message);
}

/* Whether a hot instance is in step: it read all that was sent, wrote one answer, and means to go on. */
static bool is_in_step(const struct call *call, bool more, int unread)
{
	return !more && unread == 0 && !call->instance->has_ended && instance_sent_all(call->instance) &&
	       answer_keeps_going(&call->answer);
}

/* The answer is complete; MORE: something came behind it. UNREAD: bytes of the request. */
static void finish(struct call *call, bool more, int unread)
{
	if (call->instance && call->instance->hot) {
		if (is_in_step(call, more, unread))
			hot_give_back(call);
		else
			call_stop(call);
	}
	succeed(call, call->answer.status);
}

/*
 * What large outputs take together is bounded, with all else that is buffered: they grow at the pace of their
 * functions, however few are read. False: the call has ended.
 */
static bool count_output(struct call *call)
{
	struct http_shared *http = &call->loop->api->http;
	size_t length = evbuffer_get_length(call->output), more;

	if (length <= MAX(call->output_counted, (size_t)OUTPUT_UNCOUNTED))
		return true;
	more = length - call->output_counted;
	if (atomic_fetch_add(&http->buffered, more) + more > call->loop->settings.http.buffered_bytes) {
		atomic_fetch_sub(&http->buffered, more);
		give_up(call, CALL_BROKEN, 503, "Too many answers are being made, try again");
		return false;
	}
	call->output_counted = length;
	return true;
}

static bool on_framed_output(struct call *call, const void *bytes, size_t length)
{
	struct err err = ERR_INIT;
	size_t used = 0;
	int r, unread = call->instance->hot ? instance_unread(call->instance) : 0;

	/* What a hot function writes before it has read anything of the request is no answer to it. */
	if (call->instance->hot && !call->heard && hot_is_untouched(call, unread)) {
		if (!hot_retry(call))
			give_up(call, CALL_FAILED, 502, "the function wrote before it was asked");
		return false;
	}
	call->heard = true;
	r = answer_feed(&call->answer, bytes, length, &used, &err);
	if (r == 1)
		finish(call, used < length, unread);
	else if (r < 0)
		give_up(call, CALL_FAILED, 502, err.text);
	return r == 0 && count_output(call);
}

static bool on_output(void *context, const void *bytes, size_t length)
{
	struct call *call = context;
	uint64_t max = call->loop->settings.max_output_bytes;
	char message[96];

	if (call->framed)
		return on_framed_output(call, bytes, length);
	if (length > max - MIN((uint64_t)evbuffer_get_length(call->output), max)) {
		(void)snprintf(message, sizeof(message), "The function's output is larger than %llu bytes",
			       (unsigned long long)max);
		give_up(call, CALL_FAILED, 502, message);
		return false;
	}
	if (evbuffer_add(call->output, bytes, length) < 0) {
		give_up(call, CALL_BROKEN, 503, "ferrite is out of memory");
		return false;
	}
	return count_output(call);
}

static void set_timer(struct call *call, uint64_t after_us)
{
	const struct timeval after = {.tv_sec = (time_t)(after_us / 1000000),
				      .tv_usec = (suseconds_t)(after_us % 1000000)};

	if (!call->timer)
		call->timer = evtimer_new(call->loop->worker.base, on_timeout, call);
	if (!call->timer || evtimer_add(call->timer, &after) < 0)
		give_up(call, CALL_BROKEN, 503, "ferrite is out of memory");
}

/*
 * Whether that was the end of the answer or of the function is known when its exit is reported, which a hot function
 * that only closed its output does not do by itself.
 */
static void on_output_end(void *context)
{
	struct call *call = context;
	struct err err = ERR_INIT;

	if (!call->instance->hot)
		return;
	if (call->heard && answer_end(&call->answer, &err) == 1) {
		finish(call, true, 0);
		return;
	}
	call->ending = true;
	set_timer(call, END_US);
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

	if (call->instance->hot && !end->server_lost && hot_retry(call))
		return;
	if (call->instance->hot)
		(void)pool_drop(&call->instance->member);
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
	if (call->ending)
		give_up(call, CALL_FAILED, 502,
			"the function closed its input or output before its answer was complete");
	else
		give_up(call, CALL_TIMED_OUT, 504, "Timed out");
}

static const struct instance_events events = {.output = on_output, .output_end = on_output_end, .ended = on_ended};

static void count_running(struct call *call)
{
	struct dispatcher *dispatcher = call->loop->api->dispatcher;

	if (call->is_running)
		return;
	call->is_queued = false;
	call->is_running = true;
	atomic_fetch_sub(&dispatcher->queued, 1);
	atomic_fetch_add(&dispatcher->running, 1);
}

/* Nothing was sent yet: a hot instance is as good as before. */
static void fail_to_frame(struct call *call, int code)
{
	if (call->instance->hot)
		hot_give_back(call);
	else
		instance_kill(call->instance, 0);
	if (code == -E2BIG)
		call_fail(call, CALL_REFUSED, 431,
			  "The headers and the configuration are too large for the function's variables");
	else
		call_fail(call, CALL_REFUSED, 503, "ferrite is out of memory");
}

void call_run(struct call *call)
{
	struct instance *instance = call->instance;
	int r = call->framed ? call_frame(call, instance->n_served == 0) : 0;

	if (r < 0) {
		fail_to_frame(call, r);
		return;
	}
	call->stage = CALL_RUNNING;
	count_running(call);
	answer_open(&call->answer, call->output, call->loop->settings.max_output_bytes);
	instance_attach(instance, &events, call, call->id);
	instance_send(instance, &call->head, &call->payload, call->framed);
	/* It closed its input, or ended, before: there is nothing to wait for but the report. */
	call->ending = instance->hot && instance->input_refused && instance->sent == 0;
	if (call->ending && hot_retry(call))
		return;
	set_timer(call, call->ending ? END_US : call->function->timeout_us);
}
