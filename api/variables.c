#include "api/variables.h"

#include "api/text.h"

#include "supervisor/util.h"

#include <string.h>

void variables_of_config(struct env *env, const struct function *function)
{
	for (unsigned i = 0; i < function->n_config; i++)
		env_set_config(env, function->config[i].name, function->config[i].value);
}

/* Paths match nothing but themselves; one that ends in a pattern matches that, too, and says what it matched. */
static void set_parameter(struct env *env, const char *path)
{
	_cleanup_(text_done) struct text name = {0};
	const char *last = strrchr(path, '/');

	if (!last || last[1] != '*' || !last[2])
		return;
	text_printf(&name, "PARAM_%s", last + 2);
	if (name.data)
		env_set_config(env, name.data, last);
	else
		env->overflow = true;
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
	set_parameter(env, function->path);
	env_set_headers(env, request);
}
