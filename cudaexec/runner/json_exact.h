/*
 * JSON with integers of any size. jansson's integers are signed 64-bit and it refuses larger ones; tensors need UINT64
 * whole. An integer outside the signed range becomes a "big integer" value here: a jansson string that begins with a
 * NUL byte, which no string read from outside can do (NUL in strings is refused, as jansson does by default).
 */
#ifndef FERRITE_CUDAEXEC_JSON_EXACT_H
#define FERRITE_CUDAEXEC_JSON_EXACT_H

#include "supervisor/err.h"

#include <jansson.h>
#include <stddef.h>

/* Digits of a big integer beyond this are refused: no datatype holds them (FP64 ends near 1e308). */
#define JSON_EXACT_DIGITS_MAX 320

/*
 * Parses one JSON value and nothing behind it; duplicate keys are refused; nesting is bounded by jansson (2048).
 * Returns a new reference, or NULL with -EINVAL in ERR (text with line and column) or -ENOMEM.
 */
json_t *json_exact_load(const char *text, size_t length, struct err *err);

/* A big integer from its decimal text (as it stood in a document, maybe with '-'). NULL when memory is short. */
json_t *json_exact_integer(const char *text);

/* The decimal text of a big integer, or NULL when VALUE is something else. */
const char *json_exact_digits(const json_t *value);

/* Compact text with sorted keys; big integers come out as numbers again. The caller frees it; NULL: memory is short. */
char *json_exact_dump(const json_t *value);

#endif
