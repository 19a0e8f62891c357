#include "api/function.h"
#include "api/settings.h"

#include "supervisor/util.h"

#include <string.h>
#include <sys/resource.h>

#include "tests/unit/main.h"

#define ROUTE(more) \
	"{\"app_name\":\"a\",\"path\":\"/x\",\"image\":\"i:1\",\"memory\":64,\"timeout\":5,\"type\":\"sync\"," \
	"\"format\":\"default\"" more "}"

static char folder[] = "/tmp/ferrite-test-function-XXXXXX";
static char path[128];
static struct store *store;
static struct functions functions;
static struct err err;

static void open_all(void)
{
	strcpy(folder + sizeof(folder) - 7, "XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(folder));
	(void)snprintf(path, sizeof(path), "%s/db", folder);
	ck_assert_int_eq(store_open(path, true, &store, &err), 0);
	ck_assert_int_eq(functions_open(&functions, &err), 0);
}

static void close_all(void)
{
	char command[160];

	functions_close(&functions);
	store_close(store);
	(void)snprintf(command, sizeof(command), "rm -r %s", folder);
	ck_assert_int_eq(system(command), 0);
}

static enum function_missing find(uint64_t generation, struct function **ret_function)
{
	enum function_missing missing;

	*ret_function = NULL;
	ck_assert_int_eq(functions_find(&functions, store, generation, "a", "/x", ret_function, &missing, &err), 0);
	return missing;
}

START_TEST(what_is_missing_is_said)
{
	struct function *function;

	ck_assert_int_eq(find(0, &function), FUNCTION_NO_APP);
	ck_assert_int_eq(store_app_create(store, "a", "{\"name\":\"a\",\"config\":null}", &err), 0);
	ck_assert_int_eq(find(0, &function), FUNCTION_NO_ROUTE);
	ck_assert_ptr_null(function);
}
END_TEST

START_TEST(a_state_is_kept_until_something_changes)
{
	struct function *first, *second, *third, *fourth;

	ck_assert_int_eq(
		store_route_create(store, "a", "{\"config\":{\"K\":\"app\"}}", "/x", "i:1",
				   ROUTE(",\"config\":{\"K\":\"route\"},\"headers\":{\"A\":[\"1\",\"2\"],\"B\":[]}"),
				   &err),
		0);
	ck_assert_int_eq(find(1, &first), FUNCTION_FOUND);
	ck_assert_uint_eq(first->memory_bytes, 64 * MIB);
	ck_assert_uint_eq(first->timeout_us, 5000000);
	ck_assert_uint_eq(first->n_config, 2);
	ck_assert_str_eq(first->config[1].value, "route");
	ck_assert_uint_eq(first->n_headers, 1);
	ck_assert_str_eq(first->headers[0].value, "1");
	ck_assert_int_eq(find(1, &second), FUNCTION_FOUND);
	ck_assert_ptr_eq(first, second);
	/* Something changed, but not this route. */
	ck_assert_int_eq(find(2, &third), FUNCTION_FOUND);
	ck_assert_ptr_eq(first, third);
	ck_assert_int_eq(store_route_update(store, "a", "/x", "i:1", ROUTE(",\"jwt_key\":\"k\""), &err), 0);
	ck_assert_int_eq(find(3, &fourth), FUNCTION_FOUND);
	ck_assert_ptr_ne(first, fourth);
	ck_assert(fourth->jwt_key && !first->jwt_key);
	ck_assert_uint_eq(functions.table.count, 1);
	function_unref(first);
	function_unref(second);
	function_unref(third);
	function_unref(fourth);
	ck_assert_int_eq(store_route_delete(store, "a", "/x", &err), 0);
	ck_assert_int_eq(find(4, &first), FUNCTION_NO_ROUTE);
	ck_assert_uint_eq(functions.table.count, 0);
}
END_TEST

START_TEST(huge_memory_saturates)
{
	struct function *function;

	ck_assert_int_eq(function_make("{}",
				       "{\"app_name\":\"a\",\"path\":\"/x\",\"image\":\"i\",\"memory\":17592186044416}",
				       &function, &err),
			 0);
	ck_assert_uint_eq(function->memory_bytes, UINT64_MAX);
	function_unref(function);
	ck_assert_int_eq(function_make("{}", "{\"app_name\":\"a\"}", &function, &err), -EUCLEAN);
	ck_assert_int_eq(function_make("{}", "[]", &function, &err), -EUCLEAN);
}
END_TEST

START_TEST(settings_are_read)
{
	static struct settings settings;

	settings_default(&settings);
	ck_assert_uint_ge(settings.n_loops, 1);
	ck_assert_int_eq(settings_set(&settings, "state_dir", "/s", false, &err), 0);
	ck_assert_str_eq(settings.store_path, "/s/ferrite.db");
	ck_assert_int_eq(settings_set(&settings, "db_url", "", false, &err), 0);
	ck_assert_str_eq(settings.store_path, "/s/ferrite.db");
	ck_assert_int_eq(settings_set(&settings, "db_url", "sqlite:///d/x", false, &err), 0);
	ck_assert_str_eq(settings.store_path, "/d/x");
	ck_assert_int_eq(settings_set(&settings, "db_url", "sqlite:/e", true, &err), 0);
	ck_assert_str_eq(settings.store_path, "/d/x");
	ck_assert_int_eq(settings_set(&settings, "db_url", "bolt:///x", false, &err), -EINVAL);
	ck_assert_ptr_nonnull(strstr(err.text, "db type not supported bolt"));
	ck_assert_int_eq(settings_set(&settings, "memory_total", "512MiB", true, &err), 0);
	ck_assert_uint_eq(settings.memory_bytes, 512 * MIB);
	ck_assert_int_eq(settings_set(&settings, "memory_total", "much", true, &err), -EINVAL);
	ck_assert_int_eq(settings_set(&settings, "max_waiting", "0", true, &err), 0);
	ck_assert_uint_eq(settings.max_waiting, 0);
	ck_assert_int_eq(settings_set(&settings, "max_connections", "0", true, &err), -EINVAL);
	ck_assert_int_eq(settings_set(&settings, "somebody_elses", "x", true, &err), 0);
}
END_TEST

/* The last descriptor is none for a client: without one, a message between the servers arrives broken. */
START_TEST(connections_leave_descriptors_for_others)
{
	static struct settings settings;
	struct rlimit files, few;

	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &files), 0);
	few = (struct rlimit){.rlim_cur = 200, .rlim_max = files.rlim_max};
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &few), 0);
	settings_default(&settings);
	ck_assert_uint_eq(settings.http.connections, 100);
	ck_assert_int_eq(settings_set(&settings, "max_connections", "99", false, &err), 0);
	ck_assert_uint_eq(settings.http.connections, 99);
	ck_assert_int_eq(settings_set(&settings, "max_connections", "1000000", false, &err), 0);
	ck_assert_uint_eq(settings.http.connections, 100);
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &files), 0);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("function");
	TCase *all = tcase_create("all");

	tcase_add_checked_fixture(all, open_all, close_all);
	tcase_add_test(all, what_is_missing_is_said);
	tcase_add_test(all, a_state_is_kept_until_something_changes);
	tcase_add_test(all, huge_memory_saturates);
	tcase_add_test(all, settings_are_read);
	tcase_add_test(all, connections_leave_descriptors_for_others);
	suite_add_tcase(suite, all);
	return suite;
}
