/* ferrite run: one call of the function in a folder, as it would be answered when it is deployed. */
#include "supervisor/util.h"
#include "tools/ferrite/commands.h"
#include "tools/ferrite/output.h"
#include "tools/ferrite/trial.h"

#include <string.h>
#include <sys/stat.h>

extern char **environ;

#define INPUT_MAX ((size_t)64 << 20)

/* Whether something was piped in: a terminal and /dev/null are no input, as fn has it. */
static bool has_input(void)
{
	struct stat st;

	return fstat(STDIN_FILENO, &st) == 0 && !S_ISCHR(st.st_mode);
}

static enum cli_exit read_input(struct cli *cli, char **ret_text, size_t *ret_length)
{
	FILE *out = open_memstream(ret_text, ret_length);
	char buffer[65536];
	size_t n, total = 0;

	if (!out)
		return cli_fail(cli, CLI_FAILED, "out of memory");
	while (total <= INPUT_MAX && (n = fread(buffer, 1, sizeof(buffer), stdin)) > 0)
		total += fwrite(buffer, 1, n, out);
	if (fclose(out) != 0 || ferror(stdin))
		return cli_fail(cli, CLI_FAILED, "cannot read standard input: %s", strerror(errno));
	if (total > INPUT_MAX)
		return cli_fail(cli, CLI_USAGE,
				"standard input is larger than 64 MiB; deploy the function and call it");
	return CLI_OK;
}

/* The variables of -e, else the whole environment but for what no header can carry. */
static enum cli_exit take_variables(struct cli *cli, struct curl_slist **headers)
{
	const char *given = cli_value(cli, "env");

	for (size_t i = 0; given && (given = cli_value_at(cli, "env", i)); i++) {
		_cleanup_free_ char *name = strndup(given, strcspn(given, "="));
		const char *value = strchr(given, '=') ? strchr(given, '=') + 1 : name ? getenv(name) : NULL;

		if (!name || !trial_add_variable(headers, name, value ? value : ""))
			return cli_fail(cli, CLI_USAGE, "\"%s\" cannot travel as a header", given);
	}
	for (char **at = environ; !cli_value(cli, "env") && *at; at++) {
		_cleanup_free_ char *name = strndup(*at, strcspn(*at, "="));
		const char *equals = strchr(*at, '=');

		if (name && equals)
			(void)trial_add_variable(headers, name, equals + 1);
	}
	return CLI_OK;
}

static enum cli_exit call(struct trial *trial, const char *text, size_t length, struct curl_slist *headers)
{
	_cleanup_(client_reply_done) struct client_reply reply = CLIENT_REPLY_INIT;
	char message[ERR_TEXT_MAX];
	struct err err = ERR_INIT;

	if (trial_call(trial, text, length, headers, stdout, &reply, &err) < 0)
		return cli_fail_err(trial->cli, &err);
	if (reply.status >= 400)
		return cli_fail(trial->cli, CLI_FAILED, "%s (HTTP status %ld)",
				client_message(&reply, message, sizeof(message)), reply.status);
	return CLI_OK;
}

enum cli_exit function_run(struct cli *cli)
{
	_cleanup_free_ char *text = NULL;
	struct curl_slist *headers = NULL;
	struct trial trial = TRIAL_INIT;
	size_t length = 0;
	enum cli_exit status = take_variables(cli, &headers);

	if (status == CLI_OK && has_input())
		status = read_input(cli, &text, &length);
	if (status == CLI_OK)
		status = trial_begin(cli, cli->n_args > 0 ? cli->args[0] : ".", &trial);
	if (status == CLI_OK)
		status = call(&trial, text, length, headers);
	trial_end(&trial);
	curl_slist_free_all(headers);
	return status;
}
