/*
 * Executes ferrite-sandbox in front of a worse kernel. The environment says which program and what is wrong:
 *
 *   FAULT_PROGRAM   the program; it gets our arguments
 *   FAULT_MISSING   the number of a system call that this kernel does not have (ENOSYS)
 *   FAULT_CONTROL   a file with a struct control: the calls it lists are counted, and one of them fails. The test
 * writes into it while the program runs.
 *
 * The second is a seccomp listener: a process of its own that lets each of these calls go on, or answers it with an
 * error. What the program executes and what runs in its containers is under it, too.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define CALLS_MAX 64
#define PROGRAM	  (3 * CALLS_MAX + 16)

struct control {
	int32_t listener_fd; /* in the program; 0: not yet */
	int32_t taken;	     /* the listener has it */
	int32_t number;	     /* the call that is counted */
	int32_t nth;	     /* the one that fails */
	int32_t error;
	int32_t count;
	int32_t n_calls;
	int32_t calls[CALLS_MAX];
};

static _Noreturn void give_up(const char *what)
{
	(void)fprintf(stderr, "fault: %s: %s\n", what, strerror(errno));
	_exit(125);
}

static void nap(void)
{
	(void)nanosleep(&(struct timespec){.tv_nsec = 200000}, NULL);
}

static int load(const int32_t *calls, int32_t n, uint32_t action, unsigned flags)
{
	struct sock_filter program[PROGRAM];
	unsigned short at = 0;

	program[at++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
	for (int32_t i = 0; i < n && i < CALLS_MAX; i++) {
		program[at++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)calls[i], 0, 1);
		program[at++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, action);
	}
	program[at++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	return (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &(struct sock_fprog){at, program});
}

/* What only gives back is never refused: taking a descriptor off an epoll. */
static bool is_counted(const struct seccomp_data *call, int32_t number)
{
	return call->nr == number && (number != SYS_epoll_ctl || (int)call->args[1] != EPOLL_CTL_DEL);
}

static void answer(int fd, struct control *control)
{
	struct seccomp_notif question;
	struct seccomp_notif_resp reply;

	memset(&question, 0, sizeof(question));
	if (ioctl(fd, SECCOMP_IOCTL_NOTIF_RECV, &question) < 0)
		return; /* who asked is gone */
	memset(&reply, 0, sizeof(reply));
	reply.id = question.id;
	reply.flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
	if (is_counted(&question.data, __atomic_load_n(&control->number, __ATOMIC_SEQ_CST)) &&
	    __atomic_add_fetch(&control->count, 1, __ATOMIC_SEQ_CST) == control->nth) {
		reply.flags = 0;
		reply.error = -control->error;
	}
	(void)ioctl(fd, SECCOMP_IOCTL_NOTIF_SEND, &reply);
}

/* Keeps nothing of the program's, and ends when nobody is left who could ask. */
static _Noreturn void listen_for(pid_t program, struct control *control)
{
	int pid_fd, fd;

	if (close_range(3, ~0u, 0) < 0)
		give_up("close descriptors");
	while (__atomic_load_n(&control->listener_fd, __ATOMIC_SEQ_CST) == 0)
		nap();
	pid_fd = (int)syscall(SYS_pidfd_open, program, 0);
	fd = (int)syscall(SYS_pidfd_getfd, pid_fd, control->listener_fd, 0);
	if (fd < 0)
		give_up("take the listener");
	(void)close(pid_fd);
	__atomic_store_n(&control->taken, 1, __ATOMIC_SEQ_CST);
	for (;;) {
		struct pollfd p = {.fd = fd, .events = POLLIN};

		if (poll(&p, 1, -1) > 0 && (p.revents & POLLIN))
			answer(fd, control);
		else if (p.revents & (POLLHUP | POLLERR))
			_exit(0);
	}
}

static void begin_to_listen(const char *path)
{
	int fd = open(path, O_RDWR | O_CLOEXEC);
	struct control *control = mmap(NULL, sizeof(*control), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	pid_t program = getpid(), between;
	int listener_fd;

	if (fd < 0 || control == MAP_FAILED)
		give_up(path);
	control->listener_fd = control->taken = 0;
	/* The listener is nobody's child that the program would find. */
	between = fork();
	if (between == 0) {
		if (fork() == 0)
			listen_for(program, control);
		_exit(0);
	}
	if (between < 0 || waitpid(between, NULL, 0) < 0)
		give_up("make the listener");
	listener_fd = load(control->calls, control->n_calls, SECCOMP_RET_USER_NOTIF, SECCOMP_FILTER_FLAG_NEW_LISTENER);
	if (listener_fd < 0)
		give_up("load the filter");
	__atomic_store_n(&control->listener_fd, listener_fd, __ATOMIC_SEQ_CST);
	while (__atomic_load_n(&control->taken, __ATOMIC_SEQ_CST) == 0)
		nap();
}

int main(int argc, char **argv)
{
	const char *missing = getenv("FAULT_MISSING"), *control = getenv("FAULT_CONTROL");
	const char *program = getenv("FAULT_PROGRAM");
	int32_t number = missing ? atoi(missing) : -1;

	(void)argc;
	if (!program)
		give_up("FAULT_PROGRAM");
	if (missing && load(&number, 1, SECCOMP_RET_ERRNO | ENOSYS, 0) < 0)
		give_up("load the filter");
	if (control)
		begin_to_listen(control);
	(void)execv(program, argv);
	give_up(program);
}
