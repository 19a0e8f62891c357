/*
 * Tokens of PTX text. The lexer borrows the text, never allocates, and reports what it cannot read as a token of its
 * own, with which the parser fails. Comments and blanks vanish; numbers are already values.
 */
#ifndef FERRITE_CUDAEXEC_SOFTDEV_PTX_LEXER_H
#define FERRITE_CUDAEXEC_SOFTDEV_PTX_LEXER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum ptx_token_kind {
	TOKEN_END,
	TOKEN_WORD,   /* name, keyword, register: begins with a letter, '_', '$' or '%' */
	TOKEN_DOT,    /* ".word": directive, type, modifier; text without the dot */
	TOKEN_INT,    /* integer: u */
	TOKEN_F32,    /* 0fXXXXXXXX: u holds the bits */
	TOKEN_F64,    /* 0dXXXXXXXXXXXXXXXX or a decimal fraction: u holds the bits of the double */
	TOKEN_STRING, /* text without the quotes, escapes unread */
	TOKEN_PUNCT,  /* one character: punct */
	TOKEN_BAD,
};

struct ptx_token {
	enum ptx_token_kind kind;
	uint32_t line;
	const char *text;
	size_t length;
	uint64_t u;
	char punct;
};

struct ptx_lexer {
	const char *at;
	const char *end;
	uint32_t line;
	struct ptx_token token; /* the current one */
};

/* Starts with the first token as the current one. */
void ptx_lexer_start(struct ptx_lexer *lexer, const char *text, size_t length);

/* Moves to the next token. */
void ptx_lexer_next(struct ptx_lexer *lexer);

/* Drops the rest of the line on which the current token stands (directives that end with the line), and moves on. */
void ptx_lexer_skip_line(struct ptx_lexer *lexer);

/* True when the current token is this word or this directive (without the dot). */
bool ptx_token_is(const struct ptx_token *token, enum ptx_token_kind kind, const char *text);

#endif
