#include "supervisor/loop.h"

#include "supervisor/util.h"

#include <sys/timerfd.h>

#define EVENTS_PER_ROUND 32

int loop_open(struct loop *loop, struct err *err)
{
	*loop = (struct loop){.epoll_fd = epoll_create1(EPOLL_CLOEXEC)};
	if (loop->epoll_fd < 0)
		return err_sys(err, errno, "make an event loop");
	return 0;
}

void loop_close(struct loop *loop)
{
	fd_close(&loop->epoll_fd);
}

int loop_add(struct loop *loop, struct loop_watch *watch, int fd, uint32_t events, loop_callback *callback,
	     void *context, struct err *err)
{
	struct epoll_event event = {.events = events, .data.ptr = watch};

	*watch = (struct loop_watch){.fd = fd, .callback = callback, .context = context};
	if (epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0) {
		watch->fd = -1;
		return err_sys(err, errno, "watch descriptor %d", fd);
	}
	return 0;
}

int loop_modify(struct loop *loop, struct loop_watch *watch, uint32_t events, struct err *err)
{
	struct epoll_event event = {.events = events, .data.ptr = watch};

	if (epoll_ctl(loop->epoll_fd, EPOLL_CTL_MOD, watch->fd, &event) < 0)
		return err_sys(err, errno, "watch descriptor %d", watch->fd);
	return 0;
}

void loop_remove(struct loop *loop, struct loop_watch *watch)
{
	if (watch->fd < 0 || !watch->callback)
		return;
	(void)epoll_ctl(loop->epoll_fd, EPOLL_CTL_DEL, watch->fd, NULL);
	watch->fd = -1;
	for (int i = 0; i < loop->n_pending; i++)
		if (loop->pending[i].data.ptr == watch)
			loop->pending[i].data.ptr = NULL;
}

int loop_run(struct loop *loop, struct err *err)
{
	struct epoll_event events[EVENTS_PER_ROUND];

	while (!loop->stop) {
		int n = epoll_wait(loop->epoll_fd, events, EVENTS_PER_ROUND, -1);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_sys(err, errno, "wait for events");
		for (int i = 0; i < n && !loop->stop; i++) {
			struct loop_watch *watch = events[i].data.ptr;

			loop->pending = events + i + 1;
			loop->n_pending = n - i - 1;
			if (watch)
				watch->callback(loop, watch, events[i].events);
		}
		loop->n_pending = 0;
	}
	return 0;
}

int loop_timer(struct err *err)
{
	int fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);

	return fd < 0 ? err_sys(err, errno, "make a timer") : fd;
}

int loop_timer_set(int timer_fd, uint64_t when_us, struct err *err)
{
	struct itimerspec when = {.it_value = {(time_t)(when_us / 1000000), (long)(when_us % 1000000) * 1000}};

	if (timerfd_settime(timer_fd, TFD_TIMER_ABSTIME, &when, NULL) < 0)
		return err_sys(err, errno, "set a timer");
	return 0;
}
