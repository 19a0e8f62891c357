/* Atomic operations, on the real addresses: they are atomic for every thread of the process. */
#include "cudaexec/softdev/exec.h"
#include "cudaexec/softdev/exec_float.h"

#include <string.h>

/* What OP makes of an integer OLD; UNSIGNED_BITS flips the sign for signed comparisons. */
#define COMBINE(type, is_signed) \
	static type combine_##type(enum ptx_atom op, type old, type b, type c, bool is_signed) \
	{ \
		const type flip = is_signed ? (type)1 << (8 * sizeof(type) - 1) : 0; \
\
		switch (op) { \
		case ATOM_ADD: \
			return (type)(old + b); \
		case ATOM_MIN: \
			return (old ^ flip) < (b ^ flip) ? old : b; \
		case ATOM_MAX: \
			return (old ^ flip) > (b ^ flip) ? old : b; \
		case ATOM_AND: \
			return old & b; \
		case ATOM_OR: \
			return old | b; \
		case ATOM_XOR: \
			return old ^ b; \
		case ATOM_CAS: \
			return old == b ? c : old; \
		case ATOM_INC: \
			return old >= b ? 0 : (type)(old + 1); \
		case ATOM_DEC: \
			return old == 0 || old > b ? b : (type)(old - 1); \
		default: \
			return b; \
		} \
	}
COMBINE(uint16_t, is_signed)
COMBINE(uint32_t, is_signed)
COMBINE(uint64_t, is_signed)

static uint32_t add_floats(uint32_t a, uint32_t b)
{
	float x, y;

	memcpy(&x, &a, sizeof(x));
	memcpy(&y, &b, sizeof(y));
	x += y;
	memcpy(&a, &x, sizeof(x));
	return a;
}

static uint64_t add_doubles(uint64_t a, uint64_t b)
{
	double x, y;

	memcpy(&x, &a, sizeof(x));
	memcpy(&y, &b, sizeof(y));
	x += y;
	memcpy(&a, &x, sizeof(x));
	return a;
}

static uint16_t add_halves(uint16_t a, uint16_t b, enum ptx_type type)
{
	return exec_half_bits(exec_half_operation(FLOAT_ADD, exec_half_value(a, type), exec_half_value(b, type), 0),
			      type, ROUND_N);
}

static uint16_t new_16(uint32_t sub, uint16_t old, uint16_t b, uint16_t c)
{
	enum ptx_type type = SUB_ATOM_TYPE(sub);

	return type == T_F16 || type == T_BF16 ? add_halves(old, b, type)
					       : combine_uint16_t(SUB_ATOM_OP(sub), old, b, c, false);
}

static uint32_t new_32(uint32_t sub, uint32_t old, uint32_t b, uint32_t c)
{
	enum ptx_type type = SUB_ATOM_TYPE(sub);

	if (type == T_F32)
		return add_floats(old, b);
	if (type == T_F16X2 || type == T_BF16X2)
		return (uint32_t)add_halves((uint16_t)(old >> 16), (uint16_t)(b >> 16), type) << 16 |
		       add_halves((uint16_t)old, (uint16_t)b, type);
	return combine_uint32_t(SUB_ATOM_OP(sub), old, b, c, type == T_S32);
}

static uint64_t new_64(uint32_t sub, uint64_t old, uint64_t b, uint64_t c)
{
	enum ptx_type type = SUB_ATOM_TYPE(sub);

	return type == T_F64 ? add_doubles(old, b) : combine_uint64_t(SUB_ATOM_OP(sub), old, b, c, type == T_S64);
}

#define ATOMICALLY(bits) \
	static void atomic_##bits(struct exec_warp *warp, const struct ptx_insn *insn, uint32_t mask, \
				  const uint64_t *addresses) \
	{ \
		uint##bits##_t *d = insn->dst != PTX_OPERAND_NONE ? exec_lanes(warp, insn->dst) : NULL; \
		uint##bits##_t results[PTX_WARP] = {0}; \
		const uint##bits##_t *b = exec_lanes(warp, insn->b); \
		const uint##bits##_t *c = insn->c != PTX_OPERAND_NONE ? exec_lanes(warp, insn->c) : b; \
\
		for (uint32_t left = mask; left; left &= left - 1) { \
			unsigned i = exec_first_lane(left); \
			uint##bits##_t *at = (uint##bits##_t *)addresses[i], \
				       old = __atomic_load_n(at, __ATOMIC_SEQ_CST); \
\
			while (!__atomic_compare_exchange_n(at, &old, new_##bits(insn->sub, old, b[i], c[i]), false, \
							    __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)) \
				; \
			results[i] = old; \
		} \
		for (uint32_t left = d ? mask : 0; left; left &= left - 1) \
			d[exec_first_lane(left)] = results[exec_first_lane(left)]; \
	}
ATOMICALLY(16)
ATOMICALLY(32)
ATOMICALLY(64)

enum exec_step op_ATOM(struct exec_warp *warp, const struct ptx_insn *insn, uint32_t mask)
{
	uint32_t size = ptx_type_size(SUB_ATOM_TYPE(insn->sub));
	uint64_t addresses[PTX_WARP];

	if (!exec_addresses(warp, insn, mask, size, addresses))
		return STEP_FAULT;
	if (size == 8)
		atomic_64(warp, insn, mask, addresses);
	else if (size == 4)
		atomic_32(warp, insn, mask, addresses);
	else
		atomic_16(warp, insn, mask, addresses);
	return STEP_NEXT;
}
