/* Declarations of variables and registers, with initial values. */
#include "cudaexec/softdev/ptx_parser.h"
#include "supervisor/util.h"

#include <string.h>

#define DIMENSIONS_MAX 8

static bool parse_align(struct ptx_parser *parser, uint64_t *ret_align)
{
	if (!ptx_expect_int(parser, ret_align))
		return false;
	if (*ret_align == 0 || *ret_align > DEVICE_MEMORY_PAGE || (*ret_align & (*ret_align - 1)) != 0)
		return ptx_fail(parser, "alignment is no power of two up to %u", DEVICE_MEMORY_PAGE);
	return true;
}

/* .align 8 .v4 .b8 .ptr .global ... up to the type; what only informs the compiler is dropped. */
static bool parse_type(struct ptx_parser *parser, struct ptx_declaration *declaration)
{
	const struct ptx_token *token = &parser->lexer.token;
	uint64_t ignored;

	declaration->vector = 1;
	for (;;) {
		if (ptx_accept_dot(parser, "align")) {
			if (!parse_align(parser, &declaration->align))
				return false;
		} else if (ptx_accept_dot(parser, "attribute")) {
			if (!ptx_expect(parser, '(') || !ptx_skip_past(parser, ')'))
				return false;
		} else if (ptx_accept_dot(parser, "v2")) {
			declaration->vector = 2;
		} else if (ptx_accept_dot(parser, "v4")) {
			declaration->vector = 4;
		} else {
			break;
		}
	}
	if (token->kind == TOKEN_DOT)
		declaration->type = ptx_type_of(token->text, token->length);
	if (declaration->type == T_NONE)
		return ptx_fail(parser, "expected a type");
	ptx_lexer_next(&parser->lexer);
	if (ptx_accept_dot(parser, "ptr")) {
		while (ptx_accept_dot(parser, "global") || ptx_accept_dot(parser, "const") ||
		       ptx_accept_dot(parser, "shared") || ptx_accept_dot(parser, "local") ||
		       ptx_accept_dot(parser, "generic"))
			;
		if (ptx_accept_dot(parser, "align") && !parse_align(parser, &ignored))
			return false;
	}
	return true;
}

static bool parse_dimensions(struct ptx_parser *parser, struct ptx_declaration *declaration)
{
	unsigned dimensions = 0;
	uint64_t count;

	declaration->elements = declaration->vector;
	declaration->open = false;
	while (ptx_accept(parser, '[')) {
		if (++dimensions > DIMENSIONS_MAX)
			return ptx_fail(parser, "too many dimensions");
		if (dimensions == 1 && ptx_accept(parser, ']')) {
			declaration->open = true;
			continue;
		}
		if (!ptx_expect_int(parser, &count) || !ptx_expect(parser, ']'))
			return false;
		if (count > PTX_VARIABLE_BYTES_MAX || declaration->elements > PTX_VARIABLE_BYTES_MAX / MAX(count, 1ull))
			return ptx_fail(parser, "variable is too large");
		declaration->elements *= count;
	}
	declaration->size = declaration->elements * ptx_type_size(declaration->type);
	if (declaration->align == 0)
		declaration->align = ptx_type_size(declaration->type) * declaration->vector;
	if (declaration->type == T_PRED || declaration->size > PTX_VARIABLE_BYTES_MAX)
		return ptx_fail(parser, "variable has no usable type or size");
	return true;
}

bool ptx_parse_declaration(struct ptx_parser *parser, struct ptx_declaration *ret_declaration)
{
	*ret_declaration = (struct ptx_declaration){.type = T_NONE};
	return parse_type(parser, ret_declaration) && ptx_expect_word(parser, &ret_declaration->name) &&
	       parse_dimensions(parser, ret_declaration);
}

/* --- initial values ----------------------------------------------------------------------------------------------- */

static bool put_bytes(struct ptx_parser *parser, struct ptx_variable *variable, uint64_t at, uint64_t value,
		      uint32_t size)
{
	if (at + size > variable->initial_size) {
		uint64_t room = MIN(MAX(2 * variable->initial_size, MAX(at + size, 256ull)), variable->size);
		uint8_t *bytes = ptx_arena_alloc(&parser->program->arena, room);

		if (!bytes)
			return ptx_fail_memory(parser);
		if (variable->initial)
			memcpy(bytes, variable->initial, variable->initial_size);
		variable->initial = bytes;
		variable->initial_size = room;
	}
	memcpy(variable->initial + at, &value, size);
	return true;
}

static bool put_address(struct ptx_parser *parser, struct ptx_variable *variable, uint64_t at,
			const struct ptx_symbol *symbol, int64_t addend)
{
	struct ptx_fixup *fixup = ptx_arena_alloc(&parser->program->arena, sizeof(*fixup));

	if (!fixup)
		return ptx_fail_memory(parser);
	*fixup = (struct ptx_fixup){.offset = at,
				    .addend = (uint64_t)addend,
				    .index = symbol->index,
				    .function = symbol->kind == SYMBOL_FUNCTION,
				    .next = variable->fixups};
	variable->fixups = fixup;
	return put_bytes(parser, variable, at, 0, sizeof(uint64_t));
}

/* A symbol, generic(symbol), either with an offset. */
static bool parse_address(struct ptx_parser *parser, struct ptx_variable *variable, enum ptx_type type, uint64_t at)
{
	struct ptx_operand operand;
	bool generic = ptx_token_is(&parser->lexer.token, TOKEN_WORD, "generic");
	uint64_t addend = 0;

	if (generic) {
		ptx_lexer_next(&parser->lexer);
		if (!ptx_expect(parser, '('))
			return false;
	}
	if (!ptx_parse_operand(parser, &operand) || (generic && !ptx_expect(parser, ')')))
		return false;
	if (generic && ptx_accept(parser, '+') && !ptx_expect_int(parser, &addend))
		return false;
	if (operand.value.kind != OPERAND_SYMBOL || operand.address || ptx_type_size(type) != 8 ||
	    (operand.value.symbol->kind != SYMBOL_VARIABLE && operand.value.symbol->kind != SYMBOL_FUNCTION))
		return ptx_fail(parser, "initial value is neither a number nor the address of a variable or function");
	return put_address(parser, variable, at, operand.value.symbol, operand.offset + (int64_t)addend);
}

static bool parse_initial(struct ptx_parser *parser, struct ptx_variable *variable, enum ptx_type type, uint64_t at)
{
	const struct ptx_token *token = &parser->lexer.token;
	uint32_t size = ptx_type_size(type);
	bool minus = ptx_accept(parser, '-');
	uint64_t value = token->u;
	double wide;
	float narrow;

	if (at + size > variable->size)
		return ptx_fail(parser, "more initial values than the variable '%s' has room for", variable->name);
	if (token->kind == TOKEN_WORD && !minus)
		return parse_address(parser, variable, type, at);
	if (token->kind == TOKEN_INT) {
		value = minus ? -value : value;
	} else if (token->kind == TOKEN_F32 && size == 4) {
		value ^= minus ? 1u << 31 : 0;
	} else if (token->kind == TOKEN_F64 && (size == 8 || size == 4)) {
		value ^= minus ? 1ull << 63 : 0;
		memcpy(&wide, &value, sizeof(wide));
		narrow = (float)wide;
		if (size == 4)
			memcpy(&value, &narrow, sizeof(narrow));
	} else {
		return ptx_fail(parser, "initial value does not fit the type of '%s'", variable->name);
	}
	ptx_lexer_next(&parser->lexer);
	return put_bytes(parser, variable, at, value, size);
}

/* "= value" or "= { ... }", nested braces allowed: they only group. */
static bool parse_initials(struct ptx_parser *parser, struct ptx_variable *variable,
			   struct ptx_declaration *declaration)
{
	uint64_t at = 0;
	uint32_t depth = 0;

	if (declaration->open)
		return ptx_fail(parser, "a variable with an initial value needs a size");
	if (!ptx_at(parser, '{'))
		return parse_initial(parser, variable, declaration->type, 0);
	for (;;) {
		while (ptx_accept(parser, '{'))
			depth++;
		if (!ptx_at(parser, '}')) {
			if (!parse_initial(parser, variable, declaration->type, at))
				return false;
			at += ptx_type_size(declaration->type);
		}
		while (depth > 0 && ptx_accept(parser, '}'))
			depth--;
		if (depth == 0)
			return true;
		if (!ptx_expect(parser, ','))
			return false;
	}
}

/* --- placing ------------------------------------------------------------------------------------------------------ */

static bool add_variable(struct ptx_parser *parser, struct ptx_declaration *declaration, bool external)
{
	struct ptx_program *program = parser->program;
	struct ptx_symbol *symbol = ptx_find_symbol(parser, declaration->name.text, declaration->name.length);
	struct ptx_variable *variable;

	if (symbol && symbol->kind == SYMBOL_VARIABLE && program->variables[symbol->index]->external) {
		variable = program->variables[symbol->index];
	} else {
		symbol = ptx_add_symbol(parser, declaration->name, SYMBOL_VARIABLE);
		if (!symbol || !ptx_grow(parser, &program->variables, program->variable_count, &parser->variable_room,
					 sizeof(struct ptx_variable *), PTX_VARIABLES_MAX, "variables"))
			return false;
		variable = ptx_arena_alloc(&program->arena, sizeof(*variable));
		if (!variable)
			return ptx_fail_memory(parser);
		symbol->index = program->variable_count;
		program->variables[program->variable_count++] = variable;
		variable->name = ptx_arena_text(&program->arena, declaration->name.text, declaration->name.length);
		if (!variable->name)
			return ptx_fail_memory(parser);
	}
	variable->size = declaration->size;
	variable->align = MAX(declaration->align, 1ull);
	variable->external = external;
	if (!ptx_accept(parser, '='))
		return true;
	variable->external = false;
	return parse_initials(parser, variable, declaration);
}

/* Gives a variable of DECLARATION's size its place behind *USED. */
static bool place(struct ptx_parser *parser, struct ptx_declaration *declaration, uint64_t *used, uint64_t max,
		  struct ptx_symbol *symbol, const char *what)
{
	uint64_t at = (*used + declaration->align - 1) & ~(declaration->align - 1);

	if (declaration->size > max || at > max - declaration->size)
		return ptx_fail(parser, "more than %llu bytes of %s memory", (unsigned long long)max, what);
	symbol->offset = at;
	symbol->size = declaration->size;
	*used = at + declaration->size;
	return true;
}

static bool add_shared(struct ptx_parser *parser, struct ptx_declaration *declaration, bool external)
{
	struct ptx_symbol *symbol = ptx_add_symbol(parser, declaration->name, SYMBOL_SHARED);
	struct ptx_function *function = parser->build.function;

	if (!symbol)
		return false;
	if (external) {
		symbol->reloc = RELOC_SHARED_DYNAMIC;
		return true;
	}
	/* Device functions share the area of the module: their variables have one place for all kernels. */
	if (function && function->entry) {
		symbol->reloc = RELOC_SHARED_OWN;
		if (!place(parser, declaration, &parser->build.shared_bytes, PTX_SHARED_STATIC_MAX, symbol, "shared"))
			return false;
		function->shared_bytes = (uint32_t)parser->build.shared_bytes;
		return true;
	}
	symbol->reloc = RELOC_SHARED_MODULE;
	return place(parser, declaration, &parser->module_shared_bytes, PTX_SHARED_STATIC_MAX, symbol, "shared");
}

static bool add_local(struct ptx_parser *parser, struct ptx_declaration *declaration)
{
	struct ptx_symbol *symbol;

	if (!parser->build.function)
		return ptx_fail(parser, "local variable outside a function");
	symbol = ptx_add_symbol(parser, declaration->name, SYMBOL_LOCAL);
	return symbol && place(parser, declaration, &parser->build.local_bytes, PTX_LOCAL_MAX, symbol, "local");
}

bool ptx_parse_variable(struct ptx_parser *parser, const char *space, bool external)
{
	struct ptx_declaration declaration = {.type = T_NONE};
	uint64_t align;
	bool good;

	if (!parse_type(parser, &declaration))
		return false;
	align = declaration.align;
	do {
		declaration.align = align;
		if (!ptx_expect_word(parser, &declaration.name) || !parse_dimensions(parser, &declaration))
			return false;
		if (strcmp(space, "shared") == 0)
			good = add_shared(parser, &declaration, external);
		else if (strcmp(space, "local") == 0 || strcmp(space, "param") == 0)
			good = add_local(parser, &declaration);
		else
			good = add_variable(parser, &declaration, external);
		if (!good)
			return false;
	} while (ptx_accept(parser, ','));
	return ptx_expect(parser, ';');
}

bool ptx_parse_registers(struct ptx_parser *parser)
{
	struct ptx_declaration declaration = {.type = T_NONE};
	struct ptx_symbol *symbol;
	struct ptx_word name;
	uint64_t count;

	if (!parse_type(parser, &declaration))
		return false;
	if (declaration.vector != 1)
		return ptx_fail(parser, "vector registers are not supported");
	do {
		if (!ptx_expect_word(parser, &name))
			return false;
		symbol = ptx_add_symbol(parser, name, SYMBOL_REGISTER);
		if (!symbol)
			return false;
		symbol->type = (uint8_t)declaration.type;
		if (ptx_accept(parser, '<')) {
			if (!ptx_expect_int(parser, &count) || !ptx_expect(parser, '>'))
				return false;
			if (count == 0 || count > PTX_REGISTERS_MAX)
				return ptx_fail(parser, "register range of %llu (1 to %d)", (unsigned long long)count,
						PTX_REGISTERS_MAX);
			symbol->count = (uint32_t)count;
		}
	} while (ptx_accept(parser, ','));
	return ptx_expect(parser, ';');
}
