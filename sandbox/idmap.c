#include "sandbox/idmap.h"

#include "supervisor/util.h"

#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

int idmap_write(int proc_fd, pid_t pid, uint32_t inside, uint32_t outside, struct err *err)
{
	char path[40], map[48];
	int r;

	(void)snprintf(map, sizeof(map), "%u %u 65536", inside, outside);
	(void)snprintf(path, sizeof(path), "%d/uid_map", pid);
	r = file_write(proc_fd, path, map, err);
	(void)snprintf(path, sizeof(path), "%d/gid_map", pid);
	return r < 0 ? r : file_write(proc_fd, path, map, err);
}

/* Holds nothing of the server's and does not outlive it, not even when it was killed before we come to this. */
static _Noreturn void wait_for_death(pid_t parent)
{
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
	if (getppid() != parent || close_range(0, ~0u, 0) < 0)
		_exit(1);
	for (;;)
		(void)pause();
}

int idmap_new(int proc_fd, uint32_t inside, uint32_t outside, struct err *err)
{
	struct clone_args arguments = {.flags = CLONE_NEWUSER, .exit_signal = SIGCHLD};
	pid_t parent = getpid();
	pid_t pid = (pid_t)syscall(SYS_clone3, &arguments, sizeof(arguments));
	char path[40];
	int fd = -1, r;

	if (pid < 0)
		return err_sys(err, errno, "make a user namespace");
	if (pid == 0)
		wait_for_death(parent);
	r = idmap_write(proc_fd, pid, inside, outside, err);
	if (r == 0) {
		(void)snprintf(path, sizeof(path), "%d/ns/user", pid);
		fd = openat(proc_fd, path, O_RDONLY | O_CLOEXEC);
		r = fd < 0 ? err_sys(err, errno, "open a user namespace") : fd;
	}
	(void)kill(pid, SIGKILL);
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
	return r;
}
