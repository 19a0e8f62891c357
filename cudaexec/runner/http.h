/*
 * HTTP on a pair of descriptors, as hot functions speak it: requests of any number, one after the other, each with
 * headers and a body; one answer for each. Parsed by http-parser.
 *
 * A reader belongs to one thread. The call it returns lives in the reader and is overwritten by the next one.
 */
#ifndef FERRITE_CUDAEXEC_HTTP_H
#define FERRITE_CUDAEXEC_HTTP_H

#include "cudaexec/runner/buffer.h"
#include "supervisor/err.h"

#include <stdbool.h>
#include <stddef.h>

enum {
	HTTP_HEAD_MAX = 1024 * 1024, /* bytes of request line and headers */
	HTTP_HEADERS_MAX = 4096,
};

struct http_field {
	const char *name;
	const char *value;
};

struct http_call {
	struct http_field *headers;
	size_t n_headers;
	const void *body; /* not NULL */
	size_t length;
	bool too_large; /* the body was over the limit; it has been skipped, length is 0 */
};

struct http_reader;

/* Reads from FD (not owned); bodies have at most BODY_MAX bytes. NULL when memory is short. */
struct http_reader *http_reader_new(int fd, size_t body_max);

/* Accepts NULL; returns NULL. */
struct http_reader *http_reader_free(struct http_reader *reader);

/*
 * Waits for the next request. Returns 1; 0 at the end of input between two requests; -EBADMSG when the bytes are no
 * HTTP or end within a request (nothing after it can be trusted), -ENOMEM, or what read() said.
 */
int http_read(struct http_reader *reader, const struct http_call **ret_call, struct err *err);

/* The value of a header, or NULL. Names are compared without case. */
const char *http_header(const struct http_call *call, const char *name);

/* Writes a whole answer: status line, the fields, Content-Length, body. Returns 0 or a negative errno. */
int http_write(int fd, unsigned status, const struct http_field *fields, size_t n_fields, const void *body,
	       size_t length);

/* An answer whose length is not known: its head, then chunks, then the end. */
int http_write_head(int fd, unsigned status, const struct http_field *fields, size_t n_fields);
int http_write_chunk(int fd, const void *data, size_t length);
int http_write_end(int fd);

/* May this be sent as a header? A token as the name, no control bytes in the value. */
bool http_field_valid(const char *name, const char *value);

#endif
