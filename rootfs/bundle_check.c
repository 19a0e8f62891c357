#include "rootfs/bundle_check.h"

#include "rootfs/bundle.h"
#include "rootfs/elf.h"
#include "rootfs/entry.h"
#include "supervisor/str.h"
#include "supervisor/util.h"

#include <string.h>

#define LINKS_MAX 8

struct check {
	struct function_file *file;
	int dir_fd;
	const struct bundle_files *files;
	struct err *err;
};

static int refuse(const struct check *c, const char *place, const char *what, const char *why)
{
	unsigned line = function_file_line(c->file, place);

	if (line == 0)
		return err_set(c->err, EINVAL, "%s: %s%s%s", c->file->file_name, what, *what ? " " : "", why);
	return err_set(c->err, EINVAL, "%s:%u: %s%s%s", c->file->file_name, line, what, *what ? " " : "", why);
}

static int set_default(const struct check *c, char **text, const char *value)
{
	if (*text)
		return 0;
	*text = strdup(value);
	return *text ? 0 : err_sys(c->err, ENOMEM, "read %s", c->file->file_name);
}

static bool is_image_base(const struct function_file *f)
{
	return f->base && strcmp(f->base, "host") != 0 && strcmp(f->base, "scratch") != 0;
}

/* The file at a path of the image, through links of the bundle; NULL when the bundle does not have it. */
static const struct bundle_file *find(const struct check *c, const char *path)
{
	char at[ENTRY_PATH_MAX + 2];
	const struct bundle_file *found;

	(void)str_copy(at, sizeof(at), path);
	for (int i = 0; i < LINKS_MAX; i++) {
		char directory[ENTRY_PATH_MAX + 2];
		char *slash;

		found = bundle_files_find(c->files, at);
		if (!found || found->kind != BUNDLE_LINK)
			return found && found->kind == BUNDLE_FILE ? found : NULL;
		(void)str_copy(directory, sizeof(directory), at);
		slash = strrchr(directory, '/');
		*(slash > directory ? slash : directory + 1) = '\0';
		if (!bundle_path(directory, found->text, at, sizeof(at)))
			return NULL;
	}
	return NULL;
}

ssize_t bundle_read(int dir_fd, const struct bundle_file *file, size_t max, char **ret, struct err *err)
{
	_cleanup_fd_ int fd = -1;
	_cleanup_free_ char *text = NULL;
	size_t length = 0;

	if (file->bytes > max)
		return err_set(err, EFBIG, "\"%s\" is larger than %zu bytes", file->to, max);
	fd = bundle_files_open(dir_fd, file, err);
	text = malloc(file->bytes + 1);
	if (fd < 0 || !text)
		return fd < 0 ? fd : err_sys(err, ENOMEM, "read \"%s\"", file->from);
	while (length < file->bytes) {
		ssize_t n = pread(fd, text + length, file->bytes - length, (off_t)length);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return err_sys(err, n < 0 ? errno : EIO, "read \"%s\"", file->from);
		length += (size_t)n;
	}
	text[length] = '\0';
	*ret = take_ptr(text);
	return (ssize_t)length;
}

/* --- programs ----------------------------------------------------------------------------------------------------- */

static int check_machine(const struct check *c, const struct elf_file *elf, const char *place, const char *name)
{
	if (elf->machine == elf_host_machine())
		return 0;
	return err_set(c->err, EINVAL, "%s:%u: %s is built for %s, this machine is %s", c->file->file_name,
		       function_file_line(c->file, place), name, elf_machine_name(elf->machine),
		       elf_machine_name(elf_host_machine()));
}

/* The loader of a program or the interpreter of a script must be somewhere. */
static int check_interpreter(const struct check *c, const char *program, const char *interpreter, bool is_elf)
{
	char why[400];

	if (is_image_base(c->file) || find(c, interpreter) || (is_elf && strcmp(c->file->base, "host") == 0))
		return 0;
	if (is_elf)
		(void)snprintf(why, sizeof(why),
			       "is dynamically linked (%.200s) and base is scratch: link it with -static, or set "
			       "base: host",
			       interpreter);
	else
		(void)snprintf(
			why, sizeof(why),
			"is a script for %.200s, which the bundle does not have: set base to an image that has it",
			interpreter);
	return refuse(c, "entrypoint", program, why);
}

static int read_head(const struct check *c, const struct bundle_file *file, char *head, size_t size)
{
	_cleanup_fd_ int fd = bundle_files_open(c->dir_fd, file, c->err);
	ssize_t n;

	if (fd < 0)
		return fd;
	n = pread(fd, head, size - 1, 0);
	if (n < 0)
		return err_sys(c->err, errno, "read \"%s\"", file->from);
	head[n] = '\0';
	return 0;
}

static int check_script(const struct check *c, const char *program, const struct bundle_file *file)
{
	char head[256];
	char *interpreter;
	int r = read_head(c, file, head, sizeof(head));

	if (r == 0)
		r = set_default(c, &c->file->base, "scratch");
	if (r < 0)
		return r;
	if (strncmp(head, "#!", 2) != 0)
		return refuse(c, "entrypoint", program, "is no program: neither an ELF file nor a script with #!");
	interpreter = head + 2 + strspn(head + 2, " \t");
	interpreter[strcspn(interpreter, " \t\r\n")] = '\0';
	return check_interpreter(c, program, interpreter, false);
}

static int check_program(const struct check *c, const char *program, const struct bundle_file *file)
{
	struct elf_file elf = {0};
	_cleanup_fd_ int fd = -1;
	int is_elf, r;

	if (!(file->mode & 0111))
		return refuse(c, "entrypoint", program,
			      "is not executable: chmod +x it, or give it a mode such as 0755 in files");
	fd = bundle_files_open(c->dir_fd, file, c->err);
	if (fd < 0)
		return fd;
	is_elf = elf_read(fd, &elf, c->err);
	if (is_elf < 0) {
		err_wrap(c->err, "%s:%u: %s", c->file->file_name, function_file_line(c->file, "entrypoint"), program);
		return is_elf;
	}
	if (is_elf == 0 && elf.machine == 0)
		return check_script(c, program, file);
	r = check_machine(c, &elf, "entrypoint", program);
	if (r == 0 && elf.is_library)
		r = refuse(c, "entrypoint", program, "is a shared library, not a program");
	if (r == 0)
		r = set_default(c, &c->file->base, elf.interp[0] ? "host" : "scratch");
	if (r == 0 && elf.interp[0])
		r = check_interpreter(c, program, elf.interp, true);
	elf_file_clear(&elf);
	return r;
}

/* A bare name is looked for in the working directory: nobody means the PATH when the bundle brings the file. */
static int check_entrypoint(const struct check *c)
{
	struct function_file *f = c->file;
	struct function_strings *command = f->entrypoint.count ? &f->entrypoint : &f->cmd;
	const char *place = f->entrypoint.count ? "entrypoint" : "cmd";
	const struct bundle_file *found;
	char path[ENTRY_PATH_MAX + 1];
	int r;

	if (command->count == 0 || !*command->items[0]) {
		if (is_image_base(f))
			return 0;
		return refuse(c, place, "", "entrypoint (the program to run) is missing");
	}
	if (!bundle_path(f->workdir, command->items[0], path, sizeof(path)))
		return refuse(c, place, command->items[0], "is no path");
	found = find(c, path);
	if (!found && is_image_base(f))
		return 0;
	if (!found)
		return refuse(c, place, command->items[0], "is not among the files of the bundle");
	r = check_program(c, command->items[0], found);
	if (r == 0 && !strchr(command->items[0], '/')) {
		char *absolute = strdup(path);

		if (!absolute)
			return err_sys(c->err, ENOMEM, "read %s", f->file_name);
		free(command->items[0]);
		command->items[0] = absolute;
	}
	return r;
}

/* --- CUDA --------------------------------------------------------------------------------------------------------- */

bool bundle_module_path(const struct function_file *file, const char *module, char *buffer, size_t size)
{
	return bundle_path(file->workdir, module, buffer, size);
}

int bundle_check_kernels(const struct function_file *file, const struct manifest *manifest, const void *image,
			 size_t length, struct err *err)
{
	_cleanup_(kernel_list_release) struct kernel_list *kernels = NULL;
	unsigned line = function_file_line(file, "cuda.module");
	int r = kernel_list_read(image, length, &kernels, err);

	if (r < 0) {
		err_wrap(err, "%s:%u: %s", file->file_name, line, manifest->module);
		return r;
	}
	r = manifest_check_kernels(manifest, kernels, err);
	return r < 0 ? function_file_locate(file, err) : 0;
}

static int check_handler(const struct check *c, const char *name, const struct bundle_file *file)
{
	struct elf_file elf = {0};
	_cleanup_fd_ int fd = bundle_files_open(c->dir_fd, file, c->err);
	int r = fd < 0 ? fd : elf_read(fd, &elf, c->err);

	if (r < 0) {
		err_wrap(c->err, "%s:%u: %s", c->file->file_name, function_file_line(c->file, "cuda.handler"), name);
		return r;
	}
	if (r == 0 && elf.machine == 0)
		return refuse(c, "cuda.handler", name, "is no shared library");
	r = check_machine(c, &elf, "cuda.handler", name);
	if (r == 0 && !elf.is_library)
		r = refuse(c, "cuda.handler", name, "is no shared library (build it with -shared -fPIC)");
	elf_file_clear(&elf);
	return r;
}

static int check_cuda(const struct check *c)
{
	const struct manifest *m = c->file->cuda;
	const char *name = m->module ? m->module : m->handler, *place = m->module ? "cuda.module" : "cuda.handler";
	const struct bundle_file *file;
	_cleanup_free_ char *image = NULL;
	char path[ENTRY_PATH_MAX + 1];
	ssize_t n;

	if (!bundle_module_path(c->file, name, path, sizeof(path)))
		return refuse(c, place, name, "is no path");
	file = find(c, path);
	if (!file)
		return refuse(c, place, name, "is not among the files of the bundle");
	if (m->handler)
		return check_handler(c, name, file);
	/* Source is looked at after it was compiled. */
	if (m->module_kind == MANIFEST_MODULE_CU)
		return 0;
	n = bundle_read(c->dir_fd, file, BUNDLE_MODULE_MAX, &image, c->err);
	return n < 0 ? (int)n : bundle_check_kernels(c->file, m, image, (size_t)n, c->err);
}

int bundle_check(struct function_file *file, int dir_fd, const struct bundle_files *files, struct err *err)
{
	struct err unused = ERR_INIT;
	struct check c = {file, dir_fd, files, err ? err : &unused};
	int r;

	r = set_default(&c, &file->workdir, BUNDLE_FOLDER);
	if (r < 0)
		return r;
	if (file->runtime == FUNCTION_RUNTIME_CUDA) {
		r = set_default(&c, &file->base, "host");
		return r < 0 ? r : check_cuda(&c);
	}
	r = check_entrypoint(&c);
	return r < 0 ? r : set_default(&c, &file->base, "scratch");
}
