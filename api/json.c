#include "api/json.h"

#include <string.h>
#include <strings.h>

json_t *json_body(const char *bytes, size_t length)
{
	_cleanup_json_ json_t *value = NULL;

	if (length == 0)
		return NULL;
	value = json_loadb(bytes, length, JSON_DISABLE_EOF_CHECK | JSON_DECODE_ANY, NULL);
	if (json_is_null(value))
		return json_object();
	return json_is_object(value) ? take_ptr(value) : NULL;
}

json_t *json_member(const json_t *object, const char *key)
{
	json_t *found = NULL, *value;
	const char *name;

	json_object_foreach((json_t *)object, name, value)
	{
		if (!json_is_null(value) && strcasecmp(name, key) == 0)
			found = value;
	}
	return found;
}

int json_read_string(const json_t *object, const char *key, char **value)
{
	json_t *member = json_member(object, key);
	char *copy;

	if (!member)
		return 0;
	if (!json_is_string(member))
		return -EINVAL;
	copy = strdup(json_string_value(member));
	if (!copy)
		return -ENOMEM;
	free(*value);
	*value = copy;
	return 0;
}

int json_read_i64(const json_t *object, const char *key, int64_t minimum, int64_t maximum, int64_t *value)
{
	json_t *member = json_member(object, key);

	if (!member)
		return 0;
	if (!json_is_integer(member) || json_integer_value(member) < minimum || json_integer_value(member) > maximum)
		return -EINVAL;
	*value = json_integer_value(member);
	return 0;
}

int json_read_u64(const json_t *object, const char *key, uint64_t *value)
{
	int64_t number = (int64_t)*value;
	int r = json_read_i64(object, key, 0, INT64_MAX, &number);

	if (r == 0)
		*value = (uint64_t)number;
	return r;
}

static int compare_keys(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Builds a copy of MEMBER, sorted by key, each value made by CONVERT (a new reference, NULL: wrong type). */
static int convert_members(json_t *member, json_t *(*convert)(json_t *), json_t **ret_value)
{
	_cleanup_json_ json_t *sorted = json_object();
	size_t n = 0, count = json_object_size(member);
	_cleanup_free_ const char **keys = calloc(count + 1, sizeof(char *));
	const char *key;
	json_t *value;

	if (!sorted || !keys)
		return -ENOMEM;
	json_object_foreach(member, key, value)
	{
		(void)value;
		keys[n++] = key;
	}
	qsort(keys, n, sizeof(char *), compare_keys);
	for (size_t i = 0; i < n; i++) {
		json_t *converted = convert(json_object_get(member, keys[i]));

		if (!converted)
			return -EINVAL;
		if (json_object_set_new(sorted, keys[i], converted) < 0)
			return -ENOMEM;
	}
	*ret_value = take_ptr(sorted);
	return 0;
}

static json_t *convert_string(json_t *value)
{
	if (json_is_null(value))
		return json_string("");
	return json_is_string(value) ? json_incref(value) : NULL;
}

static json_t *convert_list(json_t *value)
{
	_cleanup_json_ json_t *list = json_array();
	size_t i;
	json_t *element;

	if (!list || (!json_is_null(value) && !json_is_array(value)))
		return NULL;
	json_array_foreach(value, i, element)
	{
		json_t *text = convert_string(element);

		if (!text || json_array_append_new(list, text) < 0)
			return NULL;
	}
	return take_ptr(list);
}

static int read_members(const json_t *object, const char *key, json_t *(*convert)(json_t *), json_t **value)
{
	json_t *member = json_member(object, key), *fresh = NULL;
	int r;

	if (!member)
		return 0;
	if (!json_is_object(member))
		return -EINVAL;
	r = convert_members(member, convert, &fresh);
	if (r < 0)
		return r;
	json_decref(*value);
	*value = fresh;
	return 0;
}

int json_read_strings(const json_t *object, const char *key, json_t **value)
{
	return read_members(object, key, convert_string, value);
}

int json_read_lists(const json_t *object, const char *key, json_t **value)
{
	return read_members(object, key, convert_list, value);
}
