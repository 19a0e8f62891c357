#include "api/model.h"
#include "api/text.h"

#include "supervisor/util.h"

#include <string.h>

#include "tests/unit/main.h"

static json_t *body(const char *text)
{
	return json_body(text, strlen(text));
}

START_TEST(only_the_first_value_counts)
{
	static const char *const good[] = {"{}", " \n{} trailing", "{}{", "null", "{\"a\":1}]"};
	static const char *const bad[] = {"",  " ",	   "[]",   "3",	  "\"x\"",
					  "{", "{\"a\":}", "true", "nul", "{\"a\":\"\xff\"}"};

	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		json_t *value = body(good[i]);

		ck_assert_msg(value != NULL, "refused %s", good[i]);
		json_decref(value);
	}
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		ck_assert_msg(!body(bad[i]), "accepted %s", bad[i]);
}
END_TEST

START_TEST(keys_match_in_any_case_and_the_last_wins)
{
	json_t *value = body("{\"Name\":\"a\",\"other\":1,\"NAME\":\"b\",\"name\":null}");
	char *name = NULL;

	ck_assert_int_eq(json_read_string(value, "name", &name), 0);
	ck_assert_str_eq(name, "b");
	free(name);
	json_decref(value);
}
END_TEST

static int read_route_text(const char *text)
{
	json_t *value = body(text);
	struct route route = {0};
	int r = value ? route_read(value, &route) : -EINVAL;

	route_done(&route);
	json_decref(value);
	return r;
}

START_TEST(wrong_types_fail_the_whole_body)
{
	static const char *const good[] = {
		"{\"memory\":null,\"unknown\":{}}", "{\"memory\":9223372036854775807}",
		"{\"timeout\":2147483647}",	    "{\"headers\":{\"A\":null,\"B\":[null,\"x\"]}}",
		"{\"config\":{\"K\":null}}",	    "{\"timeout\":-5}",
	};
	static const char *const bad[] = {
		"{\"image\":5}",	  "{\"path\":[]}",
		"{\"memory\":-1}",	  "{\"memory\":1.5}",
		"{\"memory\":\"128\"}",	  "{\"memory\":1.0}",
		"{\"memory\":1e3}",	  "{\"timeout\":99999999999}",
		"{\"timeout\":\"30\"}",	  "{\"headers\":{\"A\":\"b\"}}",
		"{\"headers\":[]}",	  "{\"headers\":{\"A\":[1]}}",
		"{\"config\":{\"K\":1}}", "{\"config\":[]}",
		"{\"type\":true}",	  "{\"app_name\":{}}",
		"{\"jwt_key\":1}",	  "{\"max_concurrency\":\"1\"}",
	};

	for (size_t i = 0; i < ARRAY_LEN(good); i++)
		ck_assert_msg(read_route_text(good[i]) == 0, "refused %s", good[i]);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		ck_assert_msg(read_route_text(bad[i]) < 0, "accepted %s", bad[i]);
}
END_TEST

START_TEST(app_names_are_checked)
{
	ck_assert_str_eq(app_name_problem(NULL), "Missing app name");
	ck_assert_str_eq(app_name_problem(""), "Missing app name");
	ck_assert_str_eq(app_name_problem("0123456789012345678901234567890"), "App name must be 30 characters or less");
	ck_assert_ptr_null(app_name_problem("012345678901234567890123456789"));
	ck_assert_ptr_null(app_name_problem("AZaz09-_"));
	for (int c = 1; c < 256; c++) {
		char name[] = {'a', (char)c, '\0'};
		bool good = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '-' ||
			    c == '_';

		ck_assert_msg(!app_name_problem(name) == good, "character %d", c);
	}
}
END_TEST

static struct route made(const char *text)
{
	json_t *value = body(text);
	struct route route = {0};

	ck_assert_ptr_nonnull(value);
	ck_assert_int_eq(route_read(value, &route), 0);
	json_decref(value);
	return route;
}

static void check_messages(const char *text, bool creating, const char *expected)
{
	struct route route = made(text);
	struct text messages = {0};

	if (creating)
		ck_assert_int_eq(route_complete(&route), 0);
	route_check(&route, creating, &messages);
	ck_assert_str_eq(messages.data ? messages.data : "", expected);
	text_done(&messages);
	route_done(&route);
}

START_TEST(routes_are_checked)
{
	check_messages("{\"path\":\"/x\",\"image\":\"i\"}", true, "");
	check_messages("{}", true, "Missing route Image\nMissing route Path\nInvalid Path format");
	check_messages("{\"path\":\"/%zz\",\"image\":\"i\"}", true, "Path malformed");
	check_messages("{\"path\":\"http://h/p\",\"image\":\"i\"}", true,
		       "Dynamic URL is not allowed\nInvalid Path format");
	check_messages("{\"path\":\"/x\",\"image\":\"i\",\"type\":\"Sync\",\"format\":\"json\",\"max_concurrency\":-1,"
		       "\"timeout\":-1,\"idle_timeout\":-1}",
		       true,
		       "Invalid route Type\nInvalid route Format\nNegative MaxConcurrency\nNegative timeout\n"
		       "Negative idle timeout");
	check_messages("{\"type\":\"x\"}", false, "Invalid route Type");
	check_messages("{}", false, "");
	check_messages("{\"network\":\"wlan\"}", false, "Invalid route network: none, bridge and host are known");
	check_messages("{\"gpu\":{\"count\":1,\"memroy\":1}}", false,
		       "Invalid route gpu: unknown key \"memroy\", did you mean \"memory\"?");
	check_messages("{\"gpu\":{\"memory\":\"1MB\"}}", false,
		       "Invalid route gpu: memory: a size such as \"512MiB\" is expected");
	check_messages("{\"gpu\":2,\"network\":\"none\",\"warm\":1}", false, "");
}
END_TEST

static void check_text(void (*write)(const void *, struct text *), const void *object, const char *expected)
{
	struct text out = {0};

	write(object, &out);
	ck_assert(!out.failed);
	ck_assert_str_eq(out.data, expected);
	text_done(&out);
}

static void write_route(const void *route, struct text *out)
{
	route_write(route, out);
}

static void write_app(const void *app, struct text *out)
{
	app_write(app, out);
}

START_TEST(a_route_has_its_defaults_and_its_order)
{
	struct route route = made("{\"path\":\"//hello/\",\"image\":\"iron/hello\",\"app_name\":\"a\"}");

	ck_assert_int_eq(route_complete(&route), 0);
	check_text(write_route, &route,
		   "{\"app_name\":\"a\",\"path\":\"/hello\",\"image\":\"iron/hello\",\"memory\":128,\"headers\":{},"
		   "\"type\":\"sync\",\"format\":\"default\",\"max_concurrency\":1,\"timeout\":30,\"idle_timeout\":0,"
		   "\"config\":{},\"jwt_key\":\"\"}");
	route_done(&route);
}
END_TEST

START_TEST(patches_merge)
{
	struct route route =
		made("{\"path\":\"/x\",\"image\":\"i\",\"app_name\":\"a\",\"config\":{\"B\":\"1\",\"D\":\"2\"},"
		     "\"headers\":{\"x-old\":[\"1\"],\"X-Two\":[\"2\"]},\"jwt_key\":\"k\"}");
	struct route patch =
		made("{\"memory\":0,\"timeout\":7,\"jwt_key\":\"\",\"config\":{\"A\":\"0\",\"B\":\"\"},"
		     "\"headers\":{\"X-OLD\":[\"3\"],\"x-two\":[],\"x-new\":[\"4\",\"5\"]},\"gpu\":{\"count\":2}}");

	ck_assert_int_eq(route_complete(&route), 0);
	ck_assert_int_eq(route_merge(&route, &patch), 0);
	check_text(write_route, &route,
		   "{\"app_name\":\"a\",\"path\":\"/x\",\"image\":\"i\",\"memory\":128,"
		   "\"headers\":{\"X-New\":[\"4\",\"5\"],\"X-Old\":[\"3\"]},"
		   "\"type\":\"sync\",\"format\":\"default\",\"max_concurrency\":1,\"timeout\":7,\"idle_timeout\":0,"
		   "\"config\":{\"A\":\"0\",\"D\":\"2\"},\"jwt_key\":\"k\",\"gpu\":{\"count\":2}}");
	route_done(&patch);
	patch = made("{\"gpu\":{}}");
	ck_assert_int_eq(route_merge(&route, &patch), 0);
	ck_assert_ptr_null(route.gpu);
	route_done(&patch);
	route_done(&route);
}
END_TEST

START_TEST(app_config_is_null_until_it_is_given)
{
	struct app app = {0}, patch = {0};
	json_t *value = body("{\"name\":\"a\",\"routes\":[{\"path\":\"/x\"}]}");

	ck_assert_int_eq(app_read(value, &app), 0);
	json_decref(value);
	check_text(write_app, &app, "{\"name\":\"a\",\"config\":null}");
	ck_assert_int_eq(app_merge(&app, &patch), 0);
	check_text(write_app, &app, "{\"name\":\"a\",\"config\":null}");
	value = body("{\"config\":{}}");
	ck_assert_int_eq(app_read(value, &patch), 0);
	json_decref(value);
	ck_assert_int_eq(app_merge(&app, &patch), 0);
	check_text(write_app, &app, "{\"name\":\"a\",\"config\":{}}");
	app_done(&app);
	app_done(&patch);
	value = body("{\"name\":\"a\",\"routes\":[{\"path\":5}]}");
	ck_assert_int_lt(app_read(value, &app), 0);
	json_decref(value);
}
END_TEST

/* What lies behind the bytes is not theirs, also where it would make a sequence whole. */
START_TEST(bytes_end_where_they_end)
{
	static const char bytes[] = "\xe7\x80\x80\xf0\x90\x80\x80";
	static const struct {
		size_t from, length;
		bool whole;
		const char *wanted;
	} rows[] = {
		{0, 3, true, "\"\xe7\x80\x80\""},     {0, 2, false, "\"\\ufffd\\ufffd\""}, {0, 1, false, "\"\\ufffd\""},
		{3, 4, true, "\"\xf0\x90\x80\x80\""}, {3, 1, false, "\"\\ufffd\""},	   {0, 0, true, "\"\""},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		_cleanup_(text_done) struct text text = {0};

		ck_assert(text_json_bytes(&text, bytes + rows[i].from, rows[i].length) == rows[i].whole);
		ck_assert_str_eq(text.data, rows[i].wanted);
	}
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("model");
	TCase *all = tcase_create("all");

	tcase_add_test(all, only_the_first_value_counts);
	tcase_add_test(all, keys_match_in_any_case_and_the_last_wins);
	tcase_add_test(all, wrong_types_fail_the_whole_body);
	tcase_add_test(all, app_names_are_checked);
	tcase_add_test(all, routes_are_checked);
	tcase_add_test(all, a_route_has_its_defaults_and_its_order);
	tcase_add_test(all, patches_merge);
	tcase_add_test(all, app_config_is_null_until_it_is_given);
	tcase_add_test(all, bytes_end_where_they_end);
	suite_add_tcase(suite, all);
	return suite;
}
