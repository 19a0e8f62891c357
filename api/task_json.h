/*
 * Tasks as JSON: contract section 4.3. Two keys are ours: `payload_base64`, where the payload is no text (`payload`
 * then holds U+FFFD for what is none, as the original writes it), and nothing else.
 */
#ifndef FERRITE_API_TASK_JSON_H
#define FERRITE_API_TASK_JSON_H

#include "api/queue_store.h"
#include "api/text.h"

/* Appends the object that GET /tasks answers. */
void task_json_write(const struct task *task, struct text *out);

/*
 * Reads such an object from BYTES, whoever wrote it. -EINVAL: no JSON, a wrong type, or no id or image; -ENOENT: null,
 * there is no task; -ENOMEM.
 */
int task_json_read(const char *bytes, size_t length, struct task *ret_task, struct err *err);

/*
 * What DELETE /tasks is sent: id and priority count. Appends the object as it is echoed. -EINVAL: no JSON, or a wrong
 * type; -EDOM: the priority is missing or out of range.
 */
int task_json_echo(const char *bytes, size_t length, char *ret_id, unsigned *ret_priority, struct text *out);

#endif
