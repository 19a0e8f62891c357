/* ferrite bundle and ferrite deploy: from a folder to an image, and on to a URL. */
#include "rootfs/bundle.h"
#include "rootfs/reference.h"
#include "supervisor/util.h"
#include "tools/ferrite/client.h"
#include "tools/ferrite/commands.h"
#include "tools/ferrite/folder.h"
#include "tools/ferrite/output.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

static const char *folder_of(const struct cli *cli)
{
	return cli->n_args > 0 ? cli->args[0] : ".";
}

static enum cli_exit load(struct cli *cli, struct function_file **ret_function, char *name)
{
	enum cli_exit status = folder_load(cli, folder_of(cli), ret_function);

	return status == CLI_OK ? folder_image_name(cli, *ret_function, cli_value(cli, "tag"), name) : status;
}

static enum cli_exit write_archive(struct cli *cli, const struct function_file *function, const char *name,
				   const char *output)
{
	_cleanup_file_ FILE *file = strcmp(output, "-") == 0 ? NULL : fopen(output, "we");

	if (strcmp(output, "-") == 0)
		return folder_pack(cli, function, folder_of(cli), name, stdout);
	if (!file)
		return cli_fail(cli, CLI_USAGE, "cannot write %s: %s", output, strerror(errno));

	enum cli_exit status = folder_pack(cli, function, folder_of(cli), name, file);

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
	/* bundle_load() says what is missing for a bundle. */
	if (function->runtime == FUNCTION_RUNTIME_IMAGE) {
		struct function_file *unused = NULL;
		struct err err = ERR_INIT;

		(void)bundle_load(folder_of(cli), &unused, &err);
		return cli_fail(cli, CLI_USAGE, "%s", err.text);
	}
	if (cli_value(cli, "output"))
		return write_archive(cli, function, name, cli_value(cli, "output"));
	status = folder_send(cli, function, folder_of(cli), name, &document);
	if (status != CLI_OK)
		return status;
	if (cli->json)
		output_json(document);
	else
		printf("%s\n", name);
	json_decref(document);
	return CLI_OK;
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
	json_t *route = NULL;

	if (!app)
		return cli_fail(cli, CLI_USAGE, "deploy needs --app APP");

	enum cli_exit status = load(cli, &function, name);

	if (status == CLI_OK)
		status = folder_provide_image(cli, function, folder_of(cli), name);
	if (status != CLI_OK)
		return status;

	_cleanup_free_ char *path = folder_path(function, cli_value(cli, "path"), name);

	if (!path)
		return cli_fail(cli, CLI_FAILED, "out of memory");
	status = folder_route(cli, function, name, &route);
	if (status == CLI_OK)
		status = folder_put_route(cli, app, path, route);
	return status == CLI_OK ? print_url(cli, app, path, name) : status;
}

/* In place of the old file by rename: whoever reads it meanwhile sees the one or the other. */
static int replace_file(const char *dir, const char *name, const char *text, struct err *err)
{
	_cleanup_fd_ int dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	_cleanup_fd_ int fd = -1;
	char new_name[64];
	struct stat st;
	int r;

	(void)snprintf(new_name, sizeof(new_name), ".%s.%d", name, (int)getpid());
	if (dir_fd < 0 || fstatat(dir_fd, name, &st, 0) < 0)
		return err_sys(err, errno, "open %s/%s", dir, name);
	fd = openat(dir_fd, new_name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return err_sys(err, errno, "write to %s", dir);
	r = fd_write_all(fd, text, strlen(text));
	/* With sudo the file stays its owner's. */
	if (r == 0 && st.st_uid != geteuid() && fchown(fd, st.st_uid, st.st_gid) < 0)
		r = -errno;
	if (r == 0 && (fchmod(fd, st.st_mode & 07777) < 0 || renameat(dir_fd, new_name, dir_fd, name) < 0))
		r = -errno;
	if (r < 0)
		(void)unlinkat(dir_fd, new_name, 0);
	return r < 0 ? err_sys(err, r, "write %s/%s", dir, name) : 0;
}

enum cli_exit bundle_bump(struct cli *cli)
{
	const char *dir = folder_of(cli), *file_name = NULL;
	_cleanup_free_ char *text = NULL, *changed = NULL, *version = NULL;
	struct err err = ERR_INIT;
	size_t length = 0;
	int r = function_file_read(dir, &file_name, &text, &length, &err);

	if (r == 0)
		r = function_file_bump(file_name, text, length, &changed, &version, &err);
	if (r == 0)
		r = replace_file(dir, file_name, changed, &err);
	if (r < 0)
		return cli_fail(cli, CLI_USAGE, "%s", err.text);
	if (cli->json) {
		json_t *document = json_pack("{s:s, s:s}", "file", file_name, "version", version);

		output_json(document);
		json_decref(document);
	} else {
		printf("%s\n", version);
	}
	return CLI_OK;
}
