/* What a function of the format "http" writes, and the content type of anything. */
#include "api/answer.h"
#include "api/sniff.h"

#include "supervisor/util.h"

#include <string.h>

#define BODY_MAX 1024

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct evbuffer *body = evbuffer_new();
	struct answer answer;
	struct err err;
	size_t used;
	size_t total = 0;
	int r = 0;

	if (!body)
		return 0;
	(void)sniff_content_type(data, size);
	answer_open(&answer, body, BODY_MAX);
	while (size > 0 && r == 0) {
		size_t part = MIN(size, (size_t)1 + data[0]);

		r = answer_feed(&answer, data, part, &used, &err);
		data += part;
		size -= part;
	}
	if (r == 0)
		r = answer_end(&answer, &err);
	for (unsigned i = 0; i < answer.n_headers && answer.status; i++)
		total += strlen(answer_header_name(&answer, i)) + strlen(answer_header_value(&answer, i));
	if (evbuffer_get_length(body) > BODY_MAX || total > ANSWER_HEADER_BYTES_MAX || (r == 1 && answer.status < 200))
		abort();
	answer_done(&answer);
	evbuffer_free(body);
	return 0;
}
