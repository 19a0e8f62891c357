/* The calls that cudaexec reads: any bytes end in a call, an error or the end of input; a call's parts can all be read.
 */
#include "cudaexec/runner/call_fields.h"
#include "cudaexec/runner/http.h"
#include "supervisor/util.h"

#include <string.h>
#include <sys/mman.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define BODY_MAX  4096
#define CALLS_MAX 64

static size_t add_up(const struct http_call *call)
{
	_cleanup_(call_fields_clear) struct call_fields fields = {0};
	size_t sum = call->length;
	struct err err = ERR_INIT;

	if (call->length > BODY_MAX || (call->too_large && call->length > 0))
		abort();
	for (size_t i = 0; i < call->n_headers; i++)
		sum += strlen(call->headers[i].name) + strlen(call->headers[i].value);
	if (call_fields_read(&fields, call, &err) < 0)
		return sum;
	for (size_t i = 0; i < fields.request.n_headers; i++)
		sum += strlen(fields.request.headers[i].name) + strlen(fields.request.headers[i].value);
	for (size_t i = 0; i < fields.request.n_parameters; i++)
		sum += strlen(fields.request.parameters[i].name) + strlen(fields.request.parameters[i].value);
	return sum;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_fd_ int fd = memfd_create("calls", MFD_CLOEXEC);
	struct http_reader *reader = http_reader_new(fd, BODY_MAX);
	const struct http_call *call;
	struct err err = ERR_INIT;
	size_t sum = 0;
	int code = 1;

	if (fd < 0 || !reader || write(fd, data, size) != (ssize_t)size || lseek(fd, 0, SEEK_SET) != 0)
		abort();
	for (int i = 0; i < CALLS_MAX && (code = http_read(reader, &call, &err)) > 0; i++)
		sum += add_up(call);
	if (code < 0 && err.text[0] == '\0')
		abort();
	http_reader_free(reader);
	return sum == SIZE_MAX;
}
