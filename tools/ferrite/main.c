/* ferrite: the command for authors and operators. See ferrite(1) and commands.c. */
#include "tools/ferrite/client.h"
#include "tools/ferrite/commands.h"

#include "supervisor/util.h"

#include <locale.h>
#include <signal.h>
#include <string.h>

/* The help of the words given, which may be the beginning of several commands; else of the command. */
static enum cli_exit print_help(const struct cli *cli, char *const *words)
{
	char prefix[256] = "";
	size_t used = 0;

	for (; *words && used < sizeof(prefix); words++)
		used += (size_t)snprintf(prefix + used, sizeof(prefix) - used, "%s%s", used ? " " : "", *words);
	if (cli_help(prefix) || (cli->command && cli_help(cli->command->words)))
		return CLI_OK;
	return cli_fail(cli, CLI_USAGE, "there is no command \"%s\"; \"ferrite help\" lists all", prefix);
}

enum cli_exit help_print(struct cli *cli)
{
	return print_help(cli, cli->args);
}

static enum cli_exit run(struct cli *cli, int argc, char **argv)
{
	struct err err = ERR_INIT;

	if (cli_parse(cli, argc, argv, &err) < 0) {
		/* Parsing stops at the error; whether JSON was asked for may stand behind it. */
		for (int i = 1; i < argc && argv[i]; i++)
			cli->json |= strcmp(argv[i], "--json") == 0;
		return cli_fail(cli, CLI_USAGE, "%s; \"ferrite help\" says more", err.text);
	}
	if (cli_value(cli, "help"))
		return print_help(cli, cli->args);
	if (!cli->command) {
		(void)cli_help("");
		return CLI_USAGE;
	}
	return cli->command->run(cli);
}

int main(int argc, char **argv)
{
	struct client client = {0};
	struct cli cli = {.client = &client};

	/* A reader that went away shows as an error of the write. */
	(void)signal(SIGPIPE, SIG_IGN);
	if (curl_global_init(CURL_GLOBAL_DEFAULT) != 0)
		return (int)cli_fail(&cli, CLI_FAILED, "libcurl cannot be set up");

	enum cli_exit status = run(&cli, argc, argv);

	client_close(&client);
	curl_global_cleanup();
	if (fflush(stdout) != 0 || ferror(stdout))
		return status == CLI_OK ? (int)CLI_FAILED : (int)status;
	return (int)status;
}
