#include "cudaexec/runner/number.h"
#include "supervisor/util.h"

#include <math.h>
#include <string.h>

#include "tests/unit/main.h"

static const char *print(enum datatype type, const void *element)
{
	static char text[NUMBER_TEXT_MAX + 8];
	size_t length;

	memset(text, '#', sizeof(text));
	length = number_print(type, element, text);
	if (length > NUMBER_TEXT_MAX || memcmp(text + NUMBER_TEXT_MAX, "########", 8) != 0)
		ck_abort_msg("an element of %zu bytes", length);
	text[length] = '\0';
	return text;
}

START_TEST(singles_are_short)
{
	static const struct {
		float value;
		const char *text;
	} table[] = {
		{0.0f, "0"},
		{-0.0f, "-0.0"},
		{1.0f, "1"},
		{-2.5f, "-2.5"},
		{0.1f, "0.1"},
		{1.0f / 3, "0.33333334"},
		{16777216.0f, "16777216"},
		{123456.79f, "123456.79"},
		{1e10f, "10000000000"},
		{1e16f, "10000000000000000"},
		{1e17f, "1e17"},
		{3.4028235e38f, "3.4028235e38"},
		{1.1754944e-38f, "1.1754944e-38"},
		{1e-45f, "1e-45"},
		{0.00001f, "0.00001"},
		{0.000001f, "1e-6"},
		{NAN, "\"NaN\""},
		{INFINITY, "\"Infinity\""},
		{-INFINITY, "\"-Infinity\""},
	};

	for (size_t i = 0; i < ARRAY_LEN(table); i++)
		ck_assert_str_eq(print(DATATYPE_FP32, &table[i].value), table[i].text);
}
END_TEST

START_TEST(doubles_are_short)
{
	static const struct {
		double value;
		const char *text;
	} table[] = {
		{0.1, "0.1"},
		{0.30000000000000004, "0.30000000000000004"},
		{1.0 / 3, "0.3333333333333333"},
		{9007199254740993.0, "9007199254740992"},
		{1.7976931348623157e308, "1.7976931348623157e308"},
		{5e-324, "5e-324"},
		{2.2250738585072014e-308, "2.2250738585072014e-308"},
		{123456789.125, "123456789.125"},
		{1e22, "1e22"},
		{-1e-7, "-1e-7"},
		{100, "100"},
	};

	for (size_t i = 0; i < ARRAY_LEN(table); i++)
		ck_assert_str_eq(print(DATATYPE_FP64, &table[i].value), table[i].text);
}
END_TEST

/* Random bit patterns of every floating type read back to the same element, through the reader's own conversion. */
START_TEST(floats_read_back)
{
	uint64_t state = 0x9e3779b97f4a7c15;

	for (int i = 0; i < 300000; i++) {
		static const enum datatype types[] = {DATATYPE_FP16, DATATYPE_BF16, DATATYPE_FP32, DATATYPE_FP64};
		enum datatype type = types[i % 4];
		uint64_t bits, back = 0;
		const char *text;

		state ^= state << 13;
		state ^= state >> 7;
		state ^= state << 17;
		bits = state & (UINT64_MAX >> (64 - 8 * datatype_size(type)));
		text = print(type, &bits);
		if (text[0] == '"')
			continue;
		/* Each assertion costs a system call. */
		if (datatype_store_double(type, strtod(text, NULL), &back) && back == bits)
			continue;
		ck_assert_msg(false, "%s %llx printed as %s", datatype_names[type], (unsigned long long)bits, text);
	}
}
END_TEST

/* Significant digits: without leading zeros, and without those that only fill up to the point. */
static size_t count_digits(const char *text)
{
	size_t digits = 0, zeros = 0;

	for (; *text && *text != 'e'; text++) {
		if (*text == '0' && digits > 0)
			zeros++;
		if (*text >= '1' && *text <= '9') {
			digits += zeros + 1;
			zeros = 0;
		}
	}
	return digits;
}

/* As few digits as the shortest of printf's that reads back. */
START_TEST(no_shorter_text_reads_back)
{
	uint64_t state = 88172645463325252ull;

	for (int i = 0; i < 20000; i++) {
		char text[40];
		float value;
		uint32_t bits;
		int precision = 1;

		state ^= state << 13;
		state ^= state >> 7;
		state ^= state << 17;
		bits = (uint32_t)state;
		memcpy(&value, &bits, sizeof(value));
		if (isnan(value) || isinf(value))
			continue;
		do
			snprintf(text, sizeof(text), "%.*e", precision - 1, (double)value);
		while (strtof(text, NULL) != value && ++precision < 10);
		if (count_digits(print(DATATYPE_FP32, &value)) > (size_t)precision)
			ck_abort_msg("%s and %s", text, print(DATATYPE_FP32, &value));
	}
}
END_TEST

START_TEST(halves_are_plain_numbers)
{
	static const struct {
		double value;
		const char *fp16, *bf16;
	} table[] = {
		{0.1, "0.1", "0.1"}, {65504, "65500", "65500"}, {1.0009765625, "1.001", "1"},
		{-3, "-3", "-3"},    {6e-8, "6e-8", "6e-8"},
	};

	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		uint16_t fp16 = datatype_fp16_from_double(table[i].value);
		uint16_t bf16 = datatype_bf16_from_double(table[i].value);

		ck_assert_str_eq(print(DATATYPE_FP16, &fp16), table[i].fp16);
		ck_assert_str_eq(print(DATATYPE_BF16, &bf16), table[i].bf16);
	}
}
END_TEST

START_TEST(integers_are_exact)
{
	int64_t low = INT64_MIN;
	uint64_t high = UINT64_MAX;
	uint8_t bytes[] = {0, 1, 128, 255};

	ck_assert_str_eq(print(DATATYPE_INT64, &low), "-9223372036854775808");
	ck_assert_str_eq(print(DATATYPE_UINT64, &high), "18446744073709551615");
	ck_assert_str_eq(print(DATATYPE_INT64, &high), "-1");
	ck_assert_str_eq(print(DATATYPE_INT32, &high), "-1");
	ck_assert_str_eq(print(DATATYPE_UINT32, &high), "4294967295");
	ck_assert_str_eq(print(DATATYPE_INT16, &high), "-1");
	ck_assert_str_eq(print(DATATYPE_UINT16, &high), "65535");
	ck_assert_str_eq(print(DATATYPE_INT8, &bytes[2]), "-128");
	ck_assert_str_eq(print(DATATYPE_UINT8, &bytes[2]), "128");
	ck_assert_str_eq(print(DATATYPE_UINT8, &bytes[0]), "0");
	ck_assert_str_eq(print(DATATYPE_BOOL, &bytes[0]), "false");
	ck_assert_str_eq(print(DATATYPE_BOOL, &bytes[1]), "true");
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("number");
	TCase *all = tcase_create("all");

	tcase_add_test(all, singles_are_short);
	tcase_add_test(all, doubles_are_short);
	tcase_add_test(all, floats_read_back);
	tcase_add_test(all, no_shorter_text_reads_back);
	tcase_add_test(all, halves_are_plain_numbers);
	tcase_add_test(all, integers_are_exact);
	suite_add_tcase(suite, all);
	return suite;
}
