#include "api/pool.h"

#include "supervisor/util.h"

#include "tests/unit/main.h"

#include <string.h>

#define LOOPS 3

static struct worker workers[LOOPS];
static struct pools pools;
static struct pool *pool;
static char events[256]; /* what the operations were asked for, in order */
static bool arrives, withdraws;

/* Members and calls have one letter as their names. */
struct member {
	struct pool_member member;
	char name;
};

struct call {
	struct pool_wait wait;
	char name;
	bool done;
};

static void note(char what, char name)
{
	size_t length = strlen(events);

	ck_assert_uint_lt(length + 3, sizeof(events));
	events[length] = what;
	events[length + 1] = name;
	events[length + 2] = '\0';
}

static char name_of(const struct pool_member *member)
{
	return ((const struct member *)member)->name;
}

static void leave(struct pool_member *member)
{
	note('<', name_of(member));
}

static bool arrive(struct pool_member *member)
{
	note('>', name_of(member));
	return arrives;
}

static void freeze(struct pool_member *member)
{
	note('*', name_of(member));
}

static void end(struct pool_member *member)
{
	note('x', name_of(member));
}

static void ended(struct pool_member *member)
{
	note('.', name_of(member));
}

static const struct pool_operations operations = {
	.leave = leave, .arrive = arrive, .freeze = freeze, .end = end, .ended = ended};

static void on_done(struct pool_wait *wait)
{
	struct call *call = (struct call *)wait;

	ck_assert(!call->done);
	call->done = true;
	note('!', call->name);
}

static bool withdraw(struct pool_wait *wait)
{
	(void)wait;
	return withdraws;
}

static void open_pool(unsigned limit)
{
	struct err err;

	for (unsigned i = 0; i < LOOPS; i++)
		ck_assert_int_eq(worker_open(&workers[i], i, NULL, &err), 0);
	pools_open(&pools, &operations);
	pool = pool_new(limit, 1000000);
	ck_assert_ptr_nonnull(pool);
	arrives = withdraws = true;
	events[0] = '\0';
}

static void close_pool(void)
{
	pool_free(pool);
	pools_close(&pools);
	for (unsigned i = 0; i < LOOPS; i++)
		worker_close(&workers[i]);
}

static void run(unsigned loop)
{
	(void)event_base_loop(workers[loop].base, EVLOOP_NONBLOCK);
}

static void expect(const char *wanted)
{
	ck_assert_str_eq(events, wanted);
	events[0] = '\0';
}

static struct call call(char name, unsigned loop)
{
	return (struct call){.name = name, .wait = {.worker = &workers[loop], .done = on_done, .version = "1"}};
}

static int enter(struct call *call)
{
	call->done = false;
	return pool_enter(pool, &pools, &call->wait, 100);
}

/* A fresh member that serves a call. */
static void start(struct member *member, char name, unsigned loop)
{
	struct call starter = call('?', loop);

	*member = (struct member){.name = name};
	member->member.bytes = 10;
	memcpy(member->member.version, "1", 2);
	ck_assert_int_eq(enter(&starter), 0);
	ck_assert_ptr_null(starter.wait.member);
	pool_started(pool, &member->member, &workers[loop]);
}

static void start_idle(struct member *member, char name, unsigned loop)
{
	start(member, name, loop);
	pool_release(&member->member);
}

START_TEST(idle_member_of_the_own_loop_is_taken_latest_first)
{
	struct member a, b, c;
	struct call one = call('1', 0), two = call('2', 0);

	open_pool(3);
	start(&a, 'a', 0);
	start(&b, 'b', 0);
	start(&c, 'c', 1);
	pool_release(&a.member);
	pool_release(&b.member);
	pool_release(&c.member);
	ck_assert_int_eq(enter(&one), 0);
	ck_assert_ptr_eq(one.wait.member, &b.member);
	ck_assert_int_eq(enter(&two), 0);
	ck_assert_ptr_eq(two.wait.member, &a.member);
	expect("");
	close_pool();
}
END_TEST

START_TEST(member_of_another_loop_is_taken_over_instead_of_starting_one)
{
	struct member a;
	struct call one = call('1', 1);

	open_pool(3);
	start_idle(&a, 'a', 0);
	ck_assert_int_eq(enter(&one), -EINPROGRESS);
	ck_assert(!pool_cancel(pool, &one.wait));
	run(1);
	expect("");
	run(0);
	expect("<a");
	run(1);
	expect(">a!1");
	ck_assert_ptr_eq(one.wait.member, &a.member);
	ck_assert_ptr_eq(a.member.worker, &workers[1]);
	close_pool();
}
END_TEST

START_TEST(line_is_served_in_order_over_all_loops)
{
	struct member a;
	struct call calls[] = {call('1', 0), call('2', 1), call('3', 2), call('4', 0)};

	open_pool(1);
	start(&a, 'a', 0);
	for (unsigned i = 0; i < ARRAY_LEN(calls); i++)
		ck_assert_int_eq(enter(&calls[i]), -EINPROGRESS);
	/* In the same loop at once, in another by its thread. */
	pool_release(&a.member);
	expect("!1");
	for (unsigned i = 1; i < ARRAY_LEN(calls); i++) {
		pool_release(&a.member);
		ck_assert_int_eq(events[0], '<');
		run(calls[i].wait.worker->index);
		ck_assert_ptr_eq(calls[i].wait.member, &a.member);
	}
	expect("<a>a!2<a>a!3<a>a!4");
	pool_release(&a.member);
	ck_assert_int_eq(a.member.state, POOL_IDLE);
	close_pool();
}
END_TEST

/* Fails as soon as it gets its member, and gives it back. */
static void on_done_and_over(struct pool_wait *wait)
{
	on_done(wait);
	pool_release(wait->member);
}

START_TEST(line_of_calls_that_end_at_once_is_not_served_in_one_another)
{
	static struct call calls[100];
	struct member a;

	open_pool(1);
	start(&a, 'a', 0);
	for (unsigned i = 0; i < ARRAY_LEN(calls); i++) {
		calls[i] = call('1', 0);
		calls[i].wait.done = on_done_and_over;
		ck_assert_int_eq(enter(&calls[i]), -EINPROGRESS);
	}
	pool_release(&a.member);
	expect("!1!1!1!1!1!1!1!1<a");
	for (unsigned i = 0; !calls[ARRAY_LEN(calls) - 1].done; i++) {
		ck_assert_uint_lt(i, ARRAY_LEN(calls));
		run(0);
		events[0] = '\0';
	}
	ck_assert_int_eq(a.member.state, POOL_IDLE);
	close_pool();
}
END_TEST

START_TEST(line_is_bounded_and_can_be_left)
{
	struct member a;
	struct call one = call('1', 0), two = call('2', 0), three = call('3', 0);

	open_pool(1);
	start(&a, 'a', 0);
	ck_assert_int_eq(pool_enter(pool, &pools, &one.wait, 2), -EINPROGRESS);
	ck_assert_int_eq(pool_enter(pool, &pools, &two.wait, 2), -EINPROGRESS);
	ck_assert_int_eq(pool_enter(pool, &pools, &three.wait, 2), -ENOBUFS);
	ck_assert(pool_cancel(pool, &one.wait));
	ck_assert(!pool_cancel(pool, &one.wait));
	ck_assert_int_eq(pool_enter(pool, &pools, &three.wait, 2), -EINPROGRESS);
	pool_release(&a.member);
	pool_release(&a.member);
	expect("!2!3");
	close_pool();
}
END_TEST

START_TEST(place_of_a_dropped_member_goes_to_the_first_of_the_line)
{
	struct member a, b;
	struct call one = call('1', 1), two = call('2', 0);

	open_pool(1);
	start(&a, 'a', 0);
	ck_assert_int_eq(enter(&one), -EINPROGRESS);
	ck_assert_int_eq(enter(&two), -EINPROGRESS);
	ck_assert(pool_drop(&a.member));
	ck_assert(pool_drop(&a.member));
	run(0);
	run(1);
	expect("!1");
	ck_assert_ptr_null(one.wait.member);
	pool_not_started(pool);
	run(0);
	expect("!2");
	pool_not_started(pool);
	start_idle(&b, 'b', 0);
	ck_assert(pool_drop(&b.member));
	ck_assert_uint_eq(pool->n_members, 0);
	close_pool();
}
END_TEST

START_TEST(replaced_member_keeps_its_place)
{
	struct member a, b = {.name = 'b'};
	struct call one = call('1', 0);

	open_pool(1);
	start(&a, 'a', 0);
	ck_assert_int_eq(enter(&one), -EINPROGRESS);
	pool_replace(&a.member);
	memcpy(b.member.version, "1", 2);
	pool_started(pool, &b.member, &workers[0]);
	expect("");
	pool_release(&b.member);
	expect("!1");
	close_pool();
}
END_TEST

START_TEST(member_that_breaks_on_its_way_is_replaced)
{
	struct member a, b, c;
	struct call one = call('1', 1), two = call('2', 1), three = call('3', 1);

	open_pool(1);
	start_idle(&a, 'a', 0);
	ck_assert_int_eq(enter(&one), -EINPROGRESS);
	ck_assert(!pool_drop(&a.member));
	run(0);
	run(1);
	expect("xa!1");
	ck_assert_ptr_null(one.wait.member);
	pool_not_started(pool);
	/* It cannot be used where it came to. */
	start_idle(&b, 'b', 0);
	arrives = false;
	ck_assert_int_eq(enter(&two), -EINPROGRESS);
	run(0);
	run(1);
	run(1);
	expect("<b>bxb!2");
	pool_not_started(pool);
	ck_assert_int_eq(b.member.state, POOL_OUTSIDE);
	/* The first of the line waits elsewhere. */
	start(&c, 'c', 0);
	arrives = true;
	ck_assert_int_eq(enter(&three), -EINPROGRESS);
	pool_release(&c.member);
	run(1);
	expect("<c>c!3");
	close_pool();
}
END_TEST

START_TEST(end_is_reported_where_the_member_is)
{
	struct member a, b;
	struct call one = call('1', 1), two = call('2', 1);
	struct worker *where = NULL;

	open_pool(1);
	/* Before it left. */
	start_idle(&a, 'a', 0);
	ck_assert_int_eq(enter(&one), -EINPROGRESS);
	ck_assert_int_eq(pool_ended(&a.member, &workers[2], &where), POOL_END_ELSEWHERE);
	ck_assert_ptr_eq(where, &workers[0]);
	ck_assert_int_eq(pool_ended(&a.member, &workers[0], &where), POOL_END_LATER);
	run(0);
	run(1);
	expect(".a!1");
	ck_assert_ptr_null(one.wait.member);
	pool_not_started(pool);
	/* While it is nowhere. */
	start_idle(&b, 'b', 0);
	ck_assert_int_eq(enter(&two), -EINPROGRESS);
	run(0);
	ck_assert_int_eq(pool_ended(&b.member, &workers[0], &where), POOL_END_LATER);
	run(1);
	run(1);
	expect("<b.b!2");
	ck_assert_ptr_null(two.wait.member);
	pool_not_started(pool);
	ck_assert_int_eq(pool_ended(&b.member, &workers[1], &where), POOL_END_HERE);
	/* While it is idle. */
	start_idle(&a, 'a', 2);
	ck_assert_int_eq(pool_ended(&a.member, &workers[2], &where), POOL_END_HERE);
	ck_assert_uint_eq(pool->n_members, 0);
	close_pool();
}
END_TEST

START_TEST(member_of_another_version_serves_nobody)
{
	struct member a, b;
	struct call one = call('1', 0), two = call('2', 1);

	open_pool(1);
	start_idle(&a, 'a', 0);
	one.wait.version = two.wait.version = "2";
	ck_assert_int_eq(enter(&one), 0);
	ck_assert_ptr_null(one.wait.member);
	expect("xa");
	pool_not_started(pool);
	start(&b, 'b', 0);
	ck_assert_int_eq(enter(&two), -EINPROGRESS);
	pool_release(&b.member);
	run(1);
	expect("xb!2");
	ck_assert_ptr_null(two.wait.member);
	close_pool();
}
END_TEST

START_TEST(members_of_a_retired_pool_end_when_they_are_idle)
{
	struct member a, b;

	open_pool(2);
	start(&a, 'a', 0);
	start_idle(&b, 'b', 1);
	pool_retire(pool);
	expect("xb");
	pool_release(&a.member);
	expect("xa");
	ck_assert_uint_eq(pool->n_members, 0);
	close_pool();
}
END_TEST

START_TEST(call_that_waits_for_memory_takes_what_gets_free)
{
	struct member a;
	struct call one = call('1', 0), two = call('2', 0), three = call('3', 1);

	open_pool(2);
	start(&a, 'a', 0);
	ck_assert_int_eq(enter(&one), 0);
	ck_assert_ptr_null(one.wait.member);
	pool_offer(pool, &one.wait, withdraw);
	ck_assert_int_eq(enter(&two), -EINPROGRESS);
	ck_assert_int_eq(enter(&three), -EINPROGRESS);
	/* Its memory is granted at this moment: it starts one, and who waits behind it is served. */
	withdraws = false;
	pool_release(&a.member);
	expect("!2");
	withdraws = true;
	/* Its right to start one goes to the line. */
	pool_release(&a.member);
	run(1);
	expect("!1!3");
	ck_assert_ptr_eq(one.wait.member, &a.member);
	ck_assert_ptr_null(three.wait.member);
	pool_offer_done(pool, &one.wait);
	close_pool();
}
END_TEST

START_TEST(idle_members_end_in_time_and_for_room)
{
	struct member a, b, c;
	uint64_t now = clock_monotonic_us();

	open_pool(3);
	start(&a, 'a', 0);
	start(&b, 'b', 1);
	start(&c, 'c', 0);
	pool_release(&a.member);
	pool_release(&b.member);
	pool_release(&c.member);
	a.member.idle_since_us = now - 300;
	b.member.idle_since_us = now - 200;
	c.member.idle_since_us = now - 100;
	ck_assert_uint_eq(pools_make_room(&pools, 15), 20);
	expect("xaxb");
	pools_tick(&pools, now + 999800);
	expect("");
	pools_tick(&pools, now + 999900);
	expect("xc");
	ck_assert_uint_eq(pools_make_room(&pools, 1), 0);
	start(&b, 'b', 2);
	start_idle(&a, 'a', 2);
	pools_drain(&pools);
	expect("xa");
	pool_release(&b.member);
	expect("xb");
	close_pool();
}
END_TEST

/* --- with threads ------------------------------------------------------------------------------------------------- */

#define CALLERS 8 /* of each loop */
#define TURNS	2000
#define LIMIT	3

static _Atomic unsigned n_serving, n_turns, n_left;

struct caller {
	struct call call;
	struct worker_task task;
	struct member *member;
	unsigned turns;
};

static void begin_turn(struct caller *caller);

static struct caller *caller_of(struct worker_task *task)
{
	return (struct caller *)((char *)task - offsetof(struct caller, task));
}

static void run_end_turn(struct worker_task *task)
{
	struct caller *caller = caller_of(task);
	struct member *member = caller->member;

	atomic_fetch_sub(&n_serving, 1);
	if (++caller->turns % 16 == 0) {
		ck_assert(pool_drop(&member->member));
		free(member);
	} else {
		pool_release(&member->member);
	}
	if (caller->turns < TURNS)
		begin_turn(caller);
	else if (atomic_fetch_sub(&n_left, 1) == 1)
		for (unsigned i = 0; i < LOOPS; i++)
			worker_stop(&workers[i]);
}

static void on_turn(struct pool_wait *wait)
{
	struct caller *caller = (struct caller *)wait;

	caller->member = (struct member *)wait->member;
	if (!caller->member) {
		caller->member = calloc(1, sizeof(*caller->member));
		ck_assert_ptr_nonnull(caller->member);
		memcpy(caller->member->member.version, "1", 2);
		pool_started(pool, &caller->member->member, wait->worker);
	}
	ck_assert_ptr_eq(caller->member->member.worker, wait->worker);
	ck_assert_uint_lt(atomic_fetch_add(&n_serving, 1), LIMIT);
	atomic_fetch_add(&n_turns, 1);
	caller->task.run = run_end_turn;
	worker_post(wait->worker, &caller->task);
}

static void begin_turn(struct caller *caller)
{
	int r = pool_enter(pool, &pools, &caller->call.wait, LOOPS * CALLERS);

	ck_assert(r == 0 || r == -EINPROGRESS);
	if (r == 0)
		on_turn(&caller->call.wait);
}

static void run_begin(struct worker_task *task)
{
	begin_turn(caller_of(task));
}

static void quiet(struct pool_member *member)
{
	(void)member;
}

static bool quiet_arrive(struct pool_member *member)
{
	(void)member;
	return true;
}

START_TEST(members_never_serve_two_calls_of_any_loops)
{
	static const struct pool_operations silent = {
		.leave = quiet, .arrive = quiet_arrive, .freeze = quiet, .end = quiet, .ended = quiet};
	static struct caller callers[LOOPS * CALLERS];
	struct pool_member *left;
	struct err err;

	open_pool(LIMIT);
	pools.operations = &silent;
	n_left = LOOPS * CALLERS;
	for (unsigned i = 0; i < LOOPS * CALLERS; i++) {
		callers[i].call = call('t', i % LOOPS);
		callers[i].call.wait.done = on_turn;
		callers[i].task.run = run_begin;
		worker_post(&workers[i % LOOPS], &callers[i].task);
	}
	for (unsigned i = 0; i < LOOPS; i++)
		ck_assert_int_eq(worker_start(&workers[i], &err), 0);
	for (unsigned i = 0; i < LOOPS; i++)
		worker_join(&workers[i]);
	ck_assert_uint_eq(n_turns, LOOPS * CALLERS * TURNS);
	ck_assert_uint_eq(pool->n_waiting, 0);
	for (unsigned i = 0; i < LOOPS; i++)
		while ((left = TAILQ_FIRST(&pool->idle[i])) != NULL) {
			ck_assert(pool_drop(left));
			free(left);
		}
	ck_assert_uint_eq(pool->n_members, 0);
	close_pool();
}
END_TEST

START_TEST(idle_members_are_frozen_and_those_with_a_gpu_can_be_ended)
{
	struct member a, b;
	struct call one = call('1', 0);
	uint64_t now = clock_monotonic_us();

	open_pool(2);
	pool->idle_us = 10 * POOL_FREEZE_US;
	start(&a, 'a', 0);
	start(&b, 'b', 0);
	pool_release(&a.member);
	pool_release(&b.member);
	a.member.idle_since_us = now - 2;
	b.member.idle_since_us = now;
	pools_tick(&pools, now - 1 + POOL_FREEZE_US);
	expect("*a");
	ck_assert_int_eq(enter(&one), 0);
	ck_assert_ptr_eq(one.wait.member, &b.member);
	ck_assert(!b.member.frozen);
	pool_release(&b.member);
	pools_tick(&pools, clock_monotonic_us() + POOL_FREEZE_US);
	expect("*b");
	ck_assert(!pools_free_gpu(&pools));
	b.member.has_gpu = true;
	ck_assert(pools_free_gpu(&pools));
	expect("xb");
	close_pool();
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("pool");
	TCase *one = tcase_create("one thread"), *many = tcase_create("threads");

	tcase_add_test(one, idle_member_of_the_own_loop_is_taken_latest_first);
	tcase_add_test(one, member_of_another_loop_is_taken_over_instead_of_starting_one);
	tcase_add_test(one, line_is_served_in_order_over_all_loops);
	tcase_add_test(one, line_of_calls_that_end_at_once_is_not_served_in_one_another);
	tcase_add_test(one, line_is_bounded_and_can_be_left);
	tcase_add_test(one, place_of_a_dropped_member_goes_to_the_first_of_the_line);
	tcase_add_test(one, replaced_member_keeps_its_place);
	tcase_add_test(one, member_that_breaks_on_its_way_is_replaced);
	tcase_add_test(one, end_is_reported_where_the_member_is);
	tcase_add_test(one, member_of_another_version_serves_nobody);
	tcase_add_test(one, members_of_a_retired_pool_end_when_they_are_idle);
	tcase_add_test(one, call_that_waits_for_memory_takes_what_gets_free);
	tcase_add_test(one, idle_members_end_in_time_and_for_room);
	tcase_add_test(one, idle_members_are_frozen_and_those_with_a_gpu_can_be_ended);
	suite_add_tcase(suite, one);
	tcase_set_timeout(many, 120);
	tcase_add_test(many, members_never_serve_two_calls_of_any_loops);
	suite_add_tcase(suite, many);
	return suite;
}
