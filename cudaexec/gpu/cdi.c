#include "cudaexec/gpu/cdi.h"

#include "cudaexec/gpu/rootfs.h"
#include "supervisor/str.h"
#include "supervisor/util.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#define NATIVE_KIND "nvidia.com/gpu"

/* --- files -------------------------------------------------------------------------------------------------------- */

static bool has_suffix(const char *name)
{
	const char *dot = strrchr(name, '.');

	return name[0] != '.' && dot && (strcmp(dot, ".json") == 0 || strcmp(dot, ".yaml") == 0);
}

/* Only root may have a say in what is mounted into containers. */
static int check_owner(int fd, bool folder, struct err *err)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return err_sys(err, errno, "look at it");
	if (folder ? !S_ISDIR(st.st_mode) : !S_ISREG(st.st_mode))
		return err_set(err, -EINVAL, "is no %s", folder ? "folder" : "regular file");
	if (st.st_uid != 0 || (st.st_mode & (S_IWGRP | S_IWOTH)))
		return err_set(err, -EPERM, "can be changed by others than root");
	return 0;
}

static int read_spec(int folder_fd, const char *name, const char *path, struct cdi_spec **ret_spec, struct err *err)
{
	_cleanup_fd_ int fd = openat(folder_fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	_cleanup_free_ char *text = NULL;
	char self[32];
	ssize_t length;
	int code;

	if (fd < 0)
		return err_sys(err, errno, "%s", path);
	code = check_owner(fd, false, err);
	if (code < 0)
		return err_wrap(err, "%s", path);
	(void)snprintf(self, sizeof(self), "/proc/self/fd/%d", fd);
	length = file_read(AT_FDCWD, self, CDI_FILE_MAX, &text, err);
	return length < 0 ? err_wrap(err, "%s", path) : cdi_parse(path, text, (size_t)length, ret_spec, err);
}

static int load_folder(struct cdi *cdi, int root_fd, const char *folder, unsigned priority,
		       void (*notice)(const char *text, const char *detail), struct err *err)
{
	_cleanup_fd_ int fd = rootfs_open_at(root_fd, folder, O_RDONLY | O_DIRECTORY);
	struct err why = ERR_INIT;
	_cleanup_dir_ DIR *dir = NULL;

	if (fd < 0)
		return 0; /* not every folder is there */
	if (check_owner(fd, true, &why) < 0) {
		(void)err_wrap(&why, "%s", folder);
		if (notice)
			notice("a folder of CDI files is not used", why.text);
		return 0;
	}
	dir = fdopendir(fd);
	if (!dir)
		return err_sys(err, errno, "read %s", folder);
	(void)take_fd(&fd);
	for (struct dirent *entry = readdir(dir); entry; entry = readdir(dir)) {
		struct cdi_spec *spec = NULL;
		char path[PATH_MAX];

		if (!has_suffix(entry->d_name) ||
		    snprintf(path, sizeof(path), "%s/%s", folder, entry->d_name) >= (int)sizeof(path))
			continue;
		if (cdi->n_specs == CDI_FILES_MAX)
			return err_set(err, -EOVERFLOW, "more than %d CDI files", CDI_FILES_MAX);
		err_clear(&why);
		if (read_spec(dirfd(dir), entry->d_name, path, &spec, &why) == 0) {
			spec->priority = priority;
			cdi->specs[cdi->n_specs++] = spec;
		} else if (notice) {
			notice("a CDI file is not used", why.text);
		}
	}
	return 0;
}

int cdi_load(int root_fd, const char *folders, void (*notice)(const char *text, const char *detail),
	     struct cdi *ret_cdi, struct err *err)
{
	struct cdi cdi = {.n_specs = 0};
	int code = 0;

	for (unsigned priority = 0; *folders && code == 0; priority++) {
		size_t length = strcspn(folders, ":");
		char folder[PATH_MAX];

		if (length > 0 && length < sizeof(folder)) {
			(void)snprintf(folder, sizeof(folder), "%.*s", (int)length, folders);
			code = load_folder(&cdi, root_fd, folder, priority, notice, err);
		}
		folders += length + (folders[length] == ':');
	}
	if (code < 0)
		cdi_done(&cdi);
	else
		*ret_cdi = cdi;
	return code;
}

void cdi_done(struct cdi *cdi)
{
	for (unsigned i = 0; i < cdi->n_specs; i++)
		cdi_spec_free(cdi->specs[i]);
	cdi->n_specs = 0;
}

/* --- wishes ------------------------------------------------------------------------------------------------------- */

/* Takes the next word of a comma list, without blanks; false at the end. A word that does not fit comes out empty. */
static bool next_word(const char **text, char word[CDI_NAME_MAX])
{
	const char *start = *text + strspn(*text, " \t");
	size_t length = strcspn(start, ",");

	if (**text == '\0')
		return false;
	*text = start + length + (start[length] == ',');
	while (length > 0 && (start[length - 1] == ' ' || start[length - 1] == '\t'))
		length--;
	if (length >= CDI_NAME_MAX)
		length = 0;
	memcpy(word, start, length);
	word[length] = '\0';
	return true;
}

static bool is_of_kind(const char *name, const char *kind)
{
	size_t length = strlen(kind);

	return strncmp(name, kind, length) == 0 && name[length] == '=';
}

static bool kind_defined(const struct cdi *cdi, const char *name)
{
	for (unsigned i = 0; i < cdi->n_specs; i++)
		if (is_of_kind(name, cdi->specs[i]->kind))
			return true;
	return false;
}

bool cdi_wanted(const struct cdi *cdi, const char *wish)
{
	char word[CDI_NAME_MAX];
	bool any = false;

	while (next_word(&wish, word)) {
		const char *slash = strchr(word, '/'), *equals = strchr(word, '=');

		if (!slash || !equals || equals < slash)
			return false;
		if (is_of_kind(word, NATIVE_KIND) && !kind_defined(cdi, word))
			return false;
		any = true;
	}
	return any;
}

static const struct source_node *find_device(const struct cdi_spec *spec, const char *name)
{
	const struct source_node *devices = source_member(spec->tree, "devices");

	for (size_t i = 0; is_of_kind(name, spec->kind) && i < devices->n_children; i++)
		if (strcmp(source_member(&devices->children[i], "name")->text, strchr(name, '=') + 1) == 0)
			return &devices->children[i];
	return NULL;
}

/* The file of the highest priority that has the device. */
static int find_spec(const struct cdi *cdi, const char *name, const struct cdi_spec **ret_spec, struct err *err)
{
	const struct cdi_spec *best = NULL, *rival = NULL;

	for (unsigned i = 0; i < cdi->n_specs; i++) {
		const struct cdi_spec *spec = cdi->specs[i];

		if (!find_device(spec, name) || (best && spec->priority < best->priority))
			continue;
		rival = best && spec->priority == best->priority ? best : NULL;
		best = spec;
	}
	if (!best)
		return err_set(err, -ENODEV, "no CDI file that is used has the device %s", name);
	if (rival)
		return err_set(err, -ENOTUNIQ, "CDI device %s is in %s and in %s", name, rival->file, best->file);
	*ret_spec = best;
	return 0;
}

int cdi_select(const struct cdi *cdi, const char *wish, struct cdi_selection *ret_selection, struct err *err)
{
	struct cdi_selection selection = {.count = 0};
	char word[CDI_NAME_MAX];

	while (next_word(&wish, word)) {
		const struct cdi_spec *spec = NULL;
		bool known = false;
		int code = find_spec(cdi, word, &spec, err);

		if (code < 0)
			return code;
		for (unsigned i = 0; i < selection.count; i++)
			known |= strcmp(selection.devices[i].name, word) == 0;
		if (known)
			continue;
		if (selection.count == CDI_SELECTED_MAX)
			return err_set(err, -EOVERFLOW, "more than %d CDI devices", CDI_SELECTED_MAX);
		selection.devices[selection.count].spec = spec;
		selection.devices[selection.count].edits = source_member(find_device(spec, word), "containerEdits");
		memcpy(selection.devices[selection.count++].name, word, sizeof(word));
	}
	*ret_selection = selection;
	return 0;
}
