/*
 * HTTP/1.1 as the rest of ferrite-api sees it. Behind it: libevent's loop for readiness and time, http_parser for the
 * syntax. (evhttp calls its handler when the whole body is in memory: an image of gigabytes cannot be uploaded, and
 * nothing can be refused before its body has been sent.)
 *
 * One http_loop per worker, all accepting from the same listening sockets. A request belongs to its worker's thread. It
 * begins when its header section is complete and the handler is called; it ends with exactly one of
 *   - http_reply() or http_reply_buffer(), or
 *   - its `gone` callback, because the client closed or timed out.
 * A client that shuts its side of the connection counts as gone, unless the handler marked the request as patient.
 * After either the request must not be touched. The handler asks for the body with http_collect() or http_stream(); a
 * body nobody asked for is thrown away (and the connection closed when it is long). "Expect: 100-continue" is answered
 * when the body is asked for.
 *
 * All limits are in struct http_limits. What a client may hold is in proportion to what it makes us do: a connection
 * without a request has no buffers. Malformed, oversized and slow requests are answered by the engine, in JSON.
 */
#ifndef FERRITE_API_HTTP_H
#define FERRITE_API_HTTP_H

#include "api/worker.h"

#include <event2/buffer.h>
#include <stdatomic.h>
#include <stdint.h>

enum request_method {
	METHOD_GET,
	METHOD_POST,
	METHOD_PUT,
	METHOD_PATCH,
	METHOD_HEAD,
	METHOD_OPTIONS,
	METHOD_DELETE,
	METHOD_CONNECT,
	METHOD_TRACE,
	METHOD_OTHER,
};

struct http_header {
	const char *name, *value; /* as received */
};

#define HTTP_HEADERS_MAX 256

struct http_request;
typedef void http_handler(struct http_request *request);
/* Part of a streamed body; false: the handler has replied, it wants no more. */
typedef bool http_data(struct http_request *request, const void *bytes, size_t length);

struct http_request {
	enum request_method method;
	const char *method_name;
	const char *target; /* as received */
	unsigned n_headers;
	const struct http_header *headers;
	bool local;		/* came over the UNIX socket */
	uint64_t received_us;	/* CLOCK_MONOTONIC when the header section was complete */
	int64_t content_length; /* -1: not given (chunked, or no body) */
	struct evbuffer *body;	/* after http_collect(); the handler may take its content */
	void *context;		/* of the http_loop */
	void *user;		/* the handler's */
	http_handler *gone;	/* the handler's; NULL: nobody wants to know */
	bool patient;		/* the handler's: answer even when the client has shut its side */
};

struct http_limits {
	size_t header_bytes;   /* request line and header fields: 431 */
	size_t body_bytes;     /* of a collected body when the handler names no other: 413 */
	size_t buffered_bytes; /* of all collected bodies, large headers and unsent answers together: 503 */
	unsigned connections;  /* of all loops together: a new one takes the place of an idle one, else 503 */
	uint64_t header_us;    /* from the first byte to the end of the header section: 408 */
	uint64_t body_us;      /* between two parts of a body: 408 */
	uint64_t idle_us;      /* of a connection without a request */
	uint64_t write_us;     /* between two parts of an answer */
	uint64_t rate;	       /* bytes a second that a body and an answer have to make beyond body_us and write_us */
};

#define HTTP_LIMITS_DEFAULT \
	((struct http_limits){ \
		.header_bytes = 64 << 10, \
		.body_bytes = 64 << 20, \
		.buffered_bytes = (size_t)1 << 30, \
		.connections = 16384, \
		.header_us = 10000000, \
		.body_us = 30000000, \
		.idle_us = 120000000, \
		.write_us = 30000000, \
		.rate = 4096, \
	})

/* What the loops of one program have in common. */
struct http_shared {
	struct http_limits limits; /* that a loop begins with */
	_Atomic size_t buffered;
	_Atomic unsigned connections;
	http_handler *handler;
};

struct http_loop;

/* The worker must not run yet, or the caller must be its thread. CONTEXT appears in every request. */
int http_loop_open(struct worker *worker, struct http_shared *shared, void *context, struct http_loop **ret_loop,
		   struct err *err);
/* New limits, from the loop's thread; they hold for what is read from now on. */
void http_loop_limit(struct http_loop *loop, const struct http_limits *limits);
/* Accepts from a listening socket that stays the caller's. */
int http_loop_listen(struct http_loop *loop, int listen_fd, bool local, struct err *err);
/* Serves a connected, non-blocking socket, which it owns from now on. */
int http_loop_adopt(struct http_loop *loop, int fd, bool local, struct err *err);
/* Accepts no more, and closes connections as soon as they have nothing to answer. */
void http_loop_drain(struct http_loop *loop);
/* Any thread: how many answers had a status of CLASS, its first digit. */
#define HTTP_CLASSES 6
uint64_t http_loop_answers(const struct http_loop *loop, unsigned class);
/* Closes everything; requests that wait get their `gone` call. */
void http_loop_close(struct http_loop *loop);

/* The value of the first header with this name (any case), or NULL. */
const char *http_header(const struct http_request *request, const char *name);

/* Collects the body in request->body, then calls COMPLETE. MAX 0: the limit of the program. */
void http_collect(struct http_request *request, size_t max, http_handler *complete);
/* Hands over the body in parts, then calls COMPLETE. */
void http_stream(struct http_request *request, http_data *data, http_handler *complete);

/* Adds a field to the answer. Fields that could not stand in a header section, or belong to the framing, are dropped.
 */
void http_reply_header(struct http_request *request, const char *name, const char *value);

/* Answers. CONTENT_TYPE NULL: none is sent. */
void http_reply(struct http_request *request, unsigned status, const char *content_type, const void *body,
		size_t length);
/* Answers with {"error":{"message":…}}; a 503 says when to try again. */
void http_reply_error(struct http_request *request, unsigned status, const char *message);
/* The same as http_reply() with a body that is taken out of BODY. */
void http_reply_buffer(struct http_request *request, unsigned status, const char *content_type, struct evbuffer *body);

/* Whether NAME and VALUE may stand in a header section: a token, and no control bytes. */
bool http_field_valid(const char *name, const char *value);

#endif
