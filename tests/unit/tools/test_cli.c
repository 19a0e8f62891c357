/* The command line: words, options, counts and hints, against a table of the test's own. */
#include "supervisor/util.h"
#include "tools/ferrite/cli.h"
#include "tools/ferrite/client.h"
#include "tools/ferrite/output.h"

#include <check.h>
#include <string.h>

static enum cli_exit nothing(struct cli *cli)
{
	(void)cli;
	return CLI_OK;
}

static const struct cli_option thing_options[] = {
	{'s', "size", "BYTES", ""},
	{'v', "verbose", NULL, ""},
	{0, NULL, NULL, NULL},
};

const struct cli_command cli_commands[] = {
	{"things ls", "", "", 0, 0, NULL, nothing},
	{"things add", "NAME...", "", 1, -1, thing_options, nothing},
	{"things color set", "NAME", "", 1, 1, NULL, nothing},
	{"show", "[NAME]", "", 0, 1, thing_options, nothing},
	{0},
};

static struct err err;
static struct cli cli;

/* Parses the words of LINE, which may be quoted nowhere. */
static int parse(const char *line)
{
	static char text[256];
	static char *words[32];
	int n = 0;

	(void)snprintf(text, sizeof(text), "ferrite %s", line);
	cli = (struct cli){0};
	err = ERR_INIT;
	for (char *save = NULL, *word = strtok_r(text, " ", &save); word; word = strtok_r(NULL, " ", &save))
		words[n++] = word;
	words[n] = NULL;
	return cli_parse(&cli, n, words, &err);
}

START_TEST(test_finds_the_longest_command)
{
	ck_assert_int_eq(parse("things add a b"), 0);
	ck_assert_str_eq(cli.command->words, "things add");
	ck_assert_int_eq(cli.n_args, 2);
	ck_assert_str_eq(cli.args[0], "a");
	ck_assert_str_eq(cli.args[1], "b");
	ck_assert_ptr_null(cli.args[2]);
	ck_assert_int_eq(parse("things color set red"), 0);
	ck_assert_str_eq(cli.command->words, "things color set");
	ck_assert_int_eq(parse("things list"), 0);
	ck_assert_str_eq(cli.command->words, "things ls");
}
END_TEST

START_TEST(test_options_stand_anywhere)
{
	ck_assert_int_eq(parse("--api unix:/x --json things add -s 5 a --verbose --size=6 b"), 0);
	ck_assert_str_eq(cli.api, "unix:/x");
	ck_assert(cli.json);
	ck_assert_str_eq(cli_value(&cli, "size"), "6");
	ck_assert_str_eq(cli_value_at(&cli, "size", 0), "5");
	ck_assert_ptr_null(cli_value_at(&cli, "size", 2));
	ck_assert_str_eq(cli_value(&cli, "verbose"), "");
	ck_assert_int_eq(cli.n_args, 2);
	ck_assert_int_eq(parse("show -s5"), 0);
	ck_assert_str_eq(cli_value(&cli, "size"), "5");
	ck_assert_ptr_null(cli_value(&cli, "verbose"));
}
END_TEST

START_TEST(test_dashes_end_the_options)
{
	ck_assert_int_eq(parse("things add -- --size -"), 0);
	ck_assert_int_eq(cli.n_args, 2);
	ck_assert_str_eq(cli.args[0], "--size");
	ck_assert_str_eq(cli.args[1], "-");
	ck_assert_ptr_null(cli_value(&cli, "size"));
}
END_TEST

START_TEST(test_mistakes_are_named)
{
	static const struct {
		const char *line, *text;
	} cases[] = {
		{"thing", "unknown command"},
		{"things ad", "things add"},
		{"shwo", "show"},
		{"things add", "needs NAME..."},
		{"show a b", "unexpected argument \"b\""},
		{"show --siez 5", "--size"},
		{"show --size", "needs a value"},
		{"show --verbose=1", "takes no value"},
		{"show -x", "unknown option -x"},
		{"things ls --size 5", "unknown option"},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		ck_assert_int_eq(parse(cases[i].line), -EINVAL);
		ck_assert_msg(strstr(err.text, cases[i].text), "\"%s\": %s", cases[i].line, err.text);
	}
}
END_TEST

START_TEST(test_too_many_options_are_refused)
{
	static char flag[] = "-v";
	char *words[CLI_OPTIONS_MAX + 4];
	int n = 0;

	words[n++] = (char[]){"ferrite"};
	words[n++] = (char[]){"show"};
	for (int i = 0; i <= CLI_OPTIONS_MAX; i++)
		words[n++] = flag;
	words[n] = NULL;
	cli = (struct cli){0};
	ck_assert_int_eq(cli_parse(&cli, n, words, &err), -EINVAL);
}
END_TEST

START_TEST(test_nothing_and_help_are_no_mistakes)
{
	ck_assert_int_eq(parse(""), 0);
	ck_assert_ptr_null(cli.command);
	ck_assert_int_eq(parse("things add --help"), 0);
	ck_assert_ptr_nonnull(cli_value(&cli, "help"));
}
END_TEST

START_TEST(test_paths_are_encoded)
{
	_cleanup_free_ char *path = client_path("/v1/apps/%s/routes%p?x=%s", "a/b c", "/d e/\xc3\xa9%", "&=");

	ck_assert_str_eq(path, "/v1/apps/a%2Fb%20c/routes/d%20e/%C3%A9%25?x=%26%3D");
}
END_TEST

START_TEST(test_addresses)
{
	static const struct {
		const char *api, *url, *socket;
	} good[] = {
		{"unix:/run/x.sock", "http://localhost", "/run/x.sock"},
		{"http://h:1/", "http://h:1", NULL},
		{"h:1", "http://h:1", NULL},
	};
	static const char *const bad[] = {"unix:", "unix:x", "ftp://h"};
	struct client client = {0};

	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		ck_assert_int_eq(client_open(good[i].api, &client, &err), 0);
		ck_assert_str_eq(client.url, good[i].url);
		ck_assert_pstr_eq(client.socket, good[i].socket);
		client_close(&client);
	}
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		ck_assert_int_eq(client_open(bad[i], &client, &err), -EINVAL);
}
END_TEST

START_TEST(test_strings_of_any_bytes_become_json)
{
	json_t *fine = output_string("caf\xc3\xa9"), *broken = output_string("a\xff\x1b");

	ck_assert_str_eq(json_string_value(fine), "caf\xc3\xa9");
	ck_assert_str_eq(json_string_value(broken), "a\\xff\\x1b");
	json_decref(fine);
	json_decref(broken);
}
END_TEST

START_TEST(test_sizes_and_durations_read_well)
{
	char text[32];

	ck_assert_str_eq(output_bytes(text, 0), "0 B");
	ck_assert_str_eq(output_bytes(text, 1536), "1.5 KiB");
	ck_assert_str_eq(output_bytes(text, 512 * MIB), "512 MiB");
	ck_assert_str_eq(output_bytes(text, UINT64_MAX), "16777216 TiB");
	ck_assert_str_eq(output_duration_us(text, 900), "900 us");
	ck_assert_str_eq(output_duration_us(text, 1500), "1.5 ms");
	ck_assert_str_eq(output_duration_us(text, 3661000000), "1h 1m");
	ck_assert_str_eq(output_duration_us(text, 90000000000), "1d 1h");
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("cli");
	TCase *tests = tcase_create("cli");

	tcase_add_test(tests, test_finds_the_longest_command);
	tcase_add_test(tests, test_options_stand_anywhere);
	tcase_add_test(tests, test_dashes_end_the_options);
	tcase_add_test(tests, test_mistakes_are_named);
	tcase_add_test(tests, test_too_many_options_are_refused);
	tcase_add_test(tests, test_nothing_and_help_are_no_mistakes);
	tcase_add_test(tests, test_paths_are_encoded);
	tcase_add_test(tests, test_addresses);
	tcase_add_test(tests, test_strings_of_any_bytes_become_json);
	tcase_add_test(tests, test_sizes_and_durations_read_well);
	suite_add_tcase(suite, tests);
	return suite;
}

#include "tests/unit/main.h"
