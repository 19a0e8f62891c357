#include "cudaexec/runner/media.h"

#include "supervisor/util.h"

#include <string.h>
#include <strings.h>

static size_t skip_blanks(const char *text)
{
	return strspn(text, " \t");
}

/* The type of one range or header: up to a parameter, a comma or the end, trailing blanks off. */
static size_t type_length(const char *text)
{
	size_t length = strcspn(text, ";,");

	while (length > 0 && (text[length - 1] == ' ' || text[length - 1] == '\t'))
		length--;
	return length;
}

bool media_is(const char *header, const char *type)
{
	if (!header)
		return false;
	header += skip_blanks(header);
	return type_length(header) == strlen(type) && strncasecmp(header, type, strlen(type)) == 0;
}

bool media_is_raw(const char *header)
{
	header += skip_blanks(header);
	return media_is(header, "application/octet-stream") || media_is(header, "application/x-www-form-urlencoded") ||
	       strncasecmp(header, "image/", 6) == 0;
}

/* The text of the q parameter is 0, 0., 0.0, 0.00 or 0.000. */
static bool is_refused(const char *range, size_t length)
{
	const char *end = range + length;

	for (const char *at = memchr(range, ';', length); at; at = memchr(at, ';', (size_t)(end - at))) {
		at++;
		at += skip_blanks(at);
		if (end - at > 2 && (at[0] == 'q' || at[0] == 'Q') && at[1] == '=')
			return at[2] == '0' && strspn(at + 2, "0.") >= strcspn(at + 2, ";, \t");
	}
	return false;
}

static bool range_matches(const char *range, const char *type, enum media_match match)
{
	size_t length = type_length(range), kind = strcspn(type, "/") + 1;

	if (length == strlen(type) && strncasecmp(range, type, length) == 0)
		return true;
	if (match >= MEDIA_KIND && strncasecmp(range, type, kind) == 0) {
		/* A browser lists the pictures it likes best by name; it shows the other ones too. */
		return (length == kind + 1 && range[kind] == '*') || (match == MEDIA_KIND && length > kind);
	}
	return match == MEDIA_ANY && length == 3 && memcmp(range, "*/*", 3) == 0;
}

bool media_accepts(const char *header, const char *type, enum media_match match)
{
	if (!header || !*header)
		return match == MEDIA_ANY;
	while (*header) {
		size_t length;

		header += skip_blanks(header);
		length = strcspn(header, ",");
		if (range_matches(header, type, match) && !is_refused(header, length))
			return true;
		header += length;
		if (*header == ',')
			header++;
	}
	return false;
}

const char *media_image_type(const void *bytes, size_t length)
{
	static const struct {
		const char *magic;
		size_t length;
		const char *type;
	} types[] = {
		{"\x89PNG\r\n\x1a\n", 8, "image/png"},
		{"GIF8", 4, "image/gif"},
		{"\xff\xd8\xff", 3, "image/jpeg"},
	};
	const unsigned char *b = bytes;

	for (size_t i = 0; i < ARRAY_LEN(types); i++)
		if (length >= types[i].length && memcmp(b, types[i].magic, types[i].length) == 0)
			return types[i].type;
	/* "BM" alone is too little to tell a bitmap by: the reserved words are zero and the header has a known size. */
	if (length >= 54 && b[0] == 'B' && b[1] == 'M' && memcmp(b + 6, "\0\0\0\0", 4) == 0 && b[14] >= 40 &&
	    memcmp(b + 15, "\0\0\0", 3) == 0)
		return "image/bmp";
	return NULL;
}
