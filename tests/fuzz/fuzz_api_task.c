/* Tasks of a foreign queue, and acknowledgements: what is accepted is written, and reads back as the same. */
#include "api/task_json.h"

#include "supervisor/util.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_(task_done) struct task task = {0}, again = {0};
	_cleanup_(text_done) struct text written = {0}, echoed = {0}, twice = {0};
	char id[TASK_ID_MAX + 1];
	unsigned priority;
	struct err err;

	if (task_json_echo((const char *)data, size, id, &priority, &echoed) == 0 &&
	    (priority > TASK_PRIORITY_MAX || task_json_echo(echoed.data, echoed.length, id, &priority, &twice) != 0 ||
	     strcmp(echoed.data, twice.data) != 0))
		abort();
	if (task_json_read((const char *)data, size, &task, &err) < 0)
		return 0;
	task_json_write(&task, &written);
	if (task_json_read(written.data, written.length, &again, &err) < 0)
		abort();
	if (strcmp(task.id, again.id) != 0 || task.priority != again.priority || strcmp(task.image, again.image) != 0 ||
	    task.payload_size != again.payload_size ||
	    (task.payload_size > 0 && memcmp(task.payload, again.payload, task.payload_size) != 0))
		abort();
	return 0;
}
