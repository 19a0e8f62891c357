/*
 * A growing byte buffer. Appending fails only when memory is short; the buffer then stays as it was and remembers it,
 * so that a writer may append freely and ask once at the end (buffer_failed). The owner calls buffer_release().
 */
#ifndef FERRITE_CUDAEXEC_BUFFER_H
#define FERRITE_CUDAEXEC_BUFFER_H

#include <stdbool.h>
#include <stddef.h>

struct buffer {
	char *bytes;
	size_t length;
	size_t room;
	bool failed;
};

#define BUFFER_INIT ((struct buffer){NULL, 0, 0, false})

/* Room for LENGTH more bytes: where to write them, or NULL. buffer_commit() then says how many were written. */
char *buffer_reserve(struct buffer *buffer, size_t length);
void buffer_commit(struct buffer *buffer, size_t length);

void buffer_append(struct buffer *buffer, const void *bytes, size_t length);
void buffer_append_text(struct buffer *buffer, const char *text);
void buffer_append_format(struct buffer *buffer, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* A JSON string with its quotes; TEXT is UTF-8, other bytes become U+FFFD. */
void buffer_append_json(struct buffer *buffer, const char *text);

static inline bool buffer_failed(const struct buffer *buffer)
{
	return buffer->failed;
}

/* Empties the buffer and keeps its memory. */
void buffer_clear(struct buffer *buffer);

void buffer_release(struct buffer *buffer);

#endif
