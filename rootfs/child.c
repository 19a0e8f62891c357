#include "rootfs/child.h"

#include "rootfs/confine.h"
#include "supervisor/str.h"
#include "supervisor/util.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

#define STATUS_REPORTED 1 /* exit status of a child that reported its failure */

void report_send(const struct report *report)
{
	while (send(CHILD_REPORT_FD, report, sizeof(*report), MSG_NOSIGNAL) < 0)
		if (errno != EINTR)
			_exit(STATUS_REPORTED);
}

void report_text(int32_t type, uint64_t a, uint64_t b, const char *text)
{
	struct report r = {.type = type, .a = a, .b = b};
	size_t length = strnlen(text, sizeof(r.text) - 1);

	memcpy(r.text, text, length);
	report_send(&r);
}

/* Puts the report channel and the given descriptors to their numbers and closes everything else. */
static int arrange_fds(const struct child_plan *plan, int report_fd, struct err *err)
{
	int high[CHILD_FDS_MAX + 1];
	int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);

	/* First above everything that is a target, so that no dup2 overwrites a source. */
	high[0] = fcntl(report_fd, F_DUPFD_CLOEXEC, CHILD_FD_FIRST + CHILD_FDS_MAX);
	for (unsigned i = 0; i < plan->n_fds; i++)
		high[i + 1] = fcntl(plan->fds[i], F_DUPFD_CLOEXEC, CHILD_FD_FIRST + CHILD_FDS_MAX);
	for (unsigned i = 0; i <= plan->n_fds; i++)
		if (high[i] < 0 || dup3(high[i], CHILD_REPORT_FD + (int)i, O_CLOEXEC) < 0)
			return err_sys(err, errno, "pass descriptors to a child");
	if (null_fd < 0 || dup2(null_fd, 0) < 0 || dup2(null_fd, 1) < 0)
		return err_sys(err, errno, "open /dev/null");
	/* Standard error stays: a sanitizer or the C library may have something to say before it aborts. */
	if (close_range((unsigned)(CHILD_FD_FIRST + plan->n_fds), ~0u, 0) < 0)
		return err_sys(err, errno, "close descriptors");
	return 0;
}

static int prepare(const struct child_plan *plan, int report_fd, pid_t parent, struct err *err)
{
	sigset_t none;
	int r;

	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != parent)
		return err_set(err, ESRCH, "the parent is gone");
	(void)sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	(void)signal(SIGPIPE, SIG_IGN);
	r = arrange_fds(plan, report_fd, err);
	if (r == 0 && plan->confined)
		r = confine(CHILD_FD_FIRST, plan->file_bytes_max, err);
	return r;
}

static _Noreturn void child_main(const struct child_plan *plan, int report_fd, pid_t parent)
{
	struct err err = ERR_INIT;
	struct report last = {.type = REPORT_DONE};
	int r = prepare(plan, report_fd, parent, &err);

	if (r == 0)
		r = plan->run(plan->context, &err);
	if (r < 0) {
		last.type = REPORT_FAILED;
		last.code = err.code ? err.code : r;
		(void)str_copy(last.phase, sizeof(last.phase), plan->name);
		(void)str_copy(last.text, sizeof(last.text), err.text);
	}
	report_send(&last);
	_exit(r < 0 ? STATUS_REPORTED : 0);
}

int child_start(const struct child_plan *plan, struct child *ret_child, struct err *err)
{
	_cleanup_fd_ int ours = -1;
	_cleanup_fd_ int theirs = -1;
	int pair[2];
	pid_t self = getpid(), pid;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return err_sys(err, errno, "make a channel to a child");
	ours = pair[0];
	theirs = pair[1];
	pid = fork();
	if (pid < 0)
		return err_sys(err, errno, "start a child to %s", plan->name);
	if (pid == 0)
		child_main(plan, theirs, self);
	*ret_child = (struct child){.pid = pid, .fd = take_fd(&ours), .name = plan->name, .deadline_us = UINT64_MAX};
	if (plan->time_max_us)
		ret_child->deadline_us = clock_monotonic_us() + plan->time_max_us;
	return 0;
}

void child_stop(struct child *child)
{
	fd_close(&child->fd);
	if (child->pid > 0) {
		(void)kill(child->pid, SIGKILL);
		while (waitpid(child->pid, NULL, 0) < 0 && errno == EINTR)
			;
		child->pid = 0;
	}
}

/* The child closed its end without a last report: says how it died. */
static int died(struct child *child, struct err *err)
{
	int status = 0;

	fd_close(&child->fd);
	/* One that is ending keeps its status; one that only closed its channel must not be waited for. */
	(void)kill(child->pid, SIGKILL);
	while (waitpid(child->pid, &status, 0) < 0 && errno == EINTR)
		;
	child->pid = 0;
	if (WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS)
		return err_set(err, EIO, "%s: ended for a system call that it must not make", child->name);
	if (WIFSIGNALED(status) && WTERMSIG(status) == SIGXCPU)
		return err_set(err, ETIMEDOUT, "%s: used up its processor time", child->name);
	if (WIFSIGNALED(status))
		return err_set(err, EIO, "%s: ended by signal %d (%s)", child->name, WTERMSIG(status),
			       sigabbrev_np(WTERMSIG(status)));
	return err_set(err, EIO, "%s: ended without a report, status %d", child->name, WEXITSTATUS(status));
}

static int finish(struct child *child, struct report *last, char *phase, struct err *err)
{
	child_stop(child);
	if (last->type == REPORT_DONE)
		return 0;
	if (phase)
		(void)str_copy(phase, REPORT_PHASE_MAX, last->phase);
	return err_set(err, last->code ? last->code : EIO, "%s", last->text);
}

int child_poll(struct child *child, struct report *ret, char *phase, struct err *err)
{
	ssize_t n;

	do
		n = recv(child->fd, ret, sizeof(*ret), MSG_DONTWAIT);
	while (n < 0 && errno == EINTR);
	if (n < 0 && errno == EAGAIN)
		return -EAGAIN;
	if (phase)
		(void)str_copy(phase, REPORT_PHASE_MAX, child->name);
	if (n <= 0)
		return died(child, err);
	if (n != sizeof(*ret)) {
		child_stop(child);
		return err_set(err, EPROTO, "%s: sent a malformed report", child->name);
	}
	/* A confined child is not trusted with the rest of its strings. */
	ret->phase[sizeof(ret->phase) - 1] = '\0';
	ret->digest[sizeof(ret->digest) - 1] = '\0';
	ret->text[sizeof(ret->text) - 1] = '\0';
	return ret->type > 0 ? 1 : finish(child, ret, phase, err);
}

int child_next(struct child *child, struct report *ret, char *phase, struct err *err)
{
	for (;;) {
		struct pollfd p = {.fd = child->fd, .events = POLLIN};
		uint64_t now;
		int r = child_poll(child, ret, phase, err);

		if (r != -EAGAIN)
			return r;
		now = clock_monotonic_us();
		if (now >= child->deadline_us) {
			child_stop(child);
			if (phase)
				(void)str_copy(phase, REPORT_PHASE_MAX, child->name);
			return err_set(err, ETIMEDOUT, "%s: took longer than allowed", child->name);
		}
		/* Sleeps of at most an hour: the time-out of poll is an int. */
		(void)poll(&p, 1, (int)(MIN(child->deadline_us - now, (uint64_t)3600 * 1000000) / 1000) + 1);
	}
}
