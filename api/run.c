#include "api/run.h"

#include "api/async.h"
#include "api/call.h"
#include "api/jwt.h"
#include "supervisor/log.h"
#include "supervisor/util.h"

#define IN_MEMORY_BYTES	    (1 * MIB)	/* of one body; a larger one waits in a file */
#define ALL_IN_MEMORY_BYTES (256 * MIB) /* of all bodies */

static void on_body(struct http_request *request)
{
	call_start(request->user, NULL);
}

/* The end of a call whose body cannot be kept. */
static void refuse_body(struct call *call, const struct err *err)
{
	if (err->code == -EFBIG)
		call_fail(call, CALL_REFUSED, 413, "The request body is too large");
	else if (err->code == -ENOSPC)
		call_fail(call, CALL_REFUSED, 507,
			  "No space left on the device that takes the request body (state_dir)");
	else if (err->code == -ENOBUFS || err->code == -ENOMEM)
		call_fail(call, CALL_REFUSED, 503, "Too many requests are being received, try again");
	else
		call_fail(call, CALL_REFUSED, 500, "The request body cannot be kept: %s", err->text);
}

/* False: the call has ended. */
static bool keep(struct call *call, const void *bytes, size_t length)
{
	const struct settings *settings = &call->loop->settings;
	const struct spool_limits limits = {
		.folder = settings->spool_dir,
		.bytes = settings->max_body_bytes,
		.in_memory = IN_MEMORY_BYTES,
		.all_memory = ALL_IN_MEMORY_BYTES,
		.all_files = settings->max_spool_bytes,
		.all_open = settings->max_spools,
	};
	struct err err = ERR_INIT;

	if (spool_add(&call->payload, &limits, bytes, length, &err) == 0)
		return true;
	refuse_body(call, &err);
	return false;
}

static bool on_data(struct http_request *request, const void *bytes, size_t length)
{
	return keep(request->user, bytes, length);
}

static bool on_ignored(struct http_request *request, const void *bytes, size_t length)
{
	(void)request;
	(void)bytes;
	(void)length;
	return true;
}

static void take_payload(struct call *call)
{
	struct http_request *request = call->request;
	_cleanup_(text_done) struct text payload = {0};

	if (request->method != METHOD_GET) {
		if (request->content_length > 0 &&
		    (uint64_t)request->content_length > call->loop->settings.max_body_bytes)
			call_fail(call, CALL_REFUSED, 413, "The request body is too large");
		else
			http_stream(request, on_data, on_body);
		return;
	}
	/* A GET carries its payload in the query; a body it may have is not one. */
	if (path_query(request->target, "payload", &payload) && payload.length > 0 &&
	    !keep(call, payload.data, payload.length))
		return;
	http_stream(request, on_ignored, on_body);
}

/* False when it has replied: the route has a jwt_key, and the request no token that fits it. */
static bool allowed(struct http_request *request, const struct function *function)
{
	char message[JWT_MESSAGE_MAX];

	if (!function->jwt_key || jwt_token_accepted(function->jwt_key, http_header(request, "Authorization"),
						     (int64_t)(clock_realtime_us() / 1000000), message))
		return true;
	http_reply_header(request, "Www-Authenticate", JWT_CHALLENGE);
	api_reply_error(request, 401, "%s", message);
	return false;
}

void run_function(struct http_request *request, const struct path_match *match)
{
	struct api_loop *loop = api_loop_of(request);
	struct api *api = loop->api;
	struct function *function = NULL;
	struct call *call;
	enum function_missing missing;
	struct err err = ERR_INIT;

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
	if (function->async) {
		async_call(request, function);
		return;
	}
	call = call_new(request, function);
	if (call)
		take_payload(call);
	else
		api_reply_error(request, 503, "ferrite is out of memory");
}
