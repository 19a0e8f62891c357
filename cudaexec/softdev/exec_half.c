/* 16-bit floating point. */
#include "cudaexec/softdev/exec.h"
#include "cudaexec/softdev/exec_float.h"

#include <math.h>
#include <string.h>

struct format {
	int digits;			/* with the hidden one */
	int exponent_min, exponent_max; /* of normal numbers, as powers of two */
	int bias;
};

static const struct format formats[] = {{11, -14, 15, 15}, {8, -126, 127, 127}};

static const struct format *format_of(enum ptx_type type)
{
	return &formats[type == T_BF16 || type == T_BF16X2];
}

double exec_half_value(uint16_t bits, enum ptx_type type)
{
	const struct format *format = format_of(type);
	int stored = format->digits - 1, exponent = (bits & 0x7fff) >> stored, fraction = bits & ((1 << stored) - 1);
	double value;

	if (exponent == 2 * format->bias + 1)
		value = fraction ? (double)NAN : (double)INFINITY;
	else if (exponent == 0)
		value = ldexp(fraction, format->exponent_min - stored);
	else
		value = ldexp(fraction + (1 << stored), exponent - format->bias - stored);
	return bits & 0x8000 ? -value : value;
}

/* VALUE >= 0 rounded to an integer; AWAY tells which way directed roundings go. */
static double round_positive(double value, enum ptx_rounding rounding, bool negative)
{
	if (rounding == ROUND_N)
		return nearbyint(value);
	if (rounding == ROUND_Z || (rounding == ROUND_M) != negative)
		return floor(value);
	return ceil(value);
}

uint16_t exec_half_bits(double value, enum ptx_type type, enum ptx_rounding rounding)
{
	const struct format *format = format_of(type);
	int stored = format->digits - 1, exponent = 0;
	uint16_t infinity = (uint16_t)((2 * format->bias + 1) << stored);
	bool negative = signbit(value);
	uint16_t sign = negative ? 0x8000 : 0;
	double scaled;

	if (value != value)
		return 0x7fff;
	value = fabs(value);
	if (isinf(value))
		return sign | infinity;
	(void)frexp(value, &exponent);
	exponent -= 1;
	if (exponent < format->exponent_min)
		exponent = format->exponent_min;
	/* In units of the last place; a carry into the next power of two is right by itself. */
	scaled = round_positive(ldexp(value, stored - exponent), rounding, negative);
	if (scaled >= ldexp(1, format->digits)) {
		scaled /= 2;
		exponent++;
	}
	if (exponent > format->exponent_max)
		return sign |
		       (round_positive(0.5, rounding, negative) > 0 || rounding == ROUND_N ? infinity
											   : (uint16_t)(infinity - 1));
	if (scaled < ldexp(1, stored))
		return sign | (uint16_t)scaled;
	return sign | (uint16_t)(((exponent + format->bias) << stored) + ((int)scaled - (1 << stored)));
}

/* a * b + c, to odd: the last digit of an inexact result is 1, so that rounding again cannot go wrong. */
static double fma_odd(double a, double b, double c)
{
	double product = a * b, sum = product + c; /* the product of two 16-bit numbers is exact */
	double back = sum - product, error = (product - (sum - back)) + (c - back);
	uint64_t bits;

	if (error == 0 || !isfinite(sum))
		return sum;
	memcpy(&bits, &sum, sizeof(bits));
	if (!(bits & 1)) {
		/* Towards the exact value. */
		bits += (error > 0) == (sum > 0) ? 1 : UINT64_MAX;
		memcpy(&sum, &bits, sizeof(bits));
	}
	return sum;
}

static double smaller(double a, double b)
{
	return a < b || (a == b && signbit(a)) ? a : b;
}

static double larger(double a, double b)
{
	return a < b || (a == b && signbit(a)) ? b : a;
}

double exec_half_operation(enum ptx_float_op op, double a, double b, double c)
{
	bool nan = a != a || b != b;

	switch (op) {
	case FLOAT_ADD:
		return fma_odd(1, a, b);
	case FLOAT_SUB:
		return fma_odd(1, a, -b);
	case FLOAT_MUL:
		return a * b;
	case FLOAT_FMA:
		return fma_odd(a, b, c);
	case FLOAT_MIN:
		return a != a ? b : b != b ? a : smaller(a, b);
	case FLOAT_MAX:
		return a != a ? b : b != b ? a : larger(a, b);
	case FLOAT_MINNAN:
		return nan ? (double)NAN : smaller(a, b);
	case FLOAT_MAXNAN:
		return nan ? (double)NAN : larger(a, b);
	case FLOAT_EX2:
		return exp2(a);
	case FLOAT_TANH:
		return tanh(a);
	default:
		return a;
	}
}

/* One 16-bit element. Sign operations leave the other bits of NaN alone. */
static uint16_t half_element(uint32_t sub, uint16_t a, uint16_t b, uint16_t c)
{
	enum ptx_type type = SUB_TO(sub);
	enum ptx_float_op op = SUB_KIND(sub);
	uint16_t result, least = type == T_BF16 || type == T_BF16X2 ? 0x0080 : 0x0400;

	if (sub & SUB_FTZ) {
		a = (a & 0x7fff) < least ? a & 0x8000 : a;
		b = (b & 0x7fff) < least ? b & 0x8000 : b;
		c = (c & 0x7fff) < least ? c & 0x8000 : c;
	}
	if (op == FLOAT_ABS)
		return a & 0x7fff;
	if (op == FLOAT_NEG)
		return a ^ 0x8000;
	result = exec_half_bits(
		exec_half_operation(op, exec_half_value(a, type), exec_half_value(b, type), exec_half_value(c, type)),
		type, ROUND_N);
	if (sub & SUB_FTZ && (result & 0x7fff) < least)
		result &= 0x8000;
	if (sub & SUB_RELU && (result & 0x8000))
		result = 0;
	if (sub & SUB_SAT) {
		double value = exec_half_value(result, type);

		result = value >= 0 ? value > 1 ? exec_half_bits(1, type, ROUND_N) : result : 0;
	}
	return result;
}

enum exec_step op_HALF(struct exec_warp *warp, const struct ptx_insn *insn, uint32_t mask)
{
	bool two = SUB_TO(insn->sub) == T_F16X2 || SUB_TO(insn->sub) == T_BF16X2;
	const uint32_t elements = two ? 2 : 1;
	uint16_t *d = exec_lanes(warp, insn->dst);
	const uint16_t *a = exec_lanes(warp, insn->a);
	const uint16_t *b = insn->b != PTX_OPERAND_NONE ? exec_lanes(warp, insn->b) : a;
	const uint16_t *c = insn->c != PTX_OPERAND_NONE ? exec_lanes(warp, insn->c) : a;

	for (uint32_t bits = mask; bits; bits &= bits - 1)
		for (uint32_t n = 0; n < elements; n++) {
			uint32_t i = exec_first_lane(bits) * elements + n;

			d[i] = half_element(insn->sub, a[i], b[i], c[i]);
		}
	return STEP_NEXT;
}
