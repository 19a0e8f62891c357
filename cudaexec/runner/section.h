/*
 * Reading a JSON section strictly, with the place of what is being read: "cuda.launch[0].args[2]". Internal to the
 * manifest; every failure's text begins with the place.
 */
#ifndef FERRITE_CUDAEXEC_SECTION_H
#define FERRITE_CUDAEXEC_SECTION_H

#include "supervisor/err.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

struct section {
	char place[192];
	struct err *err;
};

/* Go into a key or an element; the result is handed to section_leave(). */
size_t section_enter_key(struct section *s, const char *key);
size_t section_enter_index(struct section *s, size_t index);
void section_leave(struct section *s, size_t mark);

/* Sets the error with the place in front; returns the negative CODE. */
int section_fail(struct section *s, int code, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* Puts the place in front of an error that is there already. */
int section_wrap(struct section *s);

/* OBJECT is an object and has only these keys (NULL-ended); WHAT names it in the text. */
int section_keys(struct section *s, const json_t *object, const char *what, const char *const *known);

/*
 * The text of a string member, at most MAX bytes and not empty, without NUL bytes. A missing one is an error when
 * REQUIRED, else *RET_TEXT is set to NULL. The text belongs to the JSON.
 */
int section_string(struct section *s, const json_t *object, const char *key, size_t max, bool required,
		   const char **ret_text);

/* An array member of at most MAX elements; a missing one counts as empty (NULL). */
int section_array(struct section *s, const json_t *object, const char *key, size_t max, const json_t **ret_array);

#endif
