#include "cudaexec/runner/buffer.h"
#include "cudaexec/runner/media.h"
#include "cudaexec/runner/query.h"
#include "supervisor/util.h"

#include <string.h>

#include "tests/unit/main.h"

START_TEST(accept_ranges_are_weighed)
{
	static const struct {
		const char *header;
		bool raw, json, image;
	} table[] = {
		{NULL, false, true, false},
		{"", false, true, false},
		{"*/*", false, true, false},
		{"application/octet-stream", true, false, false},
		{"Application/Octet-Stream;q=0.5", true, false, false},
		{"application/octet-stream; q=0", false, false, false},
		{"application/octet-stream;q=0.000, */*", false, true, false},
		{"application/json, application/octet-stream", true, true, false},
		{"application/*", false, true, false},
		{"text/html,application/xhtml+xml,image/avif,image/webp,*/*;q=0.8", false, true, true},
		{"image/*", false, false, true},
		{"image/bmp;q=0, image/png", false, false, true},
		{"application/octet-streams", false, false, false},
		{" , ;;, text/plain", false, false, false},
	};

	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		const char *h = table[i].header, *shown = h ? h : "none";

		ck_assert_msg(media_accepts(h, "application/octet-stream", MEDIA_NAMED) == table[i].raw, "%s", shown);
		ck_assert_msg(media_accepts(h, "application/json", MEDIA_ANY) == table[i].json, "%s", shown);
		ck_assert_msg(media_accepts(h, "image/bmp", MEDIA_KIND) == table[i].image, "%s", shown);
	}
}
END_TEST

START_TEST(content_types_are_compared)
{
	ck_assert(media_is("application/json", "application/json"));
	ck_assert(media_is(" APPLICATION/JSON ; charset=utf-8", "application/json"));
	ck_assert(!media_is("application/jsonp", "application/json"));
	ck_assert(!media_is("", "application/json"));
	ck_assert(!media_is(NULL, "application/json"));
	ck_assert(media_is_raw("image/bmp") && media_is_raw("application/octet-stream"));
	ck_assert(!media_is_raw("text/plain") && !media_is_raw("application/json"));
}
END_TEST

START_TEST(pictures_are_recognised)
{
	char bmp[54] = "BM";

	bmp[14] = 40;
	ck_assert_str_eq(media_image_type(bmp, sizeof(bmp)), "image/bmp");
	ck_assert_ptr_null(media_image_type(bmp, 53));
	bmp[7] = 1;
	ck_assert_ptr_null(media_image_type(bmp, sizeof(bmp)));
	ck_assert_str_eq(media_image_type("\x89PNG\r\n\x1a\n", 8), "image/png");
	ck_assert_str_eq(media_image_type("GIF89a", 6), "image/gif");
	ck_assert_str_eq(media_image_type("\xff\xd8\xff\xe0", 4), "image/jpeg");
	ck_assert_ptr_null(media_image_type("", 0));
	ck_assert_ptr_null(media_image_type("{\"a\":1}", 7));
}
END_TEST

START_TEST(queries_are_decoded)
{
	const char *at = "&a=1&&b=%41+%2b%20=&c&=x&%66=", *name, *value;
	static const char *const expected[][2] = {{"a", "1"}, {"b", "A +\x20="}, {"c", ""}, {"", "x"}, {"f", ""}};
	struct err err = ERR_INIT;
	char buffer[64];

	for (size_t i = 0; i < ARRAY_LEN(expected); i++) {
		ck_assert_int_eq(query_next(&at, buffer, sizeof(buffer), &name, &value, &err), 1);
		ck_assert_str_eq(name, expected[i][0]);
		ck_assert_str_eq(value, expected[i][1]);
	}
	ck_assert_int_eq(query_next(&at, buffer, sizeof(buffer), &name, &value, &err), 0);
}
END_TEST

START_TEST(bad_queries_are_refused)
{
	static const char *const bad[] = {"%", "a=%4", "a=%4g", "a=%zz", "a=%00", "abcdefghijklmnop=1"};
	struct err err = ERR_INIT;
	char buffer[16];

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		const char *at = bad[i], *name, *value;

		ck_assert_msg(query_next(&at, buffer, sizeof(buffer), &name, &value, &err) == -EINVAL, "%s", bad[i]);
	}
}
END_TEST

START_TEST(json_strings_are_always_valid)
{
	static const struct {
		const char *text, *json;
	} table[] = {
		{"plain", "\"plain\""},
		{"a\"b\\c\n\x01", "\"a\\\"b\\\\c\\u000a\\u0001\""},
		{"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80", "\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\""},
		{"\xff\xc3(\xe2\x82", "\"\\ufffd\\ufffd(\\ufffd\\ufffd\""},
		{"\xc0\xaf\xed\xa0\x80", "\"\\ufffd\\ufffd\\ufffd\\ufffd\\ufffd\""},
		{"\xf4\x90\x80\x80", "\"\\ufffd\\ufffd\\ufffd\\ufffd\""},
	};

	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		_cleanup_(buffer_release) struct buffer b = BUFFER_INIT;

		buffer_append_json(&b, table[i].text);
		buffer_append(&b, "", 1);
		ck_assert_str_eq(b.bytes, table[i].json);
	}
}
END_TEST

START_TEST(a_buffer_that_cannot_grow_says_so)
{
	_cleanup_(buffer_release) struct buffer b = BUFFER_INIT;

	buffer_append_text(&b, "abc");
	ck_assert_ptr_null(buffer_reserve(&b, SIZE_MAX));
	ck_assert(buffer_failed(&b));
	buffer_append_text(&b, "def");
	ck_assert_uint_eq(b.length, 3);
	buffer_clear(&b);
	ck_assert(!buffer_failed(&b));
	for (int i = 0; i < 10000; i++)
		buffer_append_format(&b, "%d,", i % 10);
	ck_assert_uint_eq(b.length, 20000);
	ck_assert_int_eq(memcmp(b.bytes + 19996, "8,9,", 4), 0);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("media");
	TCase *all = tcase_create("all");

	tcase_add_test(all, accept_ranges_are_weighed);
	tcase_add_test(all, content_types_are_compared);
	tcase_add_test(all, pictures_are_recognised);
	tcase_add_test(all, queries_are_decoded);
	tcase_add_test(all, bad_queries_are_refused);
	tcase_add_test(all, json_strings_are_always_valid);
	tcase_add_test(all, a_buffer_that_cannot_grow_says_so);
	suite_add_tcase(suite, all);
	return suite;
}
