/* What is remembered of a call when it ends. */
#include "api/call.h"
#include "api/recorder.h"

#include "supervisor/util.h"

#include <signal.h>
#include <string.h>

#define EXIT_OF_KILLED (128 + SIGKILL)

static bool was_killed_for_memory(const struct sbx_exited *report)
{
	return report && (report->end == SBX_END_OOM || report->exit_code == EXIT_OF_KILLED ||
			  (report->end == SBX_END_SIGNAL && report->signal == SIGKILL));
}

static enum record_outcome outcome_of(const struct call_end *end)
{
	switch (end->outcome) {
	case CALL_ANSWERED:
		return end->status < 500 ? RECORD_SUCCESS : RECORD_ERROR;
	case CALL_FAILED:
		return was_killed_for_memory(end->report) ? RECORD_OOM : RECORD_ERROR;
	case CALL_TIMED_OUT:
		return RECORD_TIMEOUT;
	case CALL_REFUSED:
		return RECORD_REFUSED;
	case CALL_ABANDONED:
		return RECORD_CANCELLED;
	case CALL_BROKEN:
	case CALL_OUTCOME_MAX:
		break;
	}
	return RECORD_BROKEN;
}

/* From the request to memory, from memory to the program, from the program to its answer: as far as it came. */
static void set_durations(struct record *record, const struct call *call, uint64_t now)
{
	uint64_t admitted = call->admitted_us ? call->admitted_us : now;

	record->queue_us = (int64_t)(admitted - MIN(call->received_us, admitted));
	if (call->executed_us == 0)
		return;
	record->start = (int)call->start;
	record->start_us = (int64_t)(call->executed_us - MIN(admitted, call->executed_us));
	record->run_us = (int64_t)(now - MIN(call->executed_us, now));
	if (call->answer.has_gpu_us)
		record->gpu_us = (int64_t)call->answer.gpu_us;
}

/* A task has waited in the queue before it became a call. */
static void count_from_acceptance(struct record *record, const struct call_task *task)
{
	int64_t created = task ? (int64_t)task->created_us : 0;

	if (created == 0 || created > record->created_us)
		return;
	record->queue_us += record->created_us - created;
	record->created_us = created;
}

void call_observe(struct call *call, const struct call_end *end)
{
	uint64_t now = clock_monotonic_us();
	struct record *record;

	record = record_new(call->function, call->id);
	/* Where there is no memory for it, the call matters more. */
	if (!record)
		return;
	record->async = call->task != NULL;
	record->outcome = outcome_of(end);
	record->status = end->status ? (int)end->status : RECORD_UNKNOWN;
	record->ended_us = (int64_t)now;
	record->completed_us = (int64_t)clock_realtime_us();
	record->created_us = record->completed_us - (int64_t)(now - MIN(call->received_us, now));
	set_durations(record, call, now);
	record->bytes_in = (int64_t)call->bytes_in;
	record->bytes_out = (int64_t)evbuffer_get_length(call->output);
	metrics_count(&call->loop->metrics, record);
	count_from_acceptance(record, call->task);
	if (call->loop->settings.history.calls == 0) {
		record_free(record);
		return;
	}
	record->message = end->message ? strdup(end->message) : NULL;
	if (end->report)
		record_report(record, end->report);
	if (call->log)
		record_log(record, call->log);
	else if (call->instance)
		record_log(record, instance_log(call->instance, !end->report && !call->instance->hot));
	recorder_add(call->loop, record);
}
