#include "api/router.h"

#include "api/admin.h"
#include "api/calls.h"
#include "api/health.h"
#include "api/images.h"
#include "api/injection.h"
#include "api/inventory.h"
#include "api/jwt.h"
#include "api/run.h"
#include "api/scrape.h"
#include "api/status.h"
#include "api/tasks.h"

#include "supervisor/util.h"

#include <string.h>

#define BIT(m) (1u << METHOD_##m)
#define RUN_METHODS \
	(BIT(GET) | BIT(POST) | BIT(PUT) | BIT(PATCH) | BIT(HEAD) | BIT(OPTIONS) | BIT(DELETE) | BIT(CONNECT) | \
	 BIT(TRACE))

struct endpoint {
	const char *pattern;
	unsigned methods;
	bool guarded; /* by the service's own authentication */
	api_handler *handler;
};

/* The first row that fits counts. The route "/" has two spellings: …/routes/ always, …/routes where no list is meant.
 */
static const struct endpoint endpoints[] = {
	{"/r/:/*", RUN_METHODS, false, run_function},
	{"/", BIT(GET), false, status_banner},
	{"/version", BIT(GET), false, status_version},
	{"/stats", BIT(GET), false, status_stats},
	{"/tasks", BIT(GET), true, tasks_reserve},
	{"/tasks", BIT(DELETE), true, tasks_acknowledge},
	{"/v1/tasks", BIT(GET), true, tasks_reserve},
	{"/v1/tasks", BIT(DELETE), true, tasks_acknowledge},
	{"/healthz", BIT(GET) | BIT(HEAD), false, health_get},
	{"/metrics", BIT(GET), true, scrape_metrics},
	{"/readyz", BIT(GET) | BIT(HEAD), false, status_ready},
	{"/v1/version", BIT(GET), true, status_version},
	{"/v1/stats", BIT(GET), true, status_stats},
	{"/v1/apps", BIT(GET), true, apps_list},
	{"/v1/apps", BIT(POST), true, apps_create},
	{"/v1/apps/:", BIT(GET), true, apps_get},
	{"/v1/apps/:", BIT(PATCH), true, apps_update},
	{"/v1/apps/:", BIT(DELETE), true, apps_delete},
	{"/v1/apps/:/routes", BIT(POST), true, routes_create},
	{"/v1/apps/:/routes/*", BIT(GET), true, routes_get},
	{"/v1/apps/:/routes/*", BIT(PATCH), true, routes_update},
	{"/v1/apps/:/routes/*", BIT(DELETE), true, routes_delete},
	{"/v1/apps/:/routes", BIT(GET), true, routes_list},
	{"/v1/apps/:/routes", BIT(PATCH), true, routes_update},
	{"/v1/apps/:/routes", BIT(DELETE), true, routes_delete},
	{"/v1/apps/:/calls", BIT(GET), true, calls_list},
	{"/v1/apps/:/calls/*", BIT(GET), true, calls_get},
	{"/v1/calls", BIT(GET), true, calls_list_all},
	{"/v1/routes", BIT(GET), true, routes_list_all},
	{"/v1/gpus", BIT(GET), true, inventory_gpus},
	{"/v1/gpus/injection", BIT(GET), true, injection_get},
	{"/v1/instances", BIT(GET), true, inventory_instances},
	{"/v1/images", BIT(GET), true, images_list},
	{"/v1/images", BIT(POST), true, images_upload},
	{"/v1/images/gc", BIT(POST), true, images_collect},
	{"/v1/images/*", BIT(GET), true, images_get},
	{"/v1/images/*", BIT(DELETE), true, images_delete},
};

/* False when it has replied. Over the UNIX socket no token is asked for: its file mode says who may connect. */
static bool allowed(struct http_request *request, const struct endpoint *endpoint)
{
	const char *key = api_loop_of(request)->settings.jwt_auth_key;
	char unused[JWT_MESSAGE_MAX];

	if (!endpoint->guarded || request->local || !*key ||
	    jwt_token_accepted(key, http_header(request, "Authorization"), (int64_t)(clock_realtime_us() / 1000000),
			       unused))
		return true;
	http_reply_header(request, "Www-Authenticate", JWT_CHALLENGE);
	api_reply_error(request, 401, "Invalid API Authorization token.");
	return false;
}

static bool scratch(struct api_loop *loop, size_t size)
{
	char *bigger;

	if (size <= loop->scratch_size)
		return true;
	bigger = realloc(loop->scratch, size);
	if (!bigger)
		return false;
	loop->scratch = bigger;
	loop->scratch_size = size;
	return true;
}

void router_handle(struct http_request *request)
{
	struct api_loop *loop = api_loop_of(request);
	struct path_match match;

	if (!scratch(loop, strlen(request->target) + 2)) {
		api_reply_error(request, 503, "ferrite is out of memory");
		return;
	}
	if (path_decode(request->target, loop->scratch) < 0) {
		api_reply_error(request, 400, "Malformed request path");
		return;
	}
	for (size_t i = 0; i < ARRAY_LEN(endpoints); i++) {
		if (!(endpoints[i].methods & (1u << request->method)) ||
		    !path_match(endpoints[i].pattern, loop->scratch, &match))
			continue;
		if (allowed(request, &endpoints[i]))
			endpoints[i].handler(request, &match);
		return;
	}
	api_reply_not_found(request);
}
