/*
 * Seccomp policies: text to a BPF filter. Used by the build tool policy_compile and by tests; nothing of it is linked
 * into a program that runs (programs include the generated $(BUILD)/gen/policy_NAME.h).
 *
 * A policy is lines:
 *
 *	# a comment, to the end of the line
 *	include "base.policy"                 another policy, relative to this file; at most 4 deep
 *	read: allow
 *	clone3: errno ENOSYS
 *	kexec_load: kill                      # the process
 *	socket: allow if int0 in {AF_UNIX, AF_INET}
 *	clone: allow if arg0 & CLONE_NEWUSER|CLONE_NEWNS == 0 && arg1 == 0 || arg0 == SIGCHLD
 *	ioctl: allow if int1 not in {TIOCSTI, TIOCLINUX}
 *
 * argN (N 0 to 5) is the whole 64-bit register, both halves are compared; intN is its low half, which is all that the
 * kernel looks at where a parameter is an int or unsigned int (a "!=" on the whole register would let any other upper
 * half through). Comparisons: ==, !=, & MASK == VALUE, in {…}, not in {…}. && binds stronger than ||. A value is a
 *number (decimal, 0x…) or a constant of the kernel's headers, several joined by |.
 *
 * The lines of one call are tried in order and the first that applies decides, so an including policy can add cases to
 * a call; nothing may follow a line without condition. The result for everything else:
 *	other architecture than the native one      the process is killed
 *	clone3, when no line names it               ENOSYS, so that the C library falls back to clone
 *	numbers above the highest known, x32        ENOSYS
 *	known and not listed, or no line applied    EPERM
 *
 * Names and numbers come from libseccomp. A call that libseccomp knows but this architecture lacks is skipped.
 *
 * The linter (policy_lint) refuses calls from its list of dangerous ones when they are allowed without a comment on
 * the line that says why, and, for untrusted programs, when they are allowed at all.
 *
 * No allocation: struct policy is large (give it static storage or malloc it) and owned by the caller.
 */
#ifndef FERRITE_POLICY_H
#define FERRITE_POLICY_H

#include "supervisor/err.h"

#include <linux/filter.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define POLICY_RULES_MAX	1024
#define POLICY_COMPARISONS_MAX	1024
#define POLICY_VALUES_MAX	2048
#define POLICY_NUMBERS_MAX	1024 /* call numbers that a policy can name are below */
#define POLICY_TEXT_MAX		(256 * 1024)
#define POLICY_INSTRUCTIONS_MAX BPF_MAXINSNS
#define POLICY_INCLUDES_MAX	4

enum policy_operator { POLICY_EQUAL, POLICY_NOT_EQUAL, POLICY_MASKED, POLICY_IN, POLICY_NOT_IN };

struct policy_comparison {
	enum policy_operator operator;
	bool alternative; /* begins a new alternative (stands after "||" or first) */
	bool whole;	  /* argN; else intN */
	unsigned argument;
	uint64_t mask;		   /* POLICY_MASKED */
	unsigned values, n_values; /* in policy->values */
};

struct policy_rule {
	int number;
	uint32_t action;		     /* SECCOMP_RET_… */
	unsigned comparisons, n_comparisons; /* none: applies always */
	bool reason;			     /* a comment stands on the line */
	unsigned line;
	char file[64];
};

struct policy {
	unsigned n_rules, n_comparisons, n_values;
	struct policy_rule rules[POLICY_RULES_MAX];
	struct policy_comparison comparisons[POLICY_COMPARISONS_MAX];
	uint64_t values[POLICY_VALUES_MAX];
};

struct policy_program {
	unsigned n_instructions;
	unsigned n_ranges; /* of call numbers with one verdict each */
	struct sock_filter instructions[POLICY_INSTRUCTIONS_MAX];
};

/* --- names (policy_names.c) --- */

/* The number of call NAME; negative when this architecture lacks it; false when nobody knows the name. */
bool policy_call_number(const char *name, int *ret_number);

/* The name of call NUMBER, for messages; copies "?" when it has none. */
void policy_call_name(int number, char *buffer, size_t size);

/* The highest call number that libseccomp knows. */
int policy_highest_known(void);

/* A constant of the kernel's headers by name. */
bool policy_constant(const char *name, uint64_t *ret_value);

/* --- text (policy_parse.c) --- */

/*
 * Reads TEXT (terminated; FILE is its name for messages) into a fresh policy. Includes are looked for below DIRFD; -1
 * refuses them. Errors name file, line and the nearest known word.
 */
int policy_parse(struct policy *policy, const char *file, const char *text, int dirfd, struct err *err);

/* --- checks (policy_lint.c) --- */

/* -EPERM names the first line that allows something dangerous without a reason, or at all when UNTRUSTED. */
int policy_lint(const struct policy *policy, bool untrusted, struct err *err);

/* --- code (policy_emit.c) --- */

/* Compiles for the native architecture. -E2BIG: longer than the kernel takes. */
int policy_emit(const struct policy *policy, struct policy_program *ret_program, struct err *err);

#endif
