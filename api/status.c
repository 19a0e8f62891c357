#include "api/status.h"

#include "supervisor/util.h"

static void answer(struct http_request *request, const char *text)
{
	_cleanup_(text_done) struct text body = {0};

	text_puts(&body, text);
	api_reply(request, 200, &body);
}

void status_banner(struct http_request *request, const struct path_match *match)
{
	(void)match;
	answer(request, "{\"goto\":\"https://github.com/iron-io/functions\",\"hello\":\"world!\"}");
}

void status_version(struct http_request *request, const struct path_match *match)
{
	(void)match;
	answer(request, "{\"version\":\"" API_VERSION_ANSWER "\"}");
}

void status_stats(struct http_request *request, const struct path_match *match)
{
	(void)match;
	answer(request, "{\"Queue\":0,\"Running\":0,\"Complete\":0}");
}

void status_health(struct http_request *request, const struct path_match *match)
{
	(void)match;
	answer(request, "{\"status\":\"ok\"}");
}

void status_ready(struct http_request *request, const struct path_match *match)
{
	(void)match;
	answer(request, "{\"status\":\"ready\"}");
}
