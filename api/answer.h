/*
 * What a function of the format "http" writes on its standard output: one HTTP/1.x response, read by http_parser as it
 * comes. The program is hostile: header section and body are bounded.
 */
#ifndef FERRITE_API_ANSWER_H
#define FERRITE_API_ANSWER_H

#include "api/text.h"
#include "supervisor/err.h"

#include <event2/buffer.h>
#include <http_parser.h>
#include <stdbool.h>
#include <stdint.h>

#define ANSWER_HEADER_BYTES_MAX (32 * 1024)
#define ANSWER_HEADERS_MAX	100

struct answer {
	http_parser parser;
	struct evbuffer *body; /* borrowed */
	uint64_t body_max;
	unsigned status;
	bool complete, too_large, in_value, keeps_going;
	unsigned n_headers;
	size_t name_at[ANSWER_HEADERS_MAX], value_at[ANSWER_HEADERS_MAX];
	struct text head;
	uint64_t gpu_us; /* of Ferrite-Gpu-Us, which is not among the headers handed out */
	bool has_gpu_us;
};

void answer_open(struct answer *answer, struct evbuffer *body, uint64_t body_max);
void answer_done(struct answer *answer);

/*
 * 0: more is to come; 1: complete, with *RET_USED of the bytes; -EPROTO: no HTTP; -EFBIG: over a limit.
 */
int answer_feed(struct answer *answer, const void *bytes, size_t length, size_t *ret_used, struct err *err);
/* The output ended: 1 when that completes the answer, else -EPROTO. */
int answer_end(struct answer *answer, struct err *err);

/* Whether another answer may follow on the same connection. */
bool answer_keeps_going(const struct answer *answer);

/* The name and value of header I < n_headers. */
const char *answer_header_name(const struct answer *answer, unsigned i);
const char *answer_header_value(const struct answer *answer, unsigned i);
/* The value of the first header with this name (any case), or NULL. */
const char *answer_header(const struct answer *answer, const char *name);

#endif
