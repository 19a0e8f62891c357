#include "api/store.h"

#include "supervisor/util.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <string.h>
#include <sys/stat.h>

#include "tests/unit/main.h"

static char folder[] = "/tmp/ferrite-test-store-XXXXXX";
static char path[128];
static struct store *writer, *reader;
static struct err err;

static void open_store(void)
{
	strcpy(folder + sizeof(folder) - 7, "XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(folder));
	(void)snprintf(path, sizeof(path), "%s/db", folder);
	ck_assert_msg(store_open(path, true, &writer, &err) == 0, "%s", err.text);
	ck_assert_msg(store_open(path, false, &reader, &err) == 0, "%s", err.text);
}

static void close_store(void)
{
	char name[160];

	store_close(reader);
	store_close(writer);
	writer = reader = NULL;
	for (unsigned i = 0; i < 3; i++) {
		(void)snprintf(name, sizeof(name), "%s%s", path, (const char *const[]){"", "-wal", "-shm"}[i]);
		(void)unlink(name);
	}
	(void)rmdir(folder);
}

static void expect_text(int r, struct text *text, const char *expected)
{
	ck_assert_msg(r == 0, "%d %s", r, err.text);
	ck_assert_str_eq(text->data ? text->data : "", expected);
	text_done(text);
}

#define AX	  "{\"path\":\"/x\",\"memory\":9007199254740993,\"jwt_key\":\"k\\\"\",\"warm\":1}"
#define AX_LISTED "{\"path\":\"/x\",\"memory\":9007199254740993,\"jwt_key\":\"\",\"warm\":1}"
#define AY	  "{\"path\":\"/y\"}"

START_TEST(apps_and_routes_are_kept)
{
	struct text text = {0};

	ck_assert_int_eq(store_app_create(writer, "b", "{b}", &err), 0);
	ck_assert_int_eq(store_app_create(writer, "b", "{}", &err), -EEXIST);
	ck_assert_int_eq(store_route_create(writer, "a", "{a}", "/x", "i:1", AX, &err), 0);
	ck_assert_int_eq(store_route_create(writer, "a", "{other}", "/y", "i:2", AY, &err), 0);
	ck_assert_int_eq(store_route_create(writer, "a", "{other}", "/y", "i:2", "{}", &err), -EEXIST);
	/* Another connection sees it at once. */
	expect_text(store_app_list(reader, &text, &err), &text, "{a},{b}");
	expect_text(store_app_get(reader, "a", &text, &err), &text, "{a}");
	expect_text(store_route_get(reader, "a", "/x", &text, &err), &text, AX);
	expect_text(store_route_list(reader, "a", NULL, &text, &err), &text, AY "," AX_LISTED);
	expect_text(store_route_list(reader, "a", "i:1", &text, &err), &text, AX_LISTED);
	expect_text(store_route_list(reader, NULL, NULL, &text, &err), &text, AY "," AX_LISTED);
	expect_text(store_route_list(reader, "nobody", NULL, &text, &err), &text, "");
	ck_assert_int_eq(store_app_get(reader, "c", &text, &err), -ENOENT);
	ck_assert_int_eq(store_route_get(reader, "a", "/X", &text, &err), -ENOENT);
	ck_assert_int_eq(store_route_update(writer, "a", "/x", "i:9", "{\"new\":1}", &err), 0);
	expect_text(store_route_list(reader, "a", "i:9", &text, &err), &text, "{\"new\":1}");
	ck_assert_int_eq(store_app_delete(writer, "a", &err), -ENOTEMPTY);
	ck_assert_int_eq(store_route_delete(writer, "a", "/x", &err), 0);
	ck_assert_int_eq(store_route_delete(writer, "a", "/x", &err), -ENOENT);
	ck_assert_int_eq(store_route_delete(writer, "a", "/y", &err), 0);
	ck_assert_int_eq(store_app_delete(writer, "a", &err), 0);
	ck_assert_int_eq(store_app_delete(writer, "a", &err), -ENOENT);
	ck_assert_int_eq(store_app_update(writer, "a", "{}", &err), -ENOENT);
}
END_TEST

START_TEST(a_refused_route_makes_no_app)
{
	struct text text = {0};

	ck_assert_int_eq(store_route_create(writer, "a", "{a}", "/x", "i", "{1}", &err), 0);
	ck_assert_int_eq(store_route_delete(writer, "a", "/x", &err), 0);
	ck_assert_int_eq(store_app_delete(writer, "a", &err), 0);
	/* A reader cannot write: the transaction ends without a trace. */
	ck_assert_int_lt(store_route_create(reader, "a", "{a}", "/x", "i", "{1}", &err), 0);
	ck_assert_int_eq(store_app_get(reader, "a", &text, &err), -ENOENT);
}
END_TEST

START_TEST(what_was_kept_survives_a_reopening)
{
	struct text text = {0};

	ck_assert_int_eq(store_app_create(writer, "a", "{a}", &err), 0);
	store_close(reader);
	store_close(writer);
	ck_assert_int_eq(store_open(path, true, &writer, &err), 0);
	ck_assert_int_eq(store_open(path, false, &reader, &err), 0);
	expect_text(store_app_list(reader, &text, &err), &text, "{a}");
}
END_TEST

static void set_version(int version)
{
	char sql[64];
	sqlite3 *db;

	(void)snprintf(sql, sizeof(sql), "PRAGMA user_version = %d", version);
	ck_assert_int_eq(sqlite3_open(path, &db), SQLITE_OK);
	ck_assert_int_eq(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
	(void)sqlite3_close(db);
}

START_TEST(a_newer_schema_is_refused)
{
	struct store *other;

	set_version(store_schema_version() + 1);
	ck_assert_int_eq(store_open(path, true, &other, &err), -ENOTSUP);
	ck_assert_ptr_nonnull(strstr(err.text, "newer version"));
	set_version(store_schema_version());
	ck_assert_int_eq(store_open(path, true, &other, &err), 0);
	store_close(other);
}
END_TEST

START_TEST(a_file_that_is_no_store_is_refused)
{
	struct store *other;
	char name[160];
	int fd;

	(void)snprintf(name, sizeof(name), "%s/other", folder);
	fd = open(name, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	ck_assert_int_ge(fd, 0);
	for (int i = 0; i < 200; i++)
		ck_assert_int_eq(fd_write_all(fd, "this is no database at all ", 27), 0);
	(void)close(fd);
	ck_assert_int_eq(store_open(name, true, &other, &err), -EUCLEAN);
	ck_assert_ptr_nonnull(strstr(err.text, name));
	(void)unlink(name);
	ck_assert_int_lt(store_open("/nonexistent/db", true, &other, &err), 0);
	ck_assert_ptr_nonnull(strstr(err.text, "/nonexistent/db"));
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("store");
	TCase *all = tcase_create("all");

	tcase_add_checked_fixture(all, open_store, close_store);
	tcase_add_test(all, apps_and_routes_are_kept);
	tcase_add_test(all, a_refused_route_makes_no_app);
	tcase_add_test(all, what_was_kept_survives_a_reopening);
	tcase_add_test(all, a_newer_schema_is_refused);
	tcase_add_test(all, a_file_that_is_no_store_is_refused);
	suite_add_tcase(suite, all);
	return suite;
}
