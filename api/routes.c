#include "api/admin.h"
#include "api/change.h"

#include "supervisor/log.h"
#include "supervisor/util.h"

#include <string.h>

/* The original wraps the list of messages twice. */
#define VALIDATION_FAILURE "validation failure list:\nvalidation failure list:\n"

static void store_error(struct http_request *request, const struct err *err)
{
	log_error("the store failed", LOG_STR("error", err->text));
	api_reply_error(request, 500, "%s", err->text);
}

static void list(struct http_request *request, const char *app)
{
	_cleanup_(text_done) struct text body = {0}, image = {0};
	struct err err = ERR_INIT;
	bool filtered = path_query(request->target, "image", &image) && image.length > 0;

	text_puts(&body, "{\"message\":\"Sucessfully listed routes\",\"routes\":[");
	if (store_route_list(api_loop_of(request)->store, app, filtered ? image.data : NULL, &body, &err) < 0) {
		store_error(request, &err);
		return;
	}
	text_puts(&body, "]}");
	api_reply(request, 200, &body);
}

void routes_list(struct http_request *request, const struct path_match *match)
{
	list(request, match->app);
}

void routes_list_all(struct http_request *request, const struct path_match *match)
{
	(void)match;
	list(request, NULL);
}

void routes_get(struct http_request *request, const struct path_match *match)
{
	struct store *store = api_loop_of(request)->store;
	_cleanup_(text_done) struct text body = {0}, app = {0};
	struct err err = ERR_INIT;
	int r;

	path_clean(match->rest);
	text_puts(&body, "{\"message\":\"Successfully loaded route\",\"route\":");
	r = store_route_get(store, match->app, match->rest, &body, &err);
	text_puts(&body, "}");
	if (r == 0)
		api_reply(request, 200, &body);
	else if (r == -ENOENT && store_app_get(store, match->app, &app, &err) == 0)
		api_reply_error(request, 404, "Route not found");
	else if (r == -ENOENT && err.code == 0)
		api_reply_error(request, 404, "App not found");
	else
		store_error(request, &err);
}

static bool read_route(struct change *change, const json_t *body)
{
	json_t *object = json_member(body, "route");

	if (!object)
		api_reply_error(change->request, 400, "Missing new route");
	else if (!json_is_object(object) || route_read(object, &change->route) < 0)
		api_reply_error(change->request, 400, "Invalid JSON");
	else
		return true;
	return false;
}

/* False when there were problems; they are answered then. */
static bool check_route(struct change *change, bool creating)
{
	_cleanup_(text_done) struct text messages = {0};

	route_check(&change->route, creating, &messages);
	if (messages.length > 0)
		api_reply_error(change->request, 400, VALIDATION_FAILURE "%s", messages.data);
	return messages.length == 0;
}

static bool parse_create(struct change *change, const json_t *body)
{
	if (!read_route(change, body))
		return false;
	free(change->route.app_name);
	change->route.app_name = strdup(change->app_name);
	if (!change->route.app_name || route_complete(&change->route) < 0) {
		api_reply_error(change->request, 503, "ferrite is out of memory");
		return false;
	}
	return check_route(change, true);
}

static int create_route(struct change *change, struct store *store, struct text *document, struct err *err)
{
	_cleanup_(text_done) struct text app_document = {0};
	const struct app app = {.name = change->app_name};

	app_write(&app, &app_document);
	route_write(&change->route, document);
	if (app_document.failed || document->failed)
		return err_sys(err, ENOMEM, "route %s", change->route.path);
	return store_route_create(store, change->app_name, app_document.data, change->route.path, change->route.image,
				  document->data, err);
}

static void answer_route(struct change *change, const char *message, const char *document)
{
	change->status = 200;
	change->changed = true;
	text_printf(&change->body, "{\"message\":\"%s\",\"route\":%s}", message, document);
}

static void run_create(struct change *change, struct store *store)
{
	_cleanup_(text_done) struct text document = {0}, app = {0};
	const char *problem = app_name_problem(change->app_name);
	struct err err = ERR_INIT;
	int r = 0;

	/* A bad name matters only when the app would have to be made. */
	if (problem)
		r = store_app_get(store, change->app_name, &app, &err);
	if (r == -ENOENT) {
		change_error(change, 400, problem);
		return;
	}
	if (r == 0)
		r = create_route(change, store, &document, &err);
	if (r == -EEXIST)
		change_error(change, 409, "Route already exists");
	else if (r < 0)
		change_failed(change, &err);
	else
		answer_route(change, "Route successfully created", document.data);
}

void routes_create(struct http_request *request, const struct path_match *match)
{
	change_begin(request, match, parse_create, run_create);
}

static bool parse_update(struct change *change, const json_t *body)
{
	if (!read_route(change, body))
		return false;
	if (change->route.path && *change->route.path) {
		api_reply_error(change->request, 400, "Could not update route - path is immutable");
		return false;
	}
	return check_route(change, false);
}

static int update_route(struct change *change, struct store *store, struct text *document, struct err *err)
{
	_cleanup_(text_done) struct text stored = {0};
	_cleanup_(route_done) struct route route = {0};
	_cleanup_json_ json_t *object = NULL;
	int r = store_route_get(store, change->app_name, change->path, &stored, err);

	if (r < 0)
		return r;
	object = json_body(stored.data, stored.length);
	if (!object || route_read(object, &route) < 0)
		return err_set(err, EUCLEAN, "route %s of %s is damaged in the store", change->path, change->app_name);
	if (route_merge(&route, &change->route) < 0)
		return err_sys(err, ENOMEM, "route %s", change->path);
	route_write(&route, document);
	if (document->failed)
		return err_sys(err, ENOMEM, "route %s", change->path);
	return store_route_update(store, change->app_name, change->path, route.image, document->data, err);
}

/* Says which of the two is not there. */
static void answer_missing(struct change *change, struct store *store)
{
	_cleanup_(text_done) struct text app = {0};
	struct err err = ERR_INIT;
	int r = store_app_get(store, change->app_name, &app, &err);

	if (r < 0 && r != -ENOENT)
		change_failed(change, &err);
	else
		change_error(change, 404, r == 0 ? "Route not found" : "App not found");
}

static void run_update(struct change *change, struct store *store)
{
	_cleanup_(text_done) struct text document = {0};
	struct err err = ERR_INIT;
	int r = update_route(change, store, &document, &err);

	if (r == -ENOENT)
		answer_missing(change, store);
	else if (r < 0)
		change_failed(change, &err);
	else
		answer_route(change, "Route successfully updated", document.data);
}

void routes_update(struct http_request *request, const struct path_match *match)
{
	change_begin(request, match, parse_update, run_update);
}

static void run_delete(struct change *change, struct store *store)
{
	struct err err = ERR_INIT;
	int r = store_route_delete(store, change->app_name, change->path, &err);

	if (r == -ENOENT) {
		answer_missing(change, store);
	} else if (r < 0) {
		change_failed(change, &err);
	} else {
		change->status = 200;
		change->changed = true;
		text_puts(&change->body, "{\"message\":\"Route deleted\"}");
	}
}

void routes_delete(struct http_request *request, const struct path_match *match)
{
	change_begin(request, match, NULL, run_delete);
}
