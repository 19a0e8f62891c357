/*
 * The service as `ferrite` sees it: HTTP over TCP or over a UNIX socket, with libcurl. One thread. A client is opened
 * once and reused for all requests of a run, so that its connection is kept. Answers are read whole, up to
 * CLIENT_ANSWER_MAX, unless the caller names a stream for them.
 *
 * Errors: CLIENT_UNREACHABLE when no service answers at the address, -EINVAL when the address itself is malformed,
 * other codes when the exchange broke off. An answer with an error status is no error here: see client_check().
 */
#ifndef FERRITE_TOOLS_CLIENT_H
#define FERRITE_TOOLS_CLIENT_H

#include "supervisor/err.h"

#include <curl/curl.h>
#include <errno.h>
#include <jansson.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#define CLIENT_UNREACHABLE    (-EHOSTUNREACH)
#define CLIENT_ANSWER_MAX     ((size_t)64 << 20)
#define CLIENT_DEFAULT_SOCKET "/run/ferrite/api.sock"

struct client {
	char *url;    /* "http://host:port", without a slash at its end */
	char *socket; /* path of the UNIX socket; NULL: TCP */
	CURL *curl;
};

struct client_request {
	const char *method;
	const char *path;	  /* encoded, begins with a slash */
	const char *content_type; /* NULL: none */
	struct curl_slist *headers;
	const void *body;     /* or: */
	FILE *stream;	      /* read to its end */
	int64_t size;	      /* of the body; -1: unknown, sent in chunks */
	FILE *sink;	      /* where the body of an answer that is no error goes; NULL: memory */
	const char *progress; /* what to call the upload on a terminal; NULL: nothing is shown */
	bool wants_headers;
	const volatile sig_atomic_t *stop; /* the exchange is broken off when it is set by a signal; NULL: never */
};

struct client_reply {
	long status;
	char *body; /* terminated; never NULL after success */
	size_t length;
	json_t *headers; /* object of strings, lower-case names; NULL unless wanted */
	char server_timing[512];
	char call_id[128];
	double total_s; /* as this side saw it */
};

#define CLIENT_REPLY_INIT ((struct client_reply){0})

/* API as on the command line, or NULL for the environment and the default. */
int client_open(const char *api, struct client *ret_client, struct err *err);
void client_close(struct client *client);

/*
 * Sends one request. What a service may guard over TCP carries a token for JWT_AUTH_KEY of the environment. The reply
 * is the caller's to free with client_reply_done(), also after an error.
 */
int client_send(struct client *client, const struct client_request *request, struct client_reply *ret_reply,
		struct err *err);
void client_reply_done(struct client_reply *reply);

/* The message of an error answer: error.message of its JSON, else its text; a pointer into BUFFER. */
const char *client_message(const struct client_reply *reply, char *buffer, size_t size);

/*
 * The usual exchange: BODY (may be NULL; it is not kept) as JSON, the answer as JSON. An answer with an error status
 * becomes -EREMOTEIO with its message; ret_status may be NULL. The document is the caller's.
 */
int client_json(struct client *client, const char *method, const char *path, const json_t *body, long *ret_status,
		json_t **ret_document, struct err *err);

/*
 * Makes a path from a format in which each %s is a path segment to be encoded and each %p a path whose slashes stay
 * ("/v1/apps/%s/routes%p"). The result is the caller's; NULL when memory is out.
 */
char *client_path(const char *format, ...);

/* Where functions are reachable for others, as a printable base address. */
const char *client_base(const struct client *client);

#endif
