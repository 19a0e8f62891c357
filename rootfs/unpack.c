#include "rootfs/unpack.h"

#include "rootfs/beneath.h"
#include "rootfs/entry.h"
#include "rootfs/stream.h"
#include "supervisor/str.h"
#include "supervisor/util.h"

#include <archive_entry.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#define XATTRS_MAX	  64
#define XATTR_BYTES_MAX	  (64 * 1024)
#define FOLDER_TEXT_BYTES (64 * MIB) /* paths of directories, kept until the end for their times */

/* Directories get their times last: whatever is made in them would change them. */
struct folder_time {
	char *path;
	struct timespec time;
};

struct unpack {
	int root_fd;
	struct unpack_limits limits;
	struct unpack_result result;
	struct folder_time *folders;
	size_t n_folders, room, folder_bytes;
};

/* One entry, split into its parent directory and name. */
struct target {
	const char *path; /* as it stands in the archive */
	char normal[ENTRY_PATH_MAX + 1];
	char *name; /* last component, inside normal; "" for the root itself */
	int parent_fd;
};

static void folders_free(struct unpack *u)
{
	for (size_t i = 0; i < u->n_folders; i++)
		free(u->folders[i].path);
	free(u->folders);
}

static int fail(const char *path, int code, const char *what, struct err *err)
{
	char shown[160];

	return err_sys(err, code, "%s \"%s\"", what, str_escape(shown, sizeof(shown), path, strlen(path)));
}

static int refuse(const char *path, const char *why, struct err *err)
{
	char shown[160];

	return err_set(err, EINVAL, "entry \"%s\" is refused: %s", str_escape(shown, sizeof(shown), path, strlen(path)),
		       why);
}

static bool is_whiteout(const struct stat *st)
{
	return S_ISCHR(st->st_mode) && st->st_rdev == makedev(0, 0);
}

static int set_opaque(int parent_fd, const char *name, const char *path, struct err *err)
{
	_cleanup_fd_ int fd = beneath_open(parent_fd, name, O_RDONLY | O_DIRECTORY, 0);

	if (fd < 0)
		return fail(path, -fd, "open directory", err);
	if (fsetxattr(fd, UNPACK_OPAQUE_XATTR, "y", 1, 0) < 0) {
		if (errno == EOPNOTSUPP)
			return err_set(err, ENOTSUP,
				       "the file system of the state directory has no extended attributes (user.*), "
				       "which image layers need: move it to ext4, xfs or btrfs");
		return fail(path, errno, "mark as opaque", err);
	}
	return 0;
}

/*
 * Makes the directory NAME, or accepts the one that is there. A whiteout of the same name in this layer means that the
 * directory replaces one of the layers below: it becomes opaque.
 */
static int make_folder(int parent_fd, const char *name, const char *path, struct err *err)
{
	struct stat st;
	bool replaces = false;

	if (fstatat(parent_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0) {
		if (S_ISDIR(st.st_mode))
			return 0;
		replaces = is_whiteout(&st);
		if (unlinkat(parent_fd, name, 0) < 0)
			return fail(path, errno, "replace", err);
	}
	if (mkdirat(parent_fd, name, 0755) < 0)
		return fail(path, errno, "make directory", err);
	return replaces ? set_opaque(parent_fd, name, path, err) : 0;
}

/* Makes the missing directories of PATH, whose last component is one too. */
static int make_folders(struct unpack *u, char *path, const char *shown, struct err *err)
{
	_cleanup_fd_ int at = beneath_open(u->root_fd, "", O_RDONLY | O_DIRECTORY, 0);

	for (char *name = path; at >= 0 && name;) {
		char *slash = strchr(name, '/');
		struct stat st;
		int next, r = 0;

		if (slash)
			*slash = '\0';
		/* A link or file in the way stays: the open below tells. */
		if (fstatat(at, name, &st, AT_SYMLINK_NOFOLLOW) < 0 || is_whiteout(&st))
			r = make_folder(at, name, shown, err);
		if (r < 0)
			return r;
		next = beneath_open(at, name, O_RDONLY | O_DIRECTORY, 0);
		if (slash)
			*slash = '/';
		fd_close(&at);
		at = next;
		name = slash ? slash + 1 : NULL;
	}
	if (at == -ELOOP || at == -ENOTDIR)
		return refuse(shown, "its path leads through a symbolic link or a file", err);
	return at < 0 ? fail(shown, -at, "open the parent of", err) : take_fd(&at);
}

static int open_parent(struct unpack *u, const char *what, char *parent, const char *path, bool make, struct err *err)
{
	int fd = beneath_open(u->root_fd, parent, O_RDONLY | O_DIRECTORY, 0);

	if (fd >= 0)
		return fd;
	if (fd == -ELOOP || fd == -EXDEV)
		return refuse(path, "its path leads through a symbolic link", err);
	if (fd != -ENOENT && fd != -ENOTDIR)
		return fail(path, -fd, "open the parent of", err);
	if (!make && fd == -ENOTDIR)
		return err_set(err, EINVAL, "%s a path through a symbolic link or a file", what);
	if (!make)
		return err_set(err, EINVAL, "%s something that this layer did not bring", what);
	return make_folders(u, parent, path, err);
}

/* Finds the place of PATH; with MAKE, missing parents are made. The caller closes t->parent_fd. */
static int open_target(struct unpack *u, const char *what, const char *path, bool make, struct target *t,
		       struct err *err)
{
	char *slash;
	int r = entry_path_normalise(what, path, t->normal, err);

	if (r < 0)
		return r;
	t->path = path;
	slash = strrchr(t->normal, '/');
	if (slash)
		*slash = '\0';
	t->name = slash ? slash + 1 : t->normal;
	t->parent_fd = open_parent(u, what, slash ? t->normal : (char[]){""}, path, make, err);
	if (slash)
		*slash = '/';
	return t->parent_fd < 0 ? t->parent_fd : 0;
}

/* Takes away what has the name already. */
static int clear_name(const struct target *t, struct err *err)
{
	struct stat st;

	if (fstatat(t->parent_fd, t->name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : fail(t->path, errno, "look up", err);
	if (S_ISDIR(st.st_mode))
		return refuse(t->path, "it would replace a directory of the same layer", err);
	if (unlinkat(t->parent_fd, t->name, 0) < 0)
		return fail(t->path, errno, "replace", err);
	return 0;
}

static int whiteout(const struct target *t, const char *hidden, struct err *err)
{
	struct stat st;

	/* What this layer brings itself is not hidden by it, only what is below. */
	if (fstatat(t->parent_fd, hidden, &st, AT_SYMLINK_NOFOLLOW) == 0)
		return S_ISDIR(st.st_mode) ? set_opaque(t->parent_fd, hidden, t->path, err) : 0;
	if (mknodat(t->parent_fd, hidden, S_IFCHR | 0600, makedev(0, 0)) < 0)
		return fail(t->path, errno, "make whiteout", err);
	return 0;
}

static int write_content(struct unpack *u, struct stream *stream, struct archive *tar, struct archive_entry *entry,
			 int fd, const char *path, struct err *err)
{
	uint64_t size = (uint64_t)archive_entry_size(entry), end = 0;

	if (archive_entry_size(entry) < 0 || size > u->limits.bytes - u->result.bytes)
		return err_set(err, EFBIG, "the layer unpacks to more than %llu bytes of files",
			       (unsigned long long)u->limits.bytes);
	u->result.bytes += size;
	for (;;) {
		const void *bytes;
		size_t n;
		la_int64_t offset;
		int r = archive_read_data_block(tar, &bytes, &n, &offset);

		if (r == ARCHIVE_EOF)
			break;
		if (r != ARCHIVE_OK)
			return stream_tar_error(stream, tar, err);
		if (offset < 0 || (uint64_t)offset > size || n > size - (uint64_t)offset)
			return refuse(path, "its data lies outside of its size", err);
		for (size_t done = 0; done < n;) {
			ssize_t w = pwrite(fd, (const char *)bytes + done, n - done, offset + (off_t)done);

			if (w < 0 && errno != EINTR)
				return fail(path, errno, "write", err);
			done += w > 0 ? (size_t)w : 0;
		}
		end = MAX(end, (uint64_t)offset + n);
	}
	if (end != size && ftruncate(fd, (off_t)size) < 0)
		return fail(path, errno, "write", err);
	return 0;
}

static int set_xattrs(struct archive_entry *entry, int fd, const char *path, struct err *err)
{
	const char *name;
	const void *value;
	size_t size;

	if (archive_entry_xattr_reset(entry) > XATTRS_MAX)
		return refuse(path, "it has more than 64 extended attributes", err);
	while (archive_entry_xattr_next(entry, &name, &value, &size) == ARCHIVE_OK) {
		if (!name || !entry_xattr_allowed(name))
			continue;
		if (size > XATTR_BYTES_MAX)
			return refuse(path, "an extended attribute is larger than 64 KiB", err);
		if (fsetxattr(fd, name, value, size, 0) < 0 && errno != EOPNOTSUPP)
			return fail(path, errno, "set an extended attribute of", err);
	}
	return 0;
}

static struct timespec entry_time(struct archive_entry *entry)
{
	return (struct timespec){archive_entry_mtime(entry), archive_entry_mtime_nsec(entry)};
}

/* Owner, mode, attributes and time of an open file or directory. */
static int set_metadata(struct archive_entry *entry, int fd, const char *path, struct err *err)
{
	struct timespec times[2] = {entry_time(entry), entry_time(entry)};
	int r;

	if (fchown(fd, (uid_t)archive_entry_uid(entry), (gid_t)archive_entry_gid(entry)) < 0)
		return fail(path, errno, "set the owner of", err);
	r = set_xattrs(entry, fd, path, err);
	if (r < 0)
		return r;
	if (fchmod(fd, archive_entry_perm(entry) & 07777) < 0)
		return fail(path, errno, "set the mode of", err);
	return futimens(fd, times) < 0 ? fail(path, errno, "set the time of", err) : 0;
}

static int make_file(struct unpack *u, struct stream *stream, struct archive *tar, struct archive_entry *entry,
		     const struct target *t, struct err *err)
{
	_cleanup_fd_ int fd = -1;
	int r = clear_name(t, err);

	if (r < 0)
		return r;
	fd = beneath_open(t->parent_fd, t->name, O_WRONLY | O_CREAT | O_EXCL, 0600);
	if (fd < 0)
		return fail(t->path, -fd, "make", err);
	r = write_content(u, stream, tar, entry, fd, t->path, err);
	return r < 0 ? r : set_metadata(entry, fd, t->path, err);
}

static int remember_time(struct unpack *u, const struct target *t, struct archive_entry *entry, struct err *err)
{
	size_t length = strlen(t->normal) + 1;

	if (u->n_folders == u->room) {
		size_t room = u->room ? u->room * 2 : 64;
		struct folder_time *bigger = reallocarray(u->folders, room, sizeof(*bigger));

		if (!bigger)
			return err_sys(err, ENOMEM, "unpack a layer");
		u->folders = bigger;
		u->room = room;
	}
	u->folder_bytes += length;
	if (u->folder_bytes > FOLDER_TEXT_BYTES)
		return err_set(err, EFBIG, "the layer has too many directories");
	u->folders[u->n_folders] = (struct folder_time){strdup(t->normal), entry_time(entry)};
	if (!u->folders[u->n_folders].path)
		return err_sys(err, ENOMEM, "unpack a layer");
	u->n_folders++;
	return 0;
}

static int make_directory(struct unpack *u, struct archive_entry *entry, const struct target *t, struct err *err)
{
	_cleanup_fd_ int fd = -1;
	int r = 0;

	if (*t->name)
		r = make_folder(t->parent_fd, t->name, t->path, err);
	if (r < 0)
		return r;
	fd = beneath_open(t->parent_fd, t->name, O_RDONLY | O_DIRECTORY, 0);
	if (fd < 0)
		return fail(t->path, -fd, "open directory", err);
	r = set_metadata(entry, fd, t->path, err);
	return r < 0 ? r : remember_time(u, t, entry, err);
}

static int make_symlink(struct archive_entry *entry, const struct target *t, struct err *err)
{
	struct timespec times[2] = {entry_time(entry), entry_time(entry)};
	const char *value = archive_entry_symlink(entry);
	int r = clear_name(t, err);

	if (r < 0)
		return r;
	/* Where it points does not matter here: no link is followed while unpacking, and it is resolved in the
	 * container's own root later. */
	if (!value || !*value || strlen(value) > ENTRY_PATH_MAX)
		return refuse(t->path, "a symbolic link to nothing or to a path that is too long", err);
	if (symlinkat(value, t->parent_fd, t->name) < 0)
		return fail(t->path, errno, "make symbolic link", err);
	if (fchownat(t->parent_fd, t->name, (uid_t)archive_entry_uid(entry), (gid_t)archive_entry_gid(entry),
		     AT_SYMLINK_NOFOLLOW) < 0 ||
	    utimensat(t->parent_fd, t->name, times, AT_SYMLINK_NOFOLLOW) < 0)
		return fail(t->path, errno, "set the owner of", err);
	return 0;
}

static int make_link(struct unpack *u, struct archive_entry *entry, const struct target *t, struct err *err)
{
	const char *to = archive_entry_hardlink(entry);
	struct target from = {.parent_fd = -1};
	_cleanup_fd_ int from_fd = -1;
	struct stat st, old;
	int r;

	r = open_target(u, "hard link to", to, false, &from, err);
	if (r < 0)
		return err_wrap(err, "entry \"%.100s\"", t->normal), r;
	from_fd = from.parent_fd;
	if (fstatat(from_fd, from.name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return refuse(t->path, "a hard link to something that this layer did not bring", err);
	if (!S_ISREG(st.st_mode) && !S_ISLNK(st.st_mode))
		return refuse(t->path, "a hard link to something that is no file", err);
	/* A link to itself, or the same link twice. */
	if (fstatat(t->parent_fd, t->name, &old, AT_SYMLINK_NOFOLLOW) == 0 && old.st_ino == st.st_ino)
		return 0;
	r = clear_name(t, err);
	if (r == 0 && linkat(from_fd, from.name, t->parent_fd, t->name, 0) < 0)
		r = fail(t->path, errno, "make hard link", err);
	return r;
}

static int check_entry(struct unpack *u, struct archive_entry *entry, const char *path, struct err *err)
{
	if (++u->result.entries > u->limits.entries)
		return err_set(err, EFBIG, "the layer has more than %llu entries",
			       (unsigned long long)u->limits.entries);
	if (!path)
		return err_set(err, EINVAL, "an entry of the layer has no name");
	if (archive_entry_uid(entry) < 0 || archive_entry_uid(entry) > UNPACK_ID_MAX || archive_entry_gid(entry) < 0 ||
	    archive_entry_gid(entry) > UNPACK_ID_MAX)
		return refuse(path, "its owner or group is not in 0..65534", err);
	return 0;
}

static int place(struct unpack *u, struct stream *stream, struct archive *tar, struct archive_entry *entry,
		 const struct target *t, struct err *err)
{
	enum entry_whiteout kind;
	const char *hidden = NULL;
	int r = entry_whiteout(t->name, &kind, &hidden, err);

	if (r < 0)
		return r;
	if (kind == WHITEOUT_META)
		return 0;
	if (kind == WHITEOUT_OPAQUE) {
		if (!strchr(t->normal, '/')) {
			u->result.opaque_root = true;
			return 0;
		}
		return set_opaque(t->parent_fd, "", t->path, err);
	}
	if (kind == WHITEOUT_ENTRY)
		return whiteout(t, hidden, err);
	if (!*t->name && archive_entry_filetype(entry) != AE_IFDIR)
		return refuse(t->path, "the root of a layer is a directory", err);
	if (archive_entry_hardlink(entry))
		return make_link(u, entry, t, err);
	switch (archive_entry_filetype(entry)) {
	case AE_IFREG:
		return make_file(u, stream, tar, entry, t, err);
	case AE_IFDIR:
		return make_directory(u, entry, t, err);
	case AE_IFLNK:
		return make_symlink(entry, t, err);
	case AE_IFCHR:
	case AE_IFBLK:
	case AE_IFIFO:
		return 0; /* a container gets its devices from the sandbox, never from an image */
	default:
		return refuse(t->path, "an entry of unknown type", err);
	}
}

static int unpack_entry(struct unpack *u, struct stream *stream, struct archive *tar, struct archive_entry *entry,
			struct err *err)
{
	const char *path = archive_entry_pathname(entry);
	struct target t = {.parent_fd = -1};
	int r = check_entry(u, entry, path, err);

	if (r == 0)
		r = open_target(u, "entry", path, true, &t, err);
	if (r == 0)
		r = place(u, stream, tar, entry, &t, err);
	fd_close(&t.parent_fd);
	return r;
}

static int set_folder_times(struct unpack *u, struct err *err)
{
	for (size_t i = 0; i < u->n_folders; i++) {
		const struct folder_time *f = &u->folders[i];
		struct timespec times[2] = {f->time, f->time};
		_cleanup_fd_ int fd = beneath_open(u->root_fd, f->path, O_RDONLY | O_DIRECTORY, 0);

		/* A later entry of the archive may have replaced nothing but a directory's content, so it is there. */
		if (fd < 0 || futimens(fd, times) < 0)
			return fail(f->path, fd < 0 ? -fd : errno, "set the time of", err);
	}
	return 0;
}

static int unpack_all(struct unpack *u, struct stream *stream, struct archive *tar, struct err *err)
{
	for (;;) {
		struct archive_entry *entry;
		int r = archive_read_next_header(tar, &entry);

		if (r == ARCHIVE_EOF)
			return 0;
		/* A warning is a name that is not UTF-8: its bytes are kept. */
		if (r < ARCHIVE_WARN)
			return stream_tar_error(stream, tar, err);
		r = unpack_entry(u, stream, tar, entry, err);
		if (r < 0)
			return r;
	}
}

int unpack_layer(int archive_fd, int root_fd, const struct unpack_limits *limits,
		 void (*progress)(void *context, uint64_t bytes_in), void *context, struct unpack_result *ret_result,
		 struct err *err)
{
	struct stream_options options = {.out_max = limits->bytes, .progress = progress, .context = context};
	_cleanup_(stream_free) struct stream *stream = NULL;
	struct unpack u = {.root_fd = root_fd, .limits = *limits};
	struct archive *tar;
	int r = stream_open(archive_fd, &options, &stream, err);

	if (r < 0)
		return r;
	tar = stream_tar(stream, err);
	if (!tar)
		return err && err->code ? err->code : -EINVAL;
	r = unpack_all(&u, stream, tar, err);
	(void)archive_read_free(tar);
	if (r == 0)
		r = set_folder_times(&u, err);
	/* The diff id covers also what stands behind the end marker. */
	if (r == 0)
		r = stream_drain(stream, err);
	folders_free(&u);
	if (r < 0)
		return r;
	stream_digest(stream, u.result.diff_id);
	(void)str_copy(u.result.compression, sizeof(u.result.compression), stream_compression(stream));
	*ret_result = u.result;
	return 0;
}
