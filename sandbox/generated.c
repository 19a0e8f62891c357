#include "sandbox/generated.h"

#include "sandbox/root.h"
#include "supervisor/util.h"

#include <string.h>
#include <sys/stat.h>

static int put_file(int directory_fd, const char *name, const char *content, struct err *err)
{
	int r = root_put_file(directory_fd, name, content, strlen(content), 0444, err);

	return r < 0 ? err_wrap(err, "/etc") : 0;
}

int generated_put(int root_fd, const char *hostname, struct err *err)
{
	_cleanup_fd_ int etc_fd = root_open_directory(root_fd, "/etc", err);
	char text[256];
	int r = etc_fd;

	if (r < 0)
		return r;
	(void)snprintf(text, sizeof(text), "127.0.0.1\tlocalhost %s\n::1\tlocalhost ip6-localhost\n", hostname);
	r = put_file(etc_fd, "hosts", text, err);
	(void)snprintf(text, sizeof(text), "%s\n", hostname);
	if (r == 0)
		r = put_file(etc_fd, "hostname", text, err);
	if (r == 0)
		r = put_file(etc_fd, "resolv.conf", "", err);
	if (r == 0 && mkdirat(root_fd, "tmp", 01777) == 0 && fchmodat(root_fd, "tmp", 01777, 0) < 0)
		r = err_sys(err, errno, "make /tmp");
	return r;
}
