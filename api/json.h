/*
 * Request bodies under the rules of IronFunctions (Go's encoding/json): only the first value counts, keys match without
 * regard to case, the last of several wins, null means "not given", a wrong type anywhere fails the whole body.
 */
#ifndef FERRITE_API_JSON_H
#define FERRITE_API_JSON_H

#include "supervisor/util.h"

#include <jansson.h>

static inline void json_unref(json_t **value)
{
	json_decref(*value);
	*value = NULL;
}
#define _cleanup_json_ _cleanup_(json_unref)

/* Parses the first value of BYTES; NULL when there is none, or when it is no object (null counts as an empty one). */
json_t *json_body(const char *bytes, size_t length);

/* The member KEY, borrowed; NULL when it is not given. */
json_t *json_member(const json_t *object, const char *key);

/* Each reads a member when it is given and leaves *VALUE alone when it is not. -EINVAL: wrong type or range. */
int json_read_string(const json_t *object, const char *key, char **value); /* replaces; the caller frees */
int json_read_u64(const json_t *object, const char *key, uint64_t *value);
int json_read_i64(const json_t *object, const char *key, int64_t minimum, int64_t maximum, int64_t *value);
/* Objects of strings, and of arrays of strings; a fresh copy with sorted keys and null as "" or []. */
int json_read_strings(const json_t *object, const char *key, json_t **value);
int json_read_lists(const json_t *object, const char *key, json_t **value);

#endif
