/* The answer of a call to its HTTP client. */
#include "api/call.h"
#include "api/sniff.h"

#include "supervisor/util.h"

#include <string.h>
#include <strings.h>

static const char *route_header(const struct function *function, const char *name)
{
	for (unsigned i = 0; i < function->n_headers; i++)
		if (strcasecmp(function->headers[i].name, name) == 0)
			return function->headers[i].value;
	return NULL;
}

/* The route's own headers; its content type is the caller's business. */
static void add_route_headers(const struct function *function, struct http_request *request)
{
	for (unsigned i = 0; i < function->n_headers; i++)
		if (strcasecmp(function->headers[i].name, "Content-Type") != 0)
			http_reply_header(request, function->headers[i].name, function->headers[i].value);
}

static void add_timing(struct call *call, struct http_request *request)
{
	const char *wanted = http_header(request, "Ferrite-Timing");
	uint64_t now = clock_monotonic_us();
	char text[256];
	int n;

	if (!wanted || strcmp(wanted, "1") != 0)
		return;
	n = snprintf(text, sizeof(text), "queue;dur=%.3f, start;desc=%s;dur=%.3f",
		     (double)(call->admitted_us - call->received_us) / 1000, record_start_name(call->start),
		     (double)(call->executed_us - MIN(call->admitted_us, call->executed_us)) / 1000);
	if (call->gpu.count > 0)
		n += snprintf(text + n, sizeof(text) - (size_t)n, ", gpu;dur=%.3f", (double)call->answer.gpu_us / 1000);
	(void)snprintf(text + n, sizeof(text) - (size_t)n, ", run;dur=%.3f",
		       (double)(now - MIN(now, call->executed_us)) / 1000);
	http_reply_header(request, "Server-Timing", text);
}

/* Whether LIST, of a Connection header, has the name in it: it is meant for the next hop, which is us. */
static bool is_listed(const char *list, const char *name)
{
	size_t length = strlen(name);

	while (list && *list) {
		size_t n;

		list += strspn(list, ", \t");
		n = strcspn(list, ", \t");
		if (n == length && strncasecmp(list, name, n) == 0)
			return true;
		list += n;
	}
	return false;
}

/* What the function itself set; the route's headers go before it. Returns its content type. */
static const char *pass_headers(struct call *call, struct http_request *request)
{
	const char *type = NULL, *hop = answer_header(&call->answer, "Connection");

	for (unsigned i = 0; i < call->answer.n_headers; i++) {
		const char *name = answer_header_name(&call->answer, i);
		const char *value = answer_header_value(&call->answer, i);

		if (strcasecmp(name, "Content-Type") == 0)
			type = value;
		else if (!route_header(call->function, name) && !is_listed(hop, name))
			http_reply_header(request, name, value);
	}
	return type;
}

static void answer_output(struct call *call, struct http_request *request, unsigned status)
{
	const char *type = pass_headers(call, request), *own = route_header(call->function, "Content-Type");
	unsigned char start[SNIFF_BYTES];
	ssize_t n = evbuffer_copyout(call->output, start, sizeof(start));

	add_route_headers(call->function, request);
	add_timing(call, request);
	if (own)
		type = own;
	else if (!type && n > 0)
		type = sniff_content_type(start, (size_t)n);
	http_reply_buffer(request, status, type, call->output);
}

/* {"request_id":…,"error":{"message":…}}. The route's headers belong to it when the function ran. */
static void answer_error(struct call *call, struct http_request *request, const struct call_end *end)
{
	_cleanup_(text_done) struct text body = {0};
	bool ran = end->outcome == CALL_FAILED || end->outcome == CALL_TIMED_OUT;
	const char *type = ran ? route_header(call->function, "Content-Type") : NULL;

	text_printf(&body, "{\"request_id\":\"%s\",\"error\":{\"message\":", call->id);
	text_json(&body, end->message);
	text_puts(&body, "}}\n");
	if (end->status == 503)
		http_reply_header(request, "Retry-After", "1");
	if (ran)
		add_route_headers(call->function, request);
	http_reply(request, end->status, type ? type : "application/json; charset=utf-8", body.data, body.length);
}

void call_answer(struct call *call, const struct call_end *end)
{
	struct http_request *request = take_ptr(call->request);

	http_reply_header(request, "Ferrite-Call-Id", call->id);
	if (end->message)
		answer_error(call, request, end);
	else
		answer_output(call, request, end->status);
}
