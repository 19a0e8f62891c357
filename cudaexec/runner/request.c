#include "cudaexec/runner/request.h"

#include "cudaexec/runner/media.h"
#include "cudaexec/runner/request_parts.h"
#include "cudaexec/runner/values.h"
#include "supervisor/str.h"
#include "supervisor/util.h"

#include <string.h>

#define SHAPE_TEXT_MAX 192

/* --- names and shapes --- */

int request_find_input(const struct manifest *m, const char *name, struct err *err)
{
	const char *candidates[MANIFEST_TENSORS_MAX + 1] = {NULL}, *nearest;
	char shown[64];

	for (size_t i = 0; i < m->n_inputs; i++) {
		if (strcmp(m->tensors[i].name, name) == 0)
			return (int)i;
		candidates[i] = m->tensors[i].name;
	}
	nearest = str_nearest(name, candidates);
	(void)str_escape(shown, sizeof(shown), name, strlen(name));
	if (nearest)
		return err_set(err, EINVAL, "unknown input \"%s\" (did you mean \"%s\"?)", shown, nearest);
	return err_set(err, EINVAL, "unknown input \"%s\"", shown);
}

int request_bind_symbol(struct request *r, int slot, uint64_t value, const char *by, struct err *err)
{
	const char *name = r->manifest->symbols[slot], *first = r->bound_by[slot];

	if (value > INT64_MAX)
		return err_set(err, EINVAL, "%s is %llu, more than the 64-bit signed range", name,
			       (unsigned long long)value);
	if (!r->bound[slot]) {
		r->bound[slot] = true;
		r->bound_by[slot] = by;
		r->symbols[slot] = (int64_t)value;
		return 0;
	}
	if (r->symbols[slot] == (int64_t)value)
		return 0;
	if (!first || !by)
		return err_set(err, EINVAL, "%s is %lld in %s%s%s, but %llu in %s%s%s", name,
			       (long long)r->symbols[slot], first ? "\"" : "the query", first ? first : "",
			       first ? "\"" : "", (unsigned long long)value, by ? "\"" : "the query", by ? by : "",
			       by ? "\"" : "");
	return err_set(err, EINVAL, "inputs \"%s\" and \"%s\" disagree: %s is %lld in \"%s\", but %llu in \"%s\"",
		       first, by, name, (long long)r->symbols[slot], first, (unsigned long long)value, by);
}

/* "[n,3]": what the manifest says. */
static const char *declared_shape(const struct manifest_tensor *t, char *buffer, size_t size)
{
	size_t used = (size_t)snprintf(buffer, size, "[");

	for (unsigned i = 0; i < t->rank && used < size; i++)
		used += (size_t)snprintf(buffer + used, size - used, "%s%s", i ? "," : "", expr_text(t->shape[i]));
	if (used < size)
		(void)snprintf(buffer + used, size - used, "]");
	return buffer;
}

int request_bind_shape(struct request *r, size_t tensor, const uint64_t *dims, unsigned rank, struct err *err)
{
	const struct manifest_tensor *t = &r->manifest->tensors[tensor];
	struct request_tensor *in = &r->tensors[tensor];
	char given[SHAPE_TEXT_MAX], declared[SHAPE_TEXT_MAX];
	bool fits = rank == t->rank || (t->is_scalar && rank == 1 && dims[0] == 1);

	for (unsigned i = 0; fits && i < t->rank; i++) {
		int64_t number;

		fits = !expr_is_number(t->shape[i], &number) || (uint64_t)number == dims[i];
	}
	if (!fits)
		return err_set(err, EINVAL, "input \"%s\": shape %s given, %s declared", t->name,
			       values_shape_text(dims, rank, given, sizeof(given)),
			       declared_shape(t, declared, sizeof(declared)));
	if (!values_count(t->datatype, dims, rank, &in->count))
		return err_set(err, EINVAL, "input \"%s\": the size of shape %s overflows", t->name,
			       values_shape_text(dims, rank, given, sizeof(given)));
	for (unsigned i = 0; i < t->rank; i++) {
		int slot, code = 0;

		in->dims[i] = dims[i];
		if (expr_is_name(t->shape[i], &slot))
			code = request_bind_symbol(r, slot, dims[i], t->name, err);
		if (code < 0)
			return code;
	}
	in->bytes = in->count * datatype_size(t->datatype);
	return 0;
}

int request_alloc(struct request *r, size_t tensor, size_t limit, struct err *err)
{
	const struct manifest_tensor *t = &r->manifest->tensors[tensor];
	struct request_tensor *in = &r->tensors[tensor];
	char shape[SHAPE_TEXT_MAX];

	if (in->count > limit)
		return err_set(err, EINVAL, "input \"%s\": shape %s needs %llu values, the data has fewer", t->name,
			       values_shape_text(in->dims, t->rank, shape, sizeof(shape)),
			       (unsigned long long)in->count);
	in->owned = malloc(in->bytes + 1);
	in->data = in->owned;
	return in->owned ? 0 : err_sys(err, ENOMEM, "input \"%s\"", t->name);
}

int request_accept(struct request *r, size_t tensor, struct err *err)
{
	const struct manifest_tensor *t = &r->manifest->tensors[tensor];
	struct request_tensor *in = &r->tensors[tensor];
	unsigned bits = (unsigned)datatype_size(t->datatype) * 8;
	uint64_t value = 0;

	in->given = true;
	/* A scalar that no expression needs may have any value, also one beyond 63 bits. */
	if (t->symbol < 0 || !r->manifest->symbol_used[t->symbol])
		return 0;
	memcpy(&value, in->data, datatype_size(t->datatype));
	if (datatype_is_signed(t->datatype)) {
		int64_t extended = (int64_t)(value << (64 - bits)) >> (64 - bits);

		/* Negative numbers bind too; a dimension of the same name can never agree with them. */
		if (extended < 0 && !r->bound[t->symbol]) {
			r->bound[t->symbol] = true;
			r->bound_by[t->symbol] = t->name;
			r->symbols[t->symbol] = extended;
			return 0;
		}
		if (extended < 0)
			return err_set(err, EINVAL, "input \"%s\" is %lld, but the dimension of that name is %lld",
				       t->name, (long long)extended, (long long)r->symbols[t->symbol]);
	}
	return request_bind_symbol(r, t->symbol, value, t->name, err);
}

/* --- nested values and defaults --- */

int request_take_nested(struct request *r, size_t tensor, const json_t *value, size_t limit, struct err *err)
{
	const struct manifest_tensor *t = &r->manifest->tensors[tensor];
	struct request_tensor *in = &r->tensors[tensor];
	uint64_t dims[MANIFEST_RANK_MAX];
	unsigned rank = 0;
	int code = values_shape(value, dims, &rank, err);

	if (code < 0)
		return err_wrap(err, "input \"%s\"", t->name);
	if (t->is_scalar && rank == 1 && dims[0] == 1) {
		value = json_array_get(value, 0);
		rank = 0;
	}
	/* Behind an empty array nothing can be seen: take what is fixed or known, else 0. */
	while (rank > 0 && rank < t->rank && dims[rank - 1] == 0) {
		int64_t number = 0;
		int slot;

		if (!expr_is_number(t->shape[rank], &number) && expr_is_name(t->shape[rank], &slot) && r->bound[slot])
			number = r->symbols[slot];
		dims[rank++] = (uint64_t)number;
	}
	code = request_bind_shape(r, tensor, dims, rank, err);
	if (code == 0)
		code = request_alloc(r, tensor, limit, err);
	if (code < 0)
		return code;
	if (values_fill_nested(value, t->datatype, dims, rank, in->owned, err) < 0)
		return err_wrap(err, "input \"%s\"", t->name);
	return request_accept(r, tensor, err);
}

int request_take_defaults(struct request *r, struct err *err)
{
	const struct manifest *m = r->manifest;

	for (size_t i = 0; i < m->n_inputs; i++) {
		int code;

		if (r->tensors[i].given || !m->tensors[i].default_value)
			continue;
		code = request_take_nested(r, i, m->tensors[i].default_value, MANIFEST_TEXT_MAX, err);
		if (code < 0)
			return code;
	}
	return 0;
}

/* --- the whole --- */

static int check_complete(const struct request *r, struct err *err)
{
	const struct manifest *m = r->manifest;

	for (size_t i = 0; i < m->n_inputs; i++) {
		const struct manifest_tensor *t = &m->tensors[i];
		char declared[SHAPE_TEXT_MAX];

		if (!r->tensors[i].given)
			return err_set(err, EINVAL, "input \"%s\" is missing (%s %s)", t->name,
				       datatype_names[t->datatype], declared_shape(t, declared, sizeof(declared)));
	}
	return 0;
}

/* The sizes of outputs and scratch buffers, now that every name is bound. */
static int resolve_buffers(struct request *r, struct err *err)
{
	const struct manifest *m = r->manifest;

	for (size_t i = m->n_inputs; i < m->n_tensors; i++) {
		const struct manifest_tensor *t = &m->tensors[i];
		struct request_tensor *out = &r->tensors[i];
		const char *kind = t->is_output ? "output" : "scratch buffer";

		for (unsigned d = 0; d < t->rank; d++) {
			int64_t value;

			if (expr_eval(t->shape[d], r->symbols, &value, err) < 0) {
				(void)err_wrap(err, "%s \"%s\": dimension %u", kind, t->name, d);
				return -EINVAL;
			}
			if (value < 0)
				return err_set(err, EINVAL, "%s \"%s\": dimension %u, %s, is %lld", kind, t->name, d,
					       expr_text(t->shape[d]), (long long)value);
			out->dims[d] = (uint64_t)value;
		}
		if (!values_count(t->datatype, out->dims, t->rank, &out->count)) {
			char shape[SHAPE_TEXT_MAX];

			return err_set(err, EINVAL, "%s \"%s\": the size of shape %s overflows", kind, t->name,
				       values_shape_text(out->dims, t->rank, shape, sizeof(shape)));
		}
		out->bytes = out->count * datatype_size(t->datatype);
	}
	return 0;
}

/* Bytes are one tensor. A caller who takes nothing else has to select one. */
static int check_accept(const struct request *r, struct err *err)
{
	if (!r->accept_raw || r->accept_json || r->n_outputs == 1)
		return 0;
	return err_set(
		err, EINVAL,
		"Accept: application/octet-stream needs one output, there are %zu: select one with \"outputs\" or "
		"accept application/json",
		r->n_outputs);
}

static void select_all(struct request *r)
{
	for (size_t i = 0; i < r->manifest->n_outputs; i++)
		r->outputs[i] = (struct request_output){.tensor = r->manifest->outputs[i]};
	r->n_outputs = r->manifest->n_outputs;
}

/* JSON by its type; a body without a telling type (curl -d sends a form's) counts as JSON when it looks like it. */
static bool is_json(const struct request_source *source)
{
	const char *at = source->body, *end = at + source->length;

	if (media_is(source->content_type, "application/json"))
		return true;
	if (source->content_type && !media_is(source->content_type, "application/x-www-form-urlencoded"))
		return false;
	while (at < end && (*at == ' ' || *at == '\t' || *at == '\r' || *at == '\n'))
		at++;
	return at < end && *at == '{';
}

static int parse_body(struct request *r, const struct request_source *source, struct err *err)
{
	/* A header length of 0 is the protocol's way to send one raw tensor. */
	if (source->json_length && strcmp(source->json_length, "0") != 0)
		return request_parse_json(r, source, err);
	if (!source->json_length && is_json(source))
		return request_parse_json(r, source, err);
	if (!source->json_length && source->content_type && source->length > 0 && !media_is_raw(source->content_type)) {
		char shown[128];

		return err_set(err, EINVAL,
			       "Content-Type \"%s\": send application/json, application/octet-stream or an image",
			       str_escape(shown, sizeof(shown), source->content_type, strlen(source->content_type)));
	}
	return request_parse_raw(r, source, err);
}

int request_parse(const struct manifest *manifest, const struct request_source *source, struct request **ret_request,
		  struct err *err)
{
	_cleanup_(request_release) struct request *r = calloc(1, sizeof(*r));
	struct err unseen = ERR_INIT; /* wrapping an error needs one */
	int code;

	if (!err)
		err = &unseen;
	if (r)
		r->tensors = calloc(manifest->n_tensors + 1, sizeof(*r->tensors));
	if (!r || !r->tensors)
		return err_sys(err, ENOMEM, "request");
	r->manifest = manifest;
	r->accept_raw = media_accepts(source->accept, "application/octet-stream", MEDIA_NAMED);
	r->accept_json = media_accepts(source->accept, "application/json", MEDIA_ANY);
	r->accept_images = media_accepts(source->accept, "image/bmp", MEDIA_KIND) &&
			   !media_accepts(source->accept, "application/json", MEDIA_NAMED);
	select_all(r);
	code = parse_body(r, source, err);
	if (code == 0)
		code = check_accept(r, err);
	if (code == 0)
		code = request_take_defaults(r, err);
	if (code == 0)
		code = check_complete(r, err);
	if (code == 0)
		code = resolve_buffers(r, err);
	if (code < 0)
		return code;
	*ret_request = take_ptr(r);
	return 0;
}

struct request *request_free(struct request *r)
{
	if (!r)
		return NULL;
	for (size_t i = 0; r->tensors && i < r->manifest->n_inputs; i++)
		free(r->tensors[i].owned);
	free(r->tensors);
	free(r->id);
	free(r);
	return NULL;
}

void request_release(struct request **request)
{
	*request = request_free(*request);
}
