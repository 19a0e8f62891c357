/*
 * Text helpers: strict number and size parsing, escaping of untrusted bytes, nearest-name suggestions, and packed
 * string lists as they travel in IPC messages. No locale, no allocation unless said.
 */
#ifndef FERRITE_STR_H
#define FERRITE_STR_H

#include "supervisor/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Parses a whole decimal number without sign, blanks or prefix; false when it is anything else or overflows. */
bool str_u64(const char *text, uint64_t *ret_value);

/*
 * Parses a size: a plain number of UNIT bytes, or a number with the suffix KiB, MiB or GiB. Returns 0 or -EINVAL
 * (malformed), -ERANGE (does not fit 64 bits).
 */
int str_size(const char *text, uint64_t unit, uint64_t *ret_bytes);

/* Copies TEXT into a buffer of SIZE bytes; false (and an empty buffer) when it does not fit. */
bool str_copy(char *buffer, size_t size, const char *text);

/* Cuts off blanks and tabs at the end, in place. */
void str_trim_end(char *text);

/*
 * Writes LENGTH bytes of untrusted input as printable ASCII: control bytes, quotes, backslashes and everything
 * above 0x7e become \xNN; cut with "..." when the buffer is full. Always terminates; returns the buffer.
 */
char *str_escape(char *buffer, size_t size, const void *bytes, size_t length);

/*
 * The candidate closest to NAME by edit distance, or NULL when none is near (more than a third of its length away).
 * CANDIDATES ends with NULL.
 */
const char *str_nearest(const char *name, const char *const *candidates);

/*
 * Packed string lists: COUNT strings, each with its terminator, one after the other.
 * str_unpack() points RET_LIST[0..count-1] into BYTES and terminates it with NULL (so it needs COUNT + 1 places);
 * returns the number of bytes used, or -EBADMSG when the bytes do not hold COUNT terminated strings.
 */
long str_unpack(char *bytes, size_t length, size_t count, char **ret_list);

/* Appends one string to a packed list in a buffer of SIZE bytes; false when it does not fit. */
bool str_pack(char *buffer, size_t size, size_t *used, const char *text);

#endif
