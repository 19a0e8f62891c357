#include "cudaexec/runner/call_fields.h"

#include "cudaexec/runner/query.h"
#include "supervisor/str.h"
#include "supervisor/util.h"

#include <string.h>
#include <strings.h>

#define PARAMETERS_MAX 1024
#define PARAMETER_SIZE 65536

static const char header_prefix[] = "Header_", parameter_prefix[] = "Param_";

static bool has_prefix(const char *name, const char *prefix)
{
	return strncasecmp(name, prefix, strlen(prefix)) == 0;
}

const char *call_query(const struct http_call *call)
{
	const char *url = http_header(call, "Request_url"), *mark = url ? strchr(url, '?') : NULL;

	return mark ? mark + 1 : NULL;
}

/* "Header_content_type" is what became of "Content-Type"; '_' and '-' cannot be told apart any more. */
static char *header_name(const char *variable)
{
	char *name = strdup(variable);

	for (char *at = name; at && *at; at++) {
		if (*at == '_')
			*at = '-';
		else if (*at >= 'A' && *at <= 'Z')
			*at = (char)(*at - 'A' + 'a');
	}
	return name;
}

static int read_headers(struct call_fields *f, const struct http_call *call, struct err *err)
{
	size_t prefix = strlen(header_prefix);

	f->headers = calloc(call->n_headers + 1, sizeof(*f->headers));
	for (size_t i = 0; f->headers && i < call->n_headers; i++) {
		char *name;

		if (!has_prefix(call->headers[i].name, header_prefix))
			continue;
		name = header_name(call->headers[i].name + prefix);
		if (!name)
			return err_sys(err, ENOMEM, "call");
		f->headers[f->request.n_headers++] = (struct cudaexec_field){name, call->headers[i].value};
	}
	f->request.headers = f->headers;
	return f->headers ? 0 : err_sys(err, ENOMEM, "call");
}

static int add_parameter(struct call_fields *f, const char *name, const char *value, struct err *err)
{
	struct cudaexec_field field = {strdup(name), strdup(value)};

	if (f->request.n_parameters == PARAMETERS_MAX || !field.name || !field.value) {
		free((char *)field.name);
		free((char *)field.value);
		return f->request.n_parameters == PARAMETERS_MAX
			       ? err_set(err, EINVAL, "more than %d parameters", PARAMETERS_MAX)
			       : err_sys(err, ENOMEM, "call");
	}
	f->parameters[f->request.n_parameters++] = field;
	return 0;
}

static int read_parameters(struct call_fields *f, const struct http_call *call, struct err *err)
{
	_cleanup_free_ char *buffer = malloc(PARAMETER_SIZE);
	const char *query = call_query(call), *name, *value;
	int code = 0;

	f->parameters = calloc(PARAMETERS_MAX, sizeof(*f->parameters));
	if (!f->parameters || !buffer)
		return err_sys(err, ENOMEM, "call");
	f->request.parameters = f->parameters;
	for (size_t i = 0; code == 0 && i < call->n_headers; i++)
		if (has_prefix(call->headers[i].name, parameter_prefix))
			code = add_parameter(f, call->headers[i].name + strlen(parameter_prefix),
					     call->headers[i].value, err);
	while (code == 0 && query && (code = query_next(&query, buffer, PARAMETER_SIZE, &name, &value, err)) > 0)
		code = add_parameter(f, name, value, err);
	return code;
}

static const char *text_or_empty(const struct http_call *call, const char *name)
{
	const char *value = http_header(call, name);

	return value ? value : "";
}

int call_fields_read(struct call_fields *f, const struct http_call *call, struct err *err)
{
	const char *timeout = http_header(call, "Ferrite-Timeout-Ms");
	uint64_t milliseconds;
	int code;

	f->request = (struct cudaexec_request){
		.size = sizeof(f->request),
		.method = text_or_empty(call, "Method"),
		.route = text_or_empty(call, "Route"),
		.url = text_or_empty(call, "Request_url"),
		.call_id = text_or_empty(call, "Task-Id"),
		.body = call->body,
		.body_length = call->length,
	};
	if (timeout && str_u64(timeout, &milliseconds) && milliseconds < UINT64_MAX / 2000)
		f->request.deadline_us = clock_monotonic_us() + milliseconds * 1000;
	code = read_headers(f, call, err);
	return code == 0 ? read_parameters(f, call, err) : code;
}

void call_fields_clear(struct call_fields *f)
{
	for (size_t i = 0; i < f->request.n_headers; i++)
		free((char *)f->headers[i].name);
	for (size_t i = 0; i < f->request.n_parameters; i++) {
		free((char *)f->parameters[i].name);
		free((char *)f->parameters[i].value);
	}
	free(f->headers);
	free(f->parameters);
	*f = (struct call_fields){0};
}
