/*
 * JSON values as tensor elements: numbers, true and false, the strings "NaN" "Infinity" "-Infinity" for floating types,
 * alone, flat, or nested as deep as the shape. Error texts say which element and which value; the caller puts the
 * tensor's name in front.
 */
#ifndef FERRITE_CUDAEXEC_VALUES_H
#define FERRITE_CUDAEXEC_VALUES_H

#include "cudaexec/runner/datatype.h"
#include "supervisor/err.h"

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#define VALUES_RANK_MAX 8

/* Stores one JSON value as an element. Returns 0 or -EINVAL ("300 does not fit UINT8"). */
int values_store(const json_t *value, enum datatype type, void *element, struct err *err);

/*
 * Infers the shape of nested arrays from their first elements: 0 dimensions for anything that is no array. Dimensions
 * behind an empty array are unknown, so RET_RANK is then only what can be seen. -EINVAL when nested deeper than
 * VALUES_RANK_MAX.
 */
int values_shape(const json_t *data, uint64_t *ret_dims, unsigned *ret_rank, struct err *err);

/*
 * Fills ELEMENTS (room for the product of DIMS) from nested arrays that must have exactly these dimensions. Returns 0
 * or -EINVAL naming the place of the first wrong array or element.
 */
int values_fill_nested(const json_t *data, enum datatype type, const uint64_t *dims, unsigned rank, void *elements,
		       struct err *err);

/* The same from one flat array of exactly COUNT values. */
int values_fill_flat(const json_t *data, enum datatype type, uint64_t count, void *elements, struct err *err);

/*
 * Stores one value given as plain text (query string). BOOL takes true false 1 0; floating types also NaN Infinity
 * -Infinity. Returns 0 or -EINVAL.
 */
int values_store_text(const char *text, enum datatype type, void *element, struct err *err);

/* Elements of a shape; false when the product, or its bytes, overflow 63 bits. */
bool values_count(enum datatype type, const uint64_t *dims, unsigned rank, uint64_t *ret_count);

/* A shape as text, "[2,3]", cut when the buffer is full. Returns the buffer. */
char *values_shape_text(const uint64_t *dims, unsigned rank, char *buffer, size_t size);

#endif
