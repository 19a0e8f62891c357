#include "api/history.h"

#include "api/json.h"
#include "api/timestamp.h"
#include "supervisor/util.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <string.h>
#include <sys/stat.h>

#include "tests/unit/main.h"

#define NOW ((int64_t)1764000000000000)
#define DAY ((int64_t)86400 * 1000000)

static char folder[] = "/tmp/ferrite-test-history-XXXXXX";
static char path[128];
static struct history *history;
static const struct history_limits limits = {.calls = 5, .age_us = DAY, .bytes = 1 << 20};
static struct function *functions[3]; /* of the apps a, b and c */
static struct err err;
static unsigned made;

static void open_history(void)
{
	strcpy(folder + sizeof(folder) - 7, "XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(folder));
	(void)snprintf(path, sizeof(path), "%s/calls.db", folder);
	ck_assert_msg(history_open(path, &history, &err) == 0, "%s", err.text);
	history_limit(history, &limits);
	for (unsigned i = 0; i < ARRAY_LEN(functions); i++) {
		char app[32], route[128];

		(void)snprintf(app, sizeof(app), "{\"name\":\"%c\"}", 'a' + i);
		(void)snprintf(route, sizeof(route), "{\"app_name\":\"%c\",\"path\":\"/p\",\"image\":\"some/image\"}",
			       'a' + i);
		ck_assert_int_eq(function_make(app, route, &functions[i], &err), 0);
	}
	made = 0;
}

static void close_history(void)
{
	static const char *const names[] = {"", "-wal", "-shm", ".unusable", ".unusable-wal", ".unusable-shm"};
	char name[160];

	history_close(history);
	for (unsigned i = 0; i < ARRAY_LEN(functions); i++)
		function_unref(functions[i]);
	for (unsigned i = 0; i < ARRAY_LEN(names); i++) {
		(void)snprintf(name, sizeof(name), "%s%s", path, names[i]);
		(void)unlink(name);
	}
	ck_assert_int_eq(rmdir(folder), 0);
}

/* The calls get the ids 0, 1, …, and end a second after one another. */
static struct record *make(unsigned app)
{
	char id[16];
	struct record *record;

	(void)snprintf(id, sizeof(id), "%u", made);
	record = record_new(functions[app], id);
	ck_assert_ptr_nonnull(record);
	record->status = 200;
	record->created_us = NOW + made * 1000000;
	record->completed_us = record->created_us + 500000;
	made++;
	return record;
}

static void write_records(struct record **records, size_t n)
{
	ck_assert_msg(history_write(history, records, n, (uint64_t)NOW, &err) == 0, "%s", err.text);
	for (size_t i = 0; i < n; i++)
		record_free(records[i]);
}

static void write_one(struct record *record)
{
	write_records(&record, 1);
}

static json_t *list(struct history_filter filter)
{
	struct text text = {0};
	json_t *found;

	filter.outcomes = filter.outcomes ? filter.outcomes : ~0u;
	filter.limit = filter.limit ? filter.limit : 100;
	text_puts(&text, "[");
	ck_assert_msg(history_list(history, &filter, &text, &err) == 0, "%s", err.text);
	text_puts(&text, "]");
	found = json_loads(text.data, 0, NULL);
	ck_assert_msg(found != NULL, "%s", text.data);
	text_done(&text);
	return found;
}

/* The ids that a list has, with blanks between them. */
static void expect(struct history_filter filter, const char *wanted)
{
	struct text ids = {0};
	json_t *found = list(filter), *row;
	size_t i;

	json_array_foreach(found, i, row)
		text_printf(&ids, "%s%s", i > 0 ? " " : "", json_string_value(json_object_get(row, "id")));
	ck_assert_str_eq(ids.data ? ids.data : "", wanted);
	text_done(&ids);
	json_decref(found);
}

START_TEST(the_newest_of_each_app_are_kept)
{
	struct record *records[12];

	for (unsigned i = 0; i < ARRAY_LEN(records); i++)
		records[i] = make(i % 3 == 0);
	write_records(records, ARRAY_LEN(records));
	expect((struct history_filter){.app = "a"}, "11 10 8 7 5");
	expect((struct history_filter){.app = "b"}, "9 6 3 0");
	write_one(make(0));
	expect((struct history_filter){.app = "a"}, "12 11 10 8 7");
	expect((struct history_filter){0}, "12 11 10 9 8 7 6 3 0");
	/* A lower limit counts for the apps too that have no new calls. */
	history_limit(history, &(struct history_limits){.calls = 2, .age_us = DAY, .bytes = 1 << 20});
	ck_assert_int_eq(history_trim(history, (uint64_t)NOW, &err), 0);
	expect((struct history_filter){0}, "12 11 9 6");
	history_limit(history, &(struct history_limits){.calls = 0, .age_us = DAY, .bytes = 1 << 20});
	ck_assert_int_eq(history_trim(history, (uint64_t)NOW, &err), 0);
	expect((struct history_filter){0}, "");
}
END_TEST

START_TEST(what_is_old_or_too_much_goes)
{
	struct record *record;

	for (unsigned i = 0; i < 4; i++)
		write_one(make(i % 2));
	ck_assert_int_eq(history_trim(history, (uint64_t)(NOW + DAY + 1600000), &err), 0);
	expect((struct history_filter){0}, "3 2");
	record = make(0);
	text_puts(&record->log, "0123456789");
	write_one(record);
	/* A record counts as its texts and 512 bytes: of three, and then of one with its log, there is no room. */
	history_limit(history, &(struct history_limits){.calls = 5, .age_us = DAY, .bytes = 1050});
	ck_assert_int_eq(history_trim(history, (uint64_t)NOW, &err), 0);
	expect((struct history_filter){0}, "4");
	history_limit(history, &(struct history_limits){.calls = 5, .age_us = DAY, .bytes = 530});
	ck_assert_int_eq(history_trim(history, (uint64_t)NOW, &err), 0);
	expect((struct history_filter){0}, "");
	/* And the counts are right again. */
	history_limit(history, &limits);
	for (unsigned i = 0; i < 7; i++)
		write_one(make(0));
	expect((struct history_filter){0}, "11 10 9 8 7");
}
END_TEST

START_TEST(filters)
{
	json_t *all;
	int64_t cursor;

	for (unsigned i = 0; i < 5; i++) {
		struct record *record = make(i == 4);

		record->outcome = i == 1 ? RECORD_TIMEOUT : i == 2 ? RECORD_CANCELLED : RECORD_SUCCESS;
		record->status = i == 1 ? 504 : i == 2 ? RECORD_UNKNOWN : 200;
		write_one(record);
	}
	expect((struct history_filter){.app = "a", .outcomes = 1u << RECORD_TIMEOUT}, "1");
	expect((struct history_filter){.outcomes = ~(1u << RECORD_SUCCESS)}, "2 1");
	expect((struct history_filter){.min_status = 500, .max_status = 599}, "1");
	expect((struct history_filter){.min_status = 200, .max_status = 200}, "4 3 0");
	expect((struct history_filter){.app = "a", .path = "/p"}, "3 2 1 0");
	expect((struct history_filter){.app = "a", .path = "/other"}, "");
	expect((struct history_filter){.app = "nobody"}, "");
	expect((struct history_filter){.since_us = NOW + 3000000}, "4 3");
	expect((struct history_filter){.limit = 2}, "4 3");
	all = list((struct history_filter){0});
	cursor = json_integer_value(json_object_get(json_array_get(all, 2), "cursor"));
	expect((struct history_filter){.before = cursor}, "1 0");
	expect((struct history_filter){.after = cursor}, "4 3");
	json_decref(all);
}
END_TEST

static json_t *get(const char *app, const char *id)
{
	struct text text = {0};
	json_t *found = NULL;
	int r = history_get(history, app, id, &text, &err);

	ck_assert(r == 0 || r == -ENOENT);
	if (r == 0)
		found = json_loads(text.data, 0, NULL);
	text_done(&text);
	return found;
}

static int64_t number(const json_t *object, const char *key)
{
	const json_t *member = json_object_get(object, key);

	ck_assert_ptr_nonnull(member);
	return json_is_null(member) ? RECORD_UNKNOWN : json_integer_value(member);
}

START_TEST(a_record_comes_back_as_it_was)
{
	struct record *record = make(0);
	struct text log = {0};
	bool truncated = false;
	json_t *found;

	record->async = true;
	record->outcome = RECORD_ERROR;
	record->start = RECORD_START_HOT;
	record->status = 500;
	record->exit_code = 3;
	record->queue_us = 1;
	record->start_us = 2;
	record->run_us = 4;
	record->cpu_us = 5;
	record->memory_peak = 6;
	record->bytes_in = 7;
	record->bytes_out = 8;
	record->message = strdup("exit code 3 \"\xff\"");
	text_add(&record->log, "a\0b\xff", 4);
	record->log_truncated = true;
	write_one(record);
	found = get("a", "0");
	ck_assert_ptr_nonnull(found);
	ck_assert_str_eq(json_string_value(json_object_get(found, "app")), "a");
	ck_assert_str_eq(json_string_value(json_object_get(found, "path")), "/p");
	ck_assert_str_eq(json_string_value(json_object_get(found, "image")), "some/image");
	ck_assert_str_eq(json_string_value(json_object_get(found, "type")), "async");
	ck_assert_str_eq(json_string_value(json_object_get(found, "outcome")), "error");
	ck_assert_str_eq(json_string_value(json_object_get(found, "start")), "hot");
	ck_assert_str_eq(json_string_value(json_object_get(found, "error")), "exit code 3 \"\xef\xbf\xbd\"");
	ck_assert_str_eq(json_string_value(json_object_get(found, "created_at")), "2025-11-24T16:00:00.000000Z");
	ck_assert_str_eq(json_string_value(json_object_get(found, "started_at")), "2025-11-24T16:00:00.499996Z");
	ck_assert_str_eq(json_string_value(json_object_get(found, "completed_at")), "2025-11-24T16:00:00.500000Z");
	ck_assert_int_eq(number(found, "exit_code"), 3);
	ck_assert_int_eq(number(found, "signal"), RECORD_UNKNOWN);
	ck_assert_int_eq(number(found, "gpu_us"), RECORD_UNKNOWN);
	ck_assert_int_eq(number(found, "memory_peak"), 6);
	ck_assert_int_eq(number(found, "bytes_in"), 7);
	ck_assert_int_eq(number(found, "log_bytes"), 4);
	ck_assert(json_is_true(json_object_get(found, "log_truncated")));
	json_decref(found);
	ck_assert_int_eq(history_log(history, "a", "0", &log, &truncated, &err), 0);
	ck_assert_mem_eq(log.data, "a\0b\xff", 4);
	ck_assert(truncated);
	text_done(&log);
	ck_assert_ptr_null(get("b", "0"));
	ck_assert_ptr_null(get("a", "1"));
	ck_assert_int_eq(history_log(history, "b", "0", &log, &truncated, &err), -ENOENT);
}
END_TEST

START_TEST(what_is_learnt_later_is_added)
{
	struct record *both[] = {make(0), make(0)}, *stray;
	json_t *found;

	/* In the batch of the call itself, after the call. */
	strcpy(both[1]->id, both[0]->id);
	both[1]->addition = true;
	both[1]->cpu_us = 77;
	both[1]->exit_code = 1;
	text_puts(&both[1]->log, "last words");
	write_records(both, 2);
	found = get("a", "0");
	ck_assert_int_eq(number(found, "cpu_us"), 77);
	ck_assert_int_eq(number(found, "exit_code"), 1);
	ck_assert_int_eq(number(found, "status"), 200);
	ck_assert_int_eq(number(found, "log_bytes"), 10);
	json_decref(found);
	/* To a call that is not there any more. */
	stray = make(1);
	stray->addition = true;
	write_one(stray);
	expect((struct history_filter){0}, "0");
}
END_TEST

START_TEST(it_survives_a_reopening)
{
	struct history *again;

	for (unsigned i = 0; i < 4; i++)
		write_one(make(0));
	/* As after a kill: the old connection is still there. */
	ck_assert_int_eq(history_open(path, &again, &err), 0);
	history_close(history);
	history = again;
	history_limit(history, &limits);
	expect((struct history_filter){0}, "3 2 1 0");
	/* The counts were read, and the numbers go on. */
	for (unsigned i = 0; i < 3; i++)
		write_one(make(0));
	expect((struct history_filter){0}, "6 5 4 3 2");
}
END_TEST

static bool exists(const char *suffix)
{
	char name[160];

	(void)snprintf(name, sizeof(name), "%s%s", path, suffix);
	return access(name, F_OK) == 0;
}

START_TEST(a_file_of_another_version_is_set_aside)
{
	sqlite3 *db;

	write_one(make(0));
	history_close(history);
	ck_assert_int_eq(sqlite3_open(path, &db), SQLITE_OK);
	ck_assert_int_eq(sqlite3_exec(db, "PRAGMA user_version = 99", NULL, NULL, NULL), SQLITE_OK);
	(void)sqlite3_close(db);
	ck_assert_int_eq(history_open(path, &history, &err), 1);
	ck_assert_ptr_nonnull(strstr(err.text, "schema 99"));
	ck_assert(exists(".unusable"));
	history_limit(history, &limits);
	expect((struct history_filter){0}, "");
	write_one(make(0));
	expect((struct history_filter){0}, "1");
}
END_TEST

START_TEST(a_file_that_is_no_database_is_set_aside)
{
	int fd;

	history_close(history);
	fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);
	for (int i = 0; i < 200; i++)
		ck_assert_int_eq(fd_write_all(fd, "this is no database at all ", 27), 0);
	(void)close(fd);
	ck_assert_int_eq(history_open(path, &history, &err), 1);
	ck_assert(exists(".unusable"));
	history_limit(history, &limits);
	write_one(make(0));
	expect((struct history_filter){0}, "0");
}
END_TEST

START_TEST(damage_in_its_middle_is_noticed_and_recovered_from)
{
	struct record *record;
	struct stat st;
	int fd, r = 0;

	for (unsigned i = 0; i < 5; i++) {
		record = make(0);
		for (unsigned j = 0; j < 1000; j++)
			text_puts(&record->log, "many lines of log\n");
		write_one(record);
	}
	history_close(history);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	ck_assert_int_eq(fstat(fd, &st), 0);
	/* All pages but the first, which says what the file is. */
	for (off_t at = 4096; at < st.st_size; at += 16)
		ck_assert_int_eq((int)pwrite(fd, "damaged damaged ", 16, at), 16);
	(void)close(fd);
	history = NULL;
	if (history_open(path, &history, &err) == 0) {
		history_limit(history, &limits);
		record = make(0);
		r = history_write(history, &record, 1, (uint64_t)NOW, &err);
		record_free(record);
		ck_assert_int_eq(r, -EUCLEAN);
		ck_assert_int_eq(history_recover(history, &err), 0);
	}
	history_limit(history, &limits);
	ck_assert(exists(".unusable"));
	write_one(make(0));
	expect((struct history_filter){.limit = 1}, made == 6 ? "5" : "6");
}
END_TEST

START_TEST(a_place_that_cannot_be_written_is_an_error)
{
	struct history *other;

	ck_assert_int_lt(history_open("/nonexistent/calls.db", &other, &err), 0);
	ck_assert_ptr_nonnull(strstr(err.text, "/nonexistent/calls.db"));
	ck_assert_int_eq(history_open(":memory:", &other, &err), 0);
	history_close(other);
}
END_TEST

START_TEST(points_in_time)
{
	static const struct {
		const char *text;
		int64_t us; /* -1: refused */
	} cases[] = {
		{"0", 0},
		{"1764000000", NOW},
		{"2025-11-24T16:00:00Z", NOW},
		{"2025-11-24T16:00:00.5Z", NOW + 500000},
		{"2025-11-24T16:00:00.1234567z", NOW + 123456},
		{"2025-11-24T16:00:00", -1},
		{"2025-11-24T16:00:00.Z", -1},
		{"2025-11-24T16:00:00+01:00", -1},
		{"2025-11-24", -1},
		{"1764000000s", -1},
		{"-1", -1},
		{"", -1},
		{"1901-01-01T00:00:00Z", -1},
		{"99999999999999", -1},
		{"yesterday", -1},
	};
	char text[TIMESTAMP_SIZE];

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		int64_t us = -2;
		bool good = timestamp_read(cases[i].text, &us);

		ck_assert_msg(good == (cases[i].us >= 0), "%s", cases[i].text);
		ck_assert_int_eq(us, good ? cases[i].us : -2);
	}
	ck_assert_str_eq(timestamp_write(text, NOW + 1), "2025-11-24T16:00:00.000001Z");
	ck_assert_str_eq(timestamp_write(text, -5), "1970-01-01T00:00:00.000000Z");
	ck_assert_str_eq(timestamp_write(text, INT64_MAX), "1970-01-01T00:00:00.000000Z");
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("history");
	TCase *all = tcase_create("all");

	tcase_add_checked_fixture(all, open_history, close_history);
	tcase_add_test(all, the_newest_of_each_app_are_kept);
	tcase_add_test(all, what_is_old_or_too_much_goes);
	tcase_add_test(all, filters);
	tcase_add_test(all, a_record_comes_back_as_it_was);
	tcase_add_test(all, what_is_learnt_later_is_added);
	tcase_add_test(all, it_survives_a_reopening);
	tcase_add_test(all, a_file_of_another_version_is_set_aside);
	tcase_add_test(all, a_file_that_is_no_database_is_set_aside);
	tcase_add_test(all, damage_in_its_middle_is_noticed_and_recovered_from);
	tcase_add_test(all, a_place_that_cannot_be_written_is_an_error);
	tcase_add_test(all, points_in_time);
	suite_add_tcase(suite, all);
	return suite;
}
