#include "api/queue_store.h"

#include "api/task_json.h"
#include "supervisor/util.h"

#include <fcntl.h>
#include <signal.h>
#include <sqlite3.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "tests/unit/main.h"

#define NOW 1700000000000000u

static char folder[] = "/tmp/ferrite-test-queue-XXXXXX";
static char path[128];
static struct queue_limits limits;
static struct queue_store *store;
static struct err err;

static void open_it(void)
{
	ck_assert_msg(queue_store_open(path, &limits, NOW, &store, &err) == 0, "%s", err.text);
}

static void close_it(void)
{
	queue_store_close(store);
	store = NULL;
}

static void setup(void)
{
	strcpy(folder + sizeof(folder) - 7, "XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(folder));
	(void)snprintf(path, sizeof(path), "%s/db", folder);
	limits = (struct queue_limits){.tasks = 1000, .bytes = 1000000, .attempts = 3};
	open_it();
}

static void teardown(void)
{
	char name[160];

	close_it();
	for (unsigned i = 0; i < 4; i++) {
		(void)snprintf(name, sizeof(name), "%s%s", path,
			       (const char *const[]){"", "-wal", "-shm", "-journal"}[i]);
		(void)unlink(name);
	}
	(void)rmdir(folder);
}

static int put(const char *id, unsigned priority, const char *payload)
{
	struct task task = {.priority = priority,
			    .app = (char *)"app",
			    .path = (char *)"/path",
			    .image = (char *)"image",
			    .variables = (char *)"A=1\0B=2",
			    .variables_size = 8,
			    .payload = (unsigned char *)payload,
			    .payload_size = strlen(payload),
			    .created_us = NOW};
	int r;

	strcpy(task.id, id);
	ck_assert_int_eq(queue_store_begin(store, true, &err), 0);
	r = queue_store_put(store, &task, &err);
	if (r == 0)
		r = queue_store_commit(store, &err);
	if (r < 0)
		queue_store_rollback(store);
	return r;
}

/* Takes the next task and expects it to be ID; "" for none. */
static void take_at(enum task_state as, uint64_t now_us, const char *id)
{
	struct task task = {0};
	int r;

	ck_assert_int_eq(queue_store_begin(store, false, &err), 0);
	r = queue_store_take(store, as, now_us, &task, &err);
	ck_assert_msg(r == (*id ? 0 : -ENOENT), "%d %s", r, err.text);
	ck_assert_str_eq(task.id, id);
	ck_assert_int_eq(queue_store_commit(store, &err), 0);
	task_done(&task);
}

static int acknowledge(const char *id, enum task_state as, unsigned priority, uint64_t now_us)
{
	int r;

	ck_assert_int_eq(queue_store_begin(store, false, &err), 0);
	r = queue_store_acknowledge(store, id, as, priority, now_us, &err);
	ck_assert_int_eq(queue_store_commit(store, &err), 0);
	return r;
}

static void expect_counts(uint64_t ready, uint64_t delayed, uint64_t reserved, uint64_t running, uint64_t dead)
{
	const struct queue_counts *counts = queue_store_counts(store);

	ck_assert_uint_eq(counts->tasks[TASK_READY], ready);
	ck_assert_uint_eq(counts->tasks[TASK_DELAYED], delayed);
	ck_assert_uint_eq(counts->tasks[TASK_RESERVED], reserved);
	ck_assert_uint_eq(counts->tasks[TASK_RUNNING], running);
	ck_assert_uint_eq(counts->tasks[TASK_DEAD], dead);
}

START_TEST(a_task_comes_out_as_it_went_in)
{
	struct task task = {0};

	ck_assert_int_eq(put("a", 0, "payload"), 0);
	close_it();
	open_it();
	ck_assert_int_eq(queue_store_begin(store, false, &err), 0);
	ck_assert_int_eq(queue_store_take(store, TASK_RUNNING, NOW, &task, &err), 0);
	ck_assert_int_eq(queue_store_commit(store, &err), 0);
	ck_assert_str_eq(task.id, "a");
	ck_assert_str_eq(task.app, "app");
	ck_assert_str_eq(task.path, "/path");
	ck_assert_str_eq(task.image, "image");
	ck_assert_uint_eq(task.variables_size, 8);
	ck_assert_mem_eq(task.variables, "A=1\0B=2", 8);
	ck_assert_uint_eq(task.payload_size, 7);
	ck_assert_mem_eq(task.payload, "payload", 7);
	ck_assert_uint_eq(task.created_us, NOW);
	task_done(&task);
	ck_assert_int_eq(put("a", 0, ""), -EEXIST);
}
END_TEST

START_TEST(priority_goes_before_age)
{
	uint64_t oldest_us = 0;

	ck_assert_int_eq(put("a", 0, ""), 0);
	ck_assert_int_eq(put("b", 2, ""), 0);
	ck_assert_int_eq(put("c", 1, ""), 0);
	ck_assert_int_eq(put("d", 2, ""), 0);
	ck_assert_int_eq(put("e", 0, ""), 0);
	ck_assert_int_eq(queue_store_oldest(store, &oldest_us, &err), 0);
	ck_assert_uint_eq(oldest_us, NOW);
	for (const char *const *id = (const char *const[]){"b", "d", "c", "a", "e", "", NULL}; *id; id++)
		take_at(TASK_RUNNING, NOW, *id);
	ck_assert_int_eq(queue_store_oldest(store, &oldest_us, &err), 0);
	ck_assert_uint_eq(oldest_us, 0);
}
END_TEST

START_TEST(a_reservation_ends)
{
	ck_assert_int_eq(put("a", 0, ""), 0);
	ck_assert_int_eq(put("b", 0, ""), 0);
	take_at(TASK_RESERVED, NOW, "a");
	ck_assert_int_eq(acknowledge("b", TASK_RESERVED, 0, NOW), -ENOENT);
	ck_assert_int_eq(acknowledge("a", TASK_RUNNING, 0, NOW), -ENOENT);
	ck_assert_int_eq(acknowledge("a", TASK_RESERVED, 1, NOW), -ENOENT);
	/* It is hidden until its time, and back in its old place then. */
	take_at(TASK_RESERVED, NOW + 1, "b");
	take_at(TASK_RESERVED, NOW + TASK_RESERVE_US - 1, "");
	take_at(TASK_RESERVED, NOW + TASK_RESERVE_US, "a");
	ck_assert_int_eq(acknowledge("b", TASK_RESERVED, 0, NOW + TASK_RESERVE_US + 1), -ENOENT);
	ck_assert_int_eq(acknowledge("a", TASK_RESERVED, 0, NOW + TASK_RESERVE_US + 1), 0);
	expect_counts(1, 0, 0, 0, 0);
	/* A clock that is set back hides nothing for longer. */
	take_at(TASK_RESERVED, NOW + 1000 * TASK_RESERVE_US, "b");
	take_at(TASK_RESERVED, NOW, "b");
	ck_assert_int_eq(acknowledge("b", TASK_RESERVED, 0, NOW), 0);
	expect_counts(0, 0, 0, 0, 0);
	ck_assert_uint_eq(queue_store_counts(store)->bytes, 0);
}
END_TEST

/* Another process takes the next task, which is ID, and ends without a word. */
static void crash_with(uint64_t now_us, const char *id)
{
	int status = 0;
	pid_t child;

	close_it();
	child = fork();
	if (child == 0) {
		struct task task = {0};

		open_it();
		if (queue_store_begin(store, false, &err) < 0 ||
		    queue_store_take(store, TASK_RUNNING, now_us, &task, &err) < 0 || strcmp(task.id, id) != 0 ||
		    queue_store_commit(store, &err) < 0)
			_exit(1);
		_exit(0);
	}
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert_int_eq(status, 0);
	open_it();
}

static void count_dead(void *context, const struct task *task)
{
	ck_assert_str_eq(task->id, "a");
	ck_assert_uint_eq(task->crashes, 3);
	++*(unsigned *)context;
}

START_TEST(what_ran_at_a_crash_runs_again_and_is_given_up_in_the_end)
{
	unsigned dead = 0;

	ck_assert_int_eq(put("a", 0, ""), 0);
	crash_with(NOW, "a");
	expect_counts(1, 0, 0, 0, 0);
	crash_with(NOW, "a");
	expect_counts(0, 1, 0, 0, 0);
	take_at(TASK_RUNNING, NOW, "");
	crash_with(NOW + 2000000, "a");
	expect_counts(0, 0, 0, 0, 1);
	take_at(TASK_RUNNING, NOW + 1000000000, "");
	ck_assert_int_eq(queue_store_dead(store, count_dead, &dead, &err), 0);
	ck_assert_uint_eq(dead, 1);
}
END_TEST

START_TEST(an_orderly_end_is_no_crash)
{
	ck_assert_int_eq(put("a", 0, ""), 0);
	for (int i = 0; i < 5; i++) {
		take_at(TASK_RUNNING, NOW, "a");
		close_it();
		open_it();
		expect_counts(1, 0, 0, 0, 0);
	}
}
END_TEST

START_TEST(what_is_put_back_waits)
{
	ck_assert_int_eq(put("a", 0, ""), 0);
	ck_assert_int_eq(put("b", 0, ""), 0);
	take_at(TASK_RUNNING, NOW, "a");
	ck_assert_int_eq(queue_store_begin(store, false, &err), 0);
	ck_assert_int_eq(queue_store_put_back(store, "b", TASK_RUNNING, 0, &err), -ENOENT);
	ck_assert_int_eq(queue_store_put_back(store, "a", TASK_RUNNING, NOW + 10, &err), 0);
	ck_assert_int_eq(queue_store_commit(store, &err), 0);
	expect_counts(1, 1, 0, 0, 0);
	take_at(TASK_RUNNING, NOW, "b");
	take_at(TASK_RUNNING, NOW, "");
	take_at(TASK_RUNNING, NOW + 10, "a");
}
END_TEST

START_TEST(limits_hold_and_the_dead_make_room)
{
	limits.tasks = 2;
	queue_store_limit(store, &limits);
	ck_assert_int_eq(put("a", 0, ""), 0);
	ck_assert_int_eq(put("b", 0, ""), 0);
	ck_assert_int_eq(put("c", 0, ""), -ENOBUFS);
	expect_counts(2, 0, 0, 0, 0);
	limits.attempts = 1;
	crash_with(NOW, "a");
	expect_counts(1, 0, 0, 0, 1);
	ck_assert_int_eq(put("c", 0, ""), 0);
	expect_counts(2, 0, 0, 0, 0);
	limits = (struct queue_limits){.tasks = 100, .bytes = 3000, .attempts = 3};
	queue_store_limit(store, &limits);
	ck_assert_int_eq(put("d", 0, (char[2000]){[0 ... 1998] = 'x'}), -ENOBUFS);
	ck_assert_int_eq(put("d", 0, "x"), 0);
}
END_TEST

START_TEST(a_full_disk_stores_nothing_half)
{
	static char large[600000];
	const struct rlimit small = {.rlim_cur = 200000, .rlim_max = RLIM_INFINITY};
	const struct rlimit none = {.rlim_cur = RLIM_INFINITY, .rlim_max = RLIM_INFINITY};

	memset(large, 'x', sizeof(large) - 1);
	(void)signal(SIGXFSZ, SIG_IGN);
	ck_assert_int_eq(put("a", 0, "a"), 0);
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &small), 0);
	ck_assert_int_lt(put("b", 0, large), 0);
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &none), 0);
	expect_counts(1, 0, 0, 0, 0);
	ck_assert_int_eq(put("b", 0, large), 0);
	close_it();
	open_it();
	expect_counts(2, 0, 0, 0, 0);
	take_at(TASK_RUNNING, NOW, "a");
	take_at(TASK_RUNNING, NOW, "b");
}
END_TEST

START_TEST(a_file_that_is_no_queue_is_named_and_left_alone)
{
	struct queue_store *other = NULL;
	int fd;

	ck_assert_int_eq(queue_store_open(path, &limits, NOW, &other, &err), -EBUSY);
	ck_assert_ptr_nonnull(strstr(err.text, "another process"));
	close_it();
	fd = open(path, O_WRONLY | O_TRUNC);
	ck_assert_int_eq(write(fd, "this is a text and no database, whatever its name may say\n", 58), 58);
	(void)close(fd);
	ck_assert_int_eq(queue_store_open(path, &limits, NOW, &store, &err), -EUCLEAN);
	ck_assert_ptr_nonnull(strstr(err.text, path));
	ck_assert_ptr_nonnull(strstr(err.text, "move the file away"));
}
END_TEST

START_TEST(a_newer_file_is_left_alone)
{
	sqlite3 *db = NULL;

	close_it();
	ck_assert_int_eq(sqlite3_open(path, &db), SQLITE_OK);
	ck_assert_int_eq(sqlite3_exec(db, "PRAGMA user_version = 99", NULL, NULL, NULL), SQLITE_OK);
	ck_assert_int_eq(sqlite3_close(db), SQLITE_OK);
	ck_assert_int_eq(queue_store_open(path, &limits, NOW, &store, &err), -ENOTSUP);
	ck_assert_ptr_nonnull(strstr(err.text, "newer version"));
}
END_TEST

/* --- as JSON ------------------------------------------------------------------------------------------------------ */

START_TEST(a_task_as_json)
{
	_cleanup_(text_done) struct text text = {0};
	struct task task = {.id = "1d46c7da",
			    .app = (char *)"z",
			    .path = (char *)"/as",
			    .image = (char *)"iron/echo",
			    .variables = (char *)"K=v\0A=b=c",
			    .variables_size = 10,
			    .payload = (unsigned char *)"p\0\xff",
			    .payload_size = 3};
	struct task read = {0};

	task_json_write(&task, &text);
	ck_assert_str_eq(text.data,
			 "{\"image\":\"iron/echo\",\"payload\":\"p\\u0000\\ufffd\",\"priority\":0,\"id\":\"1d46c7da\","
			 "\"completed_at\":\"0001-01-01T00:00:00.000Z\",\"created_at\":\"0001-01-01T00:00:00.000Z\","
			 "\"env_vars\":{\"A\":\"b=c\",\"K\":\"v\"},\"app_name\":\"z\",\"path\":\"/as\","
			 "\"started_at\":\"0001-01-01T00:00:00.000Z\",\"payload_base64\":\"cAD/\"}");
	ck_assert_msg(task_json_read(text.data, text.length, &read, &err) == 0, "%s", err.text);
	ck_assert_str_eq(read.id, task.id);
	ck_assert_uint_eq(read.variables_size, 10);
	ck_assert_mem_eq(read.variables, "A=b=c\0K=v", 10);
	ck_assert_uint_eq(read.payload_size, 3);
	ck_assert_mem_eq(read.payload, "p\0\xff", 3);
	task_done(&read);
	ck_assert_int_eq(task_json_read("null\n", 5, &read, &err), -ENOENT);
	ck_assert_int_eq(task_json_read("{\"id\":\"x\"}", 10, &read, &err), -EINVAL);
	ck_assert_int_eq(task_json_read("", 0, &read, &err), -EINVAL);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("queue store");
	TCase *tcase = tcase_create("file"), *json = tcase_create("json");

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, a_task_comes_out_as_it_went_in);
	tcase_add_test(tcase, priority_goes_before_age);
	tcase_add_test(tcase, a_reservation_ends);
	tcase_add_test(tcase, what_ran_at_a_crash_runs_again_and_is_given_up_in_the_end);
	tcase_add_test(tcase, an_orderly_end_is_no_crash);
	tcase_add_test(tcase, what_is_put_back_waits);
	tcase_add_test(tcase, limits_hold_and_the_dead_make_room);
	tcase_add_test(tcase, a_full_disk_stores_nothing_half);
	tcase_add_test(tcase, a_file_that_is_no_queue_is_named_and_left_alone);
	tcase_add_test(tcase, a_newer_file_is_left_alone);
	suite_add_tcase(suite, tcase);
	tcase_add_test(json, a_task_as_json);
	suite_add_tcase(suite, json);
	return suite;
}
