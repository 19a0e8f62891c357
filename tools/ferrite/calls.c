/* ferrite calls, logs: the calls that have ended, and what they wrote on standard error. */
#include "supervisor/str.h"
#include "supervisor/util.h"
#include "tools/ferrite/client.h"
#include "tools/ferrite/commands.h"
#include "tools/ferrite/history.h"
#include "tools/ferrite/output.h"

#include <string.h>

#define LOGS_DEFAULT "10" /* calls whose log is shown where none is named */
#define ID_LENGTH    36

static const char *duration(const json_t *call, const char *key, char *buffer)
{
	const json_t *member = json_object_get(call, key);

	return json_is_integer(member) ? output_duration_us(buffer, (uint64_t)json_integer_value(member)) : NULL;
}

/* What passed before its program had it. */
static const char *waited(const json_t *call, char *buffer)
{
	json_int_t us = json_integer_value(json_object_get(call, "queue_us")) +
			json_integer_value(json_object_get(call, "start_us"));

	return output_duration_us(buffer, (uint64_t)MAX(us, 0));
}

static const char *memory(const json_t *call, char *buffer)
{
	const json_t *peak = json_object_get(call, "memory_peak");

	return json_is_integer(peak) ? output_bytes(buffer, (uint64_t)json_integer_value(peak)) : NULL;
}

/* To the second; all of it is in the JSON. */
static const char *when(const json_t *call, char *buffer, size_t size)
{
	const char *text = json_string_value(json_object_get(call, "completed_at"));

	(void)snprintf(buffer, size, "%.19sZ", text ? text : "");
	return text ? buffer : NULL;
}

static const char *const headings[] = {"CALL",	 "APP",	 "PATH", "ENDED", "OUTCOME",
				       "STATUS", "KIND", "WAIT", "RUN",	  "MEMORY"};

static void add_call(struct output_table *table, const json_t *call)
{
	char unused[8], status[32], ended[32], wait[32], run[32], peak[32];

	output_table_row(table,
			 (const char *const[]){output_member(call, "id", unused, sizeof(unused)),
					       output_member(call, "app", unused, sizeof(unused)),
					       output_member(call, "path", unused, sizeof(unused)),
					       when(call, ended, sizeof(ended)),
					       output_member(call, "outcome", unused, sizeof(unused)),
					       output_member(call, "status", status, sizeof(status)),
					       output_member(call, "start", unused, sizeof(unused)), waited(call, wait),
					       duration(call, "run_us", run), memory(call, peak)});
}

static void print_json_line(const json_t *document)
{
	(void)json_dumpf(document, stdout, JSON_COMPACT | JSON_ENSURE_ASCII);
	putchar('\n');
}

/* The newest last where more may follow, as in a log. */
static void print_calls(const struct cli *cli, const json_t *calls, bool follow)
{
	struct output_table *table = NULL;
	size_t n = json_array_size(calls);

	if (!cli->json) {
		const char *row[ARRAY_LEN(headings) + 1] = {0};

		memcpy(row, headings, sizeof(headings));
		table = output_table_new(row);
	}
	for (size_t i = 0; i < n; i++) {
		const json_t *call = json_array_get(calls, follow ? n - 1 - i : i);

		if (cli->json)
			print_json_line(call);
		else
			add_call(table, call);
	}
	if (follow)
		output_table_print_if_any(table);
	else
		output_table_print(table);
}

/* Asks once, and where FOLLOW again and again; SHOW gets what is new, and says whether it went well. */
static enum cli_exit read_calls(struct cli *cli, struct history_question *question, bool follow,
				enum cli_exit (*show)(struct cli *cli, const json_t *calls, bool follow))
{
	enum cli_exit status;

	for (;;) {
		json_t *calls = NULL;

		status = history_ask(cli, question, &calls);
		if (status == CLI_OK)
			status = show(cli, calls, follow);
		json_decref(calls);
		/* Whoever reads may have gone. */
		if (fflush(stdout) != 0 && status == CLI_OK)
			status = CLI_FAILED;
		if (!follow || status != CLI_OK)
			return status;
		(void)usleep(HISTORY_POLL_US);
	}
}

static enum cli_exit show_calls(struct cli *cli, const json_t *calls, bool follow)
{
	if (cli->json && !follow) {
		json_t *document = json_pack("{s:O}", "calls", (json_t *)calls);

		output_json(document);
		json_decref(document);
	} else {
		print_calls(cli, calls, follow);
	}
	return CLI_OK;
}

enum cli_exit calls_ls(struct cli *cli)
{
	struct history_question question = {.app = cli->n_args > 0 ? cli->args[0] : NULL};
	char since[32];
	enum cli_exit status = history_options(cli, &question, since, sizeof(since));

	return status != CLI_OK ? status : read_calls(cli, &question, cli_value(cli, "follow"), show_calls);
}

enum cli_exit calls_inspect(struct cli *cli)
{
	json_t *document = NULL;
	enum cli_exit status = exchange_json(
		cli, "GET", client_path("/v1/apps/%s/calls/%s", cli->args[0], cli->args[1]), NULL, &document);

	if (status != CLI_OK)
		return status;
	output_json(json_object_get(document, "call"));
	json_decref(document);
	return CLI_OK;
}

/* --- logs --------------------------------------------------------------------------------------------------------- */

static enum cli_exit fetch_log(struct cli *cli, const char *app, const char *id, struct client_reply *reply)
{
	_cleanup_free_ char *path = client_path("/v1/apps/%s/calls/%s/log", app, id);
	enum cli_exit status = CLI_OK;
	struct client *client = exchange_client(cli, &status);
	struct err err = ERR_INIT;
	char message[512];

	if (!client)
		return status;
	if (!path)
		return cli_fail(cli, CLI_FAILED, "out of memory");
	if (client_send(client, &(struct client_request){.method = "GET", .path = path}, reply, &err) < 0)
		return cli_fail_err(cli, &err);
	if (reply->status != 200)
		return cli_fail(cli, CLI_FAILED, "%s", client_message(reply, message, sizeof(message)));
	return CLI_OK;
}

static void print_bytes(const char *bytes, size_t length)
{
	if (isatty(STDOUT_FILENO))
		output_escaped(stdout, bytes, length);
	else
		(void)fwrite(bytes, 1, length, stdout);
}

/* Bytes that are no text are shown as \xNN, and so is a zero byte. */
static json_t *log_string(const struct client_reply *reply)
{
	json_t *string = json_stringn(reply->body, reply->length);

	return string ? string : output_string(reply->body);
}

static void print_log(struct cli *cli, const json_t *call, const struct client_reply *log)
{
	char unused[8], ended[32];
	const char *path = output_member(call, "path", unused, sizeof(unused));
	const char *outcome = output_member(call, "outcome", unused, sizeof(unused));
	const char *id = output_member(call, "id", unused, sizeof(unused));

	if (cli->json) {
		json_t *copy = json_copy((json_t *)call);

		(void)json_object_set_new(copy, "log", log_string(log));
		print_json_line(copy);
		json_decref(copy);
		return;
	}
	fputs("==> ", stdout);
	output_text(stdout, when(call, ended, sizeof(ended)) ? ended : "");
	printf(" %s ", id ? id : "");
	output_text(stdout, path ? path : "");
	printf(" %s <==\n", outcome ? outcome : "");
	print_bytes(log->body, log->length);
	if (log->length > 0 && log->body[log->length - 1] != '\n')
		putchar('\n');
}

/* Calls that wrote nothing are left out. A call that has been dropped from the history meanwhile is no failure. */
static enum cli_exit show_logs(struct cli *cli, const json_t *calls, bool follow)
{
	enum cli_exit status = CLI_OK;

	(void)follow;
	for (size_t i = json_array_size(calls); status == CLI_OK && i-- > 0;) {
		const json_t *call = json_array_get(calls, i);
		struct client_reply log = CLIENT_REPLY_INIT;
		const char *app = json_string_value(json_object_get(call, "app"));
		const char *id = json_string_value(json_object_get(call, "id"));

		if (!app || !id || json_integer_value(json_object_get(call, "log_bytes")) == 0)
			continue;
		status = fetch_log(cli, app, id, &log);
		if (status == CLI_OK)
			print_log(cli, call, &log);
		else if (log.status == 404)
			status = CLI_OK;
		client_reply_done(&log);
	}
	return status;
}

static enum cli_exit print_one(struct cli *cli, const char *app, const char *id)
{
	struct client_reply log = CLIENT_REPLY_INIT;
	enum cli_exit status = fetch_log(cli, app, id, &log);

	if (status == CLI_OK && cli->json) {
		json_t *document = json_pack("{s:s, s:o}", "id", id, "log", log_string(&log));

		output_json(document);
		json_decref(document);
	} else if (status == CLI_OK) {
		print_bytes(log.body, log.length);
	}
	client_reply_done(&log);
	return status;
}

static bool is_id(const char *text)
{
	return strlen(text) == ID_LENGTH && strspn(text, "0123456789abcdef-") == ID_LENGTH && text[8] == '-';
}

enum cli_exit calls_logs(struct cli *cli)
{
	struct history_question question = {.app = cli->args[0], .limit = LOGS_DEFAULT};
	char since[32];
	enum cli_exit status = history_options(cli, &question, since, sizeof(since));
	bool follow = cli_value(cli, "follow");

	if (status != CLI_OK)
		return status;
	if (cli->n_args > 1 && is_id(cli->args[1])) {
		if (follow)
			return cli_fail(cli, CLI_USAGE, "a call that has ended cannot be followed");
		return print_one(cli, cli->args[0], cli->args[1]);
	}
	if (cli->n_args > 1 && *cli->args[1] != '/')
		return cli_fail(cli, CLI_USAGE,
				"\"%s\" is neither the whole id of a call nor a path that begins with /", cli->args[1]);
	if (cli->n_args > 1)
		question.path = cli->args[1];
	return read_calls(cli, &question, follow, show_logs);
}
