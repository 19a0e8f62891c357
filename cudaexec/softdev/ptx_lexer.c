#include "cudaexec/softdev/ptx_lexer.h"

#include <stdlib.h>
#include <string.h>

#define FRACTION_MAX 64 /* characters of a decimal fraction */

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool is_word(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || is_digit(c) || c == '_' || c == '$';
}

static int hex_value(char c)
{
	if (is_digit(c))
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

/* Comments and blanks; false at an unterminated comment. */
static bool skip_blanks(struct ptx_lexer *lexer)
{
	while (lexer->at < lexer->end) {
		char c = *lexer->at, next = lexer->end - lexer->at > 1 ? lexer->at[1] : '\0';

		if (c == '/' && next == '*') {
			for (lexer->at += 2;; lexer->at++) {
				if (lexer->end - lexer->at < 2)
					return false;
				if (lexer->at[0] == '*' && lexer->at[1] == '/')
					break;
				lexer->line += *lexer->at == '\n';
			}
			lexer->at += 2;
		} else if ((c == '/' && next == '/') || c == '#') {
			while (lexer->at < lexer->end && *lexer->at != '\n')
				lexer->at++;
		} else if (c == ' ' || c == '\t' || c == '\r' || c == '\n' || c == '\f' || c == '\v') {
			lexer->line += c == '\n';
			lexer->at++;
		} else {
			break;
		}
	}
	return true;
}

/* Digits of BASE after a prefix; false when there is none, too many, or one that is not of the base. */
static bool read_digits(struct ptx_lexer *lexer, unsigned base, uint64_t *ret_value)
{
	const char *start = lexer->at;
	uint64_t value = 0;

	while (lexer->at < lexer->end && hex_value(*lexer->at) >= 0 && (unsigned)hex_value(*lexer->at) < base) {
		uint64_t digit = (uint64_t)hex_value(*lexer->at++);

		if (value > (UINT64_MAX - digit) / base)
			return false;
		value = value * base + digit;
	}
	*ret_value = value;
	return lexer->at > start;
}

static bool read_fraction(struct ptx_lexer *lexer, struct ptx_token *token)
{
	char buffer[FRACTION_MAX + 1];
	size_t length = 0;
	double value;
	char *end;

	while (lexer->at < lexer->end && length < FRACTION_MAX &&
	       (is_digit(*lexer->at) || *lexer->at == '.' || *lexer->at == 'e' || *lexer->at == 'E' ||
		((*lexer->at == '-' || *lexer->at == '+') && (lexer->at[-1] == 'e' || lexer->at[-1] == 'E'))))
		buffer[length++] = *lexer->at++;
	buffer[length] = '\0';
	value = strtod(buffer, &end);
	token->kind = TOKEN_F64;
	memcpy(&token->u, &value, sizeof(value));
	return *end == '\0';
}

/* 0fXXXXXXXX and 0dXXXXXXXXXXXXXXXX. */
static bool read_float_bits(struct ptx_lexer *lexer, struct ptx_token *token, size_t digits)
{
	const char *start = lexer->at;

	token->kind = digits == 8 ? TOKEN_F32 : TOKEN_F64;
	return read_digits(lexer, 16, &token->u) && (size_t)(lexer->at - start) == digits;
}

static bool read_number(struct ptx_lexer *lexer, struct ptx_token *token)
{
	size_t left = (size_t)(lexer->end - lexer->at), digits = 0;
	char second = left > 1 ? lexer->at[1] : '\0';
	bool good;

	if (*lexer->at == '0' && (second == 'f' || second == 'F' || second == 'd' || second == 'D')) {
		lexer->at += 2;
		return read_float_bits(lexer, token, second == 'f' || second == 'F' ? 8 : 16);
	}
	token->kind = TOKEN_INT;
	if (*lexer->at == '0' && (second == 'x' || second == 'X')) {
		lexer->at += 2;
		good = read_digits(lexer, 16, &token->u);
	} else if (*lexer->at == '0' && (second == 'b' || second == 'B')) {
		lexer->at += 2;
		good = read_digits(lexer, 2, &token->u);
	} else {
		while (digits < left && is_digit(lexer->at[digits]))
			digits++;
		if (digits < left && (lexer->at[digits] == '.' || lexer->at[digits] == 'e' || lexer->at[digits] == 'E'))
			return read_fraction(lexer, token);
		good = read_digits(lexer, *lexer->at == '0' ? 8 : 10, &token->u);
	}
	if (good && lexer->at < lexer->end && *lexer->at == 'U')
		lexer->at++;
	return good && (lexer->at == lexer->end || !is_word(*lexer->at));
}

static bool read_string(struct ptx_lexer *lexer, struct ptx_token *token)
{
	token->kind = TOKEN_STRING;
	token->text = ++lexer->at;
	while (lexer->at < lexer->end && *lexer->at != '"' && *lexer->at != '\n')
		lexer->at += *lexer->at == '\\' && lexer->end - lexer->at > 1 ? 2 : 1;
	if (lexer->at >= lexer->end || *lexer->at != '"')
		return false;
	token->length = (size_t)(lexer->at++ - token->text);
	return true;
}

static void read_word(struct ptx_lexer *lexer, struct ptx_token *token, bool dot)
{
	token->kind = dot ? TOKEN_DOT : TOKEN_WORD;
	token->text = lexer->at;
	lexer->at += !dot; /* the '%' of a register */
	while (lexer->at < lexer->end && (is_word(*lexer->at) || (dot && lexer->end - lexer->at > 2 &&
								  lexer->at[0] == ':' && lexer->at[1] == ':')))
		lexer->at += *lexer->at == ':' ? 2 : 1;
	token->length = (size_t)(lexer->at - token->text);
}

void ptx_lexer_next(struct ptx_lexer *lexer)
{
	struct ptx_token *token = &lexer->token;
	bool good = skip_blanks(lexer);

	*token = (struct ptx_token){.line = lexer->line, .text = lexer->at};
	if (!good) {
		token->kind = TOKEN_BAD;
		return;
	}
	if (lexer->at == lexer->end) {
		token->kind = TOKEN_END;
		return;
	}
	if (is_digit(*lexer->at)) {
		good = read_number(lexer, token);
	} else if (*lexer->at == '"') {
		good = read_string(lexer, token);
	} else if (is_word(*lexer->at) || (*lexer->at == '%' && lexer->end - lexer->at > 1 && is_word(lexer->at[1]))) {
		read_word(lexer, token, false);
	} else if (*lexer->at == '.' && lexer->end - lexer->at > 1 && is_word(lexer->at[1])) {
		lexer->at++;
		read_word(lexer, token, true);
	} else if (strchr("{}()[]<>,;:=+-!|@~", *lexer->at) && *lexer->at != '\0') {
		token->kind = TOKEN_PUNCT;
		token->punct = *lexer->at++;
	} else {
		good = false;
	}
	if (!good)
		token->kind = TOKEN_BAD;
	else if (token->length == 0)
		token->length = (size_t)(lexer->at - token->text);
}

void ptx_lexer_start(struct ptx_lexer *lexer, const char *text, size_t length)
{
	*lexer = (struct ptx_lexer){.at = text, .end = text + length, .line = 1};
	ptx_lexer_next(lexer);
}

void ptx_lexer_skip_line(struct ptx_lexer *lexer)
{
	if (lexer->token.line == lexer->line)
		while (lexer->at < lexer->end && *lexer->at != '\n')
			lexer->at++;
	ptx_lexer_next(lexer);
}

bool ptx_token_is(const struct ptx_token *token, enum ptx_token_kind kind, const char *text)
{
	return token->kind == kind && token->length == strlen(text) && memcmp(token->text, text, token->length) == 0;
}
