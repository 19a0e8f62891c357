/*
 * What the files of lane operations share. They are included once for each instruction set by exec_base.c, exec_v3.c
 * and exec_v4.c, which are compiled with different flags; all functions are static. Loops over 32 lanes are written so
 * that the compiler turns them into vector instructions.
 */
#ifndef FERRITE_CUDAEXEC_SOFTDEV_LANES_H
#define FERRITE_CUDAEXEC_SOFTDEV_LANES_H

#include "cudaexec/softdev/exec.h"

#include <float.h>
#include <immintrin.h>
#include <math.h>
#include <string.h>

/* Operands are the same array or do not overlap at all, so lanes are independent of each other. */
#ifdef __clang__
/* Loops with divisions or table look-ups stay scalar: that is no news. */
#pragma clang diagnostic ignored "-Wpass-failed"
#define LANES_INDEPENDENT _Pragma("clang loop vectorize(assume_safety)")
#else
#define LANES_INDEPENDENT _Pragma("GCC ivdep")
#endif

/* Half a warp: too short for gcc, which would rather unroll it lane by lane. */
#ifdef __clang__
#define FOR_HALF LANES_INDEPENDENT for (unsigned i = 0; i < PTX_WARP / 2; i++)
#else
#define FOR_HALF _Pragma("GCC ivdep") _Pragma("GCC unroll 1") for (unsigned i = 0; i < PTX_WARP / 2; i++)
#endif

#define FOR_LANES LANES_INDEPENDENT for (unsigned i = 0; i < PTX_WARP; i++)

#define HANDLER(name) \
	static enum exec_step op_##name(struct exec_warp *warp, const struct ptx_insn *insn, uint32_t mask)

static const _Alignas(64) uint32_t lane_bits[PTX_WARP] = {
	1u << 0,  1u << 1,  1u << 2,  1u << 3,	1u << 4,  1u << 5,  1u << 6,  1u << 7,	1u << 8,  1u << 9,  1u << 10,
	1u << 11, 1u << 12, 1u << 13, 1u << 14, 1u << 15, 1u << 16, 1u << 17, 1u << 18, 1u << 19, 1u << 20, 1u << 21,
	1u << 22, 1u << 23, 1u << 24, 1u << 25, 1u << 26, 1u << 27, 1u << 28, 1u << 29, 1u << 30, 1u << 31,
};

/* A register of the widest kind: 64 bytes, however many instructions it takes. */
typedef uint32_t lanes32 __attribute__((vector_size(64)));
typedef uint64_t lanes64 __attribute__((vector_size(64)));

static inline bool all_zero(const void *lanes)
{
#if defined(__AVX512F__)
	const __m512i x = _mm512_load_si512(lanes);

	return _mm512_test_epi32_mask(x, x) == 0;
#elif defined(__AVX2__)
	const __m256i *x = lanes, both = _mm256_or_si256(x[0], x[1]);

	return _mm256_testz_si256(both, both);
#else
	const __m128i *x = lanes, all = _mm_or_si128(_mm_or_si128(x[0], x[1]), _mm_or_si128(x[2], x[3]));

	return _mm_movemask_epi8(_mm_cmpeq_epi8(all, _mm_setzero_si128())) == 0xffff;
#endif
}

/*
 * d[i] = EXPRESSION for the lanes of the mask. When the other lanes are dead, all are written, which needs no blending.
 * Register arrays are aligned to 64 bytes.
 */
#define WRITE_LANES(type, d, expression) \
	do { \
		if (mask == warp->full) { \
			FOR_LANES(d)[i] = (type)(expression); \
		} else { \
			FOR_LANES \
			{ \
				type result_ = (type)(expression); \
				(d)[i] = mask & lane_bits[i] ? result_ : (d)[i]; \
			} \
		} \
	} while (0)

#define LANES_OF(type, operand) ((type *)__builtin_assume_aligned(exec_lanes(warp, operand), 64))

/* Operations of one, two and three sources; x, y, z are the values of a lane. */
#define UNARY(name, to, from, expression) \
	HANDLER(name) \
	{ \
		to *d = LANES_OF(to, insn->dst); \
		const from *a = LANES_OF(from, insn->a); \
\
		WRITE_LANES(to, d, ({ \
				    const from x = a[i]; \
				    (expression); \
			    })); \
		return STEP_NEXT; \
	}

#define BINARY_TYPES(name, to, from, second, expression) \
	HANDLER(name) \
	{ \
		to *d = LANES_OF(to, insn->dst); \
		const from *a = LANES_OF(from, insn->a); \
		const second *b = LANES_OF(second, insn->b); \
\
		WRITE_LANES(to, d, ({ \
				    const from x = a[i]; \
				    const second y = b[i]; \
				    (expression); \
			    })); \
		return STEP_NEXT; \
	}
#define BINARY(name, type, expression) BINARY_TYPES(name, type, type, type, expression)

#define TERNARY_TYPES(name, to, from, third, expression) \
	HANDLER(name) \
	{ \
		to *d = LANES_OF(to, insn->dst); \
		const from *a = LANES_OF(from, insn->a); \
		const from *b = LANES_OF(from, insn->b); \
		const third *c = LANES_OF(third, insn->c); \
\
		WRITE_LANES(to, d, ({ \
				    const from x = a[i]; \
				    const from y = b[i]; \
				    const third z = c[i]; \
				    (expression); \
			    })); \
		return STEP_NEXT; \
	}
#define TERNARY(name, type, expression) TERNARY_TYPES(name, type, type, type, expression)

/* A comparison makes a mask, is combined and stored as predicates. */
static inline enum exec_step finish_comparison(struct exec_warp *warp, const struct ptx_insn *insn, uint32_t mask,
					       uint32_t value)
{
	uint32_t combine = insn->sub & SUB_SETP_COMBINE, other = EXEC_ALL, inverse;

	if (insn->sub & SUB_SETP_INVERT)
		value = ~value;
	inverse = ~value;
	if (combine) {
		other = exec_predicate(warp, insn->c) ^ (insn->sub & SUB_SETP_NOT_C ? EXEC_ALL : 0);
		value = combine == SUB_SETP_AND	 ? value & other
			: combine == SUB_SETP_OR ? value | other
						 : value ^ other;
		inverse = combine == SUB_SETP_AND  ? inverse & other
			  : combine == SUB_SETP_OR ? inverse | other
						   : inverse ^ other;
	}
	exec_set_predicate(warp, insn->dst, mask, value);
	if (insn->aux != PTX_OPERAND_NONE)
		exec_set_predicate(warp, insn->aux, mask, inverse);
	return STEP_NEXT;
}

#define COMPARE_FLUSHED(name, type, flush, expression) \
	HANDLER(name) \
	{ \
		const type *a = LANES_OF(type, insn->a); \
		const type *b = LANES_OF(type, insn->b); \
		uint32_t value = 0; \
\
		FOR_LANES \
		{ \
			const type x = flush(a[i]), y = flush(b[i]); \
\
			value |= (expression) ? lane_bits[i] : 0; \
		} \
		return finish_comparison(warp, insn, mask, value); \
	}
#define AS_IS(x)			(x)
#define COMPARE(name, type, expression) COMPARE_FLUSHED(name, type, AS_IS, expression)

#endif
