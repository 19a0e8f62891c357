#include "api/env.h"

#include "supervisor/util.h"

#include <string.h>
#include <strings.h>

void env_clear(struct env *env)
{
	env->n = 0;
	env->overflow = false;
	text_clear(&env->pool);
}

void env_done(struct env *env)
{
	text_done(&env->pool);
	text_done(&env->name);
}

static struct env_entry *find(struct env *env, const char *name, size_t length)
{
	for (unsigned i = 0; i < env->n; i++)
		if (env->entries[i].name_length == length && memcmp(env_entry(env, i), name, length) == 0)
			return &env->entries[i];
	return NULL;
}

static void set(struct env *env, const char *name, size_t name_length, const char *value)
{
	struct env_entry *entry = find(env, name, name_length);
	size_t at = env->pool.length, value_length = strlen(value);

	if (name_length == 0)
		return;
	if ((!entry && env->n == SBX_ENV_MAX) ||
	    name_length + value_length + 2 > ENV_BYTES_MAX - MIN(at, ENV_BYTES_MAX)) {
		env->overflow = true;
		return;
	}
	text_add(&env->pool, name, name_length);
	text_add(&env->pool, "=", 1);
	text_add(&env->pool, value, value_length + 1);
	if (env->pool.failed) {
		env->overflow = true;
		return;
	}
	if (!entry)
		entry = &env->entries[env->n++];
	*entry = (struct env_entry){.at = at, .name_length = name_length};
}

void env_set(struct env *env, const char *name, const char *value)
{
	set(env, name, strlen(name), value);
}

void env_put(struct env *env, const char *entry)
{
	const char *equals = strchr(entry, '=');

	if (equals)
		set(env, entry, (size_t)(equals - entry), equals + 1);
}

const char *env_get(const struct env *env, const char *name)
{
	const struct env_entry *entry = find((struct env *)env, name, strlen(name));

	return entry ? env->pool.data + entry->at + entry->name_length + 1 : NULL;
}

static char upper(char c)
{
	return c >= 'a' && c <= 'z' ? (char)(c - 'a' + 'A') : c;
}

/* Begins a name that its caller changes in place. NULL: no memory. */
static char *make_name(struct env *env, const char *prefix, const char *rest)
{
	text_clear(&env->name);
	text_puts(&env->name, prefix);
	text_puts(&env->name, rest);
	env->overflow |= env->name.failed;
	return env->name.failed ? NULL : env->name.data + strlen(prefix);
}

void env_set_config(struct env *env, const char *key, const char *value)
{
	char *at = make_name(env, "", key);

	if (!at)
		return;
	for (; *at; at++)
		*at = *at == '-' || *at == '=' || (unsigned char)*at < 0x20 || *at == 0x7f ? '_' : upper(*at);
	env_set(env, env->name.data, value);
}

/* Whether one of the headers before this one has its name. */
static bool repeats(const struct http_request *request, unsigned header)
{
	for (unsigned i = 0; i < header; i++)
		if (strcasecmp(request->headers[i].name, request->headers[header].name) == 0)
			return true;
	return false;
}

void env_set_headers(struct env *env, const struct http_request *request)
{
	for (unsigned i = 0; i < request->n_headers; i++) {
		const struct http_header *header = &request->headers[i];
		_cleanup_(text_done) struct text joined = {0};
		const char *earlier;
		char *at;

		if (strcasecmp(header->name, "Host") == 0 || strcasecmp(header->name, "Transfer-Encoding") == 0)
			continue;
		at = make_name(env, "HEADER_", header->name);
		if (!at)
			return;
		for (; *at; at++) {
			char c = upper(*at);

			*at = (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ? c : '_';
		}
		/* A variable of the configuration with this name is overridden, not continued. */
		earlier = env_get(env, env->name.data);
		if (earlier && repeats(request, i)) {
			text_puts(&joined, earlier);
			text_add(&joined, " ", 1);
			text_puts(&joined, header->value);
			env->overflow |= joined.failed;
		}
		env_set(env, env->name.data, joined.length > 0 ? joined.data : header->value);
	}
}

void env_pack(const struct env *env, struct text *out)
{
	for (unsigned i = 0; i < env->n; i++)
		text_add(out, env_entry(env, i), strlen(env_entry(env, i)) + 1);
}

struct field {
	const char *name, *value;
	size_t name_length;
};

/* Lower case with a capital at the start and after each hyphen: HEADER_X_FOO becomes Header_x_foo. */
static char name_char(const struct field *field, size_t i)
{
	char c = field->name[i];

	if (i == 0 || field->name[i - 1] == '-')
		return upper(c);
	return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static int compare_fields(const void *a, const void *b)
{
	const struct field *left = a, *right = b;
	size_t shorter = MIN(left->name_length, right->name_length);

	for (size_t i = 0; i < shorter; i++) {
		int difference = (unsigned char)name_char(left, i) - (unsigned char)name_char(right, i);

		if (difference != 0)
			return difference;
	}
	return left->name_length < right->name_length ? -1 : left->name_length > right->name_length;
}

static bool is_named(const struct field *field, const char *name)
{
	return field->name_length == strlen(name) && strncasecmp(field->name, name, field->name_length) == 0;
}

static void write_field(const struct field *field, struct text *out)
{
	size_t start = out->length, at;

	text_add(out, field->name, field->name_length);
	if (out->failed)
		return;
	for (size_t i = 0; i < field->name_length; i++)
		out->data[start + i] = name_char(field, i);
	/* What could not stand in a header section is left out. */
	if (!http_field_valid(out->data + start, "")) {
		out->length = start;
		return;
	}
	text_add(out, ": ", 2);
	at = out->length;
	text_puts(out, field->value);
	for (; !out->failed && at < out->length; at++)
		if ((unsigned char)out->data[at] < 0x20 || out->data[at] == 0x7f)
			out->data[at] = ' ';
	text_add(out, "\r\n", 2);
}

static struct field field_of(const char *name, const char *value)
{
	return (struct field){.name = name, .value = value, .name_length = strlen(name)};
}

void env_frame(const struct env *env, const char *call_id, size_t content_length, bool first, struct text *out)
{
	_cleanup_free_ struct field *fields = malloc((env->n + 3u) * sizeof(struct field));
	char length[24];
	unsigned n = 0;

	(void)snprintf(length, sizeof(length), "%zu", content_length);
	if (!fields) {
		out->failed = true;
		return;
	}
	for (unsigned i = 0; i < env->n; i++) {
		fields[n] = (struct field){.name = env_entry(env, i),
					   .value = env_entry(env, i) + env->entries[i].name_length + 1,
					   .name_length = env->entries[i].name_length};
		/* The framing is ours. */
		if (!is_named(&fields[n], "Content-Length") && !is_named(&fields[n], "Task-Id") &&
		    !is_named(&fields[n], "Transfer-Encoding"))
			n++;
	}
	fields[n++] = field_of("Content-Length", length);
	fields[n++] = field_of("Task-Id", call_id);
	if (first)
		fields[n++] = field_of("Fn_format", "http");
	qsort(fields, n, sizeof(struct field), compare_fields);
	text_puts(out, "GET / HTTP/1.1\r\n");
	for (unsigned i = 0; i < n; i++)
		write_field(&fields[i], out);
	text_puts(out, "\r\n");
}
