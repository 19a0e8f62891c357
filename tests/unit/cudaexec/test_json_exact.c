#include "cudaexec/runner/json_exact.h"
#include "supervisor/util.h"

#include <string.h>

#include "tests/unit/main.h"

static json_t *load(const char *text, struct err *err)
{
	return json_exact_load(text, strlen(text), err);
}

START_TEST(integers_of_any_size_survive)
{
	static const char *const table[] = {
		"[18446744073709551615]",
		"[9223372036854775807,9223372036854775808,-9223372036854775808,-9223372036854775809]",
		"{\"a\":[1,18446744073709551614,2],\"b\":\"18446744073709551615\"}",
		"100000000000000000000000000000",
		"[\"\\\"18446744073709551615\",18446744073709551615,\"\\\\\"]",
		"[1.5,\"x\",null,true,false,{}]",
	};

	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		struct err err = ERR_INIT;
		json_t *value = load(table[i], &err);
		_cleanup_free_ char *text = NULL;

		ck_assert_msg(value != NULL, "%s: %s", table[i], err.text);
		text = json_exact_dump(value);
		ck_assert_str_eq(text, table[i]);
		json_decref(value);
	}
}
END_TEST

START_TEST(big_integers_are_told_from_strings)
{
	struct err err = ERR_INIT;
	json_t *value = load("[18446744073709551615, \"18446744073709551615\", 9223372036854775807]", &err);
	json_t *made = json_exact_integer("-9223372036854775809");

	ck_assert_str_eq(json_exact_digits(json_array_get(value, 0)), "18446744073709551615");
	ck_assert_ptr_null(json_exact_digits(json_array_get(value, 1)));
	ck_assert_ptr_null(json_exact_digits(json_array_get(value, 2)));
	ck_assert(json_integer_value(json_array_get(value, 2)) == INT64_MAX);
	ck_assert_str_eq(json_exact_digits(made), "-9223372036854775809");
	json_decref(value);
	json_decref(made);
}
END_TEST

START_TEST(the_mark_cannot_be_forged)
{
	static const char *const table[] = {
		"[\"\\u00005\"]",
		"[\"\\u00005\", 18446744073709551615]",
		"{\"\\u0000\": 18446744073709551615}",
	};

	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		struct err err = ERR_INIT;

		ck_assert_ptr_null(load(table[i], &err));
		ck_assert_int_eq(err.code, -EINVAL);
	}
}
END_TEST

START_TEST(bad_json_is_refused_with_its_place)
{
	static const struct {
		const char *text;
		const char *error;
	} table[] = {
		{"", "JSON, line 1 column 0: unexpected token near end of file"},
		{"{\"a\":1,\n\"a\":2}", "JSON, line 2 column 3: duplicate object key near '\\x22a\\x22'"},
		{"[1] x", "JSON, line 1 column 5: end of file expected near 'x'"},
		{"[1", "JSON, line 1 column 2: ']' expected near end of file"},
		{"[01]", "JSON, line 1 column 2: invalid token near '0'"},
		{"[1e999]", "JSON, line 1 column 6: real number overflow near '1e999'"},
		{"[-]", "JSON, line 1 column 2: invalid token near '-'"},
		{"\"\xff\"", "JSON, line 1 column 1: unable to decode byte 0xff near '\\x22'"},
	};
	char many[JSON_EXACT_DIGITS_MAX + 2];
	struct err err = ERR_INIT;

	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		ck_assert_ptr_null(load(table[i].text, &err));
		ck_assert_int_eq(err.code, -EINVAL);
		ck_assert_str_eq(err.text, table[i].error);
	}
	memset(many, '7', sizeof(many));
	many[sizeof(many) - 1] = '\0';
	ck_assert_ptr_null(load(many, &err));
	ck_assert_str_eq(err.text, "JSON: an integer of 321 digits");
	ck_assert_ptr_null(json_exact_integer(many));
}
END_TEST

START_TEST(deep_nesting_is_an_error_not_a_crash)
{
	enum { DEPTH = 1000000 };
	_cleanup_free_ char *text = malloc(DEPTH);
	struct err err = ERR_INIT;

	memset(text, '[', DEPTH);
	ck_assert_ptr_null(json_exact_load(text, DEPTH, &err));
	ck_assert_str_eq(err.text, "JSON, line 1 column 2049: maximum parsing depth reached near '['");
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("json_exact");
	TCase *all = tcase_create("all");

	tcase_add_test(all, integers_of_any_size_survive);
	tcase_add_test(all, big_integers_are_told_from_strings);
	tcase_add_test(all, the_mark_cannot_be_forged);
	tcase_add_test(all, bad_json_is_refused_with_its_place);
	tcase_add_test(all, deep_nesting_is_an_error_not_a_crash);
	suite_add_tcase(suite, all);
	return suite;
}
