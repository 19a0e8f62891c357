#include "api/task_json.h"

#include "api/json.h"
#include "supervisor/str.h"
#include "supervisor/util.h"

#include <openssl/evp.h>
#include <string.h>

#define NO_TIME "\"0001-01-01T00:00:00.000Z\""
/* A parsed value takes far more than its text: a task has a few, and one for each of its variables. */
#define VALUES_MAX 20000

static int compare_names(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* As the original does: an object, sorted by name. */
static void write_variables(const struct task *task, struct text *out)
{
	size_t n = 0, i = 0;
	const char *end = task->variables + task->variables_size;
	const char **entries;

	for (const char *at = task->variables; at < end; at += strlen(at) + 1)
		n++;
	entries = calloc(n + 1, sizeof(*entries));
	if (!entries) {
		out->failed = true;
		return;
	}
	for (const char *at = task->variables; at < end; at += strlen(at) + 1)
		entries[i++] = at;
	qsort(entries, n, sizeof(*entries), compare_names);
	text_puts(out, ",\"env_vars\":{");
	for (i = 0; i < n; i++) {
		size_t length = strcspn(entries[i], "=");
		_cleanup_free_ char *name = strndup(entries[i], length);

		if (!name)
			out->failed = true;
		text_puts(out, i > 0 ? "," : "");
		text_json(out, name ? name : "");
		text_puts(out, ":");
		text_json(out, entries[i] + length + (entries[i][length] == '='));
	}
	text_puts(out, "}");
	free((void *)entries);
}

static void write_base64(const struct task *task, struct text *out)
{
	size_t size = (task->payload_size + 2) / 3 * 4;
	unsigned char *encoded = malloc(size + 1);

	if (!encoded) {
		out->failed = true;
		return;
	}
	(void)EVP_EncodeBlock(encoded, task->payload, (int)task->payload_size);
	text_puts(out, ",\"payload_base64\":\"");
	text_add(out, encoded, size);
	text_puts(out, "\"");
	free(encoded);
}

void task_json_write(const struct task *task, struct text *out)
{
	bool is_text = true;

	text_puts(out, "{\"image\":");
	text_json(out, task->image);
	if (task->payload_size > 0) {
		text_puts(out, ",\"payload\":");
		is_text = text_json_bytes(out, task->payload, task->payload_size);
	}
	text_printf(out, ",\"priority\":%u,\"id\":", task->priority);
	text_json(out, task->id);
	text_puts(out, ",\"completed_at\":" NO_TIME ",\"created_at\":" NO_TIME);
	if (task->variables_size > 0)
		write_variables(task, out);
	if (*task->app) {
		text_puts(out, ",\"app_name\":");
		text_json(out, task->app);
	}
	text_puts(out, ",\"path\":");
	text_json(out, task->path);
	text_puts(out, ",\"started_at\":" NO_TIME);
	if (!is_text)
		write_base64(task, out);
	text_puts(out, "}");
}

/* --- reading ------------------------------------------------------------------------------------------------------ */

/* Never builds what is far larger than a task can be. */
static json_t *parse(const char *bytes, size_t length)
{
	size_t values = 0;
	bool quoted = false;

	for (size_t i = 0; i < length; i++) {
		if (quoted && bytes[i] == '\\')
			i++;
		else if (bytes[i] == '"')
			quoted = !quoted;
		else if (!quoted && (bytes[i] == ',' || bytes[i] == '[' || bytes[i] == '{'))
			values++;
	}
	if (values > VALUES_MAX)
		return NULL;
	return json_loadb(bytes, length, JSON_DISABLE_EOF_CHECK | JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
}

/* A member that is a string without zero bytes, or not there. */
static int read_text(const json_t *object, const char *key, char **value)
{
	const json_t *member = json_member(object, key);

	if (member && json_is_string(member) && json_string_length(member) != strlen(json_string_value(member)))
		return -EINVAL;
	return json_read_string(object, key, value);
}

static int read_variables(const json_t *object, struct task *task)
{
	json_t *variables = json_member(object, "env_vars");
	_cleanup_(text_done) struct text packed = {0};
	const char *name;
	json_t *value;

	if (variables && !json_is_object(variables))
		return -EINVAL;
	json_object_foreach(variables, name, value)
	{
		if (!json_is_string(value) || json_string_length(value) != strlen(json_string_value(value)))
			return -EINVAL;
		text_printf(&packed, "%s=%s", name, json_string_value(value));
		text_add(&packed, "", 1);
	}
	if (packed.failed)
		return -ENOMEM;
	task->variables_size = packed.length;
	task->variables = take_ptr(packed.data);
	return 0;
}

static int read_base64(const json_t *encoded, struct task *task)
{
	size_t length = json_string_length(encoded);
	const unsigned char *bytes = (const unsigned char *)json_string_value(encoded);
	int n;

	if (!bytes || length % 4 != 0 || length > INT32_MAX)
		return -EINVAL;
	task->payload = malloc(length / 4 * 3 + 1);
	if (!task->payload)
		return -ENOMEM;
	n = EVP_DecodeBlock(task->payload, bytes, (int)length);
	if (n < 0)
		return -EINVAL;
	/* The padding decodes to zeros. */
	for (size_t i = length; i > 0 && length - i < 2 && bytes[i - 1] == '='; i--)
		n--;
	task->payload_size = (size_t)MAX(n, 0);
	return 0;
}

static int read_payload(const json_t *object, struct task *task)
{
	const json_t *encoded = json_member(object, "payload_base64"), *payload = json_member(object, "payload");

	if (encoded)
		return read_base64(encoded, task);
	if (!payload)
		return 0;
	if (!json_is_string(payload))
		return -EINVAL;
	task->payload_size = json_string_length(payload);
	task->payload = malloc(task->payload_size + 1);
	if (!task->payload)
		return -ENOMEM;
	memcpy(task->payload, json_string_value(payload), task->payload_size);
	return 0;
}

static int read_names(const json_t *object, struct task *task)
{
	_cleanup_free_ char *id = NULL;
	int r = read_text(object, "id", &id);

	if (r == 0)
		r = read_text(object, "app_name", &task->app);
	if (r == 0)
		r = read_text(object, "path", &task->path);
	if (r == 0)
		r = read_text(object, "image", &task->image);
	if (r < 0)
		return r;
	if (!id || !*id || !str_copy(task->id, sizeof(task->id), id) || !task->image || !*task->image)
		return -EINVAL;
	if (!task->app)
		task->app = strdup("");
	if (!task->path)
		task->path = strdup("/");
	return task->app && task->path ? 0 : -ENOMEM;
}

int task_json_read(const char *bytes, size_t length, struct task *ret_task, struct err *err)
{
	_cleanup_json_ json_t *object = parse(bytes, length);
	_cleanup_(task_done) struct task task = {0};
	uint64_t priority = 0;
	int r;

	if (json_is_null(object))
		return -ENOENT;
	if (!json_is_object(object))
		return err_set(err, EINVAL, "what was received is no task");
	r = json_read_u64(object, "priority", &priority);
	if (r == 0)
		r = read_names(object, &task);
	if (r == 0)
		r = read_variables(object, &task);
	if (r == 0)
		r = read_payload(object, &task);
	if (r < 0)
		return err_set(err, r, r == -ENOMEM ? "no memory for a task" : "a task with values that make no sense");
	task.priority = (unsigned)MIN(priority, (uint64_t)TASK_PRIORITY_MAX);
	*ret_task = task;
	task = (struct task){0};
	return 0;
}

/* --- the echo ----------------------------------------------------------------------------------------------------- */

struct key {
	const char *name;
	json_type type;
	const char *missing; /* what stands for a member that is not given; NULL: nothing */
};

static const struct key keys[] = {
	{"delay", JSON_INTEGER, NULL},	 {"image", JSON_STRING, "\"\""},	 {"max_retries", JSON_INTEGER, NULL},
	{"payload", JSON_STRING, NULL},	 {"priority", JSON_INTEGER, NULL},	 {"retries_delay", JSON_INTEGER, NULL},
	{"timeout", JSON_INTEGER, NULL}, {"idle_timeout", JSON_INTEGER, NULL},	 {"id", JSON_STRING, NULL},
	{"status", JSON_STRING, NULL},	 {"completed_at", JSON_STRING, NO_TIME}, {"created_at", JSON_STRING, NO_TIME},
	{"env_vars", JSON_OBJECT, NULL}, {"error", JSON_STRING, NULL},		 {"app_name", JSON_STRING, NULL},
	{"path", JSON_STRING, "\"\""},	 {"reason", JSON_STRING, NULL},		 {"retry_at", JSON_STRING, NULL},
	{"retry_of", JSON_STRING, NULL}, {"started_at", JSON_STRING, NO_TIME},	 {"payload_base64", JSON_STRING, NULL},
};

static int echo_member(const json_t *object, const struct key *key, struct text *out)
{
	const json_t *value = json_member(object, key->name);
	char *written;

	if (value && json_typeof(value) != key->type)
		return -EINVAL;
	if (!value && !key->missing)
		return 0;
	text_printf(out, "%s\"%s\":", out->data[out->length - 1] == '{' ? "" : ",", key->name);
	if (!value) {
		text_puts(out, key->missing);
		return 0;
	}
	written = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
	if (!written)
		return -ENOMEM;
	text_puts(out, written);
	free(written);
	return 0;
}

int task_json_echo(const char *bytes, size_t length, char *ret_id, unsigned *ret_priority, struct text *out)
{
	_cleanup_json_ json_t *object = parse(bytes, length);
	const json_t *priority, *id;
	int r = 0;

	if (!json_is_object(object))
		return -EINVAL;
	text_puts(out, "{");
	if (out->failed)
		return -ENOMEM;
	for (size_t i = 0; i < ARRAY_LEN(keys) && r == 0; i++)
		r = echo_member(object, &keys[i], out);
	text_puts(out, "}");
	if (r < 0 || out->failed)
		return r < 0 ? r : -ENOMEM;
	priority = json_member(object, "priority");
	if (!priority || json_integer_value(priority) < 0 || json_integer_value(priority) > TASK_PRIORITY_MAX)
		return -EDOM;
	id = json_member(object, "id");
	/* An id that is too long is that of no task. */
	if (!id || !str_copy(ret_id, TASK_ID_MAX + 1, json_string_value(id)))
		ret_id[0] = '\0';
	*ret_priority = (unsigned)json_integer_value(priority);
	return 0;
}
