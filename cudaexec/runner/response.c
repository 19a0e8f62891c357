#include "cudaexec/runner/response.h"

#include "supervisor/util.h"

#include <string.h>
#include <strings.h>

int response_set_status(struct cudaexec_response *response, unsigned status)
{
	if (response->begun)
		return -EBUSY;
	if (status < 200 || status > 599)
		return -EINVAL;
	response->status = status;
	return 0;
}

int response_add_header(struct cudaexec_response *response, const char *name, const char *value)
{
	static const char *const ours[] = {"Content-Length", "Transfer-Encoding", "Connection"};
	struct http_field field;

	if (response->begun)
		return -EBUSY;
	if (!http_field_valid(name, value))
		return -EINVAL;
	for (size_t i = 0; i < ARRAY_LEN(ours); i++)
		if (strcasecmp(name, ours[i]) == 0)
			return -EINVAL;
	if (response->n_fields == RESPONSE_FIELDS_MAX)
		return -E2BIG;
	field = (struct http_field){strdup(name), strdup(value)};
	if (!field.name || !field.value) {
		free((char *)field.name);
		free((char *)field.value);
		return -ENOMEM;
	}
	response->fields[response->n_fields++] = field;
	return 0;
}

/* A response without a type would be guessed at by browsers. */
static bool has_type(const struct cudaexec_response *response)
{
	for (size_t i = 0; i < response->n_fields; i++)
		if (strcasecmp(response->fields[i].name, "Content-Type") == 0)
			return true;
	return false;
}

static size_t all_fields(const struct cudaexec_response *response, const struct http_field *extra, size_t n_extra,
			 struct http_field *fields)
{
	size_t n = response->n_fields;

	memcpy(fields, response->fields, n * sizeof(*fields));
	if (!has_type(response))
		fields[n++] = (struct http_field){"Content-Type", "application/octet-stream"};
	if (n_extra > 0)
		memcpy(fields + n, extra, n_extra * sizeof(*fields));
	return n + n_extra;
}

int response_flush(struct cudaexec_response *response)
{
	struct http_field fields[RESPONSE_FIELDS_MAX + 1];

	if (!response->begun && response->error == 0) {
		size_t n = all_fields(response, NULL, 0, fields);

		response->error = http_write_head(response->fd, response->status, fields, n);
		response->begun = true;
	}
	if (response->error == 0)
		response->error = http_write_chunk(response->fd, response->body.bytes, response->body.length);
	buffer_clear(&response->body);
	return response->error;
}

int response_write(struct cudaexec_response *response, const void *data, size_t length)
{
	if (response->error < 0)
		return response->error;
	if (length > RESPONSE_COLLECT_MAX - response->body.length) {
		int code = response_flush(response);

		if (code < 0)
			return code;
		if (length > RESPONSE_COLLECT_MAX) {
			response->error = http_write_chunk(response->fd, data, length);
			return response->error;
		}
	}
	buffer_append(&response->body, data, length);
	if (buffer_failed(&response->body))
		response->error = -ENOMEM;
	return response->error;
}

int response_finish(struct cudaexec_response *response, const struct http_field *extra, size_t n_extra)
{
	struct http_field fields[RESPONSE_FIELDS_MAX + 8];
	size_t n;

	if (response->begun) {
		int code = response_flush(response);

		return code < 0 ? code : http_write_end(response->fd);
	}
	if (response->error < 0)
		return response->error;
	n = all_fields(response, extra, MIN(n_extra, (size_t)7), fields);
	return http_write(response->fd, response->status, fields, n, response->body.bytes, response->body.length);
}

void response_clear(struct cudaexec_response *response)
{
	for (size_t i = 0; i < response->n_fields; i++) {
		free((char *)response->fields[i].name);
		free((char *)response->fields[i].value);
	}
	response->n_fields = 0;
	buffer_release(&response->body);
}
