/* Loads that use the address register of another load. */
#include "cudaexec/softdev/ptx_parser.h"
#include "supervisor/util.h"

#define SLOTS 4u

struct slot {
	uint32_t address; /* operand; PTX_OPERAND_NONE: free */
	uint32_t size;
	uint32_t first; /* the load that finds out */
};

static bool is_load(const struct ptx_insn *insn)
{
	enum ptx_space space = SUB_SPACE(insn->sub);

	return insn->op >= OP_LD_U8_16 && insn->op <= OP_LD_64 && insn->guard == 0 && insn->a != PTX_OPERAND_NONE &&
	       (space == SPACE_GLOBAL || space == SPACE_SHARED);
}

/* Bytes in memory of one lane. */
static uint32_t access_size(const struct ptx_insn *insn)
{
	uint32_t bytes = insn->op >= OP_LD_64 ? 8 : insn->op >= OP_LD_32 ? 4 : insn->op >= OP_LD_16 ? 2 : 1;

	return bytes * SUB_VECTOR(insn->sub);
}

static bool ends_piece(const struct ptx_insn *insn)
{
	return insn->op == OP_BRA || insn->op == OP_RET || insn->op == OP_EXIT || insn->op == OP_CALL;
}

static void note_load(struct ptx_builder *build, struct slot *slots, uint32_t *next, uint32_t i)
{
	struct ptx_insn *insn = &build->insns[i];
	uint32_t size = access_size(insn), slot = 0;

	while (slot < SLOTS && (slots[slot].address != insn->a || slots[slot].size != size))
		slot++;
	if (slot < SLOTS) {
		build->insns[slots[slot].first].sub |= SUB_KEEP;
		insn->sub |= SUB_KEEP | SUB_REPEAT | slot << 10;
		return;
	}
	slot = (*next)++ % SLOTS;
	slots[slot] = (struct slot){insn->a, size, i};
	insn->sub |= slot << 10;
}

/* Forgets what is known about the registers that an instruction writes. */
static void drop_written(const struct ptx_builder *build, struct slot *slots, uint32_t i)
{
	const struct ptx_insn *insn = &build->insns[i];
	const uint32_t fields[] = {insn->dst, insn->a, insn->b, insn->c, insn->aux};

	for (unsigned f = 0; f < ARRAY_LEN(fields); f++)
		for (uint32_t slot = 0; slot < SLOTS; slot++)
			if (build->roles[i].writes & 1u << f && slots[slot].address == fields[f])
				slots[slot].address = PTX_OPERAND_NONE;
}

bool ptx_mark_repeats(struct ptx_parser *parser)
{
	struct ptx_builder *build = &parser->build;
	_cleanup_free_ uint8_t *entered = calloc(build->count + 1, 1);
	struct slot slots[SLOTS];
	uint32_t next = 0;
	bool fresh = true;

	if (!entered)
		return ptx_fail_memory(parser);
	for (uint32_t i = 0; i < build->count; i++)
		if (build->insns[i].op == OP_BRA)
			entered[build->insns[i].imm] = 1;
	for (uint32_t i = 0; i < build->count; i++) {
		for (uint32_t slot = 0; (fresh || entered[i]) && slot < SLOTS; slot++)
			slots[slot].address = PTX_OPERAND_NONE;
		if (is_load(&build->insns[i]))
			note_load(build, slots, &next, i);
		drop_written(build, slots, i);
		fresh = ends_piece(&build->insns[i]);
	}
	return true;
}
