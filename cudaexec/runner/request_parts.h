/* The parts of the request decoder; internal to request*.c. */
#ifndef FERRITE_CUDAEXEC_REQUEST_PARTS_H
#define FERRITE_CUDAEXEC_REQUEST_PARTS_H

#include "cudaexec/runner/request.h"

#include <jansson.h>

/*
 * Gives the input TENSOR (index in the manifest) its shape: the rank and the fixed dimensions must agree, free ones are
 * bound or must agree with what bound them. Sets count and bytes.
 */
int request_bind_shape(struct request *r, size_t tensor, const uint64_t *dims, unsigned rank, struct err *err);

/*
 * Memory for the elements of a bound input. LIMIT is the most elements that the data can hold (its length in bytes, as
 * text): a shape that promises more is refused before memory is spent on it.
 */
int request_alloc(struct request *r, size_t tensor, size_t limit, struct err *err);

/* Marks an input as given and lets a scalar integer bind its name. Elements are at data. */
int request_accept(struct request *r, size_t tensor, struct err *err);

/* Binds a name to a value, or checks that it has this value already. BY names the tensor, NULL the query string. */
int request_bind_symbol(struct request *r, int slot, uint64_t value, const char *by, struct err *err);

/* An input given as nested arrays, a scalar also as one value: shorthand and defaults. */
int request_take_nested(struct request *r, size_t tensor, const json_t *value, size_t limit, struct err *err);

/* Index of the input with this name, or -EINVAL with the nearest name in the text. */
int request_find_input(const struct manifest *m, const char *name, struct err *err);

/* Reads the defaults of all inputs that were not given. */
int request_take_defaults(struct request *r, struct err *err);

/* The body forms. request_parse_json() decides between v2 and shorthand. */
int request_parse_json(struct request *r, const struct request_source *source, struct err *err);
int request_parse_raw(struct request *r, const struct request_source *source, struct err *err);

/* request_v2.c */
int request_parse_v2(struct request *r, const struct request_source *source, const json_t *root, size_t json_length,
		     struct err *err);

#endif
