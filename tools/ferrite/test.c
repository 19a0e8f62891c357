/* ferrite test: the tests of a function file, each one call whose output is compared byte for byte. */
#include "supervisor/util.h"
#include "tools/ferrite/commands.h"
#include "tools/ferrite/output.h"
#include "tools/ferrite/trial.h"

#include <string.h>

#define DIFFERENCE_LINES_MAX 20
/* The service writes down what a call said after it has answered it, and the last lines when its instance has ended. */
#define LOG_TRIES      100
#define LOG_PAUSE_US   50000
#define LOG_LAST_TRIES 20

struct outcome {
	bool passed;
	double ms;
	char message[2 * ERR_TEXT_MAX]; /* why it failed */
	const char *what;		/* the stream that differs: "out" or "err"; NULL: none */
	const char *wanted;
	char *got; /* terminated */
	size_t got_length;
};

struct run {
	struct trial *trial;
	bool remote;
	json_t *results;
	unsigned passed, failed;
};

/* --- differences -------------------------------------------------------------------------------------------------- */

/* Length of the line at TEXT with its line feed. */
static size_t line_length(const char *text, size_t length)
{
	const char *end = memchr(text, '\n', length);

	return end ? (size_t)(end - text) + 1 : length;
}

static void print_line(char mark, const char *line, size_t length)
{
	bool ended = line[length - 1] == '\n';

	printf("     %c ", mark);
	output_escaped(stdout, line, ended ? length - 1 : length);
	puts(ended ? "" : "  (no newline at its end)");
}

static void print_lines(char mark, const char *text, size_t length)
{
	for (int n = 0; length > 0; n++) {
		size_t line = line_length(text, length);

		if (n == DIFFERENCE_LINES_MAX) {
			printf("     %c … %zu bytes more\n", mark, length);
			return;
		}
		print_line(mark, text, line);
		text += line;
		length -= line;
	}
}

/* What they have in common at their beginning and end is left out, in whole lines. */
static void print_difference(const char *what, const char *wanted, size_t n_wanted, const char *got, size_t n_got)
{
	size_t same = 0, line;

	while ((line = line_length(wanted + same, n_wanted - same)) > 0 && line <= n_got - same &&
	       line_length(got + same, n_got - same) == line && memcmp(wanted + same, got + same, line) == 0)
		same += line;
	printf("     %s, - expected, + got", what);
	if (same > 0)
		printf(", after %zu bytes that are the same", same);
	puts(":");
	print_lines('-', wanted + same, n_wanted - same);
	print_lines('+', got + same, n_got - same);
	if (n_got == same)
		puts("     + (nothing)");
	if (n_wanted == same)
		puts("     - (nothing)");
}

/* --- one test ----------------------------------------------------------------------------------------------------- */

static bool is_text(const char *wanted, const struct client_reply *reply)
{
	return strlen(wanted) == reply->length && memcmp(wanted, reply->body, reply->length) == 0;
}

static bool compare(struct outcome *outcome, const char *what, const char *wanted, const char *got, size_t length)
{
	if (strlen(wanted) == length && memcmp(wanted, got, length) == 0)
		return true;
	outcome->what = what;
	outcome->wanted = wanted;
	outcome->got = malloc(length + 1);
	if (outcome->got) {
		memcpy(outcome->got, got, length);
		outcome->got[length] = '\0';
		outcome->got_length = length;
	}
	(void)snprintf(outcome->message, sizeof(outcome->message), "%s differs",
		       strcmp(what, "out") == 0 ? "its output" : "its standard error");
	return false;
}

static bool compare_log(struct run *run, const struct function_test *test, const char *id, struct outcome *outcome)
{
	_cleanup_free_ char *path = client_path("/v1/apps/%s/calls/%s/log", run->trial->app, id);
	struct client_request request = {.method = "GET", .path = path};
	struct err err = ERR_INIT;
	int n_read = 0;

	for (int i = 0; path && i < LOG_TRIES; i++) {
		_cleanup_(client_reply_done) struct client_reply reply = CLIENT_REPLY_INIT;

		if (i > 0)
			(void)usleep(LOG_PAUSE_US);
		if (client_send(run->trial->cli->client, &request, &reply, &err) < 0)
			break;
		if (reply.status == 200 && (is_text(test->err, &reply) || ++n_read == LOG_LAST_TRIES))
			return compare(outcome, "err", test->err, reply.body, reply.length);
		if (reply.status != 200 && reply.status != 404)
			break;
	}
	(void)snprintf(outcome->message, sizeof(outcome->message), "its standard error cannot be read: %s",
		       *err.text ? err.text : "the service has no log of the call");
	return false;
}

static struct curl_slist *variables_of(const struct function_test *test)
{
	struct curl_slist *headers = NULL;

	for (size_t i = 0; i < test->env.count; i++)
		(void)trial_add_variable(&headers, test->env.items[i].key, test->env.items[i].value);
	return headers;
}

static void try_one(struct run *run, const struct function_test *test, struct outcome *outcome)
{
	_cleanup_(client_reply_done) struct client_reply reply = CLIENT_REPLY_INIT;
	struct curl_slist *headers = variables_of(test);
	char message[ERR_TEXT_MAX];
	struct err err = ERR_INIT;
	int r = trial_call(run->trial, test->in, test->in ? strlen(test->in) : 0, headers, NULL, &reply, &err);

	curl_slist_free_all(headers);
	outcome->ms = reply.total_s * 1000;
	if (r < 0)
		(void)snprintf(outcome->message, sizeof(outcome->message), "%s", err.text);
	else if (reply.status == 202)
		(void)snprintf(
			outcome->message, sizeof(outcome->message),
			"the route is of type async and answers before the function has run; without --remote it "
			"is waited for");
	else if (reply.status >= 400)
		(void)snprintf(outcome->message, sizeof(outcome->message), "%s (HTTP status %ld)",
			       client_message(&reply, message, sizeof(message)), reply.status);
	else
		outcome->passed = (!test->out || compare(outcome, "out", test->out, reply.body, reply.length)) &&
				  (!test->err || run->remote || compare_log(run, test, reply.call_id, outcome));
}

static json_t *result_json(const char *name, const struct outcome *outcome)
{
	json_t *result =
		json_pack("{s:o, s:b, s:f}", "name", output_string(name), "passed", outcome->passed, "ms", outcome->ms);

	if (!outcome->passed)
		(void)json_object_set_new(result, "message", output_string(outcome->message));
	if (outcome->what) {
		(void)json_object_set_new(result, "stream", json_string(outcome->what));
		(void)json_object_set_new(result, "expected", output_string(outcome->wanted));
		(void)json_object_set_new(result, "got", output_string(outcome->got ? outcome->got : ""));
	}
	return result;
}

static void report(struct run *run, const char *name, const struct outcome *outcome)
{
	*(outcome->passed ? &run->passed : &run->failed) += 1;
	if (run->trial->cli->json) {
		(void)json_array_append_new(run->results, result_json(name, outcome));
		return;
	}
	printf("%s ", outcome->passed ? "ok  " : "FAIL");
	output_escaped(stdout, name, strlen(name));
	printf(" (%.1f ms)", outcome->ms);
	if (!outcome->passed) {
		fputs(": ", stdout);
		output_escaped(stdout, outcome->message, strlen(outcome->message));
	}
	putchar('\n');
	if (outcome->what && outcome->got)
		print_difference(outcome->what, outcome->wanted, strlen(outcome->wanted), outcome->got,
				 outcome->got_length);
	(void)fflush(stdout);
}

static void try_all(struct run *run)
{
	const struct function_file *function = run->trial->function;

	for (size_t i = 0; i < function->n_tests && !trial_stopped(); i++) {
		struct outcome outcome = {0};
		char number[32];

		(void)snprintf(number, sizeof(number), "test %zu", i + 1);
		try_one(run, &function->tests[i], &outcome);
		report(run, function->tests[i].name ? function->tests[i].name : number, &outcome);
		free(outcome.got);
	}
}

/* --- the command -------------------------------------------------------------------------------------------------- */

/* What is wrong with the tests themselves is said before anything is made. */
static enum cli_exit check_tests(struct cli *cli, const struct function_file *function)
{
	if (function->n_tests == 0)
		return cli_fail(cli, CLI_USAGE, "%s has no tests", function->file_name);
	for (size_t i = 0; i < function->n_tests; i++) {
		const struct function_test *test = &function->tests[i];

		for (size_t v = 0; v < test->env.count; v++) {
			struct curl_slist *headers = NULL;
			bool good = trial_add_variable(&headers, test->env.items[v].key, test->env.items[v].value);

			curl_slist_free_all(headers);
			if (!good)
				return cli_fail(cli, CLI_USAGE,
						"%s:%u: the variable \"%s\" cannot travel as a header: its name has "
						"blanks or means something to HTTP, or its value has line feeds",
						function->file_name, test->line, test->env.items[v].key);
		}
	}
	return CLI_OK;
}

static enum cli_exit check_file(struct cli *cli, const char *dir)
{
	_cleanup_(function_file_release) struct function_file *function = NULL;
	struct err err = ERR_INIT;

	if (function_file_load(dir, &function, &err) < 0)
		return cli_fail(cli, CLI_USAGE, "%s", err.text);
	return check_tests(cli, function);
}

static void report_sums(struct cli *cli, const struct run *run, unsigned skipped)
{
	if (cli->json) {
		json_t *document = json_pack("{s:O, s:i, s:i, s:i}", "tests", run->results, "passed", (int)run->passed,
					     "failed", (int)run->failed, "skipped", (int)skipped);

		output_json(document);
		json_decref(document);
	} else {
		printf("%u passed, %u failed, %u skipped\n", run->passed, run->failed, skipped);
	}
}

enum cli_exit function_test(struct cli *cli)
{
	const char *dir = cli->n_args > 0 ? cli->args[0] : ".", *app = cli_value(cli, "remote");
	const char *path = cli_value(cli, "path");
	struct trial trial = TRIAL_INIT;
	struct run run = {.trial = &trial, .remote = app != NULL};
	enum cli_exit status = CLI_USAGE;

	if (path && !app)
		return cli_fail(cli, CLI_USAGE, "--path says where the function of --remote APP is");
	status = check_file(cli, dir);
	if (status != CLI_OK)
		return status;
	status = app ? trial_begin_remote(cli, dir, app, path, &trial) : trial_begin(cli, dir, &trial);
	if (status == CLI_OK) {
		run.results = json_array();
		try_all(&run);
		report_sums(cli, &run, (unsigned)trial.function->n_tests - run.passed - run.failed);
		status = run.failed > 0 || trial_stopped() ? CLI_FAILED : CLI_OK;
	}
	trial_end(&trial);
	json_decref(run.results);
	return status;
}
