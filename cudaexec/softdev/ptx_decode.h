/*
 * The decoders of single instructions; each takes an instruction whose words and operands have been read, checks them
 * and appends operations to the function being built. See ptx_parser.h for the conventions.
 */
#ifndef FERRITE_CUDAEXEC_SOFTDEV_PTX_DECODE_H
#define FERRITE_CUDAEXEC_SOFTDEV_PTX_DECODE_H

#include "cudaexec/softdev/ptx_parser.h"

bool ptx_decode_alu(struct ptx_parser *parser, struct ptx_instruction *instruction);
bool ptx_decode_setp(struct ptx_parser *parser, struct ptx_instruction *instruction);
bool ptx_decode_set(struct ptx_parser *parser, struct ptx_instruction *instruction);
bool ptx_decode_cvt(struct ptx_parser *parser, struct ptx_instruction *instruction);
bool ptx_decode_mov(struct ptx_parser *parser, struct ptx_instruction *instruction);
bool ptx_decode_testp(struct ptx_parser *parser, struct ptx_instruction *instruction);
bool ptx_decode_dp(struct ptx_parser *parser, struct ptx_instruction *instruction);
bool ptx_decode_slct(struct ptx_parser *parser, struct ptx_instruction *instruction);
bool ptx_decode_prmt(struct ptx_parser *parser, struct ptx_instruction *instruction);
bool ptx_decode_ld(struct ptx_parser *parser, struct ptx_instruction *instruction);
bool ptx_decode_st(struct ptx_parser *parser, struct ptx_instruction *instruction);
bool ptx_decode_atom(struct ptx_parser *parser, struct ptx_instruction *instruction);
bool ptx_decode_cvta(struct ptx_parser *parser, struct ptx_instruction *instruction);
bool ptx_decode_isspacep(struct ptx_parser *parser, struct ptx_instruction *instruction);
bool ptx_decode_fence(struct ptx_parser *parser, struct ptx_instruction *instruction);
bool ptx_decode_hint(struct ptx_parser *parser, struct ptx_instruction *instruction);
bool ptx_decode_bra(struct ptx_parser *parser, struct ptx_instruction *instruction);
bool ptx_decode_exit(struct ptx_parser *parser, struct ptx_instruction *instruction);
bool ptx_decode_bar(struct ptx_parser *parser, struct ptx_instruction *instruction);
bool ptx_decode_shfl(struct ptx_parser *parser, struct ptx_instruction *instruction);
bool ptx_decode_vote(struct ptx_parser *parser, struct ptx_instruction *instruction);
bool ptx_decode_match(struct ptx_parser *parser, struct ptx_instruction *instruction);
bool ptx_decode_redux(struct ptx_parser *parser, struct ptx_instruction *instruction);
bool ptx_decode_activemask(struct ptx_parser *parser, struct ptx_instruction *instruction);
bool ptx_decode_lop3(struct ptx_parser *parser, struct ptx_instruction *instruction);

/*
 * Emits INSN with the operands of the instruction as destination and sources, one letter of FORM for each (see struct
 * ptx_rule).
 */
bool ptx_emit_form(struct ptx_parser *parser, struct ptx_instruction *instruction, struct ptx_insn insn,
		   const char *form, enum ptx_type type);

#endif
