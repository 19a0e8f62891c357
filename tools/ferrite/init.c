/* ferrite init: the beginnings of a bundle, complete enough to be deployed as they are. */
#include "supervisor/util.h"
#include "tools/ferrite/commands.h"
#include "tools/ferrite/output.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

struct skeleton_file {
	const char *kind; /* folder below tools/ferrite/skeletons */
	const char *name;
	const char *text;
};

/* Every NAME in names and texts becomes the name of the bundle. */
static const struct skeleton_file files[] = {
#include "tools/ferrite/skeletons.inc"
};

static const char *const kinds[] = {"exec", "kernel", "handler"};

/* Writes TEXT with every NAME replaced. */
static int write_file(int dir_fd, const struct skeleton_file *file, const char *name, char *ret_path, size_t size,
		      struct err *err)
{
	const char *text = file->text;
	const char *mark = strstr(file->name, "NAME");

	(void)snprintf(ret_path, size, "%.*s%s%s", mark ? (int)(mark - file->name) : (int)strlen(file->name),
		       file->name, mark ? name : "", mark ? mark + 4 : "");

	_cleanup_fd_ int fd = openat(dir_fd, ret_path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);

	if (fd < 0)
		return err_sys(err, errno, "cannot create %s", ret_path);
	while (*text) {
		const char *next = strstr(text, "NAME");
		size_t length = next ? (size_t)(next - text) : strlen(text);
		int r = fd_write_all(fd, text, length);

		if (r == 0 && next)
			r = fd_write_all(fd, name, strlen(name));
		if (r < 0)
			return err_sys(err, r, "cannot write %s", ret_path);
		text += length + (next ? 4 : 0);
	}
	return 0;
}

static enum cli_exit write_skeleton(struct cli *cli, const char *kind, const char *dir, const char *name)
{
	_cleanup_fd_ int dir_fd = -1;
	struct err err = ERR_INIT;
	char path[512];

	if (mkdir(dir, 0777) < 0 && errno != EEXIST)
		return cli_fail(cli, CLI_USAGE, "cannot make the folder %s: %s", dir, strerror(errno));
	dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir_fd < 0)
		return cli_fail(cli, CLI_USAGE, "cannot open the folder %s: %s", dir, strerror(errno));
	for (const struct skeleton_file *f = files; f < files + ARRAY_LEN(files); f++) {
		if (strcmp(f->kind, kind) != 0)
			continue;
		if (write_file(dir_fd, f, name, path, sizeof(path), &err) < 0)
			return cli_fail(cli, CLI_USAGE, "%s: %s%s", dir, err.text,
					err.code == -EEXIST ? "; take a new folder, nothing is overwritten" : "");
		if (!cli->json)
			printf("%s/%s\n", dir, path);
	}
	if (cli->json) {
		json_t *document = json_pack("{s:o, s:s}", "folder", output_string(dir), "kind", kind);

		output_json(document);
		json_decref(document);
	} else {
		printf("next: ferrite test %s, ferrite deploy %s --app demo\n", dir, dir);
	}
	return CLI_OK;
}

/* The function is called as the folder is, so far as an image may be called that. */
static bool name_of_folder(const char *dir, char *name, size_t size)
{
	_cleanup_free_ char *real = realpath(dir, NULL);
	const char *base = strrchr(real ? real : dir, '/');
	size_t n = 0;

	base = base ? base + 1 : (real ? real : dir);
	for (; *base && n + 1 < size; base++) {
		char c = *base >= 'A' && *base <= 'Z' ? (char)(*base - 'A' + 'a') : *base;

		if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || (n > 0 && (c == '-' || c == '_')))
			name[n++] = c;
	}
	name[n] = '\0';
	return n > 0;
}

enum cli_exit init_bundle(struct cli *cli)
{
	_cleanup_free_ char *dir = strdup(cli->args[0]);
	const char *kind = cli_value(cli, "kind") ? cli_value(cli, "kind") : "exec";
	char name[64];

	for (size_t n = dir ? strlen(dir) : 0; n > 1 && dir[n - 1] == '/'; n--)
		dir[n - 1] = '\0';
	if (!dir || !name_of_folder(dir, name, sizeof(name)))
		return cli_fail(cli, CLI_USAGE, "\"%s\" has no letter or digit that an image's name could take",
				cli->args[0]);
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
		if (strcmp(kind, kinds[i]) == 0)
			return write_skeleton(cli, kinds[i], dir, name);
	return cli_fail(cli, CLI_USAGE, "there is no kind \"%s\"; take exec, kernel or handler", kind);
}
