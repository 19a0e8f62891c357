/*
 * A hot function: one process answers many calls, one after the other, so that a call costs no start.
 *
 * With `format: http` each call is an HTTP request on standard input, and the answer an HTTP response on standard
 * output. The whole contract is
 *
 *     loop { read request by Content-Length; answer with Content-Length }
 *
 * The request line is always "GET / HTTP/1.1"; what the caller sent stands in the fields Method, Request_url, Route,
 * Task-Id and, for each header X-Foo of the call, Header_x_foo. What is written to standard error is the log of the
 * call. The end of standard input is the end of the function: it was idle for `idle_timeout`, or its route has changed.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* More than the variables of a call may take together. */
#define LINE_MAX_BYTES (256 * 1024)

struct request {
	char method[32];
	char *body;
	size_t length;
};

/* Reads the fields up to the empty line; false at the end of the input, and for what is no request. */
static int read_head(struct request *request)
{
	static char line[LINE_MAX_BYTES];
	int first = 1;

	request->length = 0;
	request->method[0] = '\0';
	while (fgets(line, sizeof(line), stdin) && strchr(line, '\n')) {
		line[strcspn(line, "\r\n")] = '\0';
		if (!first && !*line)
			return 1;
		first = 0;
		if (strncasecmp(line, "Content-Length: ", 16) == 0)
			request->length = strtoul(line + 16, NULL, 10);
		if (strncasecmp(line, "Method: ", 8) == 0)
			(void)snprintf(request->method, sizeof(request->method), "%.31s", line + 8);
	}
	return 0;
}

static int read_request(struct request *request)
{
	if (!read_head(request))
		return 0;
	request->body = malloc(request->length + 1);
	return request->body && fread(request->body, 1, request->length, stdin) == request->length;
}

int main(void)
{
	unsigned long calls = 0;

	for (struct request request = {0}; read_request(&request); free(request.body)) {
		calls++;
		fprintf(stderr, "call %lu: %s of %zu bytes\n", calls, request.method, request.length);
		printf("HTTP/1.1 200 OK\r\nX-Calls: %lu\r\nContent-Length: %zu\r\n\r\n", calls, request.length);
		(void)fwrite(request.body, 1, request.length, stdout);
		/* The answer is complete when its last byte has left this process. */
		if (fflush(stdout) != 0)
			return 1;
	}
	return 0;
}
