#include "tools/ferrite/folder.h"

#include "rootfs/bundle.h"
#include "rootfs/reference.h"
#include "supervisor/util.h"
#include "tools/ferrite/client.h"
#include "tools/ferrite/commands.h"
#include "tools/ferrite/output.h"

#include <ctype.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

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

/* --- reading ------------------------------------------------------------------------------------------------------ */

/* Standard output may be an archive, standard input what the function is called with: neither is the command's. */
static _Noreturn void run_shell(const char *dir, const char *command)
{
	int null_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

	if (chdir(dir) == 0 && null_fd >= 0 && dup2(null_fd, STDIN_FILENO) >= 0 &&
	    dup2(STDERR_FILENO, STDOUT_FILENO) >= 0)
		(void)execl("/bin/sh", "sh", "-c", command, (char *)NULL);
	_exit(127);
}

static enum cli_exit run_build(struct cli *cli, const char *dir, const struct function_file *function)
{
	for (size_t i = 0; i < function->build.count; i++) {
		const char *command = function->build.items[i];
		int status = 0;

		fputs("build: ", stderr);
		output_text(stderr, command);
		fputc('\n', stderr);

		pid_t pid = fork();

		if (pid == 0)
			run_shell(dir, command);
		while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
			;
		if (pid < 0)
			return cli_fail(cli, CLI_FAILED, "cannot start a shell: %s", strerror(errno));
		if (status == 0)
			continue;
		return cli_fail(cli, CLI_USAGE, "%s:%u: the build command \"%s\" ended with %s %d", function->file_name,
				function_file_line(function, "build"), command,
				WIFEXITED(status) ? "exit status" : "signal",
				WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status));
	}
	return CLI_OK;
}

enum cli_exit folder_load(struct cli *cli, const char *dir, struct function_file **ret_function)
{
	_cleanup_(function_file_release) struct function_file *function = NULL;
	struct err err = ERR_INIT;

	if (function_file_load(dir, &function, &err) < 0)
		return fail_local(cli, &err);
	if (function->runtime == FUNCTION_RUNTIME_IMAGE) {
		*ret_function = take_ptr(function);
		return CLI_OK;
	}

	enum cli_exit status = run_build(cli, dir, function);

	if (status != CLI_OK)
		return status;
	return bundle_load(dir, ret_function, &err) < 0 ? fail_local(cli, &err) : CLI_OK;
}

enum cli_exit folder_image_name(struct cli *cli, const struct function_file *function, const char *tag, char *name)
{
	struct err err = ERR_INIT;

	return bundle_image_name(function, tag, name, REFERENCE_TEXT_MAX, &err) < 0 ? fail_local(cli, &err) : CLI_OK;
}

/* --- its image ---------------------------------------------------------------------------------------------------- */

enum cli_exit folder_pack(struct cli *cli, const struct function_file *function, const char *dir, const char *name,
			  FILE *out)
{
	struct err err = ERR_INIT;
	int r = bundle_write(function, dir, name, fileno(out), show_progress, NULL, &err);

	output_progress_end();
	return r < 0 ? fail_local(cli, &err) : CLI_OK;
}

/* Packs into a file that has no name, and sends that. */
enum cli_exit folder_send(struct cli *cli, const struct function_file *function, const char *dir, const char *name,
			  json_t **ret_document)
{
	_cleanup_file_ FILE *archive = tmpfile();
	struct stat st;

	if (!archive)
		return cli_fail(cli, CLI_FAILED, "cannot make a temporary file: %s", strerror(errno));

	enum cli_exit status = folder_pack(cli, function, dir, name, archive);

	if (status != CLI_OK)
		return status;
	if (fseeko(archive, 0, SEEK_SET) < 0 || fstat(fileno(archive), &st) < 0)
		return cli_fail(cli, CLI_FAILED, "cannot read the archive back: %s", strerror(errno));
	return images_send(cli, archive, st.st_size, name, ret_document);
}

/* What a file about an image leaves to others, and how to make up for it. */
static enum cli_exit fail_missing(struct cli *cli, const struct function_file *function, const char *name)
{
	if (function->fn_runtime)
		return cli_fail(
			cli, CLI_FAILED,
			"%s:%u: fn makes the images of runtime %s, with Docker, and %s is not in the store: after "
			"\"fn build\", \"docker save %s | ferrite images import - %s\" brings it there",
			function->file_name, function_file_line(function, "runtime"), function->fn_runtime, name, name,
			name);
	return cli_fail(
		cli, CLI_FAILED,
		"%s names no entrypoint, so that it is about the image %s, which is not in the store: import it "
		"(\"docker save %s | ferrite images import - %s\"), or give the file an entrypoint",
		function->file_name, name, name, name);
}

enum cli_exit folder_provide_image(struct cli *cli, const struct function_file *function, const char *dir,
				   const char *name)
{
	_cleanup_free_ char *path = client_path("/v1/images/%p", name);
	enum cli_exit status = CLI_OK;
	json_t *document = NULL;
	struct err err = ERR_INIT;
	long http_status = 0;
	int r;

	if (function->runtime != FUNCTION_RUNTIME_IMAGE) {
		status = folder_send(cli, function, dir, name, &document);
		json_decref(document);
		return status;
	}
	if (!exchange_client(cli, &status))
		return status;
	r = path ? client_json(cli->client, "GET", path, NULL, &http_status, &document, &err)
		 : err_set(&err, ENOMEM, "out of memory");
	json_decref(document);
	if (http_status == 404)
		return fail_missing(cli, function, name);
	return r < 0 ? cli_fail_err(cli, &err) : CLI_OK;
}

/* --- its route ---------------------------------------------------------------------------------------------------- */

/*
 * `$NAME` and `${NAME}` of a config value come from the environment of whoever deploys, as in IronFunctions' tool: what
 * is not there is empty. Here that is at least said.
 */
static char *expand(const char *key, const char *text)
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

		if (!value)
			fprintf(stderr, "ferrite: %.*s, which config %s takes from the environment, is not set\n",
				(int)length, begin, key);
		fputs(value ? value : "", out);
		text = begin + length + (braces ? 1 : 0);
	}
	return fclose(out) == 0 ? expanded : NULL;
}

/* An image of ours carries in its labels what of the GPU and the network it wants; others leave it to the route. */
static void add_extensions(json_t *route, const struct function_file *f)
{
	_cleanup_free_ char *gpu = f->has_gpu ? bundle_gpu_json(&f->gpu) : NULL;

	if (f->runtime != FUNCTION_RUNTIME_IMAGE)
		return;
	if (gpu)
		(void)json_object_set_new(route, "gpu", json_loads(gpu, 0, NULL));
	if (f->has_network)
		(void)json_object_set_new(route, "network", json_string(function_network_names[f->network]));
}

static enum cli_exit add_config(struct cli *cli, json_t *route, const struct function_file *f)
{
	json_t *config = json_object();
	enum cli_exit status = CLI_OK;

	for (size_t i = 0; status == CLI_OK && i < f->config.count; i++) {
		const char *key = f->config.items[i].key;
		_cleanup_free_ char *value = expand(key, f->config.items[i].value);

		if (!value || json_object_set_new(config, key, json_string(value)) < 0)
			status = cli_fail(cli, CLI_USAGE, "%s:%u: the value of config %s is not text in UTF-8",
					  f->file_name, function_file_line(f, "config"), key);
	}
	if (json_object_size(config) > 0)
		(void)json_object_set(route, "config", config);
	json_decref(config);
	return status;
}

static void add_headers(json_t *route, const struct function_file *f)
{
	json_t *headers = json_object();

	for (size_t i = 0; i < f->headers.count; i++)
		(void)json_object_set_new(headers, f->headers.items[i].key,
					  json_pack("[s]", f->headers.items[i].value));
	if (json_object_size(headers) > 0)
		(void)json_object_set(route, "headers", headers);
	json_decref(headers);
}

enum cli_exit folder_route(struct cli *cli, const struct function_file *f, const char *image, json_t **ret_route)
{
	json_t *route = json_pack("{s:s, s:s*, s:s*, s:s*}", "image", image, "type", f->type, "format", f->format,
				  "jwt_key", f->jwt_key);

	if (f->has_memory)
		(void)json_object_set_new(route, "memory", json_integer((json_int_t)f->memory_mib));
	if (f->has_timeout)
		(void)json_object_set_new(route, "timeout", json_integer(f->timeout_s));
	if (f->has_idle_timeout)
		(void)json_object_set_new(route, "idle_timeout", json_integer(f->idle_timeout_s));
	if (f->has_max_concurrency)
		(void)json_object_set_new(route, "max_concurrency", json_integer(f->max_concurrency));
	add_headers(route, f);
	add_extensions(route, f);

	enum cli_exit status = add_config(cli, route, f);

	if (status == CLI_OK)
		*ret_route = route;
	else
		json_decref(route);
	return status;
}

char *folder_path(const struct function_file *function, const char *given, const char *image)
{
	char *path = NULL;

	if (!given)
		given = function->path;
	if (given)
		return asprintf(&path, "%s%s", *given == '/' ? "" : "/", given) < 0 ? NULL : path;

	const char *slash = strrchr(image, '/');
	const char *last = slash ? slash + 1 : image;

	return asprintf(&path, "/%.*s", (int)strcspn(last, ":@"), last) < 0 ? NULL : path;
}

enum cli_exit folder_put_route(struct cli *cli, const char *app, const char *path, json_t *route)
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
