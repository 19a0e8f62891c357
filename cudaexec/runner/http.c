#include "cudaexec/runner/http.h"

#include "supervisor/str.h"
#include "supervisor/util.h"

#include <http_parser.h>
#include <string.h>
#include <strings.h>
#include <sys/uio.h>

#define INPUT_SIZE 65536
#define BODY_KEEP  (16 * MIB) /* a larger body's memory is given back after the call */

/* Where a header's texts are in the head buffer, which moves while it grows. */
struct field_at {
	size_t name;
	size_t value;
};

struct http_reader {
	int fd;
	size_t body_max;
	http_parser parser;
	struct buffer head; /* names and values, each with its terminator */
	struct field_at *at;
	size_t n_at;
	size_t room_at;
	bool in_value;
	bool has_head; /* headers that follow a chunked body are not the call's */
	bool complete;
	struct buffer body;
	struct http_call call;
	size_t begin, end; /* of the input that is not parsed yet */
	char input[INPUT_SIZE];
};

/* --- parsing --- */

static int on_begin(http_parser *p)
{
	struct http_reader *r = p->data;

	buffer_clear(&r->head);
	if (r->body.room > BODY_KEEP)
		buffer_release(&r->body);
	buffer_clear(&r->body);
	r->n_at = 0;
	r->in_value = r->has_head = false;
	r->complete = false;
	r->call.too_large = false;
	return 0;
}

static int add_field(struct http_reader *r)
{
	if (r->n_at == HTTP_HEADERS_MAX)
		return -1;
	if (r->n_at == r->room_at) {
		size_t room = MAX(r->room_at * 2, (size_t)64);
		struct field_at *bigger = reallocarray(r->at, room, sizeof(*bigger));

		if (!bigger)
			return -1;
		r->at = bigger;
		r->room_at = room;
	}
	if (r->n_at > 0)
		buffer_append(&r->head, "", 1);
	r->at[r->n_at++] = (struct field_at){r->head.length, 0};
	return 0;
}

/* Names and values come in pieces: a piece of a name after a value begins the next header. */
static int on_field(http_parser *p, const char *piece, size_t length)
{
	struct http_reader *r = p->data;

	if (r->has_head)
		return 0;
	if ((r->in_value || r->n_at == 0) && add_field(r) < 0)
		return -1;
	r->in_value = false;
	buffer_append(&r->head, piece, length);
	return buffer_failed(&r->head) ? -1 : 0;
}

static int on_value(http_parser *p, const char *piece, size_t length)
{
	struct http_reader *r = p->data;

	if (r->has_head)
		return 0;
	if (!r->in_value) {
		buffer_append(&r->head, "", 1);
		r->at[r->n_at - 1].value = r->head.length;
		r->in_value = true;
	}
	buffer_append(&r->head, piece, length);
	return buffer_failed(&r->head) ? -1 : 0;
}

static int on_head(http_parser *p)
{
	struct http_reader *r = p->data;

	r->has_head = true;
	if (r->n_at > 0)
		buffer_append(&r->head, "", 1);
	if (p->content_length != UINT64_MAX && p->content_length > r->body_max)
		r->call.too_large = true;
	else if (p->content_length != UINT64_MAX)
		(void)buffer_reserve(&r->body, p->content_length);
	return buffer_failed(&r->head) || buffer_failed(&r->body) ? -1 : 0;
}

static int on_body(http_parser *p, const char *piece, size_t length)
{
	struct http_reader *r = p->data;

	if (length > r->body_max - MIN(r->body.length, r->body_max))
		r->call.too_large = true;
	if (r->call.too_large) {
		buffer_clear(&r->body);
		return 0;
	}
	buffer_append(&r->body, piece, length);
	return buffer_failed(&r->body) ? -1 : 0;
}

static int on_complete(http_parser *p)
{
	struct http_reader *r = p->data;

	r->complete = true;
	http_parser_pause(p, 1);
	return 0;
}

static const http_parser_settings settings = {
	.on_message_begin = on_begin,
	.on_header_field = on_field,
	.on_header_value = on_value,
	.on_headers_complete = on_head,
	.on_body = on_body,
	.on_message_complete = on_complete,
};

struct http_reader *http_reader_new(int fd, size_t body_max)
{
	struct http_reader *r = calloc(1, sizeof(*r));

	if (r) {
		r->fd = fd;
		r->body_max = body_max;
		http_parser_set_max_header_size(HTTP_HEAD_MAX);
		http_parser_init(&r->parser, HTTP_REQUEST);
		r->parser.data = r;
	}
	return r;
}

struct http_reader *http_reader_free(struct http_reader *r)
{
	if (r) {
		buffer_release(&r->head);
		buffer_release(&r->body);
		free(r->at);
		free(r->call.headers);
		free(r);
	}
	return NULL;
}

/* Turns the offsets into texts. */
static int finish(struct http_reader *r, struct err *err)
{
	struct http_field *fields = reallocarray(r->call.headers, r->n_at + 1, sizeof(*fields));

	if (!fields)
		return err_sys(err, ENOMEM, "request");
	for (size_t i = 0; i < r->n_at; i++) {
		fields[i].name = r->head.bytes + r->at[i].name;
		fields[i].value = r->at[i].value ? r->head.bytes + r->at[i].value : "";
	}
	r->call.headers = fields;
	r->call.n_headers = r->n_at;
	r->call.body = r->body.bytes ? r->body.bytes : "";
	r->call.length = r->call.too_large ? 0 : r->body.length;
	return 0;
}

static int parse_input(struct http_reader *r, struct err *err)
{
	http_parser *p = &r->parser;

	http_parser_pause(p, 0);
	r->begin += http_parser_execute(p, &settings, r->input + r->begin, r->end - r->begin);
	if (buffer_failed(&r->head) || buffer_failed(&r->body))
		return err_sys(err, ENOMEM, "request");
	if (HTTP_PARSER_ERRNO(p) != HPE_OK && HTTP_PARSER_ERRNO(p) != HPE_PAUSED)
		return err_set(err, EBADMSG, "malformed HTTP request: %s",
			       http_errno_description(HTTP_PARSER_ERRNO(p)));
	if (p->upgrade)
		return err_set(err, EBADMSG, "malformed HTTP request: it asks for another protocol");
	return 0;
}

int http_read(struct http_reader *r, const struct http_call **ret_call, struct err *err)
{
	bool started = false;

	r->complete = false;
	for (;;) {
		ssize_t n;
		int code;

		if (r->begin < r->end) {
			started = true;
			code = parse_input(r, err);
			if (code < 0)
				return code;
		}
		if (r->complete)
			break;
		n = read(r->fd, r->input, sizeof(r->input));
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_sys(err, errno, "read request");
		if (n == 0 && started)
			return err_set(err, EBADMSG, "malformed HTTP request: the input ends within it");
		if (n == 0)
			return 0;
		r->begin = 0;
		r->end = (size_t)n;
	}
	if (finish(r, err) < 0)
		return -ENOMEM;
	*ret_call = &r->call;
	return 1;
}

const char *http_header(const struct http_call *call, const char *name)
{
	for (size_t i = 0; i < call->n_headers; i++)
		if (strcasecmp(call->headers[i].name, name) == 0)
			return call->headers[i].value;
	return NULL;
}

/* --- writing --- */

static int write_all(int fd, struct iovec *parts, int n_parts)
{
	while (n_parts > 0) {
		ssize_t n = writev(fd, parts, n_parts);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		while (n_parts > 0 && (size_t)n >= parts->iov_len) {
			n -= (ssize_t)parts->iov_len;
			parts++;
			n_parts--;
		}
		if (n_parts > 0) {
			parts->iov_base = (char *)parts->iov_base + n;
			parts->iov_len -= (size_t)n;
		}
	}
	return 0;
}

static void append_head(struct buffer *head, unsigned status, const struct http_field *fields, size_t n_fields)
{
	buffer_append_format(head, "HTTP/1.1 %u %s\r\n", status, http_status_str((enum http_status)status));
	for (size_t i = 0; i < n_fields; i++)
		buffer_append_format(head, "%s: %s\r\n", fields[i].name, fields[i].value);
}

int http_write(int fd, unsigned status, const struct http_field *fields, size_t n_fields, const void *body,
	       size_t length)
{
	_cleanup_(buffer_release) struct buffer head = BUFFER_INIT;

	append_head(&head, status, fields, n_fields);
	buffer_append_format(&head, "Content-Length: %zu\r\n\r\n", length);
	if (buffer_failed(&head))
		return -ENOMEM;
	return write_all(fd, (struct iovec[]){{head.bytes, head.length}, {(void *)body, length}}, 2);
}

int http_write_head(int fd, unsigned status, const struct http_field *fields, size_t n_fields)
{
	_cleanup_(buffer_release) struct buffer head = BUFFER_INIT;

	append_head(&head, status, fields, n_fields);
	buffer_append_text(&head, "Transfer-Encoding: chunked\r\n\r\n");
	if (buffer_failed(&head))
		return -ENOMEM;
	return fd_write_all(fd, head.bytes, head.length);
}

int http_write_chunk(int fd, const void *data, size_t length)
{
	char size[24];
	int n = snprintf(size, sizeof(size), "%zx\r\n", length);

	/* An empty chunk would be the end. */
	if (length == 0)
		return 0;
	return write_all(fd, (struct iovec[]){{size, (size_t)n}, {(void *)data, length}, {(void *)"\r\n", 2}}, 3);
}

int http_write_end(int fd)
{
	return fd_write_all(fd, "0\r\n\r\n", 5);
}

bool http_field_valid(const char *name, const char *value)
{
	static const char token[] = "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";

	if (!*name || name[strspn(name, token)] != '\0')
		return false;
	for (; *value; value++)
		if (((unsigned char)*value < 0x20 && *value != '\t') || *value == 0x7f)
			return false;
	return true;
}
