/* Answers with its input turned around, which travels through device memory on the way. */
#include <cudaexec.h>
#include <stdlib.h>

static const struct cudaexec_host *host;

int cudaexec_function_init(const struct cudaexec_host *cudaexec)
{
	host = cudaexec;
	return 0;
}

int cudaexec_function_call(const struct cudaexec_request *request, struct cudaexec_response *response)
{
	const struct cudaexec_driver *cuda = host->driver;
	size_t length = request->body_length;
	const char *body = request->body;
	unsigned long long buffer = 0;
	char *turned;
	int r;

	if (length == 0)
		return 0;
	turned = malloc(length);
	if (!turned)
		return 1;
	for (size_t i = 0; i < length; i++)
		turned[i] = body[length - 1 - i];

	r = cuda->mem_alloc(&buffer, length);
	if (r == 0)
		r = cuda->memcpy_htod(buffer, turned, length);
	if (r == 0)
		r = cuda->memcpy_dtoh(turned, buffer, length);
	if (r == 0)
		r = host->write(response, turned, length);
	if (buffer)
		cuda->mem_free(buffer);
	free(turned);
	return r;
}

void cudaexec_function_fini(void)
{
}
