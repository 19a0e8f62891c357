#include "rootfs/tree.h"

#include "rootfs/beneath.h"
#include "rootfs/digest.h"
#include "rootfs/elf.h"
#include "rootfs/entry.h"
#include "supervisor/str.h"
#include "supervisor/util.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#define ATTRIBUTE_LIST_MAX  (16 * 1024 + 1)
#define ATTRIBUTE_VALUE_MAX (64 * 1024)
#define ATTRIBUTES_MAX	    256
#define NAMES_MAX	    1000000 /* in one directory */

struct walk {
	struct digest *digest;
	const struct tree_visitor *visitor;
	struct tree_result result;
	char path[ENTRY_PATH_MAX + 1]; /* of the directory at work, for error texts */
	char xattrs[ATTRIBUTE_LIST_MAX];
	char value[ATTRIBUTE_VALUE_MAX];
};

struct names {
	char **items;
	size_t count, room;
};

static void names_free(struct names *n)
{
	for (size_t i = 0; i < n->count; i++)
		free(n->items[i]);
	free(n->items);
}

static int compare(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static int fail(struct walk *w, const char *name, int code, const char *what, struct err *err)
{
	char shown[160];

	return err_sys(err, code, "%s %.200s/%s", what, w->path, str_escape(shown, sizeof(shown), name, strlen(name)));
}

static int names_read(int dir_fd, struct names *names, struct err *err)
{
	int copy = fcntl(dir_fd, F_DUPFD_CLOEXEC, 0);
	_cleanup_dir_ DIR *dir = copy < 0 ? NULL : fdopendir(copy);

	if (!dir) {
		fd_close(&copy);
		return err_sys(err, errno, "read a directory");
	}
	for (struct dirent *d = readdir(dir); d; d = readdir(dir)) {
		if (strcmp(d->d_name, ".") == 0 || strcmp(d->d_name, "..") == 0)
			continue;
		if (names->count == names->room) {
			size_t room = names->room ? names->room * 2 : 64;
			char **bigger = reallocarray(names->items, room, sizeof(*bigger));

			if (!bigger)
				return err_sys(err, ENOMEM, "read a directory");
			names->items = bigger;
			names->room = room;
		}
		names->items[names->count] = strdup(d->d_name);
		if (!names->items[names->count])
			return err_sys(err, ENOMEM, "read a directory");
		if (++names->count > NAMES_MAX)
			return err_set(err, EFBIG, "a directory of the layer has too many entries");
	}
	if (names->count > 0)
		qsort(names->items, names->count, sizeof(char *), compare);
	return 0;
}

static void add_number(struct walk *w, uint64_t number)
{
	digest_add(w->digest, &number, sizeof(number));
}

static void add_text(struct walk *w, const void *text, size_t length)
{
	add_number(w, length);
	digest_add(w->digest, text, length);
}

static void add_stat(struct walk *w, const struct stat *st)
{
	add_number(w, st->st_mode);
	add_number(w, st->st_uid);
	add_number(w, st->st_gid);
	add_number(w, (uint64_t)st->st_mtim.tv_sec);
	add_number(w, (uint64_t)st->st_mtim.tv_nsec);
	add_number(w, st->st_rdev);
	if (S_ISREG(st->st_mode))
		add_number(w, (uint64_t)st->st_size);
}

static int add_xattrs(struct walk *w, int fd, const char *name, struct err *err)
{
	char *list[ATTRIBUTES_MAX];
	size_t count = 0;
	ssize_t length = flistxattr(fd, w->xattrs, sizeof(w->xattrs) - 1);

	if (length < 0)
		return errno == EOPNOTSUPP ? 0 : fail(w, name, errno, "read the attributes of", err);
	w->xattrs[length] = '\0';
	for (char *at = w->xattrs; at < w->xattrs + length; at += strlen(at) + 1) {
		if (strncmp(at, "user.", 5) != 0)
			continue;
		if (count == ATTRIBUTES_MAX)
			return fail(w, name, E2BIG, "read the attributes of", err);
		list[count++] = at;
	}
	/* Their order is the file system's. */
	qsort(list, count, sizeof(*list), compare);
	for (size_t i = 0; i < count; i++) {
		ssize_t n = fgetxattr(fd, list[i], w->value, sizeof(w->value));

		if (n < 0)
			return fail(w, name, errno, "read the attributes of", err);
		add_text(w, list[i], strlen(list[i]));
		add_text(w, w->value, (size_t)n);
	}
	return 0;
}

static void visit_elf(struct walk *w, int fd, const char *name)
{
	struct elf_file elf;

	/* A damaged file asks for nothing; it will fail by itself when somebody starts it. */
	if (elf_read(fd, &elf, NULL) != 1)
		return;
	if (elf.machine == elf_host_machine() && elf.is_dynamic) {
		for (size_t i = 0; i < elf.n_needed; i++)
			w->visitor->needed(w->visitor->context, elf.needed[i]);
		if (elf.is_library)
			w->visitor->provided(w->visitor->context, name);
		if (elf.is_library && elf.soname[0] && strcmp(elf.soname, name) != 0)
			w->visitor->provided(w->visitor->context, elf.soname);
	}
	elf_file_clear(&elf);
}

static int walk_file(struct walk *w, int dir_fd, const char *name, const struct stat *st, struct err *err)
{
	_cleanup_fd_ int fd = beneath_open(dir_fd, name, O_RDONLY | O_NONBLOCK, 0);
	char text[DIGEST_TEXT_LENGTH + 1];
	uint64_t size = 0;
	int r;

	if (fd < 0)
		return fail(w, name, -fd, "open", err);
	r = digest_file(fd, text, &size, err);
	if (r == 0)
		r = add_xattrs(w, fd, name, err);
	if (r < 0)
		return r;
	add_text(w, text, DIGEST_TEXT_LENGTH);
	w->result.bytes += size;
	if (w->visitor && st->st_size >= 64)
		visit_elf(w, fd, name);
	return 0;
}

static int walk_folder(struct walk *w, int dir_fd, unsigned depth, struct err *err);

static int walk_subfolder(struct walk *w, int dir_fd, const char *name, unsigned depth, struct err *err)
{
	_cleanup_fd_ int fd = beneath_open(dir_fd, name, O_RDONLY | O_DIRECTORY, 0);
	size_t length = strlen(w->path);
	int r;

	if (fd < 0)
		return fail(w, name, -fd, "open", err);
	if (depth >= ENTRY_DEPTH_MAX || length + strlen(name) + 2 > sizeof(w->path))
		return fail(w, name, ELOOP, "descend into", err);
	w->path[length] = '/';
	memcpy(w->path + length + 1, name, strlen(name) + 1);
	r = walk_folder(w, fd, depth + 1, err);
	w->path[length] = '\0';
	return r;
}

static int walk_entry(struct walk *w, int dir_fd, const char *name, unsigned depth, struct err *err)
{
	char target[ENTRY_PATH_MAX + 1];
	struct stat st;
	ssize_t n;

	if (fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return fail(w, name, errno, "look up", err);
	w->result.entries++;
	add_text(w, name, strlen(name));
	/* Directories are digested with what they hold. */
	if (S_ISDIR(st.st_mode))
		return walk_subfolder(w, dir_fd, name, depth, err);
	add_stat(w, &st);
	if (S_ISREG(st.st_mode))
		return walk_file(w, dir_fd, name, &st, err);
	if (S_ISLNK(st.st_mode)) {
		n = readlinkat(dir_fd, name, target, sizeof(target));
		if (n < 0)
			return fail(w, name, errno, "read the link", err);
		add_text(w, target, (size_t)n);
	}
	return 0;
}

static int walk_folder(struct walk *w, int dir_fd, unsigned depth, struct err *err)
{
	_cleanup_(names_free) struct names names = {0};
	struct stat st;
	int r;

	if (fstat(dir_fd, &st) < 0)
		return fail(w, "", errno, "look up", err);
	add_stat(w, &st);
	r = add_xattrs(w, dir_fd, "", err);
	if (r == 0)
		r = names_read(dir_fd, &names, err);
	if (r < 0)
		return r;
	add_number(w, names.count);
	for (size_t i = 0; i < names.count; i++) {
		r = walk_entry(w, dir_fd, names.items[i], depth, err);
		if (r < 0)
			return r;
	}
	return 0;
}

int tree_walk(int root_fd, const struct tree_visitor *visitor, struct tree_result *ret_result, struct err *err)
{
	_cleanup_free_ struct walk *w = NULL;
	_cleanup_(digest_release) struct digest *digest = digest_new();
	_cleanup_fd_ int fd = beneath_open(root_fd, "", O_RDONLY | O_DIRECTORY, 0);
	int r;

	if (fd < 0)
		return err_sys(err, -fd, "open a layer");
	w = calloc(1, sizeof(*w));
	if (!w || !digest)
		return err_sys(err, ENOMEM, "walk a layer");
	w->digest = digest;
	w->visitor = visitor;
	r = walk_folder(w, fd, 0, err);
	if (r < 0)
		return r;
	digest_end(digest, w->result.digest);
	*ret_result = w->result;
	return 0;
}
