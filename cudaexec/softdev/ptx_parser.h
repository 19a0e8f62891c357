/*
 * Shared by the files of the parser: its state, names and scopes, operands, and the function being built.
 *
 * Functions that can fail return false (or NULL) after ptx_fail() has written the line and the reason; callers only
 * pass that on. Nothing recurses on the depth of the input.
 */
#ifndef FERRITE_CUDAEXEC_SOFTDEV_PTX_PARSER_H
#define FERRITE_CUDAEXEC_SOFTDEV_PTX_PARSER_H

#include "cudaexec/softdev/ptx_lexer.h"
#include "cudaexec/softdev/ptx_program.h"

enum ptx_symbol_kind {
	SYMBOL_REGISTER,
	SYMBOL_LABEL,
	SYMBOL_VARIABLE, /* .global or .const: index */
	SYMBOL_SHARED,
	SYMBOL_LOCAL,  /* frame offset and size: .local and .param variables of a function */
	SYMBOL_KPARAM, /* kernel parameter: offset and size */
	SYMBOL_FUNCTION,
	SYMBOL_PROTOTYPE,
};

struct ptx_symbol {
	const char *name; /* not terminated */
	uint32_t length;
	uint32_t depth; /* of the scope */
	uint8_t kind;
	uint8_t type;	   /* of a register */
	uint8_t reloc;	   /* of shared memory */
	bool formal;	   /* register that is a formal parameter or result of the function */
	uint32_t count;	   /* registers of a range %r<count>, 0: a single one */
	uint32_t *numbers; /* of the registers, plus 1; 0: not used yet */
	uint32_t index;	   /* label: instruction; variable, function: number */
	uint64_t offset;
	uint64_t size;
	struct ptx_function *prototype;
	struct ptx_symbol *bucket_next;
	struct ptx_symbol *scope_next;
};

#define PTX_BUCKETS 65536u

/* A branch whose label was not known when it was read. */
struct ptx_reference {
	const char *name;
	uint32_t length;
	uint32_t depth;
	uint32_t insn;
	uint32_t line;
};

/* Which operand fields of an instruction are registers that it reads or writes. */
enum {
	FIELD_DST = 1,
	FIELD_A = 2,
	FIELD_B = 4,
	FIELD_C = 8,
	FIELD_AUX = 16,
};

struct ptx_roles {
	uint8_t reads;
	uint8_t writes;
};

struct ptx_builder {
	struct ptx_function *function;
	struct ptx_insn *insns;
	struct ptx_roles *roles;
	uint32_t *lines;
	uint32_t count, room;
	uint32_t register_count[CLASS_COUNT];
	uint32_t registers; /* of all classes */
	struct ptx_constant *constants;
	uint32_t constant_count, constant_room;
	uint32_t *constant_index; /* hash of constants, plus 1 */
	uint32_t constant_bytes;
	struct ptx_reference *references;
	uint32_t reference_count, reference_room;
	struct ptx_call *calls;
	uint32_t call_count, call_room;
	uint64_t local_bytes, shared_bytes;
	struct ptx_symbol **formal_rets; /* .reg results */
};

struct ptx_parser {
	struct ptx_lexer lexer;
	struct ptx_program *program;
	struct ptx_log *log;
	enum ptx_status status;
	struct ptx_arena arena; /* names and scopes; gone when parsing ends */
	struct ptx_symbol **buckets;
	struct ptx_symbol *scopes[PTX_SCOPES_MAX + 1]; /* the names of each open scope, newest first */
	uint32_t depth;
	uint32_t symbol_count;
	uint32_t range_total; /* places of all register ranges used */
	uint32_t function_room, kernel_room, variable_room;
	uint64_t module_shared_bytes;
	struct ptx_builder build;
};

#define PTX_MODIFIERS_MAX 16
#define PTX_OPERANDS_MAX  10
#define PTX_VECTOR_MAX	  4

struct ptx_word {
	const char *text;
	uint32_t length;
};

enum ptx_operand_kind {
	OPERAND_REGISTER,
	OPERAND_INT,
	OPERAND_F32,
	OPERAND_F64,
	OPERAND_SYMBOL,
	OPERAND_NAME,
	OPERAND_SINK,
	OPERAND_VECTOR
};

struct ptx_value {
	uint8_t kind;
	uint8_t type;  /* of a register, as declared */
	bool negated;  /* predicate */
	uint32_t code; /* register */
	uint64_t bits; /* immediate; offset of a symbol */
	struct ptx_symbol *symbol;
	struct ptx_word name;
};

struct ptx_operand {
	struct ptx_value value; /* kind OPERAND_VECTOR: see elements */
	struct ptx_value elements[PTX_VECTOR_MAX];
	uint32_t element_count;
	bool address; /* in brackets; value is the base */
	int64_t offset;
	bool has_second; /* d|p */
	struct ptx_value second;
};

struct ptx_instruction {
	struct ptx_word base;
	struct ptx_word modifiers[PTX_MODIFIERS_MAX];
	uint32_t modifier_count;
	uint32_t taken; /* bits of the modifiers that the decoder has understood */
	uint32_t line;
	uint16_t guard;
	struct ptx_operand operands[PTX_OPERANDS_MAX];
	uint32_t operand_count;
	const struct ptx_family *family;
};

/* --- ptx_parser.c: errors, tokens, names ------------------------------------------------------------------------- */

/* Notes the first failure with the line of the current token (or LINE); returns false. */
bool ptx_fail(struct ptx_parser *parser, const char *format, ...) __attribute__((format(printf, 2, 3)));
bool ptx_fail_line(struct ptx_parser *parser, uint32_t line, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
bool ptx_fail_memory(struct ptx_parser *parser);

bool ptx_accept(struct ptx_parser *parser, char punct);
bool ptx_expect(struct ptx_parser *parser, char punct);

/* Skips to a punctuation and takes it; false at the end of the text or at something that is no token. */
bool ptx_skip_past(struct ptx_parser *parser, char punct);
bool ptx_accept_dot(struct ptx_parser *parser, const char *word);
bool ptx_at(const struct ptx_parser *parser, char punct);

/* An integer, perhaps with a minus sign. */
bool ptx_expect_int(struct ptx_parser *parser, uint64_t *ret_value);
bool ptx_expect_word(struct ptx_parser *parser, struct ptx_word *ret_word);

struct ptx_symbol *ptx_find_symbol(struct ptx_parser *parser, const char *name, uint32_t length);
struct ptx_symbol *ptx_add_symbol(struct ptx_parser *parser, struct ptx_word name, enum ptx_symbol_kind kind);
bool ptx_push_scope(struct ptx_parser *parser);
void ptx_pop_scope(struct ptx_parser *parser);

/* Type of a modifier or directive; T_NONE when it is none. */
enum ptx_type ptx_type_of(const char *text, size_t length);
enum ptx_class ptx_class_of(enum ptx_type type);

/* Makes room for one more element of an array from malloc; false when there is none. */
bool ptx_grow(struct ptx_parser *parser, void *array, uint32_t count, uint32_t *room, size_t size, uint32_t max,
	      const char *what);

struct ptx_declaration {
	struct ptx_word name;
	enum ptx_type type;
	uint64_t align;
	uint64_t vector;
	uint64_t elements;
	uint64_t size;
	bool open; /* name[] */
};

/* --- ptx_variable.c ----------------------------------------------------------------------------------------------- */

/* .global, .const, .shared, .local, .param variables; the current token is behind the state space. */
bool ptx_parse_variable(struct ptx_parser *parser, const char *space, bool external);
/* A single declaration of a parameter, behind its state space. */
bool ptx_parse_declaration(struct ptx_parser *parser, struct ptx_declaration *ret_declaration);
bool ptx_parse_registers(struct ptx_parser *parser);

/* --- ptx_function.c ----------------------------------------------------------------------------------------------- */

/* .entry or .func, the current token is behind it. */
bool ptx_parse_function(struct ptx_parser *parser, bool entry);
bool ptx_parse_prototype(struct ptx_parser *parser, struct ptx_word name);
void ptx_builder_done(struct ptx_builder *build);

/* --- ptx_operand.c ------------------------------------------------------------------------------------------------ */

/* One operand, or all up to the semicolon. */
bool ptx_parse_operand(struct ptx_parser *parser, struct ptx_operand *ret_operand);
bool ptx_parse_operands(struct ptx_parser *parser, struct ptx_instruction *instruction);

/* A register by name (with range), NULL symbol when there is none. Allocates its number. */
bool ptx_find_register(struct ptx_parser *parser, const char *name, uint32_t length, bool *ret_found,
		       uint32_t *ret_code, uint8_t *ret_type);
uint32_t ptx_new_register(struct ptx_parser *parser, enum ptx_class class);

/* A constant operand; PTX_OPERAND_NONE after a failure. */
uint32_t ptx_constant(struct ptx_parser *parser, enum ptx_class class, uint64_t value);
uint32_t ptx_constant_reloc(struct ptx_parser *parser, enum ptx_reloc reloc, uint32_t index, uint64_t addend,
			    enum ptx_class class);

/* The operand as source of TYPE: register of its size, immediate, or address of a symbol. */
bool ptx_source(struct ptx_parser *parser, const struct ptx_instruction *instruction, const struct ptx_value *value,
		enum ptx_type type, uint32_t *ret_code);
/* The operand as destination of TYPE. A sink becomes a fresh register. */
bool ptx_destination(struct ptx_parser *parser, const struct ptx_instruction *instruction,
		     const struct ptx_value *value, enum ptx_type type, uint32_t *ret_code);

/* Appends INSN with the guard of the instruction. */
bool ptx_emit(struct ptx_parser *parser, const struct ptx_instruction *instruction, struct ptx_insn insn, uint8_t reads,
	      uint8_t writes);

/* An instruction without operands, so that unused fields are marked as such. */
#define PTX_INSN(...) \
	((struct ptx_insn){.dst = PTX_OPERAND_NONE, \
			   .a = PTX_OPERAND_NONE, \
			   .b = PTX_OPERAND_NONE, \
			   .c = PTX_OPERAND_NONE, \
			   .aux = PTX_OPERAND_NONE, \
			   __VA_ARGS__})

/* --- ptx_decode*.c ------------------------------------------------------------------------------------------------ */

/*
 * One accepted form of an arithmetic instruction. FORM has one letter for the destination and for each source: 't' the
 * type of the instruction, 'w' twice its width, '4' 32 bits, 'p' a predicate.
 */
struct ptx_rule {
	uint8_t type;
	uint8_t kind; /* enum ptx_float_op, for operations with rounding */
	uint16_t op;
	uint32_t needed;  /* MOD_ bits that make this rule */
	uint32_t allowed; /* further MOD_ bits that may be there */
	const char *form;
};

struct ptx_family {
	const char *name;
	bool (*decode)(struct ptx_parser *parser, struct ptx_instruction *instruction);
	const struct ptx_rule *rules; /* of ptx_decode_alu() */
	uint32_t rule_count;
};

/* The family of an opcode, or NULL. */
const struct ptx_family *ptx_find_family(const char *name, size_t length);

/* Decodes the instruction whose base, modifiers, operands and guard have been read. */
bool ptx_decode(struct ptx_parser *parser, struct ptx_instruction *instruction);

/* "unknown instruction 'x.y.z'", or unsupported operands. */
bool ptx_fail_unknown(struct ptx_parser *parser, const struct ptx_instruction *instruction);
bool ptx_fail_operands(struct ptx_parser *parser, const struct ptx_instruction *instruction, const char *what);

/* True (and the modifier is taken) when the instruction has this modifier. */
bool ptx_modifier(struct ptx_instruction *instruction, const char *text);
/* The last modifier as type, taken; T_NONE when it is none. */
enum ptx_type ptx_last_type(struct ptx_instruction *instruction);
bool ptx_all_taken(const struct ptx_instruction *instruction);

/* Reads its operands itself. */
bool ptx_parse_call(struct ptx_parser *parser, struct ptx_instruction *instruction);

/* Loads or stores a whole variable of the frame: for registers as arguments. */
bool ptx_emit_frame_load(struct ptx_parser *parser, const struct ptx_instruction *instruction, uint32_t code,
			 uint64_t offset);
bool ptx_emit_frame_store(struct ptx_parser *parser, const struct ptx_instruction *instruction, uint32_t code,
			  uint64_t offset);

/* --- ptx_regalloc.c ----------------------------------------------------------------------------------------------- */

/*
 * Gives the registers of the finished function their places in the frame. Registers that are never live together share
 * a place, so that a warp's registers stay in the cache; only within a class, because lanes of different widths overlap
 * and diverged lanes must not disturb each other.
 */
bool ptx_assign_registers(struct ptx_parser *parser);

/* --- ptx_repeat.c ------------------------------------------------------------------------------------------------- */

/*
 * Marks loads whose address register was the address register of an earlier load of the same straight piece of code,
 * unchanged: what the first one has found out about the addresses serves the others.
 */
bool ptx_mark_repeats(struct ptx_parser *parser);

#endif
