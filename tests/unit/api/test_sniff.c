#include "api/sniff.h"

#include "supervisor/util.h"

#include <string.h>

#include "tests/unit/main.h"

#define TEXT   "text/plain; charset=utf-8"
#define BINARY "application/octet-stream"
#define HTML   "text/html; charset=utf-8"

START_TEST(types_are_guessed)
{
	static const struct {
		const char *bytes;
		size_t length;
		const char *type;
	} rows[] = {
		{"hello\n", 6, TEXT},
		{"{\"a\":1}", 7, TEXT},
		{"", 0, TEXT},
		{" \n\t", 3, TEXT},
		{"\0\1\2", 3, BINARY},
		{"caf\xc3\xa9", 5, TEXT},
		{"\x1b[1m", 4, TEXT},
		{"<html>", 6, HTML},
		{"  <!DoCtYpE html>", 17, HTML},
		{"<p class", 8, HTML},
		{"<px", 3, TEXT},
		{"<!-- x", 6, HTML},
		{" <?xml version", 14, "text/xml; charset=utf-8"},
		{"\x89PNG\r\n\x1a\n....", 12, "image/png"},
		{"\xff\xd8\xff\xe0", 4, "image/jpeg"},
		{"GIF89a", 6, "image/gif"},
		{"RIFF1234WEBPVP8 ", 16, "image/webp"},
		{"RIFF1234WAVEfmt ", 16, "audio/wave"},
		{"%PDF-1.4", 8, "application/pdf"},
		{"PK\3\4", 4, "application/zip"},
		{"\x1f\x8b\x08\0", 4, "application/x-gzip"},
		{"\xef\xbb\xbfx", 4, TEXT},
		{"\xfe\xff\0x", 4, "text/plain; charset=utf-16be"},
		{"\0asm\1\0\0\0", 8, "application/wasm"},
		{"BM", 2, "image/bmp"},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		ck_assert_msg(strcmp(sniff_content_type(rows[i].bytes, rows[i].length), rows[i].type) == 0,
			      "row %zu: %s", i, sniff_content_type(rows[i].bytes, rows[i].length));
}
END_TEST

START_TEST(only_the_beginning_counts)
{
	char bytes[SNIFF_BYTES + 1];

	memset(bytes, 'a', sizeof(bytes));
	bytes[SNIFF_BYTES] = '\0';
	ck_assert_str_eq(sniff_content_type(bytes, sizeof(bytes)), TEXT);
	bytes[SNIFF_BYTES - 1] = '\0';
	ck_assert_str_eq(sniff_content_type(bytes, sizeof(bytes)), BINARY);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("sniff");
	TCase *all = tcase_create("all");

	tcase_add_test(all, types_are_guessed);
	tcase_add_test(all, only_the_beginning_counts);
	suite_add_tcase(suite, all);
	return suite;
}
