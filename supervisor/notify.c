#include "supervisor/notify.h"

#include "supervisor/str.h"
#include "supervisor/util.h"

#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#define TEXT_MAX 1024

static uint64_t watchdog_interval(void)
{
	const char *interval = getenv("WATCHDOG_USEC"), *pid = getenv("WATCHDOG_PID");
	uint64_t us = 0, wanted = 0;

	if (!interval || !str_u64(interval, &us))
		return 0;
	if (pid && (!str_u64(pid, &wanted) || wanted != (uint64_t)getpid()))
		return 0;
	return us;
}

static int connect_to(const char *path, struct err *err)
{
	_cleanup_fd_ int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	size_t length = strlen(path);

	if (fd < 0)
		return err_sys(err, errno, "make a socket");
	if ((path[0] != '/' && path[0] != '@') || length < 2 || length >= sizeof(a.sun_path))
		return err_set(err, EINVAL, "NOTIFY_SOCKET=%.128s is no path of a socket", path);
	memcpy(a.sun_path, path, length);
	if (path[0] == '@')
		a.sun_path[0] = '\0';
	if (connect(fd, (const struct sockaddr *)&a, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length)) < 0)
		return err_sys(err, errno, "connect to NOTIFY_SOCKET=%s", path);
	return take_fd(&fd);
}

int notify_open(struct notify *notify, struct err *err)
{
	const char *path = getenv("NOTIFY_SOCKET");
	int r = 0;

	*notify = (struct notify){.fd = -1};
	if (path) {
		r = connect_to(path, err);
		notify->fd = r < 0 ? -1 : r;
		notify->watchdog_us = watchdog_interval();
	}
	(void)unsetenv("NOTIFY_SOCKET");
	(void)unsetenv("WATCHDOG_USEC");
	(void)unsetenv("WATCHDOG_PID");
	return r < 0 ? r : 0;
}

void notify_close(struct notify *notify)
{
	fd_close(&notify->fd);
}

void notify_send(const struct notify *notify, const char *format, ...)
{
	char text[TEXT_MAX];
	va_list args;
	int n;

	if (notify->fd < 0)
		return;
	va_start(args, format);
	n = vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	if (n > 0)
		(void)send(notify->fd, text, MIN((size_t)n, sizeof(text) - 1), MSG_NOSIGNAL);
}
