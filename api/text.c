#include "api/text.h"

#include "supervisor/util.h"

#include <stdarg.h>
#include <string.h>

#define ROOM_MIN 256

void text_done(struct text *text)
{
	free(text->data);
	*text = (struct text){0};
}

void text_clear(struct text *text)
{
	text->length = 0;
	text->failed = false;
	if (text->data)
		text->data[0] = '\0';
}

static bool reserve(struct text *text, size_t more)
{
	size_t wanted = MAX(text->room ? text->room * 2 : ROOM_MIN, text->length + more + 1);
	char *bigger;

	if (text->failed)
		return false;
	if (text->room - text->length > more && text->data)
		return true;
	bigger = realloc(text->data, wanted);
	if (!bigger) {
		text->failed = true;
		return false;
	}
	text->data = bigger;
	text->room = wanted;
	return true;
}

void text_add(struct text *text, const void *bytes, size_t length)
{
	if (!reserve(text, length))
		return;
	if (length > 0)
		memcpy(text->data + text->length, bytes, length);
	text->length += length;
	text->data[text->length] = '\0';
}

void text_puts(struct text *text, const char *string)
{
	text_add(text, string, strlen(string));
}

void text_number(struct text *text, uint64_t number)
{
	char digits[20];
	size_t at = sizeof(digits);

	do
		digits[--at] = (char)('0' + number % 10);
	while ((number /= 10) > 0);
	text_add(text, digits + at, sizeof(digits) - at);
}

void text_printf(struct text *text, const char *format, ...)
{
	va_list args;
	int n;

	va_start(args, format);
	n = vsnprintf(NULL, 0, format, args);
	va_end(args);
	if (n < 0 || !reserve(text, (size_t)n))
		return;
	va_start(args, format);
	(void)vsnprintf(text->data + text->length, (size_t)n + 1, format, args);
	va_end(args);
	text->length += (size_t)n;
}

/* Length of the well-formed UTF-8 sequence at AT, 0 when there is none before END. */
static size_t utf8_length(const unsigned char *at, const unsigned char *end)
{
	size_t n = at[0] < 0x80 ? 1 : at[0] < 0xc2 ? 0 : at[0] < 0xe0 ? 2 : at[0] < 0xf0 ? 3 : at[0] < 0xf5 ? 4 : 0;

	if (n > (size_t)(end - at))
		return 0;
	for (size_t i = 1; i < n; i++)
		if ((at[i] & 0xc0) != 0x80)
			return 0;
	/* Over-long forms, surrogates, and what lies above U+10FFFF. */
	if ((at[0] == 0xe0 && at[1] < 0xa0) || (at[0] == 0xed && at[1] > 0x9f) || (at[0] == 0xf0 && at[1] < 0x90) ||
	    (at[0] == 0xf4 && at[1] > 0x8f))
		return 0;
	return n;
}

bool text_json_bytes(struct text *text, const void *bytes, size_t length)
{
	static const char hex[] = "0123456789abcdef";
	const unsigned char *at = bytes, *end = at + length;
	bool whole = true;

	text_add(text, "\"", 1);
	while (at < end) {
		const unsigned char *plain = at;
		size_t n;

		while (at < end && *at >= 0x20 && *at < 0x7f && *at != '"' && *at != '\\')
			at++;
		text_add(text, plain, (size_t)(at - plain));
		if (at == end)
			break;
		n = utf8_length(at, end);
		if (*at == '"' || *at == '\\')
			text_add(text, (const char[]){'\\', (char)*at}, 2);
		else if (*at == '\n')
			text_puts(text, "\\n");
		else if (*at < 0x20)
			text_add(text, (const char[]){'\\', 'u', '0', '0', hex[*at >> 4], hex[*at & 15]}, 6);
		else if (n == 0)
			text_puts(text, "\\ufffd");
		else
			text_add(text, at, n);
		whole = whole && n > 0;
		at += n ? n : 1;
	}
	text_add(text, "\"", 1);
	return whole;
}

void text_json(struct text *text, const char *string)
{
	(void)text_json_bytes(text, string, strlen(string));
}
