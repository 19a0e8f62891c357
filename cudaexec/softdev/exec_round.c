/*
 * Arithmetic with rounding modes and saturation, and all conversions without a fast path. Compiled with
 * -frounding-math: the rounding mode of the thread changes inside these functions.
 */
#include "cudaexec/softdev/exec.h"
#include "cudaexec/softdev/exec_float.h"

#include <fenv.h>
#include <math.h>
#include <string.h>

static const int modes[] = {FE_TONEAREST, FE_TOWARDZERO, FE_DOWNWARD, FE_UPWARD};

static float as_float(uint64_t bits)
{
	uint32_t narrow = (uint32_t)bits;
	float x;

	memcpy(&x, &narrow, sizeof(x));
	return x;
}

static double as_double(uint64_t bits)
{
	double x;

	memcpy(&x, &bits, sizeof(x));
	return x;
}

static uint64_t float_bits(float x)
{
	uint32_t bits;

	memcpy(&bits, &x, sizeof(bits));
	return x != x ? 0x7fffffffu : bits;
}

static uint64_t double_bits(double x)
{
	uint64_t bits;

	memcpy(&bits, &x, sizeof(bits));
	return bits;
}

static float flush(float x)
{
	return fabsf(x) < __FLT_MIN__ ? copysignf(0, x) : x;
}

/* --- arithmetic --------------------------------------------------------------------------------------------------- */

#define OPERATE(type, f) \
	static type operate##f##_(enum ptx_float_op op, type a, type b, type c) \
	{ \
		switch (op) { \
		case FLOAT_ADD: \
			return a + b; \
		case FLOAT_SUB: \
			return a - b; \
		case FLOAT_MUL: \
			return a * b; \
		case FLOAT_FMA: \
			return fma##f(a, b, c); \
		case FLOAT_DIV: \
			return a / b; \
		case FLOAT_RCP: \
			return (type)1 / a; \
		default: \
			return sqrt##f(a); \
		} \
	}
OPERATE(float, f)
OPERATE(double, )

static float saturate(float x)
{
	return x >= 0 ? x > 1 ? 1 : x : 0;
}

enum exec_step op_ROUND(struct exec_warp *warp, const struct ptx_insn *insn, uint32_t mask)
{
	const enum ptx_float_op op = SUB_KIND(insn->sub);
	void *d = exec_lanes(warp, insn->dst);
	const void *a = exec_lanes(warp, insn->a);
	const void *b = insn->b != PTX_OPERAND_NONE ? exec_lanes(warp, insn->b) : a;
	const void *c = insn->c != PTX_OPERAND_NONE ? exec_lanes(warp, insn->c) : a;
	const bool ftz = insn->sub & SUB_FTZ;

	(void)fesetround(modes[SUB_ROUNDING(insn->sub)]);
	for (uint32_t bits = mask; bits; bits &= bits - 1) {
		unsigned i = exec_first_lane(bits);

		if (SUB_TO(insn->sub) == T_F64) {
			((double *)d)[i] =
				operate_(op, ((const double *)a)[i], ((const double *)b)[i], ((const double *)c)[i]);
		} else {
			float x = ((const float *)a)[i], y = ((const float *)b)[i], z = ((const float *)c)[i];

			x = ftz ? operatef_(op, flush(x), flush(y), flush(z)) : operatef_(op, x, y, z);
			x = ftz ? flush(x) : x;
			((float *)d)[i] = insn->sub & SUB_SAT ? saturate(x) : x;
		}
	}
	(void)fesetround(FE_TONEAREST);
	return STEP_NEXT;
}

/* --- conversions -------------------------------------------------------------------------------------------------- */

/* An integer of TYPE as 64 bits, sign or zero extended. */
static uint64_t extend(uint64_t bits, enum ptx_type type)
{
	uint32_t width = 8 * ptx_type_size(type);

	if (width == 64)
		return bits;
	bits &= (1ull << width) - 1;
	return ptx_type_is_signed(type) && bits >> (width - 1) ? bits | ~0ull << width : bits;
}

/* The 64-bit integer VALUE (signed or not) limited to what TO can hold. */
static uint64_t clamp_integer(uint64_t value, bool value_signed, enum ptx_type to)
{
	uint32_t width = 8 * ptx_type_size(to);
	uint64_t largest = ptx_type_is_signed(to) ? (1ull << (width - 1)) - 1
			   : width == 64	  ? ~0ull
						  : (1ull << width) - 1;

	if (value_signed && (int64_t)value < 0) {
		if (!ptx_type_is_signed(to))
			return 0;
		return (int64_t)value < -(int64_t)largest - 1 ? ~largest : value;
	}
	return value > largest ? largest : value;
}

/* X rounded to an integral value, limited to TO; NaN is 0. */
static uint64_t float_to_integer(double x, enum ptx_type to)
{
	bool is_signed = ptx_type_is_signed(to);

	if (x != x)
		return 0;
	x = nearbyint(x); /* in the mode that is set */
	if (is_signed) {
		uint64_t value = x >= 0x1p63 ? INT64_MAX : x < -0x1p63 ? (uint64_t)INT64_MIN : (uint64_t)(int64_t)x;

		return clamp_integer(value, true, to);
	}
	return clamp_integer(x <= 0 ? 0 : x >= 0x1p64 ? UINT64_MAX : (uint64_t)x, false, to);
}

static double round_integral(double x)
{
	return copysign(nearbyint(x), x);
}

/* A float of TYPE as double, exactly. */
static double float_value(uint64_t bits, enum ptx_type type, bool ftz)
{
	if (type == T_F64)
		return as_double(bits);
	if (type == T_F32)
		return (double)(ftz ? flush(as_float(bits)) : as_float(bits));
	return exec_half_value((uint16_t)bits, type);
}

/* X in the format TO, in the mode that is set. */
static uint64_t to_float(double x, enum ptx_type to, uint32_t sub)
{
	if (sub & SUB_SAT)
		x = x >= 0 ? x > 1 ? 1 : x : 0;
	if (sub & SUB_RELU)
		x = x > 0 || x != x ? x : 0;
	if (to == T_F64)
		return double_bits(x);
	if (to == T_F32)
		return float_bits(sub & SUB_FTZ ? flush((float)x) : (float)x);
	(void)fesetround(FE_TONEAREST); /* the 16-bit formats round by themselves */
	x = exec_half_bits(x, to, SUB_INTEGRAL & sub ? ROUND_N : SUB_ROUNDING(sub));
	(void)fesetround(modes[SUB_ROUNDING(sub)]);
	return (uint64_t)x;
}

static uint64_t integer_to_float(uint64_t value, bool is_signed, enum ptx_type to, uint32_t sub)
{
	/* One rounding only: straight to the format, except to 16 bits, for which doubles are wide enough to be odd. */
	if (to == T_F32 && !(sub & SUB_SAT))
		return float_bits(is_signed ? (float)(int64_t)value : (float)value);
	return to_float(is_signed ? (double)(int64_t)value : (double)value, to, sub);
}

static uint64_t convert(uint64_t bits, uint32_t sub)
{
	enum ptx_type to = SUB_TO(sub), from = SUB_FROM(sub);
	double x;

	if (!ptx_type_is_float(from)) {
		uint64_t value = extend(bits, from);

		if (ptx_type_is_float(to))
			return integer_to_float(value, ptx_type_is_signed(from), to, sub);
		return sub & SUB_SAT ? clamp_integer(value, ptx_type_is_signed(from), to) : value;
	}
	x = float_value(bits, from, sub & SUB_FTZ);
	if (!ptx_type_is_float(to))
		return float_to_integer(x, to);
	/* Same format without any change of value: the bits of NaN stay. */
	if (to == from && !(sub & (SUB_INTEGRAL | SUB_SAT | SUB_RELU | SUB_FTZ)))
		return bits;
	return to_float(sub & SUB_INTEGRAL ? round_integral(x) : x, to, sub);
}

static uint64_t load_lane(const void *lanes, unsigned i, uint32_t width)
{
	return width == 8   ? ((const uint64_t *)lanes)[i]
	       : width == 4 ? ((const uint32_t *)lanes)[i]
			    : ((const uint16_t *)lanes)[i];
}

static void store_lane(void *lanes, unsigned i, uint32_t width, uint64_t value)
{
	if (width == 8)
		((uint64_t *)lanes)[i] = value;
	else if (width == 4)
		((uint32_t *)lanes)[i] = (uint32_t)value;
	else
		((uint16_t *)lanes)[i] = (uint16_t)value;
}

enum exec_step op_CVT(struct exec_warp *warp, const struct ptx_insn *insn, uint32_t mask)
{
	const enum ptx_type to = SUB_TO(insn->sub);
	const bool pair = to == T_F16X2 || to == T_BF16X2;
	void *d = exec_lanes(warp, insn->dst);
	const void *a = exec_lanes(warp, insn->a), *b = pair ? exec_lanes(warp, insn->b) : NULL;

	(void)fesetround(modes[SUB_ROUNDING(insn->sub)]);
	for (uint32_t bits = mask; bits; bits &= bits - 1) {
		unsigned i = exec_first_lane(bits);
		uint64_t value = convert(load_lane(a, i, SUB_SRC_WIDTH(insn->sub)), insn->sub);

		if (pair)
			value = value << 16 | convert(load_lane(b, i, 4), insn->sub);
		else if (!ptx_type_is_float(to))
			value = extend(value, to);
		store_lane(d, i, SUB_WIDTH(insn->sub), value);
	}
	(void)fesetround(FE_TONEAREST);
	return STEP_NEXT;
}
