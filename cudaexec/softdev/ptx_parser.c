#include "cudaexec/softdev/ptx_parser.h"
#include "supervisor/util.h"

#include <stdarg.h>
#include <string.h>

static const struct {
	const char *name;
	enum ptx_type type;
} type_names[] = {
	{"pred", T_PRED}, {"b8", T_B8},	  {"u8", T_U8},	  {"s8", T_S8},	      {"b16", T_B16},
	{"u16", T_U16},	  {"s16", T_S16}, {"f16", T_F16}, {"bf16", T_BF16},   {"b32", T_B32},
	{"u32", T_U32},	  {"s32", T_S32}, {"f32", T_F32}, {"f16x2", T_F16X2}, {"bf16x2", T_BF16X2},
	{"b64", T_B64},	  {"u64", T_U64}, {"s64", T_S64}, {"f64", T_F64},
};

void ptx_log_add(struct ptx_log *log, const char *format, ...)
{
	va_list list;
	int length;

	if (!log || log->used >= PTX_LOG_MAX - 1)
		return;
	va_start(list, format);
	length = vsnprintf(log->text + log->used, PTX_LOG_MAX - log->used, format, list);
	va_end(list);
	if (length > 0)
		log->used = MIN(log->used + (size_t)length, (size_t)PTX_LOG_MAX - 1);
}

static bool fail_at(struct ptx_parser *parser, uint32_t line, const char *format, va_list list)
{
	char text[512];

	if (parser->status == PTX_OK) {
		parser->status = PTX_INVALID_PTX;
		(void)vsnprintf(text, sizeof(text), format, list);
		ptx_log_add(parser->log, "line %u: %s\n", line, text);
	}
	return false;
}

bool ptx_fail(struct ptx_parser *parser, const char *format, ...)
{
	va_list list;

	va_start(list, format);
	(void)fail_at(parser, parser->lexer.token.line, format, list);
	va_end(list);
	return false;
}

bool ptx_fail_line(struct ptx_parser *parser, uint32_t line, const char *format, ...)
{
	va_list list;

	va_start(list, format);
	(void)fail_at(parser, line, format, list);
	va_end(list);
	return false;
}

bool ptx_fail_memory(struct ptx_parser *parser)
{
	if (parser->status == PTX_OK) {
		parser->status = PTX_OUT_OF_MEMORY;
		ptx_log_add(parser->log, "line %u: out of memory\n", parser->lexer.token.line);
	}
	return false;
}

/* --- tokens ------------------------------------------------------------------------------------------------------- */

bool ptx_at(const struct ptx_parser *parser, char punct)
{
	return parser->lexer.token.kind == TOKEN_PUNCT && parser->lexer.token.punct == punct;
}

bool ptx_accept(struct ptx_parser *parser, char punct)
{
	if (!ptx_at(parser, punct))
		return false;
	ptx_lexer_next(&parser->lexer);
	return true;
}

static bool fail_expected(struct ptx_parser *parser, const char *what)
{
	const struct ptx_token *token = &parser->lexer.token;

	if (token->kind == TOKEN_END)
		return ptx_fail(parser, "expected %s, found the end of the text", what);
	return ptx_fail(parser, "expected %s, found '%.*s'", what, (int)MIN(token->length, (size_t)64), token->text);
}

bool ptx_expect(struct ptx_parser *parser, char punct)
{
	char what[] = {'\'', punct, '\'', '\0'};

	return ptx_accept(parser, punct) || fail_expected(parser, what);
}

bool ptx_skip_past(struct ptx_parser *parser, char punct)
{
	const enum ptx_token_kind *kind = &parser->lexer.token.kind;

	/* A malformed token is not moved over: the lexer would stand there for ever. */
	while (!ptx_at(parser, punct) && *kind != TOKEN_END && *kind != TOKEN_BAD)
		ptx_lexer_next(&parser->lexer);
	return ptx_expect(parser, punct);
}

bool ptx_accept_dot(struct ptx_parser *parser, const char *word)
{
	if (!ptx_token_is(&parser->lexer.token, TOKEN_DOT, word))
		return false;
	ptx_lexer_next(&parser->lexer);
	return true;
}

bool ptx_expect_int(struct ptx_parser *parser, uint64_t *ret_value)
{
	bool minus = ptx_accept(parser, '-');

	if (parser->lexer.token.kind != TOKEN_INT)
		return fail_expected(parser, "an integer");
	*ret_value = minus ? -parser->lexer.token.u : parser->lexer.token.u;
	ptx_lexer_next(&parser->lexer);
	return true;
}

bool ptx_expect_word(struct ptx_parser *parser, struct ptx_word *ret_word)
{
	if (parser->lexer.token.kind != TOKEN_WORD)
		return fail_expected(parser, "a name");
	if (parser->lexer.token.length > 4096)
		return ptx_fail(parser, "name is too long");
	*ret_word = (struct ptx_word){parser->lexer.token.text, (uint32_t)parser->lexer.token.length};
	ptx_lexer_next(&parser->lexer);
	return true;
}

enum ptx_type ptx_type_of(const char *text, size_t length)
{
	for (size_t i = 0; i < ARRAY_LEN(type_names); i++)
		if (strlen(type_names[i].name) == length && memcmp(type_names[i].name, text, length) == 0)
			return type_names[i].type;
	return T_NONE;
}

enum ptx_class ptx_class_of(enum ptx_type type)
{
	switch (ptx_type_size(type)) {
	case 0:
		return CLASS_PRED;
	case 8:
		return CLASS_64;
	case 4:
		return CLASS_32;
	default:
		return CLASS_16;
	}
}

bool ptx_grow(struct ptx_parser *parser, void *array, uint32_t count, uint32_t *room, size_t size, uint32_t max,
	      const char *what)
{
	uint32_t wanted = *room ? MIN(2 * *room, max) : MIN(64u, max);
	void *grown;

	if (count < *room)
		return true;
	if (count >= max)
		return ptx_fail(parser, "too many %s (at most %u)", what, max);
	grown = reallocarray(*(void **)array, wanted, size);
	if (!grown)
		return ptx_fail_memory(parser);
	*(void **)array = grown;
	*room = wanted;
	return true;
}

/* --- names -------------------------------------------------------------------------------------------------------- */

static uint32_t hash_name(const char *name, uint32_t length)
{
	uint32_t hash = 2166136261u;

	for (uint32_t i = 0; i < length; i++)
		hash = (hash ^ (uint8_t)name[i]) * 16777619u;
	return (hash ^ hash >> 16) & (PTX_BUCKETS - 1);
}

struct ptx_symbol *ptx_find_symbol(struct ptx_parser *parser, const char *name, uint32_t length)
{
	struct ptx_symbol *symbol = parser->buckets[hash_name(name, length)];

	while (symbol && (symbol->length != length || memcmp(symbol->name, name, length) != 0))
		symbol = symbol->bucket_next;
	return symbol;
}

struct ptx_symbol *ptx_add_symbol(struct ptx_parser *parser, struct ptx_word name, enum ptx_symbol_kind kind)
{
	struct ptx_symbol *symbol = ptx_find_symbol(parser, name.text, name.length);
	uint32_t bucket = hash_name(name.text, name.length);

	if (symbol && symbol->depth == parser->depth) {
		(void)ptx_fail(parser, "'%.*s' is defined twice", (int)MIN(name.length, 200u), name.text);
		return NULL;
	}
	if (++parser->symbol_count > PTX_SYMBOLS_MAX) {
		(void)ptx_fail(parser, "too many names");
		return NULL;
	}
	symbol = ptx_arena_alloc(&parser->arena, sizeof(*symbol));
	if (!symbol) {
		(void)ptx_fail_memory(parser);
		return NULL;
	}
	symbol->name = name.text;
	symbol->length = name.length;
	symbol->kind = (uint8_t)kind;
	symbol->depth = parser->depth;
	symbol->bucket_next = parser->buckets[bucket];
	parser->buckets[bucket] = symbol;
	symbol->scope_next = parser->scopes[parser->depth];
	parser->scopes[parser->depth] = symbol;
	return symbol;
}

bool ptx_push_scope(struct ptx_parser *parser)
{
	if (parser->depth == PTX_SCOPES_MAX)
		return ptx_fail(parser, "blocks are nested too deep (at most %d)", PTX_SCOPES_MAX);
	parser->scopes[++parser->depth] = NULL;
	return true;
}

void ptx_pop_scope(struct ptx_parser *parser)
{
	for (struct ptx_symbol *symbol = parser->scopes[parser->depth]; symbol; symbol = symbol->scope_next)
		parser->buckets[hash_name(symbol->name, symbol->length)] = symbol->bucket_next;
	parser->depth--;
}

/* --- module ------------------------------------------------------------------------------------------------------- */

static bool parse_version(struct ptx_parser *parser)
{
	const struct ptx_token *token = &parser->lexer.token;
	unsigned major = 0, minor = 0;
	char text[16] = "";

	if (!ptx_accept_dot(parser, "version"))
		return fail_expected(parser, ".version");
	if (token->length < sizeof(text))
		memcpy(text, token->text, token->length);
	if (sscanf(text, "%2u.%1u", &major, &minor) != 2)
		return fail_expected(parser, "a version number");
	if (major > PTX_VERSION_MAX / 10) {
		parser->status = PTX_UNSUPPORTED_PTX_VERSION;
		ptx_log_add(parser->log,
			    "line %u: PTX version %u.%u is newer than %u.%u, the newest this device reads\n",
			    token->line, major, minor, PTX_VERSION_MAX / 10, PTX_VERSION_MAX % 10);
		return false;
	}
	parser->program->version = major * 10 + minor;
	ptx_lexer_next(&parser->lexer);
	return true;
}

static bool parse_target(struct ptx_parser *parser)
{
	char text[16] = "";
	unsigned number = 0;
	struct ptx_word word = {0};

	if (!ptx_accept_dot(parser, "target"))
		return fail_expected(parser, ".target");
	do {
		if (!ptx_expect_word(parser, &word))
			return false;
		if (word.length < sizeof(text) && word.length > 3 && memcmp(word.text, "sm_", 3) == 0) {
			memcpy(text, word.text, word.length);
			text[word.length] = '\0';
			if (sscanf(text, "sm_%3u", &number) != 1)
				return ptx_fail(parser, "target '%s' is not known", text);
		}
	} while (ptx_accept(parser, ','));
	if (number == 0)
		return ptx_fail(parser, "the .target directive names no sm_NN");
	if (number > PTX_TARGET_MAX) {
		parser->status = PTX_NO_BINARY_FOR_GPU;
		ptx_log_add(parser->log, "line %u: target sm_%u is newer than sm_%u, the newest this device runs\n",
			    parser->lexer.token.line, number, PTX_TARGET_MAX);
		return false;
	}
	parser->program->target = number;
	return true;
}

/* .section NAME { ... }: debug information, skipped. */
static bool skip_section(struct ptx_parser *parser)
{
	return ptx_skip_past(parser, '{') && ptx_skip_past(parser, '}');
}

/* One directive of the module. */
static bool parse_directive(struct ptx_parser *parser)
{
	const struct ptx_token *token = &parser->lexer.token;
	bool external = false;

	if (ptx_token_is(token, TOKEN_DOT, "file") || ptx_token_is(token, TOKEN_DOT, "loc")) {
		ptx_lexer_skip_line(&parser->lexer);
		return true;
	}
	if (ptx_accept_dot(parser, "section"))
		return skip_section(parser);
	if (ptx_accept_dot(parser, "pragma")) {
		ptx_lexer_next(&parser->lexer);
		return ptx_expect(parser, ';');
	}
	for (;;) {
		if (ptx_accept_dot(parser, "extern"))
			external = true;
		else if (!ptx_accept_dot(parser, "visible") && !ptx_accept_dot(parser, "weak") &&
			 !ptx_accept_dot(parser, "common"))
			break;
	}
	if (ptx_accept_dot(parser, "entry"))
		return ptx_parse_function(parser, true);
	if (ptx_accept_dot(parser, "func"))
		return ptx_parse_function(parser, false);
	if (ptx_accept_dot(parser, "global"))
		return ptx_parse_variable(parser, "global", external);
	if (ptx_accept_dot(parser, "const"))
		return ptx_parse_variable(parser, "const", external);
	if (ptx_accept_dot(parser, "shared"))
		return ptx_parse_variable(parser, "shared", external);
	if (token->kind == TOKEN_DOT)
		return ptx_fail(parser, "unknown directive '.%.*s'", (int)MIN(token->length, (size_t)64), token->text);
	return fail_expected(parser, "a directive");
}

/* Places the variables in the image of the module, and checks that everything that is called exists. */
static bool finish_program(struct ptx_parser *parser)
{
	struct ptx_program *program = parser->program;
	uint64_t statics = 0, at = 0;

	for (uint32_t i = 0; i < program->variable_count; i++) {
		struct ptx_variable *variable = program->variables[i];

		if (variable->external)
			return ptx_fail(parser, "unresolved extern variable '%s'", variable->name);
		at = (at + variable->align - 1) & ~(variable->align - 1);
		variable->offset = at;
		at += variable->size;
		if (at > PTX_VARIABLE_BYTES_MAX)
			return ptx_fail(parser, "the variables of the module are too large");
	}
	program->image_bytes = at;
	program->module_shared_bytes = (uint32_t)((parser->module_shared_bytes + 127) & ~127ull);
	for (uint32_t i = 0; i < program->function_count; i++) {
		struct ptx_function *function = program->functions[i];

		if (!function->defined && !function->builtin)
			return ptx_fail(parser, "unresolved extern function '%s'", function->kernel.name);
		program->uses_heap |= function->builtin == BUILTIN_MALLOC;
		statics = MAX(statics, (uint64_t)function->shared_bytes);
		function->kernel.shared_bytes = function->shared_bytes
							? function->shared_bytes + program->module_shared_bytes
						: function->module_shared ? program->module_shared_bytes
									  : 0;
	}
	program->dynamic_shared_offset = (uint32_t)((statics + program->module_shared_bytes + 127) & ~127ull);
	return true;
}

static bool parse_module(struct ptx_parser *parser)
{
	uint64_t bits;

	if (!parse_version(parser) || !parse_target(parser))
		return false;
	if (ptx_accept_dot(parser, "address_size")) {
		if (!ptx_expect_int(parser, &bits))
			return false;
		if (bits != 64)
			return ptx_fail(parser, ".address_size %llu is not supported, only 64",
					(unsigned long long)bits);
	}
	while (parser->lexer.token.kind != TOKEN_END)
		if (!parse_directive(parser))
			return false;
	return finish_program(parser);
}

enum ptx_status ptx_parse(const char *text, size_t length, struct ptx_program **ret_program, struct ptx_log *log)
{
	struct ptx_parser *parser;
	enum ptx_status status;

	while (length > 0 && text[length - 1] == '\0')
		length--;
	if (length > PTX_TEXT_MAX) {
		ptx_log_add(log, "the text has more than %u bytes\n", PTX_TEXT_MAX);
		return PTX_INVALID_PTX;
	}
	parser = calloc(1, sizeof(*parser));
	if (!parser)
		return PTX_OUT_OF_MEMORY;
	parser->log = log;
	parser->program = calloc(1, sizeof(*parser->program));
	parser->buckets = calloc(PTX_BUCKETS, sizeof(*parser->buckets));
	if (!parser->program || !parser->buckets)
		parser->status = PTX_OUT_OF_MEMORY;
	else {
		ptx_lexer_start(&parser->lexer, text, length);
		if (!parse_module(parser) && parser->status == PTX_OK)
			parser->status = PTX_INVALID_PTX;
	}
	status = parser->status;
	ptx_builder_done(&parser->build);
	ptx_arena_free(&parser->arena);
	free(parser->buckets);
	if (status == PTX_OK)
		*ret_program = parser->program;
	else
		ptx_program_free(parser->program);
	free(parser);
	return status;
}

/* --- programs ----------------------------------------------------------------------------------------------------- */

void ptx_program_free(struct ptx_program *program)
{
	if (!program)
		return;
	ptx_arena_free(&program->arena);
	free(program->functions);
	free(program->kernels);
	free(program->variables);
	free(program);
}

uint32_t ptx_program_version(const struct ptx_program *program)
{
	return program->version;
}

uint32_t ptx_program_target(const struct ptx_program *program)
{
	return program->target;
}

uint32_t ptx_program_kernel_count(const struct ptx_program *program)
{
	return program->kernel_count;
}

const struct ptx_kernel *ptx_program_kernel(const struct ptx_program *program, uint32_t index)
{
	return index < program->kernel_count ? &program->kernels[index]->kernel : NULL;
}

const struct ptx_kernel *ptx_program_find_kernel(const struct ptx_program *program, const char *name)
{
	for (uint32_t i = 0; i < program->kernel_count; i++)
		if (strcmp(program->kernels[i]->kernel.name, name) == 0)
			return &program->kernels[i]->kernel;
	return NULL;
}
