#include "cudaexec/runner/values.h"

#include "cudaexec/runner/json_exact.h"
#include "supervisor/str.h"
#include "supervisor/util.h"

#include <math.h>
#include <string.h>

#define SHOWN_MAX 48 /* bytes of a wrong value that an error shows */

static int does_not_fit(const char *shown, enum datatype type, struct err *err)
{
	return err_set(err, EINVAL, "%s does not fit %s", shown, datatype_names[type]);
}

/* Decimal digits, maybe with '-', of any length. */
static int store_digits(const char *digits, enum datatype type, void *element, struct err *err)
{
	char shown[SHOWN_MAX];
	uint64_t value = 0;

	if (datatype_is_float(type)) {
		/* strtod's own overflow is an infinity; "1e999" as a number is refused like every value too large. */
		double real = strtod(digits, NULL);

		if (!isinf(real) && datatype_store_double(type, real, element))
			return 0;
	} else if (str_u64(digits, &value) && datatype_store_unsigned(type, value, element)) {
		return 0;
	}
	return does_not_fit(str_escape(shown, sizeof(shown), digits, strlen(digits)), type, err);
}

static bool special_float(const char *text, double *ret_value)
{
	if (strcmp(text, "NaN") == 0)
		*ret_value = (double)NAN;
	else if (strcmp(text, "Infinity") == 0)
		*ret_value = (double)INFINITY;
	else if (strcmp(text, "-Infinity") == 0)
		*ret_value = -(double)INFINITY;
	else
		return false;
	return true;
}

static int store_string(const json_t *value, enum datatype type, void *element, struct err *err)
{
	const char *digits = json_exact_digits(value), *text = json_string_value(value);
	char shown[SHOWN_MAX];
	double special;

	if (digits)
		return store_digits(digits, type, element, err);
	if (datatype_is_float(type) && special_float(text, &special)) {
		(void)datatype_store_double(type, special, element);
		return 0;
	}
	(void)str_escape(shown, sizeof(shown), text, json_string_length(value));
	if (datatype_is_float(type))
		return err_set(err, EINVAL, "\"%s\" is not a number, \"NaN\", \"Infinity\" or \"-Infinity\"", shown);
	return err_set(err, EINVAL, "\"%s\" is not %s", shown, type == DATATYPE_BOOL ? "true or false" : "an integer");
}

int values_store(const json_t *value, enum datatype type, void *element, struct err *err)
{
	char shown[SHOWN_MAX];

	switch (json_typeof(value)) {
	case JSON_INTEGER:
		if (datatype_store_signed(type, json_integer_value(value), element))
			return 0;
		(void)snprintf(shown, sizeof(shown), "%lld", (long long)json_integer_value(value));
		return does_not_fit(shown, type, err);
	case JSON_REAL:
		if (datatype_store_double(type, json_real_value(value), element))
			return 0;
		(void)snprintf(shown, sizeof(shown), "%.17g", json_real_value(value));
		return does_not_fit(shown, type, err);
	case JSON_STRING:
		return store_string(value, type, element, err);
	case JSON_TRUE:
	case JSON_FALSE:
		if (type == DATATYPE_BOOL) {
			*(uint8_t *)element = json_is_true(value);
			return 0;
		}
		return err_set(err, EINVAL, "%s is not a number", json_is_true(value) ? "true" : "false");
	case JSON_NULL:
		return err_set(err, EINVAL, "null is not a %s", type == DATATYPE_BOOL ? "truth value" : "number");
	default:
		return err_set(err, EINVAL, "%s where a %s value should stand",
			       json_is_array(value) ? "an array" : "an object", datatype_names[type]);
	}
}

int values_store_text(const char *text, enum datatype type, void *element, struct err *err)
{
	char shown[SHOWN_MAX];
	json_t *value = NULL;
	int r;

	if (type == DATATYPE_BOOL && (strcmp(text, "true") == 0 || strcmp(text, "false") == 0)) {
		*(uint8_t *)element = text[0] == 't';
		return 0;
	}
	if (datatype_is_float(type)) {
		double special;

		if (special_float(text, &special)) {
			(void)datatype_store_double(type, special, element);
			return 0;
		}
	}
	/* JSON's grammar of numbers is the one of the other forms. */
	if (text[0] == '-' || (text[0] >= '0' && text[0] <= '9'))
		value = json_exact_load(text, strlen(text), NULL);
	if (!value)
		return err_set(err, EINVAL, "\"%s\" is not a number",
			       str_escape(shown, sizeof(shown), text, strlen(text)));
	r = values_store(value, type, element, err);
	json_decref(value);
	return r;
}

int values_shape(const json_t *data, uint64_t *ret_dims, unsigned *ret_rank, struct err *err)
{
	unsigned rank = 0;

	while (data && json_is_array(data)) {
		if (rank == VALUES_RANK_MAX)
			return err_set(err, EINVAL, "arrays nested deeper than %d dimensions", VALUES_RANK_MAX);
		ret_dims[rank++] = json_array_size(data);
		data = json_array_get(data, 0);
	}
	*ret_rank = rank;
	return 0;
}

/* A walk over nested arrays. */
struct fill {
	enum datatype type;
	const uint64_t *dims;
	unsigned rank;
	uint64_t at[VALUES_RANK_MAX]; /* indices of the element being read */
	char *out;
	struct err *err;
};

static int fail_at(struct fill *f, unsigned depth)
{
	char place[VALUES_RANK_MAX * 24] = "";
	size_t used = 0;

	for (unsigned i = 0; i < depth; i++)
		used += (size_t)snprintf(place + used, sizeof(place) - used, "[%llu]", (unsigned long long)f->at[i]);
	return depth > 0 ? err_wrap(f->err, "element %s", place) : -EINVAL;
}

static int fill_level(struct fill *f, const json_t *data, unsigned depth)
{
	size_t element_size = datatype_size(f->type);

	if (!json_is_array(data)) {
		(void)err_set(f->err, EINVAL, "a single value where an array of %llu should stand",
			      (unsigned long long)f->dims[depth]);
		(void)fail_at(f, depth);
		return -EINVAL;
	}
	if (json_array_size(data) != f->dims[depth]) {
		(void)err_set(f->err, EINVAL, "an array of %zu where one of %llu should stand", json_array_size(data),
			      (unsigned long long)f->dims[depth]);
		(void)fail_at(f, depth);
		return -EINVAL;
	}
	for (size_t i = 0; i < json_array_size(data); i++) {
		const json_t *item = json_array_get(data, i);

		f->at[depth] = i;
		if (depth + 1 < f->rank) {
			if (fill_level(f, item, depth + 1) < 0)
				return -EINVAL;
			continue;
		}
		if (values_store(item, f->type, f->out, f->err) < 0) {
			(void)fail_at(f, depth + 1);
			return -EINVAL;
		}
		f->out += element_size;
	}
	return 0;
}

int values_fill_nested(const json_t *data, enum datatype type, const uint64_t *dims, unsigned rank, void *elements,
		       struct err *err)
{
	struct fill f = {.type = type, .dims = dims, .rank = rank, .out = elements, .err = err};

	if (rank == 0)
		return values_store(data, type, elements, err);
	return fill_level(&f, data, 0);
}

int values_fill_flat(const json_t *data, enum datatype type, uint64_t count, void *elements, struct err *err)
{
	return values_fill_nested(data, type, &count, 1, elements, err);
}

bool values_count(enum datatype type, const uint64_t *dims, unsigned rank, uint64_t *ret_count)
{
	uint64_t count = 1, bytes;
	bool empty = false;

	/* A dimension of 0 makes the product 0, but must not hide an absurd one beside it. */
	for (unsigned i = 0; i < rank; i++) {
		if (dims[i] == 0)
			empty = true;
		else if (__builtin_mul_overflow(count, dims[i], &count))
			return false;
	}
	if (__builtin_mul_overflow(count, (uint64_t)datatype_size(type), &bytes) || bytes > INT64_MAX)
		return false;
	*ret_count = empty ? 0 : count;
	return true;
}

char *values_shape_text(const uint64_t *dims, unsigned rank, char *buffer, size_t size)
{
	size_t used = (size_t)snprintf(buffer, size, "[");

	for (unsigned i = 0; i < rank && used < size; i++)
		used += (size_t)snprintf(buffer + used, size - used, "%s%llu", i ? "," : "",
					 (unsigned long long)dims[i]);
	if (used < size)
		(void)snprintf(buffer + used, size - used, "]");
	return buffer;
}
