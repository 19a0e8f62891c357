#include "supervisor/settings.h"

#include "supervisor/listen.h"
#include "supervisor/str.h"
#include "supervisor/util.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <string.h>

#include "tests/unit/main.h"

static struct settings settings;

static const char *get(const char *key)
{
	for (int i = 0; i < SETTING_MAX; i++)
		if (strcmp(settings_key((enum setting)i), key) == 0)
			return settings_get(&settings, (enum setting)i);
	ck_abort_msg("no key %s", key);
	return NULL;
}

START_TEST(values_are_normalised)
{
	static const char *const cases[][3] = {
		{"max_waiting", "0", "0"},
		{"max_waiting", "007", "7"},
		{"max_waiting", "", ""},
		{"max_body_bytes", "64KiB", "65536"},
		{"memory_total", "512", "512"},
		{"memory_total", "2GiB", "2048"},
		{"memory_bytes", "16MiB", "16777216"},
		{"drain_timeout", "15", "15"},
		{"drain_timeout", "1500ms", "1.500"},
		{"drain_timeout", "2min", "120"},
		{"drain_timeout", "1h", "3600"},
		{"drain_timeout", "0", "0"},
		{"state_dir", "/a//", "/a"},
		{"state_dir", "/", "/"},
		{"library_dirs", "/a:/b", "/a:/b"},
		{"library_dirs", "", ""},
		{"gpu", "none", "none"},
		{"listen", "none", "none"},
		{"listen", "*:1,[::1]:2  127.0.0.1:65535", "*:1 [::1]:2 127.0.0.1:65535"},
		{"uid_base", "65536", "65536"},
		{"jwt_auth_key", "a = b # c", "a = b # c"},
	};

	settings_default(&settings);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct err err = ERR_INIT;

		ck_assert_msg(settings_set(&settings, "test", cases[i][0], cases[i][1], &err) == 0, "%s", err.text);
		ck_assert_msg(strcmp(get(cases[i][0]), cases[i][2]) == 0, "%s = %s became %s", cases[i][0], cases[i][1],
			      get(cases[i][0]));
	}
}
END_TEST

START_TEST(values_that_do_not_fit_change_nothing)
{
	static char long_value[2 * SETTING_VALUE_MAX];
	static const char *const cases[][2] = {
		{"max_waiting", "-1"},
		{"max_waiting", "1.5"},
		{"max_waiting", "100001"},
		{"max_waiting", " 1"},
		{"max_body_bytes", "1"},
		{"max_body_bytes", "1TB"},
		{"max_body_bytes", "99999999999GiB"},
		{"memory_total", "0"},
		{"drain_timeout", ""},
		{"drain_timeout", "-1"},
		{"drain_timeout", "1 s"},
		{"drain_timeout", "61min"},
		{"drain_timeout", "99999999999999999999999999s"},
		{"state_dir", ""},
		{"state_dir", "relative"},
		{"library_dirs", "/a:b"},
		{"library_dirs", ":/a"},
		{"gpu", ""},
		{"gpu", "AUTO"},
		{"listen", ""},
		{"listen", "8080"},
		{"listen", "host:80"},
		{"listen", "1.2.3:80"},
		{"listen", "1.2.3.4:65536"},
		{"listen", "::1:80"},
		{"listen", "[::1]"},
		{"listen", "none none"},
		{"uid_base", "70000"},
		{"uid_base", "0"},
		{"uid_base", "4294967296"},
		{"log_level", "loud"},
		{"jwt_auth_key", "a\nb"},
		{"state_dir", "/a\x01"},
		{"jwt_auth_key", long_value},
		{"state_dir", long_value},
	};

	memset(long_value, '/', sizeof(long_value) - 1);
	settings_default(&settings);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct err err = ERR_INIT;
		char before[SETTING_VALUE_MAX];

		ck_assert(str_copy(before, sizeof(before), get(cases[i][0])));
		ck_assert_msg(settings_set(&settings, "file:1", cases[i][0], cases[i][1], &err) == -EINVAL,
			      "%s = %.50s was accepted", cases[i][0], cases[i][1]);
		ck_assert_msg(strstr(err.text, "file:1: ") == err.text && strstr(err.text, cases[i][0]), "%s",
			      err.text);
		ck_assert_str_eq(get(cases[i][0]), before);
	}
}
END_TEST

START_TEST(sec_L6_secrets_are_not_in_errors)
{
	struct err err = ERR_INIT;

	settings_default(&settings);
	ck_assert_int_lt(settings_set(&settings, "test", "jwt_auth_key", "geheim\n", &err), 0);
	ck_assert_msg(!strstr(err.text, "geheim"), "%s", err.text);
}
END_TEST

START_TEST(unknown_keys_get_the_nearest)
{
	struct err err = ERR_INIT;

	settings_default(&settings);
	ck_assert_int_eq(settings_set(&settings, "f:3", "memory_totl", "1", &err), -ENOENT);
	ck_assert_str_eq(err.text, "f:3: unknown setting \"memory_totl\", did you mean \"memory_total\"?");
	ck_assert_int_eq(settings_set(&settings, "f:3", "qqqqqqqqqqqqqqq", "1", &err), -ENOENT);
	ck_assert_str_eq(err.text, "f:3: unknown setting \"qqqqqqqqqqqqqqq\"");
}
END_TEST

START_TEST(files_are_strict)
{
	static const char *const bad[][2] = {
		{"gpu", "f:1: expected"},
		{"log_level = loud\n", "f:1: log_level = \"loud\": Invalid log level. expected"},
		{"\n\ngpu none\n", "f:3: expected"},
		{"gpu = none\ngpu = none", "f:2: gpu is given a second time"},
		{"= 1", "unknown setting \"\""},
		{"gpu = none # comment", "f:1: gpu"},
		{"GPU = none", "unknown setting \"GPU\""},
		{"gpu = \"none\"", "f:1: gpu"},
	};
	struct err err = ERR_INIT;

	settings_default(&settings);
	ck_assert_msg(
		settings_parse(
			&settings, "f",
			"# a comment\n\n  gpu=none  \r\nlisten = *:80\n\tlisten = [::1]:81\n  # more\nmax_waiting =",
			&err) == 0,
		"%s", err.text);
	ck_assert_str_eq(get("gpu"), "none");
	ck_assert_str_eq(get("listen"), "*:80 [::1]:81");
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		ck_assert_msg(settings_parse(&settings, "f", bad[i][0], &err) < 0, "accepted %s", bad[i][0]);
		ck_assert_msg(strstr(err.text, bad[i][1]), "%s gives %s", bad[i][0], err.text);
	}
}
END_TEST

START_TEST(the_environment_has_two_kinds_of_names)
{
	char *const environment[] = {(char *)"FERRITE_LOG_LEVEL=warn",
				     (char *)"LOG_LEVEL=debug",
				     (char *)"PORT=81",
				     (char *)"JWT_AUTH_KEY=k=v",
				     (char *)"FERRITE_GPU=",
				     (char *)"GPU=none",
				     (char *)"FERRITE_GPUU=none",
				     (char *)"FERRITE_API=x",
				     (char *)"PATH",
				     NULL};
	char *const bad_port[] = {(char *)"PORT=65536", NULL};
	char *const bad_value[] = {(char *)"FERRITE_MAX_WAITING=x", NULL};
	struct err err = ERR_INIT;
	char unknown[64];

	settings_default(&settings);
	ck_assert_int_eq(settings_environment(&settings, environment, unknown, sizeof(unknown), &err), 0);
	ck_assert_str_eq(get("log_level"), "warn");
	ck_assert_str_eq(get("listen"), "*:81");
	ck_assert_str_eq(get("jwt_auth_key"), "k=v");
	ck_assert_str_eq(get("gpu"), "auto");
	ck_assert_str_eq(unknown, "FERRITE_GPUU");
	ck_assert_int_lt(settings_environment(&settings, bad_port, unknown, sizeof(unknown), &err), 0);
	ck_assert_msg(strstr(err.text, "PORT"), "%s", err.text);
	ck_assert_int_lt(settings_environment(&settings, bad_value, unknown, sizeof(unknown), &err), 0);
	ck_assert_msg(strstr(err.text, "FERRITE_MAX_WAITING: "), "%s", err.text);
}
END_TEST

START_TEST(servers_get_their_settings_and_no_others)
{
	char buffer[16384];
	size_t used = 0;
	uint32_t n = 0;
	bool has_secret = false;

	settings_default(&settings);
	ck_assert_int_eq(settings_set(&settings, "test", "jwt_auth_key", "geheim", NULL), 0);
	ck_assert_int_eq(settings_set(&settings, "test", "memory_total", "2GiB", NULL), 0);
	for (int peer = PEER_API; peer < PEER_MAX; peer++) {
		char *list[SETTING_MAX + 1];

		used = n = 0;
		ck_assert(settings_pack(&settings, (enum peer)peer, buffer, sizeof(buffer), &used, &n));
		ck_assert_int_eq(str_unpack(buffer, used, n, list), (long)used);
		for (unsigned i = 0; i < n; i++) {
			ck_assert_ptr_nonnull(strchr(list[i], '='));
			has_secret |= strstr(list[i], "geheim") != NULL;
			if (strncmp(list[i], "memory_total", 12) == 0)
				ck_assert_str_eq(list[i], "memory_total=2048MiB");
			/* Empty numbers are the server's own business. */
			ck_assert_str_ne(list[i], "max_waiting=");
		}
		ck_assert_int_eq(has_secret, peer == PEER_API);
		has_secret = false;
	}
	used = n = 0;
	ck_assert(!settings_pack(&settings, PEER_API, buffer, 40, &used, &n));
}
END_TEST

START_TEST(times_keep_their_milliseconds)
{
	settings_default(&settings);
	ck_assert_int_eq(settings_set(&settings, "t", "heartbeat_interval", "1234ms", NULL), 0);
	ck_assert_uint_eq(settings_time_us(&settings, SETTING_HEARTBEAT_INTERVAL), 1234000);
	ck_assert_int_eq(settings_set(&settings, "t", "heartbeat_interval", "20ms", NULL), 0);
	ck_assert_uint_eq(settings_time_us(&settings, SETTING_HEARTBEAT_INTERVAL), 20000);
	ck_assert_int_eq(settings_set(&settings, "t", "heartbeat_interval", "3", NULL), 0);
	ck_assert_uint_eq(settings_time_us(&settings, SETTING_HEARTBEAT_INTERVAL), 3000000);
}
END_TEST

/* The page is for people; that it names every key and the right default is for machines to check. */
START_TEST(the_manual_describes_every_setting)
{
	_cleanup_free_ char *page = NULL;
	struct err err = ERR_INIT;

	ck_assert_msg(file_read(AT_FDCWD, "docs/man/ferrited.conf.5", MIB, &page, &err) > 0, "%s", err.text);
	for (int i = 0; i < SETTING_MAX; i++) {
		const char *key = settings_key((enum setting)i), *item;
		char wanted[128];

		(void)snprintf(wanted, sizeof(wanted), "\n.It Ic %s", key);
		item = strstr(page, wanted);
		ck_assert_msg(item, "%s is not described", key);
		item += strlen(wanted);
		ck_assert_msg(settings_reloadable((enum setting)i) == (strncmp(item, " Pq *\n", 6) == 0),
			      "%s: the page does not say whether SIGHUP is enough", key);
	}
}
END_TEST

START_TEST(addresses_are_numeric)
{
	struct listen_address a;
	const struct sockaddr_in *in = (const void *)&a.address;
	const struct sockaddr_in6 *in6 = (const void *)&a.address;

	ck_assert_int_eq(listen_parse("127.0.0.2:80", &a, NULL), 0);
	ck_assert(in->sin_family == AF_INET && in->sin_port == htons(80) && in->sin_addr.s_addr == htonl(0x7f000002));
	ck_assert_int_eq(listen_parse("localhost:0", &a, NULL), 0);
	ck_assert(in->sin_addr.s_addr == htonl(INADDR_LOOPBACK) && a.port == 0);
	ck_assert_int_eq(listen_parse("[::1]:81", &a, NULL), 0);
	ck_assert(in6->sin6_family == AF_INET6 && IN6_IS_ADDR_LOOPBACK(&in6->sin6_addr) && !a.wildcard);
	ck_assert_int_eq(listen_parse(":82", &a, NULL), 0);
	ck_assert(in6->sin6_family == AF_INET6 && a.wildcard);
	ck_assert_int_eq(listen_parse("*:82", &a, NULL), 0);
	ck_assert(a.wildcard && a.port == 82);
}
END_TEST

START_TEST(groups_are_found_in_the_file)
{
	static const char file[] = "root:x:0:\nferrites:x:7:\nferrite:x:999:a,b\nbad\nhuge:x:99999999999999999999:\n"
				   "none:x::\nneg:x:-1:\nlast:x:5";

	ck_assert_uint_eq(listen_find_group(file, "root"), 0);
	ck_assert_uint_eq(listen_find_group(file, "ferrite"), 999);
	ck_assert_uint_eq(listen_find_group(file, "bad"), (gid_t)-1);
	ck_assert_uint_eq(listen_find_group(file, "huge"), (gid_t)-1);
	ck_assert_uint_eq(listen_find_group(file, "none"), (gid_t)-1);
	ck_assert_uint_eq(listen_find_group(file, "neg"), (gid_t)-1);
	ck_assert_uint_eq(listen_find_group(file, "last"), (gid_t)-1);
	ck_assert_uint_eq(listen_find_group(file, "nobody"), (gid_t)-1);
	ck_assert_uint_eq(listen_find_group("", "x"), (gid_t)-1);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("settings");
	TCase *tests = tcase_create("settings");

	tcase_add_test(tests, values_are_normalised);
	tcase_add_test(tests, values_that_do_not_fit_change_nothing);
	tcase_add_test(tests, sec_L6_secrets_are_not_in_errors);
	tcase_add_test(tests, unknown_keys_get_the_nearest);
	tcase_add_test(tests, files_are_strict);
	tcase_add_test(tests, the_environment_has_two_kinds_of_names);
	tcase_add_test(tests, servers_get_their_settings_and_no_others);
	tcase_add_test(tests, times_keep_their_milliseconds);
	tcase_add_test(tests, the_manual_describes_every_setting);
	tcase_add_test(tests, addresses_are_numeric);
	tcase_add_test(tests, groups_are_found_in_the_file);
	suite_add_tcase(suite, tests);
	return suite;
}
