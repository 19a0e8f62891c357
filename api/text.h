/*
 * Growing text, for answers and messages that are put together from parts. A failed allocation is remembered and makes
 * all later additions do nothing: the user checks `failed` once at the end. Always terminated; may hold zero bytes.
 */
#ifndef FERRITE_API_TEXT_H
#define FERRITE_API_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct text {
	char *data; /* NULL as long as nothing was added */
	size_t length, room;
	bool failed;
};

void text_done(struct text *text);  /* frees; for _cleanup_ */
void text_clear(struct text *text); /* empties, keeps the room */

void text_add(struct text *text, const void *bytes, size_t length);
void text_puts(struct text *text, const char *string);
void text_number(struct text *text, uint64_t number); /* decimal */
void text_printf(struct text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* A JSON string with its quotes; bytes that are no UTF-8 become U+FFFD. */
void text_json(struct text *text, const char *string);
/* The same for bytes that may hold zeros and have a zero behind them; false: there was something that is no UTF-8. */
bool text_json_bytes(struct text *text, const void *bytes, size_t length);

#endif
