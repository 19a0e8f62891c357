/* ferrite bundle and ferrite deploy: from a folder to an image, and on to a URL. */
#include "rootfs/bundle.h"
#include "rootfs/reference.h"
#include "supervisor/util.h"
#include "tools/ferrite/client.h"
#include "tools/ferrite/commands.h"
#include "tools/ferrite/output.h"

#include <ctype.h>
#include <string.h>
#include <sys/stat.h>

static void show_progress(void *user, uint64_t done, uint64_t total)
{
	(void)user;
	output_progress("packing the files", done, total);
}

/* A file error is the user's: exit status 2, whatever code it has. */
static enum cli_exit fail_local(const struct cli *cli, const struct err *err)
{
	return cli_fail(cli, CLI_USAGE, "%s", err->text);
}

static enum cli_exit pack(struct cli *cli, const struct function_file *function, const char *dir, const char *name,
			  FILE *out)
{
	struct err err = ERR_INIT;
	int r = bundle_write(function, dir, name, fileno(out), show_progress, NULL, &err);

	output_progress_end();
	return r < 0 ? fail_local(cli, &err) : CLI_OK;
}

/* Packs into a file that has no name, and sends that. */
static enum cli_exit pack_and_send(struct cli *cli, const struct function_file *function, const char *dir,
				   const char *name, json_t **ret_document)
{
	_cleanup_file_ FILE *archive = tmpfile();
	struct stat st;

	if (!archive)
		return cli_fail(cli, CLI_FAILED, "cannot make a temporary file: %s", strerror(errno));

	enum cli_exit status = pack(cli, function, dir, name, archive);

	if (status != CLI_OK)
		return status;
	if (fseeko(archive, 0, SEEK_SET) < 0 || fstat(fileno(archive), &st) < 0)
		return cli_fail(cli, CLI_FAILED, "cannot read the archive back: %s", strerror(errno));
	return images_send(cli, archive, st.st_size, name, ret_document);
}

static enum cli_exit load(struct cli *cli, struct function_file **ret_function, char *name)
{
	const char *tag = cli_value(cli, "tag");
	struct err err = ERR_INIT;

	if (bundle_load(cli->args[0], ret_function, &err) < 0)
		return fail_local(cli, &err);
	if (bundle_image_name(*ret_function, tag, name, REFERENCE_TEXT_MAX, &err) < 0)
		return fail_local(cli, &err);
	return CLI_OK;
}

static enum cli_exit write_archive(struct cli *cli, const struct function_file *function, const char *name,
				   const char *output)
{
	_cleanup_file_ FILE *file = strcmp(output, "-") == 0 ? NULL : fopen(output, "we");

	if (strcmp(output, "-") == 0)
		return pack(cli, function, cli->args[0], name, stdout);
	if (!file)
		return cli_fail(cli, CLI_USAGE, "cannot write %s: %s", output, strerror(errno));

	enum cli_exit status = pack(cli, function, cli->args[0], name, file);

	if (status != CLI_OK) {
		(void)unlink(output);
	} else if (cli->json) {
		json_t *document = json_pack("{s:{s:s}, s:o}", "image", "name", name, "file", output_string(output));

		output_json(document);
		json_decref(document);
	} else {
		printf("%s written to %s\n", name, output);
	}
	return status;
}

enum cli_exit bundle_make(struct cli *cli)
{
	_cleanup_(function_file_release) struct function_file *function = NULL;
	char name[REFERENCE_TEXT_MAX];
	enum cli_exit status = load(cli, &function, name);
	json_t *document = NULL;

	if (status != CLI_OK)
		return status;
	if (cli_value(cli, "output"))
		return write_archive(cli, function, name, cli_value(cli, "output"));
	status = pack_and_send(cli, function, cli->args[0], name, &document);
	if (status != CLI_OK)
		return status;
	if (cli->json)
		output_json(document);
	else
		printf("%s\n", name);
	json_decref(document);
	return CLI_OK;
}

/* `$NAME` and `${NAME}` of a config value come from the environment of whoever deploys, as in IronFunctions' tool. */
static char *expand(const char *text)
{
	char *expanded = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&expanded, &size);

	if (!out)
		return NULL;
	while (*text) {
		bool braces = text[0] == '$' && text[1] == '{';
		const char *begin = text + (braces ? 2 : 1);
		size_t length = 0;

		while (isalnum((unsigned char)begin[length]) || begin[length] == '_')
			length++;
		if (text[0] != '$' || length == 0 || (braces && begin[length] != '}')) {
			fputc(*text++, out);
			continue;
		}

		_cleanup_free_ char *name = strndup(begin, length);
		const char *value = name ? getenv(name) : NULL;

		fputs(value ? value : "", out);
		text = begin + length + (braces ? 1 : 0);
	}
	return fclose(out) == 0 ? expanded : NULL;
}

static json_t *route_object(const struct function_file *f, const char *image)
{
	json_t *route = json_pack("{s:s, s:s*, s:s*, s:s*}", "image", image, "type", f->type, "format", f->format,
				  "jwt_key", f->jwt_key);
	json_t *config = json_object(), *headers = json_object();

	if (f->has_memory)
		(void)json_object_set_new(route, "memory", json_integer((json_int_t)f->memory_mib));
	if (f->has_timeout)
		(void)json_object_set_new(route, "timeout", json_integer(f->timeout_s));
	if (f->has_idle_timeout)
		(void)json_object_set_new(route, "idle_timeout", json_integer(f->idle_timeout_s));
	if (f->has_max_concurrency)
		(void)json_object_set_new(route, "max_concurrency", json_integer(f->max_concurrency));
	for (size_t i = 0; i < f->config.count; i++) {
		_cleanup_free_ char *value = expand(f->config.items[i].value);

		(void)json_object_set_new(config, f->config.items[i].key, json_string(value ? value : ""));
	}
	for (size_t i = 0; i < f->headers.count; i++)
		(void)json_object_set_new(headers, f->headers.items[i].key,
					  json_pack("[s]", f->headers.items[i].value));
	if (json_object_size(config) > 0)
		(void)json_object_set(route, "config", config);
	if (json_object_size(headers) > 0)
		(void)json_object_set(route, "headers", headers);
	json_decref(config);
	json_decref(headers);
	return route;
}

/* --path, else the file's path, else "/" and the last part of the image's name without its tag. */
static char *route_path(const struct cli *cli, const struct function_file *f, const char *image)
{
	const char *given = cli_value(cli, "path") ? cli_value(cli, "path") : f->path;
	char *path = NULL;

	if (given)
		return asprintf(&path, "%s%s", *given == '/' ? "" : "/", given) < 0 ? NULL : path;

	const char *slash = strrchr(image, '/');
	const char *last = slash ? slash + 1 : image;

	return asprintf(&path, "/%.*s", (int)strcspn(last, ":@"), last) < 0 ? NULL : path;
}

/* Creates the route (and with it the app), or brings the one that is there up to date. Takes ROUTE. */
static enum cli_exit put_route(struct cli *cli, const char *app, const char *path, json_t *route)
{
	_cleanup_free_ char *list = client_path("/v1/apps/%s/routes", app);
	_cleanup_free_ char *one = client_path("/v1/apps/%s/routes%p", app, path);
	json_t *body = json_pack("{s:o}", "route", route), *document = NULL;
	struct err err = ERR_INIT;
	long http_status = 0;
	int r = -ENOMEM;

	if (list && one && body) {
		(void)json_object_set_new(route, "path", json_string(path));
		r = client_json(cli->client, "POST", list, body, &http_status, &document, &err);
		if (r < 0 && http_status == 409) {
			(void)json_object_del(route, "path");
			r = client_json(cli->client, "PATCH", one, body, NULL, &document, &err);
		}
	}
	json_decref(document);
	json_decref(body);
	return r < 0 ? cli_fail_err(cli, &err) : CLI_OK;
}

static enum cli_exit print_url(const struct cli *cli, const char *app, const char *path, const char *image)
{
	_cleanup_free_ char *where = client_path("/r/%s%p", app, path);

	if (!where)
		return cli_fail(cli, CLI_FAILED, "out of memory");

	const struct client *client = cli->client;

	if (cli->json) {
		json_t *document = json_pack("{s:s, s:s, s:s, s:s++, s:s*}", "app", app, "path", path, "image", image,
					     "url", client_base(client), where, "", "socket", client->socket);

		output_json(document);
		json_decref(document);
		return CLI_OK;
	}
	printf("%s%s\n", client_base(client), where);
	if (client->socket && isatty(STDERR_FILENO))
		fprintf(stderr, "(over the socket: curl --unix-socket %s %s%s)\n", client->socket, client_base(client),
			where);
	return CLI_OK;
}

enum cli_exit bundle_deploy(struct cli *cli)
{
	_cleanup_(function_file_release) struct function_file *function = NULL;
	char name[REFERENCE_TEXT_MAX];
	const char *app = cli_value(cli, "app");
	json_t *document = NULL;

	if (!app)
		return cli_fail(cli, CLI_USAGE, "deploy needs --app APP");

	enum cli_exit status = load(cli, &function, name);

	if (status == CLI_OK)
		status = pack_and_send(cli, function, cli->args[0], name, &document);
	json_decref(document);
	if (status != CLI_OK)
		return status;

	_cleanup_free_ char *path = route_path(cli, function, name);

	if (!path)
		return cli_fail(cli, CLI_FAILED, "out of memory");
	status = put_route(cli, app, path, route_object(function, name));
	return status == CLI_OK ? print_url(cli, app, path, name) : status;
}
