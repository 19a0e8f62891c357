/* The connection, shared by the two halves of the HTTP engine: http.c reads, http_reply.c answers. */
#ifndef FERRITE_API_HTTP_PRIVATE_H
#define FERRITE_API_HTTP_PRIVATE_H

#include "api/http.h"
#include "api/text.h"

#include <http_parser.h>
#include <sys/queue.h>

enum connection_state {
	CONNECTION_HEAD,   /* between requests, or reading a header section */
	CONNECTION_BODY,   /* reading a body */
	CONNECTION_BUSY,   /* the request is complete, its answer is not */
	CONNECTION_WRITE,  /* the answer waits for room in the socket */
	CONNECTION_LINGER, /* our side is shut; what still comes is thrown away, so that the answer is not reset */
};

/* A loop's limits, and what all loops count together. */
const struct http_limits *http_loop_limits(const struct http_loop *loop);
size_t http_loop_buffered(const struct http_loop *loop);

/* Where the fields of a request are in its head. Only connections that have begun a request have one. */
struct http_fields {
	size_t name_at[HTTP_HEADERS_MAX], value_at[HTTP_HEADERS_MAX];
	struct http_header headers[HTTP_HEADERS_MAX];
};

struct http_connection {
	struct http_request request; /* of this moment */
	struct http_loop *loop;
	int fd;
	enum connection_state state;
	unsigned depth;	 /* of calls in progress: the connection is freed when it returns to 0 */
	bool dead;	 /* to be freed */
	bool in_request; /* the handler was called and the request has not ended */
	bool complete;	 /* the whole request was read */
	bool keep_alive; /* as far as we know */
	bool expects;	 /* waits for "100 Continue" */
	bool in_value;	 /* the header section ended in a value, as far as it was read */
	bool in_body;	 /* the header section is complete (what comes as fields now are trailers) */
	bool local;
	unsigned refuse;      /* status the parser's callbacks want to refuse the request with */
	uint64_t deadline_us; /* CLOCK_MONOTONIC; 0: none */
	uint64_t began_us;    /* when the body, or the answer, that moves now began to */
	uint64_t moved;	      /* bytes of it */
	size_t discarded;     /* bytes of a body that nobody asked for */
	size_t buffered;      /* of the collected body; counted in the shared total */
	size_t head_buffered; /* of the head beyond HEAD_FREE; the same */
	size_t unsent;	      /* of the answer, when it did not fit into the socket; the same */
	size_t body_max;
	http_handler *on_complete;
	http_data *on_data;
	struct text head; /* target, then names and values, each terminated */
	unsigned n_headers;
	struct http_fields *in;
	struct text fields;	  /* added to the answer */
	struct evbuffer *pending; /* read too early: it belongs to the next request */
	struct evbuffer *output;
	struct event *read_event, *write_event;
	http_parser parser;
	TAILQ_ENTRY(http_connection) link;
};

/* Makes the connection wait for the next request, go on writing, or end, after an answer. */
void http_connection_answered(struct http_connection *c);
/* Writes what is in the output; false when the connection broke. */
bool http_connection_flush(struct http_connection *c);
/* Counts an answer. */
void http_loop_count(struct http_loop *loop, unsigned status);
/* The text of the Date field, new every second. */
const char *http_loop_date(struct http_loop *loop);

#endif
