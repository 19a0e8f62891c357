/* ferrite routes … */
#include "supervisor/str.h"
#include "supervisor/util.h"
#include "tools/ferrite/client.h"
#include "tools/ferrite/commands.h"
#include "tools/ferrite/output.h"

#include <string.h>

const struct cli_option routes_options[] = {
	{'i', "image", "NAME", "the image that answers"},
	{'m', "memory", "MIB", "memory of an instance, MiB"},
	{0, "type", "sync|async", "whether a caller waits for the answer"},
	{0, "format", "default|http", "one process per call, or one that answers many (hot)"},
	{'t', "timeout", "SECONDS", "longest run of one call"},
	{0, "idle-timeout", "SECONDS", "how long a hot function waits for its next call"},
	{'c', "max-concurrency", "N", "most hot instances at once"},
	{0, "network", "none|bridge|host|JSON", "network of its instances, or an object with mode and allow as JSON"},
	{0, "gpu", "N|JSON", "GPUs of an instance: how many, or the gpu section of a function file as JSON"},
	{0, "warm", "N", "instances to keep ready"},
	{0, "jwt-key", "KEY", "its callers need a token that was signed with this key"},
	{0, "config", "KEY=VALUE", "a setting the function sees in its environment (repeatable)"},
	{0, "header", "KEY=VALUE", "a header of its answers (repeatable)"},
	{0, NULL, NULL, NULL},
};

/* A path may be given without its first slash, as IronFunctions' tool allowed. */
static char *route_url(const char *app, const char *route)
{
	return client_path(*route == '/' ? "/v1/apps/%s/routes%p" : "/v1/apps/%s/routes/%p", app, route);
}

/* A number of GPUs, or an object. */
static enum cli_exit take_gpu(struct cli *cli, json_t *route)
{
	const char *value = cli_value(cli, "gpu");
	json_error_t error;
	json_t *gpu;

	if (!value)
		return CLI_OK;
	gpu = json_loads(value, JSON_DECODE_ANY, &error);
	if (!json_is_integer(gpu) && !json_is_object(gpu)) {
		json_decref(gpu);
		return cli_fail(cli, CLI_USAGE,
				"--gpu takes a number or a JSON object such as {\"memory\": \"1GiB\"}, not \"%s\"",
				value);
	}
	(void)json_object_set_new(route, "gpu", gpu);
	return CLI_OK;
}

/* A name, or an object. */
static enum cli_exit take_network(struct cli *cli, json_t *route)
{
	const char *value = cli_value(cli, "network");
	json_error_t error;
	json_t *network;

	if (!value)
		return CLI_OK;
	network = *value == '{' ? json_loads(value, 0, &error) : json_string(value);
	if (!network)
		return cli_fail(cli, CLI_USAGE,
				"--network takes none, bridge, host or a JSON object such as {\"mode\": \"bridge\", "
				"\"allow\": [\"192.168.1.7:5432/tcp\"]}, not \"%s\"",
				value);
	(void)json_object_set_new(route, "network", network);
	return CLI_OK;
}

/* The route from the options, "header" being a list for each name. */
static enum cli_exit route_from_options(struct cli *cli, json_t *route)
{
	static const struct {
		const char *option, *key;
		bool number;
	} simple[] = {
		{"image", "image", false},
		{"memory", "memory", true},
		{"type", "type", false},
		{"format", "format", false},
		{"timeout", "timeout", true},
		{"idle-timeout", "idle_timeout", true},
		{"max-concurrency", "max_concurrency", true},
		{"warm", "warm", true},
		{"jwt-key", "jwt_key", false},
	};
	enum cli_exit status = CLI_OK;
	const char *value;

	for (size_t i = 0; i < ARRAY_LEN(simple); i++) {
		uint64_t number = 0;

		value = cli_value(cli, simple[i].option);
		if (!value)
			continue;
		if (simple[i].number && (!str_u64(value, &number) || number > INT64_MAX))
			return cli_fail(cli, CLI_USAGE, "--%s takes a whole number, not \"%s\"", simple[i].option,
					value);
		if (json_object_set_new(route, simple[i].key,
					simple[i].number ? json_integer((json_int_t)number) : json_string(value)) < 0)
			return cli_fail(cli, CLI_USAGE, "--%s \"%s\" is not text in UTF-8", simple[i].option, value);
	}

	json_t *config = json_object(), *headers = json_object(), *header;
	const char *name;

	status = take_gpu(cli, route);
	if (status == CLI_OK)
		status = take_network(cli, route);
	for (size_t i = 0; status == CLI_OK && (value = cli_value_at(cli, "config", i)); i++)
		status = exchange_pairs(cli, (char *const[]){(char *)value, NULL}, config);
	for (size_t i = 0; status == CLI_OK && (value = cli_value_at(cli, "header", i)); i++)
		status = exchange_pairs(cli, (char *const[]){(char *)value, NULL}, headers);
	if (json_object_size(config) > 0)
		(void)json_object_set(route, "config", config);
	json_object_foreach(headers, name, header)(void) json_object_set_new(headers, name, json_pack("[O]", header));
	if (json_object_size(headers) > 0)
		(void)json_object_set(route, "headers", headers);
	json_decref(config);
	json_decref(headers);
	return status;
}

enum cli_exit routes_ls(struct cli *cli)
{
	json_t *document = NULL;
	const char *image = cli_value(cli, "image");
	char *path = image ? client_path("/v1/apps/%s/routes?image=%s", cli->args[0], image)
			   : client_path("/v1/apps/%s/routes", cli->args[0]);
	enum cli_exit status = exchange_json(cli, "GET", path, NULL, &document);
	const json_t *route;
	size_t i;

	if (status != CLI_OK)
		return status;
	if (cli->json) {
		output_json(document);
	} else {
		struct output_table *table = output_table_new(
			(const char *const[]){"PATH", "IMAGE", "TYPE", "FORMAT", "MEMORY", "TIMEOUT", NULL});

		json_array_foreach(json_object_get(document, "routes"), i, route)
		{
			char memory[32], timeout[32], unused[32];

			output_table_row(table, (const char *const[]){
							output_member(route, "path", unused, sizeof(unused)),
							output_member(route, "image", unused, sizeof(unused)),
							output_member(route, "type", unused, sizeof(unused)),
							output_member(route, "format", unused, sizeof(unused)),
							output_member(route, "memory", memory, sizeof(memory)),
							output_member(route, "timeout", timeout, sizeof(timeout))});
		}
		output_table_print(table);
	}
	json_decref(document);
	return CLI_OK;
}

static enum cli_exit send_route(struct cli *cli, const char *method, char *path, json_t *route)
{
	enum cli_exit status = route_from_options(cli, route);

	if (status != CLI_OK) {
		json_decref(route);
		free(path);
		return status;
	}
	return exchange_print(cli, method, path, json_pack("{s:o}", "route", route));
}

enum cli_exit routes_create(struct cli *cli)
{
	json_t *route = json_pack("{s:s}", "path", cli->args[1]);

	if (cli->n_args > 2)
		(void)json_object_set_new(route, "image", json_string(cli->args[2]));
	else if (!cli_value(cli, "image")) {
		json_decref(route);
		return cli_fail(cli, CLI_USAGE, "routes create needs APP PATH IMAGE");
	}
	return send_route(cli, "POST", client_path("/v1/apps/%s/routes", cli->args[0]), route);
}

enum cli_exit routes_update(struct cli *cli)
{
	return send_route(cli, "PATCH", route_url(cli->args[0], cli->args[1]), json_object());
}

enum cli_exit routes_inspect(struct cli *cli)
{
	json_t *document = NULL;
	enum cli_exit status = exchange_json(cli, "GET", route_url(cli->args[0], cli->args[1]), NULL, &document);

	if (status != CLI_OK)
		return status;
	output_json(json_object_get(document, "route"));
	json_decref(document);
	return CLI_OK;
}

enum cli_exit routes_delete(struct cli *cli)
{
	return exchange_print(cli, "DELETE", route_url(cli->args[0], cli->args[1]), NULL);
}

/* Prints the members of a route's object KEY, one value a line. */
static enum cli_exit print_members(struct cli *cli, const char *key)
{
	json_t *document = NULL;
	enum cli_exit status = exchange_json(cli, "GET", route_url(cli->args[0], cli->args[1]), NULL, &document);
	const char *name;
	json_t *object, *value;

	if (status != CLI_OK)
		return status;
	object = json_object_get(json_object_get(document, "route"), key);
	if (cli->json) {
		output_json(object);
		json_decref(document);
		return CLI_OK;
	}
	json_object_foreach(object, name, value)
	{
		size_t n = json_is_array(value) ? json_array_size(value) : 1;

		for (size_t i = 0; i < n; i++) {
			const char *text = json_string_value(json_is_array(value) ? json_array_get(value, i) : value);

			output_text(stdout, name);
			putchar('=');
			output_text(stdout, text ? text : "");
			putchar('\n');
		}
	}
	json_decref(document);
	return CLI_OK;
}

enum cli_exit routes_config_ls(struct cli *cli)
{
	return print_members(cli, "config");
}

enum cli_exit routes_headers_ls(struct cli *cli)
{
	return print_members(cli, "headers");
}

/* Takes the object KEY of a patch. */
static enum cli_exit patch_members(struct cli *cli, const char *key, json_t *object, enum cli_exit status)
{
	if (status != CLI_OK) {
		json_decref(object);
		return status;
	}
	return exchange_print(cli, "PATCH", route_url(cli->args[0], cli->args[1]),
			      json_pack("{s:{s:o}}", "route", key, object));
}

enum cli_exit routes_config_set(struct cli *cli)
{
	json_t *config = json_object();

	return patch_members(cli, "config", config, exchange_pairs(cli, cli->args + 2, config));
}

/* An empty value removes a key, an empty list a header. */
enum cli_exit routes_config_unset(struct cli *cli)
{
	json_t *config = json_object();

	for (int i = 2; i < cli->n_args; i++)
		(void)json_object_set_new(config, cli->args[i], json_string(""));
	return patch_members(cli, "config", config, CLI_OK);
}

enum cli_exit routes_headers_set(struct cli *cli)
{
	json_t *headers = json_object(), *value;
	enum cli_exit status = exchange_pairs(cli, cli->args + 2, headers);
	const char *name;

	json_object_foreach(headers, name, value)(void) json_object_set_new(headers, name, json_pack("[O]", value));
	return patch_members(cli, "headers", headers, status);
}

enum cli_exit routes_headers_unset(struct cli *cli)
{
	json_t *headers = json_object();

	for (int i = 2; i < cli->n_args; i++)
		(void)json_object_set_new(headers, cli->args[i], json_array());
	return patch_members(cli, "headers", headers, CLI_OK);
}
