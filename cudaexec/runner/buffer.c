#include "cudaexec/runner/buffer.h"

#include "supervisor/util.h"

#include <stdarg.h>
#include <string.h>

char *buffer_reserve(struct buffer *buffer, size_t length)
{
	size_t wanted, room;
	char *bigger;

	if (buffer->failed)
		return NULL;
	if (buffer->room - buffer->length >= length && buffer->bytes)
		return buffer->bytes + buffer->length;
	if (__builtin_add_overflow(buffer->length, length, &wanted) || wanted > SIZE_MAX / 4) {
		buffer->failed = true;
		return NULL;
	}
	room = MAX(wanted + wanted / 2, (size_t)256);
	bigger = realloc(buffer->bytes, room);
	if (!bigger) {
		buffer->failed = true;
		return NULL;
	}
	buffer->bytes = bigger;
	buffer->room = room;
	return bigger + buffer->length;
}

void buffer_commit(struct buffer *buffer, size_t length)
{
	buffer->length += length;
}

void buffer_append(struct buffer *buffer, const void *bytes, size_t length)
{
	char *at = buffer_reserve(buffer, length);

	if (at && length > 0) {
		memcpy(at, bytes, length);
		buffer->length += length;
	}
}

void buffer_append_text(struct buffer *buffer, const char *text)
{
	buffer_append(buffer, text, strlen(text));
}

void buffer_append_format(struct buffer *buffer, const char *format, ...)
{
	va_list args, again;
	char *at;
	int n;

	va_start(args, format);
	va_copy(again, args);
	n = vsnprintf(NULL, 0, format, args);
	va_end(args);
	at = n >= 0 ? buffer_reserve(buffer, (size_t)n + 1) : NULL;
	if (at) {
		(void)vsnprintf(at, (size_t)n + 1, format, again);
		buffer->length += (size_t)n;
	}
	va_end(again);
}

/* Bytes of the UTF-8 sequence at TEXT, or 0 when it is none. */
static size_t utf8_length(const unsigned char *text)
{
	unsigned char first = text[0];
	size_t length = first < 0x80 ? 1 : first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
	unsigned long code = length == 1 ? first : first & (0x7fu >> length);

	if (first >= 0x80 && (first < 0xc2 || first > 0xf4))
		return 0;
	for (size_t i = 1; i < length; i++) {
		if ((text[i] & 0xc0) != 0x80)
			return 0;
		code = code << 6 | (text[i] & 0x3f);
	}
	if ((length == 3 && (code < 0x800 || (code >= 0xd800 && code < 0xe000))) ||
	    (length == 4 && (code < 0x10000 || code > 0x10ffff)))
		return 0;
	return length;
}

void buffer_append_json(struct buffer *buffer, const char *text)
{
	const unsigned char *at = (const unsigned char *)text;

	buffer_append_text(buffer, "\"");
	while (*at) {
		size_t length = utf8_length(at);

		if (*at == '"' || *at == '\\')
			buffer_append_format(buffer, "\\%c", *at);
		else if (*at < 0x20)
			buffer_append_format(buffer, "\\u%04x", *at);
		else if (length == 0)
			buffer_append_text(buffer, "\\ufffd");
		else
			buffer_append(buffer, at, length);
		at += length ? length : 1;
	}
	buffer_append_text(buffer, "\"");
}

void buffer_clear(struct buffer *buffer)
{
	buffer->length = 0;
	buffer->failed = false;
}

void buffer_release(struct buffer *buffer)
{
	free(buffer->bytes);
	*buffer = BUFFER_INIT;
}
