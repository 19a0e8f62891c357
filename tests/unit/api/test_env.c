#include "api/env.h"

#include "supervisor/util.h"

#include <string.h>

#include "tests/unit/main.h"

static struct env *env;

static void open_env(void)
{
	env = calloc(1, sizeof(*env));
	ck_assert_ptr_nonnull(env);
}

static void close_env(void)
{
	env_done(env);
	free(env);
}

START_TEST(later_values_replace_earlier_ones)
{
	env_set(env, "A", "1");
	env_put(env, "B=2=3");
	env_set(env, "A", "4");
	env_put(env, "no equals");
	env_put(env, "=nameless");
	ck_assert_uint_eq(env->n, 2);
	ck_assert_str_eq(env_get(env, "A"), "4");
	ck_assert_str_eq(env_get(env, "B"), "2=3");
	ck_assert_ptr_null(env_get(env, "a"));
}
END_TEST

START_TEST(config_keys_become_names)
{
	env_set_config(env, "Route.Key", "1");
	env_set_config(env, "a-b c", "2");
	env_set_config(env, "x=y\n", "3");
	ck_assert_str_eq(env_get(env, "ROUTE.KEY"), "1");
	ck_assert_str_eq(env_get(env, "A_B C"), "2");
	ck_assert_str_eq(env_get(env, "X_Y_"), "3");
}
END_TEST

START_TEST(sec_F5_headers_become_variables)
{
	static const struct http_header headers[] = {
		{"Host", "h"},	  {"X-Foo.Bar", "1"}, {"x-twice", "a"},	     {"Transfer-Encoding", "chunked"},
		{"X-Twice", "b"}, {"X$(id)", "2"},    {"Authorization", "t"}};
	const struct http_request request = {.headers = headers, .n_headers = ARRAY_LEN(headers)};

	env_set(env, "HEADER_X_TWICE", "config");
	env_set_headers(env, &request);
	ck_assert_str_eq(env_get(env, "HEADER_X_FOO.BAR"), "1");
	ck_assert_str_eq(env_get(env, "HEADER_X_TWICE"), "a b");
	ck_assert_str_eq(env_get(env, "HEADER_X__ID_"), "2");
	ck_assert_str_eq(env_get(env, "HEADER_AUTHORIZATION"), "t");
	ck_assert_ptr_null(env_get(env, "HEADER_HOST"));
	ck_assert_ptr_null(env_get(env, "HEADER_TRANSFER_ENCODING"));
}
END_TEST

START_TEST(number_and_bytes_are_bounded)
{
	_cleanup_free_ char *big = malloc(ENV_BYTES_MAX + 1);
	char name[16];

	ck_assert_ptr_nonnull(big);
	memset(big, 'x', ENV_BYTES_MAX);
	big[ENV_BYTES_MAX] = '\0';
	env_set(env, "BIG", big);
	ck_assert(env->overflow);
	ck_assert_uint_eq(env->n, 0);
	env_clear(env);
	for (int i = 0; i <= SBX_ENV_MAX; i++) {
		ck_assert_int_eq(env->overflow, i > SBX_ENV_MAX);
		(void)snprintf(name, sizeof(name), "N%d", i);
		env_set(env, name, "");
	}
	ck_assert(env->overflow);
	ck_assert_uint_eq(env->n, SBX_ENV_MAX);
	/* One that is there can still be changed. */
	env->overflow = false;
	env_set(env, "N0", "new");
	ck_assert(!env->overflow);
	ck_assert_str_eq(env_get(env, "N0"), "new");
}
END_TEST

START_TEST(requests_are_framed)
{
	_cleanup_(text_done) struct text frame = {0};

	env_set(env, "METHOD", "POST");
	env_set(env, "ROUTE", "/raw");
	env_set(env, "HEADER_X_FOO", "bar");
	env_set(env, "APP-KEY", "two\r\nlines");
	env_set(env, "A KEY", "no token");
	env_set(env, "CONTENT-LENGTH", "999");
	env_frame(env, "the-id", 8, true, &frame);
	ck_assert_str_eq(frame.data, "GET / HTTP/1.1\r\n"
				     "App-Key: two  lines\r\n"
				     "Content-Length: 8\r\n"
				     "Fn_format: http\r\n"
				     "Header_x_foo: bar\r\n"
				     "Method: POST\r\n"
				     "Route: /raw\r\n"
				     "Task-Id: the-id\r\n"
				     "\r\n");
}
END_TEST

/* Any header name and value give well-formed variables and a well-formed frame: no line but ours, no name but ours. */
START_TEST(nothing_escapes_its_line)
{
	unsigned state = 99;

	for (int round = 0; round < 3000; round++) {
		char name[12], value[24];
		struct http_header header = {name, value};
		const struct http_request request = {.headers = &header, .n_headers = 1};
		struct text frame = {0};
		size_t lines = 0;

		for (size_t i = 0; i < sizeof(name) - 1; i++)
			name[i] = (char)(1 + (state = state * 1664525 + 1013904223) / 65536 % 255);
		for (size_t i = 0; i < sizeof(value) - 1; i++)
			value[i] = (char)(1 + (state = state * 1664525 + 1013904223) / 65536 % 255);
		name[sizeof(name) - 1] = value[sizeof(value) - 1] = '\0';
		env_clear(env);
		env_set_headers(env, &request);
		env_set_config(env, name, value);
		for (unsigned i = 0; i < env->n; i++)
			ck_assert_uint_eq(strcspn(env_entry(env, i), "="), env->entries[i].name_length);
		env_frame(env, "id", 0, false, &frame);
		for (const char *at = frame.data; (at = strstr(at, "\n")) != NULL; at++) {
			ck_assert_int_eq(at[-1], '\r');
			lines++;
		}
		ck_assert_uint_le(lines, env->n + 4);
		ck_assert_uint_eq(strlen(frame.data), frame.length);
		text_done(&frame);
	}
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("env");
	TCase *all = tcase_create("all");

	tcase_add_checked_fixture(all, open_env, close_env);
	tcase_add_test(all, later_values_replace_earlier_ones);
	tcase_add_test(all, config_keys_become_names);
	tcase_add_test(all, sec_F5_headers_become_variables);
	tcase_add_test(all, number_and_bytes_are_bounded);
	tcase_add_test(all, requests_are_framed);
	tcase_add_test(all, nothing_escapes_its_line);
	suite_add_tcase(suite, all);
	return suite;
}
