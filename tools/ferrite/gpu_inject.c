/* ferrite gpu inject: what an instance would get of the GPUs, and why. */
#include "supervisor/util.h"
#include "tools/ferrite/client.h"
#include "tools/ferrite/commands.h"
#include "tools/ferrite/output.h"

#include <string.h>

/* A kind of things that are injected: the key of its list, and the columns of its table. */
struct section {
	const char *key;
	const char *headings[5]; /* ends with NULL */
	const char *members[4];
};

static const struct section sections[] = {
	{"gpus", {"GPU", "NAME", "UUID", NULL}, {"index", "name", "uuid"}},
	{"mounts", {"MOUNT", "SOURCE", "WHY", NULL}, {"destination", "source", "why"}},
	{"devices", {"DEVICE", "MAJOR", "MINOR", "WHY", NULL}, {"path", "major", "minor", "why"}},
	{"links", {"LINK", "TARGET", "WHY", NULL}, {"path", "target", "why"}},
	{"files", {"FILE", "WHY", NULL}, {"path", "why"}},
	{"environment", {"VARIABLE", "WHY", NULL}, {"variable", "why"}},
};

static void print_section(const json_t *document, const struct section *section)
{
	struct output_table *table = output_table_new(section->headings);
	const json_t *row;
	size_t i;

	json_array_foreach(json_object_get(document, section->key), i, row)
	{
		char numbers[ARRAY_LEN(section->members)][32];
		const char *cells[ARRAY_LEN(section->members)] = {NULL};

		for (size_t k = 0; section->headings[k]; k++)
			cells[k] = output_member(row, section->members[k], numbers[k], sizeof(numbers[k]));
		output_table_row(table, cells);
	}
	output_table_print_if_any(table);
}

static void print_line(const char *what, const char *text)
{
	if (!text || !*text)
		return;
	printf("%s: ", what);
	output_text(stdout, text);
	putchar('\n');
}

static void print_wish(const json_t *document)
{
	const json_t *wish = json_object_get(document, "wish"), *requirement;
	const char *devices = json_string_value(json_object_get(wish, "devices"));
	char number[32], bytes[32];
	size_t i;

	print_line("driver", json_string_value(json_object_get(document, "reason")));
	print_line("waits", json_string_value(json_object_get(document, "waits_for")));
	if (devices && !*devices) {
		const char *count = output_member(wish, "count", number, sizeof(number));

		printf("devices: %s, whichever\n", count ? count : "?");
	}
	print_line("devices", devices);
	print_line("capabilities", json_string_value(json_object_get(wish, "capabilities")));
	print_line("memory", output_bytes(bytes, (uint64_t)json_integer_value(json_object_get(wish, "memory"))));
	json_array_foreach(json_object_get(wish, "requirements"), i, requirement)
	{
		print_line("requirement, which holds", json_string_value(requirement));
	}
}

static void print_explanation(const json_t *document)
{
	if (!json_is_true(json_object_get(document, "injected"))) {
		print_line("nothing is injected", json_string_value(json_object_get(document, "reason")));
		return;
	}
	print_wish(document);
	for (size_t i = 0; i < ARRAY_LEN(sections); i++) {
		if (json_array_size(json_object_get(document, sections[i].key)) > 0)
			putchar('\n');
		print_section(document, &sections[i]);
	}
}

enum cli_exit gpu_inject(struct cli *cli)
{
	json_t *document = NULL;
	enum cli_exit status;
	char *path;

	if (!cli_value(cli, "dry-run"))
		return cli_fail(cli, CLI_USAGE,
				"things are injected when an instance starts; --dry-run shows what they would be");
	path = cli->n_args == 2 ? client_path("/v1/gpus/injection?app=%s&path=%s", cli->args[0], cli->args[1])
				: client_path("/v1/gpus/injection?image=%s", cli->args[0]);
	status = exchange_json(cli, "GET", path, NULL, &document);
	if (status != CLI_OK)
		return status;
	if (cli->json)
		output_json(document);
	else
		print_explanation(document);
	json_decref(document);
	return CLI_OK;
}
