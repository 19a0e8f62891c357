/*
 * The policy compiler: text that must be refused, and compiled filters against two oracles: a plain evaluation of the
 * parsed rules, and libseccomp's own filter for the same rules. Both run in a small BPF interpreter; a few calls are
 * also made in the real kernel.
 */
#include "supervisor/policy.h"
#include "supervisor/util.h"

#include <fcntl.h>
#include <linux/audit.h>
#include <linux/netlink.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "tests/unit/main.h"

#define NUMBER_LAST (POLICY_NUMBERS_MAX - 1)
#define DENIED	    (SECCOMP_RET_ERRNO | EPERM)
#define UNKNOWN	    (SECCOMP_RET_ERRNO | ENOSYS)

/* Classic BPF as far as seccomp filters use it. */
static uint32_t interpret(const struct sock_filter *code, unsigned length, const struct seccomp_data *data)
{
	uint32_t a = 0;

	for (unsigned pc = 0; pc < length; pc++) {
		const struct sock_filter *f = &code[pc];
		bool yes = false;

		switch (f->code) {
		case BPF_LD | BPF_W | BPF_ABS:
			ck_assert_uint_le(f->k, sizeof(*data) - 4);
			memcpy(&a, (const char *)data + f->k, 4);
			continue;
		case BPF_ALU | BPF_AND | BPF_K:
			a &= f->k;
			continue;
		case BPF_RET | BPF_K:
			return f->k;
		case BPF_JMP | BPF_JA:
			pc += f->k;
			continue;
		case BPF_JMP | BPF_JEQ | BPF_K:
			yes = a == f->k;
			break;
		case BPF_JMP | BPF_JGE | BPF_K:
			yes = a >= f->k;
			break;
		case BPF_JMP | BPF_JGT | BPF_K:
			yes = a > f->k;
			break;
		default:
			ck_abort_msg("instruction %u has code 0x%x", pc, f->code);
		}
		pc += yes ? f->jt : f->jf;
	}
	ck_abort_msg("the filter ends without a verdict");
	return 0;
}

static bool in_set(const struct policy *p, const struct policy_comparison *c, uint64_t value)
{
	for (unsigned i = 0; i < c->n_values; i++)
		if (p->values[c->values + i] == value)
			return true;
	return false;
}

static bool holds(const struct policy *p, const struct policy_comparison *c, const struct seccomp_data *data)
{
	uint64_t argument = c->whole ? data->args[c->argument] : (uint32_t)data->args[c->argument];
	uint64_t mask = c->whole ? c->mask : (uint32_t)c->mask;

	if (c->operator== POLICY_MASKED)
		return (argument & mask) == p->values[c->values];
	return in_set(p, c, argument) == (c->operator== POLICY_EQUAL || c->operator== POLICY_IN);
}

static bool applies(const struct policy *p, const struct policy_rule *rule, const struct seccomp_data *data)
{
	bool matched = false;

	if (rule->n_comparisons == 0)
		return true;
	for (unsigned i = 0; i < rule->n_comparisons; i++) {
		const struct policy_comparison *c = &p->comparisons[rule->comparisons + i];

		if (c->alternative && matched)
			return true;
		matched = (c->alternative || matched) && holds(p, c, data);
	}
	return matched;
}

/* What the rules say, without ranges, trees and jumps. */
static uint32_t evaluate(const struct policy *p, const struct seccomp_data *data)
{
	bool listed = false;

	if (data->arch != seccomp_arch_native())
		return SECCOMP_RET_KILL_PROCESS;
	for (unsigned i = 0; i < p->n_rules; i++)
		if (p->rules[i].number == data->nr) {
			listed = true;
			if (applies(p, &p->rules[i], data))
				return p->rules[i].action;
		}
	if (listed)
		return DENIED;
	return (unsigned)data->nr > (unsigned)policy_highest_known() || data->nr == SYS_clone3 ? UNKNOWN : DENIED;
}

static struct policy policy;
static struct policy_program program;
static const char *subject = "text";

static void build(const char *text)
{
	struct err err = ERR_INIT;

	ck_assert_msg(policy_parse(&policy, "test", text, -1, &err) == 0, "%s", err.text);
	ck_assert_msg(policy_emit(&policy, &program, &err) == 0, "%s", err.text);
}

static void build_file(const char *directory, const char *file)
{
	struct err err = ERR_INIT;
	_cleanup_free_ char *text = NULL;
	_cleanup_fd_ int dirfd = open(directory, O_PATH | O_CLOEXEC);

	subject = file;
	ck_assert_int_ge(dirfd, 0);
	ck_assert_msg(file_read(dirfd, file, POLICY_TEXT_MAX, &text, &err) >= 0, "%s", err.text);
	ck_assert_msg(policy_parse(&policy, file, text, dirfd, &err) == 0, "%s", err.text);
	ck_assert_msg(policy_emit(&policy, &program, &err) == 0, "%s", err.text);
}

static uint64_t random_state = 88172645463325252u;

static uint64_t random_next(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state;
}

/* An argument near a value or mask that some rule of the policy names, with the upper half sometimes disturbed. */
static uint64_t random_argument(void)
{
	uint64_t value = random_next();

	if (policy.n_values > 0 && random_next() % 4) {
		value = policy.values[random_next() % policy.n_values];
		if (random_next() % 4 == 0)
			value += random_next() % 3 - 1;
		if (random_next() % 8 == 0)
			value |= random_next() << 32;
	} else if (policy.n_comparisons > 0 && random_next() % 2) {
		value &= policy.comparisons[random_next() % policy.n_comparisons].mask;
	}
	return value;
}

static struct seccomp_data random_call(int number)
{
	struct seccomp_data data = {.nr = number, .arch = seccomp_arch_native()};

	for (unsigned i = 0; i < 6; i++)
		data.args[i] = random_argument();
	return data;
}

static void compare_one(struct seccomp_data *data, const struct sock_filter *other, unsigned other_length)
{
	uint32_t got, wanted;

	/* Rules on low halves are given to libseccomp as rules on whole registers. */
	for (unsigned i = 0; other && i < ARRAY_LEN(data->args); i++)
		data->args[i] = (uint32_t)data->args[i];
	got = interpret(program.instructions, program.n_instructions, data);
	wanted = other ? interpret(other, other_length, data) : evaluate(&policy, data);
	ck_assert_msg(got == wanted, "%s: call %d(0x%llx, 0x%llx, 0x%llx) arch 0x%x: filter 0x%x, oracle 0x%x", subject,
		      data->nr, (unsigned long long)data->args[0], (unsigned long long)data->args[1],
		      (unsigned long long)data->args[2], data->arch, got, wanted);
}

static void compare_all(void)
{
	static const uint32_t arches[] = {AUDIT_ARCH_X86_64, AUDIT_ARCH_I386, AUDIT_ARCH_AARCH64, AUDIT_ARCH_ARM, 0};

	for (int number = 0; number <= NUMBER_LAST; number++)
		for (int i = 0; i < 200; i++) {
			struct seccomp_data data = random_call(number);

			compare_one(&data, NULL, 0);
		}
	for (int i = 0; i < 20000; i++) {
		struct seccomp_data data = random_call((int)(random_next() % (1u << 31)));

		data.arch = arches[random_next() % ARRAY_LEN(arches)];
		compare_one(&data, NULL, 0);
		data.nr %= 600;
		compare_one(&data, NULL, 0);
	}
}

static const char *const our_policies[][2] = {
	{"supervisor/policy", "base.policy"},	 {"supervisor/policy", "api.policy"},
	{"supervisor/policy", "rootfs.policy"},	 {"supervisor/policy", "gpu.policy"},
	{"supervisor/policy", "sandbox.policy"}, {"sandbox/policy", "function.policy"},
};

static const char tricky[] =
	"read: allow\n"
	"write: allow if arg0 == 1 && arg1 == 0x100000002 || arg0 == 0xffffffffffffffff\n"
	"open: errno EXDEV if int1 == 7\n"
	"open: allow if arg2 & 0xf0000000f == 0x300000001\n"
	"open: kill\n"
	"close: allow if int0 not in {1, 2, 3}\n"
	"stat: allow if arg0 in {0x100000001, 0x100000002} && int5 in {9, 8, 7} || int3 != 4 && arg4 != 5\n"
	"fstat: allow if int0 & 3 == 1\n"
	"fstat: errno ENOENT if arg1 == 0\n"
	"mseal: allow\n"
	"clone3: errno ENOMEM\n"
	"lstat: kill if arg0 == 1 || arg0 == 2 || arg0 == 3 && arg1 == 4 && arg2 == 5 || arg3 == 6\n";

START_TEST(filters_do_what_the_rules_say)
{
	build(tricky);
	compare_all();
	build("");
	compare_all();
	for (size_t i = 0; i < ARRAY_LEN(our_policies); i++) {
		build_file(our_policies[i][0], our_policies[i][1]);
		ck_assert_uint_le(program.n_instructions, 400);
		compare_all();
	}
}
END_TEST

/* libseccomp has no sets: one of its rules per combination of values. */
static void add_alternative(scmp_filter_ctx ctx, const struct policy_rule *rule, const struct policy_comparison *c,
			    unsigned n, struct scmp_arg_cmp *compare, unsigned at)
{
	if (at == n) {
		int r = seccomp_rule_add_array(ctx, SCMP_ACT_ALLOW, rule->number, n, compare);

		ck_assert_msg(r == 0 || r == -EEXIST, "libseccomp refuses a rule for call %d: %d", rule->number, r);
		return;
	}
	for (unsigned i = 0; i < c[at].n_values; i++) {
		uint64_t value = policy.values[c[at].values + i];

		if (c[at].operator== POLICY_MASKED)
			compare[at] = SCMP_CMP(c[at].argument, SCMP_CMP_MASKED_EQ, c[at].mask, value);
		else
			compare[at] = SCMP_CMP(c[at].argument, SCMP_CMP_EQ, value, 0);
		add_alternative(ctx, rule, c, n, compare, at + 1);
	}
}

static void add_rule(scmp_filter_ctx ctx, const struct policy_rule *rule)
{
	const struct policy_comparison *c = &policy.comparisons[rule->comparisons];
	struct scmp_arg_cmp compare[6];

	/* The default cannot be added as a rule. */
	if (rule->n_comparisons == 0 && rule->action != DENIED)
		ck_assert_int_eq(seccomp_rule_add(ctx, rule->action, rule->number, 0), 0);
	for (unsigned start = 0, end; start < rule->n_comparisons; start = end) {
		for (end = start + 1; end < rule->n_comparisons && !c[end].alternative; end++)
			;
		add_alternative(ctx, rule, c + start, end - start, compare, 0);
	}
}

enum shape { ALWAYS, CONDITIONAL, NO_SHAPE };

/*
 * libseccomp has no rule with several "!=" on one argument, and no order among the rules of a call: such calls have
 * only the other oracle.
 */
static enum shape shape_of(int number)
{
	enum shape shape = ALWAYS;
	unsigned rules = 0, refusals = 0;

	for (unsigned i = 0; i < policy.n_rules; i++) {
		rules += policy.rules[i].number == number;
		refusals += policy.rules[i].number == number && policy.rules[i].action != SECCOMP_RET_ALLOW;
	}
	if (refusals > 0 && rules > 1)
		return NO_SHAPE;
	for (unsigned i = 0; i < policy.n_rules; i++)
		for (unsigned c = 0; policy.rules[i].number == number && c < policy.rules[i].n_comparisons; c++) {
			enum policy_operator o = policy.comparisons[policy.rules[i].comparisons + c].operator;

			if (o == POLICY_NOT_EQUAL || o == POLICY_NOT_IN)
				return NO_SHAPE;
			shape = CONDITIONAL;
		}
	return shape;
}

/*
 * The filter that libseccomp makes for the calls without conditions (ONLY -1) or for one call. One at a time, because
 * libseccomp 2.5 shares code between conditions of different calls that expect different registers to be loaded, and
 * then lets more through than it was told.
 */
static unsigned libseccomp_filter(int only, struct sock_filter *filter, size_t room)
{
	scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ERRNO(EPERM));
	_cleanup_fd_ int fd = memfd_create("filter", MFD_CLOEXEC);
	bool listed[POLICY_NUMBERS_MAX] = {false};
	ssize_t n;

	ck_assert_int_eq(seccomp_attr_set(ctx, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS), 0);
	for (unsigned i = 0; i < policy.n_rules; i++) {
		int number = policy.rules[i].number;

		listed[number] = true;
		if (number == only || (only == -1 && shape_of(number) == ALWAYS))
			add_rule(ctx, &policy.rules[i]);
	}
	for (int number = 0; number <= NUMBER_LAST; number++)
		if (!listed[number] && (number > policy_highest_known() || number == SYS_clone3))
			ck_assert_int_eq(seccomp_rule_add(ctx, SCMP_ACT_ERRNO(ENOSYS), number, 0), 0);
	ck_assert_int_eq(seccomp_export_bpf(ctx, fd), 0);
	seccomp_release(ctx);
	n = pread(fd, filter, room * sizeof(*filter), 0);
	ck_assert_int_gt(n, 0);
	return (unsigned)((size_t)n / sizeof(*filter));
}

START_TEST(sec_C1_C9_filters_agree_with_libseccomp)
{
	static struct sock_filter always[8192], one[8192];

	for (size_t i = 0; i < ARRAY_LEN(our_policies); i++) {
		unsigned always_length, conditional = 0;

		build_file(our_policies[i][0], our_policies[i][1]);
		always_length = libseccomp_filter(-1, always, ARRAY_LEN(always));
		for (int number = 0; number <= NUMBER_LAST; number++) {
			enum shape shape = shape_of(number);
			unsigned length = shape == CONDITIONAL ? libseccomp_filter(number, one, ARRAY_LEN(one)) : 0;

			conditional += shape == CONDITIONAL;
			for (int k = 0; k < (shape == CONDITIONAL ? 3000 : 30) && shape != NO_SHAPE; k++) {
				struct seccomp_data data = random_call(number);

				if (k % 8 == 0)
					data.arch = AUDIT_ARCH_I386;
				compare_one(&data, length ? one : always, length ? length : always_length);
			}
		}
		ck_assert_uint_ge(conditional, 3);
	}
}
END_TEST

/* Filters add up: what ferrite-sandbox may not call, no container may. */
START_TEST(the_sandbox_may_do_what_containers_may)
{
	static struct policy_program sandbox;

	build_file("supervisor/policy", "sandbox.policy");
	sandbox = program;
	/* Last, so that the arguments lie around its values. */
	build_file("sandbox/policy", "function.policy");
	for (int number = 0; number <= NUMBER_LAST; number++)
		for (int i = 0; i < 2000; i++) {
			struct seccomp_data data = random_call(number);

			if (interpret(program.instructions, program.n_instructions, &data) != SECCOMP_RET_ALLOW)
				continue;
			ck_assert_msg(
				interpret(sandbox.instructions, sandbox.n_instructions, &data) == SECCOMP_RET_ALLOW,
				"a container may call %d(0x%llx, 0x%llx), but ferrite-sandbox's filter refuses it",
				number, (unsigned long long)data.args[0], (unsigned long long)data.args[1]);
		}
}
END_TEST

/* Whoever takes over the one program with privileges should find nothing that it does not use itself. */
START_TEST(sec_B5_the_sandbox_keeps_to_what_it_uses)
{
	const struct {
		const char *name;
		uint64_t arguments[3];
		uint32_t wanted;
	} rows[] = {
		{"setns", {0}, DENIED},
		{"chroot", {0}, DENIED},
		{"setdomainname", {0}, DENIED},
		{"name_to_handle_at", {0}, DENIED},
		{"open_by_handle_at", {0}, DENIED},
		{"init_module", {0}, DENIED},
		{"finit_module", {0}, DENIED},
		{"kexec_load", {0}, DENIED},
		{"ptrace", {0}, DENIED},
		{"process_vm_readv", {0}, DENIED},
		{"pidfd_getfd", {0}, DENIED},
		{"reboot", {0}, DENIED},
		{"swapon", {0}, DENIED},
		{"settimeofday", {0}, DENIED},
		{"perf_event_open", {0}, DENIED},
		{"io_uring_setup", {0}, DENIED},
		{"migrate_pages", {0}, DENIED},
		{"move_pages", {0}, DENIED},
		{"unshare", {CLONE_NEWCGROUP}, SECCOMP_RET_ALLOW},
		{"unshare", {CLONE_NEWUSER}, DENIED},
		{"unshare", {CLONE_NEWNS}, DENIED},
		{"bpf", {5 /* BPF_PROG_LOAD */}, SECCOMP_RET_ALLOW},
		{"bpf", {0 /* BPF_MAP_CREATE */}, DENIED},
		{"bpf", {13 /* BPF_PROG_GET_FD_BY_ID */}, DENIED},
		{"keyctl", {1}, SECCOMP_RET_ALLOW},
		{"keyctl", {2}, DENIED},
		{"socket", {AF_NETLINK, SOCK_RAW, NETLINK_ROUTE}, SECCOMP_RET_ALLOW},
		{"socket", {AF_NETLINK, SOCK_RAW, NETLINK_AUDIT}, DENIED},
		{"socket", {AF_PACKET, SOCK_RAW}, DENIED},
	};

	build_file("supervisor/policy", "sandbox.policy");
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct seccomp_data data = {.nr = seccomp_syscall_resolve_name(rows[i].name),
					    .arch = AUDIT_ARCH_X86_64};
		uint32_t got;

		memcpy(data.args, rows[i].arguments, sizeof(rows[i].arguments));
		got = interpret(program.instructions, program.n_instructions, &data);
		ck_assert_msg(got == rows[i].wanted, "row %zu, %s: %#x, wanted %#x", i, rows[i].name, got,
			      rows[i].wanted);
	}
}
END_TEST

START_TEST(sec_C2_x32_numbers_do_not_exist)
{
	build_file("supervisor/policy", "sandbox.policy");
	for (int number = 0; number <= NUMBER_LAST; number++) {
		struct seccomp_data data = random_call(number | 0x40000000);

		ck_assert_uint_eq(interpret(program.instructions, program.n_instructions, &data), UNKNOWN);
		data.nr = -1;
		ck_assert_uint_eq(interpret(program.instructions, program.n_instructions, &data), UNKNOWN);
	}
}
END_TEST

/* Code that is larger than what a conditional jump spans. */
START_TEST(far_jumps_arrive)
{
	static char text[32 * 1024];
	size_t used = 0;

	for (int number = 0; number < 300; number += 2) {
		char name[64];

		policy_call_name(number, name, sizeof(name));
		if (strcmp(name, "?") != 0)
			used += (size_t)snprintf(text + used, sizeof(text) - used,
						 "%s: allow if arg0 in {%d, %d, %d} && arg3 == %d\n", name, number,
						 number + 7, number + 20, number);
	}
	build(text);
	ck_assert_uint_gt(program.n_instructions, 1000);
	compare_all();
}
END_TEST

START_TEST(bad_policies_are_named)
{
	static const char *const bad[][2] = {
		{"read", "test:1: expected :, found the end"},
		{"\n\nraed: allow", "test:3: unknown system call \"raed\""},
		{"read: permit", "expected allow, errno or kill, found \"permit\""},
		{"read: errno EFOO", "expected the name of an error, found \"EFOO\""},
		{"read: errno 5", "expected the name of an error"},
		{"read: allow allow", "expected the end of the line"},
		{"read: allow\nread: allow", "test:2: read is decided already in test:1"},
		{"read: allow\nread: errno EIO if arg0 == 1", "decided already"},
		{"read: allow if", "expected arg0 to arg5 or int0 to int5, found the end"},
		{"read: allow if arg6 == 1", "found \"arg6\""},
		{"read: allow if arg1 = 1", "expected ==, !=, &, in or not in"},
		{"read: allow if arg1 == FOO", "unknown constant \"FOO\""},
		{"read: allow if arg1 == 1x", "no number"},
		{"read: allow if arg1 == 99999999999999999999999", "no number"},
		{"read: allow if arg1 in {}", "expected a number or a constant"},
		{"read: allow if arg1 in {1, 2", "expected }, found the end"},
		{"read: allow if arg1 in {1, 0x100000000}", "same upper half"},
		{"read: allow if arg1 & 2 == 1", "can never match"},
		{"read: allow if arg1 == (1|2", "expected ), found the end"},
		{"read: allow if arg1 == 1 &&", "found the end"},
		{"read: allow if arg1 == 1 & 2", "expected the end of the line"},
		{"include \"base.policy\"", "includes are off"},
		{"include base", "a file name in quotes"},
		{"include \"x", "not closed"},
		{"\x01: allow", "found \"\\x01\""},
		{"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa: allow", "longer than"},
	};

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct err err = ERR_INIT;

		ck_assert_msg(policy_parse(&policy, "test", bad[i][0], -1, &err) < 0, "accepted \"%s\"", bad[i][0]);
		ck_assert_msg(strstr(err.text, bad[i][1]), "\"%s\" gives \"%s\", expected \"%s\"", bad[i][0], err.text,
			      bad[i][1]);
	}
}
END_TEST

START_TEST(too_long_is_refused)
{
	static char text[64 * 1024];
	struct err err = ERR_INIT;
	size_t used = (size_t)snprintf(text, sizeof(text), "read: allow if int0 in {0");

	for (int i = 1; i < 300; i++)
		used += (size_t)snprintf(text + used, sizeof(text) - used, ", %d", i);
	(void)snprintf(text + used, sizeof(text) - used, "}\n");
	ck_assert_int_eq(policy_parse(&policy, "test", text, -1, &err), 0);
	ck_assert_int_eq(policy_emit(&policy, &program, &err), -E2BIG);
	used = 0;
	for (int i = 0; i < 1100; i++)
		used += (size_t)snprintf(text + used, sizeof(text) - used, "read: allow if int0 == %d\n", i);
	ck_assert_int_lt(policy_parse(&policy, "test", text, -1, &err), 0);
	ck_assert_msg(strstr(err.text, "test:1025"), "%s", err.text);
}
END_TEST

static bool lints(const char *text, bool untrusted)
{
	struct err err = ERR_INIT;

	ck_assert_msg(policy_parse(&policy, "test", text, -1, &err) == 0, "%s", err.text);
	return policy_lint(&policy, untrusted, &err) == 0;
}

START_TEST(sec_C7_lint_wants_reasons)
{
	ck_assert(!lints("mount: allow", false));
	ck_assert(!lints("mount: allow #", false));
	ck_assert(!lints("mount: allow if arg0 == 1", false));
	ck_assert(lints("mount: allow # containers are made of mounts", false));
	ck_assert(!lints("mount: allow # containers are made of mounts", true));
	ck_assert(lints("mount: errno EACCES", true));
	ck_assert(!lints("clone: allow", true));
	ck_assert(lints("clone: allow if arg0 & CLONE_NEWUSER == 0", true));
	ck_assert(!lints("mbind: allow", true));
	ck_assert(lints("mbind: allow # asked for", true));
	ck_assert(!lints("read: allow if arg0 != 1", false));
	ck_assert(!lints("read: allow if arg0 not in {1}", false));
	ck_assert(lints("read: allow if int0 != 1", false));
}
END_TEST

/* Runs ACTION under the filter in a child; its exit status or -signal. */
static int under_filter(int (*action)(void))
{
	struct sock_fprog filter = {(unsigned short)program.n_instructions, program.instructions};
	pid_t child = fork();
	int status;

	ck_assert_int_ge(child, 0);
	if (child == 0) {
		if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
		    syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &filter) < 0)
			_exit(99);
		_exit(action());
	}
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static int kernel_answers(void)
{
	if (getppid() <= 0)
		return 1;
	if (syscall(SYS_mount, 0, 0, 0, 0, 0) != -1 || errno != EPERM)
		return 2;
	if (syscall(SYS_clone3, 0, 0) != -1 || errno != ENOSYS)
		return 3;
	if (syscall(600) != -1 || errno != ENOSYS)
		return 4;
	if (syscall(SYS_socket, AF_UNIX, SOCK_STREAM, 0) < 0)
		return 5;
	if (syscall(SYS_socket, AF_INET, SOCK_STREAM, 0) != -1 || errno != EPERM)
		return 6;
	/* The upper half of an int parameter does not count, for the kernel and so for the filter. */
	if (syscall(SYS_ioctl, 0, 0x100000000ul | 0x5412 /* TIOCSTI */, 0) != -1 || errno != EPERM)
		return 7;
	return 0;
}

#ifdef __x86_64__
static int call_i386(void)
{
	long result;

	__asm__ volatile("int $0x80" : "=a"(result) : "a"(20) : "memory");
	return 1;
}

static int call_x32(void)
{
	return syscall(0x40000000 | SYS_getpid) == -1 && errno == ENOSYS ? 0 : 1;
}
#endif

START_TEST(the_kernel_agrees)
{
	build_file("supervisor/policy", "base.policy");
	ck_assert_int_eq(under_filter(kernel_answers), 0);
#ifdef __x86_64__
	ck_assert_int_eq(under_filter(call_i386), -SIGSYS);
	ck_assert_int_eq(under_filter(call_x32), 0);
#endif
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("policy");
	TCase *tests = tcase_create("policy");

	tcase_set_timeout(tests, 120);
	tcase_add_test(tests, filters_do_what_the_rules_say);
	tcase_add_test(tests, sec_C1_C9_filters_agree_with_libseccomp);
	tcase_add_test(tests, the_sandbox_may_do_what_containers_may);
	tcase_add_test(tests, sec_B5_the_sandbox_keeps_to_what_it_uses);
	tcase_add_test(tests, sec_C2_x32_numbers_do_not_exist);
	tcase_add_test(tests, far_jumps_arrive);
	tcase_add_test(tests, bad_policies_are_named);
	tcase_add_test(tests, too_long_is_refused);
	tcase_add_test(tests, sec_C7_lint_wants_reasons);
	tcase_add_test(tests, the_kernel_agrees);
	suite_add_tcase(suite, tests);
	return suite;
}
