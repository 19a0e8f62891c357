#include "cudaexec/gpu/requirement.h"

#include "supervisor/str.h"
#include "supervisor/util.h"

#include <string.h>
#include <strings.h>

#define TERM_MAX 128

enum comparison { EQUAL, NOT_EQUAL, LESS, LESS_EQUAL, GREATER, GREATER_EQUAL };

/* Longer spellings first. */
static const struct {
	const char *text;
	enum comparison comparison;
} comparisons[] = {{"!=", NOT_EQUAL}, {"<=", LESS_EQUAL}, {">=", GREATER_EQUAL},
		   {"=", EQUAL},      {"<", LESS},	  {">", GREATER}};

static unsigned long next_part(const char **text)
{
	unsigned long part = 0;

	for (; **text >= '0' && **text <= '9'; (*text)++)
		if (part < 1000000000)
			part = part * 10 + (unsigned long)(**text - '0');
	if (**text == '.')
		(*text)++;
	else
		*text += strlen(*text);
	return part;
}

int version_compare(const char *a, const char *b)
{
	while (*a || *b) {
		unsigned long x = next_part(&a), y = next_part(&b);

		if (x != y)
			return x < y ? -1 : 1;
	}
	return 0;
}

static bool compare_result(int order, enum comparison comparison)
{
	switch (comparison) {
	case EQUAL:
		return order == 0;
	case NOT_EQUAL:
		return order != 0;
	case LESS:
		return order < 0;
	case LESS_EQUAL:
		return order <= 0;
	case GREATER:
		return order > 0;
	default:
		return order >= 0;
	}
}

static const char *fact(const struct requirement_facts *facts, const char *property, bool *ret_known)
{
	const struct {
		const char *name;
		const char *value;
	} table[] = {{"cuda", facts->cuda}, {"driver", facts->driver}, {"arch", facts->arch}, {"brand", facts->brand}};

	*ret_known = false;
	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		if (strcmp(table[i].name, property) == 0) {
			*ret_known = true;
			return table[i].value && table[i].value[0] ? table[i].value : NULL;
		}
	}
	return NULL;
}

static int malformed(const char *term, const char *why, struct err *err)
{
	char shown[4 * TERM_MAX];

	str_escape(shown, sizeof(shown), term, strlen(term));
	return err_set(err, -EINVAL, "requirement '%s': %s", shown, why);
}

static int check_term(const char *term, const struct requirement_facts *facts, bool *ret_ignored, struct err *err)
{
	char property[TERM_MAX];
	size_t length = strcspn(term, "!<>=");
	const char *value, *actual;
	size_t i = 0;
	bool known;

	while (i < ARRAY_LEN(comparisons) &&
	       strncmp(term + length, comparisons[i].text, strlen(comparisons[i].text)) != 0)
		i++;
	if (length == 0 || i == ARRAY_LEN(comparisons))
		return malformed(term, "expected PROPERTY=VALUE (or != < <= > >=)", err);
	value = term + length + strlen(comparisons[i].text);
	if (value[0] == '\0' || strpbrk(value, "!<>="))
		return malformed(term, "expected one value after the comparison", err);
	memcpy(property, term, length);
	property[length] = '\0';
	actual = fact(facts, property, &known);
	if (!known && ret_ignored)
		*ret_ignored = true;
	if (strcmp(property, "brand") == 0) {
		if (comparisons[i].comparison > NOT_EQUAL)
			return malformed(term, "brands compare with = and != only", err);
		return !actual || compare_result(strcasecmp(actual, value), comparisons[i].comparison);
	}
	return !actual || compare_result(version_compare(actual, value), comparisons[i].comparison);
}

/* Checks LENGTH bytes of terms that must all hold; every term is read, so that a mistake is found wherever it is. */
static int check_clause(const char *clause, size_t length, const struct requirement_facts *facts, bool *ret_ignored,
			struct err *err)
{
	const char *end = clause + length;
	int holds = 1;

	while (clause < end) {
		size_t size = strcspn(clause, ", ");
		char term[TERM_MAX];
		int result;

		if (size >= sizeof(term))
			return err_set(err, -EINVAL, "requirement: a term is longer than %d bytes", TERM_MAX - 1);
		if (size > 0) {
			memcpy(term, clause, size);
			term[size] = '\0';
			result = check_term(term, facts, ret_ignored, err);
			if (result < 0)
				return result;
			holds &= result;
		}
		clause += size + 1;
	}
	return holds;
}

int requirement_check(const char *text, const struct requirement_facts *facts, bool *ret_ignored, struct err *err)
{
	int any = 0, clauses = 0;

	if (ret_ignored)
		*ret_ignored = false;
	while (*text) {
		size_t length = strcspn(text, " ");

		if (length > 0 && strspn(text, ",") < length) {
			int holds = check_clause(text, length, facts, ret_ignored, err);

			if (holds < 0)
				return holds;
			any |= holds;
			clauses++;
		}
		text += length + (text[length] == ' ');
	}
	return clauses == 0 || any;
}
