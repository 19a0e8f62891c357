#include "api/variables.h"

#include "api/text.h"

#include "supervisor/util.h"

void variables_of_config(struct env *env, const struct function *function)
{
	for (unsigned i = 0; i < function->n_config; i++)
		env_set_config(env, function->config[i].name, function->config[i].value);
}

void variables_of_request(struct env *env, const struct http_request *request, const struct function *function)
{
	_cleanup_(text_done) struct text url = {0};
	const char *host = http_header(request, "Host");

	/* A target that is a whole URL (a request to a proxy) stands for itself. */
	if (*request->target == '/') {
		text_puts(&url, "http://");
		text_puts(&url, host ? host : "");
	}
	text_puts(&url, request->target);
	env_set(env, "METHOD", request->method_name);
	env_set(env, "ROUTE", function->path);
	env_set(env, "REQUEST_URL", url.data ? url.data : "");
	variables_of_config(env, function);
	env_set_headers(env, request);
}
