#include "api/injection.h"

#include "api/dispatcher.h"
#include "api/gpuask.h"
#include "api/query.h"
#include "supervisor/log.h"
#include "supervisor/util.h"

#include <string.h>

/* A question on its way: the image is opened by ferrite-rootfs, then ferrite-gpu explains. */
struct explanation {
	struct peer_request peer;
	struct http_request *request; /* NULL: gone */
	struct api_loop *loop;
	struct function *function; /* NULL: an image was asked about */
	struct image *image;
	struct text name; /* of the image */
	struct text tail;
	struct rfs_open open;
	struct gpu_attach attach;
};

static void explanation_free(struct explanation *explanation)
{
	peer_request_done(&explanation->peer);
	if (explanation->function)
		function_unref(explanation->function);
	if (explanation->image)
		image_unref(explanation->image);
	text_done(&explanation->name);
	text_done(&explanation->tail);
	free(explanation);
}

static void on_gone(struct http_request *request)
{
	struct explanation *explanation = request->user;

	explanation->request = NULL;
}

static void fail(struct explanation *explanation, const struct err *failure, unsigned status)
{
	if (explanation->request)
		query_answer_failed(explanation->request, failure, status);
	explanation_free(explanation);
}

static void ask(struct explanation *explanation, enum peer peer, uint16_t type, uint16_t expects, const void *body,
		size_t size, peer_function *done)
{
	explanation->peer.done = done;
	explanation->peer.expects = expects;
	explanation->peer.out = (struct ipc_out){.type = type,
						 .body = body,
						 .body_size = size,
						 .tail = explanation->tail.data,
						 .tail_size = explanation->tail.length};
	peers_send(explanation->loop->api->peers, peer, &explanation->peer);
}

static void on_explained(struct peer_request *request)
{
	struct explanation *explanation = (struct explanation *)request;
	_cleanup_(text_done) struct text body = {0};
	struct err err = ERR_INIT;

	/* A wish that this machine cannot fulfil is in conflict with what it has. */
	if (!request->reply) {
		fail(explanation, &request->failure, 409);
		return;
	}
	if (query_read_document(request->reply, &body) == -EPROTO) {
		(void)err_set(&err, -EPROTO, "%s sent no document", peer_name(PEER_GPU));
		fail(explanation, &err, 502);
		return;
	}
	if (explanation->request)
		api_reply(explanation->request, 200, &body);
	explanation_free(explanation);
}

static void answer_nothing(struct explanation *explanation)
{
	_cleanup_(text_done) struct text body = {0};

	text_puts(&body, "{\"injected\":false,\"reason\":\"neither the route nor its image asks for a GPU\"}");
	if (explanation->request)
		api_reply(explanation->request, 200, &body);
	explanation_free(explanation);
}

static void explain(struct explanation *explanation)
{
	struct gpu_wish wish = gpu_ask_wish(explanation->function, explanation->image);
	struct err err = ERR_INIT;

	if (wish.count == 0) {
		answer_nothing(explanation);
		return;
	}
	text_clear(&explanation->tail);
	if (gpu_ask(explanation->image, &wish, "", &explanation->attach, &explanation->tail, &err) < 0)
		fail(explanation, &err, err.code == -ENOMEM ? 503 : 409);
	else
		ask(explanation, PEER_GPU, GPU_EXPLAIN, GPU_DOCUMENT, &explanation->attach, sizeof(explanation->attach),
		    on_explained);
}

static void on_opened(struct peer_request *request)
{
	struct explanation *explanation = (struct explanation *)request;
	struct peer_reply *reply = request->reply;
	struct rfs_opened opened;
	const char *config;

	if (!reply) {
		fail(explanation, &request->failure, request->failure.code == -ENOENT ? 404 : 500);
		return;
	}
	memcpy(&opened, reply->payload, sizeof(opened));
	opened.digest[sizeof(opened.digest) - 1] = '\0';
	config = (const char *)reply->payload + sizeof(opened);
	if (image_make(explanation->name.data, opened.digest, config, strlen(config), reply->fds, reply->n_fds,
		       &explanation->image, &request->failure) < 0) {
		fail(explanation, &request->failure, 500);
		return;
	}
	peer_request_done(request);
	explain(explanation);
}

/* The route of the question, with its image's name; false when it has replied. */
static bool find_route(struct explanation *explanation, struct http_request *request)
{
	struct api *api = explanation->loop->api;
	_cleanup_(text_done) struct text app = {0}, path = {0};
	enum function_missing missing = FUNCTION_NO_APP;
	struct err err = ERR_INIT;

	if (!path_query(request->target, "app", &app) || !path_query(request->target, "path", &path) ||
	    app.length == 0 || path.length == 0 || path.data[0] != '/') {
		api_reply_error(request, 400, "Either image or app and path (which begins with a slash) are needed");
		return false;
	}
	path_clean(path.data);
	if (functions_find(&api->dispatcher->functions, explanation->loop->store, atomic_load(&api->generation),
			   app.data, path.data, &explanation->function, &missing, &err) < 0) {
		log_error("the store failed", LOG_STR("error", err.text));
		api_reply_error(request, 500, "%s", err.text);
		return false;
	}
	if (missing != FUNCTION_FOUND) {
		api_reply_error(request, 404, missing == FUNCTION_NO_APP ? "App not found" : "Route not found");
		return false;
	}
	text_puts(&explanation->name, explanation->function->image);
	return true;
}

void injection_get(struct http_request *request, const struct path_match *match)
{
	struct explanation *explanation = calloc(1, sizeof(*explanation));

	(void)match;
	if (!explanation) {
		api_reply_error(request, 503, "ferrite is out of memory");
		return;
	}
	explanation->loop = api_loop_of(request);
	explanation->peer.worker = &explanation->loop->worker;
	explanation->peer.repeatable = true;
	if ((!path_query(request->target, "image", &explanation->name) || explanation->name.length == 0) &&
	    !find_route(explanation, request)) {
		explanation_free(explanation);
		return;
	}
	explanation->request = request;
	request->user = explanation;
	request->gone = on_gone;
	request->patient = true;
	explanation->image = images_find(&explanation->loop->api->dispatcher->images, explanation->name.data);
	if (explanation->image) {
		explain(explanation);
		return;
	}
	text_add(&explanation->tail, explanation->name.data, explanation->name.length + 1);
	ask(explanation, PEER_ROOTFS, RFS_OPEN, RFS_OPENED, &explanation->open, sizeof(explanation->open), on_opened);
}
