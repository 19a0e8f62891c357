/*
 * A handler for tests: does what the parameter `do` says. Without one it answers what it got, so that a test sees the
 * whole request.
 */
#include "cudaexec/cudaexec.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define STREAM_BYTES 200000

static const struct cudaexec_host *host;

int cudaexec_function_init(const struct cudaexec_host *h)
{
	host = h;
	return getenv("ECHO_INIT_FAILS") ? -EPERM : 0;
}

static void print(struct cudaexec_response *response, const char *what, const char *name, const char *value)
{
	char line[1024];
	int n = snprintf(line, sizeof(line), "%s %s=%s\n", what, name, value ? value : "(none)");

	host->write(response, line, (size_t)n);
}

static int show(const struct cudaexec_request *r, struct cudaexec_response *response)
{
	struct timespec now;
	int left_ms = -1;

	clock_gettime(CLOCK_MONOTONIC, &now);
	if (r->deadline_us > 0)
		left_ms = (int)((int64_t)(r->deadline_us - (uint64_t)now.tv_sec * 1000000) / 1000 -
				now.tv_nsec / 1000000);
	host->set_status(response, 201);
	host->add_header(response, "Content-Type", "text/plain");
	host->add_header(response, "X-Echo", "yes");
	print(response, "request", "method", r->method);
	print(response, "request", "route", r->route);
	print(response, "request", "url", r->url);
	print(response, "request", "call_id", r->call_id);
	print(response, "request", "deadline",
	      left_ms < 0			  ? "none"
	      : left_ms > 1000 && left_ms <= 5000 ? "soon"
						  : "odd");
	for (size_t i = 0; i < r->n_headers; i++)
		print(response, "header", r->headers[i].name, r->headers[i].value);
	for (size_t i = 0; i < r->n_parameters; i++)
		print(response, "parameter", r->parameters[i].name, r->parameters[i].value);
	print(response, "found", "X-Foo", host->header(r, "X-Foo"));
	host->write(response, r->body, r->body_length);
	return 0;
}

static int stream(struct cudaexec_response *response, int result)
{
	char bytes[1000];

	memset(bytes, 's', sizeof(bytes));
	for (int sent = 0; sent < STREAM_BYTES; sent += (int)sizeof(bytes))
		if (host->write(response, bytes, sizeof(bytes)) < 0)
			return -EPIPE;
	if (host->set_status(response, 500) != -EBUSY || host->add_header(response, "X-Late", "1") != -EBUSY)
		return -EPROTO;
	return result;
}

/* What HTTP does not allow is refused one by one; the answer says which were let through. */
static int try_bad(struct cudaexec_response *response)
{
	static const char *const fields[][2] = {
		{"Content-Length", "7"},
		{"transfer-encoding", "chunked"},
		{"Connection", "close"},
		{"", "x"},
		{"a b", "x"},
		{"a:b", "x"},
		{"a\r\nb", "x"},
		{"a", "x\r\nSet-Cookie: y"},
		{"a", "x\ny"},
	};

	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
		if (host->add_header(response, fields[i][0], fields[i][1]) != -EINVAL)
			print(response, "accepted", fields[i][0], fields[i][1]);
	if (host->set_status(response, 199) != -EINVAL || host->set_status(response, 600) != -EINVAL)
		print(response, "accepted", "status", "199 or 600");
	return host->write(response, "done\n", 5);
}

static int use_driver(struct cudaexec_response *response)
{
	int (*version)(int *) = NULL;
	void *symbol = host->driver_symbol("cuDriverGetVersion");
	unsigned long long memory = 0;
	unsigned number = 7, back = 0;
	int value = 0;
	char name[100];

	memcpy(&version, &symbol, sizeof(version));
	if (!version || version(&value) != 0 || value < 11000 || host->driver_symbol("cuNoSuchThing"))
		return -ENOSYS;
	if (host->driver->device_get_name(name, sizeof(name), host->device) != 0 ||
	    host->driver->mem_alloc(&memory, sizeof(number)) != 0 ||
	    host->driver->memcpy_htod(memory, &number, sizeof(number)) != 0 ||
	    host->driver->memcpy_dtoh(&back, memory, sizeof(back)) != 0 || host->driver->mem_free(memory) != 0)
		return -EIO;
	print(response, "driver", "name", name);
	print(response, "driver", "copied", back == number ? "yes" : "no");
	return 0;
}

int cudaexec_function_call(const struct cudaexec_request *r, struct cudaexec_response *response)
{
	const char *what = host->parameter(r, "do");

	host->log(CUDAEXEC_LOG_INFO, "called with %zu bytes", r->body_length);
	printf("a stray line on standard output\n");
	fflush(stdout);
	if (!what)
		return show(r, response);
	if (strcmp(what, "stream") == 0)
		return stream(response, 0);
	if (strcmp(what, "break-stream") == 0)
		return stream(response, -EIO);
	if (strcmp(what, "flush") == 0)
		return host->flush(response) + host->write(response, "late", 4);
	if (strcmp(what, "bad") == 0)
		return try_bad(response);
	if (strcmp(what, "driver") == 0)
		return use_driver(response);
	if (strcmp(what, "fail") == 0)
		return -ENODATA;
	return 77;
}

void cudaexec_function_fini(void)
{
	host->log(CUDAEXEC_LOG_INFO, "fini was called");
}
