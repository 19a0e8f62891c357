#include "cudaexec/runner/datatype.h"
#include "supervisor/util.h"

#include <math.h>
#include <string.h>

#include "tests/unit/main.h"

START_TEST(names_and_sizes)
{
	static const size_t sizes[] = {1, 1, 2, 4, 8, 1, 2, 4, 8, 2, 2, 4, 8};
	enum datatype type;

	for (int i = 0; i < DATATYPE_MAX; i++) {
		ck_assert(datatype_parse(datatype_names[i], &type) && (int)type == i);
		ck_assert_uint_eq(datatype_size(type), sizes[i]);
	}
	ck_assert(!datatype_parse("fp32", &type));
	ck_assert(!datatype_parse("BYTES", &type));
	ck_assert(!datatype_parse("", &type));
}
END_TEST

/* Every half there is goes to double and back; NaNs stay NaNs. */
START_TEST(halves_read_back)
{
	for (unsigned bits = 0; bits < 0x10000; bits++) {
		double fp16 = datatype_fp16_to_double((uint16_t)bits), bf16 = datatype_bf16_to_double((uint16_t)bits);

		if (isnan(fp16))
			ck_assert(isnan(datatype_fp16_to_double(datatype_fp16_from_double(fp16))));
		else
			ck_assert_uint_eq(datatype_fp16_from_double(fp16), bits);
		if (isnan(bf16))
			ck_assert(isnan(datatype_bf16_to_double(datatype_bf16_from_double(bf16))));
		else
			ck_assert_uint_eq(datatype_bf16_from_double(bf16), bits);
	}
}
END_TEST

/* Between two neighbours the nearer one is taken, in the middle the even one: all positive finite halves. */
START_TEST(halves_round_to_nearest_even)
{
	for (unsigned bits = 0; bits < 0x7bff; bits++) {
		double low = datatype_fp16_to_double((uint16_t)bits),
		       high = datatype_fp16_to_double((uint16_t)(bits + 1));
		double middle = (low + high) / 2;

		ck_assert_uint_eq(datatype_fp16_from_double(middle), bits + (bits & 1));
		ck_assert_uint_eq(datatype_fp16_from_double(nextafter(middle, 0)), bits);
		ck_assert_uint_eq(datatype_fp16_from_double(nextafter(middle, INFINITY)), bits + 1);
	}
	for (unsigned bits = 0; bits < 0x7f7f; bits++) {
		double low = datatype_bf16_to_double((uint16_t)bits),
		       high = datatype_bf16_to_double((uint16_t)(bits + 1));
		double middle = (low + high) / 2;

		ck_assert_uint_eq(datatype_bf16_from_double(middle), bits + (bits & 1));
		ck_assert_uint_eq(datatype_bf16_from_double(nextafter(middle, 0)), bits);
	}
	ck_assert_uint_eq(datatype_fp16_from_double(65519.99), 0x7bff);
	ck_assert_uint_eq(datatype_fp16_from_double(65520), 0x7c00);
	ck_assert_uint_eq(datatype_fp16_from_double(1e300), 0x7c00);
	ck_assert_uint_eq(datatype_fp16_from_double(-1e300), 0xfc00);
	ck_assert_uint_eq(datatype_fp16_from_double(5e-324), 0);
	ck_assert_uint_eq(datatype_fp16_from_double(-0.0), 0x8000);
	ck_assert_uint_eq(datatype_bf16_from_double(3.4e38), 0x7f80);
}
END_TEST

START_TEST(integers_fit_or_are_refused)
{
	static const struct {
		enum datatype type;
		int64_t low, high;
	} ranges[] = {
		{DATATYPE_BOOL, 0, 1},
		{DATATYPE_INT8, INT8_MIN, INT8_MAX},
		{DATATYPE_INT16, INT16_MIN, INT16_MAX},
		{DATATYPE_INT32, INT32_MIN, INT32_MAX},
		{DATATYPE_UINT8, 0, UINT8_MAX},
		{DATATYPE_UINT16, 0, UINT16_MAX},
		{DATATYPE_UINT32, 0, UINT32_MAX},
	};
	uint64_t element = 0;

	for (size_t i = 0; i < ARRAY_LEN(ranges); i++) {
		enum datatype t = ranges[i].type;
		int64_t low = ranges[i].low, high = ranges[i].high;

		ck_assert(datatype_store_signed(t, low, &element) && datatype_store_signed(t, high, &element));
		ck_assert(!datatype_store_signed(t, low - 1, &element) &&
			  !datatype_store_signed(t, high + 1, &element));
		ck_assert(!datatype_store_unsigned(t, (uint64_t)high + 1, &element));
		ck_assert(!datatype_store_double(t, (double)high + 1, &element));
		ck_assert(!datatype_store_double(t, 0.5, &element) && !datatype_store_double(t, NAN, &element));
		ck_assert(t == DATATYPE_BOOL || datatype_store_double(t, (double)low, &element));
	}
	ck_assert(datatype_store_signed(DATATYPE_INT64, INT64_MIN, &element) && element == (uint64_t)INT64_MIN);
	ck_assert(!datatype_store_unsigned(DATATYPE_INT64, (uint64_t)INT64_MAX + 1, &element));
	ck_assert(!datatype_store_signed(DATATYPE_UINT64, -1, &element));
	ck_assert(datatype_store_unsigned(DATATYPE_UINT64, UINT64_MAX, &element) && element == UINT64_MAX);
	ck_assert(datatype_store_double(DATATYPE_UINT64, 0x1p63, &element) && element == (uint64_t)1 << 63);
	ck_assert(!datatype_store_double(DATATYPE_UINT64, 0x1p64, &element));
	ck_assert(!datatype_store_double(DATATYPE_INT64, 0x1p63, &element));
	ck_assert(datatype_store_double(DATATYPE_INT64, -0x1p63, &element) && element == (uint64_t)1 << 63);
}
END_TEST

/* A store touches the element's bytes and nothing behind them, and nothing at all when it refuses. */
START_TEST(stores_stay_in_their_element)
{
	for (int t = 0; t < DATATYPE_MAX; t++) {
		unsigned char bytes[16];

		memset(bytes, 0xaa, sizeof(bytes));
		ck_assert(datatype_store_signed((enum datatype)t, 1, bytes));
		for (size_t i = datatype_size((enum datatype)t); i < sizeof(bytes); i++)
			ck_assert_uint_eq(bytes[i], 0xaa);
		memset(bytes, 0xaa, sizeof(bytes));
		if (!datatype_store_double((enum datatype)t, 1e300, bytes))
			for (size_t i = 0; i < sizeof(bytes); i++)
				ck_assert_uint_eq(bytes[i], 0xaa);
		else
			ck_assert_int_eq(t, DATATYPE_FP64);
	}
}
END_TEST

START_TEST(floats_keep_their_specials)
{
	float single = 0;
	uint16_t half = 0;

	ck_assert(datatype_store_double(DATATYPE_FP32, -(double)INFINITY, &single) && isinf(single) && single < 0);
	ck_assert(datatype_store_double(DATATYPE_FP32, NAN, &single) && isnan(single));
	ck_assert(!datatype_store_double(DATATYPE_FP32, 3.5e38, &single));
	ck_assert(datatype_store_double(DATATYPE_FP16, INFINITY, &half) && half == 0x7c00);
	ck_assert(!datatype_store_double(DATATYPE_FP16, 65520, &half));
	ck_assert(datatype_store_double(DATATYPE_BF16, 65520, &half));
	ck_assert(datatype_store_unsigned(DATATYPE_FP32, 16777217, &single) && single == 16777216.0f);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("datatype");
	TCase *all = tcase_create("all");

	tcase_add_test(all, names_and_sizes);
	tcase_add_test(all, halves_read_back);
	tcase_add_test(all, halves_round_to_nearest_even);
	tcase_add_test(all, integers_fit_or_are_refused);
	tcase_add_test(all, stores_stay_in_their_element);
	tcase_add_test(all, floats_keep_their_specials);
	suite_add_tcase(suite, all);
	return suite;
}
