#include "tools/ferrite/cli.h"

#include "supervisor/str.h"
#include "supervisor/util.h"
#include "tools/ferrite/client.h"
#include "tools/ferrite/output.h"

#include <jansson.h>
#include <stdarg.h>
#include <string.h>

#define WORDS_MAX  4
#define HELP_WIDTH 80

const struct cli_option cli_common_options[] = {
	{0, "api", "URL", "the service: http://HOST:PORT or unix:PATH (else FERRITE_API, API_URL, the default socket)"},
	{0, "json", NULL, "print JSON"},
	{'h', "help", NULL, "print help"},
	{0, NULL, NULL, NULL},
};

size_t cli_word(const char *words, unsigned index, const char **ret_word)
{
	const char *at = words;

	for (unsigned i = 0; i < index; i++) {
		at = strchr(at, ' ');
		if (!at)
			return 0;
		at++;
	}
	*ret_word = at;
	return strcspn(at, " ");
}

/* How many of the given words a row's words are; 0 when they differ before the row's end. */
static unsigned match_words(const char *words, char *const *given, unsigned n_given)
{
	const char *word = NULL;
	unsigned n = 0;

	for (size_t length; (length = cli_word(words, n, &word)) > 0; n++) {
		const char *said = n < n_given ? given[n] : "";

		if (strcmp(said, "list") == 0)
			said = "ls";
		if (strlen(said) != length || strncmp(said, word, length) != 0)
			return 0;
	}
	return n;
}

static const struct cli_command *find_command(char *const *given, unsigned n_given, unsigned *ret_n)
{
	const struct cli_command *best = NULL;

	*ret_n = 0;
	for (const struct cli_command *c = cli_commands; c->words; c++) {
		unsigned n = match_words(c->words, given, n_given);

		if (n > *ret_n) {
			*ret_n = n;
			best = c;
		}
	}
	return best;
}

static const struct cli_option *find_in(const struct cli_option *options, const char *name, size_t length, char letter)
{
	for (const struct cli_option *o = options; o && o->name; o++)
		if (letter ? o->letter == letter : strlen(o->name) == length && strncmp(o->name, name, length) == 0)
			return o;
	return NULL;
}

static const struct cli_option *find_option(const struct cli *cli, const char *name, size_t length, char letter)
{
	const struct cli_option *o = find_in(cli_common_options, name, length, letter);

	return o || !cli->command ? o : find_in(cli->command->options, name, length, letter);
}

static int unknown_option(const struct cli *cli, const char *given, struct err *err)
{
	const char *names[64];
	size_t n = 0;

	for (const struct cli_option *o = cli->command ? cli->command->options : NULL; o && o->name; o++)
		if (n < ARRAY_LEN(names) - 4)
			names[n++] = o->name;
	for (const struct cli_option *o = cli_common_options; o->name; o++)
		names[n++] = o->name;
	names[n] = NULL;

	const char *near = str_nearest(given + strspn(given, "-"), names);

	return err_set(err, EINVAL, "unknown option %s%s%s", given, near ? "; the nearest is --" : "",
		       near ? near : "");
}

/* Takes one option at argv[*i], with its value in the same or the next word. */
static int take_option(struct cli *cli, int argc, char **argv, int *i, struct err *err)
{
	const char *text = argv[*i];
	bool is_long = text[1] == '-';
	const char *name = text + (is_long ? 2 : 1);
	size_t length = is_long ? strcspn(name, "=") : 1;
	const struct cli_option *o = find_option(cli, name, length, is_long ? 0 : name[0]);

	if (!o)
		return unknown_option(cli, text, err);

	const char *rest = name + length;
	const char *value = "";

	if (!o->value) {
		if (*rest != '\0')
			return err_set(err, EINVAL, "option --%s takes no value", o->name);
	} else if (is_long && *rest == '=') {
		value = rest + 1;
	} else if (!is_long && *rest != '\0') {
		value = rest;
	} else if (*i + 1 < argc) {
		value = argv[++*i];
	} else {
		return err_set(err, EINVAL, "option --%s needs a value: %s", o->name, o->value);
	}
	if (strcmp(o->name, "json") == 0)
		cli->json = true;
	if (strcmp(o->name, "api") == 0)
		cli->api = value;
	if (cli->n_given == CLI_OPTIONS_MAX)
		return err_set(err, EINVAL, "more than %d options", CLI_OPTIONS_MAX);
	cli->given[cli->n_given++] = (struct cli_given){o, value};
	return 0;
}

/* An option's value never counts as a command word: those of the common options may stand before the command. */
static const struct cli_command *command_of(int argc, char **argv, unsigned *ret_n)
{
	char *words[WORDS_MAX];
	unsigned n = 0;

	for (int i = 1; i < argc && n < WORDS_MAX; i++) {
		if (argv[i][0] != '-')
			words[n++] = argv[i];
		else if (strcmp(argv[i], "--api") == 0)
			i++;
		else if (n > 0)
			break;
	}
	return find_command(words, n, ret_n);
}

static int unknown_command(char **args, int n_args, struct err *err)
{
	const char *names[128];
	char given[64];
	size_t n = 0;

	for (const struct cli_command *c = cli_commands; c->words && n < ARRAY_LEN(names) - 1; c++)
		names[n++] = c->words;
	names[n] = NULL;
	(void)snprintf(given, sizeof(given), "%s%s%s", args[0], n_args > 1 ? " " : "", n_args > 1 ? args[1] : "");

	const char *near = str_nearest(given, names);

	if (!near)
		near = str_nearest(args[0], names);
	return err_set(err, EINVAL, "unknown command \"%s\"%s%s%s", given, near ? "; did you mean \"" : "",
		       near ? near : "", near ? "\"?" : "");
}

static int check_count(const struct cli *cli, struct err *err)
{
	const struct cli_command *c = cli->command;

	if (cli->n_args < c->min)
		return err_set(err, EINVAL, "%s needs %s", c->words, c->arguments);
	if (c->max >= 0 && cli->n_args > c->max)
		return err_set(err, EINVAL, "unexpected argument \"%s\"; %s takes %s", cli->args[c->max], c->words,
			       *c->arguments ? c->arguments : "none");
	return 0;
}

int cli_parse(struct cli *cli, int argc, char **argv, struct err *err)
{
	unsigned n_words = 0;
	bool only_args = false;
	int n = 0;

	cli->command = command_of(argc, argv, &n_words);
	for (int i = 1; i < argc; i++) {
		int r = 0;

		if (!only_args && strcmp(argv[i], "--") == 0)
			only_args = true;
		else if (!only_args && argv[i][0] == '-' && argv[i][1] != '\0')
			r = take_option(cli, argc, argv, &i, err);
		else
			argv[n++] = argv[i];
		if (r < 0)
			return r;
	}
	argv[n] = NULL;
	if (cli_value(cli, "help")) {
		cli->args = argv;
		cli->n_args = n;
		return 0;
	}
	if (!cli->command)
		return n > 0 ? unknown_command(argv, n, err) : 0;
	cli->args = argv + n_words;
	cli->n_args = n - (int)n_words;
	return check_count(cli, err);
}

const char *cli_value_at(const struct cli *cli, const char *option, size_t n)
{
	for (size_t i = 0; i < cli->n_given; i++)
		if (strcmp(cli->given[i].option->name, option) == 0 && n-- == 0)
			return cli->given[i].value;
	return NULL;
}

const char *cli_value(const struct cli *cli, const char *option)
{
	const char *value = NULL;

	for (size_t i = 0; i < cli->n_given; i++)
		if (strcmp(cli->given[i].option->name, option) == 0)
			value = cli->given[i].value;
	return value;
}

/* A help text beside its name, below a long one, folded at blanks. */
static void print_help(const char *name, int indent, const char *help)
{
	int used = printf("  %-*s", indent - 3, name);

	if (used >= indent)
		used = HELP_WIDTH;
	for (int word; *help; help += word, help += strspn(help, " ")) {
		word = (int)strcspn(help, " ");
		if (used + 1 + word > HELP_WIDTH)
			used = printf("\n%*s", indent - 1, "") - 1;
		used += printf(" %.*s", word, help);
	}
	putchar('\n');
}

static void print_options(const struct cli_option *options)
{
	for (const struct cli_option *o = options; o && o->name; o++) {
		char left[64];

		(void)snprintf(left, sizeof(left), "%c%c%s --%s%s%s", o->letter ? '-' : ' ',
			       o->letter ? o->letter : ' ', o->letter ? "," : " ", o->name, o->value ? " " : "",
			       o->value ? o->value : "");
		print_help(left, 33, o->help);
	}
}

static void print_overview(void)
{
	puts("usage: ferrite [--api URL] [--json] COMMAND [ARGUMENT]...\n\nCommands:");
	for (const struct cli_command *c = cli_commands; c->words; c++) {
		char left[96];

		(void)snprintf(left, sizeof(left), "%s %s", c->words, c->arguments);
		print_help(left, 41, c->help);
	}
	puts("\nOptions of every command:");
	print_options(cli_common_options);
	puts("\n\"ferrite help COMMAND\" prints a command's own options. Exit status: 0 ok, 1 the\n"
	     "call failed, 2 usage, 3 service unreachable. More in ferrite(1).");
}

bool cli_help(const char *prefix)
{
	size_t length = strlen(prefix);
	bool found = false;

	if (length == 0) {
		print_overview();
		return true;
	}
	for (const struct cli_command *c = cli_commands; c->words; c++) {
		if (strncmp(c->words, prefix, length) != 0 || (c->words[length] != '\0' && c->words[length] != ' '))
			continue;
		printf("%susage: ferrite %s%s%s%s\n  %s\n", found ? "\n" : "", c->words,
		       c->options ? " [OPTION]..." : "", *c->arguments ? " " : "", c->arguments, c->help);
		print_options(c->options);
		found = true;
	}
	if (found) {
		puts("\nOptions of every command:");
		print_options(cli_common_options);
	}
	return found;
}

enum cli_exit cli_fail(const struct cli *cli, enum cli_exit status, const char *format, ...)
{
	char text[2 * ERR_TEXT_MAX];
	va_list arguments;

	va_start(arguments, format);
	(void)vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	if (cli->json) {
		json_t *message = output_string(text);
		json_t *document = json_pack("{s:{s:o}}", "error", "message", message);

		output_json(document);
		json_decref(document);
	} else {
		fputs("ferrite: ", stderr);
		output_text(stderr, text);
		fputc('\n', stderr);
	}
	return status;
}

enum cli_exit cli_fail_err(const struct cli *cli, const struct err *err)
{
	enum cli_exit status = CLI_FAILED;

	if (err->code == -EINVAL)
		status = CLI_USAGE;
	else if (err->code == CLIENT_UNREACHABLE)
		status = CLI_UNREACHABLE;
	return cli_fail(cli, status, "%s", err->text);
}
