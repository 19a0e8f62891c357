#include "rootfs/bundle.h"

#include "rootfs/bundle_check.h"
#include "rootfs/bundle_compile.h"
#include "rootfs/bundle_files.h"
#include "rootfs/bundle_write.h"
#include "rootfs/document.h"
#include "rootfs/entry.h"
#include "rootfs/reference.h"
#include "supervisor/str.h"
#include "supervisor/util.h"

#include <fcntl.h>
#include <string.h>

static int open_folder(const char *dir, struct err *err)
{
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return fd < 0 ? err_sys(err, errno, "open the folder %s", dir) : fd;
}

int bundle_load(const char *dir, struct function_file **ret_file, struct err *err)
{
	_cleanup_(function_file_release) struct function_file *file = NULL;
	_cleanup_(bundle_files_clear) struct bundle_files files = {0};
	_cleanup_fd_ int dir_fd = -1;
	int r = function_file_load(dir, &file, err);

	if (r < 0)
		return r;
	if (file->fn_runtime)
		return err_set(err, EINVAL,
			       "%s:%u: there is nothing to bundle: fn makes the images of runtime %s, with Docker",
			       file->file_name, function_file_line(file, "runtime"), file->fn_runtime);
	if (file->runtime == FUNCTION_RUNTIME_IMAGE)
		return err_set(err, EINVAL,
			       "%s: entrypoint (the program to run) is missing, so that there is nothing to bundle",
			       file->file_name);
	dir_fd = open_folder(dir, err);
	if (dir_fd < 0)
		return dir_fd;
	r = bundle_files_collect(file, dir_fd, &files, err);
	if (r == 0)
		r = bundle_check(file, dir_fd, &files, err);
	if (r < 0)
		return r;
	*ret_file = take_ptr(file);
	return 0;
}

int bundle_image_name(const struct function_file *file, const char *name, char *buffer, size_t size, struct err *err)
{
	const char *text = name && *name ? name : file->name;
	struct reference reference;
	int r;

	if (!text)
		return err_set(err, EINVAL, "%s has no key name, and no name was given", file->file_name);
	r = reference_parse(text, &reference, err);
	if (r < 0)
		return r;
	if (reference.digest[0])
		return err_set(err, EINVAL, "an image is made under a name and a tag, not under a digest");
	/* "latest" is only what reference_parse() puts where nothing was said. */
	if (file->version && !strchr(strrchr(text, '/') ? strrchr(text, '/') : text, ':'))
		(void)str_copy(reference.tag, sizeof(reference.tag), file->version);
	if (size < REFERENCE_TEXT_MAX)
		return err_set(err, ENOSPC, "the buffer for the name is too small");
	(void)reference_format(&reference, buffer, size);
	return 0;
}

/* The section with another module: what was compiled instead of its source. */
static int rename_module(const struct function_file *file, const char *module, struct manifest **ret_manifest,
			 struct err *err)
{
	_cleanup_json_ json_t *section = json_copy(file->cuda_section);

	if (!section || json_object_set_new(section, "module", json_string(module)) < 0)
		return err_sys(err, ENOMEM, "compile %s", file->cuda->module);
	return manifest_parse(section, ret_manifest, err);
}

/* Compiles the module, checks the launches against it, and puts the PTX beside its source. */
static int compile_module(const struct function_file *file, int dir_fd, struct bundle_files *files,
			  struct manifest **ret_manifest, struct err *err)
{
	char path[ENTRY_PATH_MAX + 1], module[MANIFEST_PATH_MAX + 8];
	const struct bundle_file *source;
	_cleanup_free_ char *text = NULL;
	size_t length = 0;
	int r;

	(void)snprintf(module, sizeof(module), "%.*s.ptx", (int)(strlen(file->cuda->module) - strlen(".cu")),
		       file->cuda->module);
	if (!bundle_module_path(file, file->cuda->module, path, sizeof(path)))
		return err_set(err, EINVAL, "%s: cuda.module is no path", file->file_name);
	source = bundle_files_find(files, path);
	if (!source || !source->from)
		return err_set(err, ENOENT, "%s: %s is not among the files of the bundle", file->file_name,
			       file->cuda->module);
	r = bundle_compile(dir_fd, source->from, &text, &length, err);
	if (r < 0) {
		err_wrap(err, "%s:%u: %s", file->file_name, function_file_line(file, "cuda.module"),
			 file->cuda->module);
		return r;
	}
	r = rename_module(file, module, ret_manifest, err);
	if (r == 0)
		r = bundle_check_kernels(file, *ret_manifest, text, length, err);
	if (r < 0 || !bundle_module_path(file, module, path, sizeof(path)))
		return r < 0 ? r : err_set(err, EINVAL, "%s: cuda.module is no path", file->file_name);
	return bundle_files_add(files, path, take_ptr(text), length, err);
}

int bundle_write(const struct function_file *file, const char *dir, const char *name, int out_fd,
		 bundle_progress progress, void *user, struct err *err)
{
	_cleanup_(bundle_files_clear) struct bundle_files files = {0};
	_cleanup_(manifest_release) struct manifest *compiled = NULL;
	_cleanup_fd_ int dir_fd = open_folder(dir, err);
	char full[REFERENCE_TEXT_MAX];
	int r = dir_fd < 0 ? dir_fd : bundle_image_name(file, name, full, sizeof(full), err);

	if (r == 0)
		r = bundle_files_collect(file, dir_fd, &files, err);
	if (r == 0 && file->cuda && file->cuda->module && file->cuda->module_kind == MANIFEST_MODULE_CU)
		r = compile_module(file, dir_fd, &files, &compiled, err);
	if (r < 0)
		return r;
	return bundle_write_archive(file, compiled ? compiled : file->cuda, dir_fd, &files, full, out_fd, progress,
				    user, err);
}
