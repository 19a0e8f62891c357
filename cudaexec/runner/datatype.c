#include "cudaexec/runner/datatype.h"

#include "supervisor/util.h"

#include <math.h>
#include <string.h>

const char *const datatype_names[DATATYPE_MAX + 1] = {
	"BOOL",	  "INT8",   "INT16", "INT32", "INT64", "UINT8", "UINT16",
	"UINT32", "UINT64", "FP16",  "BF16",  "FP32",  "FP64",	NULL,
};

static const struct {
	unsigned char size;
	bool is_float;
	bool is_integer;
	bool is_signed;
} traits[DATATYPE_MAX] = {
	[DATATYPE_BOOL] = {1, false, false, false},  [DATATYPE_INT8] = {1, false, true, true},
	[DATATYPE_INT16] = {2, false, true, true},   [DATATYPE_INT32] = {4, false, true, true},
	[DATATYPE_INT64] = {8, false, true, true},   [DATATYPE_UINT8] = {1, false, true, false},
	[DATATYPE_UINT16] = {2, false, true, false}, [DATATYPE_UINT32] = {4, false, true, false},
	[DATATYPE_UINT64] = {8, false, true, false}, [DATATYPE_FP16] = {2, true, false, true},
	[DATATYPE_BF16] = {2, true, false, true},    [DATATYPE_FP32] = {4, true, false, true},
	[DATATYPE_FP64] = {8, true, false, true},
};

bool datatype_parse(const char *name, enum datatype *ret_type)
{
	for (int i = 0; i < DATATYPE_MAX; i++) {
		if (strcmp(name, datatype_names[i]) == 0) {
			*ret_type = (enum datatype)i;
			return true;
		}
	}
	return false;
}

size_t datatype_size(enum datatype type)
{
	return traits[type].size;
}

bool datatype_is_float(enum datatype type)
{
	return traits[type].is_float;
}

bool datatype_is_integer(enum datatype type)
{
	return traits[type].is_integer;
}

bool datatype_is_signed(enum datatype type)
{
	return traits[type].is_signed;
}

/* Both 16-bit formats are a sign, an exponent of (15 - fraction_bits) bits and a fraction. */
static uint16_t half_from_double(double value, int fraction_bits)
{
	int bias = (1 << (14 - fraction_bits)) - 1, exponent = 0;
	uint16_t sign = signbit(value) ? 0x8000 : 0;
	uint16_t infinity = (uint16_t)((2 * bias + 1) << fraction_bits);
	double magnitude = fabs(value);
	unsigned q;

	if (isnan(value))
		return (uint16_t)(sign | infinity | (1 << (fraction_bits - 1)));
	if (isinf(value))
		return sign | infinity;
	if (magnitude == 0)
		return sign;
	(void)frexp(magnitude, &exponent);
	exponent = MAX(exponent - 1, 1 - bias);
	if (exponent > bias)
		return sign | infinity;
	q = (unsigned)rint(ldexp(magnitude, fraction_bits - exponent));
	/* A carry out of the fraction moves into the exponent by itself, up to infinity; so does a subnormal's. */
	return (uint16_t)(sign | (((unsigned)(exponent + bias - 1) << fraction_bits) + q));
}

static double half_to_double(uint16_t bits, int fraction_bits)
{
	int bias = (1 << (14 - fraction_bits)) - 1;
	int exponent = (bits & 0x7fff) >> fraction_bits;
	int fraction = bits & ((1 << fraction_bits) - 1);
	double magnitude;

	if (exponent == 2 * bias + 1)
		magnitude = fraction ? (double)NAN : (double)INFINITY;
	else if (exponent == 0)
		magnitude = ldexp(fraction, 1 - bias - fraction_bits);
	else
		magnitude = ldexp(fraction + (1 << fraction_bits), exponent - bias - fraction_bits);
	return bits & 0x8000 ? -magnitude : magnitude;
}

uint16_t datatype_fp16_from_double(double value)
{
	return half_from_double(value, 10);
}

uint16_t datatype_bf16_from_double(double value)
{
	return half_from_double(value, 7);
}

double datatype_fp16_to_double(uint16_t bits)
{
	return half_to_double(bits, 10);
}

double datatype_bf16_to_double(uint16_t bits)
{
	return half_to_double(bits, 7);
}

/* The machine is little endian, as the device and the wire are: the low bytes of a word are the element. */
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "elements are copied as they lie in memory");

static bool store_float(enum datatype type, double value, void *element)
{
	float narrow = (float)value;
	uint16_t half = type == DATATYPE_FP16 ? datatype_fp16_from_double(value) : datatype_bf16_from_double(value);

	switch (type) {
	case DATATYPE_FP64:
		memcpy(element, &value, sizeof(value));
		return true;
	case DATATYPE_FP32:
		if (isinf(narrow) && !isinf(value))
			return false;
		memcpy(element, &narrow, sizeof(narrow));
		return true;
	default:
		if (!isinf(value) &&
		    isinf(type == DATATYPE_FP16 ? datatype_fp16_to_double(half) : datatype_bf16_to_double(half)))
			return false;
		memcpy(element, &half, sizeof(half));
		return true;
	}
}

bool datatype_store_unsigned(enum datatype type, uint64_t value, void *element)
{
	unsigned bits = (unsigned)traits[type].size * 8;

	if (traits[type].is_float)
		return store_float(type, (double)value, element);
	if (type == DATATYPE_BOOL)
		bits = 1;
	else if (traits[type].is_signed)
		bits--;
	if (bits < 64 && value >> bits != 0)
		return false;
	memcpy(element, &value, traits[type].size);
	return true;
}

bool datatype_store_signed(enum datatype type, int64_t value, void *element)
{
	if (value >= 0)
		return datatype_store_unsigned(type, (uint64_t)value, element);
	if (traits[type].is_float)
		return store_float(type, (double)value, element);
	if (!traits[type].is_signed || value < -(INT64_MAX >> (64 - traits[type].size * 8)) - 1)
		return false;
	memcpy(element, &value, traits[type].size);
	return true;
}

bool datatype_store_double(enum datatype type, double value, void *element)
{
	if (traits[type].is_float)
		return store_float(type, value, element);
	if (type == DATATYPE_BOOL || isnan(value) || value != rint(value))
		return false;
	if (value >= 0x1p63)
		return value < 0x1p64 && datatype_store_unsigned(type, (uint64_t)value, element);
	return value >= -0x1p63 && datatype_store_signed(type, (int64_t)value, element);
}
