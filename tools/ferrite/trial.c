#include "tools/ferrite/trial.h"

#include "api/jwt.h"
#include "supervisor/util.h"
#include "tools/ferrite/commands.h"
#include "tools/ferrite/output.h"

#include <signal.h>
#include <string.h>

/* A hot instance must not outlive the trial for long. */
#define IDLE_TIMEOUT_S 1

static volatile sig_atomic_t stopped;

static void on_stop(int number)
{
	(void)number;
	stopped = 1;
}

static void watch_signals(void)
{
	struct sigaction action = {.sa_handler = on_stop, .sa_flags = (int)SA_RESETHAND | SA_RESTART};

	(void)sigaction(SIGINT, &action, NULL);
	(void)sigaction(SIGTERM, &action, NULL);
}

bool trial_stopped(void)
{
	return stopped != 0;
}

/* The image gets a tag of its own, so that nobody who uses the function's name gets the trial. */
static enum cli_exit name_image(struct trial *trial, const char *suffix)
{
	const struct function_file *function = trial->function;
	struct reference reference = {.name = "function"};
	struct err err = ERR_INIT;

	if (function->runtime == FUNCTION_RUNTIME_IMAGE)
		return folder_image_name(trial->cli, function, NULL, trial->image);
	if (function->name && reference_parse(function->name, &reference, &err) < 0)
		return cli_fail(trial->cli, CLI_USAGE, "%s", err.text);
	reference.digest[0] = '\0';
	(void)snprintf(reference.tag, sizeof(reference.tag), "trial-%s", suffix);
	(void)reference_format(&reference, trial->image, sizeof(trial->image));
	return CLI_OK;
}

/* The route of the file, but that it answers whoever asks, and at once. */
static enum cli_exit make_route(struct trial *trial)
{
	json_t *route = NULL;
	enum cli_exit status = folder_route(trial->cli, trial->function, trial->image, &route);

	if (status != CLI_OK)
		return status;
	(void)json_object_del(route, "jwt_key");
	(void)json_object_del(route, "type");
	(void)json_object_set_new(route, "idle_timeout", json_integer(IDLE_TIMEOUT_S));
	return folder_put_route(trial->cli, trial->app, trial->path, route);
}

enum cli_exit trial_begin(struct cli *cli, const char *dir, struct trial *trial)
{
	enum cli_exit status = CLI_OK;
	uint32_t number = 0;
	char suffix[16];

	*trial = (struct trial){.cli = cli};
	random_bytes(&number, sizeof(number));
	(void)snprintf(suffix, sizeof(suffix), "%08x", number);
	(void)snprintf(trial->app, sizeof(trial->app), "ferrite-trial-%s", suffix);
	/* Building is the user's own work, and ends with the signal. */
	status = folder_load(cli, dir, &trial->function);
	watch_signals();
	if (status == CLI_OK)
		status = name_image(trial, suffix);
	if (status == CLI_OK)
		status = folder_provide_image(cli, trial->function, dir, trial->image);
	trial->made_image = status == CLI_OK && trial->function->runtime != FUNCTION_RUNTIME_IMAGE;
	if (status == CLI_OK && !(trial->path = folder_path(trial->function, NULL, trial->image)))
		status = cli_fail(cli, CLI_FAILED, "out of memory");
	if (status == CLI_OK)
		status = make_route(trial);
	trial->made_route = status == CLI_OK;
	return status;
}

/* What is deployed asks for the token that the key of the file makes. */
static int make_token(struct trial *trial)
{
	const char *key = trial->function->jwt_key;
	_cleanup_free_ char *token = NULL;

	if (!key || !*key)
		return 0;
	token = jwt_token_make(key, (int64_t)(clock_realtime_us() / 1000000), JWT_SECONDS);
	if (!token || asprintf(&trial->authorization, "Authorization: Bearer %s", token) < 0)
		return -ENOMEM;
	return 0;
}

enum cli_exit trial_begin_remote(struct cli *cli, const char *dir, const char *app, const char *path,
				 struct trial *trial)
{
	struct err err = ERR_INIT;
	enum cli_exit status = CLI_OK;

	*trial = (struct trial){.cli = cli};
	if (function_file_load(dir, &trial->function, &err) < 0)
		return cli_fail(cli, CLI_USAGE, "%s", err.text);
	if ((size_t)snprintf(trial->app, sizeof(trial->app), "%s", app) >= sizeof(trial->app))
		return cli_fail(cli, CLI_USAGE, "no app is called \"%s\": names have at most 30 characters", app);
	if (!exchange_client(cli, &status))
		return status;
	status = path || trial->function->path ? CLI_OK : folder_image_name(cli, trial->function, NULL, trial->image);
	if (status != CLI_OK)
		return status;
	trial->path = folder_path(trial->function, path, trial->image);
	if (!trial->path || make_token(trial) < 0)
		return cli_fail(cli, CLI_FAILED, "out of memory");
	return CLI_OK;
}

/* Reported, but no reason to call the trial itself a failure. */
static void forget(struct client *client, char *path)
{
	_cleanup_free_ char *own_path = path;
	struct err err = ERR_INIT;
	json_t *document = NULL;
	int r = own_path ? client_json(client, "DELETE", own_path, NULL, NULL, &document, &err)
			 : err_set(&err, ENOMEM, "out of memory");

	json_decref(document);
	if (r < 0)
		fprintf(stderr, "ferrite: %s could not be removed: %s\n", own_path ? own_path : "a part of the trial",
			err.text);
}

void trial_end(struct trial *trial)
{
	if (trial->made_route) {
		forget(trial->cli->client, client_path("/v1/apps/%s/routes%p", trial->app, trial->path));
		forget(trial->cli->client, client_path("/v1/apps/%s", trial->app));
	}
	if (trial->made_image)
		forget(trial->cli->client, client_path("/v1/images/%p", trial->image));
	(void)function_file_free(trial->function);
	free(trial->path);
	free(trial->authorization);
	*trial = TRIAL_INIT;
}

static const char *content_type_of(const char *body, const struct curl_slist *headers)
{
	for (; headers; headers = headers->next)
		if (strncasecmp(headers->data, "content-type:", strlen("content-type:")) == 0)
			return NULL;
	return body ? exchange_content_type(NULL, body) : NULL;
}

int trial_call(struct trial *trial, const char *body, size_t length, struct curl_slist *headers, FILE *sink,
	       struct client_reply *ret_reply, struct err *err)
{
	_cleanup_free_ char *path = client_path("/r/%s%p", trial->app, trial->path);
	struct curl_slist token = {.data = trial->authorization, .next = headers};
	struct client_request request = {
		.method = body ? "POST" : "GET",
		.path = path,
		.content_type = content_type_of(body, headers),
		.headers = trial->authorization ? &token : headers,
		.body = body,
		.size = (int64_t)length,
		.sink = sink,
		.stop = &stopped,
	};

	if (!path)
		return err_set(err, ENOMEM, "out of memory");
	return client_send(trial->cli->client, &request, ret_reply, err);
}

bool trial_add_variable(struct curl_slist **headers, const char *name, const char *value)
{
	static const char token[] = "!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
	/* These would change the request itself. */
	static const char *const reserved[] = {
		"host", "content-length", "transfer-encoding", "connection", "expect", "te", "trailer", "upgrade"};
	_cleanup_free_ char *line = NULL;
	struct curl_slist *longer;

	for (size_t i = 0; i < ARRAY_LEN(reserved); i++)
		if (strcasecmp(name, reserved[i]) == 0)
			return false;
	if (!*name || name[strspn(name, token)] || strpbrk(value, "\r\n"))
		return false;
	/* libcurl takes "NAME:" as "do not send it", and "NAME;" as an empty one. */
	if (asprintf(&line, "%s%s%s", name, *value ? ": " : ";", value) < 0)
		return false;
	longer = curl_slist_append(*headers, line);
	if (longer)
		*headers = longer;
	return longer != NULL;
}
