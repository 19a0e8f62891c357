/* ferrite apps … */
#include "supervisor/util.h"
#include "tools/ferrite/client.h"
#include "tools/ferrite/commands.h"
#include "tools/ferrite/output.h"

enum cli_exit apps_ls(struct cli *cli)
{
	json_t *document = NULL;
	enum cli_exit status = exchange_json(cli, "GET", client_path("/v1/apps"), NULL, &document);
	const json_t *app;
	size_t i;

	if (status != CLI_OK)
		return status;
	if (cli->json) {
		output_json(document);
	} else {
		struct output_table *table = output_table_new((const char *const[]){"APP", "CONFIG", NULL});

		json_array_foreach(json_object_get(document, "apps"), i, app)
		{
			char count[32];

			(void)snprintf(count, sizeof(count), "%zu", json_object_size(json_object_get(app, "config")));
			output_table_row(table,
					 (const char *const[]){json_string_value(json_object_get(app, "name")), count});
		}
		output_table_print(table);
	}
	json_decref(document);
	return CLI_OK;
}

/* Config from --config options and, from word FIRST on, from arguments. */
static enum cli_exit send_app(struct cli *cli, const char *method, char *path, const char *name)
{
	json_t *config = json_object();
	json_t *body = json_pack("{s:{s:s*, s:o}}", "app", "name", name, "config", config);
	enum cli_exit status = CLI_OK;
	const char *value;

	if (!body) {
		free(path);
		return cli_fail(cli, CLI_USAGE, "the name of the app is not text in UTF-8");
	}
	for (size_t i = 0; status == CLI_OK && (value = cli_value_at(cli, "config", i)); i++)
		status = exchange_pairs(cli, (char *const[]){(char *)value, NULL}, config);
	if (status == CLI_OK && json_object_size(config) == 0)
		(void)json_object_del(json_object_get(body, "app"), "config");
	if (status != CLI_OK) {
		json_decref(body);
		free(path);
		return status;
	}
	return exchange_print(cli, method, path, body);
}

enum cli_exit apps_create(struct cli *cli)
{
	return send_app(cli, "POST", client_path("/v1/apps"), cli->args[0]);
}

enum cli_exit apps_update(struct cli *cli)
{
	return send_app(cli, "PATCH", client_path("/v1/apps/%s", cli->args[0]), NULL);
}

enum cli_exit apps_inspect(struct cli *cli)
{
	json_t *document = NULL;
	enum cli_exit status = exchange_json(cli, "GET", client_path("/v1/apps/%s", cli->args[0]), NULL, &document);

	if (status != CLI_OK)
		return status;
	output_json(json_object_get(document, "app"));
	json_decref(document);
	return CLI_OK;
}

enum cli_exit apps_delete(struct cli *cli)
{
	return exchange_print(cli, "DELETE", client_path("/v1/apps/%s", cli->args[0]), NULL);
}

enum cli_exit apps_config_ls(struct cli *cli)
{
	json_t *document = NULL;
	enum cli_exit status = exchange_json(cli, "GET", client_path("/v1/apps/%s", cli->args[0]), NULL, &document);
	const char *key;
	json_t *value, *config;

	if (status != CLI_OK)
		return status;
	config = json_object_get(json_object_get(document, "app"), "config");
	if (cli->json)
		output_json(config);
	else
		json_object_foreach(config, key, value)
		{
			output_text(stdout, key);
			putchar('=');
			output_text(stdout, json_string_value(value) ? json_string_value(value) : "");
			putchar('\n');
		}
	json_decref(document);
	return CLI_OK;
}

static enum cli_exit change_config(struct cli *cli, json_t *config, enum cli_exit status)
{
	if (status != CLI_OK) {
		json_decref(config);
		return status;
	}
	return exchange_print(cli, "PATCH", client_path("/v1/apps/%s", cli->args[0]),
			      json_pack("{s:{s:o}}", "app", "config", config));
}

enum cli_exit apps_config_set(struct cli *cli)
{
	json_t *config = json_object();

	return change_config(cli, config, exchange_pairs(cli, cli->args + 1, config));
}

/* An empty value removes a key. */
enum cli_exit apps_config_unset(struct cli *cli)
{
	json_t *config = json_object();

	for (int i = 1; i < cli->n_args; i++)
		(void)json_object_set_new(config, cli->args[i], json_string(""));
	return change_config(cli, config, CLI_OK);
}
