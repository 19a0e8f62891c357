#include "supervisor/log.h"
#include "supervisor/util.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>

#include "tests/unit/main.h"

static char text[16384];

/* Runs WRITE in a child whose standard error is a pipe; what it wrote is in text afterwards. */
static void capture(void (*write_lines)(void))
{
	int fds[2], status;
	size_t length = 0;
	ssize_t n;
	pid_t child;

	ck_assert_int_eq(pipe2(fds, O_CLOEXEC), 0);
	child = fork();
	ck_assert_int_ge(child, 0);
	if (child == 0) {
		(void)dup2(fds[1], STDERR_FILENO);
		write_lines();
		_exit(0);
	}
	(void)close(fds[1]);
	while ((n = read(fds[0], text + length, sizeof(text) - 1 - length)) > 0)
		length += (size_t)n;
	text[length] = '\0';
	(void)close(fds[0]);
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert_msg(status == 0, "the child ended with %x", status);
}

static void some_lines(void)
{
	log_open("unit");
	log_info("plain");
	log_info("with fields", LOG_STR("word", "x"), LOG_STR("text", "a \"b\"\n\x1b[31m"), LOG_INT("number", -5),
		 LOG_STR("empty", ""));
	log_debug("hidden");
	(void)log_level_set("debug");
	log_debug("shown");
	(void)log_level_set("error");
	log_warn("hidden again");
}

START_TEST(lines_have_keys_and_are_escaped)
{
	(void)unsetenv("JOURNAL_STREAM");
	capture(some_lines);
	ck_assert_int_eq(strncmp(text, "time=20", 7), 0);
	ck_assert_msg(strstr(text, "Z level=info from=unit msg=plain\n"), "%s", text);
	ck_assert_msg(
		strstr(text, "msg=\"with fields\" word=x text=\"a \\x22b\\x22\\x0a\\x1b[31m\" number=-5 empty=\"\"\n"),
		"%s", text);
	ck_assert(strstr(text, "level=debug from=unit msg=shown"));
	ck_assert(!strstr(text, "hidden"));
}
END_TEST

START_TEST(the_journal_gets_priorities)
{
	(void)setenv("JOURNAL_STREAM", "1:2", 1);
	capture(some_lines);
	(void)unsetenv("JOURNAL_STREAM");
	ck_assert_int_eq(strncmp(text, "<6>time=", 8), 0);
	ck_assert(strstr(text, "<7>time="));
}
END_TEST

static void long_line(void)
{
	static char value[9000];

	log_open("unit");
	memset(value, '\n', sizeof(value) - 1);
	log_info("long", LOG_STR("a", value), LOG_STR("b", value), LOG_STR("c", value), LOG_STR("d", value),
		 LOG_STR("e", value), LOG_STR("f", value));
	log_info("after");
}

START_TEST(long_lines_are_cut_and_stay_one_line)
{
	char *second;

	capture(long_line);
	second = strchr(text, '\n');
	ck_assert_ptr_nonnull(second);
	ck_assert_int_le(second - text, 4200);
	ck_assert_msg(strstr(second, "msg=after\n"), "%s", second);
}
END_TEST

static void unread(void)
{
	int fds[2];

	log_open("unit");
	(void)signal(SIGPIPE, SIG_DFL);
	if (pipe2(fds, O_CLOEXEC) < 0)
		_exit(1);
	(void)dup2(fds[1], STDERR_FILENO);
	(void)close(fds[0]);
	/* Would end the process by SIGPIPE. */
	log_error("nobody reads this");
	if (pipe2(fds, O_CLOEXEC | O_NONBLOCK) < 0)
		_exit(2);
	while (write(fds[1], text, sizeof(text)) > 0)
		;
	(void)fcntl(fds[1], F_SETFL, 0);
	(void)dup2(fds[1], STDERR_FILENO);
	/* Would block for ever. */
	log_error("nobody reads this either");
	(void)close(STDERR_FILENO);
	log_error("and this goes nowhere");
}

START_TEST(a_reader_that_is_gone_or_sleeps_does_no_harm)
{
	capture(unread);
}
END_TEST

START_TEST(level_names_are_those_of_ironfunctions)
{
	static const char *const good[] = {"debug", "info", "warn", "error", "fatal", "panic"};

	for (size_t i = 0; i < ARRAY_LEN(good); i++)
		ck_assert(log_level_set(good[i]));
	ck_assert(!log_level_set("warning"));
	ck_assert(!log_level_set(""));
	ck_assert(!log_level_set("INFO"));
	ck_assert(log_level_set("info"));
	ck_assert(log_enabled(LOG_LEVEL_WARN) && !log_enabled(LOG_LEVEL_DEBUG));
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("log");
	TCase *tests = tcase_create("log");

	tcase_add_test(tests, lines_have_keys_and_are_escaped);
	tcase_add_test(tests, the_journal_gets_priorities);
	tcase_add_test(tests, long_lines_are_cut_and_stay_one_line);
	tcase_add_test(tests, a_reader_that_is_gone_or_sleeps_does_no_harm);
	tcase_add_test(tests, level_names_are_those_of_ironfunctions);
	suite_add_tcase(suite, tests);
	return suite;
}
