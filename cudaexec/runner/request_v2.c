/*
 * Open Inference Protocol v2, with the binary extension: inputs with parameters.binary_data_size have their elements
 * behind the JSON, in the order of the inputs; parameters.binary_data of an output, or binary_data_output of the
 * request, asks for outputs in that way. Keys that the protocol does not know are ignored, as it demands.
 */
#include "cudaexec/runner/json_exact.h"
#include "cudaexec/runner/request_parts.h"
#include "cudaexec/runner/values.h"
#include "supervisor/str.h"
#include "supervisor/util.h"

#include <string.h>

/* A walk over the inputs; the binary part is used up from the front. */
struct v2 {
	struct request *r;
	const char *binary;
	size_t left;
	size_t json_length;
	struct err *err;
};

/* A string member without NUL bytes. */
static int get_name(const json_t *entry, const char *what, const char **ret_name, struct err *err)
{
	const json_t *name = json_object_get(entry, "name");

	if (!json_is_object(entry))
		return err_set(err, EINVAL, "each of \"%s\" must be an object", what);
	if (!json_is_string(name) || strlen(json_string_value(name)) != json_string_length(name))
		return err_set(err, EINVAL, "each of \"%s\" needs a \"name\"", what);
	*ret_name = json_string_value(name);
	return 0;
}

static int get_flag(const json_t *entry, const char *key, bool *ret_flag, struct err *err)
{
	const json_t *parameters = json_object_get(entry, "parameters");
	const json_t *flag = json_object_get(parameters, key);

	if (parameters && !json_is_object(parameters))
		return err_set(err, EINVAL, "\"parameters\" must be an object");
	if (flag && !json_is_boolean(flag))
		return err_set(err, EINVAL, "parameter \"%s\" must be true or false", key);
	if (flag)
		*ret_flag = json_is_true(flag);
	return 0;
}

static int check_datatype(const struct manifest_tensor *t, const json_t *entry, struct err *err)
{
	const char *datatype = json_string_value(json_object_get(entry, "datatype"));
	char shown[64];

	if (!datatype)
		return err_set(err, EINVAL, "\"datatype\" is missing, %s declared", datatype_names[t->datatype]);
	if (strcmp(datatype, datatype_names[t->datatype]) != 0)
		return err_set(err, EINVAL, "datatype %s given, %s declared",
			       str_escape(shown, sizeof(shown), datatype, strlen(datatype)),
			       datatype_names[t->datatype]);
	return 0;
}

static int get_shape(const json_t *entry, uint64_t *ret_dims, unsigned *ret_rank, struct err *err)
{
	const json_t *shape = json_object_get(entry, "shape"), *value;
	size_t i;

	if (!json_is_array(shape))
		return err_set(err, EINVAL, "\"shape\" must be an array of dimensions");
	if (json_array_size(shape) > MANIFEST_RANK_MAX)
		return err_set(err, EINVAL, "%zu dimensions, at most %d are possible", json_array_size(shape),
			       MANIFEST_RANK_MAX);
	json_array_foreach((json_t *)shape, i, value)
	{
		const char *digits = json_exact_digits(value);

		if (digits)
			return err_set(err, EINVAL, "dimension %zu overflows: %.40s", i, digits);
		if (!json_is_integer(value))
			return err_set(err, EINVAL, "dimension %zu is no integer", i);
		if (json_integer_value(value) < 0)
			return err_set(err, EINVAL, "dimension %zu is negative: %lld", i,
				       (long long)json_integer_value(value));
		ret_dims[i] = (uint64_t)json_integer_value(value);
	}
	*ret_rank = (unsigned)json_array_size(shape);
	return 0;
}

/* The elements behind the JSON. They stay where they are. */
static int take_binary(struct v2 *v, size_t tensor, const json_t *size, struct err *err)
{
	const struct manifest_tensor *t = &v->r->manifest->tensors[tensor];
	struct request_tensor *in = &v->r->tensors[tensor];

	if (!json_is_integer(size) || json_integer_value(size) < 0)
		return err_set(err, EINVAL, "parameter \"binary_data_size\" must be a number of bytes");
	if (!v->binary)
		return err_set(err, EINVAL, "binary data needs the header Inference-Header-Content-Length");
	if ((uint64_t)json_integer_value(size) != in->bytes)
		return err_set(err, EINVAL, "binary_data_size is %lld, the shape needs %zu bytes",
			       (long long)json_integer_value(size), in->bytes);
	if (in->bytes > v->left)
		return err_set(err, EINVAL, "binary_data_size is %zu, but only %zu bytes are left in the body",
			       in->bytes, v->left);
	in->data = v->binary;
	v->binary += in->bytes;
	v->left -= in->bytes;
	for (size_t i = 0; t->datatype == DATATYPE_BOOL && i < in->bytes; i++)
		if (((const unsigned char *)in->data)[i] > 1)
			return err_set(err, EINVAL, "element [%zu]: the byte %u is no BOOL (0 or 1)", i,
				       ((const unsigned char *)in->data)[i]);
	return 0;
}

static int take_json(struct v2 *v, size_t tensor, const json_t *data, const uint64_t *dims, unsigned rank,
		     struct err *err)
{
	const struct manifest_tensor *t = &v->r->manifest->tensors[tensor];
	struct request_tensor *in = &v->r->tensors[tensor];

	if (!data)
		return err_set(err, EINVAL, "\"data\" is missing");
	if (t->is_scalar && !json_is_array(data))
		return values_store(data, t->datatype, in->owned, err);
	if (!json_is_array(data))
		return err_set(err, EINVAL, "\"data\" must be an array");
	if (rank > 1 && json_is_array(json_array_get(data, 0)))
		return values_fill_nested(data, t->datatype, dims, rank, in->owned, err);
	if (json_array_size(data) != in->count)
		return err_set(err, EINVAL, "the shape needs %llu values, \"data\" has %zu",
			       (unsigned long long)in->count, json_array_size(data));
	return values_fill_flat(data, t->datatype, in->count, in->owned, err);
}

static int take_input(struct v2 *v, const json_t *entry, size_t tensor)
{
	const struct manifest_tensor *t = &v->r->manifest->tensors[tensor];
	const json_t *parameters = json_object_get(entry, "parameters");
	const json_t *size = json_object_get(parameters, "binary_data_size");
	uint64_t dims[MANIFEST_RANK_MAX];
	unsigned rank = 0;
	int code;

	if (v->r->tensors[tensor].given)
		return err_set(v->err, EINVAL, "input \"%s\" is given twice", t->name);
	code = check_datatype(t, entry, v->err);
	if (code == 0)
		code = get_shape(entry, dims, &rank, v->err);
	if (code < 0)
		return err_wrap(v->err, "input \"%s\"", t->name);
	code = request_bind_shape(v->r, tensor, dims, rank, v->err);
	if (code < 0)
		return code;
	if (size) {
		code = take_binary(v, tensor, size, v->err);
	} else {
		const json_t *data = json_object_get(entry, "data");

		/* A flat array tells its length at once; that error is clearer than the one of request_alloc(). */
		if (json_is_array(data) && !json_is_array(json_array_get(data, 0)) &&
		    json_array_size(data) != v->r->tensors[tensor].count) {
			code = take_json(v, tensor, data, dims, rank, v->err);
		} else {
			code = request_alloc(v->r, tensor, v->json_length, v->err);
			if (code < 0)
				return code;
			code = take_json(v, tensor, data, dims, rank, v->err);
		}
	}
	if (code < 0)
		return err_wrap(v->err, "input \"%s\"", t->name);
	return request_accept(v->r, tensor, v->err);
}

static int take_inputs(struct v2 *v, const json_t *inputs)
{
	const json_t *entry;
	size_t i;

	if (!json_is_array(inputs))
		return err_set(v->err, EINVAL, "\"inputs\" must be an array");
	json_array_foreach((json_t *)inputs, i, entry)
	{
		const char *name;
		int code = get_name(entry, "inputs", &name, v->err), tensor;

		if (code < 0)
			return code;
		tensor = request_find_input(v->r->manifest, name, v->err);
		if (tensor < 0)
			return tensor;
		code = take_input(v, entry, (size_t)tensor);
		if (code < 0)
			return code;
	}
	if (v->left > 0)
		return err_set(v->err, EINVAL, "%zu bytes are left behind the binary data of the inputs", v->left);
	return 0;
}

static int find_output(const struct manifest *m, const char *name, struct err *err)
{
	const char *candidates[MANIFEST_TENSORS_MAX + 1] = {NULL}, *nearest;
	char shown[64];

	for (size_t i = 0; i < m->n_outputs; i++) {
		if (strcmp(m->tensors[m->outputs[i]].name, name) == 0)
			return (int)m->outputs[i];
		candidates[i] = m->tensors[m->outputs[i]].name;
	}
	nearest = str_nearest(name, candidates);
	(void)str_escape(shown, sizeof(shown), name, strlen(name));
	if (nearest)
		return err_set(err, EINVAL, "unknown output \"%s\" (did you mean \"%s\"?)", shown, nearest);
	return err_set(err, EINVAL, "unknown output \"%s\"", shown);
}

/* Which outputs come back, and how. An empty list selects all, as no list does. */
static int select_outputs(struct request *r, const json_t *root, struct err *err)
{
	const json_t *outputs = json_object_get(root, "outputs"), *entry;
	bool binary = false;
	size_t i;

	if (get_flag(root, "binary_data_output", &binary, err) < 0)
		return -EINVAL;
	if (outputs && !json_is_array(outputs))
		return err_set(err, EINVAL, "\"outputs\" must be an array");
	for (i = 0; i < r->n_outputs; i++)
		r->outputs[i].binary = binary;
	if (json_array_size(outputs) == 0)
		return 0;
	r->n_outputs = 0;
	json_array_foreach((json_t *)outputs, i, entry)
	{
		struct request_output output = {.binary = binary};
		const char *name;
		int tensor;

		if (get_name(entry, "outputs", &name, err) < 0)
			return -EINVAL;
		tensor = find_output(r->manifest, name, err);
		if (tensor < 0)
			return tensor;
		output.tensor = (size_t)tensor;
		for (size_t k = 0; k < r->n_outputs; k++)
			if (r->outputs[k].tensor == output.tensor)
				return err_set(err, EINVAL, "output \"%s\" is asked for twice",
					       r->manifest->tensors[tensor].name);
		if (get_flag(entry, "binary_data", &output.binary, err) < 0)
			return err_wrap(err, "output \"%s\"", r->manifest->tensors[tensor].name);
		r->outputs[r->n_outputs++] = output;
	}
	return 0;
}

int request_parse_v2(struct request *r, const struct request_source *source, const json_t *root, size_t json_length,
		     struct err *err)
{
	struct v2 v = {.r = r, .json_length = json_length, .err = err};
	const json_t *id = json_object_get(root, "id");
	int code;

	r->form = REQUEST_V2;
	if (source->json_length) {
		v.binary = (const char *)source->body + json_length;
		v.left = source->length - json_length;
	}
	if (id) {
		if (!json_is_string(id) || strlen(json_string_value(id)) != json_string_length(id))
			return err_set(err, EINVAL, "\"id\" must be a string");
		r->id = strdup(json_string_value(id));
		if (!r->id)
			return err_sys(err, ENOMEM, "request");
	}
	code = select_outputs(r, root, err);
	if (code == 0)
		code = take_inputs(&v, json_object_get(root, "inputs"));
	return code;
}
