#include "api/answer.h"

#include "supervisor/str.h"
#include "supervisor/util.h"

#include <string.h>
#include <strings.h>

static struct answer *of(http_parser *parser)
{
	return (struct answer *)((char *)parser - offsetof(struct answer, parser));
}

static int add(struct answer *answer, const char *at, size_t length)
{
	if (length > ANSWER_HEADER_BYTES_MAX - answer->head.length) {
		answer->too_large = true;
		return -1;
	}
	text_add(&answer->head, at, length);
	return answer->head.failed ? -1 : 0;
}

static int on_field(http_parser *parser, const char *at, size_t length)
{
	struct answer *answer = of(parser);

	/* Trailers are not passed on. */
	if (answer->status)
		return 0;
	if (answer->n_headers == 0 || answer->in_value) {
		if (answer->n_headers == ANSWER_HEADERS_MAX) {
			answer->too_large = true;
			return -1;
		}
		if (add(answer, "", 1) < 0)
			return -1;
		answer->name_at[answer->n_headers] = answer->head.length;
		answer->value_at[answer->n_headers++] = 0;
		answer->in_value = false;
	}
	return add(answer, at, length);
}

static int on_value(http_parser *parser, const char *at, size_t length)
{
	struct answer *answer = of(parser);

	if (answer->status)
		return 0;
	if (!answer->in_value) {
		if (add(answer, "", 1) < 0)
			return -1;
		answer->value_at[answer->n_headers - 1] = answer->head.length;
		answer->in_value = true;
	}
	return add(answer, at, length);
}

const char *answer_header_name(const struct answer *answer, unsigned i)
{
	return answer->head.data + answer->name_at[i];
}

const char *answer_header_value(const struct answer *answer, unsigned i)
{
	return answer->value_at[i] ? answer->head.data + answer->value_at[i] : "";
}

const char *answer_header(const struct answer *answer, const char *name)
{
	for (unsigned i = 0; i < answer->n_headers; i++)
		if (strcasecmp(answer_header_name(answer, i), name) == 0)
			return answer_header_value(answer, i);
	return NULL;
}

static void take_gpu_time(struct answer *answer)
{
	for (unsigned i = 0; i < answer->n_headers; i++) {
		if (strcasecmp(answer_header_name(answer, i), "Ferrite-Gpu-Us") != 0)
			continue;
		answer->has_gpu_us = str_u64(answer_header_value(answer, i), &answer->gpu_us);
		answer->n_headers--;
		answer->name_at[i] = answer->name_at[answer->n_headers];
		answer->value_at[i] = answer->value_at[answer->n_headers];
		return;
	}
}

static int on_headers_complete(http_parser *parser)
{
	struct answer *answer = of(parser);

	/* Interim answers (100 Continue) are skipped; so is an offer to switch protocols. */
	parser->upgrade = 0;
	if (parser->status_code < 200) {
		text_clear(&answer->head);
		answer->n_headers = 0;
		answer->in_value = false;
		return 0;
	}
	answer->status = parser->status_code;
	for (unsigned i = 0; i < answer->n_headers; i++)
		if (answer->value_at[i])
			str_trim_end(answer->head.data + answer->value_at[i]);
	take_gpu_time(answer);
	return 0;
}

static int on_body(http_parser *parser, const char *at, size_t length)
{
	struct answer *answer = of(parser);

	if (length > answer->body_max - MIN(evbuffer_get_length(answer->body), answer->body_max)) {
		answer->too_large = true;
		return -1;
	}
	return evbuffer_add(answer->body, at, length);
}

static int on_message_complete(http_parser *parser)
{
	struct answer *answer = of(parser);

	answer->complete = answer->status != 0;
	answer->keeps_going = !(parser->flags & F_CONNECTION_CLOSE);
	if (answer->complete)
		http_parser_pause(parser, 1);
	return 0;
}

static const http_parser_settings settings = {
	.on_header_field = on_field,
	.on_header_value = on_value,
	.on_headers_complete = on_headers_complete,
	.on_body = on_body,
	.on_message_complete = on_message_complete,
};

void answer_open(struct answer *answer, struct evbuffer *body, uint64_t body_max)
{
	*answer = (struct answer){.body = body, .body_max = body_max};
	http_parser_init(&answer->parser, HTTP_RESPONSE);
}

void answer_done(struct answer *answer)
{
	text_done(&answer->head);
}

static int outcome(const struct answer *answer, struct err *err)
{
	enum http_errno code = HTTP_PARSER_ERRNO(&answer->parser);

	if (answer->complete)
		return 1;
	if (answer->too_large)
		return err_set(err, EFBIG, "the function's answer is too large");
	if (code != HPE_OK && code != HPE_INVALID_EOF_STATE)
		return err_set(err, EPROTO, "the function wrote something that is no HTTP answer: %s",
			       http_errno_description(code));
	return 0;
}

bool answer_keeps_going(const struct answer *answer)
{
	return answer->keeps_going;
}

int answer_feed(struct answer *answer, const void *bytes, size_t length, size_t *ret_used, struct err *err)
{
	int r;
	size_t used = 0;

	if (!answer->complete && HTTP_PARSER_ERRNO(&answer->parser) == HPE_OK)
		used = http_parser_execute(&answer->parser, &settings, bytes, length);
	r = outcome(answer, err);
	if (r == 1)
		*ret_used = used;
	return r;
}

int answer_end(struct answer *answer, struct err *err)
{
	int r = 0;

	if (!answer->complete && HTTP_PARSER_ERRNO(&answer->parser) == HPE_OK)
		(void)http_parser_execute(&answer->parser, &settings, NULL, 0);
	r = outcome(answer, err);
	return r == 0 ? err_set(err, EPROTO, "the function's output ended before its answer was complete") : r;
}
