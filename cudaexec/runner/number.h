/*
 * Prints tensor elements as JSON. Floating values get the fewest digits that read back to the same element; NaN and
 * infinities are the strings "NaN", "Infinity", "-Infinity". Nothing fails.
 */
#ifndef FERRITE_CUDAEXEC_NUMBER_H
#define FERRITE_CUDAEXEC_NUMBER_H

#include "cudaexec/runner/datatype.h"

#include <stddef.h>

/* Bytes that any element needs at most. */
#define NUMBER_TEXT_MAX 32

/* Writes the element at ELEMENT (no alignment needed) without a terminator; returns the bytes written. */
size_t number_print(enum datatype type, const void *element, char *text);

#endif
