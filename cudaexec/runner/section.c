#include "cudaexec/runner/section.h"

#include "supervisor/str.h"
#include "supervisor/util.h"

#include <stdarg.h>
#include <string.h>

#define SHOWN_MAX 64

/* Keys that are no plain names stay out of the place, so that it can be split again. */
static bool is_plain_key(const char *key)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-";

	return *key && strlen(key) < 64 && key[strspn(key, plain)] == '\0';
}

size_t section_enter_key(struct section *s, const char *key)
{
	size_t mark = strlen(s->place);

	if (is_plain_key(key))
		(void)snprintf(s->place + mark, sizeof(s->place) - mark, ".%s", key);
	return mark;
}

size_t section_enter_index(struct section *s, size_t index)
{
	size_t mark = strlen(s->place);

	(void)snprintf(s->place + mark, sizeof(s->place) - mark, "[%zu]", index);
	return mark;
}

void section_leave(struct section *s, size_t mark)
{
	s->place[mark] = '\0';
}

int section_fail(struct section *s, int code, const char *format, ...)
{
	char text[ERR_TEXT_MAX];
	va_list args;

	va_start(args, format);
	(void)vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	return err_set(s->err, code, "%s: %s", s->place, text);
}

int section_wrap(struct section *s)
{
	return err_wrap(s->err, "%s", s->place);
}

int section_keys(struct section *s, const json_t *object, const char *what, const char *const *known)
{
	const char *key;
	json_t *value;

	if (!json_is_object(object))
		return section_fail(s, EINVAL, "%s must be a mapping", what);
	json_object_foreach((json_t *)object, key, value)
	{
		const char *nearest;
		char shown[SHOWN_MAX];
		size_t i = 0;

		while (known[i] && strcmp(known[i], key) != 0)
			i++;
		if (known[i])
			continue;
		nearest = str_nearest(key, known);
		(void)section_enter_key(s, key);
		(void)str_escape(shown, sizeof(shown), key, strlen(key));
		if (nearest)
			return section_fail(s, EINVAL, "unknown key \"%s\" (did you mean \"%s\"?)", shown, nearest);
		return section_fail(s, EINVAL, "unknown key \"%s\"", shown);
	}
	return 0;
}

int section_string(struct section *s, const json_t *object, const char *key, size_t max, bool required,
		   const char **ret_text)
{
	const json_t *value = json_object_get(object, key);
	const char *text = json_string_value(value);

	if (!value && required)
		return section_fail(s, EINVAL, "\"%s\" is missing", key);
	if (value) {
		(void)section_enter_key(s, key);
		if (!text)
			return section_fail(s, EINVAL, "must be a string");
		if (!*text || strlen(text) != json_string_length(value))
			return section_fail(s, EINVAL, "must not be empty");
		if (strlen(text) > max)
			return section_fail(s, E2BIG, "longer than %zu bytes", max);
		s->place[strlen(s->place) - strlen(key) - 1] = '\0';
	}
	*ret_text = text;
	return 0;
}

int section_array(struct section *s, const json_t *object, const char *key, size_t max, const json_t **ret_array)
{
	const json_t *value = json_object_get(object, key);

	if (value && (!json_is_array(value) || json_array_size(value) > max)) {
		(void)section_enter_key(s, key);
		if (!json_is_array(value))
			return section_fail(s, EINVAL, "must be a list");
		return section_fail(s, E2BIG, "more than %zu entries", max);
	}
	*ret_array = value;
	return 0;
}
