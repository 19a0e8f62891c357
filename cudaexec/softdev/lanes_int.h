/* Lane operations on integers and bits. Included by lanes_all.h only. */

#define BITS3(M)   M(16, uint16_t) M(32, uint32_t) M(64, uint64_t)
#define INT6(M)	   M(U16, uint16_t) M(S16, int16_t) M(U32, uint32_t) M(S32, int32_t) M(U64, uint64_t) M(S64, int64_t)
#define SIGNED3(M) M(S16, int16_t, uint16_t) M(S32, int32_t, uint32_t) M(S64, int64_t, uint64_t)

/* Unsigned arithmetic wraps; 16-bit products must not be computed as (signed) int. */
#define DEFINE(bits, type) \
	UNARY(MOV_##bits, type, type, (type)x) \
	BINARY(ADD_##bits, type, (type)(x + y)) \
	BINARY(SUB_##bits, type, (type)(x - y)) \
	BINARY(MULLO_##bits, type, (type)(1u * x * y)) \
	TERNARY(MADLO_##bits, type, (type)(1u * x * y + z)) \
	BINARY(AND_##bits, type, (type)(x & y)) \
	BINARY(OR_##bits, type, (type)(x | y)) \
	BINARY(XOR_##bits, type, (type)(x ^ y)) \
	UNARY(NOT_##bits, type, type, (type)~x) \
	UNARY(CNOT_##bits, type, type, (type)(x == 0)) \
	BINARY_TYPES(SHL_##bits, type, type, uint32_t, y < bits ? (type)((uint64_t)x << (y % bits)) : (type)0) \
	COMPARE(EQ_##bits, type, x == y) \
	COMPARE(NE_##bits, type, x != y) \
	HANDLER(SELP_##bits) \
	{ \
		type *d = LANES_OF(type, insn->dst); \
		const type *a = LANES_OF(type, insn->a); \
		const type *b = LANES_OF(type, insn->b); \
		const uint32_t p = exec_predicate(warp, insn->c); \
\
		WRITE_LANES(type, d, p &lane_bits[i] ? a[i] : b[i]); \
		return STEP_NEXT; \
	} \
	TERNARY_TYPES(SLCT_S32_##bits, type, type, int32_t, z >= 0 ? x : y) \
	TERNARY_TYPES(SLCT_F32_##bits, type, type, float, flush_f32(z) >= 0 ? x : y)
BITS3(DEFINE)
#undef DEFINE

/* Absolute value and negation of the smallest number give the smallest number. */
#define DEFINE(name, type, bits) \
	UNARY(ABS_##name, bits, bits, (type)x < 0 ? (bits)(0u - x) : x) \
	UNARY(NEG_##name, bits, bits, (bits)(0u - x))
SIGNED3(DEFINE)
#undef DEFINE

#define DEFINE(name, type) \
	COMPARE(LT_##name, type, x < y) \
	COMPARE(LE_##name, type, x <= y)
INT6(DEFINE)
#undef DEFINE
#define DEFINE(name, type) \
	BINARY(MIN_##name, type, x < y ? x : y) \
	BINARY(MAX_##name, type, x > y ? x : y)
DEFINE(U32, uint32_t)
DEFINE(S32, int32_t)
DEFINE(U64, uint64_t)
DEFINE(S64, int64_t)
#undef DEFINE
/* Lane by lane: gcc 12 fails at masked vector maxima of 16-bit numbers. */
#define DEFINE(name, type, operator) \
	HANDLER(name) \
	{ \
		type *d = LANES_OF(type, insn->dst); \
		const type *a = LANES_OF(type, insn->a); \
		const type *b = LANES_OF(type, insn->b); \
\
		for (uint32_t bits = mask; bits; bits &= bits - 1) { \
			unsigned i = exec_first_lane(bits); \
\
			d[i] = a[i] operator b[i] ? a[i] : b[i]; \
		} \
		return STEP_NEXT; \
	}
DEFINE(MIN_U16, uint16_t, <)
DEFINE(MIN_S16, int16_t, <)
DEFINE(MAX_U16, uint16_t, >)
DEFINE(MAX_S16, int16_t, >)
#undef DEFINE

#define DEFINE(name, type, bits) \
	TERNARY_TYPES(SAD_##name, bits, type, bits, (bits)(z + (x < y ? (bits)y - (bits)x : (bits)x - (bits)y)))
DEFINE(U16, uint16_t, uint16_t)
DEFINE(S16, int16_t, uint16_t)
DEFINE(U32, uint32_t, uint32_t)
DEFINE(S32, int32_t, uint32_t)
DEFINE(U64, uint64_t, uint64_t)
DEFINE(S64, int64_t, uint64_t)
#undef DEFINE

/* Shifts by the width or more: 0, or the sign. */
BINARY_TYPES(SHR_U16, uint16_t, uint16_t, uint32_t, y < 16 ? (uint16_t)(x >> (y & 15)) : 0)
BINARY_TYPES(SHR_U32, uint32_t, uint32_t, uint32_t, y < 32 ? x >> (y & 31) : 0)
BINARY_TYPES(SHR_U64, uint64_t, uint64_t, uint32_t, y < 64 ? x >> (y & 63) : 0)
BINARY_TYPES(SHR_S16, int16_t, int16_t, uint32_t, (int16_t)(x >> (y < 15 ? y : 15)))
BINARY_TYPES(SHR_S32, int32_t, int32_t, uint32_t, x >> (y < 31 ? y : 31))
BINARY_TYPES(SHR_S64, int64_t, int64_t, uint32_t, x >> (y < 63 ? y : 63))

/* --- products ----------------------------------------------------------------------------------------------------- */

__extension__ typedef unsigned __int128 wide_u64;
__extension__ typedef __int128 wide_s64;

#define DEFINE(name, type, bits, wide, width) \
	BINARY_TYPES(MULHI_##name, bits, type, type, (bits)((wide)x * (wide)y >> width)) \
	TERNARY_TYPES(MADHI_##name, bits, type, bits, (bits)((bits)((wide)x * (wide)y >> width) + z))
DEFINE(U16, uint16_t, uint16_t, uint32_t, 16)
DEFINE(S16, int16_t, uint16_t, int32_t, 16)
DEFINE(U32, uint32_t, uint32_t, uint64_t, 32)
DEFINE(S32, int32_t, uint32_t, int64_t, 32)
DEFINE(U64, uint64_t, uint64_t, wide_u64, 64)
DEFINE(S64, int64_t, uint64_t, wide_s64, 64)
#undef DEFINE

#define DEFINE(name, type, wide, bits) \
	BINARY_TYPES(MULWIDE_##name, bits, type, type, (bits)((wide)x * (wide)y)) \
	TERNARY_TYPES(MADWIDE_##name, bits, type, bits, (bits)((bits)((wide)x * (wide)y) + z))
DEFINE(U16, uint16_t, uint32_t, uint32_t)
DEFINE(S16, int16_t, int32_t, uint32_t)
DEFINE(U32, uint32_t, uint64_t, uint64_t)
DEFINE(S32, int32_t, int64_t, uint64_t)
#undef DEFINE

BINARY(ADDSAT_S32, int32_t, ({
	       int64_t sum_ = (int64_t)x + y;
	       (int32_t)(sum_ > INT32_MAX ? INT32_MAX : sum_ < INT32_MIN ? INT32_MIN : sum_);
       }))
BINARY(SUBSAT_S32, int32_t, ({
	       int64_t sum_ = (int64_t)x - y;
	       (int32_t)(sum_ > INT32_MAX ? INT32_MAX : sum_ < INT32_MIN ? INT32_MIN : sum_);
       }))

/*
 * Division is what the hardware does when the program does not look: by zero gives all bits set, the remainder then is
 * the dividend, and the smallest number divided by -1 is itself.
 */
#define DEFINE(name, type) \
	BINARY(DIV_##name, type, y == 0 ? (type) ~(type)0 : (type)(x / y)) \
	BINARY(REM_##name, type, y == 0 ? x : (type)(x % y))
DEFINE(U16, uint16_t)
DEFINE(U32, uint32_t)
DEFINE(U64, uint64_t)
#undef DEFINE

#define DEFINE(name, type, bits) \
	BINARY_TYPES(DIV_##name, bits, type, type, \
		     y == 0    ? (bits) ~(bits)0 \
		     : y == -1 ? (bits)(0u - (bits)x) \
			       : (bits)(x / y)) \
	BINARY_TYPES(REM_##name, bits, type, type, y == 0 ? (bits)x : y == -1 ? (bits)0 : (bits)(x % y))
DEFINE(S16, int16_t, uint16_t)
DEFINE(S32, int32_t, uint32_t)
DEFINE(S64, int64_t, uint64_t)
#undef DEFINE

/* --- bits --------------------------------------------------------------------------------------------------------- */

HANDLER(LOP3)
{
	uint32_t *d = LANES_OF(uint32_t, insn->dst);
	const uint32_t *a = LANES_OF(uint32_t, insn->a);
	const uint32_t *b = LANES_OF(uint32_t, insn->b);
	const uint32_t *c = LANES_OF(uint32_t, insn->c);
	uint32_t terms[8];

	for (unsigned t = 0; t < 8; t++)
		terms[t] = insn->imm >> t & 1 ? EXEC_ALL : 0;
	WRITE_LANES(uint32_t, d,
		    (terms[0] & ~a[i] & ~b[i] & ~c[i]) | (terms[1] & ~a[i] & ~b[i] & c[i]) |
			    (terms[2] & ~a[i] & b[i] & ~c[i]) | (terms[3] & ~a[i] & b[i] & c[i]) |
			    (terms[4] & a[i] & ~b[i] & ~c[i]) | (terms[5] & a[i] & ~b[i] & c[i]) |
			    (terms[6] & a[i] & b[i] & ~c[i]) | (terms[7] & a[i] & b[i] & c[i]));
	return STEP_NEXT;
}

/* The pair is y:x (y is the upper half). */
#define PAIR ((uint64_t)y << 32 | x)
TERNARY(SHF_LW, uint32_t, (uint32_t)(PAIR << (z & 31) >> 32))
TERNARY(SHF_LC, uint32_t, (uint32_t)(z < 32 ? PAIR << (z & 31) >> 32 : x))
TERNARY(SHF_RW, uint32_t, (uint32_t)(PAIR >> (z & 31)))
TERNARY(SHF_RC, uint32_t, (uint32_t)(z < 32 ? PAIR >> (z & 31) : y))
#undef PAIR

/* The selector that a special mode of prmt stands for. */
static inline uint32_t prmt_selector(int32_t mode, uint32_t c)
{
	static const uint16_t selectors[7][4] = {
		{0},
		{0x3210, 0x4321, 0x5432, 0x6543}, /* f4e */
		{0x5670, 0x6701, 0x7012, 0x0123}, /* b4e */
		{0x0000, 0x1111, 0x2222, 0x3333}, /* rc8 */
		{0x3210, 0x3211, 0x3222, 0x3333}, /* ecl */
		{0x0000, 0x1110, 0x2210, 0x3210}, /* ecr */
		{0x1010, 0x3232, 0x1010, 0x3232}, /* rc16 */
	};

	return mode ? selectors[mode][c & 3] : c;
}

static inline uint32_t permute(uint64_t pair, uint32_t selector)
{
	uint32_t result = 0;

	for (unsigned n = 0; n < 4; n++) {
		uint32_t choice = selector >> (4 * n) & 15;
		uint32_t byte = (uint32_t)(pair >> (8 * (choice & 7))) & 255;

		if (choice & 8)
			byte = byte & 128 ? 255 : 0;
		result |= byte << (8 * n);
	}
	return result;
}

TERNARY(PRMT, uint32_t, permute((uint64_t)y << 32 | x, prmt_selector(insn->imm, z)))

static inline uint64_t extract(uint64_t value, uint32_t position, uint32_t length, unsigned width, bool is_signed)
{
	uint32_t at = position & 255, bits = length & 255, sign_at;
	uint64_t field, sign = 0;

	sign_at = at + bits > width ? width - 1 : at + bits - 1;
	if (is_signed && bits != 0)
		sign = value >> (sign_at & 63) & 1;
	field = at < width ? value >> (at & 63) : 0;
	/* Bits beyond the value are copies of the sign. */
	if (at >= width)
		field = 0 - sign;
	else if (sign && at > 0)
		field |= ~0ull << (width - at);
	if (bits == 0)
		return 0;
	if (bits >= 64)
		return field;
	field &= (1ull << bits) - 1;
	return sign ? field | ~0ull << bits : field;
}

#define DEFINE(name, type, width, is_signed) \
	HANDLER(BFE_##name) \
	{ \
		type *d = LANES_OF(type, insn->dst); \
		const type *a = LANES_OF(type, insn->a); \
		const uint32_t *b = LANES_OF(uint32_t, insn->b); \
		const uint32_t *c = LANES_OF(uint32_t, insn->c); \
\
		WRITE_LANES(type, d, extract(a[i], b[i], c[i], width, is_signed)); \
		return STEP_NEXT; \
	}
DEFINE(U32, uint32_t, 32, false)
DEFINE(S32, uint32_t, 32, true)
DEFINE(U64, uint64_t, 64, false)
DEFINE(S64, uint64_t, 64, true)
#undef DEFINE

static inline uint64_t insert(uint64_t field, uint64_t into, uint32_t position, uint32_t length, unsigned width)
{
	uint32_t at = position & 255, bits = length & 255;
	uint64_t mask = bits >= 64 ? ~0ull : (1ull << bits) - 1;

	return at >= width ? into : (into & ~(mask << at)) | ((field & mask) << at);
}

#define DEFINE(bits, type) \
	HANDLER(BFI_##bits) \
	{ \
		type *d = LANES_OF(type, insn->dst); \
		const type *a = LANES_OF(type, insn->a); \
		const type *b = LANES_OF(type, insn->b); \
		const uint32_t *c = LANES_OF(uint32_t, insn->c); \
		const uint32_t *length = LANES_OF(uint32_t, insn->aux); \
\
		WRITE_LANES(type, d, insert(a[i], b[i], c[i], length[i], bits)); \
		return STEP_NEXT; \
	}
DEFINE(32, uint32_t)
DEFINE(64, uint64_t)
#undef DEFINE

/* The highest bit that differs from the sign; -1 when there is none. imm: as the shift that brings it to the top. */
#define DEFINE(name, type, bits, width) \
	UNARY(BFIND_##name, uint32_t, type, ({ \
		      bits value_ = x < 0 ? (bits)~x : (bits)x; \
		      uint32_t at_ = 63 - (uint32_t)__builtin_clzll((uint64_t)value_ | 1); \
		      value_ == 0 ? UINT32_MAX : insn->imm ? width - 1 - at_ : at_; \
	      }))
DEFINE(S32, int32_t, uint32_t, 32)
DEFINE(S64, int64_t, uint64_t, 64)
#undef DEFINE
#define DEFINE(name, type, width) \
	UNARY(BFIND_##name, uint32_t, type, ({ \
		      uint32_t at_ = 63 - (uint32_t)__builtin_clzll((uint64_t)x | 1); \
		      x == 0 ? UINT32_MAX : insn->imm ? width - 1 - at_ : at_; \
	      }))
DEFINE(U32, uint32_t, 32)
DEFINE(U64, uint64_t, 64)
#undef DEFINE

static inline uint32_t reverse32(uint32_t x)
{
	x = (x >> 1 & 0x55555555) | (x & 0x55555555) << 1;
	x = (x >> 2 & 0x33333333) | (x & 0x33333333) << 2;
	x = (x >> 4 & 0x0f0f0f0f) | (x & 0x0f0f0f0f) << 4;
	return __builtin_bswap32(x);
}

UNARY(BREV_32, uint32_t, uint32_t, reverse32(x))
UNARY(BREV_64, uint64_t, uint64_t, (uint64_t)reverse32((uint32_t)x) << 32 | reverse32((uint32_t)(x >> 32)))
UNARY(CLZ_32, uint32_t, uint32_t, x ? (uint32_t)__builtin_clz(x) : 32)
UNARY(CLZ_64, uint32_t, uint64_t, x ? (uint32_t)__builtin_clzll(x) : 64)
UNARY(POPC_32, uint32_t, uint32_t, (uint32_t)__builtin_popcount(x))
UNARY(POPC_64, uint32_t, uint64_t, (uint32_t)__builtin_popcountll(x))

static inline int32_t part_of(uint32_t value, unsigned shift, unsigned width, bool is_signed)
{
	uint32_t part = value >> shift & ((1u << width) - 1);

	return is_signed ? (int32_t)(part << (32 - width)) >> (32 - width) : (int32_t)part;
}

static inline uint32_t dot4(uint32_t a, uint32_t b, uint32_t sub)
{
	int32_t sum = 0;

	for (unsigned n = 0; n < 32; n += 8)
		sum += part_of(a, n, 8, sub & 1) * part_of(b, n, 8, sub & 2);
	return (uint32_t)sum;
}

static inline uint32_t dot2(uint32_t a, uint32_t b, uint32_t sub)
{
	uint32_t from = sub & 4 ? 16 : 0, sum = 0;

	for (unsigned n = 0; n < 2; n++)
		sum += (uint32_t)(part_of(a, 16 * n, 16, sub & 1) * part_of(b, from + 8 * n, 8, sub & 2));
	return sum;
}

TERNARY(DP4A, uint32_t, dot4(x, y, insn->sub) + z)
TERNARY(DP2A, uint32_t, dot2(x, y, insn->sub) + z)

/* --- pairs -------------------------------------------------------------------------------------------------------- */

BINARY_TYPES(PACK_32_16, uint32_t, uint16_t, uint16_t, (uint32_t)y << 16 | x)
BINARY_TYPES(PACK_64_32, uint64_t, uint32_t, uint32_t, (uint64_t)y << 32 | x)

HANDLER(PACK_64_16)
{
	uint64_t *d = LANES_OF(uint64_t, insn->dst);
	const uint16_t *a = LANES_OF(uint16_t, insn->a);
	const uint16_t *b = LANES_OF(uint16_t, insn->b);
	const uint16_t *c = LANES_OF(uint16_t, insn->c);
	const uint16_t *e = LANES_OF(uint16_t, insn->aux);

	WRITE_LANES(uint64_t, d, (uint64_t)e[i] << 48 | (uint64_t)c[i] << 32 | (uint64_t)b[i] << 16 | a[i]);
	return STEP_NEXT;
}

#define DEFINE(name, part, type, width) \
	HANDLER(name) \
	{ \
		const type *a = LANES_OF(type, insn->a); \
		part *d = LANES_OF(part, insn->dst); \
		part *b = LANES_OF(part, insn->b); \
\
		WRITE_LANES(part, d, a[i]); \
		WRITE_LANES(part, b, a[i] >> width); \
		return STEP_NEXT; \
	}
DEFINE(UNPACK_32_16, uint16_t, uint32_t, 16)
DEFINE(UNPACK_64_32, uint32_t, uint64_t, 32)
#undef DEFINE

HANDLER(UNPACK_64_16)
{
	const uint64_t *a = LANES_OF(uint64_t, insn->a);
	uint16_t *d = LANES_OF(uint16_t, insn->dst);
	uint16_t *b = LANES_OF(uint16_t, insn->b);
	uint16_t *c = LANES_OF(uint16_t, insn->c);
	uint16_t *e = LANES_OF(uint16_t, insn->aux);

	WRITE_LANES(uint16_t, d, a[i]);
	WRITE_LANES(uint16_t, b, a[i] >> 16);
	WRITE_LANES(uint16_t, c, a[i] >> 32);
	WRITE_LANES(uint16_t, e, a[i] >> 48);
	return STEP_NEXT;
}

/* --- width -------------------------------------------------------------------------------------------------------- */

UNARY(CVT_U64_U32, uint64_t, uint32_t, (uint64_t)x)
UNARY(CVT_S64_S32, int64_t, int32_t, (int64_t)x)
UNARY(CVT_U32_U64, uint32_t, uint64_t, (uint32_t)x)
UNARY(CVT_U32_U16, uint32_t, uint16_t, (uint32_t)x)
UNARY(CVT_S32_S16, int32_t, int16_t, (int32_t)x)
UNARY(CVT_U16_U32, uint16_t, uint32_t, (uint16_t)x)
UNARY(CVT_U16_U64, uint16_t, uint64_t, (uint16_t)x)

#undef BITS3
#undef INT6
#undef SIGNED3
