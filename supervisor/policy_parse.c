#include "supervisor/policy.h"
#include "supervisor/str.h"
#include "supervisor/util.h"

#include <ctype.h>
#include <errno.h>
#include <linux/seccomp.h>
#include <stdio.h>
#include <string.h>

#define WORD_MAX 64

struct parser {
	struct policy *policy;
	const char *file;
	unsigned line;
	int dirfd;
	unsigned depth;
	/* The rest of the line and the token in front of it. */
	const char *at, *end;
	char token[WORD_MAX];
	struct err *err;
};

#define fail(p, format, ...) err_set((p)->err, EINVAL, "%s:%u: " format, (p)->file, (p)->line, ##__VA_ARGS__)

static bool word_byte(char c)
{
	return isalnum((unsigned char)c) || c == '_';
}

/* Moves to the next token; an empty token is the end of the line. */
static int advance(struct parser *p)
{
	size_t length;

	while (p->at < p->end && (*p->at == ' ' || *p->at == '\t'))
		p->at++;
	if (p->at == p->end) {
		p->token[0] = '\0';
		return 0;
	}
	if (*p->at == '"') {
		const char *quote = memchr(p->at + 1, '"', (size_t)(p->end - p->at - 1));

		if (!quote)
			return fail(p, "a quote is not closed");
		length = (size_t)(quote - p->at) + 1;
	} else if (word_byte(*p->at)) {
		for (length = 1; p->at + length < p->end && word_byte(p->at[length]); length++)
			;
	} else {
		bool pair = p->at + 1 < p->end && (p->at[0] == p->at[1] || p->at[0] == '!') && strchr("&|=!", *p->at);

		length = pair ? 2 : 1;
	}
	if (length >= WORD_MAX)
		return fail(p, "a word is longer than %d bytes", WORD_MAX - 1);
	memcpy(p->token, p->at, length);
	p->token[length] = '\0';
	p->at += length;
	return 0;
}

static bool is(const struct parser *p, const char *token)
{
	return strcmp(p->token, token) == 0;
}

static int unexpected(struct parser *p, const char *wanted)
{
	char escaped[4 * WORD_MAX];

	str_escape(escaped, sizeof(escaped), p->token, strlen(p->token));
	return fail(p, "expected %s, found %s%s%s", wanted, p->token[0] ? "\"" : "", p->token[0] ? escaped : "the end",
		    p->token[0] ? "\"" : "");
}

static int expect(struct parser *p, const char *token)
{
	if (!is(p, token))
		return unexpected(p, token);
	return advance(p);
}

static int parse_number(struct parser *p, uint64_t *ret_value)
{
	char *end = NULL;

	errno = 0;
	*ret_value = strtoull(p->token, &end, p->token[0] == '0' && p->token[1] == 'x' ? 16 : 10);
	if (errno || *end || end == p->token)
		return fail(p, "\"%s\" is no number", p->token);
	return 0;
}

/* VALUE ['|' VALUE]… , optionally in parentheses. */
static int parse_value(struct parser *p, uint64_t *ret_value)
{
	bool parentheses = is(p, "(");
	uint64_t value = 0;
	int r = parentheses ? advance(p) : 0;

	for (;;) {
		uint64_t one = 0;

		if (r < 0)
			return r;
		if (!word_byte(p->token[0]))
			return unexpected(p, "a number or a constant");
		if (isdigit((unsigned char)p->token[0])) {
			r = parse_number(p, &one);
			if (r < 0)
				return r;
		} else if (!policy_constant(p->token, &one)) {
			return fail(p, "unknown constant \"%s\"", p->token);
		}
		value |= one;
		r = advance(p);
		if (r < 0 || !is(p, "|"))
			break;
		r = advance(p);
	}
	if (r == 0 && parentheses)
		r = expect(p, ")");
	*ret_value = value;
	return r;
}

static int add_value(struct parser *p, struct policy_comparison *c)
{
	struct policy *policy = p->policy;
	uint64_t value = 0;
	int r = parse_value(p, &value);

	if (r < 0)
		return r;
	if (policy->n_values == POLICY_VALUES_MAX)
		return fail(p, "more than %d values in the policy", POLICY_VALUES_MAX);
	/* Codes such as PR_SET_PTRACER or ioctl numbers may be sign-extended constants; intN means the low half. */
	if (!c->whole)
		value &= UINT32_MAX;
	policy->values[policy->n_values++] = value;
	c->n_values++;
	if (value >> 32 != policy->values[c->values] >> 32)
		return fail(p, "the values of one set need the same upper half");
	return 0;
}

static int parse_set(struct parser *p, struct policy_comparison *c)
{
	int r = expect(p, "{");

	while (r == 0) {
		r = add_value(p, c);
		if (r < 0 || !is(p, ","))
			break;
		r = advance(p);
	}
	return r < 0 ? r : expect(p, "}");
}

static int parse_operator(struct parser *p, struct policy_comparison *c)
{
	bool negative = is(p, "not");
	int r;

	if (negative || is(p, "in")) {
		c->operator= negative ? POLICY_NOT_IN : POLICY_IN;
		r = advance(p);
		if (r == 0 && negative)
			r = expect(p, "in");
		return r < 0 ? r : parse_set(p, c);
	}
	if (is(p, "&")) {
		c->operator= POLICY_MASKED;
		r = advance(p);
		if (r == 0)
			r = parse_value(p, &c->mask);
		if (r == 0)
			r = expect(p, "==");
		if (r == 0)
			r = add_value(p, c);
		if (r == 0 && (p->policy->values[c->values] & ~c->mask))
			r = fail(p, "the value has bits that the mask clears: it can never match");
		return r;
	}
	if (!is(p, "==") && !is(p, "!="))
		return unexpected(p, "==, !=, &, in or not in");
	c->operator= is(p, "==") ? POLICY_EQUAL : POLICY_NOT_EQUAL;
	r = advance(p);
	return r < 0 ? r : add_value(p, c);
}

static int parse_comparison(struct parser *p, bool alternative)
{
	struct policy *policy = p->policy;
	struct policy_comparison *c = &policy->comparisons[policy->n_comparisons];
	const char *digit = p->token + 3;
	bool whole = strncmp(p->token, "arg", 3) == 0;
	int r;

	if ((!whole && strncmp(p->token, "int", 3) != 0) || *digit < '0' || *digit > '5' || digit[1])
		return unexpected(p, "arg0 to arg5 or int0 to int5");
	if (policy->n_comparisons == POLICY_COMPARISONS_MAX)
		return fail(p, "more than %d comparisons in the policy", POLICY_COMPARISONS_MAX);
	*c = (struct policy_comparison){.alternative = alternative,
					.whole = whole,
					.argument = (unsigned)(*digit - '0'),
					.values = policy->n_values};
	policy->n_comparisons++;
	r = advance(p);
	return r < 0 ? r : parse_operator(p, c);
}

static int parse_condition(struct parser *p, struct policy_rule *rule)
{
	bool alternative = true;
	int r;

	rule->comparisons = p->policy->n_comparisons;
	for (;;) {
		r = parse_comparison(p, alternative);
		if (r < 0 || (!is(p, "&&") && !is(p, "||")))
			break;
		alternative = is(p, "||");
		r = advance(p);
		if (r < 0)
			break;
	}
	rule->n_comparisons = p->policy->n_comparisons - rule->comparisons;
	return r;
}

static int parse_action(struct parser *p, struct policy_rule *rule)
{
	uint64_t code = 0;
	int r;

	if (is(p, "allow")) {
		rule->action = SECCOMP_RET_ALLOW;
	} else if (is(p, "kill")) {
		rule->action = SECCOMP_RET_KILL_PROCESS;
	} else if (is(p, "errno")) {
		r = advance(p);
		if (r < 0)
			return r;
		if (p->token[0] != 'E' || !policy_constant(p->token, &code) || code > SECCOMP_RET_DATA)
			return unexpected(p, "the name of an error");
		rule->action = SECCOMP_RET_ERRNO | (uint32_t)code;
	} else {
		return unexpected(p, "allow, errno or kill");
	}
	return advance(p);
}

/* An earlier line of the same call that always applies makes this one dead. */
static int check_reachable(struct parser *p, int number, const char *name)
{
	for (unsigned i = 0; i < p->policy->n_rules; i++) {
		const struct policy_rule *earlier = &p->policy->rules[i];

		if (earlier->number == number && earlier->n_comparisons == 0)
			return fail(p, "%s is decided already in %s:%u", name, earlier->file, earlier->line);
	}
	return 0;
}

static int parse_rule(struct parser *p, bool reason)
{
	struct policy *policy = p->policy;
	struct policy_rule rule = {.reason = reason, .line = p->line};
	char name[WORD_MAX];
	int r;

	(void)str_copy(rule.file, sizeof(rule.file), p->file);
	(void)str_copy(name, sizeof(name), p->token);
	if (!word_byte(p->token[0]))
		return unexpected(p, "the name of a system call");
	if (!policy_call_number(name, &rule.number))
		return fail(p, "unknown system call \"%s\"", name);
	if (rule.number >= POLICY_NUMBERS_MAX || policy->n_rules == POLICY_RULES_MAX)
		return fail(p, "%s does not fit: call numbers and rules are limited to %d", name, POLICY_RULES_MAX);
	r = advance(p);
	if (r == 0)
		r = expect(p, ":");
	if (r == 0)
		r = parse_action(p, &rule);
	if (r == 0 && is(p, "if")) {
		r = advance(p);
		if (r == 0)
			r = parse_condition(p, &rule);
	}
	if (r == 0 && p->token[0])
		r = unexpected(p, "the end of the line");
	if (r == 0 && rule.number >= 0)
		r = check_reachable(p, rule.number, name);
	/* Negative: this architecture has no such call. */
	if (r == 0 && rule.number >= 0)
		policy->rules[policy->n_rules++] = rule;
	return r;
}

static int parse_text(struct parser *p, const char *text);

static int parse_include(struct parser *p)
{
	_cleanup_free_ char *text = NULL;
	struct parser inner = {.policy = p->policy, .dirfd = p->dirfd, .depth = p->depth + 1, .err = p->err};
	char file[WORD_MAX];
	size_t length;
	int r = advance(p);

	if (r < 0)
		return r;
	length = strlen(p->token);
	if (p->token[0] != '"' || length < 3)
		return unexpected(p, "a file name in quotes");
	memcpy(file, p->token + 1, length - 2);
	file[length - 2] = '\0';
	r = advance(p);
	if (r == 0 && p->token[0])
		r = unexpected(p, "the end of the line");
	if (r < 0)
		return r;
	if (p->dirfd == -1 || inner.depth > POLICY_INCLUDES_MAX)
		return fail(p, "%s is not included: %s", file,
			    p->dirfd == -1 ? "includes are off" : "too deep (does it include itself?)");
	if (file_read(p->dirfd, file, POLICY_TEXT_MAX, &text, p->err) < 0)
		return err_wrap(p->err, "%s:%u", p->file, p->line);
	inner.file = file;
	return parse_text(&inner, text);
}

static int parse_line(struct parser *p, const char *line, const char *end)
{
	const char *comment = memchr(line, '#', (size_t)(end - line));
	bool reason = false;
	int r;

	for (const char *c = comment; c && c < end; c++)
		reason |= isalnum((unsigned char)*c) != 0;
	p->at = line;
	p->end = comment ? comment : end;
	r = advance(p);
	if (r < 0 || !p->token[0])
		return r;
	return is(p, "include") ? parse_include(p) : parse_rule(p, reason);
}

static int parse_text(struct parser *p, const char *text)
{
	while (*text) {
		const char *end = strchrnul(text, '\n');
		int r;

		p->line++;
		r = parse_line(p, text, end);
		if (r < 0)
			return r;
		text = *end ? end + 1 : end;
	}
	return 0;
}

int policy_parse(struct policy *policy, const char *file, const char *text, int dirfd, struct err *err)
{
	struct err local = ERR_INIT;
	struct parser parser = {.policy = policy, .file = file, .dirfd = dirfd, .err = err ? err : &local};

	policy->n_rules = policy->n_comparisons = policy->n_values = 0;
	return parse_text(&parser, text);
}
