#include "supervisor/ipc.h"
#include "supervisor/process.h"
#include "supervisor/server.h"
#include "supervisor/util.h"

#include <fcntl.h>
#include <grp.h>
#include <linux/close_range.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/capability.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>

/* Each step returns 0 or a negative errno; the name is what the operator reads. */
#define STEP(name, call) \
	do { \
		int step_ = (call); \
		if (step_ < 0) { \
			(void)err_sys(&failure, step_, "%s", name); \
			fail(sync_fd, &failure); \
		} \
	} while (0)

__attribute__((noreturn)) static void fail(int sync_fd, const struct err *failure)
{
	(void)send(sync_fd, failure, sizeof(*failure), MSG_NOSIGNAL);
	_exit(127);
}

static int wait_turn(int sync_fd)
{
	char byte;

	return recv(sync_fd, &byte, 1, 0) == 1 ? 0 : -EPIPE;
}

static int reset_signals(void)
{
	sigset_t none;

	for (int i = 1; i < SIGRTMIN; i++)
		(void)signal(i, SIG_DFL);
	(void)sigemptyset(&none);
	return sigprocmask(SIG_SETMASK, &none, NULL) < 0 ? -errno : 0;
}

/* 0 and 1 the null device, 2 stays, 3 the channel; everything above is closed when the server is executed. */
static int set_descriptors(int *program_fd, int control_fd, int *sync_fd)
{
	int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);

	if (null_fd < 0)
		return -errno;
	/* Out of the way of the numbers that are given out. */
	*program_fd = fcntl(*program_fd, F_DUPFD_CLOEXEC, 10);
	*sync_fd = fcntl(*sync_fd, F_DUPFD_CLOEXEC, 10);
	if (*program_fd < 0 || *sync_fd < 0)
		return -errno;
	if (control_fd != SERVER_CONTROL_FD && dup2(control_fd, SERVER_CONTROL_FD) < 0)
		return -errno;
	if (fcntl(SERVER_CONTROL_FD, F_SETFD, 0) < 0 || dup2(null_fd, 0) < 0 || dup2(null_fd, 1) < 0)
		return -errno;
	return close_range(SERVER_CONTROL_FD + 1, ~0u, CLOSE_RANGE_CLOEXEC) < 0 ? -errno : 0;
}

static int set_limit(__rlimit_resource_t resource, rlim_t wanted)
{
	struct rlimit limit;

	if (getrlimit(resource, &limit) < 0)
		return -errno;
	if (setrlimit(resource, &(struct rlimit){wanted, wanted}) == 0)
		return 0;
	/* Hard limits cannot be raised on every machine: what there is must do. */
	limit.rlim_cur = limit.rlim_max = MIN(wanted, limit.rlim_max);
	return setrlimit(resource, &limit) < 0 ? -errno : 0;
}

static int set_limits(const struct process_row *row)
{
	int r = set_limit(RLIMIT_NOFILE, row->files_max);

	return r < 0 ? r : set_limit(RLIMIT_CORE, 0);
}

static int enter_user_namespace(int sync_fd)
{
	if (unshare(CLONE_NEWUSER) < 0)
		return -errno;
	if (send(sync_fd, "", 1, MSG_NOSIGNAL) != 1)
		return -EPIPE;
	return wait_turn(sync_fd);
}

/* Leaves CAPABILITIES in the bounding set and, for root, in the other sets; the inheritable and ambient ones are empty.
 */
static int drop_bounding(uint64_t capabilities)
{
	for (cap_value_t cap = 0; cap < cap_max_bits(); cap++)
		if (!(capabilities >> cap & 1) && cap_get_bound(cap) == 1 && cap_drop_bound(cap) < 0)
			return -errno;
	return cap_reset_ambient() < 0 ? -errno : 0;
}

static int set_capabilities(uint64_t capabilities)
{
	cap_t caps = cap_get_proc();
	cap_flag_value_t had = CAP_CLEAR;
	int r = caps ? 0 : -errno;

	for (cap_value_t cap = 0; r == 0 && cap < cap_max_bits(); cap++) {
		(void)cap_get_flag(caps, cap, CAP_PERMITTED, &had);
		if (!(capabilities >> cap & 1))
			had = CAP_CLEAR;
		if (cap_set_flag(caps, CAP_PERMITTED, 1, &cap, had) < 0 ||
		    cap_set_flag(caps, CAP_EFFECTIVE, 1, &cap, had) < 0 ||
		    cap_set_flag(caps, CAP_INHERITABLE, 1, &cap, CAP_CLEAR) < 0)
			r = -errno;
	}
	if (r == 0 && cap_set_proc(caps) < 0)
		r = -errno;
	(void)cap_free(caps);
	return r;
}

static int set_identity(const struct process_row *row, uint32_t uid_base)
{
	/* Inside its own user namespace it is root; else the number is the host's. */
	uid_t id = row->store_ids ? 0 : process_uid(row, uid_base);

	if (setgroups(0, NULL) < 0 || setresgid(id, id, id) < 0 || setresuid(id, id, id) < 0)
		return -errno;
	return 0;
}

/* Late: a change of identity clears it. */
static int die_with(pid_t parent)
{
	if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0)
		return -errno;
	return getppid() == parent ? 0 : -ESRCH;
}

static int load_filter(const struct process_row *row)
{
	struct sock_fprog program = {(unsigned short)row->n_policy, (struct sock_filter *)row->policy};

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return -errno;
	return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) < 0 ? -errno : 0;
}

static int execute(const struct process_row *row, int program_fd, bool journal)
{
	char *arguments[] = {(char *)row->program, NULL};
	char *environment[] = {
		(char *)"PATH=/usr/sbin:/usr/bin:/sbin:/bin",
		(char *)"LANG=C.UTF-8",
#ifdef FERRITE_SANITIZE
		/* The leak checker traces its own process, which the filter forbids. */
		(char *)"ASAN_OPTIONS=detect_leaks=0",
#endif
		journal ? (char *)"JOURNAL_STREAM=1" : NULL,
		NULL,
	};

	(void)syscall(SYS_execveat, program_fd, "", arguments, environment, AT_EMPTY_PATH);
	return -errno;
}

void process_child(const struct process_row *row, uint32_t uid_base, int program_fd, int control_fd, int sync_fd,
		   pid_t parent)
{
	struct err failure = ERR_INIT;
	bool journal = getenv("JOURNAL_STREAM") != NULL;

	STEP("wait for the cgroup", wait_turn(sync_fd));
	STEP("reset signals", reset_signals());
	STEP("set descriptors", set_descriptors(&program_fd, control_fd, &sync_fd));
	STEP("set limits", set_limits(row));
	STEP("make a session", setsid() < 0 ? -errno : 0);
	STEP("change to /", chdir("/") < 0 ? -errno : 0);
	(void)umask(022);
	if (row->store_ids)
		STEP("enter a user namespace", enter_user_namespace(sync_fd));
	STEP("limit capabilities", drop_bounding(row->capabilities));
	STEP("change the user", set_identity(row, uid_base));
	STEP("set capabilities", set_capabilities(row->capabilities));
	STEP("die with ferrited", die_with(parent));
	STEP("load the system call filter", load_filter(row));
	STEP("execute", execute(row, program_fd, journal));
	_exit(127);
}
