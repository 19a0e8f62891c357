/*
 * Integer expressions of a bundle's manifest: numbers, names, + - * / % ( ), ceildiv(a, b), min(a, b, …), max(a, b, …).
 *
 * An expression is compiled once to a short postfix program and evaluated per call against an array of values, one per
 * slot; the caller's resolver gives each name its slot. All arithmetic is 64-bit signed; overflow and division by zero
 * are errors. `/` and `%` truncate as in C, ceildiv rounds up. Evaluation does not allocate.
 */
#ifndef FERRITE_CUDAEXEC_EXPR_H
#define FERRITE_CUDAEXEC_EXPR_H

#include "supervisor/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	EXPR_TEXT_MAX = 1024, /* bytes of source */
	EXPR_OPS_MAX = 256,   /* postfix operations */
	EXPR_DEPTH_MAX = 64,  /* nesting of the source, and so of the evaluation stack */
	EXPR_NAME_MAX = 63,   /* bytes of a name */
};

struct expr;

/* The slot of a name, or a negative value when there is no such name. */
typedef int (*expr_resolve)(void *user, const char *name);

/*
 * Compiles TEXT. Returns 0 and an expression that the caller frees, or -EINVAL (the text says what is wrong, and with
 * which name), -ENOMEM.
 */
int expr_compile(const char *text, expr_resolve resolve, void *user, struct expr **ret_expr, struct err *err);

/* An expression that is one number. NULL when memory is short. */
struct expr *expr_number(int64_t value);

/* Evaluates with VALUES[slot]. Returns 0, -ERANGE (overflow) or -EDOM (division by zero). */
int expr_eval(const struct expr *expr, const int64_t *values, int64_t *ret_value, struct err *err);

/* True when the expression is one number or one name alone. */
bool expr_is_number(const struct expr *expr, int64_t *ret_value);
bool expr_is_name(const struct expr *expr, int *ret_slot);

/* The source text, as compiled. */
const char *expr_text(const struct expr *expr);

/* Accepts NULL; returns NULL. */
struct expr *expr_free(struct expr *expr);

#endif
