/* ferrite completion: shell completion made from the table of commands, so that it cannot miss one. */
#include "supervisor/util.h"
#include "tools/ferrite/commands.h"

#include <stdio.h>
#include <string.h>

/* Whether an earlier row has the same word after the same words before it. */
static bool is_first(const struct cli_command *command, unsigned index, size_t prefix)
{
	const char *word = NULL, *other = NULL;
	size_t length = cli_word(command->words, index, &word);

	for (const struct cli_command *c = cli_commands; c < command; c++)
		if (strncmp(c->words, command->words, prefix) == 0 && cli_word(c->words, index, &other) == length &&
		    strncmp(other, word, length) == 0)
			return false;
	return true;
}

/* The words that may follow the words of COMMAND up to INDEX. */
static void print_following(const struct cli_command *command, unsigned index)
{
	const char *word = NULL;
	size_t prefix = cli_word(command->words, index, &word) ? (size_t)(word - command->words) : 0;

	for (const struct cli_command *c = cli_commands; c->words; c++) {
		size_t length = strncmp(c->words, command->words, prefix) == 0 ? cli_word(c->words, index, &word) : 0;

		if (length > 0 && is_first(c, index, prefix))
			printf("%.*s ", (int)length, word);
	}
}

static void print_options(const struct cli_option *options)
{
	for (const struct cli_option *o = options; o && o->name; o++)
		printf("--%s ", o->name);
}

/* The words that may follow all of a row's words: "calls" is a command, and so is "calls inspect". */
static void print_children(const struct cli_command *command)
{
	size_t length = strlen(command->words);
	const char *word = NULL;
	unsigned n = 0;

	while (cli_word(command->words, n, &word) > 0)
		n++;
	for (const struct cli_command *c = cli_commands; c->words; c++)
		if (strncmp(c->words, command->words, length) == 0 && c->words[length] == ' ') {
			print_following(c, n);
			return;
		}
}

static bool is_command(const char *words, size_t length)
{
	for (const struct cli_command *c = cli_commands; c->words; c++)
		if (strncmp(c->words, words, length) == 0 && c->words[length] == '\0')
			return true;
	return false;
}

static bool prefix_seen(const struct cli_command *command, size_t prefix)
{
	for (const struct cli_command *c = cli_commands; c < command; c++)
		if (strncmp(c->words, command->words, prefix) == 0)
			return true;
	return false;
}

/* One case for every row (its options) and for every beginning of a row (the words that may follow). */
static void print_cases(void)
{
	for (const struct cli_command *c = cli_commands; c->words; c++) {
		const char *word = NULL;

		for (unsigned i = 1; cli_word(c->words, i, &word) > 0; i++) {
			size_t prefix = (size_t)(word - c->words);

			if (prefix_seen(c, prefix) || is_command(c->words, prefix - 1))
				continue;
			printf("\t\"%.*s\") words=\"", (int)prefix - 1, c->words);
			print_following(c, i);
			puts("\" ;;");
		}
		printf("\t\"%s\") words=\"", c->words);
		print_children(c);
		print_options(c->options);
		puts("\" ;;");
	}
}

static void print_script(void)
{
	puts("_ferrite_words() {\n"
	     "\tlocal command=\"\" word words\n"
	     "\tfor word in \"$@\"; do\n"
	     "\t\tcase $word in -*) ;; *) command=\"${command:+$command }$word\" ;; esac\n"
	     "\tdone\n"
	     "\twhile :; do\n"
	     "\tcase $command in");
	print_cases();
	fputs("\t\"\") words=\"", stdout);
	print_following(cli_commands, 0);
	puts("\" ;;\n"
	     "\t*\" \"*) command=${command% *}; continue ;;\n"
	     "\t*) command=\"\"; continue ;;\n"
	     "\tesac\n"
	     "\tbreak\n"
	     "\tdone");
	fputs("\techo \"$words ", stdout);
	print_options(cli_common_options);
	puts("\"\n}");
}

enum cli_exit completion(struct cli *cli)
{
	bool zsh = strcmp(cli->args[0], "zsh") == 0;

	if (!zsh && strcmp(cli->args[0], "bash") != 0)
		return cli_fail(cli, CLI_USAGE, "there is completion for bash and zsh, not for %s", cli->args[0]);
	if (zsh)
		puts("#compdef ferrite");
	print_script();
	if (zsh)
		puts("_ferrite() {\n"
		     "\tlocal -a found\n"
		     "\tfound=(${=\"$(_ferrite_words ${words[2,CURRENT-1]})\"})\n"
		     "\tcompadd -- $found\n"
		     "\t_files\n"
		     "}\n"
		     "compdef _ferrite ferrite");
	else
		puts("_ferrite() {\n"
		     "\tlocal found\n"
		     "\tfound=$(_ferrite_words \"${COMP_WORDS[@]:1:COMP_CWORD-1}\")\n"
		     "\tmapfile -t COMPREPLY < <(compgen -W \"$found\" -f -- \"${COMP_WORDS[COMP_CWORD]}\")\n"
		     "}\n"
		     "complete -F _ferrite ferrite");
	return CLI_OK;
}
