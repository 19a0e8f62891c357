/* ferrite ps, gpu, stats, version: what the service says about itself. */
#include "supervisor/util.h"
#include "tools/ferrite/client.h"
#include "tools/ferrite/commands.h"
#include "tools/ferrite/output.h"

#include <string.h>

/* Sizes are bytes in JSON and read better with a unit. */
static const char *bytes_member(const json_t *object, const char *key, char *buffer)
{
	const json_t *member = json_object_get(object, key);

	return json_is_integer(member) ? output_bytes(buffer, (uint64_t)json_integer_value(member)) : NULL;
}

enum cli_exit status_ps(struct cli *cli)
{
	json_t *document = NULL;
	enum cli_exit status = exchange_json(cli, "GET", client_path("/v1/instances"), NULL, &document);
	const json_t *row;
	size_t i;

	if (status != CLI_OK)
		return status;
	if (cli->json) {
		output_json(document);
		json_decref(document);
		return CLI_OK;
	}

	struct output_table *table = output_table_new(
		(const char *const[]){"INSTANCE", "STATE", "APP", "ROUTE", "PID", "MEMORY", "GPU", NULL});

	json_array_foreach(json_object_get(document, "instances"), i, row)
	{
		char id[64], pid[32], memory[32], gpu[64], unused[8];

		output_table_row(table, (const char *const[]){output_member(row, "id", id, sizeof(id)),
							      output_member(row, "state", unused, sizeof(unused)),
							      output_member(row, "app", unused, sizeof(unused)),
							      output_member(row, "route", unused, sizeof(unused)),
							      output_member(row, "pid", pid, sizeof(pid)),
							      bytes_member(row, "memory", memory),
							      output_member(row, "gpu", gpu, sizeof(gpu))});
	}
	output_table_print(table);
	json_decref(document);
	return CLI_OK;
}

/* The devices, then who holds their memory. */
static void print_gpus(const json_t *document)
{
	struct output_table *table =
		output_table_new((const char *const[]){"GPU", "NAME", "KIND", "MEMORY", "DECLARED", "UUID", NULL});
	struct output_table *holders = output_table_new((const char *const[]){"GPU", "HELD BY", "MEMORY", NULL});
	const json_t *gpu, *holder;
	size_t i, j;

	json_array_foreach(json_object_get(document, "gpus"), i, gpu)
	{
		char index[32], total[32], declared[32], unused[8];

		(void)output_member(gpu, "index", index, sizeof(index));
		output_table_row(table, (const char *const[]){index, output_member(gpu, "name", unused, sizeof(unused)),
							      output_member(gpu, "kind", unused, sizeof(unused)),
							      bytes_member(gpu, "memory_total", total),
							      bytes_member(gpu, "memory_declared", declared),
							      output_member(gpu, "uuid", unused, sizeof(unused))});
		json_array_foreach(json_object_get(gpu, "holders"), j, holder)
		{
			char held[32];

			output_table_row(holders, (const char *const[]){
							  index, output_member(holder, "label", unused, sizeof(unused)),
							  bytes_member(holder, "memory", held)});
		}
	}
	output_table_print(table);
	output_table_print_if_any(holders);
}

/* What the devices are: a driver and its version, or why there is none. */
static void print_driver(const json_t *document)
{
	const char *driver = json_string_value(json_object_get(document, "driver"));
	const char *reason = json_string_value(json_object_get(document, "reason"));

	fputs("driver: ", stdout);
	output_text(stdout, driver ? driver : "none");
	if (reason && *reason) {
		fputs(" (", stdout);
		output_text(stdout, reason);
		fputs(")", stdout);
	}
	putchar('\n');
}

enum cli_exit status_gpu(struct cli *cli)
{
	json_t *document = NULL;
	enum cli_exit status = exchange_json(cli, "GET", client_path("/v1/gpus"), NULL, &document);

	if (status != CLI_OK)
		return status;
	if (cli->json) {
		output_json(document);
	} else {
		print_driver(document);
		print_gpus(document);
	}
	json_decref(document);
	return CLI_OK;
}

enum cli_exit status_stats(struct cli *cli)
{
	json_t *document = NULL;
	enum cli_exit status = exchange_json(cli, "GET", client_path("/stats"), NULL, &document);
	const char *key;
	json_t *value;

	if (status != CLI_OK)
		return status;
	if (cli->json)
		output_json(document);
	else
		json_object_foreach(document, key, value)
		{
			char number[64];
			const char *text = output_member(document, key, number, sizeof(number));

			output_text(stdout, key);
			fputs(": ", stdout);
			output_text(stdout, text ? text : "?");
			putchar('\n');
		}
	json_decref(document);
	return CLI_OK;
}

/* The own version is printed even when no service answers; the exit status says that it did not. */
enum cli_exit status_version(struct cli *cli)
{
	json_t *document = NULL;
	struct err err = ERR_INIT;
	enum cli_exit status = CLI_OK;
	struct client *client = exchange_client(cli, &status);

	if (!client)
		return status;

	int r = client_json(client, "GET", "/version", NULL, NULL, &document, &err);
	const char *server = json_string_value(json_object_get(document, "version"));

	if (cli->json) {
		json_t *both = json_pack("{s:s, s:s*}", "ferrite", FERRITE_VERSION, "service", server);

		output_json(both);
		json_decref(both);
	} else {
		printf("ferrite %s\n", FERRITE_VERSION);
		if (server) {
			fputs("service ", stdout);
			output_text(stdout, server);
			puts(" (the version of the IronFunctions interface it speaks)");
		} else {
			fprintf(stderr, "ferrite: %s\n", err.text);
		}
	}
	json_decref(document);
	return r < 0 ? (err.code == CLIENT_UNREACHABLE ? CLI_UNREACHABLE : CLI_FAILED) : CLI_OK;
}
