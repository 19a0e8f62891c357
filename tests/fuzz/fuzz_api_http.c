/* The HTTP engine on one connection: whatever comes in, every request ends once and the connection can be closed. */
#include "api/http.h"
#include "api/path.h"

#include "supervisor/util.h"

#include <string.h>
#include <sys/socket.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct worker worker;
static struct http_shared shared;
static struct http_loop *loop;
static unsigned n_open;

static void on_gone(struct http_request *request)
{
	(void)request;
	n_open--;
}

static void reply(struct http_request *request)
{
	n_open--;
	http_reply_buffer(request, 200, NULL, request->body);
}

static void handle(struct http_request *request)
{
	_cleanup_free_ char *path = malloc(strlen(request->target) + 2);
	struct path_match match;

	if (!path || path_decode(request->target, path) < 0) {
		http_reply_error(request, 400, "path");
		return;
	}
	(void)path_match("/r/:/*", path, &match);
	n_open++;
	request->gone = on_gone;
	http_collect(request, 0, reply);
}

static void start(void)
{
	shared.limits = HTTP_LIMITS_DEFAULT;
	shared.limits.body_bytes = 4096;
	shared.limits.header_bytes = 8192;
	shared.handler = handle;
	if (worker_open(&worker, 0, NULL, NULL) < 0 || http_loop_open(&worker, &shared, NULL, &loop, NULL) < 0)
		abort();
}

static void turn(void)
{
	for (int i = 0; i < 4; i++)
		(void)event_base_loop(worker.base, EVLOOP_NONBLOCK);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char answers[4096];
	int fds[2];

	if (!loop)
		start();
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) < 0 ||
	    http_loop_adopt(loop, fds[0], true, NULL) < 0)
		abort();
	/* In parts, as a network delivers it: their length depends on the input. */
	while (size > 0) {
		size_t part = MIN(size, (size_t)1 + data[0] * 7u);

		if (send(fds[1], data, part, MSG_NOSIGNAL) != (ssize_t)part)
			break;
		data += part;
		size -= part;
		turn();
		while (read(fds[1], answers, sizeof(answers)) > 0)
			;
	}
	(void)close(fds[1]);
	turn();
	if (n_open != 0 || atomic_load(&shared.connections) != 0 || atomic_load(&shared.buffered) != 0)
		abort();
	return 0;
}
