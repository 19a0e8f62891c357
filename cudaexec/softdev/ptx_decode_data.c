/* Instructions that move, compare and convert values. */
#include "cudaexec/softdev/ptx_decode.h"
#include "supervisor/util.h"

#include <string.h>

/* --- mov ---------------------------------------------------------------------------------------------------------- */

/* mov.b64 d, {a, b} and its reverse. */
static bool decode_pack(struct ptx_parser *parser, struct ptx_instruction *instruction, enum ptx_type type, bool pack)
{
	const struct ptx_operand *vector = &instruction->operands[pack ? 1 : 0];
	const struct ptx_operand *scalar = &instruction->operands[pack ? 0 : 1];
	uint32_t count = vector->element_count, size = ptx_type_size(type);
	enum ptx_type part = size / MAX(count, 1u) == 4 ? T_B32 : T_B16;
	uint16_t op = part == T_B32 ? OP_PACK_64_32 : size == 8 ? OP_PACK_64_16 : OP_PACK_32_16;
	struct ptx_insn insn = PTX_INSN(.op = op);
	uint32_t *const packed[] = {&insn.a, &insn.b, &insn.c, &insn.aux};
	uint32_t *const unpacked[] = {&insn.dst, &insn.b, &insn.c, &insn.aux};
	const uint8_t fields[] = {pack ? FIELD_A : FIELD_DST, FIELD_B, FIELD_C, FIELD_AUX};
	uint8_t used = 0;

	if (size < 4 || count < 2 || size != count * ptx_type_size(part) || scalar->value.kind == OPERAND_VECTOR)
		return ptx_fail_operands(parser, instruction, "the vector does not fit the type");
	for (uint32_t i = 0; i < count; i++) {
		used |= fields[i];
		if (!(pack ? ptx_source : ptx_destination)(parser, instruction, &vector->elements[i], part,
							   pack ? packed[i] : unpacked[i]))
			return false;
	}
	if (pack)
		return ptx_destination(parser, instruction, &scalar->value, type, &insn.dst) &&
		       ptx_emit(parser, instruction, insn, used, FIELD_DST);
	insn.op = part == T_B32 ? OP_UNPACK_64_32 : size == 8 ? OP_UNPACK_64_16 : OP_UNPACK_32_16;
	return ptx_source(parser, instruction, &scalar->value, type, &insn.a) &&
	       ptx_emit(parser, instruction, insn, FIELD_A, used);
}

/* Sources of mov that are no registers: addresses in the frame, kernel parameters, clocks. */
static bool decode_mov_special(struct ptx_parser *parser, struct ptx_instruction *instruction, enum ptx_type type,
			       bool *ret_done)
{
	static const struct {
		const char *name;
		uint16_t op;
		uint8_t size;
	} clocks[] = {
		{"%clock", OP_CLOCK_32, 4},	  {"%clock_hi", OP_CLOCK_32, 4},       {"%clock64", OP_CLOCK_64, 8},
		{"%globaltimer", OP_CLOCK_NS, 8}, {"%globaltimer_lo", OP_CLOCK_32, 4},
	};
	const struct ptx_value *value = &instruction->operands[1].value;
	struct ptx_insn insn = PTX_INSN(.imm = (int32_t)value->bits);
	uint32_t size = ptx_type_size(type);

	*ret_done = true;
	if (value->kind == OPERAND_SYMBOL && value->symbol->kind == SYMBOL_LOCAL && size >= 4) {
		insn.op = OP_MOV_LOCAL;
		insn.imm += (int32_t)value->symbol->offset;
	} else if (value->kind == OPERAND_SYMBOL && value->symbol->kind == SYMBOL_KPARAM && size == 8) {
		insn.op = OP_MOV_KPARAM;
		insn.imm += (int32_t)value->symbol->offset;
	} else if (value->kind == OPERAND_NAME) {
		for (size_t i = 0; i < ARRAY_LEN(clocks) && insn.op == 0; i++)
			if (strlen(clocks[i].name) == value->name.length && clocks[i].size == size &&
			    memcmp(clocks[i].name, value->name.text, value->name.length) == 0)
				insn.op = clocks[i].op;
	}
	if (insn.op == 0) {
		*ret_done = false;
		return true;
	}
	insn.sub = size;
	return ptx_destination(parser, instruction, &instruction->operands[0].value, type, &insn.dst) &&
	       ptx_emit(parser, instruction, insn, 0, FIELD_DST);
}

bool ptx_decode_mov(struct ptx_parser *parser, struct ptx_instruction *instruction)
{
	enum ptx_type type = ptx_last_type(instruction);
	static const uint16_t ops[] = {OP_MOV_P, OP_MOV_16, OP_MOV_32, OP_MOV_64};
	bool done = false;

	if (type == T_NONE || ptx_type_size(type) == 1 || !ptx_all_taken(instruction))
		return ptx_fail_unknown(parser, instruction);
	if (instruction->operand_count != 2)
		return ptx_fail_operands(parser, instruction, "wrong number of operands");
	if (instruction->operands[1].value.kind == OPERAND_VECTOR)
		return decode_pack(parser, instruction, type, true);
	if (instruction->operands[0].value.kind == OPERAND_VECTOR)
		return decode_pack(parser, instruction, type, false);
	if (!decode_mov_special(parser, instruction, type, &done))
		return false;
	return done || ptx_emit_form(parser, instruction, PTX_INSN(.op = ops[ptx_class_of(type)]), "tt", type);
}

/* --- comparisons -------------------------------------------------------------------------------------------------- */

struct comparison {
	const char *name;
	uint8_t base;	/* 0 eq, 1 ne, 2 lt, 3 le, 4 both are numbers */
	bool swap;	/* gt and ge are lt and le with the operands exchanged */
	bool unordered; /* true when an operand is NaN: the inverse of BASE */
	uint8_t kinds;	/* 1 signed and bits, 2 unsigned, 4 float */
};

static const struct comparison comparisons[] = {
	{"eq", 0, false, false, 7},  {"ne", 1, false, false, 7}, {"lt", 2, false, false, 7}, {"le", 3, false, false, 7},
	{"gt", 2, true, false, 7},   {"ge", 3, true, false, 7},	 {"lo", 2, false, false, 2}, {"ls", 3, false, false, 2},
	{"hi", 2, true, false, 2},   {"hs", 3, true, false, 2},	 {"equ", 1, false, true, 4}, {"neu", 0, false, true, 4},
	{"ltu", 3, true, true, 4},   {"leu", 2, true, true, 4},	 {"gtu", 3, false, true, 4}, {"geu", 2, false, true, 4},
	{"num", 4, false, false, 4}, {"nan", 4, false, true, 4},
};

static uint16_t comparison_op(const struct comparison *comparison, enum ptx_type type, bool ftz)
{
	static const uint16_t ints[4][2][3] = {
		{{OP_EQ_16, OP_EQ_32, OP_EQ_64}, {OP_EQ_16, OP_EQ_32, OP_EQ_64}},
		{{OP_NE_16, OP_NE_32, OP_NE_64}, {OP_NE_16, OP_NE_32, OP_NE_64}},
		{{OP_LT_U16, OP_LT_U32, OP_LT_U64}, {OP_LT_S16, OP_LT_S32, OP_LT_S64}},
		{{OP_LE_U16, OP_LE_U32, OP_LE_U64}, {OP_LE_S16, OP_LE_S32, OP_LE_S64}},
	};
	static const uint16_t floats[5] = {OP_EQ_F32, OP_NE_F32, OP_LT_F32, OP_LE_F32, OP_NUM_F32};
	uint32_t size = ptx_type_size(type);

	if (ptx_type_is_float(type))
		return (uint16_t)(floats[comparison->base] + (type == T_F64 ? 2 : ftz));
	return ints[comparison->base][ptx_type_is_signed(type)][size == 2 ? 0 : size == 4 ? 1 : 2];
}

/* 16-bit floats are compared as 32-bit ones. */
static bool widen(struct ptx_parser *parser, struct ptx_instruction *instruction, enum ptx_type type, uint32_t *code)
{
	uint32_t wide = ptx_new_register(parser, CLASS_32);
	struct ptx_insn insn = PTX_INSN(.op = OP_CVT, .sub = T_F32 | (uint32_t)type << 5 | 4u << 16 | 2u << 20);

	insn.dst = wide;
	insn.a = *code;
	if (wide == PTX_OPERAND_NONE || !ptx_emit(parser, instruction, insn, FIELD_A, FIELD_DST))
		return false;
	*code = wide;
	return true;
}

/* Reads comparison, combination and type of setp and set into INSN; operands A and B are numbers FIRST and FIRST + 1.
 */
static bool decode_comparison(struct ptx_parser *parser, struct ptx_instruction *instruction, enum ptx_type type,
			      uint32_t first, struct ptx_insn *insn)
{
	const struct comparison *comparison = NULL;
	bool ftz = ptx_modifier(instruction, "ftz"), half = type == T_F16 || type == T_BF16;
	uint32_t kind = half || type == T_F32 || type == T_F64 ? 4 : ptx_type_is_signed(type) ? 1 : 2;

	for (size_t i = 0; i < ARRAY_LEN(comparisons) && !comparison; i++)
		if ((comparisons[i].kinds & kind) && ptx_modifier(instruction, comparisons[i].name))
			comparison = &comparisons[i];
	if (ptx_modifier(instruction, "and"))
		insn->sub |= SUB_SETP_AND;
	else if (ptx_modifier(instruction, "or"))
		insn->sub |= SUB_SETP_OR;
	else if (ptx_modifier(instruction, "xor"))
		insn->sub |= SUB_SETP_XOR;
	if (!comparison || type == T_PRED || ptx_type_size(type) < 2 || type == T_F16X2 || type == T_BF16X2 ||
	    (ptx_type_is_float(type) && type != T_F32 && ftz && !half) || !ptx_all_taken(instruction))
		return ptx_fail_unknown(parser, instruction);
	if (instruction->operand_count != first + 2 + (insn->sub & SUB_SETP_COMBINE ? 1 : 0))
		return ptx_fail_operands(parser, instruction, "wrong number of operands");
	if (!ptx_source(parser, instruction, &instruction->operands[first].value, type, &insn->a) ||
	    !ptx_source(parser, instruction, &instruction->operands[first + 1].value, type, &insn->b))
		return false;
	if (half && (!widen(parser, instruction, type, &insn->a) || !widen(parser, instruction, type, &insn->b)))
		return false;
	if (comparison->swap) {
		uint32_t a = insn->a;

		insn->a = insn->b;
		insn->b = a;
	}
	insn->op = comparison_op(comparison, half ? T_F32 : type, ftz);
	insn->sub |= comparison->unordered ? SUB_SETP_INVERT : 0;
	if (insn->sub & SUB_SETP_COMBINE) {
		const struct ptx_value *value = &instruction->operands[first + 2].value;

		insn->sub |= value->negated ? SUB_SETP_NOT_C : 0;
		return ptx_source(parser, instruction, value, T_PRED, &insn->c);
	}
	return true;
}

bool ptx_decode_setp(struct ptx_parser *parser, struct ptx_instruction *instruction)
{
	enum ptx_type type = ptx_last_type(instruction);
	struct ptx_insn insn = PTX_INSN(.sub = 0);
	const struct ptx_operand *target = &instruction->operands[0];
	uint8_t reads = FIELD_A | FIELD_B, writes = FIELD_DST;

	if (type == T_NONE || instruction->operand_count < 3)
		return ptx_fail_unknown(parser, instruction);
	if (!decode_comparison(parser, instruction, type, 1, &insn) ||
	    !ptx_destination(parser, instruction, &target->value, T_PRED, &insn.dst))
		return false;
	if (target->has_second) {
		if (!ptx_destination(parser, instruction, &target->second, T_PRED, &insn.aux))
			return false;
		writes |= FIELD_AUX;
	}
	reads |= insn.c != PTX_OPERAND_NONE ? FIELD_C : 0;
	return ptx_emit(parser, instruction, insn, reads, writes);
}

/* set.cmp.dtype.stype d, a, b: a comparison into a hidden predicate, then a selection of 1.0 or -1, and 0. */
bool ptx_decode_set(struct ptx_parser *parser, struct ptx_instruction *instruction)
{
	enum ptx_type type = ptx_last_type(instruction), to = ptx_last_type(instruction);
	struct ptx_insn insn = PTX_INSN(.sub = 0), select = PTX_INSN(.op = OP_SELP_32);
	uint8_t reads = FIELD_A | FIELD_B;

	if ((to != T_U32 && to != T_S32 && to != T_F32) || instruction->operand_count < 3)
		return ptx_fail_unknown(parser, instruction);
	if (!decode_comparison(parser, instruction, type, 1, &insn))
		return false;
	reads |= insn.c != PTX_OPERAND_NONE ? FIELD_C : 0;
	insn.dst = select.c = ptx_new_register(parser, CLASS_PRED);
	select.a = ptx_constant(parser, CLASS_32, to == T_F32 ? 0x3f800000u : UINT32_MAX);
	select.b = ptx_constant(parser, CLASS_32, 0);
	return insn.dst != PTX_OPERAND_NONE && select.a != PTX_OPERAND_NONE && select.b != PTX_OPERAND_NONE &&
	       ptx_destination(parser, instruction, &instruction->operands[0].value, to, &select.dst) &&
	       ptx_emit(parser, instruction, insn, reads, FIELD_DST) &&
	       ptx_emit(parser, instruction, select, FIELD_A | FIELD_B | FIELD_C, FIELD_DST);
}

bool ptx_decode_testp(struct ptx_parser *parser, struct ptx_instruction *instruction)
{
	static const char *const names[] = {"finite", "infinite", "number", "notanumber", "normal", "subnormal"};
	enum ptx_type type = ptx_last_type(instruction);
	struct ptx_insn insn = PTX_INSN(.op = type == T_F64 ? OP_TESTP_F64 : OP_TESTP_F32, .imm = -1);

	for (size_t i = 0; i < ARRAY_LEN(names) && insn.imm < 0; i++)
		if (ptx_modifier(instruction, names[i]))
			insn.imm = (int32_t)i;
	if ((type != T_F32 && type != T_F64) || insn.imm < 0 || !ptx_all_taken(instruction))
		return ptx_fail_unknown(parser, instruction);
	return ptx_emit_form(parser, instruction, insn, "pt", type);
}

/* --- selections and tables ---------------------------------------------------------------------------------------- */

bool ptx_decode_slct(struct ptx_parser *parser, struct ptx_instruction *instruction)
{
	static const uint16_t ops[2][4] = {{0, OP_SLCT_S32_16, OP_SLCT_S32_32, OP_SLCT_S32_64},
					   {0, OP_SLCT_F32_16, OP_SLCT_F32_32, OP_SLCT_F32_64}};
	enum ptx_type by = ptx_last_type(instruction), type = ptx_last_type(instruction);

	(void)ptx_modifier(instruction, "ftz"); /* -denormal and -0 both count as >= 0 only when flushed: see op_SLCT */
	if ((by != T_S32 && by != T_F32) || ptx_type_size(type) < 2 || !ptx_all_taken(instruction))
		return ptx_fail_unknown(parser, instruction);
	return ptx_emit_form(parser, instruction, PTX_INSN(.op = ops[by == T_F32][ptx_class_of(type)], .sub = SUB_FTZ),
			     "ttt4", type);
}

bool ptx_decode_prmt(struct ptx_parser *parser, struct ptx_instruction *instruction)
{
	static const char *const modes[] = {"f4e", "b4e", "rc8", "ecl", "ecr", "rc16"};
	struct ptx_insn insn = PTX_INSN(.op = OP_PRMT);

	for (size_t i = 0; i < ARRAY_LEN(modes) && insn.imm == 0; i++)
		if (ptx_modifier(instruction, modes[i]))
			insn.imm = (int32_t)i + 1;
	if (!ptx_modifier(instruction, "b32") || !ptx_all_taken(instruction))
		return ptx_fail_unknown(parser, instruction);
	return ptx_emit_form(parser, instruction, insn, "tttt", T_B32);
}

bool ptx_decode_lop3(struct ptx_parser *parser, struct ptx_instruction *instruction)
{
	struct ptx_insn insn = PTX_INSN(.op = OP_LOP3);

	if (!ptx_modifier(instruction, "b32") || !ptx_all_taken(instruction))
		return ptx_fail_unknown(parser, instruction);
	if (instruction->operand_count != 5 || instruction->operands[4].value.kind != OPERAND_INT ||
	    instruction->operands[4].value.bits > 255)
		return ptx_fail_operands(parser, instruction, "the table is no number from 0 to 255");
	insn.imm = (int32_t)instruction->operands[4].value.bits;
	instruction->operand_count = 4;
	return ptx_emit_form(parser, instruction, insn, "tttt", T_B32);
}

/* dp4a.atype.btype and dp2a.lo.atype.btype; sub: 1 a is signed, 2 b is signed, 4 upper half of b. */
bool ptx_decode_dp(struct ptx_parser *parser, struct ptx_instruction *instruction)
{
	bool two = instruction->base.text[2] == '2', high = two && ptx_modifier(instruction, "hi");
	enum ptx_type b = ptx_last_type(instruction), a = ptx_last_type(instruction);
	struct ptx_insn insn = PTX_INSN(.op = two ? OP_DP2A : OP_DP4A,
					.sub = (a == T_S32 ? 1u : 0u) | (b == T_S32 ? 2u : 0u) | (high ? 4u : 0u));

	if ((a != T_S32 && a != T_U32) || (b != T_S32 && b != T_U32) ||
	    (two && !high && !ptx_modifier(instruction, "lo")) || !ptx_all_taken(instruction))
		return ptx_fail_unknown(parser, instruction);
	return ptx_emit_form(parser, instruction, insn, "tttt", T_B32);
}

/* --- cvt ---------------------------------------------------------------------------------------------------------- */

/* Conversions with a loop of their own; all others go through the general one. */
static uint16_t fast_conversion(const struct ptx_insn *insn)
{
	enum ptx_type to = SUB_TO(insn->sub), from = SUB_FROM(insn->sub);
	uint32_t to_size = ptx_type_size(to), from_size = ptx_type_size(from), details = insn->sub & 0xfc00;

	if (to_size != SUB_WIDTH(insn->sub) || from_size != SUB_SRC_WIDTH(insn->sub) || insn->sub & (SUB_SAT | SUB_FTZ))
		return OP_CVT;
	if (!ptx_type_is_float(to) && !ptx_type_is_float(from)) {
		if (to_size == 8 && from_size == 4)
			return ptx_type_is_signed(from) ? OP_CVT_S64_S32 : OP_CVT_U64_U32;
		if (to_size == 4 && from_size == 2)
			return ptx_type_is_signed(from) ? OP_CVT_S32_S16 : OP_CVT_U32_U16;
		if (to_size == 4 && from_size == 8)
			return OP_CVT_U32_U64;
		if (to_size == 2 && from_size > 2)
			return from_size == 4 ? OP_CVT_U16_U32 : OP_CVT_U16_U64;
		return OP_CVT;
	}
	if (from == T_F32 && (to == T_S32 || to == T_U32) && details == (SUB_INTEGRAL | (uint32_t)ROUND_Z << 10))
		return to == T_S32 ? OP_CVT_S32_F32_Z : OP_CVT_U32_F32_Z;
	if (details != 0)
		return OP_CVT;
	if (to == T_F32)
		return from == T_S32   ? OP_CVT_F32_S32
		       : from == T_U32 ? OP_CVT_F32_U32
		       : from == T_F64 ? OP_CVT_F32_F64
				       : OP_CVT;
	if (to == T_F64)
		return from == T_S32 ? OP_CVT_F64_S32 : from == T_F32 ? OP_CVT_F64_F32 : OP_CVT;
	return OP_CVT;
}

static bool decode_cvt_modifiers(struct ptx_instruction *instruction, uint32_t *sub, bool to_float, bool from_float)
{
	static const struct {
		const char *name;
		enum ptx_rounding rounding;
		bool integral;
	} roundings[] = {
		{"rn", ROUND_N, false}, {"rz", ROUND_Z, false}, {"rm", ROUND_M, false}, {"rp", ROUND_P, false},
		{"rni", ROUND_N, true}, {"rzi", ROUND_Z, true}, {"rmi", ROUND_M, true}, {"rpi", ROUND_P, true},
	};
	bool found = false;

	for (size_t i = 0; i < ARRAY_LEN(roundings) && !found; i++)
		if (ptx_modifier(instruction, roundings[i].name)) {
			*sub |= (uint32_t)roundings[i].rounding << 10 | (roundings[i].integral ? SUB_INTEGRAL : 0);
			found = true;
		}
	*sub |= ptx_modifier(instruction, "ftz") ? SUB_FTZ : 0;
	*sub |= ptx_modifier(instruction, "sat") ? SUB_SAT : 0;
	*sub |= ptx_modifier(instruction, "relu") ? SUB_RELU : 0;
	/* Float to integer must say how; only floats can be rounded to integral values. */
	if (from_float && !to_float && !(*sub & SUB_INTEGRAL))
		return false;
	return !(*sub & SUB_INTEGRAL) || from_float;
}

/* The bytes of the register that an operand of cvt stands for; 0 when it is none. */
static uint32_t register_bytes(const struct ptx_value *value, enum ptx_type type)
{
	uint32_t bytes =
		value->kind == OPERAND_REGISTER ? MAX(ptx_type_size(value->type), 2u) : MAX(ptx_type_size(type), 2u);

	if (value->kind == OPERAND_REGISTER && value->type == T_PRED)
		return 0;
	return bytes >= ptx_type_size(type) ? bytes : 0;
}

static enum ptx_type type_of_bytes(uint32_t bytes)
{
	return bytes == 8 ? T_B64 : bytes == 4 ? T_B32 : T_B16;
}

bool ptx_decode_cvt(struct ptx_parser *parser, struct ptx_instruction *instruction)
{
	enum ptx_type from = ptx_last_type(instruction), to = ptx_last_type(instruction);
	bool pair = to == T_F16X2 || to == T_BF16X2;
	struct ptx_insn insn = PTX_INSN(.op = OP_CVT, .sub = (uint32_t)to | (uint32_t)from << 5);
	const struct ptx_operand *operands = instruction->operands;
	uint32_t to_bytes, from_bytes;

	if (to <= T_PRED || from <= T_PRED || to == T_B8 || from == T_F16X2 || from == T_BF16X2 ||
	    (pair && from != T_F32) ||
	    !decode_cvt_modifiers(instruction, &insn.sub, ptx_type_is_float(to), ptx_type_is_float(from)) ||
	    !ptx_all_taken(instruction))
		return ptx_fail_unknown(parser, instruction);
	if (instruction->operand_count != (pair ? 3 : 2))
		return ptx_fail_operands(parser, instruction, "wrong number of operands");
	to_bytes = register_bytes(&operands[0].value, to);
	from_bytes = register_bytes(&operands[1].value, from);
	if (to_bytes == 0 || from_bytes == 0)
		return ptx_fail_operands(parser, instruction, "a register has the wrong size");
	insn.sub |= to_bytes << 16 | from_bytes << 20;
	insn.op = fast_conversion(&insn);
	if (!ptx_destination(parser, instruction, &operands[0].value, type_of_bytes(to_bytes), &insn.dst) ||
	    !ptx_source(parser, instruction, &operands[1].value,
			operands[1].value.kind == OPERAND_REGISTER ? type_of_bytes(from_bytes) : from, &insn.a) ||
	    (pair && !ptx_source(parser, instruction, &operands[2].value, T_F32, &insn.b)))
		return false;
	return ptx_emit(parser, instruction, insn, FIELD_A | (pair ? FIELD_B : 0), FIELD_DST);
}
