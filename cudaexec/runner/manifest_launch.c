#include "cudaexec/runner/manifest_parts.h"
#include "cudaexec/runner/values.h"
#include "supervisor/str.h"
#include "supervisor/util.h"

#include <string.h>

#define BLOCK_THREADS_MAX 1024

/* A typed expression, { value: n, datatype: UINT32 }, or a constant of a floating type. */
static int parse_value_arg(struct section *s, struct manifest *m, const json_t *entry, struct manifest_arg *arg)
{
	static const char *const keys[] = {"value", "datatype", NULL};
	const json_t *value = json_object_get(entry, "value");
	const char *datatype, *nearest;
	char element[DATATYPE_SIZE_MAX], shown[64];
	int r = section_keys(s, entry, "an argument", keys);

	if (r == 0)
		r = section_string(s, entry, "datatype", 64, true, &datatype);
	if (r < 0)
		return r;
	if (!datatype_parse(datatype, &arg->datatype)) {
		nearest = str_nearest(datatype, datatype_names);
		(void)section_enter_key(s, "datatype");
		return section_fail(s, EINVAL, "unknown datatype \"%s\" (did you mean \"%s\"?)",
				    str_escape(shown, sizeof(shown), datatype, strlen(datatype)),
				    nearest ? nearest : "UINT32");
	}
	if (!value)
		return section_fail(s, EINVAL, "\"value\" is missing");
	(void)section_enter_key(s, "value");
	if (json_is_integer(value) || json_is_real(value) || json_is_boolean(value)) {
		if (values_store(value, arg->datatype, element, s->err) < 0)
			return section_wrap(s);
	}
	if (json_is_real(value) || json_is_boolean(value)) {
		arg->kind = MANIFEST_ARG_NUMBER;
		arg->number = json_is_real(value) ? json_real_value(value) : json_is_true(value);
		return 0;
	}
	arg->kind = MANIFEST_ARG_VALUE;
	return manifest_parse_expr(s, m, value, &arg->value);
}

static int parse_name_arg(struct section *s, const struct manifest *m, const char *name, struct manifest_arg *arg)
{
	const char *candidates[MANIFEST_TENSORS_MAX + 1] = {NULL}, *nearest;
	int tensor = manifest_find_tensor(m, name);
	char shown[64];

	if (tensor >= 0) {
		arg->kind = m->tensors[tensor].is_scalar ? MANIFEST_ARG_SCALAR : MANIFEST_ARG_TENSOR;
		arg->tensor = (size_t)tensor;
		arg->datatype = m->tensors[tensor].datatype;
		return 0;
	}
	(void)str_escape(shown, sizeof(shown), name, strlen(name));
	if (manifest_find_symbol(m, name) >= 0)
		return section_fail(s, EINVAL,
				    "\"%s\" is a dimension and has no datatype; write { value: %s, datatype: UINT32 }",
				    shown, shown);
	for (size_t i = 0; i < m->n_tensors; i++)
		candidates[i] = m->tensors[i].name;
	nearest = str_nearest(name, candidates);
	if (nearest)
		return section_fail(s, EINVAL, "no tensor or scalar \"%s\" (did you mean \"%s\"?)", shown, nearest);
	return section_fail(s, EINVAL, "no tensor or scalar \"%s\"", shown);
}

static int parse_args(struct section *s, struct manifest *m, const json_t *entry, struct manifest_launch *l)
{
	const json_t *args;
	int r = section_array(s, entry, "args", MANIFEST_ARGS_MAX, &args);

	if (r < 0)
		return r;
	l->args = calloc(json_array_size(args) + 1, sizeof(*l->args));
	if (!l->args)
		return section_fail(s, ENOMEM, "out of memory");
	(void)section_enter_key(s, "args");
	for (size_t i = 0; i < json_array_size(args); i++) {
		const json_t *arg = json_array_get(args, i);
		size_t mark = section_enter_index(s, i);

		l->n_args++;
		if (json_is_string(arg))
			r = parse_name_arg(s, m, json_string_value(arg), &l->args[i]);
		else if (json_is_object(arg))
			r = parse_value_arg(s, m, arg, &l->args[i]);
		else
			r = section_fail(
				s, EINVAL,
				"must be a tensor's name or { value: ..., datatype: ... }: a bare value has no "
				"datatype");
		if (r < 0)
			return r;
		section_leave(s, mark);
	}
	return 0;
}

/* grid or block: one to three expressions, the rest is 1. Constants are checked here, the others in every call. */
static int parse_extent(struct section *s, struct manifest *m, const json_t *entry, const char *key,
			struct expr *ret_extent[3])
{
	const json_t *list = json_object_get(entry, key);
	size_t n = json_array_size(list), mark;

	if (!list)
		return section_fail(s, EINVAL, "\"%s\" is missing", key);
	mark = section_enter_key(s, key);
	if (!json_is_array(list) || n < 1 || n > 3)
		return section_fail(s, EINVAL, "must be a list of one to three numbers or expressions");
	for (size_t i = 0; i < 3; i++) {
		size_t inner = section_enter_index(s, i);
		int64_t number;
		int r;

		if (i < n) {
			r = manifest_parse_expr(s, m, json_array_get(list, i), &ret_extent[i]);
			if (r < 0)
				return r;
		} else {
			ret_extent[i] = expr_number(1);
			if (!ret_extent[i])
				return section_fail(s, ENOMEM, "out of memory");
		}
		if (expr_is_number(ret_extent[i], &number) && number < 1)
			return section_fail(s, EINVAL, "must be at least 1");
		section_leave(s, inner);
	}
	section_leave(s, mark);
	return 0;
}

static int check_block(struct section *s, const struct manifest_launch *l)
{
	int64_t threads = 1;

	for (size_t i = 0; i < 3; i++) {
		int64_t number;

		if (!expr_is_number(l->block[i], &number))
			return 0;
		if (__builtin_mul_overflow(threads, number, &threads))
			threads = INT64_MAX;
	}
	if (threads <= BLOCK_THREADS_MAX)
		return 0;
	(void)section_enter_key(s, "block");
	return section_fail(s, EINVAL, "%lld threads in a block, at most %d are possible", (long long)threads,
			    BLOCK_THREADS_MAX);
}

static int parse_shared(struct section *s, struct manifest *m, const json_t *entry, struct manifest_launch *l)
{
	const json_t *shared = json_object_get(entry, "shared");
	int64_t number;
	size_t mark;
	int r;

	if (!shared) {
		l->shared = expr_number(0);
		return l->shared ? 0 : section_fail(s, ENOMEM, "out of memory");
	}
	mark = section_enter_key(s, "shared");
	r = manifest_parse_expr(s, m, shared, &l->shared);
	if (r < 0)
		return r;
	if (expr_is_number(l->shared, &number) && number < 0)
		return section_fail(s, EINVAL, "must not be negative");
	section_leave(s, mark);
	return 0;
}

static int parse_launch(struct section *s, struct manifest *m, const json_t *entry, struct manifest_launch *l)
{
	static const char *const keys[] = {"kernel", "grid", "block", "shared", "args", NULL};
	const char *kernel;
	int r = section_keys(s, entry, "a launch", keys);

	if (r == 0)
		r = section_string(s, entry, "kernel", MANIFEST_KERNEL_NAME_MAX, true, &kernel);
	if (r < 0)
		return r;
	l->kernel = strdup(kernel);
	if (!l->kernel)
		return section_fail(s, ENOMEM, "out of memory");
	r = parse_extent(s, m, entry, "grid", l->grid);
	if (r == 0)
		r = parse_extent(s, m, entry, "block", l->block);
	if (r == 0)
		r = check_block(s, l);
	if (r == 0)
		r = parse_shared(s, m, entry, l);
	if (r == 0)
		r = parse_args(s, m, entry, l);
	return r;
}

int manifest_parse_launches(struct section *s, struct manifest *m, const json_t *section)
{
	const json_t *list;
	int r = section_array(s, section, "launch", MANIFEST_LAUNCHES_MAX, &list);
	size_t mark = strlen(s->place);

	if (r < 0)
		return r;
	if (json_array_size(list) == 0)
		return section_fail(s, EINVAL, "\"launch\" is missing or empty: nothing would run");
	m->launches = calloc(json_array_size(list), sizeof(*m->launches));
	if (!m->launches)
		return section_fail(s, ENOMEM, "out of memory");
	for (size_t i = 0; i < json_array_size(list); i++) {
		(void)section_enter_key(s, "launch");
		(void)section_enter_index(s, i);
		m->n_launches++;
		r = parse_launch(s, m, json_array_get(list, i), &m->launches[i]);
		if (r < 0)
			return r;
		section_leave(s, mark);
	}
	return 0;
}

void manifest_launches_free(struct manifest *m)
{
	for (size_t i = 0; i < m->n_launches; i++) {
		struct manifest_launch *l = &m->launches[i];

		for (size_t d = 0; d < 3; d++) {
			(void)expr_free(l->grid[d]);
			(void)expr_free(l->block[d]);
		}
		(void)expr_free(l->shared);
		for (size_t a = 0; a < l->n_args; a++)
			(void)expr_free(l->args[a].value);
		free(l->args);
		free(l->kernel);
	}
	free(m->launches);
}
