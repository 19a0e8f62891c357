#include "api/budget.h"

#include "supervisor/util.h"

#include "tests/unit/main.h"

#define WAIT_US 10000000

static struct worker worker;
static struct budget budget;
static int order[16];
static unsigned n_done;

struct caller {
	struct budget_wait wait;
	int number;
};

static void run_done(struct worker_task *task)
{
	struct caller *caller = (struct caller *)task;

	order[n_done++] = caller->wait.result == 0 ? caller->number : -caller->number;
}

static struct caller caller(int number, uint64_t bytes)
{
	return (struct caller){.wait = {.task = {.run = run_done}, .worker = &worker, .bytes = bytes},
			       .number = number};
}

static void open_budget(void)
{
	struct err err;

	ck_assert_int_eq(worker_open(&worker, 0, NULL, &err), 0);
	budget_open(&budget, 100, 2, WAIT_US);
	n_done = 0;
}

static void close_budget(void)
{
	budget_close(&budget);
	worker_close(&worker);
}

static void run_tasks(void)
{
	(void)event_base_loop(worker.base, EVLOOP_NONBLOCK);
}

START_TEST(who_fits_goes_in)
{
	struct caller a = caller(1, 60), b = caller(2, 40), c = caller(3, 101);

	ck_assert_int_eq(budget_enter(&budget, &a.wait), 0);
	ck_assert_int_eq(budget_enter(&budget, &b.wait), 0);
	ck_assert_int_eq(budget_enter(&budget, &c.wait), -E2BIG);
	budget_leave(&budget, 60);
	budget_leave(&budget, 40);
	ck_assert_uint_eq(budget.used, 0);
}
END_TEST

START_TEST(the_line_keeps_its_order)
{
	struct caller a = caller(1, 100), b = caller(2, 90), c = caller(3, 10), d = caller(4, 1);

	ck_assert_int_eq(budget_enter(&budget, &a.wait), 0);
	ck_assert_int_eq(budget_enter(&budget, &b.wait), -EINPROGRESS);
	/* It would fit sooner, but stands behind. */
	ck_assert_int_eq(budget_enter(&budget, &c.wait), -EINPROGRESS);
	ck_assert_int_eq(budget_enter(&budget, &d.wait), -ENOBUFS);
	run_tasks();
	ck_assert_uint_eq(n_done, 0);
	budget_leave(&budget, 100);
	run_tasks();
	ck_assert_uint_eq(n_done, 2);
	ck_assert_int_eq(order[0], 2);
	ck_assert_int_eq(order[1], 3);
	ck_assert_uint_eq(budget.used, 100);
}
END_TEST

START_TEST(only_the_first_has_a_time_limit)
{
	struct caller a = caller(1, 100), b = caller(2, 50), c = caller(3, 50);
	uint64_t now = clock_monotonic_us();

	ck_assert_int_eq(budget_enter(&budget, &a.wait), 0);
	ck_assert_int_eq(budget_enter(&budget, &b.wait), -EINPROGRESS);
	ck_assert_int_eq(budget_enter(&budget, &c.wait), -EINPROGRESS);
	budget_tick(&budget, now);
	run_tasks();
	ck_assert_uint_eq(n_done, 0);
	budget_tick(&budget, clock_monotonic_us() + WAIT_US);
	budget_tick(&budget, now);
	run_tasks();
	/* The second has just become first, and has all its time before it. */
	ck_assert_uint_eq(n_done, 1);
	ck_assert_int_eq(order[0], -2);
	budget_leave(&budget, 100);
	run_tasks();
	ck_assert_int_eq(order[1], 3);
}
END_TEST

START_TEST(who_leaves_the_line_makes_room)
{
	struct caller a = caller(1, 100), b = caller(2, 100), c = caller(3, 40);

	ck_assert_int_eq(budget_enter(&budget, &a.wait), 0);
	ck_assert_int_eq(budget_enter(&budget, &b.wait), -EINPROGRESS);
	ck_assert_int_eq(budget_enter(&budget, &c.wait), -EINPROGRESS);
	ck_assert(budget_cancel(&budget, &b.wait));
	ck_assert(!budget_cancel(&budget, &b.wait));
	budget_leave(&budget, 50);
	run_tasks();
	ck_assert_uint_eq(n_done, 1);
	ck_assert_int_eq(order[0], 3);
	ck_assert(!budget_cancel(&budget, &c.wait));
	ck_assert_uint_eq(budget.used, 90);
}
END_TEST

START_TEST(a_larger_total_lets_in)
{
	struct caller a = caller(1, 100), b = caller(2, 100);

	ck_assert_int_eq(budget_enter(&budget, &a.wait), 0);
	ck_assert_int_eq(budget_enter(&budget, &b.wait), -EINPROGRESS);
	budget_limit(&budget, 200, 2, WAIT_US);
	run_tasks();
	ck_assert_uint_eq(n_done, 1);
	/* A smaller one takes nothing away, and lets nobody in. */
	budget_limit(&budget, 50, 2, WAIT_US);
	ck_assert_int_eq(budget_enter(&budget, &a.wait), -E2BIG);
	a.wait.bytes = 10;
	ck_assert_int_eq(budget_enter(&budget, &a.wait), -EINPROGRESS);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("budget");
	TCase *all = tcase_create("all");

	tcase_add_checked_fixture(all, open_budget, close_budget);
	tcase_add_test(all, who_fits_goes_in);
	tcase_add_test(all, the_line_keeps_its_order);
	tcase_add_test(all, only_the_first_has_a_time_limit);
	tcase_add_test(all, who_leaves_the_line_makes_room);
	tcase_add_test(all, a_larger_total_lets_in);
	suite_add_tcase(suite, all);
	return suite;
}
