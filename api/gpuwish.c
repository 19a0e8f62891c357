#include "api/gpuwish.h"

#include "supervisor/str.h"
#include "supervisor/util.h"

#include <string.h>

static const char *const keys[] = {"count",	"memory",     "capabilities", "on_pressure",
				   "isolation", "sm_percent", "warm",	      NULL};

static int bad(struct err *err, const char *key, const char *expected)
{
	return err_set(err, EINVAL, "Invalid route gpu: %s: %s is expected", key, expected);
}

static bool one_of(const json_t *value, const char *const *names)
{
	for (; json_is_string(value) && *names; names++)
		if (strcmp(json_string_value(value), *names) == 0)
			return true;
	return false;
}

static bool in_range(const json_t *value, json_int_t minimum, json_int_t maximum)
{
	return json_is_integer(value) && json_integer_value(value) >= minimum && json_integer_value(value) <= maximum;
}

static int read_key(const char *key, const json_t *value, struct gpu_wish *wish, struct err *err)
{
	static const char *const pressures[] = {"wait", "fail", NULL};
	static const char *const isolations[] = {"interpose", "exclusive", "remote", "mig", NULL};

	if (strcmp(key, "count") == 0) {
		if (!in_range(value, 0, GPU_COUNT_MAX))
			return bad(err, key, "a number from 0 to 64");
		wish->count = (uint32_t)json_integer_value(value);
	} else if (strcmp(key, "memory") == 0) {
		/* A plain number is bytes, as the bundler writes it. */
		if (in_range(value, 0, INT64_MAX))
			wish->memory_bytes = (uint64_t)json_integer_value(value);
		else if (!json_is_string(value) || str_size(json_string_value(value), 1, &wish->memory_bytes) < 0)
			return bad(err, key, "a size such as \"512MiB\"");
	} else if (strcmp(key, "capabilities") == 0) {
		if (!json_is_string(value) ||
		    !str_copy(wish->capabilities, sizeof(wish->capabilities), json_string_value(value)))
			return bad(err, key, "a list such as \"compute,utility\"");
	} else if (strcmp(key, "on_pressure") == 0) {
		if (!one_of(value, pressures))
			return bad(err, key, "wait or fail");
	} else if (strcmp(key, "isolation") == 0) {
		if (!one_of(value, isolations))
			return bad(err, key, "interpose, exclusive, remote or mig");
	} else if (strcmp(key, "sm_percent") == 0) {
		if (!in_range(value, 0, 100))
			return bad(err, key, "a number from 0 to 100");
	} else if (strcmp(key, "warm") == 0) {
		if (!in_range(value, 0, INT32_MAX))
			return bad(err, key, "a number of contexts");
	} else {
		const char *near = str_nearest(key, keys);

		return err_set(err, EINVAL, "Invalid route gpu: unknown key \"%.64s\"%s%s%s", key,
			       near ? ", did you mean \"" : "", near ? near : "", near ? "\"?" : "");
	}
	return 0;
}

int gpu_wish_read(const json_t *value, struct gpu_wish *ret_wish, struct err *err)
{
	struct gpu_wish wish = {.count = 1};
	const char *key;
	json_t *member;

	if (json_is_integer(value)) {
		int r = read_key("count", value, &wish, err);

		if (r == 0)
			*ret_wish = wish;
		return r;
	}
	if (!json_is_object(value))
		return err_set(err, EINVAL, "Invalid route gpu: a number or an object is expected");
	json_object_foreach((json_t *)value, key, member)
	{
		int r = json_is_null(member) ? 0 : read_key(key, member, &wish, err);

		if (r < 0)
			return r;
	}
	*ret_wish = wish;
	return 0;
}
