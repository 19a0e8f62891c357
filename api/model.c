#include "api/model.h"

#include "api/gpuwish.h"
#include "api/networkwish.h"
#include "api/path.h"

#include <string.h>
#include <strings.h>

#define DEFAULT_MEMORY_MIB 128
#define DEFAULT_TIMEOUT_S  30

void app_done(struct app *app)
{
	free(app->name);
	json_decref(app->config);
	*app = (struct app){0};
}

void route_done(struct route *route)
{
	free(route->app_name);
	free(route->path);
	free(route->image);
	free(route->type);
	free(route->format);
	free(route->jwt_key);
	json_decref(route->headers);
	json_decref(route->config);
	json_decref(route->gpu);
	json_decref(route->network);
	json_decref(route->warm);
	*route = (struct route){0};
}

int app_read(const json_t *object, struct app *ret_app)
{
	_cleanup_(app_done) struct app app = {0};
	_cleanup_(route_done) struct route ignored = {0};
	json_t *routes = json_member(object, "routes"), *element;
	size_t i;
	int r = json_read_string(object, "name", &app.name);

	if (r == 0)
		r = json_read_strings(object, "config", &app.config);
	if (r < 0)
		return r;
	/* Routes inside an app are not stored, but must be readable as such. */
	if (routes && !json_is_array(routes))
		return -EINVAL;
	json_array_foreach(routes, i, element)
	{
		route_done(&ignored);
		if (!json_is_null(element) && (!json_is_object(element) || route_read(element, &ignored) < 0))
			return -EINVAL;
	}
	*ret_app = app;
	app = (struct app){0};
	return 0;
}

int route_read(const json_t *object, struct route *ret_route)
{
	_cleanup_(route_done) struct route route = {0};

	if (json_read_string(object, "app_name", &route.app_name) < 0 ||
	    json_read_string(object, "path", &route.path) < 0 || json_read_string(object, "image", &route.image) < 0 ||
	    json_read_u64(object, "memory", &route.memory) < 0 ||
	    json_read_lists(object, "headers", &route.headers) < 0 ||
	    json_read_string(object, "type", &route.type) < 0 ||
	    json_read_string(object, "format", &route.format) < 0 ||
	    json_read_i64(object, "max_concurrency", INT64_MIN, INT64_MAX, &route.max_concurrency) < 0 ||
	    json_read_i64(object, "timeout", INT32_MIN, INT32_MAX, &route.timeout) < 0 ||
	    json_read_i64(object, "idle_timeout", INT32_MIN, INT32_MAX, &route.idle_timeout) < 0 ||
	    json_read_strings(object, "config", &route.config) < 0 ||
	    json_read_string(object, "jwt_key", &route.jwt_key) < 0)
		return -EINVAL;
	route.gpu = json_incref(json_member(object, "gpu"));
	route.network = json_incref(json_member(object, "network"));
	route.warm = json_incref(json_member(object, "warm"));
	*ret_route = route;
	route = (struct route){0};
	return 0;
}

const char *app_name_problem(const char *name)
{
	if (!name || !*name)
		return "Missing app name";
	if (strlen(name) > APP_NAME_MAX)
		return "App name must be 30 characters or less";
	if (name[strspn(name, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-_")])
		return "Invalid app name";
	return NULL;
}

static bool given(const char *text)
{
	return text && *text;
}

static int default_string(char **value, const char *text)
{
	if (given(*value))
		return 0;
	free(*value);
	*value = strdup(text);
	return *value ? 0 : -ENOMEM;
}

static int default_object(json_t **value)
{
	if (!*value)
		*value = json_object();
	return *value ? 0 : -ENOMEM;
}

int route_complete(struct route *route)
{
	if (route->memory == 0)
		route->memory = DEFAULT_MEMORY_MIB;
	if (route->timeout == 0)
		route->timeout = DEFAULT_TIMEOUT_S;
	if (route->max_concurrency == 0)
		route->max_concurrency = 1;
	if (route->path && route->path[0] == '/')
		path_clean(route->path);
	if (default_string(&route->path, "") < 0 || default_string(&route->image, "") < 0 ||
	    default_string(&route->type, "sync") < 0 || default_string(&route->format, "default") < 0 ||
	    default_string(&route->jwt_key, "") < 0 || default_object(&route->headers) < 0 ||
	    default_object(&route->config) < 0)
		return -ENOMEM;
	return 0;
}

static void problem(struct text *messages, const char *message)
{
	if (messages->length > 0)
		text_puts(messages, "\n");
	text_puts(messages, message);
}

static bool is_empty(const json_t *value)
{
	return (json_is_object(value) && json_object_size(value) == 0) ||
	       (json_is_string(value) && json_string_length(value) == 0) ||
	       (json_is_integer(value) && json_integer_value(value) == 0);
}

static void check_extensions(const struct route *route, struct text *messages)
{
	struct err err = ERR_INIT;
	struct gpu_wish wish;
	struct network_wish network;

	if (route->gpu && !is_empty(route->gpu) && gpu_wish_read(route->gpu, &wish, &err) < 0)
		problem(messages, err.text);
	if (route->network && !is_empty(route->network) && network_wish_read(route->network, &network, &err) < 0)
		problem(messages, err.text);
	if (route->warm && (!json_is_integer(route->warm) || json_integer_value(route->warm) < 0))
		problem(messages, "Invalid route warm: a number of instances is expected");
}

void route_check(const struct route *route, bool creating, struct text *messages)
{
	const char *path = route->path ? route->path : "";

	if (creating && !given(route->image))
		problem(messages, "Missing route Image");
	if (creating && !*path)
		problem(messages, "Missing route Path");
	if (creating && !path_is_url(path))
		problem(messages, "Path malformed");
	if (creating && strchr(path, ':'))
		problem(messages, "Dynamic URL is not allowed");
	if (creating && path[0] != '/')
		problem(messages, "Invalid Path format");
	if (given(route->type) && strcmp(route->type, "sync") != 0 && strcmp(route->type, "async") != 0)
		problem(messages, "Invalid route Type");
	if (given(route->format) && strcmp(route->format, "default") != 0 && strcmp(route->format, "http") != 0)
		problem(messages, "Invalid route Format");
	if (route->max_concurrency < 0)
		problem(messages, "Negative MaxConcurrency");
	if (route->timeout < 0)
		problem(messages, "Negative timeout");
	if (route->idle_timeout < 0)
		problem(messages, "Negative idle timeout");
	check_extensions(route, messages);
}

/* Puts the members into the order that answers have: by key. */
static int sort_members(json_t **value, int (*read)(const json_t *, const char *, json_t **))
{
	_cleanup_json_ json_t *holder = json_object();
	json_t *sorted = NULL;
	int r;

	if (!holder || json_object_set(holder, "m", *value) < 0)
		return -ENOMEM;
	r = read(holder, "m", &sorted);
	if (r < 0)
		return r;
	json_decref(*value);
	*value = sorted;
	return 0;
}

/* Sets the keys of PATCH in *VALUE; an empty string removes its key. */
static int merge_config(json_t **value, json_t *patch)
{
	json_t *element;
	const char *key;

	if (!patch)
		return 0;
	if (default_object(value) < 0)
		return -ENOMEM;
	json_object_foreach(patch, key, element)
	{
		if (json_string_length(element) == 0)
			(void)json_object_del(*value, key);
		else if (json_object_set(*value, key, element) < 0)
			return -ENOMEM;
	}
	return sort_members(value, json_read_strings);
}

int app_merge(struct app *app, const struct app *patch)
{
	return merge_config(&app->config, patch->config);
}

/* Go's canonical form of a header name: the first letter and each one after a hyphen upper case, the rest lower. */
static void canonical_header(char *name)
{
	bool start = true;

	for (; *name; name++) {
		if (start && *name >= 'a' && *name <= 'z')
			*name = (char)(*name - 'a' + 'A');
		else if (!start && *name >= 'A' && *name <= 'Z')
			*name = (char)(*name - 'A' + 'a');
		start = *name == '-';
	}
}

static int merge_header(json_t *headers, const char *name, json_t *values)
{
	_cleanup_free_ char *canonical = strdup(name);
	const char *key;
	json_t *element;
	void *next;

	if (!canonical)
		return -ENOMEM;
	canonical_header(canonical);
	json_object_foreach_safe(headers, next, key, element)
	{
		(void)element;
		if (strcasecmp(key, name) == 0)
			(void)json_object_del(headers, key);
	}
	if (json_array_size(values) == 0)
		return 0;
	return json_object_set(headers, canonical, values) < 0 ? -ENOMEM : 0;
}

static int replace_string(char **value, const char *text)
{
	char *copy;

	if (!given(text))
		return 0;
	copy = strdup(text);
	if (!copy)
		return -ENOMEM;
	free(*value);
	*value = copy;
	return 0;
}

/* An extension is replaced when it is given; an empty value ({}, "", 0) takes it away. */
static void replace_extension(json_t **value, json_t *patch)
{
	if (!patch)
		return;
	json_decref(*value);
	*value = is_empty(patch) ? NULL : json_incref(patch);
}

int route_merge(struct route *route, const struct route *patch)
{
	const char *name;
	json_t *values;

	if (replace_string(&route->image, patch->image) < 0 || replace_string(&route->type, patch->type) < 0 ||
	    replace_string(&route->format, patch->format) < 0 || replace_string(&route->jwt_key, patch->jwt_key) < 0)
		return -ENOMEM;
	if (patch->memory)
		route->memory = patch->memory;
	if (patch->timeout)
		route->timeout = patch->timeout;
	if (patch->idle_timeout)
		route->idle_timeout = patch->idle_timeout;
	if (patch->max_concurrency)
		route->max_concurrency = patch->max_concurrency;
	replace_extension(&route->gpu, patch->gpu);
	replace_extension(&route->network, patch->network);
	replace_extension(&route->warm, patch->warm);
	json_object_foreach(patch->headers, name, values)
	{
		if (merge_header(route->headers, name, values) < 0)
			return -ENOMEM;
	}
	if (patch->headers && sort_members(&route->headers, json_read_lists) < 0)
		return -ENOMEM;
	return merge_config(&route->config, patch->config);
}

static void write_value(struct text *out, json_t *value)
{
	_cleanup_free_ char *dumped = value ? json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;

	if (value && !dumped)
		out->failed = true;
	else
		text_puts(out, dumped ? dumped : "null");
}

static void write_string(struct text *out, const char *key, const char *value)
{
	text_puts(out, key);
	text_json(out, value ? value : "");
}

void app_write(const struct app *app, struct text *out)
{
	write_string(out, "{\"name\":", app->name);
	text_puts(out, ",\"config\":");
	write_value(out, app->config);
	text_puts(out, "}");
}

void route_write(const struct route *route, struct text *out)
{
	write_string(out, "{\"app_name\":", route->app_name);
	write_string(out, ",\"path\":", route->path);
	write_string(out, ",\"image\":", route->image);
	text_printf(out, ",\"memory\":%llu,\"headers\":", (unsigned long long)route->memory);
	write_value(out, route->headers);
	write_string(out, ",\"type\":", route->type);
	write_string(out, ",\"format\":", route->format);
	text_printf(out, ",\"max_concurrency\":%lld,\"timeout\":%lld,\"idle_timeout\":%lld,\"config\":",
		    (long long)route->max_concurrency, (long long)route->timeout, (long long)route->idle_timeout);
	write_value(out, route->config);
	write_string(out, ",\"jwt_key\":", route->jwt_key);
	if (route->gpu && !is_empty(route->gpu)) {
		text_puts(out, ",\"gpu\":");
		write_value(out, route->gpu);
	}
	if (route->network && !is_empty(route->network)) {
		text_puts(out, ",\"network\":");
		write_value(out, route->network);
	}
	if (route->warm && !is_empty(route->warm)) {
		text_puts(out, ",\"warm\":");
		write_value(out, route->warm);
	}
	text_puts(out, "}");
}
