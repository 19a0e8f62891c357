#include "api/sniff.h"

#include "supervisor/util.h"

#include <string.h>
#include <strings.h>

/* The table of the WHATWG's MIME sniffing standard, in its order. A zero in the mask leaves the byte out. */
struct signature {
	const char *pattern, *mask; /* mask NULL: every byte counts */
	unsigned char length;
	const char *type;
};

static const struct signature signatures[] = {
	{"%PDF-", NULL, 5, "application/pdf"},
	{"%!PS-Adobe-", NULL, 11, "application/postscript"},
	{"\xfe\xff\0\0", "\1\1\0\0", 4, "text/plain; charset=utf-16be"},
	{"\xff\xfe\0\0", "\1\1\0\0", 4, "text/plain; charset=utf-16le"},
	{"\xef\xbb\xbf\0", "\1\1\1\0", 4, "text/plain; charset=utf-8"},
	{"\0\0\1\0", NULL, 4, "image/x-icon"},
	{"\0\0\2\0", NULL, 4, "image/x-icon"},
	{"BM", NULL, 2, "image/bmp"},
	{"GIF87a", NULL, 6, "image/gif"},
	{"GIF89a", NULL, 6, "image/gif"},
	{"RIFF\0\0\0\0WEBPVP", "\1\1\1\1\0\0\0\0\1\1\1\1\1\1", 14, "image/webp"},
	{"\x89PNG\r\n\x1a\n", NULL, 8, "image/png"},
	{"\xff\xd8\xff", NULL, 3, "image/jpeg"},
	{"FORM\0\0\0\0AIFF", "\1\1\1\1\0\0\0\0\1\1\1\1", 12, "audio/aiff"},
	{"ID3", NULL, 3, "audio/mpeg"},
	{"OggS\0", NULL, 5, "application/ogg"},
	{"MThd\0\0\0\6", NULL, 8, "audio/midi"},
	{"RIFF\0\0\0\0AVI ", "\1\1\1\1\0\0\0\0\1\1\1\1", 12, "video/avi"},
	{"RIFF\0\0\0\0WAVE", "\1\1\1\1\0\0\0\0\1\1\1\1", 12, "audio/wave"},
	{"\0\0\0\0ftypmp4", "\0\0\0\0\1\1\1\1\1\1\1", 11, "video/mp4"},
	{"\x1a\x45\xdf\xa3", NULL, 4, "video/webm"},
	{"\0\1\0\0", NULL, 4, "font/ttf"},
	{"OTTO", NULL, 4, "font/otf"},
	{"ttcf", NULL, 4, "font/collection"},
	{"wOFF", NULL, 4, "font/woff"},
	{"wOF2", NULL, 4, "font/woff2"},
	{"\x1f\x8b\x08", NULL, 3, "application/x-gzip"},
	{"PK\3\4", NULL, 4, "application/zip"},
	{"Rar!\x1a\7\0", NULL, 7, "application/x-rar-compressed"},
	{"Rar!\x1a\7\1\0", NULL, 8, "application/x-rar-compressed"},
	{"\0asm", NULL, 4, "application/wasm"},
};

static bool is_blank(unsigned char c)
{
	return c == '\t' || c == '\n' || c == '\f' || c == '\r' || c == ' ';
}

static bool matches(const struct signature *s, const unsigned char *bytes, size_t length)
{
	if (length < s->length)
		return false;
	for (size_t i = 0; i < s->length; i++)
		if ((!s->mask || s->mask[i]) && bytes[i] != (unsigned char)s->pattern[i])
			return false;
	return true;
}

static bool is_html(const unsigned char *bytes, size_t length)
{
	static const char *const tags[] = {
		"<!DOCTYPE HTML", "<HTML", "<HEAD",  "<SCRIPT", "<IFRAME", "<H1",   "<DIV", "<FONT",
		"<TABLE",	  "<A",	   "<STYLE", "<TITLE",	"<B",	   "<BODY", "<BR",  "<P"};

	for (size_t i = 0; i < ARRAY_LEN(tags); i++) {
		size_t n = strlen(tags[i]);

		if (length > n && strncasecmp((const char *)bytes, tags[i], n) == 0 &&
		    (bytes[n] == ' ' || bytes[n] == '>'))
			return true;
	}
	return length >= 4 && memcmp(bytes, "<!--", 4) == 0;
}

static bool is_text(const unsigned char *bytes, size_t length)
{
	for (size_t i = 0; i < length; i++)
		if (bytes[i] <= 0x08 || bytes[i] == 0x0b || (bytes[i] >= 0x0e && bytes[i] <= 0x1a) ||
		    (bytes[i] >= 0x1c && bytes[i] <= 0x1f))
			return false;
	return true;
}

const char *sniff_content_type(const void *data, size_t length)
{
	const unsigned char *bytes = data;
	size_t blanks = 0;

	length = MIN(length, (size_t)SNIFF_BYTES);
	while (blanks < length && is_blank(bytes[blanks]))
		blanks++;
	if (is_html(bytes + blanks, length - blanks))
		return "text/html; charset=utf-8";
	if (length - blanks >= 5 && memcmp(bytes + blanks, "<?xml", 5) == 0)
		return "text/xml; charset=utf-8";
	for (size_t i = 0; i < ARRAY_LEN(signatures); i++)
		if (matches(&signatures[i], bytes, length))
			return signatures[i].type;
	return is_text(bytes + blanks, length - blanks) ? "text/plain; charset=utf-8" : "application/octet-stream";
}
