/* Operands: reading them, and turning them into registers and constants. */
#include "cudaexec/softdev/ptx_parser.h"
#include "supervisor/util.h"

#include <string.h>

#define CONSTANT_BUCKETS (2u * PTX_CONSTANTS_MAX)

static const struct {
	const char *name;
	uint32_t area;
	enum ptx_special place;
} specials[] = {
	{"%tid.x", PTX_AREA_THREAD, SPECIAL_TID_X},
	{"%tid.y", PTX_AREA_THREAD, SPECIAL_TID_Y},
	{"%tid.z", PTX_AREA_THREAD, SPECIAL_TID_Z},
	{"%ctaid.x", PTX_AREA_BLOCK, SPECIAL_CTAID_X},
	{"%ctaid.y", PTX_AREA_BLOCK, SPECIAL_CTAID_Y},
	{"%ctaid.z", PTX_AREA_BLOCK, SPECIAL_CTAID_Z},
	{"%ntid.x", PTX_AREA_BLOCK, SPECIAL_NTID_X},
	{"%ntid.y", PTX_AREA_BLOCK, SPECIAL_NTID_Y},
	{"%ntid.z", PTX_AREA_BLOCK, SPECIAL_NTID_Z},
	{"%nctaid.x", PTX_AREA_BLOCK, SPECIAL_NCTAID_X},
	{"%nctaid.y", PTX_AREA_BLOCK, SPECIAL_NCTAID_Y},
	{"%nctaid.z", PTX_AREA_BLOCK, SPECIAL_NCTAID_Z},
	{"%laneid", PTX_AREA_THREAD, SPECIAL_LANEID},
	{"%warpid", PTX_AREA_THREAD, SPECIAL_WARPID},
	{"%lanemask_eq", PTX_AREA_THREAD, SPECIAL_LANEMASK_EQ},
	{"%lanemask_lt", PTX_AREA_THREAD, SPECIAL_LANEMASK_LT},
	{"%lanemask_le", PTX_AREA_THREAD, SPECIAL_LANEMASK_LE},
	{"%lanemask_gt", PTX_AREA_THREAD, SPECIAL_LANEMASK_GT},
	{"%lanemask_ge", PTX_AREA_THREAD, SPECIAL_LANEMASK_GE},
	{"%nwarpid", PTX_AREA_BLOCK, SPECIAL_NWARPID},
	{"%smid", PTX_AREA_BLOCK, SPECIAL_SMID},
	{"%nsmid", PTX_AREA_BLOCK, SPECIAL_NSMID},
	{"%dynamic_smem_size", PTX_AREA_BLOCK, SPECIAL_DYNAMIC_SMEM},
	{"%total_smem_size", PTX_AREA_BLOCK, SPECIAL_TOTAL_SMEM},
	{"WARP_SZ", PTX_AREA_BLOCK, SPECIAL_WARP_SIZE},
	{"%envreg1", PTX_AREA_BLOCK, SPECIAL_ENVREG1},
	{"%envreg2", PTX_AREA_BLOCK, SPECIAL_ENVREG2},
};

/* --- registers and constants -------------------------------------------------------------------------------------- */

uint32_t ptx_new_register(struct ptx_parser *parser, enum ptx_class class)
{
	struct ptx_builder *build = &parser->build;

	/* Guards have 16 bits with the negation; everything else has room. */
	if (build->registers >= PTX_REGISTERS_MAX ||
	    (class == CLASS_PRED && build->register_count[class] >= UINT16_MAX / 2 - 1)) {
		(void)ptx_fail(parser, "too many registers in one function");
		return PTX_OPERAND_NONE;
	}
	build->registers++;
	return PTX_REGISTER(class, build->register_count[class]++);
}

static bool same_name(const char *name, uint32_t length, const char *with)
{
	return strlen(with) == length && memcmp(name, with, length) == 0;
}

/* The number behind the name of a register range: "%r12" is number 12 of "%r". */
static struct ptx_symbol *find_range(struct ptx_parser *parser, const char *name, uint32_t length, uint32_t *ret_number)
{
	uint32_t prefix = length, number = 0, scale = 1;
	struct ptx_symbol *symbol;

	while (prefix > 1 && name[prefix - 1] >= '0' && name[prefix - 1] <= '9' && length - prefix < 8) {
		prefix--;
		number += (uint32_t)(name[prefix] - '0') * scale;
		scale *= 10;
		symbol = ptx_find_symbol(parser, name, prefix);
		if (symbol && symbol->kind == SYMBOL_REGISTER && symbol->count > number) {
			*ret_number = number;
			return symbol;
		}
	}
	return NULL;
}

bool ptx_find_register(struct ptx_parser *parser, const char *name, uint32_t length, bool *ret_found,
		       uint32_t *ret_code, uint8_t *ret_type)
{
	struct ptx_symbol *symbol = ptx_find_symbol(parser, name, length);
	uint32_t number = 0, code;

	if (!symbol)
		symbol = find_range(parser, name, length, &number);
	*ret_found = symbol && symbol->kind == SYMBOL_REGISTER;
	if (!*ret_found)
		return true;
	if (!symbol->numbers) {
		parser->range_total += MAX(symbol->count, 1u);
		if (parser->range_total > PTX_RANGES_MAX)
			return ptx_fail(parser, "too many registers in one module");
		symbol->numbers = ptx_arena_array(&parser->arena, MAX(symbol->count, 1u), sizeof(uint32_t));
		if (!symbol->numbers)
			return ptx_fail_memory(parser);
	}
	if (symbol->numbers[number] == 0) {
		code = ptx_new_register(parser, ptx_class_of(symbol->type));
		if (code == PTX_OPERAND_NONE)
			return false;
		symbol->numbers[number] = code + 1;
	}
	*ret_code = symbol->numbers[number] - 1;
	*ret_type = symbol->type;
	return true;
}

static bool same_constant(const struct ptx_constant *a, const struct ptx_constant *b)
{
	return a->value == b->value && a->index == b->index && a->class == b->class && a->reloc == b->reloc;
}

static uint32_t add_constant(struct ptx_parser *parser, struct ptx_constant constant)
{
	struct ptx_builder *build = &parser->build;
	uint64_t hash = (constant.value ^ constant.value >> 29) * 0x9e3779b97f4a7c15ull + constant.class * 31u +
			constant.reloc * 77u + constant.index * 1013u;
	uint32_t at = (uint32_t)(hash >> 40) % CONSTANT_BUCKETS;

	if (!build->constant_index) {
		build->constant_index = calloc(CONSTANT_BUCKETS, sizeof(uint32_t));
		if (!build->constant_index) {
			(void)ptx_fail_memory(parser);
			return PTX_OPERAND_NONE;
		}
	}
	for (; build->constant_index[at] != 0; at = (at + 1) % CONSTANT_BUCKETS) {
		const struct ptx_constant *known = &build->constants[build->constant_index[at] - 1];

		if (same_constant(known, &constant))
			return PTX_AREA_CONSTANTS | known->offset;
	}
	if (!ptx_grow(parser, &build->constants, build->constant_count, &build->constant_room, sizeof(constant),
		      PTX_CONSTANTS_MAX, "constants in one function"))
		return PTX_OPERAND_NONE;
	constant.offset = build->constant_bytes;
	build->constant_bytes += MAX(ptx_class_bytes(constant.class), 64u);
	build->constants[build->constant_count++] = constant;
	build->constant_index[at] = build->constant_count;
	return PTX_AREA_CONSTANTS | constant.offset;
}

uint32_t ptx_constant(struct ptx_parser *parser, enum ptx_class class, uint64_t value)
{
	if (class == CLASS_PRED)
		value = value ? UINT32_MAX : 0;
	else if (class != CLASS_64)
		value &= class == CLASS_32 ? UINT32_MAX : UINT16_MAX;
	return add_constant(parser, (struct ptx_constant){.value = value, .class = (uint8_t) class});
}

uint32_t ptx_constant_reloc(struct ptx_parser *parser, enum ptx_reloc reloc, uint32_t index, uint64_t addend,
			    enum ptx_class class)
{
	return add_constant(
		parser, (struct ptx_constant){
				.value = addend, .index = index, .class = (uint8_t) class, .reloc = (uint8_t)reloc});
}

/* --- reading ------------------------------------------------------------------------------------------------------ */

/* A word: register, special register, name of something, or '_'. */
static bool parse_name(struct ptx_parser *parser, struct ptx_value *value)
{
	char special[32] = "";
	struct ptx_word word;
	bool found = false;

	if (!ptx_expect_word(parser, &word))
		return false;
	value->name = word;
	if (same_name(word.text, word.length, "_")) {
		value->kind = OPERAND_SINK;
		return true;
	}
	if (!ptx_find_register(parser, word.text, word.length, &found, &value->code, &value->type))
		return false;
	value->kind = OPERAND_REGISTER;
	if (found)
		return true;
	if (parser->lexer.token.kind == TOKEN_DOT && word.text[0] == '%') {
		word.length = (uint32_t)(parser->lexer.token.text - word.text + (long)parser->lexer.token.length);
		ptx_lexer_next(&parser->lexer);
	}
	if (word.length < sizeof(special))
		memcpy(special, word.text, word.length);
	value->type = T_U32;
	for (size_t i = 0; i < ARRAY_LEN(specials); i++)
		if (strcmp(special, specials[i].name) == 0) {
			value->code = specials[i].area | specials[i].place * PTX_SPECIAL_BYTES;
			return true;
		}
	if (strcmp(special, "%gridid") == 0 || strncmp(special, "%envreg", 7) == 0) {
		value->type = special[1] == 'g' ? T_U64 : T_U32;
		value->code = PTX_AREA_BLOCK | SPECIAL_ZERO * PTX_SPECIAL_BYTES;
		return true;
	}
	value->name = word;
	value->symbol = ptx_find_symbol(parser, word.text, word.length);
	value->kind = value->symbol ? OPERAND_SYMBOL : OPERAND_NAME;
	return true;
}

static bool parse_value(struct ptx_parser *parser, struct ptx_value *value)
{
	const struct ptx_token *token = &parser->lexer.token;
	bool minus;

	*value = (struct ptx_value){.code = PTX_OPERAND_NONE};
	value->negated = ptx_accept(parser, '!');
	minus = !value->negated && ptx_accept(parser, '-');
	value->bits = token->u;
	switch (token->kind) {
	case TOKEN_INT:
		value->kind = OPERAND_INT;
		value->bits = minus ? -token->u : token->u;
		break;
	case TOKEN_F32:
		value->kind = OPERAND_F32;
		value->bits ^= minus ? 1u << 31 : 0;
		break;
	case TOKEN_F64:
		value->kind = OPERAND_F64;
		value->bits ^= minus ? 1ull << 63 : 0;
		break;
	default:
		if (minus)
			return ptx_fail(parser, "expected a number behind '-'");
		return parse_name(parser, value);
	}
	ptx_lexer_next(&parser->lexer);
	return true;
}

/* "+ 4", "+ -4", "- 4" behind the base of an address or a symbol. */
static bool parse_offset(struct ptx_parser *parser, int64_t *ret_offset)
{
	uint64_t offset = 0;
	bool minus = ptx_at(parser, '-');

	if (!minus && !ptx_at(parser, '+'))
		return true;
	ptx_lexer_next(&parser->lexer);
	if (!ptx_expect_int(parser, &offset))
		return false;
	offset = minus ? -offset : offset;
	if ((int64_t)offset > INT32_MAX || (int64_t)offset < INT32_MIN)
		return ptx_fail(parser, "offset does not fit 32 bits");
	*ret_offset = (int64_t)offset;
	return true;
}

static bool parse_vector(struct ptx_parser *parser, struct ptx_operand *operand)
{
	operand->value.kind = OPERAND_VECTOR;
	do {
		if (operand->element_count == PTX_VECTOR_MAX)
			return ptx_fail(parser, "vector with more than %d elements", PTX_VECTOR_MAX);
		if (!parse_value(parser, &operand->elements[operand->element_count++]))
			return false;
	} while (ptx_accept(parser, ','));
	return ptx_expect(parser, '}');
}

bool ptx_parse_operand(struct ptx_parser *parser, struct ptx_operand *ret_operand)
{
	memset(ret_operand, 0, sizeof(*ret_operand));
	if (ptx_accept(parser, '{'))
		return parse_vector(parser, ret_operand);
	if (ptx_accept(parser, '[')) {
		ret_operand->address = true;
		return parse_value(parser, &ret_operand->value) && parse_offset(parser, &ret_operand->offset) &&
		       ptx_expect(parser, ']');
	}
	if (!parse_value(parser, &ret_operand->value))
		return false;
	if (ptx_accept(parser, '|')) {
		ret_operand->has_second = true;
		return parse_value(parser, &ret_operand->second);
	}
	if (ret_operand->value.kind == OPERAND_SYMBOL) {
		if (!parse_offset(parser, &ret_operand->offset))
			return false;
		ret_operand->value.bits = (uint64_t)ret_operand->offset;
	}
	return true;
}

bool ptx_parse_operands(struct ptx_parser *parser, struct ptx_instruction *instruction)
{
	if (ptx_accept(parser, ';'))
		return true;
	do {
		if (instruction->operand_count == PTX_OPERANDS_MAX)
			return ptx_fail(parser, "too many operands");
		if (!ptx_parse_operand(parser, &instruction->operands[instruction->operand_count++]))
			return false;
	} while (ptx_accept(parser, ','));
	return ptx_expect(parser, ';');
}

/* --- use ---------------------------------------------------------------------------------------------------------- */

/* The bits of an immediate as a value of TYPE; false when the literal has the wrong kind. */
static bool immediate_bits(const struct ptx_value *value, enum ptx_type type, uint64_t *ret_bits)
{
	uint32_t low;
	float narrow;
	double wide;

	if (value->kind == OPERAND_INT) {
		*ret_bits = value->bits;
		return !(ptx_type_is_float(type) && ptx_type_size(type) > 2 && type != T_F16X2 && type != T_BF16X2 &&
			 value->bits != 0);
	}
	if (type == T_F64 || (type == T_B64 && value->kind == OPERAND_F64)) {
		*ret_bits = value->bits;
		if (value->kind == OPERAND_F32) {
			low = (uint32_t)value->bits;
			memcpy(&narrow, &low, sizeof(narrow));
			wide = narrow;
			memcpy(ret_bits, &wide, sizeof(wide));
		}
		return true;
	}
	if (type == T_F32 || type == T_B32) {
		*ret_bits = value->bits;
		if (value->kind == OPERAND_F64) {
			memcpy(&wide, &value->bits, sizeof(wide));
			narrow = (float)wide;
			*ret_bits = 0;
			memcpy(ret_bits, &narrow, sizeof(narrow));
		}
		return true;
	}
	return false;
}

/* The address of a variable or function as constant. */
static bool symbol_source(struct ptx_parser *parser, const struct ptx_instruction *instruction,
			  const struct ptx_value *value, enum ptx_type type, uint32_t *ret_code)
{
	const struct ptx_symbol *symbol = value->symbol;
	enum ptx_class class = ptx_class_of(type);

	if (symbol->kind == SYMBOL_SHARED && (class == CLASS_32 || class == CLASS_64)) {
		if (symbol->reloc != RELOC_SHARED_OWN)
			parser->build.function->module_shared |= symbol->reloc == RELOC_SHARED_MODULE;
		*ret_code = ptx_constant_reloc(parser, symbol->reloc, 0, symbol->offset + value->bits, class);
	} else if (symbol->kind == SYMBOL_VARIABLE && class == CLASS_64) {
		*ret_code = ptx_constant_reloc(parser, RELOC_VARIABLE, symbol->index, value->bits, class);
	} else if (symbol->kind == SYMBOL_FUNCTION && class == CLASS_64 && value->bits == 0) {
		*ret_code = ptx_constant_reloc(parser, RELOC_FUNCTION, symbol->index, 0, class);
	} else {
		return ptx_fail_operands(parser, instruction, "a name stands where a value is needed");
	}
	return *ret_code != PTX_OPERAND_NONE;
}

bool ptx_source(struct ptx_parser *parser, const struct ptx_instruction *instruction, const struct ptx_value *value,
		enum ptx_type type, uint32_t *ret_code)
{
	uint64_t bits = 0;

	if (value->negated && type != T_PRED)
		return ptx_fail_operands(parser, instruction, "'!' stands before something that is no predicate");
	switch (value->kind) {
	case OPERAND_REGISTER:
		if (ptx_class_of(value->type) != ptx_class_of(type))
			return ptx_fail_operands(parser, instruction, "a register has the wrong size");
		*ret_code = value->code;
		return true;
	case OPERAND_INT:
	case OPERAND_F32:
	case OPERAND_F64:
		if (!immediate_bits(value, type, &bits))
			return ptx_fail_operands(parser, instruction, "a literal has the wrong type");
		*ret_code = ptx_constant(parser, ptx_class_of(type), bits);
		return *ret_code != PTX_OPERAND_NONE;
	case OPERAND_SYMBOL:
		return symbol_source(parser, instruction, value, type, ret_code);
	case OPERAND_NAME:
		return ptx_fail_line(parser, instruction->line, "unknown name '%.*s'",
				     (int)MIN(value->name.length, 200u), value->name.text);
	default:
		return ptx_fail_operands(parser, instruction, "an operand has the wrong form");
	}
}

bool ptx_destination(struct ptx_parser *parser, const struct ptx_instruction *instruction,
		     const struct ptx_value *value, enum ptx_type type, uint32_t *ret_code)
{
	if (value->kind == OPERAND_SINK) {
		*ret_code = ptx_new_register(parser, ptx_class_of(type));
		return *ret_code != PTX_OPERAND_NONE;
	}
	if (value->kind == OPERAND_NAME)
		return ptx_fail_line(parser, instruction->line, "unknown name '%.*s'",
				     (int)MIN(value->name.length, 200u), value->name.text);
	if (value->kind != OPERAND_REGISTER || (value->code & PTX_AREA_MASK) != PTX_AREA_REGISTERS || value->negated)
		return ptx_fail_operands(parser, instruction, "the destination is no register");
	if (ptx_class_of(value->type) != ptx_class_of(type))
		return ptx_fail_operands(parser, instruction, "a register has the wrong size");
	*ret_code = value->code;
	return true;
}

bool ptx_emit(struct ptx_parser *parser, const struct ptx_instruction *instruction, struct ptx_insn insn, uint8_t reads,
	      uint8_t writes)
{
	struct ptx_builder *build = &parser->build;
	uint32_t rooms[] = {build->room, build->room, build->room};
	static const char what[] = "instructions in one function";

	if (!ptx_grow(parser, &build->insns, build->count, &rooms[0], sizeof(*build->insns), PTX_INSTRUCTIONS_MAX,
		      what) ||
	    !ptx_grow(parser, &build->roles, build->count, &rooms[1], sizeof(*build->roles), PTX_INSTRUCTIONS_MAX,
		      what) ||
	    !ptx_grow(parser, &build->lines, build->count, &rooms[2], sizeof(*build->lines), PTX_INSTRUCTIONS_MAX,
		      what))
		return false;
	build->room = rooms[0];
	insn.guard = instruction->guard;
	build->insns[build->count] = insn;
	build->roles[build->count] = (struct ptx_roles){reads, writes};
	build->lines[build->count] = instruction->line;
	build->count++;
	return true;
}
