#include "api/admin.h"
#include "api/change.h"

#include "supervisor/log.h"
#include "supervisor/util.h"

#include <string.h>

#define VALIDATION_FAILURE "validation failure list:\n"

static void store_error(struct http_request *request, const struct err *err)
{
	log_error("the store failed", LOG_STR("error", err->text));
	api_reply_error(request, 500, "%s", err->text);
}

void apps_list(struct http_request *request, const struct path_match *match)
{
	_cleanup_(text_done) struct text body = {0};
	struct err err = ERR_INIT;

	(void)match;
	text_puts(&body, "{\"message\":\"Successfully listed applications\",\"apps\":[");
	if (store_app_list(api_loop_of(request)->store, &body, &err) < 0) {
		store_error(request, &err);
		return;
	}
	text_puts(&body, "]}");
	api_reply(request, 200, &body);
}

void apps_get(struct http_request *request, const struct path_match *match)
{
	_cleanup_(text_done) struct text body = {0};
	struct err err = ERR_INIT;
	int r;

	text_puts(&body, "{\"message\":\"Successfully loaded app\",\"app\":");
	r = store_app_get(api_loop_of(request)->store, match->app, &body, &err);
	text_puts(&body, "}");
	if (r == -ENOENT)
		api_reply_error(request, 404, "App not found");
	else if (r < 0)
		store_error(request, &err);
	else
		api_reply(request, 200, &body);
}

/* Reads the object inside the wrapper; false when it has replied. */
static bool read_app(struct change *change, const json_t *body)
{
	json_t *object = json_member(body, "app");

	if (!object)
		api_reply_error(change->request, 400, "Missing new application");
	else if (!json_is_object(object) || app_read(object, &change->app) < 0)
		api_reply_error(change->request, 400, "Invalid JSON");
	else
		return true;
	return false;
}

static bool parse_create(struct change *change, const json_t *body)
{
	const char *problem;

	if (!read_app(change, body))
		return false;
	problem = app_name_problem(change->app.name);
	if (problem)
		api_reply_error(change->request, 400, VALIDATION_FAILURE "%s", problem);
	return !problem;
}

static void answer_app(struct change *change, const char *message, const char *document)
{
	change->status = 200;
	change->changed = true;
	text_printf(&change->body, "{\"message\":\"%s\",\"app\":%s}", message, document);
}

static void run_create(struct change *change, struct store *store)
{
	_cleanup_(text_done) struct text document = {0};
	struct err err = ERR_INIT;
	int r = -ENOMEM;

	app_write(&change->app, &document);
	if (!document.failed)
		r = store_app_create(store, change->app.name, document.data, &err);
	if (r == -EEXIST)
		change_error(change, 409, "App already exists");
	else if (r < 0)
		change_failed(change, &err);
	else
		answer_app(change, "App successfully created", document.data);
}

void apps_create(struct http_request *request, const struct path_match *match)
{
	change_begin(request, match, parse_create, run_create);
}

static bool parse_update(struct change *change, const json_t *body)
{
	if (!read_app(change, body))
		return false;
	if (change->app.name && *change->app.name) {
		api_reply_error(change->request, 400, "Could not update app - name is immutable");
		return false;
	}
	return true;
}

/* Loads the stored app, merges the patch into it, stores and writes it. */
static int update_app(struct change *change, struct store *store, struct text *document, struct err *err)
{
	_cleanup_(text_done) struct text stored = {0};
	_cleanup_(app_done) struct app app = {0};
	_cleanup_json_ json_t *object = NULL;
	int r = store_app_get(store, change->app_name, &stored, err);

	if (r < 0)
		return r;
	object = json_body(stored.data, stored.length);
	if (!object || app_read(object, &app) < 0)
		return err_set(err, EUCLEAN, "app %s is damaged in the store", change->app_name);
	if (app_merge(&app, &change->app) < 0)
		return err_sys(err, ENOMEM, "app %s", change->app_name);
	app_write(&app, document);
	if (document->failed)
		return err_sys(err, ENOMEM, "app %s", change->app_name);
	return store_app_update(store, change->app_name, document->data, err);
}

static void run_update(struct change *change, struct store *store)
{
	_cleanup_(text_done) struct text document = {0};
	struct err err = ERR_INIT;
	int r = update_app(change, store, &document, &err);

	if (r == -ENOENT)
		change_error(change, 404, "App not found");
	else if (r < 0)
		change_failed(change, &err);
	else
		answer_app(change, "App successfully updated", document.data);
}

void apps_update(struct http_request *request, const struct path_match *match)
{
	change_begin(request, match, parse_update, run_update);
}

static void run_delete(struct change *change, struct store *store)
{
	struct err err = ERR_INIT;
	int r = store_app_delete(store, change->app_name, &err);

	if (r == -ENOENT) {
		change_error(change, 404, "App not found");
	} else if (r == -ENOTEMPTY) {
		change_error(change, 400, "Cannot remove apps with routes");
	} else if (r < 0) {
		change_failed(change, &err);
	} else {
		change->status = 200;
		change->changed = true;
		text_puts(&change->body, "{\"message\":\"App deleted\"}");
	}
}

void apps_delete(struct http_request *request, const struct path_match *match)
{
	change_begin(request, match, NULL, run_delete);
}
