/* Places of registers: liveness over the control flow, then a linear scan. */
#include "cudaexec/softdev/ptx_parser.h"
#include "supervisor/util.h"

#include <string.h>

#define LIVENESS_WORDS_MAX  (8u << 20) /* beyond this every register gets a place of its own */
#define LIVENESS_PASSES_MAX 64

struct interval {
	uint32_t start, end; /* 2 * instruction when read, plus 1 when written */
};

struct allocator {
	struct ptx_builder *build;
	uint32_t registers;
	uint32_t first[CLASS_COUNT]; /* of the registers of a class among all */
	struct interval *intervals;
	uint32_t *place; /* number of the place within the class */
	uint32_t places[CLASS_COUNT];
	/* blocks of the control flow */
	uint32_t blocks;
	uint32_t *block_start; /* one more than there are blocks */
	uint32_t *block_of;
	uint32_t words;
	uint64_t *live; /* at the start of each block */
	uint64_t *now;
};

static uint32_t *field_of(struct ptx_insn *insn, unsigned i)
{
	uint32_t *const fields[] = {&insn->dst, &insn->a, &insn->b, &insn->c, &insn->aux};

	return fields[i];
}

static uint32_t register_id(const struct allocator *a, uint32_t code)
{
	return a->first[code >> 24] + (code & 0xffffff);
}

static bool is_register(uint32_t code)
{
	return (code & PTX_AREA_MASK) == PTX_AREA_REGISTERS;
}

static bool is_end(const struct ptx_insn *insn)
{
	return insn->op == OP_BRA || insn->op == OP_RET || insn->op == OP_EXIT || insn->op == OP_TRAP;
}

static bool find_blocks(struct allocator *a)
{
	const struct ptx_builder *build = a->build;
	_cleanup_free_ uint8_t *leader = calloc(build->count + 1, 1);

	a->block_of = calloc(build->count + 1, sizeof(uint32_t));
	a->block_start = calloc(build->count + 2, sizeof(uint32_t));
	if (!leader || !a->block_of || !a->block_start)
		return false;
	leader[0] = 1;
	for (uint32_t i = 0; i < build->count; i++) {
		if (build->insns[i].op == OP_BRA)
			leader[build->insns[i].imm] = 1;
		if (is_end(&build->insns[i]))
			leader[i + 1] = 1;
	}
	for (uint32_t i = 0; i < build->count; i++) {
		if (leader[i])
			a->block_start[a->blocks++] = i;
		a->block_of[i] = a->blocks - 1;
	}
	a->block_start[a->blocks] = build->count;
	return true;
}

/* What is live behind the last instruction of a block. */
static void live_out(const struct allocator *a, uint32_t block, uint64_t *ret_set)
{
	const struct ptx_insn *last = &a->build->insns[a->block_start[block + 1] - 1];

	memset(ret_set, 0, a->words * sizeof(uint64_t));
	if (last->op == OP_BRA) {
		const uint64_t *target = a->live + (size_t)a->block_of[last->imm] * a->words;

		for (uint32_t w = 0; w < a->words; w++)
			ret_set[w] |= target[w];
	}
	if ((!is_end(last) || last->guard) && block + 1 < a->blocks) {
		const uint64_t *next = a->live + (size_t)(block + 1) * a->words;

		for (uint32_t w = 0; w < a->words; w++)
			ret_set[w] |= next[w];
	}
}

static void note(struct allocator *a, uint32_t id, uint32_t at)
{
	struct interval *interval = &a->intervals[id];

	interval->start = MIN(interval->start, at);
	interval->end = MAX(interval->end, at);
}

/*
 * Walks an instruction backwards: what it writes is not live before it (unless only some lanes write), what it reads
 * is. With NOTE_AT the places are entered into the intervals.
 */
static void step_back(struct allocator *a, uint32_t i, uint64_t *set, bool take_notes)
{
	struct ptx_insn *insn = &a->build->insns[i];
	const struct ptx_roles *roles = &a->build->roles[i];
	bool partial = insn->guard != 0;

	for (unsigned f = 0; f < 5; f++) {
		uint32_t code = *field_of(insn, f), id;

		if (!(roles->writes & 1u << f) || !is_register(code))
			continue;
		id = register_id(a, code);
		if (!partial)
			set[id / 64] &= ~(1ull << id % 64);
		else
			set[id / 64] |= 1ull << id % 64;
		if (take_notes)
			note(a, id, 2 * i + 1);
		if (take_notes && partial)
			note(a, id, 2 * i);
	}
	for (unsigned f = 0; f < 5; f++) {
		uint32_t code = *field_of(insn, f), id;

		if (!(roles->reads & 1u << f) || !is_register(code))
			continue;
		id = register_id(a, code);
		set[id / 64] |= 1ull << id % 64;
		if (take_notes)
			note(a, id, 2 * i);
	}
	if (insn->guard) {
		uint32_t id = a->first[CLASS_PRED] + insn->guard / 2 - 1;

		set[id / 64] |= 1ull << id % 64;
		if (take_notes)
			note(a, id, 2 * i);
	}
}

/* Until nothing changes; false when that takes too long (loops nested absurdly deep). */
static bool find_live(struct allocator *a)
{
	bool changed = true;

	for (unsigned pass = 0; changed; pass++) {
		if (pass == LIVENESS_PASSES_MAX)
			return false;
		changed = false;
		for (uint32_t block = a->blocks; block-- > 0;) {
			uint64_t *live = a->live + (size_t)block * a->words;

			live_out(a, block, a->now);
			for (uint32_t i = a->block_start[block + 1]; i-- > a->block_start[block];)
				step_back(a, i, a->now, false);
			if (memcmp(live, a->now, a->words * sizeof(uint64_t)) != 0) {
				memcpy(live, a->now, a->words * sizeof(uint64_t));
				changed = true;
			}
		}
	}
	return true;
}

static void note_set(struct allocator *a, const uint64_t *set, uint32_t at)
{
	for (uint32_t w = 0; w < a->words; w++)
		for (uint64_t bits = set[w]; bits; bits &= bits - 1)
			note(a, w * 64 + (uint32_t)__builtin_ctzll(bits), at);
}

static void find_intervals(struct allocator *a)
{
	for (uint32_t block = 0; block < a->blocks; block++) {
		live_out(a, block, a->now);
		note_set(a, a->now, 2 * a->block_start[block + 1]);
		for (uint32_t i = a->block_start[block + 1]; i-- > a->block_start[block];)
			step_back(a, i, a->now, true);
		note_set(a, a->live + (size_t)block * a->words, 2 * a->block_start[block]);
	}
}

static int by_start(const void *x, const void *y, void *intervals)
{
	const struct interval *a = (struct interval *)intervals + *(const uint32_t *)x;
	const struct interval *b = (struct interval *)intervals + *(const uint32_t *)y;

	return (a->start > b->start) - (a->start < b->start);
}

static int by_end(const void *x, const void *y, void *intervals)
{
	const struct interval *a = (struct interval *)intervals + *(const uint32_t *)x;
	const struct interval *b = (struct interval *)intervals + *(const uint32_t *)y;

	return (a->end > b->end) - (a->end < b->end);
}

/* One class: in the order of the starts each register takes the place that was freed last. */
static bool scan_class(struct allocator *a, enum ptx_class class)
{
	uint32_t count = a->build->register_count[class], freed = 0, expired = 0;
	_cleanup_free_ uint32_t *starts = calloc(count + 1, sizeof(uint32_t));
	_cleanup_free_ uint32_t *ends = calloc(count + 1, sizeof(uint32_t));
	_cleanup_free_ uint32_t *free_places = calloc(count + 1, sizeof(uint32_t));

	if (!starts || !ends || !free_places)
		return false;
	for (uint32_t i = 0; i < count; i++)
		starts[i] = ends[i] = a->first[class] + i;
	qsort_r(starts, count, sizeof(uint32_t), by_start, a->intervals);
	qsort_r(ends, count, sizeof(uint32_t), by_end, a->intervals);
	for (uint32_t i = 0; i < count; i++) {
		while (a->intervals[ends[expired]].end < a->intervals[starts[i]].start)
			free_places[freed++] = a->place[ends[expired++]];
		a->place[starts[i]] = freed ? free_places[--freed] : a->places[class]++;
	}
	return true;
}

/* Without liveness: as many places as registers. */
static void place_all(struct allocator *a)
{
	for (enum ptx_class class = 0; class < CLASS_COUNT; class ++) {
		a->places[class] = a->build->register_count[class];
		for (uint32_t i = 0; i < a->places[class]; i++)
			a->place[a->first[class] + i] = i;
	}
}

static bool allocate(struct allocator *a)
{
	a->words = (a->registers + 63) / 64;
	if (!find_blocks(a))
		return false;
	if ((uint64_t)a->words * a->blocks > LIVENESS_WORDS_MAX) {
		place_all(a);
		return true;
	}
	a->live = calloc((size_t)a->blocks * a->words + 1, sizeof(uint64_t));
	a->now = calloc(a->words + 1, sizeof(uint64_t));
	if (!a->live || !a->now)
		return false;
	for (uint32_t i = 0; i < a->registers; i++)
		a->intervals[i] = (struct interval){UINT32_MAX, 0};
	if (!find_live(a)) {
		place_all(a);
		return true;
	}
	find_intervals(a);
	for (uint32_t i = 0; i < a->registers; i++)
		if (a->intervals[i].start == UINT32_MAX)
			a->intervals[i].start = a->intervals[i].end = 0;
	for (enum ptx_class class = 0; class < CLASS_COUNT; class ++)
		if (!scan_class(a, class))
			return false;
	return true;
}

/* Predicates first, then the widest registers, so that every array is aligned. */
static void rewrite(struct allocator *a)
{
	struct ptx_builder *build = a->build;
	uint32_t base[CLASS_COUNT], at = 0;

	base[CLASS_PRED] = 0;
	at = (a->places[CLASS_PRED] * ptx_class_bytes(CLASS_PRED) + 63) & ~63u;
	for (enum ptx_class class = CLASS_64; class >= CLASS_16; class --) {
		base[class] = at;
		at += a->places[class] * ptx_class_bytes(class);
	}
	build->function->register_bytes = MAX(at, 64u);
	for (uint32_t i = 0; i < build->count; i++) {
		struct ptx_insn *insn = &build->insns[i];
		uint8_t roles = build->roles[i].reads | build->roles[i].writes;

		for (unsigned f = 0; f < 5; f++) {
			uint32_t *code = field_of(insn, f);
			enum ptx_class class = *code >> 24 & 3;

			if ((roles & 1u << f) && is_register(*code))
				*code = base[class] + a->place[register_id(a, *code)] * ptx_class_bytes(class);
		}
		if (insn->guard)
			insn->guard = (uint16_t)((a->place[insn->guard / 2 - 1] + 1) * 2 + (insn->guard & 1));
	}
}

bool ptx_assign_registers(struct ptx_parser *parser)
{
	struct allocator a = {.build = &parser->build, .registers = parser->build.registers};
	uint32_t at = 0;
	bool good;

	for (enum ptx_class class = 0; class < CLASS_COUNT; class ++) {
		a.first[class] = at;
		at += parser->build.register_count[class];
	}
	a.intervals = calloc(a.registers + 1, sizeof(*a.intervals));
	a.place = calloc(a.registers + 1, sizeof(*a.place));
	good = a.intervals && a.place && allocate(&a);
	if (good)
		rewrite(&a);
	free(a.intervals);
	free(a.place);
	free(a.block_of);
	free(a.block_start);
	free(a.live);
	free(a.now);
	return good ? true : ptx_fail_memory(parser);
}
