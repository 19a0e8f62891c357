/*
 * Query strings of URLs: NAME=VALUE&NAME=VALUE with %XX and '+' for a blank. One pass, into a caller's buffer, without
 * allocation.
 */
#ifndef FERRITE_CUDAEXEC_QUERY_H
#define FERRITE_CUDAEXEC_QUERY_H

#include "supervisor/err.h"

#include <stdbool.h>
#include <stddef.h>

/*
 * Decodes the next pair at *AT and moves behind it. *RET_NAME and *RET_VALUE point into BUFFER; a pair without '=' has
 * an empty value. Returns 1, 0 at the end, or -EINVAL (bad escape, NUL byte, longer than the buffer).
 */
int query_next(const char **at, char *buffer, size_t size, const char **ret_name, const char **ret_value,
	       struct err *err);

#endif
