#include "api/status.h"

#include "api/dispatcher.h"
#include "api/peers.h"
#include "supervisor/util.h"

static void answer(struct http_request *request, const char *text)
{
	_cleanup_(text_done) struct text body = {0};

	text_puts(&body, text);
	api_reply(request, 200, &body);
}

void status_banner(struct http_request *request, const struct path_match *match)
{
	(void)match;
	answer(request, "{\"goto\":\"https://github.com/iron-io/functions\",\"hello\":\"world!\"}");
}

void status_version(struct http_request *request, const struct path_match *match)
{
	(void)match;
	answer(request, "{\"version\":\"" API_VERSION_ANSWER "\"}");
}

void status_stats(struct http_request *request, const struct path_match *match)
{
	const struct api *api = api_loop_of(request)->api;
	const struct dispatcher *dispatcher = api->dispatcher;
	_cleanup_(text_done) struct text body = {0};

	(void)match;
	text_printf(&body, "{\"Queue\":%llu,\"Running\":%llu,\"Complete\":%llu}",
		    (unsigned long long)(atomic_load(&dispatcher->queued) + queue_depth(api->queue)),
		    (unsigned long long)atomic_load(&dispatcher->running),
		    (unsigned long long)atomic_load(&dispatcher->complete));
	api_reply(request, 200, &body);
}

void status_ready(struct http_request *request, const struct path_match *match)
{
	struct api *api = api_loop_of(request)->api;

	(void)match;
	if (atomic_load(&api->draining)) {
		api_reply_error(request, 503, "ferrite is draining");
		return;
	}
	for (unsigned peer = PEER_SANDBOX; peer < PEER_MAX; peer++)
		if (!peers_connected(api->peers, (enum peer)peer)) {
			api_reply_error(request, 503, "%s is not running", peer_name((enum peer)peer));
			return;
		}
	answer(request, "{\"status\":\"ready\"}");
}
