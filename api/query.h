/*
 * One question to another server for the sake of an HTTP request, and its answer. The client may go away meanwhile.
 */
#ifndef FERRITE_API_QUERY_H
#define FERRITE_API_QUERY_H

#include "api/api.h"
#include "api/peers.h"

struct query;
/* Loop: answers QUERY->request (which is there); reply or failure are in QUERY->peer. */
typedef void query_function(struct query *query);

struct query {
	struct peer_request peer;
	struct http_request *request; /* NULL: gone */
	struct text tail;
	union {
		struct rfs_query rootfs;
	} body;
	query_function *answer;
};

/* NULL: it has replied. The caller fills in body, tail and peer.out's body and type, then sends it. */
struct query *query_new(struct http_request *request, query_function *answer);
void query_send(struct query *query, enum peer peer, uint16_t type, uint16_t expects, size_t body_size);

/* Appends the JSON document of a sealed memfd that is the reply's first descriptor. -EPROTO: there is none. */
int query_read_document(struct peer_reply *reply, struct text *out);
/* Answers with it. */
void query_answer_document(struct query *query);
/* 503 when the server is not there, 502 when it went away, else STATUS with its words. */
void query_answer_failed(struct http_request *request, const struct err *failure, unsigned status);

#endif
