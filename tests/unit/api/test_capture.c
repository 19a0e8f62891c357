#include "api/capture.h"

#include "supervisor/util.h"

#include <string.h>

#include "tests/unit/main.h"

static void expect(const struct capture *capture, const char *wanted)
{
	struct text text = {0};

	capture_copy(capture, &text);
	ck_assert_str_eq(text.data ? text.data : "", wanted);
	text_done(&text);
}

START_TEST(all_of_it_is_kept_up_to_the_limit)
{
	struct capture capture = {0};

	expect(&capture, "");
	capture_add(&capture, 8, "abc", 3);
	capture_add(&capture, 8, "defgh", 5);
	ck_assert(!capture_truncated(&capture));
	expect(&capture, "abcdefgh");
	capture_done(&capture);
	expect(&capture, "");
}
END_TEST

START_TEST(beyond_it_the_first_and_the_last_half_are_kept)
{
	struct capture capture = {0};

	capture_add(&capture, 8, "abcdefgh", 8);
	capture_add(&capture, 8, "ij", 2);
	ck_assert(capture_truncated(&capture));
	expect(&capture, "abcd\n[ferrite: 2 bytes left out]\nghij");
	capture_add(&capture, 8, "klmnopqrstu", 11);
	expect(&capture, "abcd\n[ferrite: 13 bytes left out]\nrstu");
	capture_add(&capture, 8, "v", 1);
	expect(&capture, "abcd\n[ferrite: 14 bytes left out]\nstuv");
	capture_done(&capture);
}
END_TEST

/* The same bytes in parts of every size give the same text. */
START_TEST(how_the_bytes_come_makes_no_difference)
{
	char bytes[1000];
	struct text whole = {0};
	struct capture all = {0};

	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (char)('A' + i % 57);
	capture_add(&all, 301, bytes, sizeof(bytes));
	capture_copy(&all, &whole);
	for (size_t size = 1; size < 400; size++) {
		struct capture capture = {0};

		for (size_t at = 0; at < sizeof(bytes); at += size)
			capture_add(&capture, 301, bytes + at, MIN(size, sizeof(bytes) - at));
		ck_assert_uint_eq(capture.total, sizeof(bytes));
		ck_assert_uint_le(capture.room, 301);
		expect(&capture, whole.data);
		capture_done(&capture);
	}
	text_done(&whole);
	capture_done(&all);
}
END_TEST

START_TEST(a_limit_of_nothing_keeps_nothing)
{
	struct capture capture = {0};

	for (size_t limit = 0; limit < 3; limit++) {
		capture_add(&capture, limit, "abc", 3);
		ck_assert(capture_truncated(&capture));
		expect(&capture,
		       ((const char *const[]){"\n[ferrite: 3 bytes left out]\n", "\n[ferrite: 2 bytes left out]\nc",
					      "a\n[ferrite: 1 bytes left out]\nc"})[limit]);
		capture_done(&capture);
	}
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("capture");
	TCase *all = tcase_create("all");

	tcase_add_test(all, all_of_it_is_kept_up_to_the_limit);
	tcase_add_test(all, beyond_it_the_first_and_the_last_half_are_kept);
	tcase_add_test(all, how_the_bytes_come_makes_no_difference);
	tcase_add_test(all, a_limit_of_nothing_keeps_nothing);
	suite_add_tcase(suite, all);
	return suite;
}
