/* Operations between lanes, on predicates, and on addresses. */
#include "cudaexec/softdev/exec.h"
#include "supervisor/util.h"

#include <string.h>
#include <time.h>

#define HANDLER(name) enum exec_step op_##name(struct exec_warp *warp, const struct ptx_insn *insn, uint32_t mask)
#define FOR_BITS(lane, mask) \
	for (uint32_t bits_ = (mask), lane = bits_ ? exec_first_lane(bits_) : 0; bits_; \
	     bits_ &= bits_ - 1, lane = bits_ ? exec_first_lane(bits_) : 0)

/* --- between lanes ------------------------------------------------------------------------------------------------ */

HANDLER(SHFL)
{
	uint32_t *d = exec_lanes(warp, insn->dst), from[PTX_WARP], valid = 0;
	const uint32_t *b = exec_lanes(warp, insn->b), *c = exec_lanes(warp, insn->c);

	memcpy(from, exec_lanes(warp, insn->a), sizeof(from));
	FOR_BITS(lane, mask)
	{
		/* c: the bound in the low bits, and which bits of the lane number make its segment. */
		uint32_t shift = b[lane] & 31, clamp = c[lane] & 31, segment = c[lane] >> 8 & 31;
		uint32_t top = (lane & segment) | (clamp & ~segment), low = lane & segment;
		int32_t source = 0;
		bool good = false;

		switch (insn->imm) {
		case SHFL_UP:
			source = (int32_t)lane - (int32_t)shift;
			good = source >= (int32_t)top;
			break;
		case SHFL_DOWN:
			source = (int32_t)(lane + shift);
			good = source <= (int32_t)top;
			break;
		case SHFL_BFLY:
			source = (int32_t)(lane ^ shift);
			good = source <= (int32_t)top;
			break;
		default:
			source = (int32_t)(low | (shift & ~segment));
			good = source <= (int32_t)top;
			break;
		}
		if (!good || source > 31 || !(mask >> source & 1))
			source = (int32_t)lane;
		d[lane] = from[source];
		valid |= good ? 1u << lane : 0;
	}
	if (insn->aux != PTX_OPERAND_NONE)
		exec_set_predicate(warp, insn->aux, mask, valid);
	return STEP_NEXT;
}

HANDLER(VOTE)
{
	uint32_t value = (exec_predicate(warp, insn->a) ^ (insn->sub ? EXEC_ALL : 0)) & mask;
	bool result = insn->imm == VOTE_ALL   ? value == mask
		      : insn->imm == VOTE_ANY ? value != 0
					      : value == 0 || value == mask;

	if (insn->imm == VOTE_BALLOT) {
		uint32_t *d = exec_lanes(warp, insn->dst);

		FOR_BITS(lane, mask) d[lane] = value;
	} else {
		exec_set_predicate(warp, insn->dst, mask, result ? EXEC_ALL : 0);
	}
	return STEP_NEXT;
}

static uint64_t lane_value(const void *lanes, uint32_t lane, uint32_t size)
{
	return size == 8 ? ((const uint64_t *)lanes)[lane] : ((const uint32_t *)lanes)[lane];
}

HANDLER(MATCH_ANY)
{
	uint32_t *d = exec_lanes(warp, insn->dst), result[PTX_WARP] = {0};
	const void *a = exec_lanes(warp, insn->a);

	FOR_BITS(lane, mask)
	for (uint32_t bits = mask; bits; bits &= bits - 1) {
		uint32_t other = exec_first_lane(bits);

		result[lane] |= lane_value(a, lane, insn->sub) == lane_value(a, other, insn->sub) ? 1u << other : 0;
	}
	FOR_BITS(lane, mask) d[lane] = result[lane];
	return STEP_NEXT;
}

HANDLER(MATCH_ALL)
{
	uint32_t *d = exec_lanes(warp, insn->dst);
	const void *a = exec_lanes(warp, insn->a);
	uint64_t first = lane_value(a, exec_first_lane(mask), insn->sub);
	bool same = true;

	FOR_BITS(lane, mask) same &= lane_value(a, lane, insn->sub) == first;
	FOR_BITS(lane, mask) d[lane] = same ? mask : 0;
	if (insn->aux != PTX_OPERAND_NONE)
		exec_set_predicate(warp, insn->aux, mask, same ? EXEC_ALL : 0);
	return STEP_NEXT;
}

HANDLER(REDUX)
{
	uint32_t *d = exec_lanes(warp, insn->dst);
	const uint32_t *a = exec_lanes(warp, insn->a);
	uint32_t result = a[exec_first_lane(mask)], flip = insn->sub == T_S32 ? 0x80000000u : 0;

	FOR_BITS(lane, mask & (mask - 1))
	{
		uint32_t x = a[lane];

		switch (insn->imm) {
		case REDUX_ADD:
			result += x;
			break;
		case REDUX_MIN:
			result = (x ^ flip) < (result ^ flip) ? x : result;
			break;
		case REDUX_MAX:
			result = (x ^ flip) > (result ^ flip) ? x : result;
			break;
		case REDUX_AND:
			result &= x;
			break;
		case REDUX_OR:
			result |= x;
			break;
		default:
			result ^= x;
			break;
		}
	}
	FOR_BITS(lane, mask) d[lane] = result;
	return STEP_NEXT;
}

HANDLER(ACTIVEMASK)
{
	uint32_t *d = exec_lanes(warp, insn->dst);

	FOR_BITS(lane, mask) d[lane] = mask;
	return STEP_NEXT;
}

/* --- predicates --------------------------------------------------------------------------------------------------- */

HANDLER(MOV_P)
{
	exec_set_predicate(warp, insn->dst, mask, exec_predicate(warp, insn->a));
	return STEP_NEXT;
}

HANDLER(AND_P)
{
	exec_set_predicate(warp, insn->dst, mask, exec_predicate(warp, insn->a) & exec_predicate(warp, insn->b));
	return STEP_NEXT;
}

HANDLER(OR_P)
{
	exec_set_predicate(warp, insn->dst, mask, exec_predicate(warp, insn->a) | exec_predicate(warp, insn->b));
	return STEP_NEXT;
}

HANDLER(XOR_P)
{
	exec_set_predicate(warp, insn->dst, mask, exec_predicate(warp, insn->a) ^ exec_predicate(warp, insn->b));
	return STEP_NEXT;
}

HANDLER(NOT_P)
{
	exec_set_predicate(warp, insn->dst, mask, ~exec_predicate(warp, insn->a));
	return STEP_NEXT;
}

/* --- addresses and clocks -------------------------------------------------------------------------------- */

static void set_all(struct exec_warp *warp, uint32_t operand, uint32_t size, uint32_t mask, uint64_t value)
{
	void *d = exec_lanes(warp, operand);

	FOR_BITS(lane, mask)
	{
		if (size == 8)
			((uint64_t *)d)[lane] = value;
		else if (size == 4)
			((uint32_t *)d)[lane] = (uint32_t)value;
		else
			((uint16_t *)d)[lane] = (uint16_t)value;
	}
}

static uint64_t nanoseconds(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000ull + (uint64_t)now.tv_nsec;
}

HANDLER(CLOCK_32)
{
	set_all(warp, insn->dst, 4, mask, __builtin_ia32_rdtsc());
	return STEP_NEXT;
}

HANDLER(CLOCK_64)
{
	set_all(warp, insn->dst, 8, mask, __builtin_ia32_rdtsc());
	return STEP_NEXT;
}

HANDLER(CLOCK_NS)
{
	set_all(warp, insn->dst, 8, mask, nanoseconds());
	return STEP_NEXT;
}

HANDLER(CVTA)
{
	uint64_t *d = exec_lanes(warp, insn->dst);
	const uint64_t *a = exec_lanes(warp, insn->a);
	uint64_t stride = insn->sub == SPACE_LOCAL ? warp->block->local_stride : 0;
	uint64_t base = (uint64_t)(insn->sub == SPACE_LOCAL ? warp->local : warp->block->shared);

	FOR_BITS(lane, mask)
	{
		uint64_t window = base + lane * stride;

		d[lane] = insn->imm == CVTA_TO ? a[lane] - window : a[lane] + window;
	}
	return STEP_NEXT;
}

HANDLER(ISSPACEP)
{
	const struct exec_block *block = warp->block;
	const uint64_t *a = exec_lanes(warp, insn->a);
	uint32_t value = 0;

	FOR_BITS(lane, mask)
	{
		bool shared = a[lane] - (uint64_t)block->shared < block->shared_size;
		bool local =
			a[lane] - (uint64_t)warp->local - (uint64_t)lane * block->local_stride < block->local_stride;
		bool param = a[lane] - (uint64_t)block->run->params < block->run->params_size;
		bool in = insn->sub == SPACE_SHARED  ? shared
			  : insn->sub == SPACE_LOCAL ? local
			  : insn->sub == SPACE_PARAM ? param
						     : !shared && !local && !param;

		value |= in ? 1u << lane : 0;
	}
	exec_set_predicate(warp, insn->dst, mask, value);
	return STEP_NEXT;
}

/* The n-th set bit from BASE on, upwards or downwards; all bits set when there is none. */
static uint32_t find_nth(uint32_t value, uint32_t base, int32_t nth)
{
	int32_t step = nth < 0 ? -1 : 1, left = nth < 0 ? -nth : nth;

	if (nth == 0)
		return base < 32 && value >> base & 1 ? base : UINT32_MAX;
	for (int32_t i = (int32_t)base; i >= 0 && i < 32; i += step)
		if (value >> i & 1 && --left == 0)
			return (uint32_t)i;
	return UINT32_MAX;
}

HANDLER(FNS)
{
	uint32_t *d = exec_lanes(warp, insn->dst);
	const uint32_t *a = exec_lanes(warp, insn->a), *b = exec_lanes(warp, insn->b), *c = exec_lanes(warp, insn->c);

	FOR_BITS(lane, mask)
	{
		int32_t nth = (int32_t)c[lane];

		d[lane] = nth < -32 || nth > 32 ? UINT32_MAX : find_nth(a[lane], b[lane], nth);
	}
	return STEP_NEXT;
}
