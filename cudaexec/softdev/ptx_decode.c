/* Arithmetic: one table of everything that is accepted, and the decoder that works by it. */
#include "cudaexec/softdev/ptx_decode.h"
#include "supervisor/util.h"

#include <string.h>

enum {
	MOD_LO = 1 << 0,
	MOD_HI = 1 << 1,
	MOD_WIDE = 1 << 2,
	MOD_RN = 1 << 3,
	MOD_RZ = 1 << 4,
	MOD_RM = 1 << 5,
	MOD_RP = 1 << 6,
	MOD_FTZ = 1 << 7,
	MOD_SAT = 1 << 8,
	MOD_APPROX = 1 << 9,
	MOD_FULL = 1 << 10,
	MOD_NAN = 1 << 11,
	MOD_L = 1 << 12,
	MOD_R = 1 << 13,
	MOD_WRAP = 1 << 14,
	MOD_CLAMP = 1 << 15,
	MOD_SHIFTAMT = 1 << 16,
	MOD_RELU = 1 << 17,
	MOD_NOFTZ = 1 << 18,
};

#define ROUNDING (MOD_RN | MOD_RZ | MOD_RM | MOD_RP)

static const struct {
	const char *name;
	uint32_t bit;
} modifier_names[] = {
	{"lo", MOD_LO},
	{"hi", MOD_HI},
	{"wide", MOD_WIDE},
	{"rn", MOD_RN},
	{"rz", MOD_RZ},
	{"rm", MOD_RM},
	{"rp", MOD_RP},
	{"ftz", MOD_FTZ},
	{"sat", MOD_SAT},
	{"approx", MOD_APPROX},
	{"full", MOD_FULL},
	{"NaN", MOD_NAN},
	{"l", MOD_L},
	{"r", MOD_R},
	{"wrap", MOD_WRAP},
	{"clamp", MOD_CLAMP},
	{"shiftamt", MOD_SHIFTAMT},
	{"relu", MOD_RELU},
	{"noftz", MOD_NOFTZ},
};

/* clang-format off */
#define R(type, op, needed, form) {type, 0, op, needed, 0, form}
#define INT3(op, needed, form) \
	R(T_U16, op##_16, needed, form), R(T_S16, op##_16, needed, form), R(T_U32, op##_32, needed, form), \
	R(T_S32, op##_32, needed, form), R(T_U64, op##_64, needed, form), R(T_S64, op##_64, needed, form)
#define INT6(op, needed, form) \
	R(T_U16, op##_U16, needed, form), R(T_S16, op##_S16, needed, form), R(T_U32, op##_U32, needed, form), \
	R(T_S32, op##_S32, needed, form), R(T_U64, op##_U64, needed, form), R(T_S64, op##_S64, needed, form)
#define SIGNED3(op, form) R(T_S16, op##_S16, 0, form), R(T_S32, op##_S32, 0, form), R(T_S64, op##_S64, 0, form)
#define BITS3(op, form) R(T_B16, op##_16, 0, form), R(T_B32, op##_32, 0, form), R(T_B64, op##_64, 0, form)
#define F32(op, float_op, needed, allowed, form) {T_F32, float_op, op##_F32, needed, allowed, form}
#define F64(op, float_op, needed, allowed, form) {T_F64, float_op, op##_F64, needed, allowed, form}
#define HALVES(float_op, needed, allowed, form) \
	{T_F16, float_op, OP_HALF, needed, allowed, form}, {T_F16X2, float_op, OP_HALF, needed, allowed, form}, \
	{T_BF16, float_op, OP_HALF, needed, allowed, form}, {T_BF16X2, float_op, OP_HALF, needed, allowed, form}
#define FLOATS(op, float_op, form) \
	F32(op, float_op, 0, ROUNDING | MOD_FTZ | MOD_SAT, form), F64(op, float_op, 0, ROUNDING, form)

static const struct ptx_rule rules_abs[] = {SIGNED3(OP_ABS, "tt"), F32(OP_ABS, FLOAT_ABS, 0, MOD_FTZ, "tt"),
	F64(OP_ABS, FLOAT_ABS, 0, 0, "tt"), HALVES(FLOAT_ABS, 0, MOD_FTZ, "tt")};
static const struct ptx_rule rules_neg[] = {SIGNED3(OP_NEG, "tt"), F32(OP_NEG, FLOAT_NEG, 0, MOD_FTZ, "tt"),
	F64(OP_NEG, FLOAT_NEG, 0, 0, "tt"), HALVES(FLOAT_NEG, 0, MOD_FTZ, "tt")};
static const struct ptx_rule rules_add[] = {INT3(OP_ADD, 0, "ttt"), R(T_S32, OP_ADDSAT_S32, MOD_SAT, "ttt"),
	FLOATS(OP_ADD, FLOAT_ADD, "ttt"), HALVES(FLOAT_ADD, 0, MOD_RN | MOD_FTZ | MOD_SAT, "ttt")};
static const struct ptx_rule rules_sub[] = {INT3(OP_SUB, 0, "ttt"), R(T_S32, OP_SUBSAT_S32, MOD_SAT, "ttt"),
	FLOATS(OP_SUB, FLOAT_SUB, "ttt"), HALVES(FLOAT_SUB, 0, MOD_RN | MOD_FTZ | MOD_SAT, "ttt")};
static const struct ptx_rule rules_mul[] = {INT3(OP_MULLO, MOD_LO, "ttt"), INT6(OP_MULHI, MOD_HI, "ttt"),
	R(T_U16, OP_MULWIDE_U16, MOD_WIDE, "wtt"), R(T_S16, OP_MULWIDE_S16, MOD_WIDE, "wtt"),
	R(T_U32, OP_MULWIDE_U32, MOD_WIDE, "wtt"), R(T_S32, OP_MULWIDE_S32, MOD_WIDE, "wtt"),
	FLOATS(OP_MUL, FLOAT_MUL, "ttt"), HALVES(FLOAT_MUL, 0, MOD_RN | MOD_FTZ | MOD_SAT, "ttt")};
static const struct ptx_rule rules_mad[] = {INT3(OP_MADLO, MOD_LO, "tttt"), INT6(OP_MADHI, MOD_HI, "tttt"),
	R(T_U16, OP_MADWIDE_U16, MOD_WIDE, "wttw"), R(T_S16, OP_MADWIDE_S16, MOD_WIDE, "wttw"),
	R(T_U32, OP_MADWIDE_U32, MOD_WIDE, "wttw"), R(T_S32, OP_MADWIDE_S32, MOD_WIDE, "wttw"),
	FLOATS(OP_FMA, FLOAT_FMA, "tttt")};
static const struct ptx_rule rules_fma[] = {FLOATS(OP_FMA, FLOAT_FMA, "tttt"),
	HALVES(FLOAT_FMA, 0, MOD_RN | MOD_FTZ | MOD_SAT | MOD_RELU, "tttt")};
static const struct ptx_rule rules_min[] = {INT6(OP_MIN, 0, "ttt"), F32(OP_MIN, FLOAT_MIN, 0, MOD_FTZ, "ttt"),
	F32(OP_MINNAN, FLOAT_MINNAN, MOD_NAN, MOD_FTZ, "ttt"), F64(OP_MIN, FLOAT_MIN, 0, 0, "ttt"),
	HALVES(FLOAT_MIN, 0, MOD_FTZ, "ttt"), HALVES(FLOAT_MINNAN, MOD_NAN, MOD_FTZ, "ttt")};
static const struct ptx_rule rules_max[] = {INT6(OP_MAX, 0, "ttt"), F32(OP_MAX, FLOAT_MAX, 0, MOD_FTZ, "ttt"),
	F32(OP_MAXNAN, FLOAT_MAXNAN, MOD_NAN, MOD_FTZ, "ttt"), F64(OP_MAX, FLOAT_MAX, 0, 0, "ttt"),
	HALVES(FLOAT_MAX, 0, MOD_FTZ, "ttt"), HALVES(FLOAT_MAXNAN, MOD_NAN, MOD_FTZ, "ttt")};
static const struct ptx_rule rules_div[] = {INT6(OP_DIV, 0, "ttt"),
	F32(OP_DIV, FLOAT_DIV, 0, ROUNDING | MOD_FTZ | MOD_APPROX | MOD_FULL, "ttt"),
	F64(OP_DIV, FLOAT_DIV, 0, ROUNDING, "ttt")};
static const struct ptx_rule rules_rem[] = {INT6(OP_REM, 0, "ttt")};
static const struct ptx_rule rules_sad[] = {INT6(OP_SAD, 0, "tttt")};
static const struct ptx_rule rules_rcp[] = {F32(OP_RCP, FLOAT_RCP, 0, ROUNDING | MOD_FTZ | MOD_APPROX, "tt"),
	F64(OP_RCP, FLOAT_RCP, 0, ROUNDING | MOD_FTZ | MOD_APPROX, "tt")};
static const struct ptx_rule rules_sqrt[] = {F32(OP_SQRT, FLOAT_SQRT, 0, ROUNDING | MOD_FTZ | MOD_APPROX, "tt"),
	F64(OP_SQRT, FLOAT_SQRT, 0, ROUNDING, "tt")};
static const struct ptx_rule rules_rsqrt[] = {F32(OP_RSQRT, 0, MOD_APPROX, MOD_FTZ, "tt"),
	F64(OP_RSQRT, 0, MOD_APPROX, MOD_FTZ, "tt")};
#define TRANSCENDENTAL(name, op) \
	static const struct ptx_rule rules_##name[] = {{T_F32, 0, op, MOD_APPROX, MOD_FTZ, "tt"}}
TRANSCENDENTAL(lg2, OP_LG2);
TRANSCENDENTAL(sin, OP_SIN);
TRANSCENDENTAL(cos, OP_COS);
static const struct ptx_rule rules_ex2[] = {{T_F32, 0, OP_EX2, MOD_APPROX, MOD_FTZ, "tt"},
	HALVES(FLOAT_EX2, MOD_APPROX, MOD_FTZ, "tt")};
static const struct ptx_rule rules_tanh[] = {{T_F32, 0, OP_TANH, MOD_APPROX, MOD_FTZ, "tt"},
	HALVES(FLOAT_TANH, MOD_APPROX, 0, "tt")};
static const struct ptx_rule rules_copysign[] = {R(T_F32, OP_COPYSIGN_F32, 0, "ttt"), R(T_F64, OP_COPYSIGN_F64, 0, "ttt")};
static const struct ptx_rule rules_and[] = {BITS3(OP_AND, "ttt"), R(T_PRED, OP_AND_P, 0, "ppp")};
static const struct ptx_rule rules_or[] = {BITS3(OP_OR, "ttt"), R(T_PRED, OP_OR_P, 0, "ppp")};
static const struct ptx_rule rules_xor[] = {BITS3(OP_XOR, "ttt"), R(T_PRED, OP_XOR_P, 0, "ppp")};
static const struct ptx_rule rules_not[] = {BITS3(OP_NOT, "tt"), R(T_PRED, OP_NOT_P, 0, "pp")};
static const struct ptx_rule rules_cnot[] = {BITS3(OP_CNOT, "tt")};
static const struct ptx_rule rules_shl[] = {BITS3(OP_SHL, "tt4")};
static const struct ptx_rule rules_shr[] = {INT6(OP_SHR, 0, "tt4"), R(T_B16, OP_SHR_U16, 0, "tt4"),
	R(T_B32, OP_SHR_U32, 0, "tt4"), R(T_B64, OP_SHR_U64, 0, "tt4")};
static const struct ptx_rule rules_shf[] = {R(T_B32, OP_SHF_LW, MOD_L | MOD_WRAP, "ttt4"),
	R(T_B32, OP_SHF_LC, MOD_L | MOD_CLAMP, "ttt4"), R(T_B32, OP_SHF_RW, MOD_R | MOD_WRAP, "ttt4"),
	R(T_B32, OP_SHF_RC, MOD_R | MOD_CLAMP, "ttt4")};
static const struct ptx_rule rules_bfe[] = {R(T_U32, OP_BFE_U32, 0, "tt44"), R(T_S32, OP_BFE_S32, 0, "tt44"),
	R(T_U64, OP_BFE_U64, 0, "tt44"), R(T_S64, OP_BFE_S64, 0, "tt44")};
static const struct ptx_rule rules_bfi[] = {R(T_B32, OP_BFI_32, 0, "ttt44"), R(T_B64, OP_BFI_64, 0, "ttt44")};
static const struct ptx_rule rules_bfind[] = {
	{T_U32, 0, OP_BFIND_U32, 0, MOD_SHIFTAMT, "4t"}, {T_S32, 0, OP_BFIND_S32, 0, MOD_SHIFTAMT, "4t"},
	{T_U64, 0, OP_BFIND_U64, 0, MOD_SHIFTAMT, "4t"}, {T_S64, 0, OP_BFIND_S64, 0, MOD_SHIFTAMT, "4t"}};
static const struct ptx_rule rules_brev[] = {R(T_B32, OP_BREV_32, 0, "tt"), R(T_B64, OP_BREV_64, 0, "tt")};
static const struct ptx_rule rules_clz[] = {R(T_B32, OP_CLZ_32, 0, "4t"), R(T_B64, OP_CLZ_64, 0, "4t")};
static const struct ptx_rule rules_popc[] = {R(T_B32, OP_POPC_32, 0, "4t"), R(T_B64, OP_POPC_64, 0, "4t")};
static const struct ptx_rule rules_fns[] = {R(T_B32, OP_FNS, 0, "tttt")};
static const struct ptx_rule rules_selp[] = {BITS3(OP_SELP, "tttp"), INT3(OP_SELP, 0, "tttp"),
	R(T_F32, OP_SELP_32, 0, "tttp"), R(T_F64, OP_SELP_64, 0, "tttp")};

#define ALU(name) {#name, ptx_decode_alu, rules_##name, ARRAY_LEN(rules_##name)}
#define OTHER(name, decode) {#name, decode, NULL, 0}

/* Sorted by name. */
static const struct ptx_family families[] = {
	ALU(abs), OTHER(activemask, ptx_decode_activemask), ALU(add), ALU(and), OTHER(atom, ptx_decode_atom),
	OTHER(bar, ptx_decode_bar), OTHER(barrier, ptx_decode_bar), ALU(bfe), ALU(bfi), ALU(bfind),
	OTHER(bra, ptx_decode_bra), ALU(brev), OTHER(brkpt, ptx_decode_hint), OTHER(call, ptx_parse_call), ALU(clz),
	ALU(cnot), ALU(copysign), ALU(cos), OTHER(cvt, ptx_decode_cvt), OTHER(cvta, ptx_decode_cvta), ALU(div),
	OTHER(dp2a, ptx_decode_dp), OTHER(dp4a, ptx_decode_dp), ALU(ex2), OTHER(exit, ptx_decode_exit),
	OTHER(fence, ptx_decode_fence), ALU(fma), ALU(fns), OTHER(isspacep, ptx_decode_isspacep), OTHER(ld, ptx_decode_ld),
	OTHER(ldu, ptx_decode_ld), ALU(lg2), OTHER(lop3, ptx_decode_lop3), ALU(mad), OTHER(match, ptx_decode_match),
	ALU(max), OTHER(membar, ptx_decode_fence), ALU(min), OTHER(mov, ptx_decode_mov), ALU(mul),
	OTHER(nanosleep, ptx_decode_hint), ALU(neg), ALU(not), ALU(or), OTHER(pmevent, ptx_decode_hint), ALU(popc),
	OTHER(prefetch, ptx_decode_hint), OTHER(prefetchu, ptx_decode_hint), OTHER(prmt, ptx_decode_prmt), ALU(rcp),
	OTHER(red, ptx_decode_atom), OTHER(redux, ptx_decode_redux), ALU(rem), OTHER(ret, ptx_decode_exit), ALU(rsqrt),
	ALU(sad), ALU(selp), OTHER(set, ptx_decode_set), OTHER(setp, ptx_decode_setp), ALU(shf), OTHER(shfl, ptx_decode_shfl),
	ALU(shl), ALU(shr), ALU(sin), OTHER(slct, ptx_decode_slct), ALU(sqrt), OTHER(st, ptx_decode_st), ALU(sub),
	ALU(tanh), OTHER(testp, ptx_decode_testp), OTHER(trap, ptx_decode_exit), OTHER(vote, ptx_decode_vote), ALU(xor),
};
/* clang-format on */

const struct ptx_family *ptx_find_family(const char *name, size_t length)
{
	size_t low = 0, high = ARRAY_LEN(families);

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		int order = strncmp(families[middle].name, name, length);

		if (order == 0 && families[middle].name[length] == '\0')
			return &families[middle];
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return NULL;
}

/* --- modifiers and messages --------------------------------------------------------------------------------------- */

bool ptx_modifier(struct ptx_instruction *instruction, const char *text)
{
	for (uint32_t i = 0; i < instruction->modifier_count; i++) {
		const struct ptx_word *word = &instruction->modifiers[i];

		if (!(instruction->taken & 1u << i) && word->length == strlen(text) &&
		    memcmp(word->text, text, word->length) == 0) {
			instruction->taken |= 1u << i;
			return true;
		}
	}
	return false;
}

enum ptx_type ptx_last_type(struct ptx_instruction *instruction)
{
	uint32_t i = instruction->modifier_count;
	enum ptx_type type;

	while (i > 0 && (instruction->taken & 1u << (i - 1)))
		i--;
	if (i == 0)
		return T_NONE;
	type = ptx_type_of(instruction->modifiers[i - 1].text, instruction->modifiers[i - 1].length);
	if (type != T_NONE)
		instruction->taken |= 1u << (i - 1);
	return type;
}

bool ptx_all_taken(const struct ptx_instruction *instruction)
{
	return instruction->taken == (1u << instruction->modifier_count) - 1;
}

bool ptx_fail_unknown(struct ptx_parser *parser, const struct ptx_instruction *instruction)
{
	char name[256];
	size_t used = (size_t)snprintf(name, sizeof(name), "%.*s", (int)MIN(instruction->base.length, 64u),
				       instruction->base.text);

	for (uint32_t i = 0; i < instruction->modifier_count && used < sizeof(name) - 66; i++)
		used += (size_t)snprintf(name + used, sizeof(name) - used, ".%.*s",
					 (int)instruction->modifiers[i].length, instruction->modifiers[i].text);
	return ptx_fail_line(parser, instruction->line, "unknown instruction '%s'", name);
}

bool ptx_fail_operands(struct ptx_parser *parser, const struct ptx_instruction *instruction, const char *what)
{
	return ptx_fail_line(parser, instruction->line, "operands of '%.*s': %s",
			     (int)MIN(instruction->base.length, 64u), instruction->base.text, what);
}

bool ptx_decode(struct ptx_parser *parser, struct ptx_instruction *instruction)
{
	return instruction->family->decode(parser, instruction);
}

/* --- arithmetic --------------------------------------------------------------------------------------------------- */

static enum ptx_type letter_type(char letter, enum ptx_type type)
{
	switch (letter) {
	case 'w':
		return ptx_type_size(type) == 2 ? T_B32 : T_B64;
	case '4':
		return T_B32;
	case 'p':
		return T_PRED;
	default:
		return type;
	}
}

bool ptx_emit_form(struct ptx_parser *parser, struct ptx_instruction *instruction, struct ptx_insn insn,
		   const char *form, enum ptx_type type)
{
	uint32_t *const fields[] = {&insn.dst, &insn.a, &insn.b, &insn.c, &insn.aux};
	uint32_t count = (uint32_t)strlen(form);

	if (instruction->operand_count != count)
		return ptx_fail_operands(parser, instruction, "wrong number of operands");
	for (uint32_t i = 0; i < count; i++) {
		const struct ptx_operand *operand = &instruction->operands[i];
		enum ptx_type wanted = letter_type(form[i], type);

		if (operand->address || operand->has_second || operand->value.negated)
			return ptx_fail_operands(parser, instruction, "an operand has the wrong form");
		if (!(i == 0 ? ptx_destination : ptx_source)(parser, instruction, &operand->value, wanted, fields[i]))
			return false;
	}
	return ptx_emit(parser, instruction, insn, (uint8_t)((1u << count) - 2), FIELD_DST);
}

static enum ptx_rounding rounding_of(uint32_t modifiers)
{
	return modifiers & MOD_RZ ? ROUND_Z : modifiers & MOD_RM ? ROUND_M : modifiers & MOD_RP ? ROUND_P : ROUND_N;
}

/* The operation for these modifiers: the plain one, its flushing twin, or the slow general one. */
static void choose_operation(const struct ptx_rule *rule, uint32_t modifiers, struct ptx_insn *insn)
{
	enum ptx_rounding rounding = rounding_of(modifiers);

	insn->op = rule->op;
	insn->sub = (modifiers & MOD_FTZ ? SUB_FTZ : 0) | (modifiers & MOD_SAT ? SUB_SAT : 0) |
		    (modifiers & MOD_RELU ? SUB_RELU : 0) | (uint32_t)rounding << 10 | rule->type |
		    (uint32_t)rule->kind << 24;
	insn->imm = (modifiers & MOD_SHIFTAMT) != 0;
	if (rule->op == OP_HALF || !(rule->allowed & (MOD_FTZ | ROUNDING)))
		return;
	if (rule->allowed & ROUNDING && (rounding != ROUND_N || modifiers & MOD_SAT))
		insn->op = OP_ROUND;
	else if (rule->type == T_F32 && modifiers & MOD_FTZ && !(rule->op >= OP_EX2 && rule->op <= OP_TANH))
		insn->op++;
}

bool ptx_decode_alu(struct ptx_parser *parser, struct ptx_instruction *instruction)
{
	enum ptx_type type = ptx_last_type(instruction);
	struct ptx_insn insn = PTX_INSN(.imm = 0);
	uint32_t modifiers = 0;

	for (size_t i = 0; i < ARRAY_LEN(modifier_names); i++)
		if (ptx_modifier(instruction, modifier_names[i].name))
			modifiers |= modifier_names[i].bit;
	if (type == T_NONE || !ptx_all_taken(instruction))
		return ptx_fail_unknown(parser, instruction);
	for (uint32_t i = 0; i < instruction->family->rule_count; i++) {
		const struct ptx_rule *rule = &instruction->family->rules[i];

		if (rule->type != type || (modifiers & ~rule->allowed) != rule->needed)
			continue;
		choose_operation(rule, modifiers, &insn);
		return ptx_emit_form(parser, instruction, insn, rule->form, type);
	}
	return ptx_fail_unknown(parser, instruction);
}
