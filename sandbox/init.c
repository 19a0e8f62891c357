/*
 * ferrite-init: process 1 of every instance. No C library, so that executing it costs a fifth of a static glibc
 * program and there is nothing in it for a function to use.
 *
 *   ferrite-init UID GID PROGRAM [ARGUMENT...]      descriptor 3: the instance's socket (sandbox/birth.h)
 *
 * It starts PROGRAM as UID:GID without any capability, reaps whatever becomes its child, forwards signals that
 * ferrite-sandbox sends it, reports how the program ended, and exits, by which the kernel kills what is left.
 * It runs under the function's own seccomp policy, as an id that no function has. System calls are made by hand, as
 * x86-64 has them.
 */
#include "sandbox/birth.h"

#include <asm/unistd.h>
#include <linux/capability.h>
#include <linux/prctl.h>
#include <linux/sched.h>
#include <linux/stat.h>
#include <linux/time.h>
#include <linux/wait.h>

#define E_PERM	      1
#define E_NOENT	      2
#define E_ACCES	      13
#define E_NOTDIR      20
#define E_ISDIR	      21
#define SIG_KILL      9
#define SIG_CHLD      17
#define MSG_PEEK_     2
#define MSG_DONTWAIT_ 0x40
#define MSG_NOSIGNAL_ 0x4000
#define AT_FDCWD_     -100

#define MODE_TYPE   0170000
#define MODE_FOLDER 0040000

#define STACK_BYTES  (32 * 1024)
#define PATH_BYTES   4096
#define DEFAULT_PATH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

static long call6(long n, long a, long b, long c, long d, long e, long f)
{
	register long r10 __asm__("r10") = d;
	register long r8 __asm__("r8") = e;
	register long r9 __asm__("r9") = f;
	long result;

	__asm__ volatile("syscall"
			 : "=a"(result)
			 : "a"(n), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
			 : "rcx", "r11", "memory");
	return result;
}

#define call(n, a, b, c, d) call6((n), (long)(a), (long)(b), (long)(c), (long)(d), 0, 0)

struct start {
	char **argv, **envp;
	unsigned uid, gid;
	/* Written by the child, which shares our memory until it executes or exits. */
	int error;
	const char *phase;
};

static unsigned char child_stack[STACK_BYTES] __attribute__((aligned(16)));
static struct birth_report report;

static void copy_text(char *to, unsigned long size, const char *from)
{
	unsigned long i = 0;

	for (; from[i] && i + 1 < size; i++)
		to[i] = from[i];
	to[i] = '\0';
}

static unsigned long length_of(const char *text)
{
	unsigned long n = 0;

	while (text[n])
		n++;
	return n;
}

static void send_report(enum birth_report_kind kind, int code)
{
	struct timespec now = {0};

	(void)call(__NR_clock_gettime, CLOCK_MONOTONIC, &now, 0, 0);
	report.kind = kind;
	report.code = code;
	report.time_us = (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
	(void)call6(__NR_sendto, BIRTH_SOCKET_FD, (long)&report, sizeof(report), MSG_NOSIGNAL_, 0, 0);
}

static _Noreturn void leave(int code)
{
	for (;;)
		(void)call(__NR_exit_group, code, 0, 0, 0);
}

static unsigned number(const char *text)
{
	unsigned value = 0;

	while (*text >= '0' && *text <= '9')
		value = value * 10 + (unsigned)(*text++ - '0');
	return value;
}

/* Why the kernel would not execute a file that is there: it says ENOENT for a missing interpreter and EACCES for a
 * directory. */
static int explain(struct start *start, const char *path, int error)
{
	struct statx information = {0};

	if (call6(__NR_statx, AT_FDCWD_, (long)path, 0, STATX_TYPE, (long)&information, 0) != 0)
		return error;
	if ((information.stx_mode & MODE_TYPE) == MODE_FOLDER)
		return E_ISDIR;
	if (error == E_NOENT)
		start->phase = "interpreter";
	return error;
}

static int execute(struct start *start, const char *path)
{
	long r = call(__NR_execve, path, start->argv, start->envp, 0);

	return explain(start, path, (int)-r);
}

static const char *search_path(char **envp)
{
	for (; *envp; envp++) {
		const char *e = *envp;

		if (e[0] == 'P' && e[1] == 'A' && e[2] == 'T' && e[3] == 'H' && e[4] == '=')
			return e + 5;
	}
	return DEFAULT_PATH;
}

/* Tries every directory of PATH, as execvp() does. */
static int execute_by_name(struct start *start, const char *name)
{
	static char path[PATH_BYTES];
	unsigned long n = length_of(name);
	int result = E_NOENT;

	for (const char *dir = search_path(start->envp);; dir++) {
		unsigned long d = 0;

		while (dir[d] && dir[d] != ':')
			d++;
		if (d > 0 && d + 1 + n + 1 <= sizeof(path)) {
			int error;

			for (unsigned long i = 0; i < d; i++)
				path[i] = dir[i];
			path[d] = '/';
			copy_text(path + d + 1, sizeof(path) - d - 1, name);
			error = execute(start, path);
			if (error != E_NOENT && error != E_NOTDIR && error != E_ISDIR && error != E_ACCES)
				return error;
			if (error == E_ACCES || start->phase)
				result = error;
			if (start->phase)
				return result;
		}
		dir += d;
		if (!*dir)
			return result;
	}
}

static int become_function(struct start *start)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct none[2] = {{0}, {0}};
	unsigned long no_signals = 0;
	long r;

	/* Our memory is shared, the descriptors are not: only the init keeps the socket. */
	(void)call(__NR_close, BIRTH_SOCKET_FD, 0, 0, 0);
	start->phase = "identity";
	r = call(__NR_setresgid, start->gid, start->gid, start->gid, 0);
	if (r == 0)
		r = call(__NR_setresuid, start->uid, start->uid, start->uid, 0);
	if (r == 0)
		r = call(__NR_capset, &header, none, 0, 0);
	if (r == 0)
		r = call(__NR_setsid, 0, 0, 0, 0);
	if (r < 0 && r != -E_PERM)
		return (int)-r;
	r = call(__NR_rt_sigprocmask, 2 /* SIG_SETMASK */, &no_signals, 0, sizeof(no_signals));
	start->phase = 0;
	return (int)-r;
}

__attribute__((used)) static _Noreturn void child(struct start *start)
{
	const char *program = start->argv[0];
	int error = become_function(start);
	int slash = 0;

	for (const char *p = program; *p; p++)
		slash |= *p == '/';
	if (error == 0)
		error = slash ? execute(start, program) : execute_by_name(start, program);
	start->error = error ? error : E_NOENT;
	leave(127);
}

/* clone(CLONE_VM | CLONE_VFORK): we sleep until the child has executed its program or exited. */
static long start_child(struct start *start)
{
	register long r10 __asm__("r10") = 0;
	register long r8 __asm__("r8") = 0;
	register void *argument __asm__("r12") = start;
	long result;

	__asm__ volatile("syscall\n\t"
			 "test %%rax, %%rax\n\t"
			 "jnz 1f\n\t"
			 "xor %%ebp, %%ebp\n\t"
			 "mov %%r12, %%rdi\n\t"
			 "call child\n\t"
			 "hlt\n"
			 "1:"
			 : "=a"(result)
			 : "a"(__NR_clone), "D"((long)(CLONE_VM | CLONE_VFORK | SIG_CHLD)),
			   "S"(child_stack + STACK_BYTES), "d"(0L), "r"(r10), "r"(r8), "r"(argument)
			 : "rcx", "r11", "memory");
	return result;
}

static _Noreturn void reap_and_forward(long program)
{
	unsigned long all = ~0UL;

	for (;;) {
		long signal = call(__NR_rt_sigtimedwait, &all, 0, 0, sizeof(all));
		int status = 0;
		long pid;

		if (signal > 0 && signal != SIG_CHLD)
			(void)call(__NR_kill, program, signal, 0, 0);
		if (signal != SIG_CHLD)
			continue;
		while ((pid = call(__NR_wait4, -1, &status, WNOHANG, 0)) > 0) {
			if (pid != program)
				continue;
			send_report(BIRTH_EXITED, status);
			leave(0);
		}
	}
}

static int prepare(void)
{
	unsigned long all = ~0UL;
	char byte;

	(void)call(__NR_prctl, PR_SET_DUMPABLE, 0, 0, 0);
	(void)call(__NR_prctl, PR_SET_NAME, "ferrite-init", 0, 0);
	if (call(__NR_prctl, PR_SET_PDEATHSIG, SIG_KILL, 0, 0) < 0)
		return -1;
	/* If the server died before that call, its end of the socket is closed. */
	if (call6(__NR_recvfrom, BIRTH_SOCKET_FD, (long)&byte, 1, MSG_PEEK_ | MSG_DONTWAIT_, 0, 0) == 0)
		return -1;
	return (int)call(__NR_rt_sigprocmask, 2 /* SIG_SETMASK */, &all, 0, sizeof(all));
}

__attribute__((used)) static _Noreturn void begin(long *stack)
{
	long argc = stack[0];
	char **argv = (char **)(stack + 1);
	struct start start = {.argv = argv + 3, .envp = argv + argc + 1};
	long program;

	if (argc < 4 || prepare() < 0)
		leave(125);
	start.uid = number(argv[1]);
	start.gid = number(argv[2]);
	program = start_child(&start);
	for (int fd = 0; fd < BIRTH_SOCKET_FD; fd++)
		(void)call(__NR_close, fd, 0, 0, 0);
	if (program < 0 || start.error) {
		copy_text(report.phase, sizeof(report.phase), start.phase ? start.phase : "exec");
		copy_text(report.text, sizeof(report.text), start.argv[0]);
		send_report(BIRTH_FAILED, program < 0 ? (int)program : -start.error);
		leave(126);
	}
	send_report(BIRTH_EXECUTED, 0);
	reap_and_forward(program);
}

__asm__(".globl _start\n"
	"_start:\n\t"
	"xor %ebp, %ebp\n\t"
	"mov %rsp, %rdi\n\t"
	"and $-16, %rsp\n\t"
	"call begin\n\t"
	"hlt\n");
