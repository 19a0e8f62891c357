/* Raw bodies: the bytes of the one tensor without a default; scalars and dimensions stand in the query string. */
#include "cudaexec/runner/media.h"
#include "cudaexec/runner/query.h"
#include "cudaexec/runner/request_parts.h"
#include "cudaexec/runner/values.h"
#include "supervisor/str.h"
#include "supervisor/util.h"

#include <string.h>

#define PARAMETER_MAX 1024 /* bytes of one decoded name and value */

static int fail_unknown(const struct manifest *m, const char *name, struct err *err)
{
	const char *candidates[MANIFEST_TENSORS_MAX + MANIFEST_SYMBOLS_MAX + 1] = {NULL}, *nearest;
	char shown[64];
	size_t n = 0;

	for (size_t i = 0; i < m->n_inputs; i++)
		if (m->tensors[i].is_scalar)
			candidates[n++] = m->tensors[i].name;
	for (size_t i = 0; i < m->n_symbols; i++)
		candidates[n++] = m->symbols[i];
	nearest = str_nearest(name, candidates);
	(void)str_escape(shown, sizeof(shown), name, strlen(name));
	if (nearest)
		return err_set(err, EINVAL, "unknown parameter \"%s\" in the query (did you mean \"%s\"?)", shown,
			       nearest);
	return err_set(err, EINVAL, "unknown parameter \"%s\" in the query", shown);
}

static int take_scalar(struct request *r, size_t tensor, const char *value, struct err *err)
{
	const struct manifest_tensor *t = &r->manifest->tensors[tensor];
	int code;

	if (r->tensors[tensor].given)
		return err_set(err, EINVAL, "parameter \"%s\" is given twice in the query", t->name);
	code = request_bind_shape(r, tensor, NULL, 0, err);
	if (code == 0)
		code = request_alloc(r, tensor, 1, err);
	if (code == 0 && values_store_text(value, t->datatype, r->tensors[tensor].owned, err) < 0)
		code = err_wrap(err, "parameter \"%s\"", t->name);
	return code < 0 ? code : request_accept(r, tensor, err);
}

static int take_parameter(struct request *r, const char *name, const char *value, struct err *err)
{
	const struct manifest *m = r->manifest;
	uint64_t dimension;

	for (size_t i = 0; i < m->n_inputs; i++)
		if (m->tensors[i].is_scalar && strcmp(m->tensors[i].name, name) == 0)
			return take_scalar(r, i, value, err);
	for (size_t i = 0; i < m->n_symbols; i++) {
		char shown[64];

		if (strcmp(m->symbols[i], name) != 0)
			continue;
		if (!str_u64(value, &dimension))
			return err_set(err, EINVAL, "parameter \"%s\": \"%s\" is no dimension", name,
				       str_escape(shown, sizeof(shown), value, strlen(value)));
		return request_bind_symbol(r, (int)i, dimension, NULL, err);
	}
	return fail_unknown(m, name, err);
}

static int take_query(struct request *r, const char *query, struct err *err)
{
	char buffer[PARAMETER_MAX];
	const char *name, *value;
	int code;

	while ((code = query_next(&query, buffer, sizeof(buffer), &name, &value, err)) > 0) {
		code = take_parameter(r, name, value, err);
		if (code < 0)
			break;
	}
	return code;
}

/* The one input that the body is for; -1 when every tensor has a default or there is none. */
static int find_tensor(const struct manifest *m, int *ret_tensor, struct err *err)
{
	int found = -1;

	for (size_t i = 0; i < m->n_inputs; i++) {
		const struct manifest_tensor *t = &m->tensors[i];

		if (t->is_scalar || t->default_value)
			continue;
		if (found >= 0)
			return err_set(err, EINVAL,
				       "a raw body is one tensor, but the function needs \"%s\" and \"%s\": send JSON",
				       m->tensors[found].name, t->name);
		found = (int)i;
	}
	*ret_tensor = found;
	return 0;
}

/*
 * The shape of the tensor from fixed and bound dimensions; a single dimension that nothing binds follows from the
 * length of the body.
 */
static int infer_shape(const struct request *r, const struct manifest_tensor *t, size_t length, uint64_t *dims,
		       struct err *err)
{
	uint64_t known = 1;
	int open = -1, slot = -1, other = -1;

	for (unsigned i = 0; i < t->rank; i++) {
		int64_t number = 1;

		if (!expr_is_number(t->shape[i], &number)) {
			(void)expr_is_name(t->shape[i], &other);
			if (r->bound[other]) {
				number = r->symbols[other];
			} else if (open >= 0) {
				return err_set(err, EINVAL,
					       "input \"%s\": the query must give more of its dimensions, such as "
					       "?%s=...",
					       t->name, r->manifest->symbols[slot]);
			} else {
				open = (int)i;
				slot = other;
			}
		}
		dims[i] = (uint64_t)number;
		if (__builtin_mul_overflow(known, dims[i], &known))
			return err_set(err, EINVAL, "input \"%s\": its size overflows", t->name);
	}
	if (__builtin_mul_overflow(known, (uint64_t)datatype_size(t->datatype), &known))
		return err_set(err, EINVAL, "input \"%s\": its size overflows", t->name);
	if (open < 0)
		return 0;
	if (known == 0 || length % known != 0)
		return err_set(err, EINVAL, "input \"%s\": the body has %zu bytes, not a multiple of %llu", t->name,
			       length, (unsigned long long)known);
	dims[open] = length / known;
	return 0;
}

static int take_body(struct request *r, const struct request_source *source, size_t tensor, struct err *err)
{
	const struct manifest_tensor *t = &r->manifest->tensors[tensor];
	struct request_tensor *in = &r->tensors[tensor];
	const unsigned char *bytes = source->body;
	uint64_t dims[MANIFEST_RANK_MAX];
	char shape[192];
	int code = infer_shape(r, t, source->length, dims, err);

	if (code == 0)
		code = request_bind_shape(r, tensor, dims, t->rank, err);
	if (code < 0)
		return code;
	if (in->bytes != source->length)
		return err_set(err, EINVAL, "input \"%s\": shape %s needs %zu bytes, the body has %zu", t->name,
			       values_shape_text(in->dims, t->rank, shape, sizeof(shape)), in->bytes, source->length);
	for (size_t i = 0; t->datatype == DATATYPE_BOOL && i < source->length; i++)
		if (bytes[i] > 1)
			return err_set(err, EINVAL, "input \"%s\": element [%zu]: the byte %u is no BOOL (0 or 1)",
				       t->name, i, bytes[i]);
	in->data = source->body;
	return request_accept(r, tensor, err);
}

int request_parse_raw(struct request *r, const struct request_source *source, struct err *err)
{
	int tensor = -1, code;

	r->form = REQUEST_RAW;
	code = source->query ? take_query(r, source->query, err) : 0;
	if (code == 0)
		code = request_take_defaults(r, err);
	if (code == 0)
		code = find_tensor(r->manifest, &tensor, err);
	if (code < 0)
		return code;
	if (tensor < 0 && source->length > 0)
		return err_set(err, EINVAL, "a body of %zu bytes, but the function has no tensor for it",
			       source->length);
	/* No body, and nothing says that it is meant to be one of bytes: the tensor is missing, not empty. */
	if (tensor < 0 || (source->length == 0 && (!source->content_type || !media_is_raw(source->content_type))))
		return 0;
	return take_body(r, source, (size_t)tensor, err);
}
