#include "rootfs/document.h"

#include <errno.h>
#include <stdbool.h>

/* jansson's parser calls itself per level; a document is refused before it gets deep. */
static bool too_deep(const char *text, size_t length)
{
	unsigned depth = 0;
	bool in_string = false;

	for (size_t i = 0; i < length; i++) {
		if (in_string) {
			if (text[i] == '\\')
				i++;
			else if (text[i] == '"')
				in_string = false;
		} else if (text[i] == '"') {
			in_string = true;
		} else if (text[i] == '{' || text[i] == '[') {
			if (++depth > DOCUMENT_DEPTH_MAX)
				return true;
		} else if ((text[i] == '}' || text[i] == ']') && depth > 0) {
			depth--;
		}
	}
	return false;
}

json_t *document_parse(const char *what, const char *text, size_t length, struct err *err)
{
	json_error_t e;
	json_t *value;

	if (too_deep(text, length)) {
		(void)err_set(err, EINVAL, "%s is nested deeper than %d levels", what, DOCUMENT_DEPTH_MAX);
		return NULL;
	}
	value = json_loadb(text, length, JSON_REJECT_DUPLICATES, &e);
	if (!value && json_error_code(&e) == json_error_out_of_memory)
		(void)err_sys(err, ENOMEM, "parse %s", what);
	else if (!value)
		(void)err_set(err, EINVAL, "%s is no valid JSON: line %d column %d: %.100s", what, e.line, e.column,
			      e.text);
	return value;
}

static int member(const json_t *object, const char *what, const char *key, json_type type, const char *type_name,
		  json_t **ret, struct err *err)
{
	json_t *value = json_object_get(object, key);

	if (!value || json_is_null(value))
		return 0;
	if (json_typeof(value) != type)
		return err_set(err, EINVAL, "%s: %s is no %s", what, key, type_name);
	*ret = value;
	return 1;
}

int document_string(const json_t *object, const char *what, const char *key, const char **ret, struct err *err)
{
	json_t *value = NULL;
	int r = member(object, what, key, JSON_STRING, "string", &value, err);

	if (r == 1)
		*ret = json_string_value(value);
	return r;
}

int document_object(const json_t *object, const char *what, const char *key, json_t **ret, struct err *err)
{
	return member(object, what, key, JSON_OBJECT, "object", ret, err);
}

int document_array(const json_t *object, const char *what, const char *key, json_t **ret, struct err *err)
{
	return member(object, what, key, JSON_ARRAY, "list", ret, err);
}

char *document_text(const json_t *value)
{
	return json_dumps(value, JSON_COMPACT | JSON_SORT_KEYS | JSON_ENCODE_ANY);
}

void document_release(json_t **value)
{
	json_decref(*value);
	*value = NULL;
}
