#include "cudaexec/runner/number.h"

#include "supervisor/util.h"

#include <math.h>
#include <string.h>

/*
 * Digits that every value of the type keeps (first try; zeros at the end are cut, so that it finds all shorter ones
 * too), and digits that always identify one.
 */
static const struct {
	int enough;
	int always;
	double normal; /* below it numbers keep fewer digits, down to one */
} digits_of[DATATYPE_MAX] = {
	[DATATYPE_FP16] = {3, 5, 0x1p-14},
	[DATATYPE_BF16] = {2, 4, 0x1p-126},
	[DATATYPE_FP32] = {6, 9, 0x1p-126},
	[DATATYPE_FP64] = {15, 17, 0x1p-1022},
};

/* 10^22 is the largest power of ten that a double holds exactly. */
#define EXACT_POWER 22
static const double powers[EXACT_POWER + 1] = {1e0,  1e1,  1e2,	 1e3,  1e4,  1e5,  1e6,	 1e7,  1e8,  1e9,  1e10, 1e11,
					       1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};

/* Would the reader make the same element of CANDIDATE as of VALUE? */
static bool reads_back(enum datatype type, double candidate, double value)
{
	switch (type) {
	case DATATYPE_FP16:
		return datatype_fp16_from_double(candidate) == datatype_fp16_from_double(value);
	case DATATYPE_BF16:
		return datatype_bf16_from_double(candidate) == datatype_bf16_from_double(value);
	case DATATYPE_FP32:
		return (float)candidate == (float)value;
	default:
		return candidate == value;
	}
}

static size_t print_unsigned(uint64_t value, char *text)
{
	char reversed[24];
	size_t n = 0;

	do {
		reversed[n++] = (char)('0' + value % 10);
		value /= 10;
	} while (value > 0);
	for (size_t i = 0; i < n; i++)
		text[i] = reversed[n - 1 - i];
	return n;
}

/* Decimal digits (at most 17) and the power of ten of the first one. */
struct decimal {
	char digits[24];
	int count;
	int exponent;
};

static void set_digits(struct decimal *d, uint64_t digits, int power)
{
	d->count = (int)print_unsigned(digits, d->digits);
	d->exponent = d->count - 1 + power;
	while (d->count > 1 && d->digits[d->count - 1] == '0')
		d->count--;
}

static double scale(double value, int power)
{
	return rint(power >= 0 ? value / powers[power] : value * powers[-power]);
}

/*
 * One multiplication and one division of exactly held numbers: both are rounded correctly, so CANDIDATE is what
 * reading the digits gives. False when VALUE is outside the range where that holds; else RET_ENOUGH says whether the
 * digits identify the value.
 */
static bool try_fast(enum datatype type, double value, int precision, struct decimal *d, bool *ret_enough)
{
	int binary, decimal, power;
	double scaled, candidate;

	(void)frexp(value, &binary);
	/* The exponent, or one less. */
	decimal = (int)floor((binary - 1) * 0.30102999566398120);
	power = decimal - precision + 1;
	if (power >= EXACT_POWER || power < -EXACT_POWER)
		return false;
	scaled = scale(value, power);
	if (scaled >= powers[precision])
		scaled = scale(value, ++power);
	if (scaled >= 0x1p53)
		return false;
	candidate = power >= 0 ? scaled * powers[power] : scaled / powers[-power];
	*ret_enough = reads_back(type, candidate, value);
	if (*ret_enough)
		set_digits(d, (uint64_t)scaled, power);
	return true;
}

static bool try_printf(enum datatype type, double value, int precision, struct decimal *d)
{
	char text[32];
	uint64_t digits = 0;
	const char *at = text;

	(void)snprintf(text, sizeof(text), "%.*e", precision - 1, value);
	if (!reads_back(type, strtod(text, NULL), value))
		return false;
	for (; *at != 'e'; at++)
		if (*at != '.')
			digits = digits * 10 + (uint64_t)(*at - '0');
	set_digits(d, digits, (int)strtol(at + 1, NULL, 10) - precision + 1);
	return true;
}

static size_t lay_out(const struct decimal *d, char *text)
{
	size_t count = (size_t)d->count, used = 0;

	if (d->exponent >= 0 && d->exponent < 17) {
		size_t whole = (size_t)d->exponent + 1;

		for (size_t i = 0; i < whole; i++)
			text[used++] = i < count ? d->digits[i] : '0';
		if (count > whole)
			text[used++] = '.';
		for (size_t i = whole; i < count; i++)
			text[used++] = d->digits[i];
	} else if (d->exponent < 0 && d->exponent >= -5) {
		text[used++] = '0';
		text[used++] = '.';
		for (int i = -1; i > d->exponent; i--)
			text[used++] = '0';
		memcpy(text + used, d->digits, count);
		used += count;
	} else {
		text[used++] = d->digits[0];
		if (count > 1)
			text[used++] = '.';
		memcpy(text + used, d->digits + 1, count - 1);
		used += count - 1;
		used += (size_t)sprintf(text + used, "e%d", d->exponent);
	}
	return used;
}

/* The fewest digits; the type's full number of them always does. */
static void find_digits(enum datatype type, double value, struct decimal *d)
{
	int precision = value < digits_of[type].normal ? 1 : digits_of[type].enough;

	for (;; precision++) {
		bool enough = false;

		if (!try_fast(type, value, precision, d, &enough))
			enough = try_printf(type, value, precision, d);
		if (enough || precision == digits_of[type].always)
			return;
	}
}

static size_t print_float(enum datatype type, double value, char *text)
{
	struct decimal d = {.count = 0};
	size_t sign = signbit(value) != 0;

	if (isnan(value) || isinf(value)) {
		const char *name = isnan(value) ? "\"NaN\"" : sign ? "\"-Infinity\"" : "\"Infinity\"";

		memcpy(text, name, strlen(name));
		return strlen(name);
	}
	if (sign)
		*text = '-';
	value = fabs(value);
	/* An integer has no sign to keep. */
	if (value == 0) {
		memcpy(text + sign, "0.0", sign ? 3 : 1);
		return sign ? 4 : 1;
	}
	find_digits(type, value, &d);
	return sign + lay_out(&d, text + sign);
}

static size_t print_signed(int64_t value, char *text)
{
	if (value >= 0)
		return print_unsigned((uint64_t)value, text);
	*text = '-';
	return 1 + print_unsigned(0 - (uint64_t)value, text + 1);
}

size_t number_print(enum datatype type, const void *element, char *text)
{
	size_t size = datatype_size(type);
	uint64_t bits = 0;
	double value;
	float single;

	memcpy(&bits, element, size);
	switch (type) {
	case DATATYPE_BOOL:
		memcpy(text, bits ? "true" : "false", bits ? 4 : 5);
		return bits ? 4 : 5;
	case DATATYPE_INT8:
		return print_signed((int8_t)bits, text);
	case DATATYPE_INT16:
		return print_signed((int16_t)bits, text);
	case DATATYPE_INT32:
		return print_signed((int32_t)bits, text);
	case DATATYPE_INT64:
		return print_signed((int64_t)bits, text);
	case DATATYPE_FP16:
		return print_float(type, datatype_fp16_to_double((uint16_t)bits), text);
	case DATATYPE_BF16:
		return print_float(type, datatype_bf16_to_double((uint16_t)bits), text);
	case DATATYPE_FP32:
		memcpy(&single, element, sizeof(single));
		return print_float(type, (double)single, text);
	case DATATYPE_FP64:
		memcpy(&value, element, sizeof(value));
		return print_float(type, value, text);
	default:
		return print_unsigned(bits, text);
	}
}
