/* What the command groups share: one exchange with the service, and the forms its arguments and answers take. */
#include "supervisor/util.h"
#include "tools/ferrite/client.h"
#include "tools/ferrite/commands.h"
#include "tools/ferrite/output.h"

#include <ctype.h>
#include <string.h>

struct client *exchange_client(struct cli *cli, enum cli_exit *ret_status)
{
	struct err err = ERR_INIT;

	if (cli->client->curl)
		return cli->client;
	if (client_open(cli->api, cli->client, &err) < 0) {
		*ret_status = cli_fail_err(cli, &err);
		return NULL;
	}
	return cli->client;
}

enum cli_exit exchange_json(struct cli *cli, const char *method, char *path, json_t *body, json_t **ret_document)
{
	_cleanup_free_ char *own_path = path;
	struct err err = ERR_INIT;
	enum cli_exit status = CLI_OK;
	struct client *client = exchange_client(cli, &status);

	if (client) {
		int r = own_path ? client_json(client, method, own_path, body, NULL, ret_document, &err)
				 : err_set(&err, ENOMEM, "out of memory");
		if (r < 0)
			status = cli_fail_err(cli, &err);
	}
	json_decref(body);
	return status;
}

enum cli_exit exchange_print(struct cli *cli, const char *method, char *path, json_t *body)
{
	json_t *document = NULL;
	enum cli_exit status = exchange_json(cli, method, path, body, &document);

	if (status != CLI_OK)
		return status;
	if (cli->json) {
		output_json(document);
	} else {
		const char *message = json_string_value(json_object_get(document, "message"));

		output_text(stdout, message ? message : "done");
		putchar('\n');
	}
	json_decref(document);
	return CLI_OK;
}

enum cli_exit exchange_pairs(struct cli *cli, char *const *words, json_t *object)
{
	for (; *words; words++) {
		const char *equals = strchr(*words, '=');

		if (!equals || equals == *words)
			return cli_fail(cli, CLI_USAGE, "\"%s\" is not of the form KEY=VALUE", *words);

		_cleanup_free_ char *key = strndup(*words, (size_t)(equals - *words));
		json_t *value = json_string(equals + 1);

		if (!key || !value || json_object_set_new(object, key, value) < 0)
			return cli_fail(cli, CLI_USAGE, "\"%s\" is not text in UTF-8", *words);
	}
	return CLI_OK;
}

const char *exchange_content_type(const char *name, const char *data)
{
	size_t length = name ? strlen(name) : 0;

	if (name && length > 5 && strcmp(name + length - 5, ".json") == 0)
		return "application/json";
	while (data && isspace((unsigned char)*data))
		data++;
	if (data && (*data == '{' || *data == '['))
		return "application/json";
	return "application/octet-stream";
}
