#include "supervisor/folders.h"

#include "supervisor/str.h"
#include "supervisor/util.h"

#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/stat.h>

#define DEPTH_MAX  256
#define IDS	   65536u
#define LOCK_TRIES 100

int folders_make(const char *path, mode_t mode, struct err *err)
{
	char part[PATH_MAX];

	if (!str_copy(part, sizeof(part), path))
		return err_set(err, ENAMETOOLONG, "the path of a folder is too long");
	for (char *slash = strchr(part + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		if (mkdir(part, 0755) < 0 && errno != EEXIST)
			return err_sys(err, errno, "make the folder %s", part);
		*slash = '/';
	}
	/* One that was there keeps its mode: it may be somebody's own. */
	if (mkdir(path, mode) < 0)
		return errno == EEXIST ? 0 : err_sys(err, errno, "make the folder %s", path);
	return chmod(path, mode) < 0 ? err_sys(err, errno, "set the mode of %s", path) : 0;
}

/* --- lock --------------------------------------------------------------------------------------------------------- */

static int held_by(const char *path, const char *run_dir, struct err *err)
{
	_cleanup_free_ char *text = NULL;

	if (file_read(AT_FDCWD, path, 64, &text, NULL) > 0)
		text[strcspn(text, "\n")] = '\0';
	return err_set(err, EEXIST,
		       "ferrited is already running in %s as process %s: stop that one, or give this one its own "
		       "--run-dir, --state-dir and --listen",
		       run_dir, text && *text ? text : "?");
}

int folders_lock(const char *run_dir, struct err *err)
{
	char path[PATH_MAX], pid[24];

	if ((size_t)snprintf(path, sizeof(path), "%s/lock", run_dir) >= sizeof(path))
		return err_set(err, ENAMETOOLONG, "the path of the run directory is too long");
	for (int i = 0; i < LOCK_TRIES; i++) {
		_cleanup_fd_ int fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0644);
		struct stat mine, now;

		if (fd < 0)
			return err_sys(err, errno, "open %s", path);
		if (flock(fd, LOCK_EX | LOCK_NB) < 0)
			return errno == EWOULDBLOCK ? held_by(path, run_dir, err)
						    : err_sys(err, errno, "lock %s", path);
		/* The holder before us may have removed the file between our open and our lock. */
		if (fstat(fd, &mine) < 0 || stat(path, &now) < 0 || mine.st_ino != now.st_ino)
			continue;
		(void)snprintf(pid, sizeof(pid), "%d\n", getpid());
		if (ftruncate(fd, 0) < 0 || fd_write_all(fd, pid, strlen(pid)) < 0)
			return err_sys(err, errno, "write %s", path);
		return take_fd(&fd);
	}
	return err_set(err, EAGAIN, "%s changes hands too often", path);
}

void folders_unlock(const char *run_dir)
{
	char path[PATH_MAX];

	if ((size_t)snprintf(path, sizeof(path), "%s/lock", run_dir) < sizeof(path))
		(void)unlink(path);
}

/* --- owners ------------------------------------------------------------------------------------------------------- */

struct shift {
	uid_t from_uid, to_uid;
	gid_t from_gid, to_gid;
};

static DIR *open_dir_at(int parent_fd, const char *name)
{
	int fd = openat(parent_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);

	if (!dir && fd >= 0)
		(void)close(fd);
	return dir;
}

static int shift_one(int parent_fd, const char *name, const struct shift *shift, struct stat *s, struct err *err)
{
	uid_t uid;
	gid_t gid;

	if (fstatat(parent_fd, name, s, AT_SYMLINK_NOFOLLOW) < 0)
		return err_sys(err, errno, "look at %s", name);
	uid = s->st_uid - shift->from_uid < IDS ? shift->to_uid + (s->st_uid - shift->from_uid) : s->st_uid;
	gid = s->st_gid - shift->from_gid < IDS ? shift->to_gid + (s->st_gid - shift->from_gid) : s->st_gid;
	if (fchownat(parent_fd, name, uid, gid, AT_SYMLINK_NOFOLLOW) < 0)
		return err_sys(err, errno, "change the owner of %s", name);
	/* A change of owner takes the set-id bits away. */
	if (!S_ISLNK(s->st_mode) && (s->st_mode & 06000) &&
	    fchmodat(parent_fd, name, s->st_mode & 07777, AT_SYMLINK_NOFOLLOW) < 0)
		return err_sys(err, errno, "change the mode of %s", name);
	return 0;
}

static int shift_owners(int parent_fd, const char *name, const struct shift *shift, unsigned depth, struct err *err)
{
	struct stat s;
	struct dirent *entry;
	_cleanup_dir_ DIR *dir = NULL;
	int r = shift_one(parent_fd, name, shift, &s, err);

	if (r < 0 || !S_ISDIR(s.st_mode))
		return r;
	if (depth == DEPTH_MAX)
		return err_set(err, ELOOP, "%s lies too deep", name);
	dir = open_dir_at(parent_fd, name);
	if (!dir)
		return err_sys(err, errno, "open the folder %s", name);
	while (r == 0 && (entry = readdir(dir)) != NULL)
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			r = shift_owners(dirfd(dir), entry->d_name, shift, depth + 1, err);
	return r;
}

int folders_own(const char *parent, const char *name, uid_t uid, struct err *err)
{
	char path[PATH_MAX];
	struct stat s;
	int r;

	if ((size_t)snprintf(path, sizeof(path), "%s/%s", parent, name) >= sizeof(path))
		return err_set(err, ENAMETOOLONG, "the path of the folder %s is too long", name);
	if (mkdir(path, 0700) < 0 && errno != EEXIST)
		return err_sys(err, errno, "make the folder %s", path);
	if (lstat(path, &s) < 0)
		return err_sys(err, errno, "look at %s", path);
	if (!S_ISDIR(s.st_mode))
		return err_set(err, ENOTDIR, "%s is no folder", path);
	if (s.st_uid != uid || s.st_gid != (gid_t)uid) {
		struct shift shift = {s.st_uid, uid, s.st_gid, (gid_t)uid};

		r = shift_owners(AT_FDCWD, path, &shift, 0, err);
		if (r < 0) {
			err_wrap(err, "give %s to user %u", path, uid);
			return r;
		}
	}
	return chmod(path, 0700) < 0 ? err_sys(err, errno, "set the mode of %s", path) : 0;
}

static int empty_dir(int parent_fd, const char *name, dev_t device, unsigned depth, struct err *err)
{
	_cleanup_dir_ DIR *dir = open_dir_at(parent_fd, name);
	struct dirent *entry;
	struct stat s;
	int r = 0;

	if (!dir)
		return err_sys(err, errno, "open the folder %s", name);
	if (fstat(dirfd(dir), &s) < 0)
		return err_sys(err, errno, "look at %s", name);
	if (depth == DEPTH_MAX || (depth > 0 && s.st_dev != device))
		return err_set(err, EXDEV, "%s lies too deep or is a mount", name);
	while (r == 0 && (entry = readdir(dir)) != NULL) {
		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		if (unlinkat(dirfd(dir), entry->d_name, 0) == 0)
			continue;
		if (errno != EISDIR && errno != EPERM)
			return err_sys(err, errno, "remove %s", entry->d_name);
		r = empty_dir(dirfd(dir), entry->d_name, s.st_dev, depth + 1, err);
		if (r == 0 && unlinkat(dirfd(dir), entry->d_name, AT_REMOVEDIR) < 0)
			r = err_sys(err, errno, "remove the folder %s", entry->d_name);
	}
	return r;
}

int folders_empty(const char *path, struct err *err)
{
	int r = empty_dir(AT_FDCWD, path, 0, 0, err);

	if (r < 0)
		err_wrap(err, "empty %s", path);
	return r;
}

/* --- what servers can reach --------------------------------------------------------------------------------------- */

int folders_leave_mounts(struct err *err)
{
	if (unshare(CLONE_NEWNS) < 0)
		return err_sys(err, errno, "make a mount namespace");
	if (mount(NULL, "/", NULL, MS_SLAVE | MS_REC, NULL) < 0)
		return err_sys(err, errno, "make the mounts private");
	return 0;
}

/* Whether every folder above PATH lets others pass. */
static bool open_to_others(const char *path)
{
	char part[PATH_MAX];
	struct stat s;

	if (!str_copy(part, sizeof(part), path))
		return false;
	for (char *slash = strrchr(part, '/'); slash && slash != part; slash = strrchr(part, '/')) {
		*slash = '\0';
		if (stat(part, &s) < 0 || !(s.st_mode & S_IXOTH))
			return false;
	}
	return stat("/", &s) == 0 && (s.st_mode & S_IXOTH);
}

static bool is_below(const char *path, const char *folder)
{
	size_t length = strlen(folder);

	return strncmp(path, folder, length) == 0 && (path[length] == '/' || path[length] == '\0');
}

/* Folders that exist everywhere and that no server looks into. */
static int choose_point(struct folders_view *view, const char *const *avoid, struct err *err)
{
	static const char *const points[] = {"/mnt", "/media", "/srv", "/opt", "/boot"};

	for (size_t i = 0; i < ARRAY_LEN(points); i++) {
		struct stat s;
		bool hides = false;

		for (const char *const *a = avoid; *a; a++)
			hides |= is_below(*a, points[i]);
		if (hides || lstat(points[i], &s) < 0 || !S_ISDIR(s.st_mode))
			continue;
		if (mount("ferrite", points[i], "tmpfs", MS_NOSUID | MS_NODEV, "mode=0755,size=64k,nr_inodes=64") < 0)
			return err_sys(err, errno, "mount a tmpfs on %s", points[i]);
		return str_copy(view->point, sizeof(view->point), points[i]) ? 0 : -ENAMETOOLONG;
	}
	return err_set(err, EACCES,
		       "folders above the state or run directory or the programs are closed to the servers' users, and "
		       "there is no folder to show them in: open them with chmod o+x, or make /mnt");
}

static int show(struct folders_view *view, const char *path, const char *const *avoid, struct err *err)
{
	const char *base = strrchr(path, '/') + 1;
	char to[sizeof(view->to[0])];
	int r = view->point[0] ? 0 : choose_point(view, avoid, err);

	if (r < 0)
		return r;
	if (view->n == FOLDERS_SHOWN_MAX ||
	    (size_t)snprintf(to, sizeof(to), "%s/%u-%s", view->point, view->n, base) >= sizeof(to) ||
	    !str_copy(view->from[view->n], sizeof(view->from[0]), path))
		return err_set(err, E2BIG, "%s cannot be shown to the servers: too many folders or too long a name",
			       path);
	if (mkdir(to, 0755) < 0)
		return err_sys(err, errno, "make the folder %s", to);
	if (mount(path, to, NULL, MS_BIND | MS_REC, NULL) < 0)
		return err_sys(err, errno, "show %s as %s", path, to);
	memcpy(view->to[view->n], to, sizeof(to));
	view->n++;
	return 0;
}

int folders_reach(struct folders_view *view, const char *path, const char *const *avoid, char *ret_path, size_t size,
		  struct err *err)
{
	int r = 0;
	bool good;

	if (open_to_others(path)) {
		good = str_copy(ret_path, size, path);
		return good ? 0 : err_set(err, ENAMETOOLONG, "%s is too long", path);
	}
	for (unsigned i = 0; i <= view->n; i++) {
		if (i == view->n)
			r = show(view, path, avoid, err);
		if (r < 0)
			return r;
		if (!is_below(path, view->from[i]))
			continue;
		good = (size_t)snprintf(ret_path, size, "%s%s", view->to[i], path + strlen(view->from[i])) < size;
		return good ? 0 : err_set(err, ENAMETOOLONG, "%s is too long", path);
	}
	return -ENOENT;
}
