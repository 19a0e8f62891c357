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

/* How the addresses of half a warp lie: all the same, or one access behind the other. */
enum pattern { PATTERN_SAME, PATTERN_ROW };

struct halves {
	uint64_t first[2]; /* real addresses */
	enum pattern pattern[2];
};

/* Finds the pattern of 16 address registers: a guess from the first two, then all must agree. */
static inline bool find_pattern_32(const uint32_t *a, uint32_t size, enum pattern *ret_pattern)
{
	static const lanes32 numbers = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
	const uint32_t step = a[1] - a[0];
	lanes32 difference;

	if (step != 0 && step != size)
		return false;
	difference = *(const lanes32 *)(const void *)a ^ (a[0] + numbers * step);
	*ret_pattern = step ? PATTERN_ROW : PATTERN_SAME;
	return all_zero(&difference);
}

static inline bool find_pattern_64(const uint64_t *a, uint32_t size, enum pattern *ret_pattern)
{
	static const lanes64 low = {0, 1, 2, 3, 4, 5, 6, 7}, high = {8, 9, 10, 11, 12, 13, 14, 15};
	const uint64_t step = a[1] - a[0];
	const lanes64 *lanes = (const lanes64 *)(const void *)a;
	lanes64 difference;

	if (step != 0 && step != size)
		return false;
	difference = (lanes[0] ^ (a[0] + low * step)) | (lanes[1] ^ (a[0] + high * step));
	*ret_pattern = step ? PATTERN_ROW : PATTERN_SAME;
	return all_zero(&difference);
}

/* The patterns of an address register, kept for loads to come if the instruction says so. */
static inline bool find_rows(const struct exec_warp *warp, const struct ptx_insn *insn, uint32_t size,
			     struct halves *ret_halves, struct exec_rows *rows)
{
	bool found = true;

	for (unsigned h = 0; h < 2; h++) {
		if (insn->sub & SUB_WIDE_ADDRESS) {
			const uint64_t *a = LANES_OF(uint64_t, insn->a) + h * (PTX_WARP / 2);

			found &= find_pattern_64(a, size, &ret_halves->pattern[h]);
			ret_halves->first[h] = a[0];
		} else {
			const uint32_t *a = LANES_OF(uint32_t, insn->a) + h * (PTX_WARP / 2);

			found &= find_pattern_32(a, size, &ret_halves->pattern[h]);
			ret_halves->first[h] = a[0];
		}
	}
	if (insn->sub & SUB_KEEP) {
		rows->valid = found;
		for (unsigned h = 0; h < 2; h++) {
			rows->first[h] = ret_halves->first[h];
			rows->row[h] = (uint8_t)ret_halves->pattern[h];
		}
	}
	return found;
}

/*
 * The quick way for accesses of SIZE bytes by whole warps: both halves have a pattern, so that two checks are enough.
 * False sends the caller the general way, which also finds out what is wrong.
 */
static inline bool find_halves(struct exec_warp *warp, const struct ptx_insn *insn, uint32_t size,
			       struct halves *ret_halves)
{
	const struct exec_block *block = warp->block;
	const enum ptx_space space = SUB_SPACE(insn->sub);
	const struct device_range *range = &block->ranges[warp->pc % EXEC_RANGES];
	struct exec_rows *rows = &warp->rows[SUB_SLOT(insn->sub)];
	const bool known = insn->sub & SUB_REPEAT && rows->valid;
	uint64_t low = 0, length = block->shared_size, move = (uint64_t)block->shared;

	if (space == SPACE_GLOBAL) {
		low = range->base;
		length = range->size;
		move = 0;
	} else if (space != SPACE_SHARED) {
		return false;
	}
	if (!known && !find_rows(warp, insn, size, ret_halves, rows))
		return false;
	for (unsigned h = 0; h < 2; h++) {
		uint64_t address = (known ? rows->first[h] : ret_halves->first[h]) + (uint64_t)(int64_t)insn->imm, span;

		if (known)
			ret_halves->pattern[h] = rows->row[h];
		span = ret_halves->pattern[h] == PATTERN_ROW ? PTX_WARP / 2 * size : size;
		if (span > length || address - low > length - span || (address & (size - 1)))
			return false;
		ret_halves->first[h] = address + move;
	}
	return true;
}

#define FIELD(n) ((n) == 0 ? insn->dst : (n) == 1 ? insn->b : (n) == 2 ? insn->c : insn->aux)

/*
 * A load of a single value by a whole warp in a pattern is by far the most frequent; all others go the general way, in
 * a function of its own so that the short one stays short.
 */
#define LOAD(name, memory, type) \
	__attribute__((noinline)) static enum exec_step general_##name(struct exec_warp *warp, \
								       const struct ptx_insn *insn, uint32_t mask) \
	{ \
		const uint32_t count = SUB_VECTOR(insn->sub); \
		_Alignas(64) uint64_t addresses[PTX_WARP]; \
\
		if (!lane_addresses(warp, insn, mask, sizeof(memory) * count, addresses)) \
			return STEP_FAULT; \
		for (uint32_t n = 0; n < count; n++) { \
			type *d = LANES_OF(type, FIELD(n)); \
\
			if (mask == warp->full) { \
				for (unsigned i = 0; i < PTX_WARP; i++) \
					d[i] = (type)((const memory *)addresses[i])[n]; \
				continue; \
			} \
			for (uint32_t bits = mask; bits; bits &= bits - 1) { \
				unsigned i = exec_first_lane(bits); \
\
				d[i] = (type)((const memory *)addresses[i])[n]; \
			} \
		} \
		return STEP_NEXT; \
	} \
	__attribute__((noinline)) static enum exec_step vector_##name(struct exec_warp *warp, \
								      const struct ptx_insn *insn, uint32_t mask) \
	{ \
		const uint32_t count = SUB_VECTOR(insn->sub); \
		struct halves halves = {0}; \
\
		if (mask != warp->full || !find_halves(warp, insn, sizeof(memory) * count, &halves)) \
			return general_##name(warp, insn, mask); \
		for (uint32_t n = 0; n < count; n++) \
			for (unsigned h = 0; h < 2; h++) { \
				type *d = LANES_OF(type, FIELD(n)) + h * (PTX_WARP / 2); \
				const memory *from = (const memory *)halves.first[h] + n; \
				const uint32_t step = halves.pattern[h] == PATTERN_ROW ? count : 0; \
\
				for (unsigned i = 0; i < PTX_WARP / 2; i++) \
					d[i] = (type)from[i * step]; \
			} \
		return STEP_NEXT; \
	} \
	HANDLER(name) \
	{ \
		struct halves halves = {0}; \
\
		if (__builtin_expect(SUB_VECTOR(insn->sub) != 1, 0)) \
			return vector_##name(warp, insn, mask); \
		if (mask != warp->full || !find_halves(warp, insn, sizeof(memory), &halves)) \
			return general_##name(warp, insn, mask); \
		for (unsigned h = 0; h < 2; h++) { \
			type *d = LANES_OF(type, insn->dst) + h * (PTX_WARP / 2); \
			const memory *from = (const memory *)halves.first[h]; \
\
			if (halves.pattern[h] == PATTERN_ROW) { \
				FOR_HALF d[i] = (type)from[i]; \
			} else { \
				const type value = (type)*from; \
\
				FOR_HALF d[i] = value; \
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
		struct halves halves = {0}; \
\
		if (mask == EXEC_ALL && count == 1 && find_halves(warp, insn, sizeof(memory), &halves) && \
		    halves.pattern[0] == PATTERN_ROW && halves.pattern[1] == PATTERN_ROW) { \
			for (unsigned h = 0; h < 2; h++) { \
				const type *from = LANES_OF(type, insn->dst) + h * (PTX_WARP / 2); \
				memory *to = (memory *)halves.first[h]; \
\
				FOR_HALF \
				to[i] = (memory)from[i]; \
			} \
			return STEP_NEXT; \
		} \
		if (!lane_addresses(warp, insn, mask, sizeof(memory) * count, addresses)) \
			return STEP_FAULT; \
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

/* --- the same value for all lanes --------------------------------------------------------------------------------- */

static inline void set_lanes(struct exec_warp *warp, uint32_t operand, uint32_t bytes, uint32_t mask, uint64_t value)
{
	if (bytes == 8) {
		uint64_t *d = LANES_OF(uint64_t, operand);

		WRITE_LANES(uint64_t, d, value);
	} else if (bytes == 4) {
		uint32_t *d = LANES_OF(uint32_t, operand);

		WRITE_LANES(uint32_t, d, value);
	} else {
		uint16_t *d = LANES_OF(uint16_t, operand);

		WRITE_LANES(uint16_t, d, value);
	}
}

HANDLER(LD_KPARAM)
{
	const uint32_t size = insn->sub & 15, count = SUB_VECTOR(insn->sub), bytes = 1u << (insn->sub >> 8 & 3);
	const uint8_t *from = warp->block->run->params + insn->imm;

	for (uint32_t n = 0; n < count; n++) {
		uint64_t value = 0;

		memcpy(&value, from + n * size, size);
		if (insn->sub & 1u << 12 && size < 8 && value >> (8 * size - 1) & 1)
			value |= ~0ull << (8 * size);
		set_lanes(warp, FIELD(n), bytes, mask, value);
	}
	return STEP_NEXT;
}

HANDLER(MOV_LOCAL)
{
	set_lanes(warp, insn->dst, insn->sub, mask, (uint64_t)(int64_t)insn->imm + warp->frame->local_base);
	return STEP_NEXT;
}

HANDLER(MOV_KPARAM)
{
	set_lanes(warp, insn->dst, 8, mask, (uint64_t)warp->block->run->params + (uint64_t)(int64_t)insn->imm);
	return STEP_NEXT;
}
