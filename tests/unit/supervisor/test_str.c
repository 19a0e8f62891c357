#include "supervisor/str.h"
#include "supervisor/util.h"

#include <string.h>

#include "tests/unit/main.h"

START_TEST(numbers_are_strict)
{
	static const char *const bad[] = {"", " 1", "1 ", "+1", "-1", "0x1", "1.0", "18446744073709551616", "1e3"};
	uint64_t value = 7;

	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		ck_assert_msg(!str_u64(bad[i], &value), "accepted \"%s\"", bad[i]);
	ck_assert(str_u64("18446744073709551615", &value) && value == UINT64_MAX);
	ck_assert(str_u64("007", &value) && value == 7);
}
END_TEST

START_TEST(sizes_have_units)
{
	uint64_t bytes = 0;

	ck_assert_int_eq(str_size("12", 1024, &bytes), 0);
	ck_assert_uint_eq(bytes, 12 * 1024);
	ck_assert_int_eq(str_size("3GiB", 1, &bytes), 0);
	ck_assert_uint_eq(bytes, 3 * GIB);
	ck_assert_int_eq(str_size("0KiB", 1, &bytes), 0);
	ck_assert_uint_eq(bytes, 0);
	ck_assert_int_eq(str_size("MiB", 1, &bytes), -EINVAL);
	ck_assert_int_eq(str_size("1MB", 1, &bytes), -EINVAL);
	ck_assert_int_eq(str_size("1MiBx", 1, &bytes), -EINVAL);
	ck_assert_int_eq(str_size("1x", 1, &bytes), -EINVAL);
	ck_assert_int_eq(str_size("-1MiB", 1, &bytes), -EINVAL);
	ck_assert_int_eq(str_size("17179869184GiB", 1, &bytes), -ERANGE);
	ck_assert_int_eq(str_size("99999999999999999999999999", 1, &bytes), -ERANGE);
}
END_TEST

START_TEST(escapes_fit_every_buffer)
{
	char out[64];

	ck_assert_str_eq(str_escape(out, sizeof(out), "a\n\"\x7f", 4), "a\\x0a\\x22\\x7f");
	for (size_t size = 1; size < 40; size++) {
		memset(out, 'X', sizeof(out));
		str_escape(out, size, "\x01\x02gh\x03\x04kl\x05\xff", 10);
		ck_assert_uint_lt(strlen(out), size);
		ck_assert_int_eq(out[size], 'X');
	}
	ck_assert_str_eq(str_escape(out, 5, "abcd", 4), "abcd");
	ck_assert_str_eq(str_escape(out, 5, "abcde", 5), "a...");
}
END_TEST

START_TEST(blanks_at_the_end_go)
{
	static const char *const pairs[][2] = {
		{"", ""}, {" \t ", ""}, {"a b \t", "a b"}, {" a", " a"}, {"a\n ", "a\n"}};
	char text[8];

	for (size_t i = 0; i < ARRAY_LEN(pairs); i++) {
		ck_assert(str_copy(text, sizeof(text), pairs[i][0]));
		str_trim_end(text);
		ck_assert_str_eq(text, pairs[i][1]);
	}
}
END_TEST

START_TEST(nearest_name_is_near)
{
	static const char *const keys[] = {"memory", "timeout", "entrypoint", NULL};

	ck_assert_str_eq(str_nearest("memroy", keys), "memory");
	ck_assert_str_eq(str_nearest("entrypiont", keys), "entrypoint");
	ck_assert_ptr_null(str_nearest("zzzzzz", keys));
}
END_TEST

START_TEST(string_lists_are_checked)
{
	char bytes[] = "a\0\0bcd";
	char *list[4];

	ck_assert_int_eq(str_unpack(bytes, 7, 3, list), 7);
	ck_assert_str_eq(list[2], "bcd");
	ck_assert_ptr_null(list[3]);
	ck_assert_int_eq(str_unpack(bytes, 6, 3, list), -EBADMSG);
	ck_assert_int_eq(str_unpack(bytes, 0, 1, list), -EBADMSG);
	ck_assert_int_eq(str_unpack(bytes, 0, 0, list), 0);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("str");
	TCase *all = tcase_create("all");

	tcase_add_test(all, numbers_are_strict);
	tcase_add_test(all, sizes_have_units);
	tcase_add_test(all, escapes_fit_every_buffer);
	tcase_add_test(all, blanks_at_the_end_go);
	tcase_add_test(all, nearest_name_is_near);
	tcase_add_test(all, string_lists_are_checked);
	suite_add_tcase(suite, all);
	return suite;
}
