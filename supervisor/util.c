#include "supervisor/util.h"

#include <fcntl.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>

static uint64_t clock_us(clockid_t clock)
{
	struct timespec t;

	(void)clock_gettime(clock, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

uint64_t clock_monotonic_us(void)
{
	return clock_us(CLOCK_MONOTONIC);
}

uint64_t clock_realtime_us(void)
{
	return clock_us(CLOCK_REALTIME);
}

ssize_t file_read(int dirfd, const char *path, size_t max, char **ret_text, struct err *err)
{
	_cleanup_fd_ int fd = openat(dirfd, path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	_cleanup_free_ char *text = NULL;
	size_t length = 0, room = 0;

	if (fd < 0)
		return err_sys(err, errno, "open %s", path);
	/* Sizes of proc and cgroup files are not known beforehand: grow until end of file. */
	for (;;) {
		ssize_t n;

		if (length == room) {
			size_t wanted = room ? MIN(room * 2, max + 1) : MIN((size_t)4096, max + 1);
			char *bigger;

			if (length > max)
				return err_set(err, EFBIG, "%s is larger than %zu bytes", path, max);
			bigger = realloc(text, wanted + 1);
			if (!bigger)
				return err_sys(err, ENOMEM, "read %s", path);
			text = bigger;
			room = wanted;
		}
		n = read(fd, text + length, room - length);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_sys(err, errno, "read %s", path);
		if (n == 0)
			break;
		length += (size_t)n;
	}
	if (length > max)
		return err_set(err, EFBIG, "%s is larger than %zu bytes", path, max);
	text[length] = '\0';
	*ret_text = take_ptr(text);
	return (ssize_t)length;
}

int file_write(int dirfd, const char *path, const char *text, struct err *err)
{
	_cleanup_fd_ int fd = openat(dirfd, path, O_WRONLY | O_CLOEXEC | O_NOCTTY);
	size_t length = 0;

	while (text[length])
		length++;
	if (fd < 0)
		return err_sys(err, errno, "open %s", path);
	if (write(fd, text, length) != (ssize_t)length)
		return err_sys(err, errno ? errno : EIO, "write \"%s\" to %s", text, path);
	return 0;
}

int fd_write_all(int fd, const void *data, size_t length)
{
	const char *at = data;

	while (length > 0) {
		ssize_t n = write(fd, at, length);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		at += n;
		length -= (size_t)n;
	}
	return 0;
}

void random_bytes(void *buffer, size_t length)
{
	char *at = buffer;

	while (length > 0) {
		ssize_t n = getrandom(at, length, 0);

		if (n > 0) {
			at += n;
			length -= (size_t)n;
		}
	}
}
