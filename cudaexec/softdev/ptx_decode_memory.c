/* Instructions that touch memory or compute addresses. */
#include "cudaexec/softdev/ptx_decode.h"
#include "supervisor/util.h"

#include <string.h>

/* Modifiers that only order or cache: execution is stronger than any of them. */
static void take_hints(struct ptx_instruction *instruction)
{
	static const char *const hints[] = {
		"weak",
		"volatile",
		"relaxed",
		"acquire",
		"release",
		"acq_rel",
		"cta",
		"cluster",
		"gpu",
		"sys",
		"ca",
		"cg",
		"cs",
		"lu",
		"cv",
		"nc",
		"wb",
		"wt",
		"L1::evict_normal",
		"L1::evict_unchanged",
		"L1::evict_first",
		"L1::evict_last",
		"L1::no_allocate",
		"L2::64B",
		"L2::128B",
		"L2::256B",
		"L2::evict_first",
		"L2::evict_last",
		"L2::evict_normal",
	};

	for (size_t i = 0; i < ARRAY_LEN(hints); i++)
		(void)ptx_modifier(instruction, hints[i]);
}

static enum ptx_space take_space(struct ptx_instruction *instruction)
{
	static const struct {
		const char *name;
		enum ptx_space space;
	} spaces[] = {
		{"global", SPACE_GLOBAL},      {"shared", SPACE_SHARED},     {"shared::cta", SPACE_SHARED},
		{"local", SPACE_LOCAL},	       {"const", SPACE_CONST},	     {"param", SPACE_PARAM},
		{"param::entry", SPACE_PARAM}, {"param::func", SPACE_PARAM},
	};

	for (size_t i = 0; i < ARRAY_LEN(spaces); i++)
		if (ptx_modifier(instruction, spaces[i].name))
			return spaces[i].space;
	return SPACE_GENERIC;
}

/*
 * The address of an operand as register and immediate. Variables of the frame and kernel parameters change the space
 * or, for a kernel parameter that is read directly, the operation.
 */
static bool decode_address(struct ptx_parser *parser, struct ptx_instruction *instruction,
			   const struct ptx_operand *operand, enum ptx_space *space, struct ptx_insn *insn,
			   bool *ret_direct)
{
	const struct ptx_value *value = &operand->value;
	const struct ptx_symbol *symbol = value->symbol;
	bool wide;

	*ret_direct = false;
	insn->imm = (int32_t)operand->offset;
	if (!operand->address)
		return ptx_fail_operands(parser, instruction, "an address in brackets is missing");
	if (value->kind == OPERAND_SYMBOL && (symbol->kind == SYMBOL_LOCAL || symbol->kind == SYMBOL_KPARAM)) {
		int64_t at = (int64_t)symbol->offset + operand->offset;

		if (at < 0 || at > PTX_LOCAL_MAX)
			return ptx_fail_operands(parser, instruction, "the offset leaves the variable");
		if (*space != (symbol->kind == SYMBOL_KPARAM ? SPACE_PARAM : *space) || *space == SPACE_GLOBAL ||
		    *space == SPACE_SHARED || *space == SPACE_CONST || *space == SPACE_GENERIC)
			return ptx_fail_operands(parser, instruction, "the variable is in another state space");
		insn->imm = (int32_t)at;
		*ret_direct = symbol->kind == SYMBOL_KPARAM;
		*space = SPACE_FRAME;
		return true;
	}
	wide = value->kind != OPERAND_REGISTER || ptx_type_size(value->type) == 8;
	insn->sub |= wide ? SUB_WIDE_ADDRESS : 0;
	return ptx_source(parser, instruction, value, wide ? T_U64 : T_U32, &insn->a);
}

/* The vector width of a load or store, taken; 0 when it is not supported for this size. */
static uint32_t take_vector(struct ptx_instruction *instruction, enum ptx_type type)
{
	uint32_t count = ptx_modifier(instruction, "v2") ? 2 : ptx_modifier(instruction, "v4") ? 4 : 1;

	return count * ptx_type_size(type) <= 32 ? count : 0;
}

/* The registers of a load or store, from one operand or a vector. Loads want destinations. */
static bool decode_elements(struct ptx_parser *parser, struct ptx_instruction *instruction,
			    const struct ptx_operand *operand, uint32_t count, enum ptx_type type, bool load,
			    struct ptx_insn *insn, enum ptx_class *ret_class)
{
	uint32_t *const fields[] = {&insn->dst, &insn->b, &insn->c, &insn->aux};
	enum ptx_class class = MAX(ptx_class_of(type), CLASS_16);
	enum ptx_type wanted;

	if ((count == 1) == (operand->value.kind == OPERAND_VECTOR) || (count > 1 && operand->element_count != count) ||
	    operand->address)
		return ptx_fail_operands(parser, instruction, "the number of values does not fit");
	for (uint32_t i = 0; i < count; i++) {
		const struct ptx_value *value = count > 1 ? &operand->elements[i] : &operand->value;

		if (value->kind == OPERAND_REGISTER)
			class = MAX(class, ptx_class_of(value->type));
	}
	wanted = class == CLASS_64 ? T_B64 : class == CLASS_32 ? T_B32 : T_B16;
	if (type == T_F32 || type == T_F64)
		wanted = type;
	for (uint32_t i = 0; i < count; i++) {
		const struct ptx_value *value = count > 1 ? &operand->elements[i] : &operand->value;

		if (!(load ? ptx_destination : ptx_source)(parser, instruction, value, wanted, fields[i]))
			return false;
	}
	*ret_class = class;
	return true;
}

static uint8_t element_fields(uint32_t count)
{
	return FIELD_DST | (count > 1 ? FIELD_B : 0) | (count > 2 ? FIELD_C | FIELD_AUX : 0);
}

static uint16_t load_op(enum ptx_type type, enum ptx_class class)
{
	static const uint16_t ops[2][4][4] = {
		/* unsigned and bits: by size of the memory (1, 2, 4, 8) and class */
		{{0, OP_LD_U8_16, OP_LD_U8_32, OP_LD_U8_64},
		 {0, OP_LD_16, OP_LD_U16_32, OP_LD_U16_64},
		 {0, 0, OP_LD_32, OP_LD_U32_64},
		 {0, 0, 0, OP_LD_64}},
		{{0, OP_LD_S8_16, OP_LD_S8_32, OP_LD_S8_64},
		 {0, OP_LD_16, OP_LD_S16_32, OP_LD_S16_64},
		 {0, 0, OP_LD_32, OP_LD_S32_64},
		 {0, 0, 0, OP_LD_64}},
	};

	return ops[ptx_type_is_signed(type)][__builtin_ctz(ptx_type_size(type))][class];
}

static uint16_t store_op(enum ptx_type type, enum ptx_class class)
{
	static const uint16_t ops[4][4] = {{0, OP_ST_8_16, OP_ST_8_32, OP_ST_8_64},
					   {0, OP_ST_16, OP_ST_16_32, OP_ST_16_64},
					   {0, 0, OP_ST_32, OP_ST_32_64},
					   {0, 0, 0, OP_ST_64}};

	return ops[__builtin_ctz(ptx_type_size(type))][class];
}

bool ptx_decode_ld(struct ptx_parser *parser, struct ptx_instruction *instruction)
{
	enum ptx_type type = ptx_last_type(instruction);
	enum ptx_space space;
	enum ptx_class class = CLASS_32;
	struct ptx_insn insn = PTX_INSN(.sub = 0);
	bool direct = false;
	uint32_t count;

	take_hints(instruction);
	space = take_space(instruction);
	count = take_vector(instruction, type);
	if (ptx_type_size(type) == 0 || count == 0 || !ptx_all_taken(instruction))
		return ptx_fail_unknown(parser, instruction);
	if (instruction->operand_count != 2)
		return ptx_fail_operands(parser, instruction, "wrong number of operands");
	if (!decode_elements(parser, instruction, &instruction->operands[0], count, type, true, &insn, &class) ||
	    !decode_address(parser, instruction, &instruction->operands[1], &space, &insn, &direct))
		return false;
	insn.op = load_op(type, class);
	if (insn.op == 0)
		return ptx_fail_operands(parser, instruction, "a register has the wrong size");
	insn.sub |= (uint32_t)space | count << 4;
	if (direct) {
		uint32_t size = ptx_type_size(type);
		const struct ptx_kernel *kernel = &parser->build.function->kernel;

		if ((uint32_t)insn.imm + size * count > kernel->param_bytes)
			return ptx_fail_operands(parser, instruction, "the offset leaves the parameters");
		insn.op = OP_LD_KPARAM;
		insn.sub = size | count << 4 | (uint32_t) class << 8 | (ptx_type_is_signed(type) ? 1u << 12 : 0);
	}
	return ptx_emit(parser, instruction, insn, insn.a != PTX_OPERAND_NONE ? FIELD_A : 0, element_fields(count));
}

bool ptx_decode_st(struct ptx_parser *parser, struct ptx_instruction *instruction)
{
	enum ptx_type type = ptx_last_type(instruction);
	enum ptx_space space;
	enum ptx_class class = CLASS_32;
	struct ptx_insn insn = PTX_INSN(.sub = 0);
	bool direct = false;
	uint32_t count;

	take_hints(instruction);
	space = take_space(instruction);
	count = take_vector(instruction, type);
	if (ptx_type_size(type) == 0 || count == 0 || space == SPACE_CONST || !ptx_all_taken(instruction))
		return ptx_fail_unknown(parser, instruction);
	if (instruction->operand_count != 2)
		return ptx_fail_operands(parser, instruction, "wrong number of operands");
	if (!decode_address(parser, instruction, &instruction->operands[0], &space, &insn, &direct) ||
	    !decode_elements(parser, instruction, &instruction->operands[1], count, type, false, &insn, &class))
		return false;
	insn.op = store_op(type, class);
	if (insn.op == 0 || direct || space == SPACE_PARAM)
		return ptx_fail_operands(parser, instruction, "nothing can be stored there");
	insn.sub |= (uint32_t)space | count << 4;
	return ptx_emit(parser, instruction, insn,
			(uint8_t)(element_fields(count) | (insn.a != PTX_OPERAND_NONE ? FIELD_A : 0)), 0);
}

static enum ptx_type type_of_class(uint32_t code)
{
	static const enum ptx_type types[] = {T_NONE, T_B16, T_B32, T_B64};

	return types[code >> 24 & 3];
}

bool ptx_emit_frame_load(struct ptx_parser *parser, const struct ptx_instruction *instruction, uint32_t code,
			 uint64_t offset)
{
	enum ptx_type type = type_of_class(code);
	struct ptx_insn insn = PTX_INSN(.imm = (int32_t)offset, .sub = SPACE_FRAME | 1u << 4);

	if (type == T_NONE)
		return ptx_fail(parser, "a predicate is no parameter");
	insn.dst = code;
	insn.op = load_op(type, ptx_class_of(type));
	return ptx_emit(parser, instruction, insn, 0, FIELD_DST);
}

bool ptx_emit_frame_store(struct ptx_parser *parser, const struct ptx_instruction *instruction, uint32_t code,
			  uint64_t offset)
{
	enum ptx_type type = type_of_class(code);
	struct ptx_insn insn = PTX_INSN(.imm = (int32_t)offset, .sub = SPACE_FRAME | 1u << 4);

	if (type == T_NONE)
		return ptx_fail(parser, "a predicate is no parameter");
	insn.dst = code;
	insn.op = store_op(type, ptx_class_of(type));
	return ptx_emit(parser, instruction, insn, FIELD_DST, 0);
}

/* --- atomics ------------------------------------------------------------------------------------------------------ */

/* Which types an operation takes: a set of 1 << type. */
#define TYPE(t) (1u << (t))
#define INTS	(TYPE(T_U32) | TYPE(T_S32) | TYPE(T_U64) | TYPE(T_S64))
#define BITS	(TYPE(T_B32) | TYPE(T_B64))
#define FLOATS	(TYPE(T_F32) | TYPE(T_F64) | TYPE(T_F16) | TYPE(T_F16X2) | TYPE(T_BF16) | TYPE(T_BF16X2))

static const struct {
	const char *name;
	enum ptx_atom op;
	uint32_t types;
} atoms[] = {
	{"add", ATOM_ADD, INTS | FLOATS},
	{"min", ATOM_MIN, INTS},
	{"max", ATOM_MAX, INTS},
	{"and", ATOM_AND, BITS},
	{"or", ATOM_OR, BITS},
	{"xor", ATOM_XOR, BITS},
	{"exch", ATOM_EXCH, BITS | TYPE(T_B16)},
	{"inc", ATOM_INC, TYPE(T_U32)},
	{"dec", ATOM_DEC, TYPE(T_U32)},
	{"cas", ATOM_CAS, BITS | TYPE(T_B16)},
};

/* atom d, [a], b {, c} and red [a], b. */
bool ptx_decode_atom(struct ptx_parser *parser, struct ptx_instruction *instruction)
{
	bool returns = instruction->base.length == 4, direct = false, found = false;
	enum ptx_type type = ptx_last_type(instruction);
	struct ptx_insn insn = PTX_INSN(.op = OP_ATOM, .sub = 1u << 4);
	uint32_t first = returns ? 1 : 0, count = first + 2;
	uint8_t reads = FIELD_A | FIELD_B;
	enum ptx_space space;

	take_hints(instruction);
	space = take_space(instruction);
	(void)ptx_modifier(instruction, "noftz");
	for (size_t i = 0; i < ARRAY_LEN(atoms) && !found; i++)
		if ((atoms[i].types & TYPE(type)) && ptx_modifier(instruction, atoms[i].name)) {
			insn.sub |= (uint32_t)atoms[i].op << 8 | (uint32_t)type << 16 | (uint32_t)space;
			found = true;
			count += atoms[i].op == ATOM_CAS;
		}
	if (!found || (space != SPACE_GENERIC && space != SPACE_GLOBAL && space != SPACE_SHARED) ||
	    !ptx_all_taken(instruction) || (!returns && count > 2))
		return ptx_fail_unknown(parser, instruction);
	if (instruction->operand_count != count)
		return ptx_fail_operands(parser, instruction, "wrong number of operands");
	if (!decode_address(parser, instruction, &instruction->operands[first], &space, &insn, &direct) ||
	    !ptx_source(parser, instruction, &instruction->operands[first + 1].value, type, &insn.b))
		return false;
	if (count == first + 3) {
		reads |= FIELD_C;
		if (!ptx_source(parser, instruction, &instruction->operands[first + 2].value, type, &insn.c))
			return false;
	}
	if (returns && !ptx_destination(parser, instruction, &instruction->operands[0].value, type, &insn.dst))
		return false;
	return ptx_emit(parser, instruction, insn, reads, returns ? FIELD_DST : 0);
}

/* --- addresses ---------------------------------------------------------------------------------------------------- */

/* cvta{.to}.space.u64: between an address in a space and a generic one. */
bool ptx_decode_cvta(struct ptx_parser *parser, struct ptx_instruction *instruction)
{
	bool to = ptx_modifier(instruction, "to");
	enum ptx_space space = take_space(instruction);
	enum ptx_type type = ptx_last_type(instruction);
	struct ptx_insn insn = PTX_INSN(.op = OP_CVTA, .imm = to ? CVTA_TO : CVTA_FROM, .sub = (uint32_t)space);
	struct ptx_value *value = &instruction->operands[1].value;

	if (space == SPACE_GENERIC || type != T_U64 || !ptx_all_taken(instruction))
		return ptx_fail_unknown(parser, instruction);
	if (space == SPACE_GLOBAL || space == SPACE_CONST || space == SPACE_PARAM)
		insn.op = OP_MOV_64;
	/* cvta.local of a variable: its address in the frame first. */
	if (instruction->operand_count == 2 && value->kind == OPERAND_SYMBOL &&
	    (value->symbol->kind == SYMBOL_LOCAL || value->symbol->kind == SYMBOL_KPARAM)) {
		uint32_t address = ptx_new_register(parser, CLASS_64);
		struct ptx_insn move =
			PTX_INSN(.op = value->symbol->kind == SYMBOL_LOCAL ? OP_MOV_LOCAL : OP_MOV_KPARAM, .sub = 8,
				 .imm = (int32_t)(value->symbol->offset + value->bits));

		move.dst = address;
		if (address == PTX_OPERAND_NONE || !ptx_emit(parser, instruction, move, 0, FIELD_DST))
			return false;
		*value = (struct ptx_value){.kind = OPERAND_REGISTER, .type = T_U64, .code = address};
	}
	return ptx_emit_form(parser, instruction, insn, "tt", T_U64);
}

bool ptx_decode_isspacep(struct ptx_parser *parser, struct ptx_instruction *instruction)
{
	enum ptx_space space = take_space(instruction);
	struct ptx_insn insn = PTX_INSN(.op = OP_ISSPACEP, .sub = (uint32_t)space);

	if (space == SPACE_GENERIC || !ptx_all_taken(instruction))
		return ptx_fail_unknown(parser, instruction);
	return ptx_emit_form(parser, instruction, insn, "pt", T_U64);
}

/* membar.level and fence{.sem}.scope: one full fence is enough for all of them. */
bool ptx_decode_fence(struct ptx_parser *parser, struct ptx_instruction *instruction)
{
	static const char *const levels[] = {"cta", "gl", "sys", "gpu", "cluster", "sc", "acq_rel"};
	bool any = false;

	for (size_t i = 0; i < ARRAY_LEN(levels); i++)
		any |= ptx_modifier(instruction, levels[i]);
	if (!any || instruction->operand_count != 0 || !ptx_all_taken(instruction))
		return ptx_fail_unknown(parser, instruction);
	return ptx_emit(parser, instruction, PTX_INSN(.op = OP_FENCE), 0, 0);
}

/* prefetch, nanosleep, brkpt, pmevent: read and without effect here. */
bool ptx_decode_hint(struct ptx_parser *parser, struct ptx_instruction *instruction)
{
	(void)parser;
	(void)instruction;
	return true;
}
