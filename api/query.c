#include "api/query.h"

#include "supervisor/util.h"

#include <sys/stat.h>

#define DOCUMENT_MAX (64 << 20)

static void query_free(struct query *query)
{
	peer_request_done(&query->peer);
	text_done(&query->tail);
	free(query);
}

static void on_gone(struct http_request *request)
{
	struct query *query = request->user;

	query->request = NULL;
}

static void on_done(struct peer_request *request)
{
	struct query *query = (struct query *)request;

	if (query->request)
		query->answer(query);
	query_free(query);
}

struct query *query_new(struct http_request *request, query_function *answer)
{
	struct query *query = calloc(1, sizeof(*query));

	if (!query) {
		api_reply_error(request, 503, "ferrite is out of memory");
		return NULL;
	}
	query->request = request;
	query->answer = answer;
	query->peer.worker = &api_loop_of(request)->worker;
	query->peer.done = on_done;
	query->peer.repeatable = true;
	request->user = query;
	request->gone = on_gone;
	request->patient = true;
	return query;
}

void query_send(struct query *query, enum peer peer, uint16_t type, uint16_t expects, size_t body_size)
{
	query->peer.expects = expects;
	query->peer.out.type = type;
	query->peer.out.body = &query->body;
	query->peer.out.body_size = body_size;
	query->peer.out.tail = query->tail.data;
	query->peer.out.tail_size = query->tail.length;
	peers_send(api_loop_of(query->request)->api->peers, peer, &query->peer);
}

void query_answer_failed(struct http_request *request, const struct err *failure, unsigned status)
{
	if (failure->code == -EHOSTDOWN)
		api_reply_error(request, 503, "%s, try again", failure->text);
	else
		api_reply_error(request, failure->code == -ECONNRESET ? 502 : status, "%s", failure->text);
}

int query_read_document(struct peer_reply *reply, struct text *out)
{
	_cleanup_fd_ int fd = peer_reply_take_fd(reply, 0);
	char buffer[65536];
	struct stat st;
	off_t at = 0;

	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size > DOCUMENT_MAX)
		return -EPROTO;
	while (at < st.st_size) {
		ssize_t n = pread(fd, buffer, sizeof(buffer), at);

		if (n <= 0)
			break;
		text_add(out, buffer, (size_t)n);
		at += n;
	}
	if (out->length > 0 && out->data[out->length - 1] == '\n')
		out->data[--out->length] = '\0';
	return out->failed ? -ENOMEM : 0;
}

void query_answer_document(struct query *query)
{
	_cleanup_(text_done) struct text body = {0};

	if (query_read_document(query->peer.reply, &body) == -EPROTO)
		api_reply_error(query->request, 502, "%s sent no document", peer_name(query->peer.peer));
	else
		api_reply(query->request, 200, &body);
}
