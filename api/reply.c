#include "api/api.h"

#include "supervisor/util.h"

#include <stdarg.h>

#define JSON_TYPE "application/json; charset=utf-8"

void api_reply(struct http_request *request, unsigned status, struct text *body)
{
	text_puts(body, "\n");
	if (body->failed)
		http_reply_error(request, 503, "ferrite is out of memory");
	else
		http_reply(request, status, JSON_TYPE, body->data, body->length);
}

void api_reply_error(struct http_request *request, unsigned status, const char *format, ...)
{
	char message[1024];
	va_list args;

	va_start(args, format);
	(void)vsnprintf(message, sizeof(message), format, args);
	va_end(args);
	http_reply_error(request, status, message);
}

void api_reply_not_found(struct http_request *request)
{
	static const char text[] = "\"Not Found\"\n";

	http_reply(request, 404, JSON_TYPE, text, sizeof(text) - 1);
}
