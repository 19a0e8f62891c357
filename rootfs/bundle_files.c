#include "rootfs/bundle_files.h"

#include "rootfs/bundle.h"
#include "rootfs/entry.h"
#include "supervisor/str.h"
#include "supervisor/util.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>

struct collector {
	const struct function_file *file;
	int dir_fd;
	struct bundle_files list;
	const struct function_copy *row; /* of `files`, NULL: the whole folder */
	struct err *err;
};

/* Follows links as long as they stay in the folder. */
static int open_beneath(int dir_fd, const char *path, int flags)
{
	struct open_how how = {
		.flags = (unsigned)(flags | O_CLOEXEC | (flags & O_PATH ? 0 : O_NOCTTY | O_NONBLOCK)),
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS,
	};
	long fd = syscall(SYS_openat2, dir_fd, path, &how, sizeof(how));

	return fd < 0 ? -errno : (int)fd;
}

static int fail(const struct collector *c, const char *path, int code, const char *what)
{
	char shown[160];

	(void)str_escape(shown, sizeof(shown), path, strlen(path));
	if (c->row)
		return err_sys(c->err, code, "%s:%u: %s \"%s\"", c->file->file_name, c->row->line, what, shown);
	return err_sys(c->err, code, "%s \"%s\"", what, shown);
}

static int refuse(const struct collector *c, const char *path, const char *why)
{
	char shown[160];

	(void)str_escape(shown, sizeof(shown), path, strlen(path));
	if (c->row)
		return err_set(c->err, EINVAL, "%s:%u: \"%s\" %s", c->file->file_name, c->row->line, shown, why);
	return err_set(c->err, EINVAL, "\"%s\" %s", shown, why);
}

bool bundle_path(const char *directory, const char *path, char *buffer, size_t size)
{
	const char *parts[2] = {*path == '/' ? "" : directory, path};
	size_t used = 0;

	for (size_t p = 0; p < 2; p++)
		for (const char *at = parts[p]; *at;) {
			size_t n = strcspn(at, "/");

			if (n == 2 && memcmp(at, "..", 2) == 0) {
				if (used == 0)
					return false;
				while (buffer[--used] != '/')
					;
			} else if (n > 0 && !(n == 1 && *at == '.')) {
				if (used + n + 2 > size)
					return false;
				buffer[used++] = '/';
				memcpy(buffer + used, at, n);
				used += n;
			}
			at += n + (at[n] == '/');
		}
	if (used == 0)
		buffer[used++] = '/';
	buffer[used] = '\0';
	return true;
}

/* --- the list ----------------------------------------------------------------------------------------------------- */

static int compare(const void *a, const void *b)
{
	return strcmp(((const struct bundle_file *)a)->to, ((const struct bundle_file *)b)->to);
}

static void file_clear(struct bundle_file *file)
{
	free(file->to);
	free(file->from);
	free(file->text);
}

void bundle_files_clear(struct bundle_files *files)
{
	for (size_t i = 0; i < files->count; i++)
		file_clear(&files->items[i]);
	free(files->items);
	*files = (struct bundle_files){0};
}

/* Takes FILE's texts, also on failure. */
static int append(struct bundle_files *list, struct bundle_file *file, struct err *err)
{
	struct bundle_file *bigger;

	if (list->count >= BUNDLE_FILES_MAX) {
		file_clear(file);
		return err_set(err, E2BIG, "the bundle has more than %d files and folders", BUNDLE_FILES_MAX);
	}
	bigger = (list->count & (list->count - 1))
			 ? list->items
			 : reallocarray(list->items, list->count ? 2 * list->count : 1, sizeof(*bigger));
	if (!bigger || !file->to) {
		list->items = bigger ? bigger : list->items;
		file_clear(file);
		return err_sys(err, ENOMEM, "collect the files of the bundle");
	}
	list->items = bigger;
	list->items[list->count++] = *file;
	list->bytes += file->bytes;
	if (list->bytes > BUNDLE_BYTES_MAX)
		return err_set(err, E2BIG, "the files of the bundle are larger than %llu bytes", BUNDLE_BYTES_MAX);
	return 0;
}

struct bundle_file *bundle_files_find(const struct bundle_files *files, const char *path)
{
	struct bundle_file key = {.to = (char *)path + (*path == '/')};

	return files->count == 0 ? NULL : bsearch(&key, files->items, files->count, sizeof(key), compare);
}

int bundle_files_add(struct bundle_files *files, const char *path, char *text, size_t length, struct err *err)
{
	struct bundle_file file = {
		.kind = BUNDLE_FILE, .to = strdup(path + 1), .text = text, .bytes = length, .mode = 0644};
	struct bundle_file *there = bundle_files_find(files, path);
	int r;

	if (there && there->kind == BUNDLE_FILE) {
		/* A result of an earlier run beside its source. */
		free(file.to);
		free(there->from);
		free(there->text);
		files->bytes -= there->bytes;
		there->from = NULL;
		there->text = text;
		there->bytes = length;
		files->bytes += length;
		return 0;
	}
	r = append(files, &file, err);
	if (r == 0)
		qsort(files->items, files->count, sizeof(*files->items), compare);
	return r;
}

/* --- collecting --------------------------------------------------------------------------------------------------- */

static int add_link(struct collector *c, int parent_fd, const char *name, const char *from, const char *to)
{
	struct bundle_file entry = {.kind = BUNDLE_LINK, .to = strdup(to + 1), .mode = 0777};
	char target[ENTRY_PATH_MAX + 1];
	ssize_t n = readlinkat(parent_fd, name, target, sizeof(target) - 1);
	_cleanup_fd_ int fd = open_beneath(c->dir_fd, from, O_PATH);

	if (n < 0 || fd < 0) {
		free(entry.to);
		if (n >= 0 && (fd == -EXDEV || fd == -ENOENT || fd == -ELOOP))
			return refuse(c, from,
				      "is a symbolic link that leads out of the bundle's folder or to nothing");
		return fail(c, from, n < 0 ? errno : -fd, "read the link");
	}
	target[n] = '\0';
	entry.text = strdup(target);
	return entry.text ? append(&c->list, &entry, c->err) : fail(c, from, ENOMEM, "read the link");
}

static int add_file(struct collector *c, const struct stat *st, const char *from, const char *to)
{
	/* Equal folders give equal bundles, whatever the umask was when they were checked out. */
	uint32_t mode = c->row && c->row->mode ? c->row->mode : (st->st_mode & 0111) ? 0755 : 0644;
	struct bundle_file entry = {.kind = BUNDLE_FILE,
				    .to = strdup(to + 1),
				    .from = strdup(from),
				    .bytes = (size_t)st->st_size,
				    .mode = mode,
				    .line = c->row ? c->row->line : 0};

	return append(&c->list, &entry, c->err);
}

static int add_directory(struct collector *c, const char *to)
{
	struct bundle_file entry = {.kind = BUNDLE_DIRECTORY, .to = strdup(to + 1), .mode = 0755};

	return to[1] ? append(&c->list, &entry, c->err) : (free(entry.to), 0);
}

static int walk(struct collector *c, int fd, const char *from, const char *to, unsigned depth);

/* What is in a folder but not of the function: version control, and the function file, which may hold secrets. */
static bool is_left_out(const struct collector *c, const char *from)
{
	return strcmp(from, ".git") == 0 || (!c->row && strcmp(from, c->file->file_name) == 0);
}

static int add_entry(struct collector *c, int parent_fd, const char *name, const char *from_dir, const char *to_dir,
		     unsigned depth)
{
	char from[ENTRY_PATH_MAX + 1], to[ENTRY_PATH_MAX + 1], normal[ENTRY_PATH_MAX + 1];
	_cleanup_fd_ int fd = -1;
	struct stat st;
	int r;

	if (snprintf(from, sizeof(from), "%s%s%s", from_dir, *from_dir ? "/" : "", name) >= (int)sizeof(from) ||
	    snprintf(to, sizeof(to), "%s/%s", to_dir[1] ? to_dir : "", name) >= (int)sizeof(to))
		return refuse(c, name, "has a path that is too long");
	if (is_left_out(c, from))
		return 0;
	/* What the store would refuse is better told here. */
	r = entry_path_normalise("file", to + 1, normal, c->err);
	if (r < 0)
		return r;
	if (fstatat(parent_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return fail(c, from, errno, "look at");
	if (S_ISLNK(st.st_mode))
		return add_link(c, parent_fd, name, from, to);
	if (S_ISREG(st.st_mode))
		return add_file(c, &st, from, to);
	if (!S_ISDIR(st.st_mode))
		return refuse(c, from, "is no file, folder or link");
	fd = openat(parent_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return fd < 0 ? fail(c, from, errno, "open") : walk(c, fd, from, to, depth + 1);
}

static int walk(struct collector *c, int fd, const char *from, const char *to, unsigned depth)
{
	int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	_cleanup_dir_ DIR *dir = copy < 0 ? NULL : fdopendir(copy);
	int r = 0;

	if (!dir) {
		fd_close(&copy);
		return fail(c, *from ? from : ".", errno, "open");
	}
	if (depth > BUNDLE_DEPTH_MAX)
		return refuse(c, from, "is nested too deep");
	r = add_directory(c, to);
	for (struct dirent *d = readdir(dir); r == 0 && d; d = readdir(dir))
		if (strcmp(d->d_name, ".") != 0 && strcmp(d->d_name, "..") != 0)
			r = add_entry(c, fd, d->d_name, from, to, depth);
	return r;
}

/* One row of `files`: a file, or a folder with everything in it. A link stands for what it leads to. */
static int add_row(struct collector *c, const struct function_copy *row)
{
	char from[ENTRY_PATH_MAX + 1], to[ENTRY_PATH_MAX + 1];
	_cleanup_fd_ int fd = -1;
	struct stat st;
	int r;

	c->row = row;
	r = entry_path_normalise("file", row->from, from, c->err);
	if (r < 0)
		return err_wrap(c->err, "%s:%u", c->file->file_name, row->line), r;
	if (!bundle_path(BUNDLE_FOLDER, row->to ? row->to : from, to, sizeof(to)))
		return refuse(c, row->to ? row->to : from, "is too long or leads above the root");
	fd = open_beneath(c->dir_fd, *from ? from : ".", O_RDONLY);
	if (fd == -ENOENT)
		return refuse(c, row->from,
			      "is not in the bundle's folder; if it has to be built, build it first, or say how in "
			      "\"build\"");
	if (fd == -EXDEV)
		return refuse(c, row->from, "leads out of the bundle's folder");
	if (fd < 0 || fstat(fd, &st) < 0)
		return fail(c, row->from, fd < 0 ? -fd : errno, "open");
	if (S_ISDIR(st.st_mode))
		return walk(c, fd, from, to, 0);
	return S_ISREG(st.st_mode) ? add_file(c, &st, from, to) : refuse(c, row->from, "is no file or folder");
}

/* Parents that no row brings. */
static int add_parents(struct collector *c)
{
	size_t count = c->list.count;

	for (size_t i = 0; i < count; i++) {
		char path[ENTRY_PATH_MAX + 2];

		(void)snprintf(path, sizeof(path), "/%s", c->list.items[i].to);
		for (char *slash = strrchr(path, '/'); slash && slash > path; slash = strrchr(path, '/')) {
			int r;

			*slash = '\0';
			r = add_directory(c, path);
			if (r < 0)
				return r;
		}
	}
	return 0;
}

/* Directories may come several times; a file may not. */
static int unite(struct collector *c)
{
	struct bundle_files *list = &c->list;
	size_t kept = 0;

	if (list->count > 0)
		qsort(list->items, list->count, sizeof(*list->items), compare);
	for (size_t i = 0; i < list->count; i++) {
		struct bundle_file *last = kept > 0 ? &list->items[kept - 1] : NULL;
		struct bundle_file *f = &list->items[i];

		if (!last || strcmp(last->to, f->to) != 0) {
			list->items[kept++] = *f;
			continue;
		}
		if (last->kind != BUNDLE_DIRECTORY || f->kind != BUNDLE_DIRECTORY) {
			(void)err_set(c->err, EINVAL, "%s: /%.200s comes twice", c->file->file_name, f->to);
			/* The rest closes up, so that the list owns each entry once. */
			for (size_t j = i; j < list->count; j++)
				list->items[kept++] = list->items[j];
			list->count = kept;
			return -EINVAL;
		}
		file_clear(f);
	}
	list->count = kept;
	return 0;
}

int bundle_files_collect(const struct function_file *file, int dir_fd, struct bundle_files *ret, struct err *err)
{
	struct err unused = ERR_INIT;
	struct collector c = {.file = file, .dir_fd = dir_fd, .err = err ? err : &unused};
	int r = 0;

	if (!file->files) {
		r = walk(&c, dir_fd, "", BUNDLE_FOLDER, 0);
	} else {
		for (size_t i = 0; r == 0 && i < file->n_files; i++)
			r = add_row(&c, &file->files[i]);
	}
	c.row = NULL;
	if (r == 0)
		r = add_parents(&c);
	if (r == 0)
		r = unite(&c);
	if (r < 0) {
		bundle_files_clear(&c.list);
		return r;
	}
	*ret = c.list;
	return 0;
}

int bundle_files_open(int dir_fd, const struct bundle_file *file, struct err *err)
{
	int fd = open_beneath(dir_fd, file->from, O_RDONLY);

	return fd < 0 ? err_sys(err, -fd, "open \"%s\"", file->from) : fd;
}
