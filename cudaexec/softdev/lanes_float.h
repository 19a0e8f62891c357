/* Lane operations on floating point numbers, rounded to nearest. Included by lanes_all.h only. */

/* With .ftz denormal inputs and results are zeros of their sign. */
static inline float flush_f32(float x)
{
	uint32_t bits;

	memcpy(&bits, &x, sizeof(bits));
	bits = (bits & 0x7f800000u) == 0 ? bits & 0x80000000u : bits;
	memcpy(&x, &bits, sizeof(bits));
	return x;
}

/* Every operation in three flavours: for floats, for floats with .ftz, for doubles. f is "f" for float functions. */
#define FLOAT1(name, expression) \
	FLOAT1_ONE(name##_F32, float, AS_IS, f, expression) \
	FLOAT1_ONE(name##_F32_FTZ, float, flush_f32, f, expression) \
	FLOAT1_ONE(name##_F64, double, AS_IS, , expression)
#define FLOAT1_ONE(name, type, flush, f, expression) \
	UNARY(name, type, type, flush(({ \
		      const type p = flush(x); \
		      expression(p, f, type); \
	      })))
#define FLOAT2(name, expression) \
	FLOAT2_ONE(name##_F32, float, AS_IS, f, expression) \
	FLOAT2_ONE(name##_F32_FTZ, float, flush_f32, f, expression) \
	FLOAT2_ONE(name##_F64, double, AS_IS, , expression)
#define FLOAT2_ONE(name, type, flush, f, expression) \
	BINARY(name, type, flush(({ \
		       const type p = flush(x), q = flush(y); \
		       expression(p, q, f, type); \
	       })))
#define FLOAT3(name, expression) \
	FLOAT3_ONE(name##_F32, float, AS_IS, f, expression) \
	FLOAT3_ONE(name##_F32_FTZ, float, flush_f32, f, expression) \
	FLOAT3_ONE(name##_F64, double, AS_IS, , expression)
#define FLOAT3_ONE(name, type, flush, f, expression) \
	TERNARY(name, type, flush(({ \
			const type p = flush(x), q = flush(y), r = flush(z); \
			expression(p, q, r, f, type); \
		})))

#define EXPR_ADD(p, q, f, type)	   (p + q)
#define EXPR_SUB(p, q, f, type)	   (p - q)
#define EXPR_MUL(p, q, f, type)	   (p * q)
#define EXPR_DIV(p, q, f, type)	   (p / q)
#define EXPR_FMA(p, q, r, f, type) __builtin_fma##f(p, q, r)
#define EXPR_ABS(p, f, type)	   __builtin_fabs##f(p)
#define EXPR_NEG(p, f, type)	   (-p)
#define EXPR_SQRT(p, f, type)	   __builtin_sqrt##f(p)
#define EXPR_RCP(p, f, type)	   ((type)1 / p)
#define EXPR_RSQRT(p, f, type)	   ((type)1 / __builtin_sqrt##f(p))
/* A number wins over NaN; -0 is less than +0. The .NaN forms give NaN instead. */
#define LESS(p, q)		   (p < q || (p == q && __builtin_signbit(p)))
#define CANONICAL_NAN(type)	   (sizeof(type) == 4 ? (type)canonical_nan() : (type)__builtin_nan(""))
#define EXPR_MIN(p, q, f, type)	   (p != p ? (q != q ? CANONICAL_NAN(type) : q) : q != q ? p : LESS(p, q) ? p : q)
#define EXPR_MAX(p, q, f, type)	   (p != p ? (q != q ? CANONICAL_NAN(type) : q) : q != q ? p : LESS(p, q) ? q : p)
#define EXPR_MINNAN(p, q, f, type) (p != p || q != q ? CANONICAL_NAN(type) : LESS(p, q) ? p : q)
#define EXPR_MAXNAN(p, q, f, type) (p != p || q != q ? CANONICAL_NAN(type) : LESS(p, q) ? q : p)

/* The NaN that the hardware makes: 0x7fffffff. */
static inline float canonical_nan(void)
{
	const uint32_t bits = 0x7fffffffu;
	float x;

	memcpy(&x, &bits, sizeof(x));
	return x;
}

FLOAT2(ADD, EXPR_ADD)
FLOAT2(SUB, EXPR_SUB)
FLOAT2(MUL, EXPR_MUL)
FLOAT2(DIV, EXPR_DIV)
FLOAT3(FMA, EXPR_FMA)
FLOAT2(MIN, EXPR_MIN)
FLOAT2(MAX, EXPR_MAX)
FLOAT2(MINNAN, EXPR_MINNAN)
FLOAT2(MAXNAN, EXPR_MAXNAN)
FLOAT1(ABS, EXPR_ABS)
FLOAT1(NEG, EXPR_NEG)
FLOAT1(SQRT, EXPR_SQRT)
FLOAT1(RCP, EXPR_RCP)
FLOAT1(RSQRT, EXPR_RSQRT)

/* The sign of the first source, the rest of the second. */
BINARY(COPYSIGN_F32, float, __builtin_copysignf(y, x))
BINARY(COPYSIGN_F64, double, __builtin_copysign(y, x))

/* --- comparisons -------------------------------------------------------------------------------------------------- */

#define FLOAT_COMPARE(name, expression) \
	COMPARE_FLUSHED(name##_F32, float, AS_IS, expression) \
	COMPARE_FLUSHED(name##_F32_FTZ, float, flush_f32, expression) \
	COMPARE_FLUSHED(name##_F64, double, AS_IS, expression)

FLOAT_COMPARE(EQ, x == y)
FLOAT_COMPARE(NE, x<y || x> y)
FLOAT_COMPARE(LT, x < y)
FLOAT_COMPARE(LE, x <= y)
FLOAT_COMPARE(NUM, x == x && y == y)

#define DEFINE(name, type, f, largest, smallest) \
	HANDLER(name) \
	{ \
		const type *a = LANES_OF(type, insn->a); \
		uint32_t value = 0; \
\
		for (unsigned i = 0; i < PTX_WARP; i++) { \
			const type x = __builtin_fabs##f(a[i]); \
			const bool number = x == x, finite = x <= largest; \
			const bool tests[] = {finite,  number && !finite,	number, \
					      !number, finite && x >= smallest, x > 0 && x < smallest}; \
\
			value |= tests[insn->imm] ? lane_bits[i] : 0; \
		} \
		exec_set_predicate(warp, insn->dst, mask, value); \
		return STEP_NEXT; \
	}
DEFINE(TESTP_F32, float, f, FLT_MAX, FLT_MIN)
DEFINE(TESTP_F64, double, , DBL_MAX, DBL_MIN)
#undef DEFINE

/* --- approximations: exact to the last bits here -------------------------------------------------------------------
 */

#define APPROXIMATE(name, function) \
	HANDLER(name) \
	{ \
		float *d = LANES_OF(float, insn->dst); \
		const float *a = LANES_OF(float, insn->a); \
\
		for (uint32_t bits = mask; bits; bits &= bits - 1) { \
			unsigned i = exec_first_lane(bits); \
			float x = insn->sub & SUB_FTZ ? flush_f32(a[i]) : a[i]; \
\
			x = function(x); \
			d[i] = insn->sub & SUB_FTZ ? flush_f32(x) : x; \
		} \
		return STEP_NEXT; \
	}
APPROXIMATE(EX2, exp2f)
APPROXIMATE(LG2, log2f)
APPROXIMATE(SIN, sinf)
APPROXIMATE(COS, cosf)
APPROXIMATE(TANH, tanhf)

/* --- conversions -------------------------------------------------------------------------------------------------- */

UNARY(CVT_F32_S32, float, int32_t, (float)x)
UNARY(CVT_F32_U32, float, uint32_t, (float)x)
UNARY(CVT_F64_S32, double, int32_t, (double)x)
UNARY(CVT_F64_F32, double, float, (double)x)
UNARY(CVT_F32_F64, float, double, (float)x)

/* Out of range saturates, NaN becomes 0. */
UNARY(CVT_S32_F32_Z, int32_t, float, ({
	      const float in_ = x >= -2147483648.0f && x < 2147483648.0f ? x : 0.0f;
	      x >= 2147483648.0f ? INT32_MAX : x < -2147483648.0f ? INT32_MIN : (int32_t)in_;
      }))
UNARY(CVT_U32_F32_Z, uint32_t, float, ({
	      const float in_ = x > -1.0f && x < 4294967296.0f ? x : 0.0f;
	      x >= 4294967296.0f ? UINT32_MAX : (uint32_t)(int64_t)in_;
      }))
