#include "cudaexec/runner/expr.h"
#include "supervisor/util.h"

#include <string.h>

#include "tests/unit/main.h"

static const char *const names[] = {"n", "m", "zero", "low", "high"};
static const int64_t values[] = {1000, 7, 0, INT64_MIN, INT64_MAX};

static int resolve(void *user, const char *name)
{
	(void)user;
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (strcmp(names[i], name) == 0)
			return (int)i;
	return -ENOENT;
}

START_TEST(expressions_have_values)
{
	static const struct {
		const char *text;
		int64_t value;
	} table[] = {
		{"0", 0},
		{"9223372036854775807", INT64_MAX},
		{"n", 1000},
		{" n + m * 2 ", 1014},
		{"(n + m) * 2", 2014},
		{"n - m - 3", 990},
		{"n - (m - 3)", 996},
		{"n / m / 2", 71},
		{"n % m", 6},
		{"100 / 10 * 10", 100},
		{"-n % m", -6},
		{"-m", -7},
		{"3 - -m", 10},
		{"--m", 7},
		{"ceildiv(n, 256)", 4},
		{"ceildiv(1024, 256)", 4},
		{"ceildiv(0, 256)", 0},
		{"ceildiv(-7, 2)", -3},
		{"ceildiv(7, -2)", -3},
		{"ceildiv(-7, -2)", 4},
		{"min(n, m)", 7},
		{"max(n, m, 5000, 2)", 5000},
		{"max ( min(n, 3), ceildiv(m, 2) )*2", 8},
		{"low", INT64_MIN},
		{"((((((n))))))", 1000},
		{"high + low", -1},
		{"\tn\t", 1000},
	};

	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		struct err err = ERR_INIT;
		struct expr *expr = NULL;
		int64_t value = 0;

		ck_assert_msg(expr_compile(table[i].text, resolve, NULL, &expr, &err) == 0, "%s: %s", table[i].text,
			      err.text);
		ck_assert_msg(expr_eval(expr, values, &value, &err) == 0, "%s: %s", table[i].text, err.text);
		ck_assert_msg(value == table[i].value, "%s is %lld", table[i].text, (long long)value);
		ck_assert_str_eq(expr_text(expr), table[i].text);
		expr_free(expr);
	}
}
END_TEST

START_TEST(bad_expressions_are_named)
{
	static const struct {
		const char *text;
		const char *error;
	} table[] = {
		{"", "expression ends where a number or a name should stand"},
		{"  ", "expression ends where a number or a name should stand"},
		{"n +", "expression ends where a number or a name should stand"},
		{"n n", "expression has \"n\" where an operator or the end should stand"},
		{"(n", "expression ends where \")\" should stand"},
		{"(n]", "expression has \"]\" where \")\" should stand"},
		{"n)", "expression has \")\" where an operator or the end should stand"},
		{"1.5", "expression has \".5\" where an operator or the end should stand"},
		{"0x10", "expression has \"x10\" where an operator or the end should stand"},
		{"n\n", "expression has \"\\x0a\" where an operator or the end should stand"},
		{"n ** 2", "expression has \"* 2\" where a number or a name should stand"},
		{"9223372036854775808", "number in the expression does not fit 64 bits"},
		{"99999999999999999999999", "number in the expression does not fit 64 bits"},
		{"k", "unknown name \"k\""},
		{"floor(n)", "unknown function \"floor\"; there are ceildiv, min and max"},
		{"ceildiv(n)", "ceildiv takes two arguments, not 1"},
		{"ceildiv(n, 2, 3)", "ceildiv takes two arguments, not 3"},
		{"min(n)", "min takes two or more arguments, not 1"},
		{"min()", "expression has \")\" where a number or a name should stand"},
		{"min(n, m", "expression ends where \",\" or \")\" should stand"},
		{"ceildiv", "unknown name \"ceildiv\""},
	};

	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		struct err err = ERR_INIT;
		struct expr *expr = NULL;

		ck_assert_int_eq(expr_compile(table[i].text, resolve, NULL, &expr, &err), -EINVAL);
		ck_assert_str_eq(err.text, table[i].error);
		ck_assert_ptr_null(expr);
	}
}
END_TEST

START_TEST(arithmetic_never_wraps)
{
	static const struct {
		const char *text;
		int code;
		const char *error;
	} table[] = {
		{"high + 1", -ERANGE, "64-bit overflow in \"high + 1\""},
		{"low - 1", -ERANGE, "64-bit overflow in \"low - 1\""},
		{"high * 2", -ERANGE, "64-bit overflow in \"high * 2\""},
		{"-low", -ERANGE, "64-bit overflow in \"-low\""},
		{"low / -1", -ERANGE, "64-bit overflow in \"low / -1\""},
		{"low % -1", -ERANGE, "64-bit overflow in \"low % -1\""},
		{"ceildiv(low, -1)", -ERANGE, "64-bit overflow in \"ceildiv(low, -1)\""},
		{"n / zero", -EDOM, "division by zero in \"n / zero\""},
		{"n % (m - 7)", -EDOM, "division by zero in \"n % (m - 7)\""},
		{"ceildiv(n, zero)", -EDOM, "division by zero in \"ceildiv(n, zero)\""},
	};

	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		struct err err = ERR_INIT;
		struct expr *expr = NULL;
		int64_t value = 42;

		ck_assert_int_eq(expr_compile(table[i].text, resolve, NULL, &expr, &err), 0);
		ck_assert_int_eq(expr_eval(expr, values, &value, &err), table[i].code);
		ck_assert_str_eq(err.text, table[i].error);
		ck_assert_int_eq(value, 42);
		expr_free(expr);
	}
}
END_TEST

/* Sources as deep and long as an author could try: refused, without a crash of the compiler's or evaluator's stack. */
START_TEST(size_and_depth_are_bounded)
{
	static const char *const units[] = {"(", "-", "1+(", "1*(2-(", "max(1,", "ceildiv(1,min(2,"};
	char text[EXPR_TEXT_MAX + 2];
	struct err err = ERR_INIT;
	struct expr *expr = NULL;

	for (size_t i = 0; i < ARRAY_LEN(units); i++) {
		size_t used = 0;

		while (used + strlen(units[i]) < EXPR_TEXT_MAX)
			used += (size_t)sprintf(text + used, "%s", units[i]);
		ck_assert_int_eq(expr_compile(text, resolve, NULL, &expr, &err), -EINVAL);
		ck_assert_str_eq(err.text, "expression nested deeper than 64");
	}
	memset(text, '1', sizeof(text));
	text[EXPR_TEXT_MAX + 1] = '\0';
	ck_assert_int_eq(expr_compile(text, resolve, NULL, &expr, &err), -EINVAL);
	ck_assert_str_eq(err.text, "expression of more than 1024 bytes");
	for (size_t i = 0; i < EXPR_TEXT_MAX; i++)
		text[i] = i % 2 ? '+' : '1';
	text[EXPR_TEXT_MAX - 1] = '\0';
	ck_assert_int_eq(expr_compile(text, resolve, NULL, &expr, &err), -EINVAL);
	ck_assert_str_eq(err.text, "expression of more than 256 operations");
	memset(text, 'a', 64);
	text[64] = '\0';
	ck_assert_int_eq(expr_compile(text, resolve, NULL, &expr, &err), -EINVAL);
	ck_assert_str_eq(err.text, "name of more than 63 bytes in the expression");
}
END_TEST

START_TEST(constants_and_names_are_recognised)
{
	struct err err = ERR_INIT;
	struct expr *expr = expr_number(-5);
	int64_t number = 0;
	int slot = -1;

	ck_assert(expr_is_number(expr, &number) && number == -5);
	ck_assert(!expr_is_name(expr, &slot));
	expr_free(expr);
	ck_assert_int_eq(expr_compile(" m ", resolve, NULL, &expr, &err), 0);
	ck_assert(expr_is_name(expr, &slot) && slot == 1);
	ck_assert(!expr_is_number(expr, &number));
	expr_free(expr);
	ck_assert_int_eq(expr_compile("m+0", resolve, NULL, &expr, &err), 0);
	ck_assert(!expr_is_name(expr, &slot) && !expr_is_number(expr, &number));
	expr_free(expr);
	ck_assert_ptr_null(expr_free(NULL));
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("expr");
	TCase *all = tcase_create("all");

	tcase_add_test(all, expressions_have_values);
	tcase_add_test(all, bad_expressions_are_named);
	tcase_add_test(all, arithmetic_never_wraps);
	tcase_add_test(all, size_and_depth_are_bounded);
	tcase_add_test(all, constants_and_names_are_recognised);
	suite_add_tcase(suite, all);
	return suite;
}
