/*
 * The command line of `ferrite`: one table of commands (commands.c) from which parsing, help and shell completion come.
 *
 * A command is a row with its words, its arguments and options, and the function that carries it out. That function
 * gets the parsed line and returns an exit status of enum cli_exit; it reports its own errors with cli_fail() and
 * cli_fail_reply(). Everything in struct cli belongs to main() and lives as long as the process; one thread.
 */
#ifndef FERRITE_TOOLS_CLI_H
#define FERRITE_TOOLS_CLI_H

#include "supervisor/err.h"

#include <stdbool.h>
#include <stddef.h>

enum cli_exit {
	CLI_OK,
	CLI_FAILED,	 /* the service, the function or the host said no */
	CLI_USAGE,	 /* the command line or a local file is wrong */
	CLI_UNREACHABLE, /* no service answers */
};

#define CLI_OPTIONS_MAX 256

struct cli;
struct client;

struct cli_option {
	char letter;	   /* 0: only the long name */
	const char *name;  /* without the dashes */
	const char *value; /* what the value is called in the help; NULL: a flag */
	const char *help;
};

struct cli_command {
	const char *words;		  /* "apps config set" */
	const char *arguments;		  /* "APP KEY=VALUE..." */
	const char *help;		  /* one line */
	int min, max;			  /* number of arguments; max -1: any */
	const struct cli_option *options; /* ends with a row without name; NULL: none */
	enum cli_exit (*run)(struct cli *cli);
};

struct cli_given {
	const struct cli_option *option;
	const char *value; /* "" for flags */
};

struct cli {
	const struct cli_command *command;
	char **args; /* n_args of them, then NULL */
	int n_args;
	struct cli_given given[CLI_OPTIONS_MAX];
	size_t n_given;
	bool json;
	const char *api; /* as given; NULL: look in the environment */
	struct client *client;
};

/* The table, and the options that every command has; both end with a row without name. */
extern const struct cli_command cli_commands[];
extern const struct cli_option cli_common_options[];

/*
 * Parses the words after the program's name into *cli, whose arguments keep pointing into ARGV (it is reordered).
 * Returns 0, or -EINVAL with a text for the user. `--help` and `help` give the rows in cli_commands of that name.
 */
int cli_parse(struct cli *cli, int argc, char **argv, struct err *err);

/* The last value given for an option, "" for a flag, or NULL when it was not given. */
const char *cli_value(const struct cli *cli, const char *option);
/* The nth value given for an option (from 0), or NULL. */
const char *cli_value_at(const struct cli *cli, const char *option, size_t n);

/* Prints the overview, or the help of the commands whose words begin with PREFIX. False when there is none. */
bool cli_help(const char *prefix);

/* Whether WORD is the first, second, … word of a command's words; returns its length, 0 when there is no such word. */
size_t cli_word(const char *words, unsigned index, const char **ret_word);

/* Reports an error on standard error (as JSON on standard output with --json) and returns STATUS. */
enum cli_exit cli_fail(const struct cli *cli, enum cli_exit status, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* The same from an error object; the exit status follows from its code. */
enum cli_exit cli_fail_err(const struct cli *cli, const struct err *err);

#endif
