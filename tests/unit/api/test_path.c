#include "api/path.h"

#include "supervisor/util.h"

#include <string.h>

#include "tests/unit/main.h"

static const char *cleaned(const char *path)
{
	static char buffer[256];

	ck_assert_uint_lt(strlen(path), sizeof(buffer));
	strcpy(buffer, path);
	path_clean(buffer);
	return buffer;
}

START_TEST(paths_are_cleaned_as_go_does)
{
	static const struct {
		const char *path, *clean;
	} rows[] = {
		{"/", "/"},	      {"//", "/"},
		{"/a", "/a"},	      {"/a/", "/a"},
		{"//a//b//", "/a/b"}, {"/a/../b", "/b"},
		{"/../../b", "/b"},   {"/./a/.", "/a"},
		{"/a/..", "/"},	      {"/..a/b..", "/..a/b.."},
		{"/a/./../c", "/c"},  {"/...", "/..."},
		{"/a b/c", "/a b/c"}, {"/x/y/../../..", "/"},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		ck_assert_str_eq(cleaned(rows[i].path), rows[i].clean);
}
END_TEST

/* Whatever comes in: the result is absolute, has no empty, "." or ".." segment, and cleaning it again changes nothing.
 */
START_TEST(cleaning_is_idempotent)
{
	static const char letters[] = "/./a";
	unsigned state = 12345;

	for (int round = 0; round < 20000; round++) {
		char path[64] = "/", once[64];
		size_t length = 1 + (state >> 8) % 30;

		for (size_t i = 1; i <= length; i++) {
			state = state * 1664525 + 1013904223;
			path[i] = letters[(state >> 16) % 4];
		}
		path[length + 1] = '\0';
		path_clean(path);
		ck_assert_int_eq(path[0], '/');
		ck_assert_ptr_null(strstr(path, "//"));
		ck_assert_msg(!strstr(path, "/../") && !strstr(path, "/./"), "%s", path);
		strcpy(once, path);
		path_clean(path);
		ck_assert_str_eq(path, once);
	}
}
END_TEST

START_TEST(targets_are_decoded)
{
	static const struct {
		const char *target, *path;
	} good[] = {
		{"/a%2Fb?x=1", "/a/b"}, {"/a%20b", "/a b"},	    {"http://h:1/x?y", "/x"},
		{"http://h", "/"},	{"/%C3%A9#f", "/\xc3\xa9"}, {"/", "/"},
	};
	static const char *const bad[] = {"/%", "/%4", "/%zz", "/a%00b", "*", "host:80", ""};
	char buffer[64];

	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		ck_assert_int_eq(path_decode(good[i].target, buffer), 0);
		ck_assert_str_eq(buffer, good[i].path);
	}
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		ck_assert_msg(path_decode(bad[i], buffer) == -EINVAL, "accepted %s", bad[i]);
}
END_TEST

START_TEST(query_parameters_are_found)
{
	_cleanup_(text_done) struct text value = {0};

	ck_assert(path_query("/r?a=1&payload=x+y%26z&b", "payload", &value));
	ck_assert_str_eq(value.data, "x y&z");
	text_done(&value);
	ck_assert(path_query("/r?payload", "payload", &value));
	ck_assert_str_eq(value.data, "");
	ck_assert(!path_query("/r?xpayload=1", "payload", &value));
	ck_assert(!path_query("/r?payload=%", "payload", &value));
	ck_assert(!path_query("/r", "payload", &value));
}
END_TEST

static bool match(const char *pattern, const char *path, const char *app, const char *rest)
{
	static char buffer[128];
	struct path_match found;

	strcpy(buffer, path);
	if (!path_match(pattern, buffer, &found))
		return false;
	ck_assert_int_eq(!app, !found.app);
	ck_assert_int_eq(!rest, !found.rest);
	if (app)
		ck_assert_str_eq(found.app, app);
	if (rest)
		ck_assert_str_eq(found.rest, rest);
	return true;
}

START_TEST(patterns_match)
{
	ck_assert(match("/", "/", NULL, NULL));
	ck_assert(match("/v1/apps", "/v1/apps", NULL, NULL));
	ck_assert(match("/v1/apps", "/v1/apps/", NULL, NULL));
	ck_assert(!match("/v1/apps", "/v1/apps//", NULL, NULL));
	ck_assert(!match("/v1/apps", "/v1/app", NULL, NULL));
	ck_assert(match("/v1/apps/:", "/v1/apps/x", "x", NULL));
	ck_assert(match("/v1/apps/:", "/v1/apps/x/", "x", NULL));
	ck_assert(!match("/v1/apps/:", "/v1/apps/", NULL, NULL));
	ck_assert(!match("/v1/apps/:", "/v1/apps/x/y", NULL, NULL));
	ck_assert(match("/v1/apps/:/routes", "/v1/apps/x/routes/", "x", NULL));
	ck_assert(match("/v1/apps/:/routes/*", "/v1/apps/x/routes/", "x", "/"));
	ck_assert(match("/v1/apps/:/routes/*", "/v1/apps/x/routes//a/b/", "x", "//a/b/"));
	ck_assert(!match("/v1/apps/:/routes/*", "/v1/apps/x/routes", NULL, NULL));
	ck_assert(match("/r/:/*", "/r/app/hello/x", "app", "/hello/x"));
	ck_assert(match("/r/:/*", "/r/app/", "app", "/"));
	ck_assert(!match("/r/:/*", "/r/app", NULL, NULL));
	ck_assert(!match("/r/:/*", "/r//x", NULL, NULL));
}
END_TEST

START_TEST(urls_are_checked)
{
	ck_assert(path_is_url("/a%20b \xc3\xa9"));
	ck_assert(!path_is_url("/a%2"));
	ck_assert(!path_is_url("/a\n"));
	ck_assert(!path_is_url("/a%gg"));
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("path");
	TCase *all = tcase_create("all");

	tcase_add_test(all, paths_are_cleaned_as_go_does);
	tcase_add_test(all, cleaning_is_idempotent);
	tcase_add_test(all, targets_are_decoded);
	tcase_add_test(all, query_parameters_are_found);
	tcase_add_test(all, patterns_match);
	tcase_add_test(all, urls_are_checked);
	suite_add_tcase(suite, all);
	return suite;
}
