/*
 * ferrite-init: process 1 of every instance. No C library, so that executing it costs a fifth of a static glibc
 * program and there is nothing in it for a function to use.
 *
 *   ferrite-init      descriptor 3: the instance's socket (sandbox/birth.h)
 *
 * It is executed before the root exists, and waits for the end of the builder, its only child. Then it reads the
 * command, starts the program under its ids without any capability, reaps whatever becomes its child, forwards signals
 * that ferrite-sandbox sends it, reports how the program ended, and exits, by which the kernel kills what is left.
 * It runs under the function's own seccomp policy, as an id that no function has. System calls are made by hand, as
 * x86-64 has them.
 */
#include "sandbox/birth.h"
#include "supervisor/messages.h"

#include <asm/unistd.h>
#include <linux/capability.h>
#include <linux/poll.h>
#include <linux/prctl.h>
#include <linux/resource.h>
#include <linux/sched.h>
#include <linux/stat.h>
#include <linux/time.h>
#include <linux/uio.h>
#include <linux/wait.h>

#define E_PERM	      1
#define E_NOENT	      2
#define E_ACCES	      13
#define E_NOTDIR      20
#define E_ISDIR	      21
#define E_BADMSG      74
#define SIG_KILL      9
#define SIG_CHLD      17
#define MSG_NOSIGNAL_ 0x4000
#define AT_FDCWD_     -100
#define SOL_SOCKET_   1
#define SCM_RIGHTS_   1

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
	/* Written by the child, which shares our memory until it executes or exits. */
	int error;
	const char *phase;
};

static unsigned char child_stack[STACK_BYTES] __attribute__((aligned(16)));
static struct birth_report report;

/* BIRTH_COMMAND as it comes, one byte more so that its texts can be terminated. */
static struct {
	struct ipc_header header;
	struct birth_command command;
	char texts[IPC_PAYLOAD_MAX - sizeof(struct birth_command) + 1];
} message;

static char *texts[SBX_ARGS_MAX + SBX_ENV_MAX + 2]; /* arguments, NULL, variables, NULL */

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

/* Never above what it is. */
static long lower_limit(int resource, unsigned long long value)
{
	struct rlimit64 limit;
	long r = call(__NR_prlimit64, 0, resource, 0, &limit);

	if (r < 0)
		return r;
	if (limit.rlim_max > value)
		limit.rlim_max = value;
	limit.rlim_cur = limit.rlim_max;
	return call(__NR_prlimit64, 0, resource, &limit, 0);
}

static int become_function(struct start *start)
{
	const struct birth_command *command = &message.command;
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct none[2] = {{0}, {0}};
	unsigned long no_signals = 0;
	long r;

	/* Our memory is shared, the descriptors are not: only the init keeps the socket. */
	(void)call(__NR_close, BIRTH_SOCKET_FD, 0, 0, 0);
	start->phase = "limits";
	r = lower_limit(RLIMIT_FSIZE, command->file_bytes);
	if (r == 0)
		r = lower_limit(RLIMIT_NPROC, command->tasks);
	if (r < 0)
		return (int)-r;
	start->phase = "identity";
	r = call(__NR_setresgid, command->gid, command->gid, command->gid, 0);
	if (r == 0)
		r = call(__NR_setresuid, command->uid, command->uid, command->uid, 0);
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
	struct pollfd server = {.fd = BIRTH_SOCKET_FD};

	(void)call(__NR_prctl, PR_SET_DUMPABLE, 0, 0, 0);
	(void)call(__NR_prctl, PR_SET_NAME, "ferrite-init", 0, 0);
	if (call(__NR_prctl, PR_SET_PDEATHSIG, SIG_KILL, 0, 0) < 0)
		return -1;
	/* If the server died before that call, its end of the socket is closed, though messages may still be there. */
	if (call(__NR_poll, &server, 1, 0, 0) != 0)
		return -1;
	return (int)call(__NR_rt_sigprocmask, 2 /* SIG_SETMASK */, &all, 0, sizeof(all));
}

/* The builder is the only child. If it failed, it has said so itself. */
static void await_builder(void)
{
	int status = 0;

	if (call(__NR_wait4, -1, &status, 0, 0) <= 0 || status != 0)
		leave(1);
}

/* As the kernel wants it on x86-64. */
struct message_vector {
	void *name;
	int name_length;
	struct iovec *parts;
	unsigned long n_parts;
	void *control;
	unsigned long control_length;
	int flags;
};

struct descriptors {
	unsigned long length;
	int level, type;
	int fds[3];
};

/* The command; its descriptors take the lowest free places, which are 0, 1 and 2. */
static int receive_command(void)
{
	struct descriptors control = {0};
	struct iovec part = {&message, sizeof(message) - 1};
	struct message_vector vector = {
		.parts = &part, .n_parts = 1, .control = &control, .control_length = sizeof(control)};
	long n = call(__NR_recvmsg, BIRTH_SOCKET_FD, &vector, 0, 0);

	if (n == 0)
		leave(1);
	if (n < 0)
		return (int)n;
	if ((unsigned long)n < sizeof(message.header) + sizeof(message.command) ||
	    message.header.type != BIRTH_COMMAND || message.command.n_args == 0 ||
	    message.command.n_args > SBX_ARGS_MAX || message.command.n_env > SBX_ENV_MAX)
		return -E_BADMSG;
	for (int i = 0; i < 3; i++)
		if (control.level != SOL_SOCKET_ || control.type != SCM_RIGHTS_ || control.fds[i] != i)
			return -E_BADMSG;
	return (int)(n - (long)sizeof(message.header) - (long)sizeof(message.command));
}

/* Splits the texts of the command into START's lists. */
static int take_texts(struct start *start, unsigned long length)
{
	const struct birth_command *command = &message.command;
	unsigned total = command->n_args + command->n_env;
	char *at = message.texts, *end = message.texts + length;

	*end = '\0';
	start->argv = texts;
	start->envp = texts + command->n_args + 1;
	for (unsigned i = 0; i < total; i++) {
		if (at >= end)
			return -E_BADMSG;
		texts[i < command->n_args ? i : i + 1] = at;
		at += length_of(at) + 1;
	}
	return 0;
}

static _Noreturn void fail(const char *phase, const char *text, int code)
{
	copy_text(report.phase, sizeof(report.phase), phase);
	copy_text(report.text, sizeof(report.text), text);
	send_report(BIRTH_FAILED, code);
	leave(126);
}

__attribute__((used)) static _Noreturn void begin(void)
{
	struct start start = {0};
	long program;
	int r;

	if (prepare() < 0)
		leave(125);
	await_builder();
	r = receive_command();
	if (r >= 0)
		r = take_texts(&start, (unsigned long)r);
	if (r < 0)
		fail("command", "the command cannot be read", r);
	program = start_child(&start);
	for (int fd = 0; fd < BIRTH_SOCKET_FD; fd++)
		(void)call(__NR_close, fd, 0, 0, 0);
	if (program < 0 || start.error)
		fail(start.phase ? start.phase : "exec", start.argv[0], program < 0 ? (int)program : -start.error);
	send_report(BIRTH_EXECUTED, 0);
	reap_and_forward(program);
}

__asm__(".globl _start\n"
	"_start:\n\t"
	"xor %ebp, %ebp\n\t"
	"and $-16, %rsp\n\t"
	"call begin\n\t"
	"hlt\n");
