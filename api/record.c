#include "api/record.h"

#include "supervisor/str.h"
#include "supervisor/util.h"

#include <string.h>

static const char *const outcomes[RECORD_OUTCOME_MAX] = {
	[RECORD_SUCCESS] = "success",	 [RECORD_ERROR] = "error",     [RECORD_OOM] = "oom",
	[RECORD_TIMEOUT] = "timeout",	 [RECORD_REFUSED] = "refused", [RECORD_BROKEN] = "broken",
	[RECORD_CANCELLED] = "cancelled"};

struct record *record_new(struct function *function, const char *id)
{
	struct record *record = malloc(sizeof(*record));

	if (!record)
		return NULL;
	*record = (struct record){.function = function_ref(function),
				  .start = RECORD_UNKNOWN,
				  .status = RECORD_UNKNOWN,
				  .exit_code = RECORD_UNKNOWN,
				  .signal = RECORD_UNKNOWN,
				  .queue_us = RECORD_UNKNOWN,
				  .start_us = RECORD_UNKNOWN,
				  .gpu_us = RECORD_UNKNOWN,
				  .run_us = RECORD_UNKNOWN,
				  .cpu_us = RECORD_UNKNOWN,
				  .memory_peak = RECORD_UNKNOWN};
	(void)str_copy(record->id, sizeof(record->id), id);
	return record;
}

void record_free(struct record *record)
{
	function_unref(record->function);
	free(record->message);
	text_done(&record->log);
	free(record);
}

const char *record_outcome_name(enum record_outcome outcome)
{
	return outcomes[outcome];
}

bool record_outcome_read(const char *name, enum record_outcome *ret_outcome)
{
	for (unsigned i = 0; i < RECORD_OUTCOME_MAX; i++)
		if (strcmp(outcomes[i], name) == 0) {
			*ret_outcome = (enum record_outcome)i;
			return true;
		}
	return false;
}

const char *record_start_name(enum record_start start)
{
	static const char *const names[RECORD_START_MAX] = {
		[RECORD_START_COLD] = "cold", [RECORD_START_WARM] = "warm", [RECORD_START_HOT] = "hot"};

	return names[start];
}

void record_report(struct record *record, const struct sbx_exited *report)
{
	if (report->exit_code >= 0)
		record->exit_code = report->exit_code;
	if (report->signal > 0)
		record->signal = report->signal;
	record->cpu_us = (int64_t)MIN(report->cpu_us, (uint64_t)INT64_MAX);
	record->memory_peak = (int64_t)MIN(report->memory_peak_bytes, (uint64_t)INT64_MAX);
}

void record_log(struct record *record, const struct capture *capture)
{
	if (capture->total == 0)
		return;
	capture_copy(capture, &record->log);
	record->log_truncated = capture_truncated(capture) || record->log.failed;
}
