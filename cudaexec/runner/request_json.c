/* JSON bodies: tells v2 from shorthand, and reads shorthand. */
#include "cudaexec/runner/json_exact.h"
#include "cudaexec/runner/request_parts.h"
#include "supervisor/str.h"
#include "supervisor/util.h"

#include <string.h>

static void json_release(json_t **value)
{
	json_decref(*value);
	*value = NULL;
}

static int parse_shorthand(struct request *r, const json_t *root, size_t length, struct err *err)
{
	const char *name;
	json_t *value;

	r->form = REQUEST_SHORTHAND;
	json_object_foreach((json_t *)root, name, value)
	{
		int tensor = request_find_input(r->manifest, name, err), code;

		if (tensor < 0)
			return tensor;
		code = request_take_nested(r, (size_t)tensor, value, length, err);
		if (code < 0)
			return code;
	}
	return 0;
}

/* How many bytes at the front of the body are JSON. */
static int json_part(const struct request_source *source, size_t *ret_length, struct err *err)
{
	uint64_t length = source->length;

	if (source->json_length) {
		char shown[64];

		if (!str_u64(source->json_length, &length))
			return err_set(
				err, EINVAL, "Inference-Header-Content-Length \"%s\" is no number",
				str_escape(shown, sizeof(shown), source->json_length, strlen(source->json_length)));
		if (length > source->length)
			return err_set(err, EINVAL,
				       "Inference-Header-Content-Length is %llu, but the body has only %zu bytes",
				       (unsigned long long)length, source->length);
	}
	*ret_length = (size_t)length;
	return 0;
}

int request_parse_json(struct request *r, const struct request_source *source, struct err *err)
{
	_cleanup_(json_release) json_t *root = NULL;
	size_t length = 0;
	int code = json_part(source, &length, err);

	if (code < 0)
		return code;
	root = json_exact_load(source->body, length, err);
	if (!root)
		return err->code;
	if (!json_is_object(root))
		return err_set(err, EINVAL, "the JSON body must be an object");
	if (json_is_array(json_object_get(root, "inputs")) || source->json_length)
		return request_parse_v2(r, source, root, length, err);
	return parse_shorthand(r, root, length, err);
}
