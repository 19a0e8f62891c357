/*
 * A handler bundle: host code that runs inside the container. It answers how often each byte value stands in the body,
 * counted on the GPU, as JSON: {"bytes":5,"counts":{"97":2,"98":3}}. With ?min=N only values that stand there N times.
 */
#include <cudaexec.h>
#include <stdio.h>
#include <stdlib.h>

#define VALUES	256
#define BLOCKS	64
#define PTX_MAX 65536
#define FAIL(r) (host->log(CUDAEXEC_LOG_ERROR, "%s:%d: CUDA error %d", __FILE__, __LINE__, r), -1)
#define TRY(call) \
	do { \
		int result_ = (call); \
		if (result_ != 0) \
			return FAIL(result_); \
	} while (0)

static const struct cudaexec_host *host;
static const struct cudaexec_driver *cuda;
static struct CUmod_st *module;
static struct CUfunc_st *kernel;
static unsigned long long device_counts, device_data;
static size_t device_room;

int cudaexec_function_init(const struct cudaexec_host *h)
{
	static char ptx[PTX_MAX];
	FILE *file = fopen("histogram.ptx", "re");
	size_t length;

	host = h;
	cuda = h->driver;
	if (!file) {
		host->log(CUDAEXEC_LOG_ERROR, "histogram.ptx is not in the bundle");
		return -1;
	}
	length = fread(ptx, 1, sizeof(ptx) - 1, file);
	(void)fclose(file);
	ptx[length] = '\0';
	TRY(cuda->module_load_data(&module, ptx));
	TRY(cuda->module_get_function(&kernel, module, "histogram"));
	TRY(cuda->mem_alloc(&device_counts, VALUES * sizeof(unsigned)));
	return 0;
}

/* Room for the body on the device; what an earlier call left is used again when it is enough. */
static int reserve(size_t bytes)
{
	if (bytes <= device_room)
		return 0;
	if (device_room > 0)
		TRY(cuda->mem_free(device_data));
	device_room = 0;
	TRY(cuda->mem_alloc(&device_data, bytes));
	device_room = bytes;
	return 0;
}

static int count(const void *data, unsigned long long bytes, unsigned counts[VALUES])
{
	void *arguments[] = {&device_data, &bytes, &device_counts};

	TRY(cuda->memset_d32(device_counts, 0, VALUES));
	if (bytes > 0) {
		if (reserve(bytes) != 0)
			return -1;
		TRY(cuda->memcpy_htod(device_data, data, bytes));
		TRY(cuda->launch_kernel(kernel, BLOCKS, 1, 1, VALUES, 1, 1, 0, NULL, arguments, NULL));
	}
	TRY(cuda->memcpy_dtoh(counts, device_counts, VALUES * sizeof(unsigned)));
	return 0;
}

static int bad_request(struct cudaexec_response *response, const char *text)
{
	host->set_status(response, 400);
	host->add_header(response, "Content-Type", "application/json");
	char body[256];
	int n = snprintf(body, sizeof(body), "{\"error\":{\"message\":\"%s\"}}", text);

	return host->write(response, body, (size_t)n);
}

int cudaexec_function_call(const struct cudaexec_request *request, struct cudaexec_response *response)
{
	const char *min_text = host->parameter(request, "min");
	unsigned counts[VALUES], min = 1;
	const char *comma = "";
	char text[64];
	int n;

	if (min_text) {
		char *end;
		unsigned long value = strtoul(min_text, &end, 10);

		if (*min_text < '0' || *min_text > '9' || *end || value > 0xffffffff)
			return bad_request(response, "min is no number");
		min = (unsigned)value;
	}
	if (count(request->body, request->body_length, counts) != 0)
		return -1;
	host->add_header(response, "Content-Type", "application/json");
	n = snprintf(text, sizeof(text), "{\"bytes\":%zu,\"counts\":{", request->body_length);
	host->write(response, text, (size_t)n);
	for (unsigned i = 0; i < VALUES; i++) {
		if (counts[i] < min)
			continue;
		n = snprintf(text, sizeof(text), "%s\"%u\":%u", comma, i, counts[i]);
		host->write(response, text, (size_t)n);
		comma = ",";
	}
	return host->write(response, "}}\n", 3);
}

void cudaexec_function_fini(void)
{
	if (device_room > 0)
		(void)cuda->mem_free(device_data);
	(void)cuda->mem_free(device_counts);
	(void)cuda->module_unload(module);
}
