#include "api/function.h"

#include "api/metrics.h"
#include "api/model.h"
#include "supervisor/str.h"

#include <string.h>

#define IDLE_US 30000000 /* of a hot instance, when the route says nothing */

struct function *function_ref(struct function *function)
{
	atomic_fetch_add(&function->references, 1);
	return function;
}

static void free_pairs(struct function_pair *pairs, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		free(pairs[i].name);
		free(pairs[i].value);
	}
	free(pairs);
}

void function_unref(struct function *function)
{
	if (!function || atomic_fetch_sub(&function->references, 1) > 1)
		return;
	pool_free(function->pool);
	free_pairs(function->config, function->n_config);
	free_pairs(function->headers, function->n_headers);
	free(function->documents);
	free(function->app);
	free(function->path);
	free(function->image);
	free(function->jwt_key);
	free(function);
}

static void function_unrefp(struct function **function)
{
	function_unref(*function);
}

/* Appends the members of an object; of a list the first element counts, an empty one is left out. */
static int add_pairs(json_t *object, struct function_pair **pairs, unsigned *n)
{
	size_t room = *n + json_object_size(object) + 1;
	struct function_pair *bigger = realloc(*pairs, room * sizeof(*bigger));
	const char *name;
	json_t *member;

	if (!bigger)
		return -ENOMEM;
	*pairs = bigger;
	json_object_foreach(object, name, member)
	{
		const char *value = json_string_value(json_is_array(member) ? json_array_get(member, 0) : member);

		if (!value)
			continue;
		bigger[*n] = (struct function_pair){strdup(name), strdup(value)};
		if (!bigger[*n].name || !bigger[*n].value) {
			free(bigger[*n].name);
			free(bigger[*n].value);
			return -ENOMEM;
		}
		++*n;
	}
	return 0;
}

static int fill(struct function *f, struct app *app, struct route *route, struct err *err)
{
	f->app = take_ptr(route->app_name);
	f->path = take_ptr(route->path);
	f->image = take_ptr(route->image);
	f->metrics_app = f->app ? metrics_app(f->app) : 0;
	f->async = route->type && strcmp(route->type, "async") == 0;
	f->http_format = route->format && strcmp(route->format, "http") == 0;
	f->jwt_key = route->jwt_key && *route->jwt_key ? take_ptr(route->jwt_key) : NULL;
	if (__builtin_mul_overflow(route->memory, MIB, &f->memory_bytes))
		f->memory_bytes = UINT64_MAX;
	f->timeout_us = (uint64_t)MAX(route->timeout, 0) * 1000000;
	f->has_network = route->network != NULL;
	if (f->has_network && network_wish_read(route->network, &f->network, err) < 0)
		return err->code;
	if (f->http_format) {
		f->pool = pool_new((unsigned)MIN(MAX(route->max_concurrency, 1), UINT32_MAX),
				   route->idle_timeout > 0 ? (uint64_t)route->idle_timeout * 1000000 : IDLE_US);
		if (!f->pool)
			return err_sys(err, ENOMEM, "function");
	}
	f->has_gpu = route->gpu != NULL;
	if (f->has_gpu && gpu_wish_read(route->gpu, &f->gpu, err) < 0)
		return err->code;
	if (!f->app || !f->path || !f->image)
		return err_set(err, EUCLEAN, "a route is damaged in the store");
	if (add_pairs(app->config, &f->config, &f->n_config) < 0 ||
	    add_pairs(route->config, &f->config, &f->n_config) < 0 ||
	    add_pairs(route->headers, &f->headers, &f->n_headers) < 0)
		return err_sys(err, ENOMEM, "route %s", f->path);
	return 0;
}

static char *join(const char *first, const char *second)
{
	size_t length = strlen(first), more = strlen(second) + 1;
	char *joined = malloc(length + more);

	if (joined) {
		memcpy(joined, first, length);
		memcpy(joined + length, second, more);
	}
	return joined;
}

int function_make(const char *app_document, const char *route_document, struct function **ret_function, struct err *err)
{
	_cleanup_json_ json_t *app_object = json_body(app_document, strlen(app_document));
	_cleanup_json_ json_t *route_object = json_body(route_document, strlen(route_document));
	_cleanup_(function_unrefp) struct function *function = NULL;
	_cleanup_(app_done) struct app app = {0};
	_cleanup_(route_done) struct route route = {0};
	int r;

	if (!app_object || !route_object || app_read(app_object, &app) < 0 || route_read(route_object, &route) < 0)
		return err_set(err, EUCLEAN, "an app or route is damaged in the store");
	function = calloc(1, sizeof(*function));
	if (!function)
		return err_sys(err, ENOMEM, "function");
	function->references = 1;
	r = fill(function, &app, &route, err);
	if (r < 0)
		return r;
	function->documents = join(app_document, route_document);
	if (!function->documents)
		return err_sys(err, ENOMEM, "function");
	*ret_function = take_ptr(function);
	return 0;
}

/* --- the table ---------------------------------------------------------------------------------------------------- */

int functions_open(struct functions *functions, struct err *err)
{
	(void)pthread_mutex_init(&functions->lock, NULL);
	return table_open(&functions->table, err);
}

void functions_close(struct functions *functions)
{
	struct table_node *node;

	if (!functions->table.buckets)
		return;
	while ((node = table_any(&functions->table)) != NULL) {
		table_remove(&functions->table, node);
		function_unref(TABLE_OWNER(node, struct function, node));
	}
	table_close(&functions->table);
	(void)pthread_mutex_destroy(&functions->lock);
}

static uint64_t hash_of(const char *app, const char *path)
{
	return table_hash(app, strlen(app)) * 31 + table_hash(path, strlen(path));
}

static struct function *find(struct functions *functions, const char *app, const char *path)
{
	uint64_t hash = hash_of(app, path);

	for (struct table_node *node = table_first(&functions->table, hash); node; node = table_next(node, hash)) {
		struct function *function = TABLE_OWNER(node, struct function, node);

		if (strcmp(function->path, path) == 0 && strcmp(function->app, app) == 0)
			return function;
	}
	return NULL;
}

static void forget(struct functions *functions, struct function *function)
{
	table_remove(&functions->table, &function->node);
	if (function->pool)
		pool_retire(function->pool);
	function_unref(function);
}

/* Puts a freshly read state in the place of the one that is there, unless nothing about it has changed. */
static struct function *replace(struct functions *functions, struct function *fresh, uint64_t generation)
{
	struct function *known;

	pthread_mutex_lock(&functions->lock);
	known = find(functions, fresh->app, fresh->path);
	if (known && strcmp(known->documents, fresh->documents) == 0) {
		function_unref(fresh);
		fresh = function_ref(known);
	} else {
		if (known)
			forget(functions, known);
		table_insert(&functions->table, &function_ref(fresh)->node, hash_of(fresh->app, fresh->path));
	}
	atomic_store(&fresh->generation, generation);
	pthread_mutex_unlock(&functions->lock);
	return fresh;
}

static int load(struct store *store, const char *app, const char *path, struct function **ret_function,
		enum function_missing *ret_missing, struct err *err)
{
	_cleanup_(text_done) struct text app_document = {0}, route_document = {0};
	int r = store_app_get(store, app, &app_document, err);

	*ret_missing = r == -ENOENT ? FUNCTION_NO_APP : FUNCTION_FOUND;
	if (r < 0)
		return r == -ENOENT ? 0 : r;
	r = store_route_get(store, app, path, &route_document, err);
	*ret_missing = r == -ENOENT ? FUNCTION_NO_ROUTE : FUNCTION_FOUND;
	if (r < 0)
		return r == -ENOENT ? 0 : r;
	return function_make(app_document.data, route_document.data, ret_function, err);
}

int functions_find(struct functions *functions, struct store *store, uint64_t generation, const char *app,
		   const char *path, struct function **ret_function, enum function_missing *ret_missing,
		   struct err *err)
{
	struct function *function, *fresh = NULL;
	int r;

	pthread_mutex_lock(&functions->lock);
	function = find(functions, app, path);
	if (function && atomic_load(&function->generation) == generation)
		function_ref(function);
	else
		function = NULL;
	pthread_mutex_unlock(&functions->lock);
	if (function) {
		*ret_function = function;
		*ret_missing = FUNCTION_FOUND;
		return 0;
	}
	r = load(store, app, path, &fresh, ret_missing, err);
	if (r == 0 && fresh) {
		*ret_function = replace(functions, fresh, generation);
	} else if (r == 0) {
		pthread_mutex_lock(&functions->lock);
		function = find(functions, app, path);
		if (function)
			forget(functions, function);
		pthread_mutex_unlock(&functions->lock);
	}
	return r;
}

/* A path of the app that was not read since the change; the caller frees it. NULL: none. */
static char *stale_path(struct functions *functions, uint64_t generation, const char *app)
{
	char *path = NULL;

	pthread_mutex_lock(&functions->lock);
	for (size_t i = 0; i < functions->table.n_buckets && !path; i++)
		for (struct table_node *node = functions->table.buckets[i]; node && !path; node = node->next) {
			const struct function *function = TABLE_OWNER(node, struct function, node);

			if (strcmp(function->app, app) == 0 && atomic_load(&function->generation) < generation)
				path = strdup(function->path);
		}
	pthread_mutex_unlock(&functions->lock);
	return path;
}

static bool is_known(struct functions *functions, const char *app, const char *path)
{
	bool known;

	pthread_mutex_lock(&functions->lock);
	known = find(functions, app, path) != NULL;
	pthread_mutex_unlock(&functions->lock);
	return known;
}

/* False: the store failed; the next call will see it. */
static bool refresh(struct functions *functions, struct store *store, uint64_t generation, const char *app,
		    const char *path)
{
	struct function *function = NULL;
	enum function_missing missing;
	struct err err = ERR_INIT;
	int r = functions_find(functions, store, generation, app, path, &function, &missing, &err);

	function_unref(function);
	return r == 0;
}

void functions_refresh(struct functions *functions, struct store *store, uint64_t generation, const char *app,
		       const char *path)
{
	if (path && is_known(functions, app, path))
		(void)refresh(functions, store, generation, app, path);
	for (char *stale; !path && (stale = stale_path(functions, generation, app)) != NULL;) {
		bool done = refresh(functions, store, generation, app, stale);

		free(stale);
		if (!done)
			return;
	}
}
