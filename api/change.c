#include "api/change.h"
#include "api/dispatcher.h"

#include "supervisor/log.h"
#include "supervisor/util.h"

#include <string.h>

/* Of an app or a route. A parsed document takes forty times its text; what a function can use is far smaller. */
#define CHANGE_BODY_MAX ((size_t)1 << 20)

static void change_free(struct change *change)
{
	free(change->app_name);
	free(change->path);
	app_done(&change->app);
	route_done(&change->route);
	text_done(&change->body);
	free(change);
}

void change_error(struct change *change, unsigned status, const char *message)
{
	change->status = status;
	text_clear(&change->body);
	text_puts(&change->body, "{\"error\":{\"message\":");
	text_json(&change->body, message);
	text_puts(&change->body, "}}");
}

void change_failed(struct change *change, const struct err *err)
{
	log_error("the store failed", LOG_STR("error", err->text));
	change_error(change, err->code == -ENOSPC ? 507 : 500, err->text);
}

/* In the loop again. */
static void run_answer(struct worker_task *task)
{
	struct change *change = (struct change *)task;

	if (change->request)
		api_reply(change->request, change->status, &change->body);
	change_free(change);
}

/* What the function table knows is old. A change of a route concerns no other. */
static void publish(struct change *change)
{
	struct api *api = change->loop->api;
	uint64_t generation = atomic_fetch_add(&api->generation, 1) + 1;

	if (change->app_name)
		functions_refresh(&api->dispatcher->functions, api->writer_store, generation, change->app_name,
				  change->of_route ? change->path : NULL);
}

/* In the writer thread. */
static void run_change(struct worker_task *task)
{
	struct change *change = (struct change *)task;
	struct api *api = change->loop->api;

	change->run(change, api->writer_store);
	if (change->changed)
		publish(change);
	task->run = run_answer;
	worker_post(&change->loop->worker, task);
}

static void on_gone(struct http_request *request)
{
	struct change *change = request->user;

	change->request = NULL;
}

/* The client went away before the change was under way. */
static void on_gone_early(struct http_request *request)
{
	change_free(request->user);
}

static void submit(struct change *change)
{
	change->request->gone = on_gone;
	change->request->patient = true;
	change->task.run = run_change;
	worker_post(&change->loop->api->writer, &change->task);
}

static void on_body(struct http_request *request)
{
	struct change *change = request->user;
	size_t length = evbuffer_get_length(request->body);
	const unsigned char *bytes = evbuffer_pullup(request->body, -1);
	_cleanup_json_ json_t *body = bytes ? json_body((const char *)bytes, length) : NULL;

	if (!body)
		api_reply_error(request, 400, "Invalid JSON");
	else if (change->parse(change, body)) {
		submit(change);
		return;
	}
	change_free(change);
}

void change_begin(struct http_request *request, const struct path_match *match, change_parse *parse,
		  change_function *run)
{
	struct change *change = calloc(1, sizeof(*change));

	if (change) {
		change->app_name = match->app ? strdup(match->app) : NULL;
		change->of_route = match->rest != NULL;
		change->path = strdup(match->rest ? match->rest : "/");
	}
	if (!change || (match->app && !change->app_name) || !change->path) {
		if (change)
			change_free(change);
		api_reply_error(request, 503, "ferrite is out of memory");
		return;
	}
	path_clean(change->path);
	change->loop = api_loop_of(request);
	change->request = request;
	change->parse = parse;
	change->run = run;
	request->user = change;
	if (!parse) {
		submit(change);
		return;
	}
	request->gone = on_gone_early;
	http_collect(request, CHANGE_BODY_MAX, on_body);
}
