/* Bodies of /v1: what is accepted can be written, and what was written reads back as the same. */
#include "api/model.h"

#include "api/function.h"
#include "supervisor/util.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_route(const json_t *object)
{
	_cleanup_(route_done) struct route route = {0}, again = {0};
	_cleanup_(text_done) struct text messages = {0}, first = {0}, second = {0};
	_cleanup_json_ json_t *reread = NULL;
	struct function *function = NULL;
	struct err err;

	if (route_read(object, &route) < 0 || route_complete(&route) < 0)
		return;
	route_check(&route, true, &messages);
	if (route_merge(&route, &route) < 0 && messages.length == 0)
		abort();
	route_write(&route, &first);
	reread = json_body(first.data, first.length);
	if (!reread || route_read(reread, &again) < 0 || route_complete(&again) < 0)
		abort();
	route_write(&again, &second);
	if (strcmp(first.data, second.data) != 0)
		abort();
	if (function_make("{}", first.data, &function, &err) == 0)
		function_unref(function);
}

static void check_app(const json_t *object)
{
	_cleanup_(app_done) struct app app = {0}, again = {0};
	_cleanup_(text_done) struct text first = {0};
	_cleanup_json_ json_t *reread = NULL;

	if (app_read(object, &app) < 0 || app_merge(&app, &app) < 0)
		return;
	(void)app_name_problem(app.name);
	app_write(&app, &first);
	reread = json_body(first.data, first.length);
	if (!reread || app_read(reread, &again) < 0)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_json_ json_t *body = json_body((const char *)data, size);

	if (!body)
		return 0;
	check_route(body);
	check_app(body);
	if (json_is_object(json_member(body, "route")))
		check_route(json_member(body, "route"));
	if (json_is_object(json_member(body, "app")))
		check_app(json_member(body, "app"));
	return 0;
}
