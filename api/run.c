#include "api/run.h"

#include "api/call.h"
#include "api/jwt.h"
#include "supervisor/log.h"
#include "supervisor/util.h"

#include <time.h>

static void on_body(struct http_request *request)
{
	struct call *call = request->user;
	_cleanup_(text_done) struct text payload = {0};

	/* A GET carries its payload in the query; a body it may have is not one. */
	if (request->method != METHOD_GET) {
		call_start(call, request->body);
		return;
	}
	if (path_query(request->target, "payload", &payload) && payload.length > 0 &&
	    evbuffer_add(call->input, payload.data, payload.length) < 0) {
		call_fail(call, CALL_REFUSED, 503, "ferrite is out of memory");
		return;
	}
	call_start(call, NULL);
}

/* False when it has replied: the route has a jwt_key, and the request no token that fits it. */
static bool allowed(struct http_request *request, const struct function *function)
{
	char message[JWT_MESSAGE_MAX];

	if (!function->jwt_key ||
	    jwt_token_accepted(function->jwt_key, http_header(request, "Authorization"), time(NULL), message))
		return true;
	http_reply_header(request, "Www-Authenticate", JWT_CHALLENGE);
	api_reply_error(request, 401, "%s", message);
	return false;
}

/* What this version cannot do is refused before anything runs. */
static const char *missing_capability(const struct function *function)
{
	if (function->async)
		return "Routes of type async are not available in this version";
	if (function->http_format)
		return "Routes of format http are not available in this version (CUDA bundles need no format)";
	return NULL;
}

void run_function(struct http_request *request, const struct path_match *match)
{
	struct api_loop *loop = api_loop_of(request);
	struct api *api = loop->api;
	struct function *function = NULL;
	enum function_missing missing;
	struct err err = ERR_INIT;
	const char *refusal;

	path_clean(match->rest);
	if (functions_find(&api->dispatcher->functions, loop->store, atomic_load(&api->generation), match->app,
			   match->rest, &function, &missing, &err) < 0) {
		log_error("the store failed", LOG_STR("error", err.text));
		api_reply_error(request, 500, "Could not list routes from datastore");
		return;
	}
	if (missing != FUNCTION_FOUND) {
		api_reply_error(request, 404, "%s",
				missing == FUNCTION_NO_APP ? "App not found" : "Route not found on that application");
		return;
	}
	if (!allowed(request, function)) {
		function_unref(function);
		return;
	}
	refusal = missing_capability(function);
	if (refusal) {
		api_reply_error(request, 501, "%s", refusal);
		function_unref(function);
		return;
	}
	if (!call_new(request, function)) {
		api_reply_error(request, 503, "ferrite is out of memory");
		return;
	}
	http_collect(request, 0, on_body);
}
