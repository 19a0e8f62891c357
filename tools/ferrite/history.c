#include "tools/ferrite/history.h"

#include "api/text.h"
#include "supervisor/str.h"
#include "supervisor/util.h"
#include "tools/ferrite/client.h"
#include "tools/ferrite/commands.h"

#include <inttypes.h>
#include <string.h>

#define SIZE_OF_TIME 24

/* "90", "90s", "10min", "2h", "7d" ago. False: it is no such thing. */
static bool read_ago(const char *text, uint64_t *ret_seconds)
{
	static const struct {
		const char *suffix;
		uint64_t seconds;
	} units[] = {{"s", 1}, {"min", 60}, {"h", 3600}, {"d", 86400}};
	size_t digits = strspn(text, "0123456789");
	char number[16];

	if (digits >= sizeof(number))
		return false;
	memcpy(number, text, digits);
	number[digits] = '\0';
	for (size_t i = 0; i < ARRAY_LEN(units); i++)
		if (strcmp(text + digits, units[i].suffix) == 0)
			return str_u64(number, ret_seconds) &&
			       !__builtin_mul_overflow(*ret_seconds, units[i].seconds, ret_seconds);
	return false;
}

enum cli_exit history_options(const struct cli *cli, struct history_question *question, char *since, size_t size)
{
	uint64_t ago, now = clock_realtime_us() / 1000000, limit;

	question->path = cli_value(cli, "path");
	question->status = cli_value(cli, "status");
	question->since = cli_value(cli, "since");
	if (cli_value(cli, "limit"))
		question->limit = cli_value(cli, "limit");
	if (question->limit && (!str_u64(question->limit, &limit) || limit == 0 || limit > 1000))
		return cli_fail(cli, CLI_USAGE, "--limit takes a number from 1 to 1000, not \"%s\"", question->limit);
	if (question->since && read_ago(question->since, &ago)) {
		(void)snprintf(since, size, "%" PRIu64, now - MIN(ago, now));
		question->since = since;
	} else if (question->since && !strchr(question->since, '-') && !str_u64(question->since, &ago)) {
		return cli_fail(cli, CLI_USAGE,
				"--since takes a time before now such as 2h (s, min, h, d), or one like "
				"2026-11-22T06:02:43Z, not \"%s\"",
				question->since);
	}
	return CLI_OK;
}

static void add_parameter(struct text *path, const char *name, const char *value)
{
	_cleanup_free_ char *encoded = value ? client_path("%s", value) : NULL;

	if (!value)
		return;
	text_printf(path, "%c%s=%s", strchr(path->data ? path->data : "", '?') ? '&' : '?', name,
		    encoded ? encoded : "");
	path->failed |= !encoded;
}

static char *make_path(const struct history_question *question)
{
	_cleanup_free_ char *base =
		question->app ? client_path("/v1/apps/%s/calls", question->app) : client_path("/v1/calls");
	struct text path = {0};
	char after[SIZE_OF_TIME];

	text_puts(&path, base ? base : "");
	add_parameter(&path, "path", question->path);
	add_parameter(&path, "status", question->status);
	add_parameter(&path, "since", question->since);
	/* What is new comes whole, as far as it is kept. */
	add_parameter(&path, "limit", question->after > 0 ? "1000" : question->limit);
	(void)snprintf(after, sizeof(after), "%" JSON_INTEGER_FORMAT, question->after);
	add_parameter(&path, "after", question->after > 0 ? after : NULL);
	if (!base || path.failed)
		text_done(&path);
	return path.data;
}

enum cli_exit history_ask(struct cli *cli, struct history_question *question, json_t **ret_calls)
{
	json_t *document = NULL;
	enum cli_exit status = exchange_json(cli, "GET", make_path(question), NULL, &document);
	json_t *calls = json_object_get(document, "calls");

	if (status != CLI_OK)
		return status;
	if (json_array_size(calls) > 0)
		question->after = json_integer_value(json_object_get(json_array_get(calls, 0), "cursor"));
	*ret_calls = calls ? json_incref(calls) : json_array();
	json_decref(document);
	return CLI_OK;
}
