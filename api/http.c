#include "api/http_private.h"

#include "supervisor/str.h"
#include "supervisor/util.h"

#include <malloc.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#define READ_BYTES	(64 << 10)
#define PENDING_MAX	(64 << 10) /* read ahead while an answer is being made */
#define DISCARD_MAX	(64 << 10)
#define LINGER_US	2000000
#define LISTENERS_MAX	16
#define ACCEPTS_AT_ONCE 16	  /* so that the other loops get their share of a burst */
#define HEAD_FREE	(2 << 10) /* of a head that is not counted, and kept for the next */
#define REFUSALS_MAX	256	  /* connections beyond the limit that get an answer */
#define CONNECTION_COST 2560	  /* bytes, with its buffers and events */
#define TRIM_BYTES	(8 << 20) /* that were freed before the allocator is asked to give memory back */
#define IDLE_LOOKED_AT	64	  /* that a new one could take the place of */

struct listener {
	struct http_loop *loop;
	struct event *event;
	bool local;
};

struct http_loop {
	struct worker *worker;
	struct http_shared *shared;
	struct http_limits limits;
	void *context;
	struct event *sweep;
	bool draining;
	unsigned n_listeners;
	struct listener listeners[LISTENERS_MAX];
	TAILQ_HEAD(http_connections, http_connection) connections; /* the longest without a request first, roughly */
	struct http_fields *spare;
	size_t freed; /* about, since the last trim */
	_Atomic uint64_t answers[HTTP_CLASSES];
	time_t date_second;
	char date[40];
	char buffer[READ_BYTES];
};

static const http_parser_settings settings;

const char *http_loop_date(struct http_loop *loop)
{
	time_t now = time(NULL);
	struct tm utc;

	if (now != loop->date_second) {
		static const char *const days[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
		static const char *const months[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
						     "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};

		(void)gmtime_r(&now, &utc);
		(void)snprintf(loop->date, sizeof(loop->date), "%s, %02d %s %04d %02d:%02d:%02d GMT", days[utc.tm_wday],
			       utc.tm_mday, months[utc.tm_mon], utc.tm_year + 1900, utc.tm_hour, utc.tm_min,
			       utc.tm_sec);
		loop->date_second = now;
	}
	return loop->date;
}

const struct http_limits *http_loop_limits(const struct http_loop *loop)
{
	return &loop->limits;
}

size_t http_loop_buffered(const struct http_loop *loop)
{
	return atomic_load(&loop->shared->buffered);
}

void http_loop_count(struct http_loop *loop, unsigned status)
{
	_Atomic uint64_t *counter = &loop->answers[status / 100 < HTTP_CLASSES ? status / 100 : 0];

	/* Only this thread writes. */
	atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + 1, memory_order_relaxed);
}

uint64_t http_loop_answers(const struct http_loop *loop, unsigned class)
{
	return atomic_load_explicit(&loop->answers[class], memory_order_relaxed);
}

/* --- life of a connection ----------------------------------------------------------------------------------------- */

/* What was kept of a request. */
static void release_request(struct http_connection *c)
{
	if (c->request.body) {
		size_t length = evbuffer_get_length(c->request.body);

		if (length > 0)
			(void)evbuffer_drain(c->request.body, length);
	}
	c->loop->freed += c->buffered;
	atomic_fetch_sub(&c->loop->shared->buffered, c->buffered + c->head_buffered + c->unsent);
	c->buffered = c->head_buffered = c->unsent = 0;
	if (c->head.room > HEAD_FREE)
		text_done(&c->head);
	text_clear(&c->head);
	if (c->loop->spare)
		free(c->in);
	else
		c->loop->spare = c->in;
	c->in = NULL;
}

static void connection_free(struct http_connection *c)
{
	release_request(c);
	TAILQ_REMOVE(&c->loop->connections, c, link);
	if (c->read_event)
		event_free(c->read_event);
	if (c->write_event)
		event_free(c->write_event);
	if (c->request.body)
		evbuffer_free(c->request.body);
	if (c->pending)
		evbuffer_free(c->pending);
	if (c->output)
		evbuffer_free(c->output);
	text_done(&c->head);
	text_done(&c->fields);
	fd_close(&c->fd);
	c->loop->freed += CONNECTION_COST;
	atomic_fetch_sub(&c->loop->shared->connections, 1);
	free(c);
}

/* Every entry from the loop into a connection is paired with this: nothing below it frees the connection. */
static void leave(struct http_connection *c)
{
	if (--c->depth > 0 || !c->dead)
		return;
	if (c->in_request) {
		http_handler *gone = c->request.gone;

		c->in_request = false;
		c->request.gone = NULL;
		if (gone) {
			c->depth++;
			gone(&c->request);
			c->depth--;
		}
	}
	connection_free(c);
}

static void set_deadline(struct http_connection *c, uint64_t after_us)
{
	c->deadline_us = after_us ? clock_monotonic_us() + after_us : 0;
}

/* LENGTH bytes more were moved: the next have to follow within PAUSE_US, and all of them at no less than the rate. */
static void set_progress(struct http_connection *c, size_t length, uint64_t pause_us)
{
	c->moved += length;
	set_deadline(c, pause_us);
	c->deadline_us = MIN(c->deadline_us, c->began_us + pause_us + c->moved * 1000000 / c->loop->limits.rate);
}

static void begin_progress(struct http_connection *c, uint64_t pause_us)
{
	c->began_us = clock_monotonic_us();
	c->moved = 0;
	set_progress(c, 0, pause_us);
}

/* Forgets the request that ended and waits for the next. */
static void next_request(struct http_connection *c)
{
	release_request(c);
	c->n_headers = 0;
	c->in_value = c->in_body = c->complete = c->expects = false;
	c->discarded = 0;
	c->refuse = 0;
	c->on_complete = NULL;
	c->on_data = NULL;
	c->request = (struct http_request){.body = c->request.body};
	c->state = CONNECTION_HEAD;
	set_deadline(c, c->loop->limits.idle_us);
	TAILQ_REMOVE(&c->loop->connections, c, link);
	TAILQ_INSERT_TAIL(&c->loop->connections, c, link);
	if (c->loop->draining && evbuffer_get_length(c->pending) == 0)
		c->dead = true;
}

static void linger(struct http_connection *c)
{
	(void)shutdown(c->fd, SHUT_WR);
	c->state = CONNECTION_LINGER;
	set_deadline(c, LINGER_US);
}

/* The answer is in the socket. */
static void answer_sent(struct http_connection *c)
{
	if (!c->keep_alive) {
		if (c->complete && evbuffer_get_length(c->pending) == 0)
			c->dead = true;
		else
			linger(c);
		return;
	}
	if (c->complete) {
		next_request(c);
		return;
	}
	/* The rest of a short body nobody wants. */
	c->state = CONNECTION_BODY;
	begin_progress(c, c->loop->limits.body_us);
}

static void feed(struct http_connection *c, const char *data, size_t length);

/* What was read ahead belongs to the next request. */
static void feed_pending(struct http_connection *c)
{
	while (!c->dead && (c->state == CONNECTION_HEAD || c->state == CONNECTION_BODY) &&
	       evbuffer_get_length(c->pending) > 0) {
		size_t length = evbuffer_get_length(c->pending);
		_cleanup_free_ char *data = malloc(length);

		if (!data || evbuffer_remove(c->pending, data, length) != (int)length) {
			c->dead = true;
			return;
		}
		feed(c, data, length);
	}
	if (!c->dead)
		(void)event_add(c->read_event, NULL);
}

void http_connection_answered(struct http_connection *c)
{
	if (!c->dead && evbuffer_get_length(c->output) > 0) {
		c->state = CONNECTION_WRITE;
		c->unsent = evbuffer_get_length(c->output);
		atomic_fetch_add(&c->loop->shared->buffered, c->unsent);
		begin_progress(c, c->loop->limits.write_us);
		if (event_add(c->write_event, NULL) < 0)
			c->dead = true;
	} else if (!c->dead) {
		answer_sent(c);
		/* Inside feed() the rest of what was read comes first; it goes on by itself. */
		if (c->depth == 1)
			feed_pending(c);
	}
	leave(c);
}

bool http_connection_flush(struct http_connection *c)
{
	while (evbuffer_get_length(c->output) > 0) {
		int n = evbuffer_write(c->output, c->fd);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return true;
		if (n <= 0)
			return false;
		c->loop->freed += (size_t)n;
		if (c->state == CONNECTION_WRITE)
			set_progress(c, (size_t)n, c->loop->limits.write_us);
	}
	return true;
}

static void on_writable(evutil_socket_t fd, short what, void *context)
{
	struct http_connection *c = context;

	(void)fd;
	(void)what;
	c->depth++;
	if (!http_connection_flush(c)) {
		c->dead = true;
	} else if (evbuffer_get_length(c->output) > 0) {
		if (event_add(c->write_event, NULL) < 0)
			c->dead = true;
	} else {
		answer_sent(c);
		feed_pending(c);
	}
	leave(c);
}

/* --- parsing ------------------------------------------------------------------------------------------------------ */

static struct http_connection *of(http_parser *parser)
{
	return (struct http_connection *)((char *)parser - offsetof(struct http_connection, parser));
}

static int refuse(struct http_connection *c, unsigned status)
{
	c->refuse = status;
	return -1;
}

static int add_head(struct http_connection *c, const char *at, size_t length)
{
	struct http_shared *shared = c->loop->shared;
	size_t counted;

	if (length > c->loop->limits.header_bytes || c->head.length > c->loop->limits.header_bytes - length)
		return refuse(c, 431);
	counted = MAX(c->head.length + length, (size_t)HEAD_FREE) - HEAD_FREE;
	if (counted > c->head_buffered) {
		size_t more = counted - c->head_buffered;

		if (atomic_fetch_add(&shared->buffered, more) + more > c->loop->limits.buffered_bytes) {
			atomic_fetch_sub(&shared->buffered, more);
			return refuse(c, 503);
		}
		c->head_buffered = counted;
	}
	text_add(&c->head, at, length);
	return c->head.failed ? refuse(c, 503) : 0;
}

static int on_message_begin(http_parser *parser)
{
	struct http_connection *c = of(parser);

	set_deadline(c, c->loop->limits.header_us);
	if (!c->in)
		c->in = take_ptr(c->loop->spare);
	if (!c->in)
		c->in = malloc(sizeof(*c->in));
	return c->in ? 0 : refuse(c, 503);
}

static int on_field(http_parser *parser, const char *at, size_t length)
{
	struct http_connection *c = of(parser);

	if (c->in_body)
		return 0;
	if (c->n_headers == 0 || c->in_value) {
		if (c->n_headers == HTTP_HEADERS_MAX)
			return refuse(c, 431);
		if (add_head(c, "", 1) < 0)
			return -1;
		c->in->name_at[c->n_headers] = c->head.length;
		c->in->value_at[c->n_headers++] = 0;
		c->in_value = false;
	}
	return add_head(c, at, length);
}

static int on_value(http_parser *parser, const char *at, size_t length)
{
	struct http_connection *c = of(parser);

	if (c->in_body)
		return 0;
	if (!c->in_value) {
		if (add_head(c, "", 1) < 0)
			return -1;
		c->in->value_at[c->n_headers - 1] = c->head.length;
		c->in_value = true;
	}
	return add_head(c, at, length);
}

static int on_url(http_parser *parser, const char *at, size_t length)
{
	return add_head(of(parser), at, length);
}

static enum request_method method_of(unsigned method)
{
	static const unsigned char known[] = {
		[HTTP_GET] = METHOD_GET + 1,	   [HTTP_POST] = METHOD_POST + 1,
		[HTTP_PUT] = METHOD_PUT + 1,	   [HTTP_PATCH] = METHOD_PATCH + 1,
		[HTTP_HEAD] = METHOD_HEAD + 1,	   [HTTP_OPTIONS] = METHOD_OPTIONS + 1,
		[HTTP_DELETE] = METHOD_DELETE + 1, [HTTP_CONNECT] = METHOD_CONNECT + 1,
		[HTTP_TRACE] = METHOD_TRACE + 1,
	};

	return method < ARRAY_LEN(known) && known[method] ? known[method] - 1u : METHOD_OTHER;
}

static int on_headers_complete(http_parser *parser)
{
	struct http_connection *c = of(parser);
	struct http_request *r = &c->request;
	const char *expect;

	if (parser->http_major != 1)
		return refuse(c, 505);
	for (unsigned i = 0; i < c->n_headers; i++) {
		c->in->headers[i].name = c->head.data + c->in->name_at[i];
		c->in->headers[i].value = "";
		if (c->in->value_at[i]) {
			str_trim_end(c->head.data + c->in->value_at[i]);
			c->in->headers[i].value = c->head.data + c->in->value_at[i];
		}
	}
	/* "Upgrade" is an offer, which we do not take; and the target of a CONNECT is a path here. */
	parser->upgrade = 0;
	c->in_body = true;
	c->state = CONNECTION_BODY;
	begin_progress(c, c->loop->limits.body_us);
	c->keep_alive = http_should_keep_alive(parser) && !c->loop->draining;
	r->method = method_of(parser->method);
	r->method_name = http_method_str((enum http_method)parser->method);
	r->target = c->head.data ? c->head.data : "";
	r->headers = c->in->headers;
	r->n_headers = c->n_headers;
	r->local = c->local;
	r->received_us = clock_monotonic_us();
	r->context = c->loop->context;
	r->content_length = -1;
	if (parser->content_length != UINT64_MAX)
		r->content_length = (int64_t)MIN(parser->content_length, (uint64_t)INT64_MAX);
	else if (!(parser->flags & F_CHUNKED))
		r->content_length = 0;
	expect = http_header(r, "Expect");
	c->expects = expect && strcasecmp(expect, "100-continue") == 0 && r->content_length != 0;
	c->in_request = true;
	c->loop->shared->handler(r);
	return 0;
}

static int on_body(http_parser *parser, const char *at, size_t length)
{
	struct http_connection *c = of(parser);
	struct http_shared *shared = c->loop->shared;

	c->expects = false;
	set_progress(c, length, c->loop->limits.body_us);
	if (c->in_request && c->on_data) {
		(void)c->on_data(&c->request, at, length);
		return 0;
	}
	if (c->in_request && c->on_complete) {
		if (c->buffered + length > c->body_max)
			return refuse(c, 413);
		if (atomic_fetch_add(&shared->buffered, length) + length > c->loop->limits.buffered_bytes ||
		    evbuffer_add(c->request.body, at, length) < 0) {
			atomic_fetch_sub(&shared->buffered, length);
			return refuse(c, 503);
		}
		c->buffered += length;
		return 0;
	}
	/* A handler that replies from its own callback later may still take the body: nobody has asked yet. */
	c->discarded += length;
	return c->discarded > DISCARD_MAX ? refuse(c, 413) : 0;
}

static int on_message_complete(http_parser *parser)
{
	of(parser)->complete = true;
	/* One request at a time: the rest waits until this one is answered. */
	http_parser_pause(parser, 1);
	return 0;
}

static const http_parser_settings settings = {
	.on_message_begin = on_message_begin,
	.on_url = on_url,
	.on_header_field = on_field,
	.on_header_value = on_value,
	.on_headers_complete = on_headers_complete,
	.on_body = on_body,
	.on_message_complete = on_message_complete,
};

static void send_continue(struct http_connection *c)
{
	static const char text[] = "HTTP/1.1 100 Continue\r\n\r\n";

	if (!c->expects)
		return;
	c->expects = false;
	if (evbuffer_add(c->output, text, sizeof(text) - 1) < 0 || !http_connection_flush(c))
		c->dead = true;
	else if (evbuffer_get_length(c->output) > 0)
		(void)event_add(c->write_event, NULL);
}

static const char *refusal(unsigned status)
{
	switch (status) {
	case 408:
		return "The request took too long to arrive";
	case 413:
		return "The request body is too large";
	case 431:
		return "The request header is too large";
	case 503:
		return "Too many requests are being received, try again";
	case 505:
		return "HTTP/1.1 and HTTP/1.0 are spoken here";
	default:
		return "Malformed HTTP request";
	}
}

/* Ends a request that cannot be read on. */
static void break_off(struct http_connection *c, unsigned status)
{
	http_handler *gone = c->request.gone;

	c->keep_alive = false;
	if (!c->in_request && c->in_body) {
		/* It was answered already; only its body broke a rule. */
		linger(c);
		return;
	}
	if (gone) {
		c->request.gone = NULL;
		gone(&c->request);
	}
	c->complete = false;
	c->request.content_length = -1;
	http_reply_error(&c->request, status, refusal(status));
}

static void finish_body(struct http_connection *c)
{
	if (c->in_request && c->on_complete) {
		http_handler *complete = c->on_complete;

		c->on_complete = NULL;
		complete(&c->request);
	}
}

void http_collect(struct http_request *request, size_t max, http_handler *complete)
{
	struct http_connection *c = (struct http_connection *)request;

	c->body_max = max ? max : c->loop->limits.body_bytes;
	if (request->content_length > 0 && (uint64_t)request->content_length > c->body_max) {
		break_off(c, 413);
		return;
	}
	c->on_complete = complete;
	send_continue(c);
}

void http_stream(struct http_request *request, http_data *data, http_handler *complete)
{
	struct http_connection *c = (struct http_connection *)request;

	c->on_data = data;
	c->on_complete = complete;
	send_continue(c);
}

static void feed(struct http_connection *c, const char *data, size_t length)
{
	while (length > 0 && !c->dead && c->state != CONNECTION_LINGER) {
		size_t used;

		if (c->state == CONNECTION_BUSY || c->state == CONNECTION_WRITE) {
			if (evbuffer_add(c->pending, data, length) < 0)
				c->dead = true;
			if (evbuffer_get_length(c->pending) >= PENDING_MAX)
				(void)event_del(c->read_event);
			return;
		}
		used = http_parser_execute(&c->parser, &settings, data, length);
		data += used;
		length -= used;
		if (HTTP_PARSER_ERRNO(&c->parser) == HPE_PAUSED) {
			http_parser_pause(&c->parser, 0);
			if (c->in_request) {
				c->state = CONNECTION_BUSY;
				c->deadline_us = 0;
				finish_body(c);
			} else if (c->state == CONNECTION_BODY) {
				answer_sent(c);
			}
		} else if (HTTP_PARSER_ERRNO(&c->parser) != HPE_OK && !c->dead) {
			break_off(c, c->refuse						    ? c->refuse
				     : HTTP_PARSER_ERRNO(&c->parser) == HPE_HEADER_OVERFLOW ? 431
											    : 400);
			return;
		}
	}
}

/* --- the loop ----------------------------------------------------------------------------------------------------- */

static void on_readable(evutil_socket_t fd, short what, void *context)
{
	struct http_connection *c = context;
	ssize_t n = read(fd, c->loop->buffer, sizeof(c->loop->buffer));

	(void)what;
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	c->depth++;
	if (n == 0 && c->in_request && c->state == CONNECTION_BUSY && c->request.patient) {
		c->keep_alive = false;
		(void)event_del(c->read_event);
	} else if (n <= 0) {
		c->dead = true;
	} else {
		feed(c, c->loop->buffer, (size_t)n);
	}
	leave(c);
}

int http_loop_adopt(struct http_loop *loop, int fd, bool local, struct err *err)
{
	struct http_connection *c = calloc(1, sizeof(*c));

	if (!c) {
		(void)close(fd);
		return err_sys(err, ENOMEM, "connection");
	}
	c->loop = loop;
	c->fd = fd;
	c->local = local;
	atomic_fetch_add(&loop->shared->connections, 1);
	TAILQ_INSERT_TAIL(&loop->connections, c, link);
	http_parser_init(&c->parser, HTTP_REQUEST);
	c->read_event = event_new(loop->worker->base, fd, EV_READ | EV_PERSIST, on_readable, c);
	c->write_event = event_new(loop->worker->base, fd, EV_WRITE, on_writable, c);
	c->request.body = evbuffer_new();
	c->pending = evbuffer_new();
	c->output = evbuffer_new();
	set_deadline(c, loop->limits.idle_us);
	if (!c->read_event || !c->write_event || !c->request.body || !c->pending || !c->output ||
	    event_add(c->read_event, NULL) < 0) {
		connection_free(c);
		return err_sys(err, ENOMEM, "connection");
	}
	return 0;
}

/* Closes a connection that has waited long for its next request, so that a new one can be served. */
static bool close_idle(struct http_loop *loop)
{
	struct http_connection *c = TAILQ_FIRST(&loop->connections);
	char byte;

	for (unsigned i = 0; c && i < IDLE_LOOKED_AT; i++, c = TAILQ_NEXT(c, link))
		if (c->state == CONNECTION_HEAD && !c->in && recv(c->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0) {
			c->depth++;
			c->dead = true;
			leave(c);
			return true;
		}
	return false;
}

/* A few connections beyond the limit are told so; those beyond them are closed. */
static void refuse_connection(struct http_loop *loop, int fd, bool local)
{
	struct http_connection *c;

	if (atomic_load(&loop->shared->connections) >= loop->limits.connections + REFUSALS_MAX) {
		(void)close(fd);
		return;
	}
	if (http_loop_adopt(loop, fd, local, NULL) < 0)
		return;
	c = TAILQ_LAST(&loop->connections, http_connections);
	c->depth++;
	http_reply_error(&c->request, 503, "Too many connections, try again");
	leave(c);
}

static void on_connect(evutil_socket_t listen_fd, short what, void *context)
{
	struct listener *listener = context;
	struct http_loop *loop = listener->loop;

	(void)what;
	for (unsigned i = 0; i < ACCEPTS_AT_ONCE; i++) {
		int one = 1;
		int fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

		if (fd < 0) {
			/* Out of descriptors: asking again at once would spin; the sweep listens again. */
			if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS)
				(void)event_del(listener->event);
			return;
		}
		if (!listener->local)
			(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
		if (atomic_load(&loop->shared->connections) >= loop->limits.connections && !close_idle(loop)) {
			refuse_connection(loop, fd, listener->local);
			continue;
		}
		(void)http_loop_adopt(loop, fd, listener->local, NULL);
	}
}

static void expire(struct http_connection *c)
{
	c->depth++;
	if (c->in_request && c->state == CONNECTION_BODY)
		break_off(c, 408);
	else if (c->state == CONNECTION_HEAD && c->head.length > 0)
		break_off(c, 408);
	else
		c->dead = true;
	leave(c);
}

/* A client whose next requests fill what is read ahead is not read any more; whether it is there is looked at here. */
static bool is_gone(const struct http_connection *c)
{
	struct pollfd p = {.fd = c->fd, .events = POLLRDHUP};

	return c->in_request && c->state == CONNECTION_BUSY && !c->request.patient &&
	       !event_pending(c->read_event, EV_READ, NULL) && poll(&p, 1, 0) > 0;
}

/* Time limits are seconds, not milliseconds: one pass a second over the connections costs less than a timer each. */
static void on_sweep(evutil_socket_t fd, short what, void *context)
{
	struct http_loop *loop = context;
	uint64_t now = clock_monotonic_us();
	struct http_connection *c = TAILQ_FIRST(&loop->connections);

	(void)fd;
	(void)what;
	while (c) {
		struct http_connection *next = TAILQ_NEXT(c, link);

		if (c->deadline_us && c->deadline_us <= now) {
			expire(c);
		} else if (is_gone(c)) {
			c->depth++;
			c->dead = true;
			leave(c);
		}
		c = next;
	}
	/* What large answers and many connections leave behind is scattered, and would stay ours for ever. */
	if (loop->freed > TRIM_BYTES) {
		(void)malloc_trim(0);
		loop->freed = 0;
	}
	for (unsigned i = 0; !loop->draining && i < loop->n_listeners; i++)
		if (!event_pending(loop->listeners[i].event, EV_READ, NULL))
			(void)event_add(loop->listeners[i].event, NULL);
}

int http_loop_open(struct worker *worker, struct http_shared *shared, void *context, struct http_loop **ret_loop,
		   struct err *err)
{
	static const struct timeval second = {.tv_sec = 1};
	struct http_loop *loop = calloc(1, sizeof(*loop));

	if (!loop)
		return err_sys(err, ENOMEM, "HTTP loop");
	loop->worker = worker;
	loop->shared = shared;
	loop->limits = shared->limits;
	loop->context = context;
	TAILQ_INIT(&loop->connections);
	loop->sweep = event_new(worker->base, -1, EV_PERSIST, on_sweep, loop);
	if (!loop->sweep || event_add(loop->sweep, &second) < 0) {
		http_loop_close(loop);
		return err_set(err, ENOMEM, "HTTP loop");
	}
	*ret_loop = loop;
	return 0;
}

void http_loop_limit(struct http_loop *loop, const struct http_limits *limits)
{
	loop->limits = *limits;
}

int http_loop_listen(struct http_loop *loop, int listen_fd, bool local, struct err *err)
{
	struct listener *listener = &loop->listeners[loop->n_listeners];

	if (loop->n_listeners == LISTENERS_MAX)
		return err_set(err, E2BIG, "more than %d listening sockets", LISTENERS_MAX);
	if (evutil_make_socket_nonblocking(listen_fd) < 0)
		return err_sys(err, errno, "listening socket");
	*listener = (struct listener){.loop = loop, .local = local};
	listener->event = event_new(loop->worker->base, listen_fd, EV_READ | EV_PERSIST, on_connect, listener);
	if (!listener->event || event_add(listener->event, NULL) < 0)
		return err_set(err, ENOMEM, "listening socket");
	loop->n_listeners++;
	return 0;
}

void http_loop_drain(struct http_loop *loop)
{
	struct http_connection *c = TAILQ_FIRST(&loop->connections);

	loop->draining = true;
	for (unsigned i = 0; i < loop->n_listeners; i++)
		(void)event_del(loop->listeners[i].event);
	while (c) {
		struct http_connection *next = TAILQ_NEXT(c, link);

		c->depth++;
		if (c->state == CONNECTION_HEAD && c->head.length == 0)
			c->dead = true;
		leave(c);
		c = next;
	}
}

void http_loop_close(struct http_loop *loop)
{
	if (!loop)
		return;
	while (!TAILQ_EMPTY(&loop->connections)) {
		struct http_connection *c = TAILQ_FIRST(&loop->connections);

		c->depth++;
		c->dead = true;
		leave(c);
	}
	for (unsigned i = 0; i < loop->n_listeners; i++)
		if (loop->listeners[i].event)
			event_free(loop->listeners[i].event);
	if (loop->sweep)
		event_free(loop->sweep);
	free(loop->spare);
	free(loop);
}
