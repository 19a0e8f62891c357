/* Loads and stores. Included by lanes_all.h only. */

/*
 * Real addresses of all lanes; lanes outside the mask repeat an active one, so that loops need not look at the mask.
 * False after a fault.
 */
static inline bool lane_addresses(struct exec_warp *warp, const struct ptx_insn *insn, uint32_t mask, uint32_t size,
				  uint64_t *ret_addresses)
{
	const struct exec_block *block = warp->block;
	const enum ptx_space space = SUB_SPACE(insn->sub);
	const uint64_t add = (uint64_t)(int64_t)insn->imm;
	uint64_t first, bad = 0, low, room;

	if (space != SPACE_GLOBAL && space != SPACE_SHARED)
		return exec_addresses(warp, insn, mask, size, ret_addresses);
	if (insn->sub & SUB_WIDE_ADDRESS) {
		const uint64_t *a = LANES_OF(uint64_t, insn->a);

		first = a[exec_first_lane(mask)] + add;
		FOR_LANES ret_addresses[i] = mask & lane_bits[i] ? a[i] + add : first;
	} else {
		const uint32_t *a = LANES_OF(uint32_t, insn->a);

		first = a[exec_first_lane(mask)] + add;
		FOR_LANES ret_addresses[i] = mask & lane_bits[i] ? a[i] + add : first;
	}
	if (space == SPACE_SHARED) {
		low = 0;
		room = block->shared_size;
	} else {
		const struct device_range *range = &block->ranges[warp->pc % EXEC_RANGES];

		low = range->base;
		room = range->size;
	}
	if (room < size)
		return exec_addresses(warp, insn, mask, size, ret_addresses);
	room -= size;
	FOR_LANES bad |= (uint64_t)(ret_addresses[i] - low > room) | (ret_addresses[i] & (size - 1));
	if (bad)
		return exec_addresses(warp, insn, mask, size, ret_addresses);
	if (space == SPACE_SHARED)
		FOR_LANES ret_addresses[i] += (uint64_t)block->shared;
	return true;
}

enum pattern { PATTERN_ANY, PATTERN_SAME, PATTERN_ROW };

/* How the addresses of half a warp lie: all the same, or one element after the other. */
static inline enum pattern find_pattern(const uint64_t *addresses, uint64_t size)
{
	uint64_t same = 0, row = 0;

	LANES_INDEPENDENT
	for (unsigned i = 0; i < PTX_WARP / 2; i++) {
		same |= addresses[i] ^ addresses[0];
		row |= addresses[i] ^ (addresses[0] + i * size);
	}
	return row == 0 ? PATTERN_ROW : same == 0 ? PATTERN_SAME : PATTERN_ANY;
}

#define FIELD(n) ((n) == 0 ? insn->dst : (n) == 1 ? insn->b : (n) == 2 ? insn->c : insn->aux)

#define LOAD(name, memory, type) \
	HANDLER(name) \
	{ \
		const uint32_t count = SUB_VECTOR(insn->sub); \
		_Alignas(64) uint64_t addresses[PTX_WARP]; \
\
		if (!lane_addresses(warp, insn, mask, sizeof(memory) * count, addresses)) \
			return STEP_FAULT; \
		if (mask != warp->full) { \
			for (uint32_t n = 0; n < count; n++) { \
				type *d = LANES_OF(type, FIELD(n)); \
\
				for (uint32_t bits = mask; bits; bits &= bits - 1) { \
					unsigned i = exec_first_lane(bits); \
\
					d[i] = (type)((const memory *)addresses[i])[n]; \
				} \
			} \
			return STEP_NEXT; \
		} \
		for (unsigned half = 0; half < PTX_WARP; half += PTX_WARP / 2) { \
			const enum pattern pattern = find_pattern(addresses + half, sizeof(memory)); \
\
			for (uint32_t n = 0; n < count; n++) { \
				type *d = LANES_OF(type, FIELD(n)) + half; \
				const memory *from = (const memory *)addresses[half] + n; \
\
				if (pattern == PATTERN_ROW && count == 1) { \
					LANES_INDEPENDENT \
					for (unsigned i = 0; i < PTX_WARP / 2; i++) \
						d[i] = (type)from[i]; \
				} else if (pattern == PATTERN_SAME) { \
					const type value = (type)*from; \
\
					for (unsigned i = 0; i < PTX_WARP / 2; i++) \
						d[i] = value; \
				} else { \
					for (unsigned i = 0; i < PTX_WARP / 2; i++) \
						d[i] = (type)((const memory *)addresses[half + i])[n]; \
				} \
			} \
		} \
		return STEP_NEXT; \
	}

LOAD(LD_U8_16, uint8_t, uint16_t)
LOAD(LD_U8_32, uint8_t, uint32_t)
LOAD(LD_U8_64, uint8_t, uint64_t)
LOAD(LD_S8_16, int8_t, int16_t)
LOAD(LD_S8_32, int8_t, int32_t)
LOAD(LD_S8_64, int8_t, int64_t)
LOAD(LD_16, uint16_t, uint16_t)
LOAD(LD_U16_32, uint16_t, uint32_t)
LOAD(LD_U16_64, uint16_t, uint64_t)
LOAD(LD_S16_32, int16_t, int32_t)
LOAD(LD_S16_64, int16_t, int64_t)
LOAD(LD_32, uint32_t, uint32_t)
LOAD(LD_U32_64, uint32_t, uint64_t)
LOAD(LD_S32_64, int32_t, int64_t)
LOAD(LD_64, uint64_t, uint64_t)

/* Lanes that write the same place write in the order of the lanes. */
#define STORE(name, memory, type) \
	HANDLER(name) \
	{ \
		const uint32_t count = SUB_VECTOR(insn->sub); \
		_Alignas(64) uint64_t addresses[PTX_WARP]; \
\
		if (!lane_addresses(warp, insn, mask, sizeof(memory) * count, addresses)) \
			return STEP_FAULT; \
		if (mask == EXEC_ALL && count == 1 && find_pattern(addresses, sizeof(memory)) == PATTERN_ROW && \
		    find_pattern(addresses + PTX_WARP / 2, sizeof(memory)) == PATTERN_ROW) { \
			for (unsigned half = 0; half < PTX_WARP; half += PTX_WARP / 2) { \
				const type *from = LANES_OF(type, insn->dst) + half; \
				memory *to = (memory *)addresses[half]; \
\
				LANES_INDEPENDENT \
				for (unsigned i = 0; i < PTX_WARP / 2; i++) \
					to[i] = (memory)from[i]; \
			} \
			return STEP_NEXT; \
		} \
		for (uint32_t n = 0; n < count; n++) { \
			const type *from = LANES_OF(type, FIELD(n)); \
\
			for (uint32_t bits = mask; bits; bits &= bits - 1) { \
				unsigned i = exec_first_lane(bits); \
\
				((memory *)addresses[i])[n] = (memory)from[i]; \
			} \
		} \
		return STEP_NEXT; \
	}

STORE(ST_8_16, uint8_t, uint16_t)
STORE(ST_8_32, uint8_t, uint32_t)
STORE(ST_8_64, uint8_t, uint64_t)
STORE(ST_16, uint16_t, uint16_t)
STORE(ST_16_32, uint16_t, uint32_t)
STORE(ST_16_64, uint16_t, uint64_t)
STORE(ST_32, uint32_t, uint32_t)
STORE(ST_32_64, uint32_t, uint64_t)
STORE(ST_64, uint64_t, uint64_t)
