/* Functions: their heads, the statements of their bodies, and what happens when a body is complete. */
#include "cudaexec/softdev/ptx_parser.h"
#include "supervisor/util.h"

#include <string.h>

struct formal {
	struct ptx_declaration declaration;
	bool reg;
};

struct head {
	struct formal *rets, *params;
	uint32_t ret_count, param_count;
	struct ptx_word name;
	uint32_t threads_max;
};

void ptx_builder_done(struct ptx_builder *build)
{
	free(build->insns);
	free(build->roles);
	free(build->lines);
	free(build->constants);
	free(build->constant_index);
	free(build->references);
	free(build->calls);
	*build = (struct ptx_builder){0};
}

/* --- heads -------------------------------------------------------------------------------------------------------- */

/* "( .param .b32 a, .reg .f32 b )"; the current token is behind the opening parenthesis. */
static bool parse_formals(struct ptx_parser *parser, struct formal **ret_formals, uint32_t *ret_count)
{
	struct formal *formals = NULL;
	uint32_t room = 0, count = 0;
	bool good = true;

	if (ptx_accept(parser, ')'))
		return true;
	do {
		good = ptx_grow(parser, &formals, count, &room, sizeof(*formals), PTX_PARAMS_MAX, "parameters");
		if (!good)
			break;
		formals[count].reg = ptx_accept_dot(parser, "reg");
		if (!formals[count].reg && !ptx_accept_dot(parser, "param"))
			good = ptx_fail(parser, "expected .param or .reg");
		good = good && ptx_parse_declaration(parser, &formals[count].declaration);
		count++;
	} while (good && ptx_accept(parser, ','));
	good = good && ptx_expect(parser, ')');
	if (good) {
		*ret_formals = ptx_arena_array(&parser->arena, count, sizeof(*formals));
		*ret_count = count;
		if (*ret_formals && formals)
			memcpy(*ret_formals, formals, count * sizeof(*formals));
		else
			good = ptx_fail_memory(parser);
	}
	free(formals);
	return good;
}

/* Lays formals out one behind the other from *USED on. */
static bool lay_out(struct ptx_parser *parser, const struct formal *formals, uint32_t count, uint64_t max,
		    uint64_t *used, struct ptx_param **ret_params)
{
	struct ptx_param *params = ptx_arena_array(&parser->program->arena, MAX(count, 1u), sizeof(*params));

	if (!params)
		return ptx_fail_memory(parser);
	for (uint32_t i = 0; i < count; i++) {
		const struct ptx_declaration *declaration = &formals[i].declaration;

		*used = (*used + declaration->align - 1) & ~(declaration->align - 1);
		if (declaration->open || declaration->size > max || *used > max - declaration->size)
			return ptx_fail(parser, "more than %llu bytes of parameters", (unsigned long long)max);
		params[i].name =
			ptx_arena_text(&parser->program->arena, declaration->name.text, declaration->name.length);
		if (!params[i].name)
			return ptx_fail_memory(parser);
		params[i].offset = (uint32_t)*used;
		params[i].size = (uint32_t)declaration->size;
		params[i].align = (uint32_t)declaration->align;
		*used += declaration->size;
	}
	*ret_params = params;
	return true;
}

/* Fills the parameter lists of a function from its head. */
static bool set_formals(struct ptx_parser *parser, struct ptx_function *function, const struct head *head)
{
	uint64_t max = function->entry ? PTX_PARAM_BYTES_MAX : PTX_LOCAL_MAX, used = 0;
	struct ptx_param *params = NULL;

	if (!lay_out(parser, head->rets, head->ret_count, max, &used, &function->rets) ||
	    !lay_out(parser, head->params, head->param_count, max, &used, &params))
		return false;
	function->ret_count = head->ret_count;
	function->kernel.params = params;
	function->kernel.param_count = head->param_count;
	function->kernel.param_bytes = function->entry ? (uint32_t)used : 0;
	function->args_bytes = function->entry ? 0 : (uint32_t)((used + 15) & ~15ull);
	return true;
}

static bool same_formals(const struct ptx_param *a, const struct ptx_param *b, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		if (a[i].offset != b[i].offset || a[i].size != b[i].size)
			return false;
	return true;
}

/* Functions that the device provides; only with exactly their parameters. */
static enum ptx_builtin builtin_of(const struct ptx_function *function)
{
	static const struct {
		const char *name;
		enum ptx_builtin builtin;
		uint32_t ret_size, params;
		uint32_t sizes[5];
	} known[] = {
		{"vprintf", BUILTIN_VPRINTF, 4, 2, {8, 8}},
		{"malloc", BUILTIN_MALLOC, 8, 1, {8}},
		{"free", BUILTIN_FREE, 0, 1, {8}},
		{"__assertfail", BUILTIN_ASSERTFAIL, 0, 5, {8, 8, 4, 8, 8}},
	};

	for (size_t i = 0; i < ARRAY_LEN(known); i++) {
		bool same = strcmp(function->kernel.name, known[i].name) == 0 &&
			    function->ret_count == (known[i].ret_size != 0) &&
			    (function->ret_count == 0 || function->rets[0].size == known[i].ret_size) &&
			    function->kernel.param_count == known[i].params;

		for (uint32_t j = 0; same && j < known[i].params; j++)
			same = function->kernel.params[j].size == known[i].sizes[j];
		if (same)
			return known[i].builtin;
	}
	return BUILTIN_NONE;
}

/* Finds the function of an earlier declaration, or makes it. */
static struct ptx_function *add_function(struct ptx_parser *parser, const struct head *head, bool entry)
{
	struct ptx_symbol *symbol = ptx_find_symbol(parser, head->name.text, head->name.length);
	struct ptx_program *program = parser->program;
	struct ptx_function *function = ptx_arena_alloc(&program->arena, sizeof(*function)), *known;

	if (!function ||
	    !(function->kernel.name = ptx_arena_text(&program->arena, head->name.text, head->name.length))) {
		(void)ptx_fail_memory(parser);
		return NULL;
	}
	function->entry = entry;
	function->kernel.threads_max = head->threads_max;
	if (!set_formals(parser, function, head))
		return NULL;
	if (symbol && symbol->kind == SYMBOL_FUNCTION) {
		known = program->functions[symbol->index];
		if (known->entry != entry || known->ret_count != function->ret_count ||
		    known->kernel.param_count != function->kernel.param_count ||
		    !same_formals(known->rets, function->rets, known->ret_count) ||
		    !same_formals(known->kernel.params, function->kernel.params, known->kernel.param_count)) {
			(void)ptx_fail(parser, "'%s' was declared differently before", known->kernel.name);
			return NULL;
		}
		return known;
	}
	symbol = ptx_add_symbol(parser, head->name, SYMBOL_FUNCTION);
	if (!symbol || !ptx_grow(parser, &program->functions, program->function_count, &parser->function_room,
				 sizeof(struct ptx_function *), PTX_FUNCTIONS_MAX, "functions"))
		return NULL;
	symbol->index = program->function_count;
	program->functions[program->function_count++] = function;
	function->builtin = entry ? BUILTIN_NONE : (uint8_t)builtin_of(function);
	return function;
}

/* The product of up to three numbers behind .maxntid and .reqntid. */
static bool parse_threads(struct ptx_parser *parser, uint32_t *ret_threads)
{
	uint64_t product = 1, value;

	do {
		if (!ptx_expect_int(parser, &value))
			return false;
		product *= MIN(value, PTX_BLOCK_THREADS_MAX + 1ull);
	} while (ptx_accept(parser, ','));
	*ret_threads = (uint32_t)MIN(product, (uint64_t)PTX_BLOCK_THREADS_MAX);
	return true;
}

/* .maxntid, .minnctapersm and the like between head and body. */
static bool parse_head_directives(struct ptx_parser *parser, struct head *head)
{
	uint32_t ignored;

	head->threads_max = PTX_BLOCK_THREADS_MAX;
	for (;;) {
		if (ptx_accept_dot(parser, "maxntid") || ptx_accept_dot(parser, "reqntid")) {
			if (!parse_threads(parser, &head->threads_max))
				return false;
		} else if (ptx_accept_dot(parser, "minnctapersm") || ptx_accept_dot(parser, "maxnctapersm") ||
			   ptx_accept_dot(parser, "maxnreg")) {
			if (!parse_threads(parser, &ignored))
				return false;
		} else if (ptx_accept_dot(parser, "pragma")) {
			ptx_lexer_next(&parser->lexer);
			if (!ptx_expect(parser, ';'))
				return false;
		} else if (!ptx_accept_dot(parser, "noreturn")) {
			return true;
		}
	}
}

bool ptx_parse_prototype(struct ptx_parser *parser, struct ptx_word name)
{
	struct ptx_symbol *symbol = ptx_add_symbol(parser, name, SYMBOL_PROTOTYPE);
	struct head head = {.name = name};
	struct ptx_word ignored;

	if (!symbol)
		return false;
	symbol->prototype = ptx_arena_alloc(&parser->program->arena, sizeof(*symbol->prototype));
	if (!symbol->prototype)
		return ptx_fail_memory(parser);
	if (ptx_accept(parser, '(') && !parse_formals(parser, &head.rets, &head.ret_count))
		return false;
	if (!ptx_expect_word(parser, &ignored))
		return false;
	if (ptx_accept(parser, '(') && !parse_formals(parser, &head.params, &head.param_count))
		return false;
	(void)ptx_accept_dot(parser, "noreturn");
	return set_formals(parser, symbol->prototype, &head) && ptx_expect(parser, ';');
}

/* --- bodies ------------------------------------------------------------------------------------------------------- */

/* Makes the formals known inside the body. */
static bool add_formals(struct ptx_parser *parser, const struct formal *formals, const struct ptx_param *params,
			uint32_t count, struct ptx_symbol **ret_symbols)
{
	struct ptx_instruction none = {.line = parser->lexer.token.line};
	bool entry = parser->build.function->entry;
	struct ptx_symbol *symbol;
	uint32_t code;
	uint8_t type;
	bool found;

	for (uint32_t i = 0; i < count; i++) {
		const struct ptx_word name = formals[i].declaration.name;

		if (formals[i].reg && entry)
			return ptx_fail(parser, "a kernel has no .reg parameters");
		symbol = ptx_add_symbol(parser, name,
					formals[i].reg ? SYMBOL_REGISTER
					: entry	       ? SYMBOL_KPARAM
						       : SYMBOL_LOCAL);
		if (!symbol)
			return false;
		symbol->offset = params[i].offset;
		symbol->size = params[i].size;
		symbol->type = (uint8_t)formals[i].declaration.type;
		symbol->formal = formals[i].reg;
		if (ret_symbols)
			ret_symbols[i] = symbol;
		if (!formals[i].reg || ret_symbols)
			continue;
		if (!ptx_find_register(parser, name.text, name.length, &found, &code, &type) ||
		    !ptx_emit_frame_load(parser, &none, code, params[i].offset))
			return false;
	}
	return true;
}

/* Answers the branches of the scope that ends now; those to outer labels stay for the outer scope. */
static bool resolve_references(struct ptx_parser *parser)
{
	struct ptx_builder *build = &parser->build;
	uint32_t first = build->reference_count, kept;
	struct ptx_symbol *symbol;

	while (first > 0 && build->references[first - 1].depth == parser->depth)
		first--;
	kept = first;
	for (uint32_t i = first; i < build->reference_count; i++) {
		struct ptx_reference *reference = &build->references[i];

		symbol = ptx_find_symbol(parser, reference->name, reference->length);
		if (symbol && symbol->kind == SYMBOL_LABEL) {
			build->insns[reference->insn].imm = (int32_t)symbol->index;
			continue;
		}
		if (parser->depth == 1)
			return ptx_fail_line(parser, reference->line, "unknown label '%.*s'",
					     (int)MIN(reference->length, 200u), reference->name);
		reference->depth--;
		build->references[kept++] = *reference;
	}
	build->reference_count = kept;
	return true;
}

/* "@p" or "@!p". */
static bool parse_guard(struct ptx_parser *parser, uint16_t *ret_guard)
{
	bool negated = ptx_accept(parser, '!'), found = false;
	struct ptx_word word;
	uint32_t code = 0;
	uint8_t type = T_NONE;

	if (!ptx_expect_word(parser, &word) || !ptx_find_register(parser, word.text, word.length, &found, &code, &type))
		return false;
	if (!found || type != T_PRED)
		return ptx_fail(parser, "'%.*s' is no predicate", (int)MIN(word.length, 200u), word.text);
	*ret_guard = (uint16_t)(((code & 0xffffff) + 1) * 2 + negated);
	return true;
}

static bool parse_instruction(struct ptx_parser *parser, struct ptx_instruction *instruction)
{
	const struct ptx_token *token = &parser->lexer.token;

	while (token->kind == TOKEN_DOT) {
		if (instruction->modifier_count == PTX_MODIFIERS_MAX || token->length > 64)
			return ptx_fail(parser, "too many modifiers");
		instruction->modifiers[instruction->modifier_count++] =
			(struct ptx_word){token->text, (uint32_t)token->length};
		ptx_lexer_next(&parser->lexer);
	}
	instruction->family = ptx_find_family(instruction->base.text, instruction->base.length);
	if (!instruction->family)
		return ptx_fail_unknown(parser, instruction);
	if (instruction->family->decode == ptx_parse_call)
		return ptx_parse_call(parser, instruction);
	return ptx_parse_operands(parser, instruction) && ptx_decode(parser, instruction);
}

static bool parse_local_directive(struct ptx_parser *parser)
{
	const struct ptx_token *token = &parser->lexer.token;

	if (ptx_token_is(token, TOKEN_DOT, "loc") || ptx_token_is(token, TOKEN_DOT, "file")) {
		ptx_lexer_skip_line(&parser->lexer);
		return true;
	}
	if (ptx_accept_dot(parser, "reg"))
		return ptx_parse_registers(parser);
	if (ptx_accept_dot(parser, "param"))
		return ptx_parse_variable(parser, "param", false);
	if (ptx_accept_dot(parser, "local"))
		return ptx_parse_variable(parser, "local", false);
	if (ptx_accept_dot(parser, "shared"))
		return ptx_parse_variable(parser, "shared", false);
	if (ptx_accept_dot(parser, "global"))
		return ptx_parse_variable(parser, "global", false);
	if (ptx_accept_dot(parser, "const"))
		return ptx_parse_variable(parser, "const", false);
	if (ptx_accept_dot(parser, "pragma")) {
		ptx_lexer_next(&parser->lexer);
		return ptx_expect(parser, ';');
	}
	return ptx_fail(parser, "unknown directive '.%.*s'", (int)MIN(token->length, (size_t)64), token->text);
}

/* A label, call prototype or instruction: all begin with a word. */
static bool parse_word_statement(struct ptx_parser *parser, struct ptx_instruction *instruction)
{
	struct ptx_symbol *symbol;

	instruction->line = parser->lexer.token.line;
	if (!ptx_expect_word(parser, &instruction->base))
		return false;
	if (instruction->guard || !ptx_accept(parser, ':'))
		return parse_instruction(parser, instruction);
	if (ptx_accept_dot(parser, "callprototype"))
		return ptx_parse_prototype(parser, instruction->base);
	symbol = ptx_add_symbol(parser, instruction->base, SYMBOL_LABEL);
	if (!symbol)
		return false;
	symbol->index = parser->build.count;
	return true;
}

static bool parse_body(struct ptx_parser *parser)
{
	uint32_t outer = parser->depth;
	struct ptx_instruction *instruction = ptx_arena_alloc(&parser->arena, sizeof(*instruction));

	if (!instruction)
		return ptx_fail_memory(parser);
	for (;;) {
		memset(instruction, 0, offsetof(struct ptx_instruction, operands));
		instruction->operand_count = 0;
		instruction->family = NULL;
		if (ptx_accept(parser, '{')) {
			if (!ptx_push_scope(parser))
				return false;
		} else if (ptx_at(parser, '}')) {
			if (!resolve_references(parser))
				return false;
			if (parser->depth == outer)
				return ptx_expect(parser, '}');
			ptx_lexer_next(&parser->lexer);
			ptx_pop_scope(parser);
		} else if (parser->lexer.token.kind == TOKEN_DOT) {
			if (!parse_local_directive(parser))
				return false;
		} else if (!ptx_accept(parser, ';')) {
			if (ptx_accept(parser, '@') && !parse_guard(parser, &instruction->guard))
				return false;
			if (!parse_word_statement(parser, instruction))
				return false;
		}
	}
}

/* Copies what was built into the program. */
static bool finish_function(struct ptx_parser *parser)
{
	struct ptx_builder *build = &parser->build;
	struct ptx_function *function = build->function;
	struct ptx_instruction end = {.line = parser->lexer.token.line};
	struct ptx_arena *arena = &parser->program->arena;

	if (!ptx_emit(parser, &end, PTX_INSN(.op = function->entry ? OP_EXIT : OP_RET), 0, 0))
		return false;
	function->kernel.register_count = build->registers;
	if (!ptx_assign_registers(parser) || !ptx_mark_repeats(parser))
		return false;
	function->insn_count = build->count;
	function->insns = ptx_arena_array(arena, build->count, sizeof(*build->insns));
	function->lines = ptx_arena_array(arena, build->count, sizeof(*build->lines));
	function->constants = ptx_arena_array(arena, MAX(build->constant_count, 1u), sizeof(*build->constants));
	function->calls = ptx_arena_array(arena, MAX(build->call_count, 1u), sizeof(*build->calls));
	if (!function->insns || !function->lines || !function->constants || !function->calls)
		return ptx_fail_memory(parser);
	memcpy(function->insns, build->insns, build->count * sizeof(*build->insns));
	memcpy(function->lines, build->lines, build->count * sizeof(*build->lines));
	if (build->constant_count)
		memcpy(function->constants, build->constants, build->constant_count * sizeof(*build->constants));
	if (build->call_count)
		memcpy(function->calls, build->calls, build->call_count * sizeof(*build->calls));
	function->constant_count = build->constant_count;
	function->constant_bytes = build->constant_bytes;
	function->call_count = build->call_count;
	function->local_bytes = (uint32_t)((build->local_bytes + 15) & ~15ull);
	function->kernel.local_bytes = function->local_bytes;
	return true;
}

static bool define_function(struct ptx_parser *parser, struct ptx_function *function, const struct head *head)
{
	struct ptx_program *program = parser->program;
	bool good;

	if (function->defined)
		return ptx_fail(parser, "'%s' is defined twice", function->kernel.name);
	function->defined = true;
	function->builtin = BUILTIN_NONE;
	function->kernel.threads_max = head->threads_max;
	if (function->entry) {
		if (!ptx_grow(parser, &program->kernels, program->kernel_count, &parser->kernel_room,
			      sizeof(struct ptx_function *), PTX_FUNCTIONS_MAX, "kernels"))
			return false;
		function->kernel.index = program->kernel_count;
		program->kernels[program->kernel_count++] = function;
	}
	parser->build = (struct ptx_builder){.function = function, .local_bytes = function->args_bytes};
	parser->build.formal_rets =
		ptx_arena_array(&parser->arena, MAX(head->ret_count, 1u), sizeof(struct ptx_symbol *));
	if (!parser->build.formal_rets)
		return ptx_fail_memory(parser);
	good = ptx_push_scope(parser) &&
	       add_formals(parser, head->rets, function->rets, head->ret_count, parser->build.formal_rets) &&
	       add_formals(parser, head->params, function->kernel.params, head->param_count, NULL) &&
	       parse_body(parser) && finish_function(parser);
	ptx_builder_done(&parser->build);
	if (good)
		ptx_pop_scope(parser);
	return good;
}

bool ptx_parse_function(struct ptx_parser *parser, bool entry)
{
	struct ptx_function *function;
	struct head head = {0};

	while (ptx_accept_dot(parser, "attribute"))
		if (!ptx_skip_past(parser, ')'))
			return false;
	if (!entry && ptx_accept(parser, '(') && !parse_formals(parser, &head.rets, &head.ret_count))
		return false;
	if (!ptx_expect_word(parser, &head.name))
		return false;
	if (ptx_accept(parser, '(') && !parse_formals(parser, &head.params, &head.param_count))
		return false;
	if (!parse_head_directives(parser, &head))
		return false;
	function = add_function(parser, &head, entry);
	if (!function)
		return false;
	if (ptx_accept(parser, ';'))
		return true;
	return ptx_expect(parser, '{') && define_function(parser, function, &head);
}
