/* Branches, calls, barriers and the instructions by which the lanes of a warp talk to each other. */
#include "cudaexec/softdev/ptx_decode.h"
#include "supervisor/util.h"

#include <string.h>

/* --- branches ----------------------------------------------------------------------------------------------------- */

bool ptx_decode_bra(struct ptx_parser *parser, struct ptx_instruction *instruction)
{
	struct ptx_builder *build = &parser->build;
	const struct ptx_value *value = &instruction->operands[0].value;

	(void)ptx_modifier(instruction, "uni");
	if (!ptx_all_taken(instruction))
		return ptx_fail_unknown(parser, instruction);
	if (instruction->operand_count != 1 || value->name.length == 0 || instruction->operands[0].address ||
	    value->kind == OPERAND_VECTOR)
		return ptx_fail_operands(parser, instruction, "a label is missing");
	if (!ptx_grow(parser, &build->references, build->reference_count, &build->reference_room,
		      sizeof(*build->references), PTX_INSTRUCTIONS_MAX, "branches"))
		return false;
	build->references[build->reference_count++] = (struct ptx_reference){.name = value->name.text,
									     .length = value->name.length,
									     .depth = parser->depth,
									     .insn = build->count,
									     .line = instruction->line};
	return ptx_emit(parser, instruction, PTX_INSN(.op = OP_BRA), 0, 0);
}

/* ret, exit, trap. Results in registers go to their places in the frame first. */
bool ptx_decode_exit(struct ptx_parser *parser, struct ptx_instruction *instruction)
{
	const struct ptx_function *function = parser->build.function;
	bool returns = instruction->base.text[0] == 'r';
	struct ptx_symbol *symbol;

	(void)ptx_modifier(instruction, "uni");
	if (!ptx_all_taken(instruction))
		return ptx_fail_unknown(parser, instruction);
	if (instruction->operand_count != 0)
		return ptx_fail_operands(parser, instruction, "there should be none");
	if (instruction->base.text[0] == 't')
		return ptx_emit(parser, instruction, PTX_INSN(.op = OP_TRAP), 0, 0);
	if (!returns || function->entry)
		return ptx_emit(parser, instruction, PTX_INSN(.op = OP_EXIT), 0, 0);
	for (uint32_t i = 0; i < function->ret_count; i++) {
		symbol = parser->build.formal_rets[i];
		if (symbol->formal && symbol->numbers && symbol->numbers[0] &&
		    !ptx_emit_frame_store(parser, instruction, symbol->numbers[0] - 1, symbol->offset))
			return false;
	}
	return ptx_emit(parser, instruction, PTX_INSN(.op = OP_RET), 0, 0);
}

/* --- calls -------------------------------------------------------------------------------------------------------- */

struct call_values {
	struct ptx_operand *values;
	uint32_t count;
};

static bool parse_call_values(struct ptx_parser *parser, struct call_values *values)
{
	uint32_t room = 0;
	bool good = true;

	if (ptx_accept(parser, ')'))
		return true;
	do {
		good = ptx_grow(parser, &values->values, values->count, &room, sizeof(*values->values), PTX_PARAMS_MAX,
				"arguments") &&
		       ptx_parse_operand(parser, &values->values[values->count]);
		values->count++;
	} while (good && ptx_accept(parser, ','));
	return good && ptx_expect(parser, ')');
}

/* A place in the frame for an argument that is no variable. */
static bool temporary(struct ptx_parser *parser, uint32_t size, uint64_t *ret_offset)
{
	struct ptx_builder *build = &parser->build;
	uint64_t at = (build->local_bytes + 7) & ~7ull;

	if (at + size > PTX_LOCAL_MAX)
		return ptx_fail(parser, "more than %d bytes of local memory", PTX_LOCAL_MAX);
	build->local_bytes = at + size;
	*ret_offset = at;
	return true;
}

static enum ptx_type type_of_size(uint32_t size)
{
	return size == 8 ? T_B64 : size == 4 ? T_B32 : size == 2 || size == 1 ? T_B16 : T_NONE;
}

/* The frame offset of an argument; a register or number is stored to a temporary before the call. */
static bool place_argument(struct ptx_parser *parser, struct ptx_instruction *instruction,
			   const struct ptx_operand *operand, const struct ptx_param *formal, uint64_t *ret_offset)
{
	enum ptx_type type = type_of_size(formal->size);
	const struct ptx_value *value = &operand->value;
	uint32_t code, move;
	static const uint16_t moves[] = {0, OP_MOV_16, OP_MOV_32, OP_MOV_64};
	struct ptx_insn insn = PTX_INSN(.op = moves[ptx_class_of(type)]);

	if (value->kind == OPERAND_SYMBOL && value->symbol->kind == SYMBOL_LOCAL && !operand->address) {
		*ret_offset = value->symbol->offset;
		return value->symbol->size >= formal->size ||
		       ptx_fail_operands(parser, instruction, "an argument is smaller than the parameter");
	}
	if (type == T_NONE || operand->address)
		return ptx_fail_operands(parser, instruction, "an argument does not fit the parameter");
	if (!ptx_source(parser, instruction, value, type, &code) ||
	    !temporary(parser, formal->size < 2 ? 2 : formal->size, ret_offset))
		return false;
	if ((code & PTX_AREA_MASK) != PTX_AREA_REGISTERS) {
		move = ptx_new_register(parser, ptx_class_of(type));
		insn.dst = move;
		insn.a = code;
		if (move == PTX_OPERAND_NONE || !ptx_emit(parser, instruction, insn, FIELD_A, FIELD_DST))
			return false;
		code = move;
	}
	return ptx_emit_frame_store(parser, instruction, code, *ret_offset);
}

static bool add_copies(struct ptx_parser *parser, struct ptx_copy **ret_copies, uint32_t count)
{
	*ret_copies = ptx_arena_array(&parser->program->arena, MAX(count, 1u), sizeof(**ret_copies));
	return *ret_copies ? true : ptx_fail_memory(parser);
}

/* Emits the call: arguments into the frame of the callee, results back. */
static bool emit_call(struct ptx_parser *parser, struct ptx_instruction *instruction, const struct ptx_function *callee,
		      struct ptx_insn insn, uint32_t function, const struct call_values *rets,
		      const struct call_values *args)
{
	struct ptx_builder *build = &parser->build;
	struct ptx_call call = {.function = function, .arg_count = args->count, .ret_count = rets->count};
	uint64_t offset = 0;

	if (args->count != callee->kernel.param_count || rets->count != callee->ret_count)
		return ptx_fail_operands(parser, instruction, "wrong number of arguments or results");
	if (!add_copies(parser, &call.args, args->count) || !add_copies(parser, &call.rets, rets->count))
		return false;
	for (uint32_t i = 0; i < args->count; i++) {
		const struct ptx_param *formal = &callee->kernel.params[i];

		if (!place_argument(parser, instruction, &args->values[i], formal, &offset))
			return false;
		call.args[i] = (struct ptx_copy){(uint32_t)offset, formal->offset, formal->size};
	}
	for (uint32_t i = 0; i < rets->count; i++) {
		const struct ptx_value *value = &rets->values[i].value;
		const struct ptx_param *formal = &callee->rets[i];

		if (value->kind == OPERAND_SYMBOL && value->symbol->kind == SYMBOL_LOCAL &&
		    value->symbol->size >= formal->size)
			offset = value->symbol->offset;
		else if (value->kind != OPERAND_REGISTER || type_of_size(formal->size) == T_NONE ||
			 ptx_type_size(value->type) != MAX(formal->size, 2u) || !temporary(parser, 8, &offset))
			return ptx_fail_operands(parser, instruction, "a result does not fit");
		call.rets[i] = (struct ptx_copy){formal->offset, (uint32_t)offset, formal->size};
	}
	if (!ptx_grow(parser, &build->calls, build->call_count, &build->call_room, sizeof(call), PTX_INSTRUCTIONS_MAX,
		      "calls"))
		return false;
	insn.imm = (int32_t)build->call_count;
	build->calls[build->call_count++] = call;
	if (!ptx_emit(parser, instruction, insn, insn.a != PTX_OPERAND_NONE ? FIELD_A : 0, 0))
		return false;
	for (uint32_t i = 0; i < rets->count; i++)
		if (rets->values[i].value.kind == OPERAND_REGISTER &&
		    !ptx_emit_frame_load(parser, instruction, rets->values[i].value.code, call.rets[i].to))
			return false;
	return true;
}

/* The target and everything behind it. */
static bool parse_call_target(struct ptx_parser *parser, struct ptx_instruction *instruction, struct call_values *rets,
			      struct call_values *args)
{
	struct ptx_insn insn = PTX_INSN(.op = OP_CALL);
	const struct ptx_function *callee = NULL;
	struct ptx_operand target, prototype;
	uint32_t function = UINT32_MAX;

	if (!ptx_parse_operand(parser, &target))
		return false;
	memset(&prototype, 0, sizeof(prototype));
	if (ptx_accept(parser, ',')) {
		if (ptx_accept(parser, '(') && !parse_call_values(parser, args))
			return false;
		if (ptx_accept(parser, ',') && !ptx_parse_operand(parser, &prototype))
			return false;
	}
	if (!ptx_expect(parser, ';'))
		return false;
	if (target.value.kind == OPERAND_SYMBOL && target.value.symbol->kind == SYMBOL_FUNCTION) {
		function = target.value.symbol->index;
		callee = parser->program->functions[function];
	} else if (target.value.kind == OPERAND_REGISTER && prototype.value.symbol &&
		   prototype.value.symbol->kind == SYMBOL_PROTOTYPE) {
		callee = prototype.value.symbol->prototype;
		if (!ptx_source(parser, instruction, &target.value, T_U64, &insn.a))
			return false;
	}
	if (!callee || callee->entry)
		return ptx_fail_operands(parser, instruction,
					 "the target is neither a function nor a register with a prototype");
	parser->build.function->calls_any = true;
	return emit_call(parser, instruction, callee, insn, function, rets, args);
}

bool ptx_parse_call(struct ptx_parser *parser, struct ptx_instruction *instruction)
{
	struct call_values rets = {0}, args = {0};
	bool good = true;

	(void)ptx_modifier(instruction, "uni");
	if (!ptx_all_taken(instruction))
		return ptx_fail_unknown(parser, instruction);
	if (ptx_accept(parser, '('))
		good = parse_call_values(parser, &rets) && ptx_expect(parser, ',');
	good = good && parse_call_target(parser, instruction, &rets, &args);
	free(rets.values);
	free(args.values);
	return good;
}

/* --- barriers ----------------------------------------------------------------------------------------------------- */

/* Waits until the lanes of MASK have come together: part of every .sync instruction. */
static bool emit_warp_sync(struct ptx_parser *parser, struct ptx_instruction *instruction,
			   const struct ptx_operand *mask)
{
	struct ptx_insn insn = PTX_INSN(.op = OP_BAR_WARP);

	if (mask->address)
		return ptx_fail_operands(parser, instruction, "the mask is no value");
	return ptx_source(parser, instruction, &mask->value, T_B32, &insn.a) &&
	       ptx_emit(parser, instruction, insn, FIELD_A, 0);
}

static bool decode_bar_red(struct ptx_parser *parser, struct ptx_instruction *instruction)
{
	bool popc = ptx_modifier(instruction, "popc"), and = !popc && ptx_modifier(instruction, "and");
	struct ptx_insn insn = PTX_INSN(.op = popc ? OP_BAR_RED_POPC : and? OP_BAR_RED_AND : OP_BAR_RED_OR);
	uint32_t count = instruction->operand_count;
	const struct ptx_operand *operands = instruction->operands;

	if ((!popc && !and&&!ptx_modifier(instruction, "or")) || !ptx_modifier(instruction, popc ? "u32" : "pred") ||
	    !ptx_all_taken(instruction))
		return ptx_fail_unknown(parser, instruction);
	if (count != 3 && count != 4)
		return ptx_fail_operands(parser, instruction, "wrong number of operands");
	insn.sub = operands[count - 1].value.negated;
	if (!ptx_destination(parser, instruction, &operands[0].value, popc ? T_U32 : T_PRED, &insn.dst) ||
	    !ptx_source(parser, instruction, &operands[1].value, T_U32, &insn.a) ||
	    (count == 4 && !ptx_source(parser, instruction, &operands[2].value, T_U32, &insn.b)) ||
	    !ptx_source(parser, instruction, &operands[count - 1].value, T_PRED, &insn.c))
		return false;
	return ptx_emit(parser, instruction, insn, (uint8_t)(FIELD_A | FIELD_C | (count == 4 ? FIELD_B : 0)),
			FIELD_DST);
}

bool ptx_decode_bar(struct ptx_parser *parser, struct ptx_instruction *instruction)
{
	struct ptx_insn insn = PTX_INSN(.op = OP_BAR_SYNC);
	uint32_t count = instruction->operand_count;

	(void)ptx_modifier(instruction, "cta");
	(void)ptx_modifier(instruction, "aligned");
	if (ptx_modifier(instruction, "red"))
		return decode_bar_red(parser, instruction);
	if (ptx_modifier(instruction, "warp")) {
		if (!ptx_modifier(instruction, "sync") || !ptx_all_taken(instruction))
			return ptx_fail_unknown(parser, instruction);
		return count == 1 ? emit_warp_sync(parser, instruction, &instruction->operands[0])
				  : ptx_fail_operands(parser, instruction, "wrong number of operands");
	}
	if (ptx_modifier(instruction, "arrive"))
		insn.op = OP_BAR_ARRIVE;
	else if (!ptx_modifier(instruction, "sync"))
		return ptx_fail_unknown(parser, instruction);
	if (!ptx_all_taken(instruction))
		return ptx_fail_unknown(parser, instruction);
	if (count > 2 || count < (insn.op == OP_BAR_ARRIVE ? 2u : 1u))
		return ptx_fail_operands(parser, instruction, "wrong number of operands");
	if (!ptx_source(parser, instruction, &instruction->operands[0].value, T_U32, &insn.a) ||
	    (count == 2 && !ptx_source(parser, instruction, &instruction->operands[1].value, T_U32, &insn.b)))
		return false;
	return ptx_emit(parser, instruction, insn, FIELD_A | (count == 2 ? FIELD_B : 0), 0);
}

/* --- between lanes ------------------------------------------------------------------------------------------------ */

bool ptx_decode_shfl(struct ptx_parser *parser, struct ptx_instruction *instruction)
{
	static const char *const modes[] = {"up", "down", "bfly", "idx"};
	struct ptx_insn insn = PTX_INSN(.op = OP_SHFL, .imm = -1);
	const struct ptx_operand *operands = instruction->operands;
	bool sync = ptx_modifier(instruction, "sync");
	uint8_t writes = FIELD_DST;

	for (size_t i = 0; i < ARRAY_LEN(modes) && insn.imm < 0; i++)
		if (ptx_modifier(instruction, modes[i]))
			insn.imm = (int32_t)i;
	if (insn.imm < 0 || !ptx_modifier(instruction, "b32") || !ptx_all_taken(instruction))
		return ptx_fail_unknown(parser, instruction);
	if (instruction->operand_count != (sync ? 5 : 4))
		return ptx_fail_operands(parser, instruction, "wrong number of operands");
	if (sync && !emit_warp_sync(parser, instruction, &operands[4]))
		return false;
	if (!ptx_destination(parser, instruction, &operands[0].value, T_B32, &insn.dst) ||
	    !ptx_source(parser, instruction, &operands[1].value, T_B32, &insn.a) ||
	    !ptx_source(parser, instruction, &operands[2].value, T_B32, &insn.b) ||
	    !ptx_source(parser, instruction, &operands[3].value, T_B32, &insn.c))
		return false;
	if (operands[0].has_second) {
		if (!ptx_destination(parser, instruction, &operands[0].second, T_PRED, &insn.aux))
			return false;
		writes |= FIELD_AUX;
	}
	return ptx_emit(parser, instruction, insn, FIELD_A | FIELD_B | FIELD_C, writes);
}

bool ptx_decode_vote(struct ptx_parser *parser, struct ptx_instruction *instruction)
{
	static const char *const modes[] = {"all", "any", "uni", "ballot"};
	struct ptx_insn insn = PTX_INSN(.op = OP_VOTE, .imm = -1);
	const struct ptx_operand *operands = instruction->operands;
	bool sync = ptx_modifier(instruction, "sync");

	for (size_t i = 0; i < ARRAY_LEN(modes) && insn.imm < 0; i++)
		if (ptx_modifier(instruction, modes[i]))
			insn.imm = (int32_t)i;
	if (insn.imm < 0 || !ptx_modifier(instruction, insn.imm == VOTE_BALLOT ? "b32" : "pred") ||
	    !ptx_all_taken(instruction))
		return ptx_fail_unknown(parser, instruction);
	if (instruction->operand_count != (sync ? 3 : 2))
		return ptx_fail_operands(parser, instruction, "wrong number of operands");
	if (sync && !emit_warp_sync(parser, instruction, &operands[2]))
		return false;
	insn.sub = operands[1].value.negated;
	return ptx_destination(parser, instruction, &operands[0].value, insn.imm == VOTE_BALLOT ? T_B32 : T_PRED,
			       &insn.dst) &&
	       ptx_source(parser, instruction, &operands[1].value, T_PRED, &insn.a) &&
	       ptx_emit(parser, instruction, insn, FIELD_A, FIELD_DST);
}

bool ptx_decode_match(struct ptx_parser *parser, struct ptx_instruction *instruction)
{
	bool all = ptx_modifier(instruction, "all");
	enum ptx_type type = ptx_last_type(instruction);
	struct ptx_insn insn = PTX_INSN(.op = all ? OP_MATCH_ALL : OP_MATCH_ANY, .sub = ptx_type_size(type));
	const struct ptx_operand *operands = instruction->operands;
	uint8_t writes = FIELD_DST;

	if ((type != T_B32 && type != T_B64) || (!all && !ptx_modifier(instruction, "any")) ||
	    !ptx_modifier(instruction, "sync") || !ptx_all_taken(instruction))
		return ptx_fail_unknown(parser, instruction);
	if (instruction->operand_count != 3)
		return ptx_fail_operands(parser, instruction, "wrong number of operands");
	if (!emit_warp_sync(parser, instruction, &operands[2]) ||
	    !ptx_destination(parser, instruction, &operands[0].value, T_B32, &insn.dst) ||
	    !ptx_source(parser, instruction, &operands[1].value, type, &insn.a))
		return false;
	if (operands[0].has_second) {
		if (!ptx_destination(parser, instruction, &operands[0].second, T_PRED, &insn.aux))
			return false;
		writes |= FIELD_AUX;
	}
	return ptx_emit(parser, instruction, insn, FIELD_A, writes);
}

bool ptx_decode_redux(struct ptx_parser *parser, struct ptx_instruction *instruction)
{
	static const char *const names[] = {"add", "min", "max", "and", "or", "xor"};
	enum ptx_type type = ptx_last_type(instruction);
	struct ptx_insn insn = PTX_INSN(.op = OP_REDUX, .imm = -1, .sub = (uint32_t)type);
	const struct ptx_operand *operands = instruction->operands;

	for (size_t i = 0; i < ARRAY_LEN(names) && insn.imm < 0; i++)
		if (ptx_modifier(instruction, names[i]))
			insn.imm = (int32_t)i;
	if (insn.imm < 0 || !(insn.imm >= REDUX_AND ? type == T_B32 : type == T_U32 || type == T_S32) ||
	    !ptx_modifier(instruction, "sync") || !ptx_all_taken(instruction))
		return ptx_fail_unknown(parser, instruction);
	if (instruction->operand_count != 3)
		return ptx_fail_operands(parser, instruction, "wrong number of operands");
	return emit_warp_sync(parser, instruction, &operands[2]) &&
	       ptx_destination(parser, instruction, &operands[0].value, type, &insn.dst) &&
	       ptx_source(parser, instruction, &operands[1].value, type, &insn.a) &&
	       ptx_emit(parser, instruction, insn, FIELD_A, FIELD_DST);
}

bool ptx_decode_activemask(struct ptx_parser *parser, struct ptx_instruction *instruction)
{
	struct ptx_insn insn = PTX_INSN(.op = OP_ACTIVEMASK);

	if (!ptx_modifier(instruction, "b32") || !ptx_all_taken(instruction))
		return ptx_fail_unknown(parser, instruction);
	return ptx_emit_form(parser, instruction, insn, "t", T_B32);
}
