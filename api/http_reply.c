#include "api/http_private.h"

#include "supervisor/util.h"

#include <string.h>
#include <strings.h>
#include <sys/uio.h>

#define ANSWER_SMALL (64 << 10) /* always sent */

static const char *reason(unsigned status)
{
#define REASON(number, name, text) \
	case number: \
		return #text;
	switch (status) {
		HTTP_STATUS_MAP(REASON)
	default:
		return "Status";
	}
#undef REASON
}

static bool is_token(unsigned char c)
{
	return (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') ||
	       (c && strchr("!#$%&'*+-.^_`|~", c));
}

bool http_field_valid(const char *name, const char *value)
{
	if (!*name)
		return false;
	for (; *name; name++)
		if (!is_token((unsigned char)*name))
			return false;
	for (; *value; value++)
		if (((unsigned char)*value < 0x20 && *value != '\t') || *value == 0x7f)
			return false;
	return true;
}

/* Fields that say how long the answer is, or how the connection goes on, are the engine's. */
static bool is_framing(const char *name)
{
	static const char *const names[] = {"Connection", "Content-Length",    "Date",	 "Keep-Alive", "Trailer",
					    "TE",	  "Transfer-Encoding", "Upgrade"};

	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (strcasecmp(name, names[i]) == 0)
			return true;
	return false;
}

static void add_field(struct text *text, const char *name, const char *value)
{
	text_puts(text, name);
	text_add(text, ": ", 2);
	text_puts(text, value);
	text_add(text, "\r\n", 2);
}

void http_reply_header(struct http_request *request, const char *name, const char *value)
{
	struct http_connection *c = (struct http_connection *)request;

	if (http_field_valid(name, value) && !is_framing(name))
		add_field(&c->fields, name, value);
}

/* Whether the rest of a body that nobody wants is short enough to be read and thrown away. */
static bool worth_draining(const struct http_connection *c)
{
	return !c->expects && c->request.content_length >= 0 && c->request.content_length <= 64 << 10;
}

static void make_head(struct http_connection *c, struct text *head, unsigned status, const char *content_type,
		      size_t length)
{
	bool bodyless = status < 200 || status == 204 || status == 304;

	if (!c->complete && !worth_draining(c))
		c->keep_alive = false;
	text_puts(head, "HTTP/1.1 ");
	text_number(head, status);
	text_add(head, " ", 1);
	text_puts(head, reason(status));
	text_puts(head, "\r\n");
	add_field(head, "Date", http_loop_date(c->loop));
	if (content_type && http_field_valid("Content-Type", content_type))
		add_field(head, "Content-Type", content_type);
	if (!bodyless) {
		text_puts(head, "Content-Length: ");
		text_number(head, length);
		text_puts(head, "\r\n");
	}
	if (c->fields.length > 0)
		text_add(head, c->fields.data, c->fields.length);
	if (!c->keep_alive)
		text_puts(head, "Connection: close\r\n");
	else if (c->parser.http_major == 1 && c->parser.http_minor == 0)
		text_puts(head, "Connection: keep-alive\r\n");
	text_puts(head, "\r\n");
}

/*
 * Puts head and body into the socket at once when it takes them; what it does not take, and what is in BUFFER instead
 * of BODY, goes to the output.
 */
static bool send_parts(struct http_connection *c, const struct text *head, const void *body, size_t length,
		       struct evbuffer *buffer)
{
	struct iovec parts[2] = {{head->data, head->length}, {(void *)body, length}};
	ssize_t n = 0;

	if (evbuffer_get_length(c->output) == 0 && !buffer) {
		do
			n = writev(c->fd, parts, length > 0 ? 2 : 1);
		while (n < 0 && errno == EINTR);
		if (n < 0 && errno != EAGAIN)
			return false;
		n = MAX(n, 0);
	}
	if ((size_t)n < head->length) {
		if (evbuffer_add(c->output, head->data + n, head->length - (size_t)n) < 0)
			return false;
		n = (ssize_t)head->length;
	}
	if (buffer)
		return evbuffer_add_buffer(c->output, buffer) == 0;
	/* An answer without a body may come with no pointer to one. */
	if (length == 0)
		return true;
	return evbuffer_add(c->output, (const char *)body + ((size_t)n - head->length),
			    length - ((size_t)n - head->length)) == 0;
}

/* What slow readers leave with us is bounded: where it is much already, nobody gets a large answer. */
static bool may_wait(const struct http_connection *c, size_t length)
{
	size_t others = http_loop_buffered(c->loop), limit = http_loop_limits(c->loop)->buffered_bytes;

	return length <= ANSWER_SMALL || (others < limit && length <= limit - others);
}

static void reply(struct http_request *request, unsigned status, const char *content_type, const void *body,
		  size_t length, struct evbuffer *buffer)
{
	struct http_connection *c = (struct http_connection *)request;
	_cleanup_(text_done) struct text head = {0};
	bool bodyless = request->method == METHOD_HEAD || status < 200 || status == 204 || status == 304;

	if (!bodyless && !may_wait(c, buffer ? evbuffer_get_length(buffer) : length)) {
		/* They describe what is not sent. */
		text_clear(&c->fields);
		http_reply_error(request, 503, "Too many answers wait to be read, try again");
		return;
	}
	c->depth++;
	c->in_request = false;
	request->gone = NULL;
	http_loop_count(c->loop, status);
	make_head(c, &head, status, content_type, buffer ? evbuffer_get_length(buffer) : length);
	/* What lies in one piece goes out with the head. */
	if (buffer && evbuffer_get_contiguous_space(buffer) == evbuffer_get_length(buffer)) {
		length = evbuffer_get_length(buffer);
		body = evbuffer_pullup(buffer, -1);
		buffer = NULL;
	}
	if (head.failed || c->fields.failed ||
	    !send_parts(c, &head, body, bodyless ? 0 : length, bodyless ? NULL : buffer) || !http_connection_flush(c))
		c->dead = true;
	text_clear(&c->fields);
	http_connection_answered(c);
}

void http_reply(struct http_request *request, unsigned status, const char *content_type, const void *body,
		size_t length)
{
	reply(request, status, content_type, body, length, NULL);
}

void http_reply_buffer(struct http_request *request, unsigned status, const char *content_type, struct evbuffer *body)
{
	reply(request, status, content_type, NULL, 0, body);
}

void http_reply_error(struct http_request *request, unsigned status, const char *message)
{
	_cleanup_(text_done) struct text body = {0};

	text_puts(&body, "{\"error\":{\"message\":");
	text_json(&body, message);
	text_puts(&body, "}}\n");
	if (status == 503)
		http_reply_header(request, "Retry-After", "1");
	http_reply(request, status, "application/json; charset=utf-8", body.data, body.length);
}

const char *http_header(const struct http_request *request, const char *name)
{
	for (unsigned i = 0; i < request->n_headers; i++)
		if (strcasecmp(request->headers[i].name, name) == 0)
			return request->headers[i].value;
	return NULL;
}
