#include "cudaexec/gpu/rootfs.h"

#include "supervisor/util.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/syscall.h>

int rootfs_open(const char *path, struct err *err)
{
	int fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);

	return fd >= 0 ? fd : err_sys(err, errno, "open driver root %s", path);
}

int rootfs_open_at(int root_fd, const char *path, int flags)
{
	struct open_how how = {.flags = (unsigned)(flags | O_CLOEXEC), .resolve = RESOLVE_IN_ROOT};
	long fd = syscall(SYS_openat2, root_fd, path, &how, sizeof(how));

	return fd >= 0 ? (int)fd : -errno;
}

ssize_t rootfs_read(int root_fd, const char *path, size_t max, char **ret_text, struct err *err)
{
	char self[32];
	_cleanup_fd_ int fd = rootfs_open_at(root_fd, path, O_RDONLY | O_NONBLOCK);
	ssize_t length;

	if (fd < 0)
		return err_sys(err, fd, "open %s", path);
	(void)snprintf(self, sizeof(self), "/proc/self/fd/%d", fd);
	length = file_read(AT_FDCWD, self, max, ret_text, err);
	return length < 0 ? err_wrap(err, "%s", path) : length;
}
