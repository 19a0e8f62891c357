/* ferrite routes token, and the tokens that calls and requests of this command carry. */
#include "api/jwt.h"
#include "supervisor/str.h"
#include "supervisor/util.h"
#include "tools/ferrite/client.h"
#include "tools/ferrite/commands.h"
#include "tools/ferrite/output.h"

#include <string.h>
#include <time.h>

#define SECONDS_MAX ((uint64_t)100 * 365 * 86400)

int token_for_route(struct client *client, const char *app, const char *route, int64_t seconds, char **ret_token,
		    struct err *err)
{
	_cleanup_free_ char *path =
		client_path(*route == '/' ? "/v1/apps/%s/routes%p" : "/v1/apps/%s/routes/%p", app, route);
	json_t *document = NULL;
	const char *key;
	int r = path ? client_json(client, "GET", path, NULL, NULL, &document, err)
		     : err_set(err, ENOMEM, "out of memory");

	if (r < 0)
		return r;
	*ret_token = NULL;
	key = json_string_value(json_object_get(json_object_get(document, "route"), "jwt_key"));
	if (key && *key) {
		*ret_token = jwt_token_make(key, time(NULL), seconds);
		r = *ret_token ? 0 : err_set(err, ENOMEM, "out of memory");
	}
	json_decref(document);
	return r;
}

enum cli_exit routes_token(struct cli *cli)
{
	_cleanup_free_ char *token = NULL;
	uint64_t seconds = JWT_SECONDS;
	struct err err = ERR_INIT;
	enum cli_exit status = CLI_OK;
	struct client *client;

	if (cli->n_args > 2 && (!str_u64(cli->args[2], &seconds) || seconds > SECONDS_MAX))
		return cli_fail(cli, CLI_USAGE, "SECONDS is a whole number up to %llu, not \"%s\"",
				(unsigned long long)SECONDS_MAX, cli->args[2]);
	client = exchange_client(cli, &status);
	if (!client)
		return status;
	if (token_for_route(client, cli->args[0], cli->args[1], (int64_t)seconds, &token, &err) < 0)
		return cli_fail_err(cli, &err);
	if (!token)
		return cli_fail(cli, CLI_FAILED, "route %s of %s has no jwt_key: its callers need no token",
				cli->args[1], cli->args[0]);
	if (cli->json) {
		json_t *document = json_pack("{s:s}", "token", token);

		output_json(document);
		json_decref(document);
	} else {
		puts(token);
	}
	return CLI_OK;
}
