#include "cudaexec/runner/expr.h"

#include "supervisor/str.h"
#include "supervisor/util.h"

#include <string.h>

enum op_kind {
	OP_NUMBER,
	OP_SLOT,
	OP_NEGATE,
	OP_ADD,
	OP_SUBTRACT,
	OP_MULTIPLY,
	OP_DIVIDE,
	OP_REMAINDER,
	OP_CEILDIV,
	OP_MIN,
	OP_MAX,
};

struct op {
	enum op_kind kind;
	int64_t value; /* the number, or the slot */
};

struct expr {
	char *text;
	size_t n_ops;
	struct op ops[];
};

/* --- compiling --- */

struct compiler {
	const char *at;
	expr_resolve resolve;
	void *user;
	struct err *err;
	unsigned nesting;
	unsigned stack; /* values on the evaluation stack after the operations so far */
	size_t n_ops;
	struct op ops[EXPR_OPS_MAX];
};

static int parse_sum(struct compiler *c);

static void skip_blanks(struct compiler *c)
{
	while (*c->at == ' ' || *c->at == '\t')
		c->at++;
}

/* TAKES operands are replaced by one result. */
static int emit(struct compiler *c, enum op_kind kind, int64_t value, unsigned takes)
{
	if (c->n_ops == EXPR_OPS_MAX)
		return err_set(c->err, EINVAL, "expression of more than %d operations", EXPR_OPS_MAX);
	c->stack = c->stack - takes + 1;
	if (c->stack > EXPR_DEPTH_MAX)
		return err_set(c->err, EINVAL, "expression nested deeper than %d", EXPR_DEPTH_MAX);
	c->ops[c->n_ops++] = (struct op){kind, value};
	return 0;
}

static int fail_at(struct compiler *c, const char *wanted)
{
	char found[64];

	if (!*c->at)
		return err_set(c->err, EINVAL, "expression ends where %s should stand", wanted);
	return err_set(c->err, EINVAL, "expression has \"%s\" where %s should stand",
		       str_escape(found, sizeof(found), c->at, strlen(c->at)), wanted);
}

static int parse_number(struct compiler *c)
{
	int64_t value = 0;

	for (; *c->at >= '0' && *c->at <= '9'; c->at++)
		if (__builtin_mul_overflow(value, (int64_t)10, &value) ||
		    __builtin_add_overflow(value, (int64_t)(*c->at - '0'), &value))
			return err_set(c->err, EINVAL, "number in the expression does not fit 64 bits");
	return emit(c, OP_NUMBER, value, 0);
}

static bool is_name_char(char c, bool first)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || (!first && c >= '0' && c <= '9');
}

static int parse_call(struct compiler *c, const char *name)
{
	static const struct {
		const char *name;
		enum op_kind kind;
		bool variadic;
	} functions[] = {{"ceildiv", OP_CEILDIV, false}, {"min", OP_MIN, true}, {"max", OP_MAX, true}};
	size_t f = 0;
	unsigned count = 0;
	int r;

	while (f < ARRAY_LEN(functions) && strcmp(functions[f].name, name) != 0)
		f++;
	if (f == ARRAY_LEN(functions))
		return err_set(c->err, EINVAL, "unknown function \"%s\"; there are ceildiv, min and max", name);
	do {
		c->at++;
		r = parse_sum(c);
		if (r < 0)
			return r;
		if (++count > 1) {
			r = emit(c, functions[f].kind, 0, 2);
			if (r < 0)
				return r;
		}
	} while (*c->at == ',');
	if (*c->at != ')')
		return fail_at(c, "\",\" or \")\"");
	c->at++;
	if (count < 2 || (count > 2 && !functions[f].variadic))
		return err_set(c->err, EINVAL, "%s takes %s arguments, not %u", name,
			       functions[f].variadic ? "two or more" : "two", count);
	return 0;
}

static int parse_name(struct compiler *c)
{
	char name[EXPR_NAME_MAX + 1];
	size_t length = 0;
	int slot;

	for (; is_name_char(c->at[length], false); length++)
		if (length == EXPR_NAME_MAX)
			return err_set(c->err, EINVAL, "name of more than %d bytes in the expression", EXPR_NAME_MAX);
	memcpy(name, c->at, length);
	name[length] = '\0';
	c->at += length;
	skip_blanks(c);
	if (*c->at == '(')
		return parse_call(c, name);
	slot = c->resolve(c->user, name);
	if (slot < 0)
		return err_set(c->err, EINVAL, "unknown name \"%s\"", name);
	return emit(c, OP_SLOT, slot, 0);
}

static int parse_primary(struct compiler *c)
{
	int r;

	skip_blanks(c);
	if (c->nesting == EXPR_DEPTH_MAX)
		return err_set(c->err, EINVAL, "expression nested deeper than %d", EXPR_DEPTH_MAX);
	c->nesting++;
	if (*c->at >= '0' && *c->at <= '9') {
		r = parse_number(c);
	} else if (is_name_char(*c->at, true)) {
		r = parse_name(c);
	} else if (*c->at == '-') {
		c->at++;
		r = parse_primary(c);
		if (r == 0)
			r = emit(c, OP_NEGATE, 0, 1);
	} else if (*c->at == '(') {
		c->at++;
		r = parse_sum(c);
		if (r == 0 && *c->at != ')')
			r = fail_at(c, "\")\"");
		else if (r == 0)
			c->at++;
	} else {
		r = fail_at(c, "a number or a name");
	}
	c->nesting--;
	skip_blanks(c);
	return r;
}

static int parse_product(struct compiler *c)
{
	int r = parse_primary(c);

	while (r == 0 && (*c->at == '*' || *c->at == '/' || *c->at == '%')) {
		enum op_kind kind = *c->at == '*' ? OP_MULTIPLY : *c->at == '/' ? OP_DIVIDE : OP_REMAINDER;

		c->at++;
		r = parse_primary(c);
		if (r == 0)
			r = emit(c, kind, 0, 2);
	}
	return r;
}

static int parse_sum(struct compiler *c)
{
	int r = parse_product(c);

	while (r == 0 && (*c->at == '+' || *c->at == '-')) {
		enum op_kind kind = *c->at == '+' ? OP_ADD : OP_SUBTRACT;

		c->at++;
		r = parse_product(c);
		if (r == 0)
			r = emit(c, kind, 0, 2);
	}
	return r;
}

static struct expr *expr_new(const char *text, const struct op *ops, size_t n_ops)
{
	struct expr *expr = malloc(sizeof(*expr) + n_ops * sizeof(*ops));

	if (!expr)
		return NULL;
	expr->text = strdup(text);
	expr->n_ops = n_ops;
	memcpy(expr->ops, ops, n_ops * sizeof(*ops));
	return expr->text ? expr : expr_free(expr);
}

int expr_compile(const char *text, expr_resolve resolve, void *user, struct expr **ret_expr, struct err *err)
{
	struct compiler c = {.at = text, .resolve = resolve, .user = user, .err = err};
	struct expr *expr;
	int r;

	if (strlen(text) > EXPR_TEXT_MAX)
		return err_set(err, EINVAL, "expression of more than %d bytes", EXPR_TEXT_MAX);
	r = parse_sum(&c);
	if (r < 0)
		return r;
	if (*c.at)
		return fail_at(&c, "an operator or the end");
	expr = expr_new(text, c.ops, c.n_ops);
	if (!expr)
		return err_sys(err, ENOMEM, "compile expression");
	*ret_expr = expr;
	return 0;
}

struct expr *expr_number(int64_t value)
{
	char text[24];

	(void)snprintf(text, sizeof(text), "%lld", (long long)value);
	return expr_new(text, &(struct op){OP_NUMBER, value}, 1);
}

/* --- evaluating --- */

static int64_t ceildiv(int64_t a, int64_t b)
{
	int64_t quotient = a / b;

	return a % b != 0 && (a < 0) == (b < 0) ? quotient + 1 : quotient;
}

static int divide(enum op_kind kind, int64_t a, int64_t b, int64_t *ret_value)
{
	if (b == 0)
		return -EDOM;
	if (a == INT64_MIN && b == -1)
		return -ERANGE;
	*ret_value = kind == OP_DIVIDE ? a / b : kind == OP_REMAINDER ? a % b : ceildiv(a, b);
	return 0;
}

static int apply(enum op_kind kind, int64_t a, int64_t b, int64_t *ret_value)
{
	switch (kind) {
	case OP_ADD:
		return __builtin_add_overflow(a, b, ret_value) ? -ERANGE : 0;
	case OP_SUBTRACT:
		return __builtin_sub_overflow(a, b, ret_value) ? -ERANGE : 0;
	case OP_MULTIPLY:
		return __builtin_mul_overflow(a, b, ret_value) ? -ERANGE : 0;
	case OP_MIN:
		*ret_value = MIN(a, b);
		return 0;
	case OP_MAX:
		*ret_value = MAX(a, b);
		return 0;
	default:
		return divide(kind, a, b, ret_value);
	}
}

int expr_eval(const struct expr *expr, const int64_t *values, int64_t *ret_value, struct err *err)
{
	int64_t stack[EXPR_DEPTH_MAX] = {0};
	size_t depth = 0;

	for (size_t i = 0; i < expr->n_ops; i++) {
		const struct op *op = &expr->ops[i];
		int64_t result = 0;
		int r = 0;

		if (op->kind == OP_NUMBER) {
			stack[depth++] = op->value;
			continue;
		}
		if (op->kind == OP_SLOT) {
			stack[depth++] = values[op->value];
			continue;
		}
		if (op->kind == OP_NEGATE) {
			r = apply(OP_SUBTRACT, 0, stack[depth - 1], &result);
		} else {
			r = apply(op->kind, stack[depth - 2], stack[depth - 1], &result);
			depth--;
		}
		if (r == -EDOM)
			return err_set(err, EDOM, "division by zero in \"%s\"", expr->text);
		if (r < 0)
			return err_set(err, ERANGE, "64-bit overflow in \"%s\"", expr->text);
		stack[depth - 1] = result;
	}
	*ret_value = stack[0];
	return 0;
}

bool expr_is_number(const struct expr *expr, int64_t *ret_value)
{
	if (expr->n_ops != 1 || expr->ops[0].kind != OP_NUMBER)
		return false;
	*ret_value = expr->ops[0].value;
	return true;
}

bool expr_is_name(const struct expr *expr, int *ret_slot)
{
	if (expr->n_ops != 1 || expr->ops[0].kind != OP_SLOT)
		return false;
	*ret_slot = (int)expr->ops[0].value;
	return true;
}

const char *expr_text(const struct expr *expr)
{
	return expr->text;
}

struct expr *expr_free(struct expr *expr)
{
	if (expr) {
		free(expr->text);
		free(expr);
	}
	return NULL;
}
