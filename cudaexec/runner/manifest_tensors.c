#include "cudaexec/runner/manifest_parts.h"
#include "cudaexec/runner/values.h"
#include "supervisor/str.h"
#include "supervisor/util.h"

#include <string.h>

_Static_assert(MANIFEST_RANK_MAX == VALUES_RANK_MAX, "one bound on the dimensions of a tensor");

static bool is_name(const char *name)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_";
	static const char rest[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789";

	return strchr(letters, name[0]) && name[strspn(name, rest)] == '\0';
}

/* The slot of a symbol, made when it is new. */
static int add_symbol(struct section *s, struct manifest *m, const char *name)
{
	int slot = manifest_find_symbol(m, name);

	if (slot >= 0)
		return slot;
	if (m->n_symbols == MANIFEST_SYMBOLS_MAX)
		return section_fail(s, E2BIG, "more than %d dimension and scalar names", MANIFEST_SYMBOLS_MAX);
	(void)str_copy(m->symbols[m->n_symbols], sizeof(m->symbols[0]), name);
	return (int)m->n_symbols++;
}

/* name and datatype. */
static int parse_head(struct section *s, const json_t *entry, struct manifest_tensor *t)
{
	const char *name, *datatype, *nearest;
	char shown[64];
	int r = section_string(s, entry, "name", MANIFEST_NAME_MAX, true, &name);

	if (r == 0)
		r = section_string(s, entry, "datatype", 64, true, &datatype);
	if (r < 0)
		return r;
	if (!is_name(name)) {
		(void)section_enter_key(s, "name");
		return section_fail(s, EINVAL, "\"%s\" is no name: letters, digits and _, not a digit first",
				    str_escape(shown, sizeof(shown), name, strlen(name)));
	}
	(void)str_copy(t->name, sizeof(t->name), name);
	if (datatype_parse(datatype, &t->datatype))
		return 0;
	nearest = str_nearest(datatype, datatype_names);
	(void)section_enter_key(s, "datatype");
	(void)str_escape(shown, sizeof(shown), datatype, strlen(datatype));
	return section_fail(s, EINVAL, "unknown datatype \"%s\" (did you mean \"%s\"?)", shown,
			    nearest ? nearest : "FP32");
}

/* A dimension of an input: a number, or a name that requests bind. */
static int parse_input_dim(struct section *s, struct manifest *m, const json_t *value, struct expr **ret_expr)
{
	const char *name = json_string_value(value);
	int r;

	if (name && is_name(name) && strlen(name) == json_string_length(value)) {
		if (strlen(name) > MANIFEST_NAME_MAX)
			return section_fail(s, E2BIG, "longer than %d bytes", MANIFEST_NAME_MAX);
		r = add_symbol(s, m, name);
		if (r < 0)
			return r;
	} else if (!json_is_integer(value)) {
		return section_fail(s, EINVAL, "a dimension of an input must be a number or a name");
	}
	return manifest_parse_expr(s, m, value, ret_expr);
}

static int parse_shape(struct section *s, struct manifest *m, const json_t *entry, struct manifest_tensor *t,
		       bool is_input)
{
	const json_t *shape = json_object_get(entry, "shape");
	size_t mark = section_enter_key(s, "shape");

	if (!json_is_array(shape))
		return section_fail(s, EINVAL, shape ? "must be a list" : "is missing (a scalar has shape [])");
	if (json_array_size(shape) > MANIFEST_RANK_MAX)
		return section_fail(s, E2BIG, "%zu dimensions, at most %d are possible", json_array_size(shape),
				    MANIFEST_RANK_MAX);
	for (size_t i = 0; i < json_array_size(shape); i++) {
		const json_t *value = json_array_get(shape, i);
		size_t inner = section_enter_index(s, i);
		int64_t number;
		int r = is_input ? parse_input_dim(s, m, value, &t->shape[i])
				 : manifest_parse_expr(s, m, value, &t->shape[i]);

		if (r < 0)
			return r;
		if (expr_is_number(t->shape[i], &number) && number < 0)
			return section_fail(s, EINVAL, "a dimension cannot be negative");
		t->rank++;
		section_leave(s, inner);
	}
	section_leave(s, mark);
	return 0;
}

/* Reads the default once, so that a wrong one shows when the bundle is made and not in a call. */
static int check_default(struct section *s, const struct manifest_tensor *t)
{
	_cleanup_free_ void *elements = NULL;
	uint64_t dims[VALUES_RANK_MAX], count;
	unsigned rank = 0;

	(void)section_enter_key(s, "default");
	if (values_shape(t->default_value, dims, &rank, s->err) < 0)
		return section_wrap(s);
	/* Behind an empty array no dimensions can be seen. */
	while (rank > 0 && rank < t->rank && dims[rank - 1] == 0) {
		int64_t number = 0;

		(void)expr_is_number(t->shape[rank], &number);
		dims[rank++] = (uint64_t)number;
	}
	if (rank != t->rank)
		return section_fail(s, EINVAL, "has %u dimensions, the shape has %u", rank, t->rank);
	for (unsigned i = 0; i < rank; i++) {
		int64_t number;

		if (expr_is_number(t->shape[i], &number) && (uint64_t)number != dims[i])
			return section_fail(s, EINVAL, "dimension %u is %llu, the shape says %lld", i,
					    (unsigned long long)dims[i], (long long)number);
	}
	/* Ragged arrays may announce more than their text can hold. */
	if (!values_count(t->datatype, dims, rank, &count) || count > MANIFEST_TEXT_MAX)
		return section_fail(s, E2BIG, "too many elements");
	elements = malloc(count * datatype_size(t->datatype) + 1);
	if (!elements)
		return section_fail(s, ENOMEM, "out of memory");
	if (values_fill_nested(t->default_value, t->datatype, dims, rank, elements, s->err) < 0)
		return section_wrap(s);
	return 0;
}

static int parse_input(struct section *s, struct manifest *m, const json_t *entry)
{
	static const char *const keys[] = {"name", "datatype", "shape", "default", NULL};
	struct manifest_tensor *t = &m->tensors[m->n_tensors];
	size_t mark = strlen(s->place);
	int r = section_keys(s, entry, "an input", keys);

	if (r == 0)
		r = parse_head(s, entry, t);
	if (r == 0 && manifest_find_tensor(m, t->name) >= 0)
		r = section_fail(s, EINVAL, "two inputs have the name \"%s\"", t->name);
	if (r < 0)
		return r;
	m->n_tensors++;
	t->is_input = true;
	r = parse_shape(s, m, entry, t, true);
	if (r < 0)
		return r;
	t->is_scalar = t->rank == 0;
	if (t->is_scalar && datatype_is_integer(t->datatype)) {
		t->symbol = add_symbol(s, m, t->name);
		if (t->symbol < 0)
			return t->symbol;
	}
	if (json_object_get(entry, "default")) {
		t->default_value = json_deep_copy(json_object_get(entry, "default"));
		r = t->default_value ? check_default(s, t) : section_fail(s, ENOMEM, "out of memory");
	}
	section_leave(s, mark);
	return r;
}

/* A dimension may share its name with a scalar integer (they must then agree), with nothing else. */
static int check_symbols(struct section *s, const struct manifest *m)
{
	for (size_t i = 0; i < m->n_inputs; i++) {
		const struct manifest_tensor *t = &m->tensors[i];

		if (t->symbol >= 0 || manifest_find_symbol(m, t->name) < 0)
			continue;
		(void)section_enter_key(s, "inputs");
		(void)section_enter_index(s, i);
		return section_fail(s, EINVAL, "\"%s\" is the name of an input and of a dimension", t->name);
	}
	return 0;
}

static bool same_dimension(const struct expr *a, const struct expr *b)
{
	int64_t number_a, number_b;
	int slot_a, slot_b;

	if (expr_is_number(a, &number_a))
		return expr_is_number(b, &number_b) && number_a == number_b;
	return expr_is_name(a, &slot_a) && expr_is_name(b, &slot_b) && slot_a == slot_b;
}

/* An output with the name of an input is that input, updated in place: the two must agree. */
static int merge_output(struct section *s, struct manifest_tensor *input, const struct manifest_tensor *output)
{
	if (input->is_output)
		return section_fail(s, EINVAL, "two outputs have the name \"%s\"", output->name);
	if (input->is_scalar)
		return section_fail(s, EINVAL, "the input \"%s\" is a scalar, passed by value: it cannot be an output",
				    output->name);
	if (input->datatype != output->datatype)
		return section_fail(s, EINVAL, "\"%s\" is %s here and %s among the inputs", output->name,
				    datatype_names[output->datatype], datatype_names[input->datatype]);
	if (input->rank != output->rank)
		return section_fail(s, EINVAL, "\"%s\" has %u dimensions here and %u among the inputs", output->name,
				    output->rank, input->rank);
	for (unsigned i = 0; i < input->rank; i++)
		if (!same_dimension(input->shape[i], output->shape[i]))
			return section_fail(s, EINVAL, "dimension %u of \"%s\" is %s here and %s among the inputs", i,
					    output->name, expr_text(output->shape[i]), expr_text(input->shape[i]));
	input->is_output = true;
	return 0;
}

static void tensor_clear(struct manifest_tensor *t)
{
	for (unsigned i = 0; i < MANIFEST_RANK_MAX; i++)
		(void)expr_free(t->shape[i]);
	*t = (struct manifest_tensor){.symbol = -1};
}

/* An output or a scratch buffer. */
static int parse_buffer(struct section *s, struct manifest *m, const json_t *entry, bool is_output)
{
	static const char *const keys[] = {"name", "datatype", "shape", NULL};
	struct manifest_tensor t = {.symbol = -1, .is_output = is_output};
	int r = section_keys(s, entry, is_output ? "an output" : "a scratch buffer", keys), same;

	if (r == 0)
		r = parse_head(s, entry, &t);
	if (r == 0)
		r = parse_shape(s, m, entry, &t, false);
	if (r < 0) {
		tensor_clear(&t);
		return r;
	}
	same = manifest_find_tensor(m, t.name);
	if (same < 0 && manifest_find_symbol(m, t.name) >= 0) {
		r = section_fail(s, EINVAL, "\"%s\" is the name of a dimension already", t.name);
	} else if (same < 0) {
		same = (int)m->n_tensors++;
		m->tensors[same] = t;
		t = (struct manifest_tensor){.symbol = -1};
	} else if (is_output && m->tensors[same].is_input) {
		r = merge_output(s, &m->tensors[same], &t);
	} else {
		r = section_fail(s, EINVAL, "the name \"%s\" is taken", t.name);
	}
	tensor_clear(&t);
	if (r == 0 && is_output)
		m->outputs[m->n_outputs++] = (size_t)same;
	return r;
}

static int parse_list(struct section *s, struct manifest *m, const json_t *list, const char *key)
{
	size_t mark = section_enter_key(s, key);

	for (size_t i = 0; i < json_array_size(list); i++) {
		const json_t *entry = json_array_get(list, i);
		size_t inner = section_enter_index(s, i);
		int r = key[0] == 'i' ? parse_input(s, m, entry) : parse_buffer(s, m, entry, key[0] == 'o');

		if (r < 0)
			return r;
		section_leave(s, inner);
	}
	section_leave(s, mark);
	return 0;
}

int manifest_parse_tensors(struct section *s, struct manifest *m, const json_t *section)
{
	static const char *const keys[] = {"inputs", "outputs", "scratch"};
	const json_t *lists[ARRAY_LEN(keys)] = {NULL};
	size_t total = 0;
	int r = 0;

	for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
		r = section_array(s, section, keys[i], MANIFEST_TENSORS_MAX, &lists[i]);
		if (r < 0)
			return r;
		total += json_array_size(lists[i]);
	}
	if (total > MANIFEST_TENSORS_MAX)
		return section_fail(s, E2BIG, "%zu inputs, outputs and scratch buffers, at most %d are possible", total,
				    MANIFEST_TENSORS_MAX);
	m->tensors = calloc(total + 1, sizeof(*m->tensors));
	if (!m->tensors)
		return section_fail(s, ENOMEM, "out of memory");
	for (size_t i = 0; i < total; i++)
		m->tensors[i].symbol = -1;
	r = parse_list(s, m, lists[0], keys[0]);
	m->n_inputs = m->n_tensors;
	if (r == 0)
		r = check_symbols(s, m);
	for (size_t i = 1; r == 0 && i < ARRAY_LEN(keys); i++)
		r = parse_list(s, m, lists[i], keys[i]);
	return r;
}
