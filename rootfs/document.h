/*
 * JSON documents from outside: bounded in size and depth, strict, with getters that check types and name what is
 * wrong. References returned by getters are borrowed from the document.
 */
#ifndef FERRITE_ROOTFS_DOCUMENT_H
#define FERRITE_ROOTFS_DOCUMENT_H

#include "supervisor/err.h"

#include <jansson.h>
#include <stddef.h>

#define DOCUMENT_DEPTH_MAX 32

/*
 * Parses a document of exactly LENGTH bytes. WHAT names it in errors. Refuses duplicate keys, text behind the value,
 * nesting below DOCUMENT_DEPTH_MAX and invalid UTF-8. Returns a new reference or NULL with err set (-EINVAL, -ENOMEM).
 */
json_t *document_parse(const char *what, const char *text, size_t length, struct err *err);

/*
 * The member KEY of OBJECT. 1: *ret is set; 0: it is absent or null; -EINVAL: it has another type. WHAT names OBJECT
 * in errors.
 */
int document_string(const json_t *object, const char *what, const char *key, const char **ret, struct err *err);
int document_object(const json_t *object, const char *what, const char *key, json_t **ret, struct err *err);
int document_array(const json_t *object, const char *what, const char *key, json_t **ret, struct err *err);

/* Compact text with sorted keys; the caller frees it. NULL when memory is short. */
char *document_text(const json_t *value);

/* For _cleanup_(). */
void document_release(json_t **value);
#define _cleanup_json_ __attribute__((cleanup(document_release)))

#endif
