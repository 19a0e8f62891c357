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

void env_set_config(struct env *env, const char *key, const char *value)
{
	_cleanup_free_ char *name = strdup(key);

	if (!name) {
		env->overflow = true;
		return;
	}
	for (char *at = name; *at; at++)
		*at = *at == '-' || *at == '=' || (unsigned char)*at < 0x20 || *at == 0x7f ? '_' : upper(*at);
	env_set(env, name, value);
}

void env_set_headers(struct env *env, const struct http_request *request)
{
	for (unsigned i = 0; i < request->n_headers; i++) {
		const struct http_header *header = &request->headers[i];
		_cleanup_(text_done) struct text name = {0}, joined = {0};
		const char *earlier;

		if (strcasecmp(header->name, "Host") == 0 || strcasecmp(header->name, "Transfer-Encoding") == 0)
			continue;
		text_puts(&name, "HEADER_");
		for (const char *at = header->name; *at; at++) {
			char c = upper(*at);

			if (!(c >= 'A' && c <= 'Z') && !(c >= '0' && c <= '9') && c != '.')
				c = '_';
			text_add(&name, &c, 1);
		}
		if (name.failed) {
			env->overflow = true;
			return;
		}
		/* A variable of the configuration with this name is overridden, not continued. */
		earlier = NULL;
		for (unsigned before = 0; before < i && !earlier; before++)
			if (strcasecmp(request->headers[before].name, header->name) == 0)
				earlier = env_get(env, name.data);
		if (earlier)
			text_printf(&joined, "%s %s", earlier, header->value);
		env_set(env, name.data, joined.data ? joined.data : header->value);
	}
}

void env_pack(const struct env *env, struct text *out)
{
	for (unsigned i = 0; i < env->n; i++)
		text_add(out, env_entry(env, i), strlen(env_entry(env, i)) + 1);
}

struct field {
	char *name;
	const char *value;
};

static int compare_fields(const void *a, const void *b)
{
	return strcmp(((const struct field *)a)->name, ((const struct field *)b)->name);
}

/* Lower case with a capital at the start and after each hyphen: HEADER_X_FOO becomes Header_x_foo. */
static void header_name(char *name)
{
	bool start = true;

	for (; *name; name++) {
		if (!start && *name >= 'A' && *name <= 'Z')
			*name = (char)(*name - 'A' + 'a');
		else if (start)
			*name = upper(*name);
		start = *name == '-';
	}
}

static void write_field(const struct field *field, struct text *out)
{
	if (!http_field_valid(field->name, ""))
		return;
	text_printf(out, "%s: ", field->name);
	for (const char *at = field->value; *at; at++) {
		char c = (unsigned char)*at < 0x20 || *at == 0x7f ? ' ' : *at;

		text_add(out, &c, 1);
	}
	text_puts(out, "\r\n");
}

void env_frame(const struct env *env, const char *call_id, size_t content_length, bool first, struct text *out)
{
	_cleanup_free_ struct field *fields = calloc(env->n + 3u, sizeof(struct field));
	char length[24];
	unsigned n = 0;

	(void)snprintf(length, sizeof(length), "%zu", content_length);
	if (!fields) {
		out->failed = true;
		return;
	}
	for (unsigned i = 0; i < env->n; i++) {
		fields[n].name = strndup(env_entry(env, i), env->entries[i].name_length);
		fields[n].value = env_entry(env, i) + env->entries[i].name_length + 1;
		if (!fields[n].name) {
			out->failed = true;
			break;
		}
		header_name(fields[n].name);
		/* The framing is ours. */
		if (strcmp(fields[n].name, "Content-Length") != 0 && strcmp(fields[n].name, "Task-Id") != 0 &&
		    strcmp(fields[n].name, "Transfer-Encoding") != 0)
			n++;
		else
			free(take_ptr(fields[n].name));
	}
	fields[n++] = (struct field){strdup("Content-Length"), length};
	fields[n++] = (struct field){strdup("Task-Id"), call_id};
	if (first)
		fields[n++] = (struct field){strdup("Fn_format"), "http"};
	for (unsigned i = 0; i < n; i++)
		out->failed |= !fields[i].name;
	if (!out->failed)
		qsort(fields, n, sizeof(struct field), compare_fields);
	text_puts(out, "GET / HTTP/1.1\r\n");
	for (unsigned i = 0; i < n; i++) {
		if (!out->failed)
			write_field(&fields[i], out);
		free(fields[i].name);
	}
	text_puts(out, "\r\n");
}
