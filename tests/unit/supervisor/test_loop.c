#include "supervisor/loop.h"
#include "supervisor/util.h"

#include <fcntl.h>
#include <sys/eventfd.h>

#include "tests/unit/main.h"

static struct loop loop;
static struct loop_watch watches[3];
static int fds[3];
static unsigned calls[3];
static int victim; /* which watch the first callback removes; -1: none */

static void count(struct loop *l, struct loop_watch *watch, uint32_t events)
{
	long self = watch - watches;
	uint64_t value;

	ck_assert(events & EPOLLIN);
	ck_assert_int_eq(watch->fd, fds[self]);
	ck_assert_int_eq(read(watch->fd, &value, sizeof(value)), sizeof(value));
	calls[self]++;
	if (victim >= 0)
		loop_remove(l, &watches[victim]);
	victim = -1;
	l->stop = calls[0] + calls[1] + calls[2] >= *(unsigned *)watch->context;
}

static void signal_all(void)
{
	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(eventfd_write(fds[i], 1), 0);
}

static void open_all(unsigned *stop_after)
{
	ck_assert_int_eq(loop_open(&loop, NULL), 0);
	for (int i = 0; i < 3; i++) {
		fds[i] = eventfd(0, EFD_CLOEXEC);
		calls[i] = 0;
		ck_assert_int_eq(loop_add(&loop, &watches[i], fds[i], EPOLLIN, count, stop_after, NULL), 0);
	}
}

static void close_all(void)
{
	for (int i = 0; i < 3; i++) {
		loop_remove(&loop, &watches[i]);
		loop_remove(&loop, &watches[i]);
		fd_close(&fds[i]);
	}
	loop_close(&loop);
}

START_TEST(every_ready_descriptor_is_called)
{
	unsigned stop_after = 3;

	open_all(&stop_after);
	victim = -1;
	signal_all();
	ck_assert_int_eq(loop_run(&loop, NULL), 0);
	for (int i = 0; i < 3; i++)
		ck_assert_uint_eq(calls[i], 1);
	close_all();
}
END_TEST

/* The one that is removed is ready in the same round; it must not be called any more. */
START_TEST(a_removed_watch_is_not_called_in_the_same_round)
{
	unsigned stop_after = 2;

	open_all(&stop_after);
	victim = 2;
	signal_all();
	ck_assert_int_eq(loop_run(&loop, NULL), 0);
	ck_assert_uint_eq(calls[2], 0);
	ck_assert_int_eq(watches[2].fd, -1);
	close_all();
}
END_TEST

static void remove_self(struct loop *l, struct loop_watch *watch, uint32_t events)
{
	(void)events;
	loop_remove(l, watch);
	calls[0]++;
}

static void stop_it(struct loop *l, struct loop_watch *watch, uint32_t events)
{
	(void)watch;
	(void)events;
	l->stop = true;
}

START_TEST(a_watch_may_remove_itself_and_timers_fire)
{
	struct loop_watch timer_watch;
	_cleanup_fd_ int timer_fd = loop_timer(NULL), event_fd = eventfd(1, EFD_CLOEXEC);

	ck_assert_int_eq(loop_open(&loop, NULL), 0);
	calls[0] = 0;
	ck_assert_int_eq(loop_add(&loop, &watches[0], event_fd, EPOLLIN, remove_self, NULL, NULL), 0);
	ck_assert_int_eq(loop_add(&loop, &timer_watch, timer_fd, EPOLLIN, stop_it, NULL, NULL), 0);
	/* The event descriptor stays ready: only its removal lets the loop come to rest. */
	ck_assert_int_eq(loop_timer_set(timer_fd, clock_monotonic_us() + 20000, NULL), 0);
	ck_assert_int_eq(loop_run(&loop, NULL), 0);
	ck_assert_uint_eq(calls[0], 1);
	loop_close(&loop);
}
END_TEST

START_TEST(errors_are_told)
{
	struct err err = ERR_INIT;
	int file_fd = open("/proc/self/status", O_RDONLY | O_CLOEXEC);

	ck_assert_int_eq(loop_open(&loop, &err), 0);
	ck_assert_int_eq(loop_add(&loop, &watches[0], -1, EPOLLIN, count, NULL, &err), -EBADF);
	ck_assert_int_eq(watches[0].fd, -1);
	ck_assert_int_eq(loop_add(&loop, &watches[0], file_fd, EPOLLIN, count, NULL, &err), -EPERM);
	ck_assert_int_eq(loop_timer_set(file_fd, 1, &err), -EINVAL);
	(void)close(file_fd);
	loop_close(&loop);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("loop");
	TCase *tests = tcase_create("loop");

	tcase_add_test(tests, every_ready_descriptor_is_called);
	tcase_add_test(tests, a_removed_watch_is_not_called_in_the_same_round);
	tcase_add_test(tests, a_watch_may_remove_itself_and_timers_fire);
	tcase_add_test(tests, errors_are_told);
	suite_add_tcase(suite, tests);
	return suite;
}
