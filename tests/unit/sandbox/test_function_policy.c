/*
 * The compiled policy of functions against its text, read a second way: every number by an interpreter of the filter,
 * names by libseccomp.
 */
#include "policy_function.h"
#include "supervisor/util.h"

#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "tests/unit/main.h"

#define POLICY	    "sandbox/policy/function.policy"
#define NUMBERS	    1024
#define ERROR(code) (SECCOMP_RET_ERRNO | (code))

static uint32_t run_filter(const struct seccomp_data *data)
{
	uint32_t a = 0;

	for (unsigned at = 0; at < ARRAY_LEN(policy_function); at++) {
		const struct sock_filter *f = &policy_function[at];

		switch (f->code) {
		case BPF_LD | BPF_W | BPF_ABS:
			ck_assert_uint_le(f->k + 4, sizeof(*data));
			memcpy(&a, (const char *)data + f->k, 4);
			break;
		case BPF_ALU | BPF_AND | BPF_K:
			a &= f->k;
			break;
		case BPF_JMP | BPF_JA:
			at += f->k;
			break;
		case BPF_JMP | BPF_JEQ | BPF_K:
			at += a == f->k ? f->jt : f->jf;
			break;
		case BPF_JMP | BPF_JGE | BPF_K:
			at += a >= f->k ? f->jt : f->jf;
			break;
		case BPF_JMP | BPF_JGT | BPF_K:
			at += a > f->k ? f->jt : f->jf;
			break;
		case BPF_JMP | BPF_JSET | BPF_K:
			at += a & f->k ? f->jt : f->jf;
			break;
		case BPF_RET | BPF_K:
			return f->k;
		default:
			ck_abort_msg("instruction %#x at %u", f->code, at);
		}
	}
	ck_abort_msg("the filter runs over its end");
	return 0;
}

static uint32_t judge(const char *name, const uint64_t arguments[6])
{
	struct seccomp_data data = {.nr = seccomp_syscall_resolve_name(name), .arch = AUDIT_ARCH_X86_64};

	ck_assert_int_ge(data.nr, 0);
	memcpy(data.args, arguments, 6 * sizeof(uint64_t));
	return run_filter(&data);
}

/* Calls that are younger than Debian 12's libseccomp. */
static const struct {
	const char *name;
	int number;
} younger[] = {
	{"cachestat", 451},	{"fchmodat2", 452}, {"map_shadow_stack", 453}, {"futex_wake", 454}, {"futex_wait", 455},
	{"futex_requeue", 456}, {"mseal", 462},
};

static int number_of(const char *name)
{
	for (unsigned i = 0; i < ARRAY_LEN(younger); i++)
		if (strcmp(younger[i].name, name) == 0)
			return younger[i].number;
	return seccomp_syscall_resolve_name(name);
}

/* Marks the numbers of lines "name: allow"; of lines with a condition as undecided. */
static void read_text(int8_t listed[NUMBERS])
{
	_cleanup_free_ char *text = NULL;
	struct err err = ERR_INIT;
	char *rest = NULL;

	ck_assert_msg(file_read(AT_FDCWD, POLICY, 65536, &text, &err) > 0, "%s (run from the top folder)", err.text);
	for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
		char name[64], action[64] = "";
		char condition[8] = "";
		int number;

		if (line[0] == '#' || sscanf(line, "%63[a-z0-9_]: %63s %7s", name, action, condition) < 2)
			continue;
		number = number_of(name);
		ck_assert_msg(number >= 0 && number < NUMBERS, "%s", name);
		listed[number] = strcmp(action, "allow") == 0 && strcmp(condition, "if") != 0 ? 1 : -1;
	}
}

START_TEST(sec_C1_every_number_is_as_written)
{
	static int8_t listed[NUMBERS];
	unsigned allowed = 0;

	read_text(listed);
	for (int number = 0; number < NUMBERS; number++) {
		struct seccomp_data data = {.nr = number, .arch = AUDIT_ARCH_X86_64};
		_cleanup_free_ char *name = seccomp_syscall_resolve_num_arch(SCMP_ARCH_X86_64, number);
		uint32_t result = run_filter(&data);

		allowed += listed[number] == 1;
		if (listed[number] == 1)
			ck_assert_msg(result == SECCOMP_RET_ALLOW, "%s: %#x", name, result);
		else if (listed[number] == 0 && name)
			ck_assert_msg(result == ERROR(EPERM), "%s: %#x", name, result);
		else if (listed[number] == 0)
			ck_assert_msg(result == ERROR(ENOSYS) || result == ERROR(EPERM), "%d: %#x", number, result);
		if (number > 600)
			ck_assert_uint_eq(result, ERROR(ENOSYS));
	}
	ck_assert_uint_gt(allowed, 250);
}
END_TEST

START_TEST(sec_C2_other_architectures_get_nothing)
{
	static const uint32_t others[] = {AUDIT_ARCH_I386, AUDIT_ARCH_AARCH64, AUDIT_ARCH_ARM, 0};

	for (unsigned i = 0; i < ARRAY_LEN(others); i++)
		for (int number = 0; number < NUMBERS; number++) {
			struct seccomp_data data = {.nr = number, .arch = others[i]};

			ck_assert_uint_eq(run_filter(&data), SECCOMP_RET_KILL_PROCESS);
		}
	for (int number = 0; number < NUMBERS; number++) {
		struct seccomp_data data = {.nr = number | 0x40000000, .arch = AUDIT_ARCH_X86_64};

		ck_assert_uint_eq(run_filter(&data), ERROR(ENOSYS));
	}
}
END_TEST

START_TEST(sec_C1_arguments_decide)
{
	const uint64_t high = 1ull << 32;
	const struct {
		const char *name;
		uint64_t arguments[6];
		uint32_t wanted;
	} rows[] = {
		{"clone", {SIGCHLD}, SECCOMP_RET_ALLOW},
		{"clone", {CLONE_VM | CLONE_THREAD | CLONE_SIGHAND}, SECCOMP_RET_ALLOW},
		{"clone", {SIGCHLD | CLONE_NEWUSER}, ERROR(EPERM)},
		{"clone", {CLONE_NEWNS | CLONE_VM}, ERROR(EPERM)},
		{"clone", {CLONE_NEWNET | high}, ERROR(EPERM)},
		{"clone", {CLONE_NEWCGROUP}, ERROR(EPERM)},
		{"clone3", {0}, ERROR(ENOSYS)},
		{"socket", {AF_UNIX, SOCK_STREAM}, SECCOMP_RET_ALLOW},
		{"socket", {AF_UNIX, SOCK_SEQPACKET, AF_UNIX}, SECCOMP_RET_ALLOW},
		{"socket", {AF_UNIX, SOCK_STREAM, 2}, ERROR(EPROTONOSUPPORT)},
		{"socket", {AF_INET, SOCK_STREAM}, SECCOMP_RET_ALLOW},
		{"socket", {AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_TCP}, SECCOMP_RET_ALLOW},
		{"socket", {AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, IPPROTO_UDP}, SECCOMP_RET_ALLOW},
		{"socket", {AF_INET6, SOCK_STREAM, IPPROTO_UDP}, ERROR(EPROTONOSUPPORT)},
		{"socket", {AF_INET, SOCK_DGRAM, IPPROTO_ICMP}, ERROR(EPROTONOSUPPORT)},
		{"socket", {AF_INET6, SOCK_DGRAM, IPPROTO_ICMPV6}, ERROR(EPROTONOSUPPORT)},
		{"socket", {AF_INET, SOCK_STREAM, 262 /* MPTCP */}, ERROR(EPROTONOSUPPORT)},
		{"socket", {AF_INET, SOCK_STREAM, 256 /* SMC */}, ERROR(EPROTONOSUPPORT)},
		{"socket", {AF_INET, SOCK_SEQPACKET, IPPROTO_SCTP}, ERROR(EPROTONOSUPPORT)},
		{"socket", {AF_INET, SOCK_DGRAM, IPPROTO_UDPLITE}, ERROR(EPROTONOSUPPORT)},
		{"socket", {AF_INET, SOCK_DCCP, IPPROTO_DCCP}, ERROR(EPROTONOSUPPORT)},
		{"socket", {AF_INET, SOCK_RAW, IPPROTO_TCP}, ERROR(EPROTONOSUPPORT)},
		{"socket", {AF_INET6, SOCK_STREAM | high, IPPROTO_TCP | high}, SECCOMP_RET_ALLOW},
		{"mmap", {0, 4096, 3, MAP_PRIVATE | MAP_ANONYMOUS}, SECCOMP_RET_ALLOW},
		{"mmap", {0, 1 << 21, 3, MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB}, ERROR(ENOMEM)},
		{"mmap", {0, 1 << 21, 3, MAP_SHARED | MAP_HUGETLB | 30u << MAP_HUGE_SHIFT}, ERROR(ENOMEM)},
		{"memfd_create", {0, MFD_CLOEXEC | MFD_ALLOW_SEALING}, SECCOMP_RET_ALLOW},
		{"memfd_create", {0, MFD_CLOEXEC | MFD_HUGETLB}, ERROR(ENOMEM)},
		{"shmget", {0, 4096, 0600}, SECCOMP_RET_ALLOW},
		{"shmget", {0, 1 << 21, 0600 | SHM_HUGETLB}, ERROR(ENOMEM)},
		{"socket", {AF_NETLINK}, ERROR(EAFNOSUPPORT)},
		{"socket", {AF_ALG}, ERROR(EAFNOSUPPORT)},
		{"socket", {AF_VSOCK | high}, ERROR(EAFNOSUPPORT)},
		{"socketpair", {AF_UNIX}, SECCOMP_RET_ALLOW},
		{"socketpair", {AF_UNIX, SOCK_STREAM, 2}, ERROR(EPERM)},
		{"socketpair", {AF_INET}, ERROR(EPERM)},
		{"ioctl", {0, TIOCGWINSZ}, SECCOMP_RET_ALLOW},
		{"ioctl", {0, TIOCSTI}, ERROR(EPERM)},
		{"ioctl", {0, TIOCSTI | high}, ERROR(EPERM)},
		{"ioctl", {0, TIOCLINUX | high << 31}, ERROR(EPERM)},
		{"ioctl", {0, TIOCSETD}, ERROR(EPERM)},
		{"ioctl", {0, TIOCCONS}, ERROR(EPERM)},
		{"fcntl", {0, F_GETFL}, SECCOMP_RET_ALLOW},
		{"fcntl", {0, F_NOTIFY}, ERROR(EPERM)},
		{"mknod", {0, S_IFIFO | 0600}, SECCOMP_RET_ALLOW},
		{"mknod", {0, S_IFCHR | 0600}, ERROR(EPERM)},
		{"mknodat", {0, 0, S_IFBLK}, ERROR(EPERM)},
		{"mknodat", {0, 0, S_IFSOCK}, SECCOMP_RET_ALLOW},
		{"personality", {0xffffffff}, SECCOMP_RET_ALLOW},
		{"personality", {0x400000}, ERROR(EPERM)},
		{"seccomp", {SECCOMP_SET_MODE_FILTER, 0}, SECCOMP_RET_ALLOW},
		{"seccomp", {SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER}, ERROR(EPERM)},
		{"prctl", {PR_SET_NAME}, SECCOMP_RET_ALLOW},
		{"prctl", {PR_SET_MM}, ERROR(EPERM)},
		{"prctl", {PR_SET_SECCOMP}, ERROR(EPERM)},
		{"prctl", {PR_SET_PTRACER}, ERROR(EPERM)},
	};

	for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
		uint32_t got = judge(rows[i].name, rows[i].arguments);

		ck_assert_msg(got == rows[i].wanted, "row %u, %s: %#x, wanted %#x", i, rows[i].name, got,
			      rows[i].wanted);
	}
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("function_policy");
	TCase *all = tcase_create("all");

	tcase_add_test(all, sec_C1_every_number_is_as_written);
	tcase_add_test(all, sec_C2_other_architectures_get_nothing);
	tcase_add_test(all, sec_C1_arguments_decide);
	suite_add_tcase(suite, all);
	return suite;
}
