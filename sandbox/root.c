#include "sandbox/root.h"

#include "supervisor/util.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>

static int open_in_root(int root_fd, const char *path, uint64_t flags, uint64_t resolve)
{
	struct open_how how = {.flags = flags | O_PATH | O_CLOEXEC,
			       .resolve = resolve | RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS};

	return (int)syscall(SYS_openat2, root_fd, path, &how, sizeof(how));
}

bool root_path_valid(const char *path)
{
	if (path[0] != '/' || path[1] == '\0' || strlen(path) >= ROOT_PATH_MAX)
		return false;
	for (const char *part = path; *part;) {
		size_t n = strcspn(++part, "/");

		if (n == 0 || n > 255 || (n == 1 && part[0] == '.') || (n == 2 && part[0] == '.' && part[1] == '.'))
			return false;
		for (size_t i = 0; i < n; i++)
			if ((unsigned char)part[i] < 0x20 || part[i] == 0x7f)
				return false;
		part += n;
	}
	return true;
}

int root_open_mount_point(int root_fd, const char *name, struct err *err)
{
	int fd = open_in_root(root_fd, name, O_DIRECTORY | O_NOFOLLOW, RESOLVE_NO_SYMLINKS);

	if (fd < 0 && errno == ENOENT) {
		if (mkdirat(root_fd, name, 0755) < 0)
			return err_sys(err, errno, "make /%s in the image's root", name);
		fd = open_in_root(root_fd, name, O_DIRECTORY | O_NOFOLLOW, RESOLVE_NO_SYMLINKS);
	}
	if (fd < 0 && (errno == ENOTDIR || errno == ELOOP))
		return err_set(err, ENOTDIR, "/%s of the image is not a directory", name);
	if (fd < 0)
		return err_sys(err, errno, "open /%s of the image", name);
	return fd;
}

int root_open_directory(int root_fd, const char *path, struct err *err)
{
	char prefix[ROOT_PATH_MAX];
	size_t length = strlen(path);
	int fd = open_in_root(root_fd, path, O_DIRECTORY, 0);

	if (fd >= 0)
		return fd;
	if (errno != ENOENT || length >= sizeof(prefix))
		return err_sys(err, length >= sizeof(prefix) ? ENAMETOOLONG : errno, "open directory %s", path);
	fd = open_in_root(root_fd, "/", O_DIRECTORY, 0);
	for (size_t end = 1; fd >= 0 && end <= length; end++) {
		_cleanup_fd_ int parent_fd = -1;
		const char *name;

		if (path[end] != '/' && path[end] != '\0')
			continue;
		memcpy(prefix, path, end);
		prefix[end] = '\0';
		name = strrchr(prefix, '/') + 1;
		parent_fd = fd;
		fd = open_in_root(root_fd, prefix, O_DIRECTORY, 0);
		if (fd >= 0 || errno != ENOENT)
			continue;
		/* A link to nowhere makes this EEXIST: the start fails, nothing is made elsewhere. */
		if (mkdirat(parent_fd, name, 0755) < 0)
			return err_sys(err, errno, "make directory %s", prefix);
		fd = openat(parent_fd, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	}
	if (fd < 0)
		return err_sys(err, errno, "open directory %s", path);
	return fd;
}

static int clear_place(int directory_fd, const char *name, struct err *err)
{
	if (unlinkat(directory_fd, name, 0) < 0 && errno != ENOENT)
		return err_sys(err, errno == EPERM ? EISDIR : errno, "replace %s", name);
	return 0;
}

int root_put_file(int directory_fd, const char *name, const void *content, size_t length, mode_t mode, struct err *err)
{
	const int flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;
	_cleanup_fd_ int fd = openat(directory_fd, name, flags, mode);
	int r;

	if (fd < 0 && errno == EEXIST) {
		r = clear_place(directory_fd, name, err);
		if (r < 0)
			return r;
		fd = openat(directory_fd, name, flags, mode);
	}
	if (fd < 0)
		return err_sys(err, errno, "make %s", name);
	r = fd_write_all(fd, content, length);
	return r < 0 ? err_sys(err, r, "write %s", name) : 0;
}

int root_put_link(int directory_fd, const char *name, const char *target, struct err *err)
{
	int r;

	if (symlinkat(target, directory_fd, name) == 0)
		return 0;
	r = errno == EEXIST ? clear_place(directory_fd, name, err) : -errno;
	if (r == 0 && symlinkat(target, directory_fd, name) < 0)
		r = -errno;
	return r < 0 ? err_sys(err, r, "make link %s", name) : 0;
}
