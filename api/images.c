#include "api/images.h"

#include "api/query.h"
#include "supervisor/util.h"

#include <string.h>

bool images_allowed(struct http_request *request)
{
	/* With service authentication on, the router has seen a good token. */
	if (request->local || *api_loop_of(request)->settings.jwt_auth_key)
		return true;
	api_reply_error(request, 403,
			"Images are changed over the UNIX socket (RUN_DIR/api.sock); over TCP only with service "
			"authentication (jwt_auth_key)");
	return false;
}

void images_reply_failed(struct http_request *request, const struct err *failure)
{
	unsigned status = 500;

	switch (-failure->code) {
	case ENOENT:
		status = 404;
		break;
	case EINVAL:
	case EUCLEAN:
	case EBADMSG:
	case ENOTSUP:
	case ETIMEDOUT:
		status = 400;
		break;
	case EFBIG:
	case E2BIG:
	case EMSGSIZE:
		status = 413;
		break;
	case EBUSY:
	case EEXIST:
		status = 409;
		break;
	case ENOSPC:
	case EDQUOT:
		status = 507;
		break;
	default:
		break;
	}
	query_answer_failed(request, failure, status);
}

static void answer_document(struct query *query)
{
	if (query->peer.reply)
		query_answer_document(query);
	else
		images_reply_failed(query->request, &query->peer.failure);
}

static void ask(struct http_request *request, enum rfs_query_kind kind, const char *name)
{
	struct query *query = query_new(request, answer_document);

	if (!query)
		return;
	query->body.rootfs.kind = kind;
	text_add(&query->tail, name, strlen(name) + 1);
	query_send(query, PEER_ROOTFS, RFS_QUERY, RFS_DOCUMENT, sizeof(query->body.rootfs));
}

void images_list(struct http_request *request, const struct path_match *match)
{
	(void)match;
	ask(request, RFS_QUERY_LIST, "");
}

/* What stood for the name, without the slash in front of it. */
void images_get(struct http_request *request, const struct path_match *match)
{
	if (match->rest[1])
		ask(request, RFS_QUERY_INSPECT, match->rest + 1);
	else
		ask(request, RFS_QUERY_LIST, "");
}

static void answer_removed(struct query *query)
{
	_cleanup_(text_done) struct text body = {0};
	struct rfs_removed removed;

	if (!query->peer.reply) {
		images_reply_failed(query->request, &query->peer.failure);
		return;
	}
	memcpy(&removed, query->peer.reply->payload, sizeof(removed));
	text_printf(&body, "{\"message\":\"%s\",\"blobs\":%u,\"layers\":%u,\"bytes\":%llu}",
		    query->peer.out.type == RFS_GC ? "Images swept" : "Image deleted", removed.blobs, removed.layers,
		    (unsigned long long)removed.bytes);
	api_reply(query->request, 200, &body);
}

void images_delete(struct http_request *request, const struct path_match *match)
{
	struct query *query;

	if (!images_allowed(request))
		return;
	if (!match->rest[1]) {
		api_reply_error(request, 400, "Missing image name");
		return;
	}
	query = query_new(request, answer_removed);
	if (!query)
		return;
	query->peer.repeatable = false;
	text_add(&query->tail, match->rest + 1, strlen(match->rest + 1) + 1);
	query_send(query, PEER_ROOTFS, RFS_REMOVE, RFS_REMOVED, 0);
}

void images_collect(struct http_request *request, const struct path_match *match)
{
	struct query *query;

	(void)match;
	if (!images_allowed(request))
		return;
	query = query_new(request, answer_removed);
	if (query)
		query_send(query, PEER_ROOTFS, RFS_GC, RFS_REMOVED, 0);
}
