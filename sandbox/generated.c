#include "sandbox/generated.h"

#include "sandbox/root.h"
#include "supervisor/util.h"

#include <arpa/inet.h>
#include <string.h>
#include <sys/stat.h>

static int put_file(int directory_fd, const char *name, const char *content, struct err *err)
{
	int r = root_put_file(directory_fd, name, content, strlen(content), 0444, err);

	return r < 0 ? err_wrap(err, "/etc") : 0;
}

static const char *text_of(uint32_t address, char text[INET_ADDRSTRLEN])
{
	return inet_ntop(AF_INET, &address, text, INET_ADDRSTRLEN);
}

static int put_hosts(int etc_fd, const char *hostname, uint32_t address, struct err *err)
{
	char own[INET_ADDRSTRLEN], text[512];

	/* A name of one's own is the address that others see, where there is one. */
	if (address)
		(void)snprintf(text, sizeof(text), "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost\n%s\t%s\n",
			       text_of(address, own), hostname);
	else
		(void)snprintf(text, sizeof(text), "127.0.0.1\tlocalhost %s\n::1\tlocalhost ip6-localhost\n", hostname);
	return put_file(etc_fd, "hosts", text, err);
}

static int put_resolvers(int etc_fd, const uint32_t *resolvers, unsigned n, struct err *err)
{
	char address[INET_ADDRSTRLEN], text[512] = "";

	for (unsigned i = 0; i < n; i++) {
		size_t used = strlen(text);

		(void)snprintf(text + used, sizeof(text) - used, "nameserver %s\n", text_of(resolvers[i], address));
	}
	return put_file(etc_fd, "resolv.conf", text, err);
}

int generated_put(int root_fd, const char *hostname, uint32_t address, const uint32_t *resolvers, unsigned n_resolvers,
		  struct err *err)
{
	_cleanup_fd_ int etc_fd = root_open_directory(root_fd, "/etc", err);
	char text[256];
	int r = etc_fd;

	if (r < 0)
		return r;
	r = put_hosts(etc_fd, hostname, address, err);
	(void)snprintf(text, sizeof(text), "%s\n", hostname);
	if (r == 0)
		r = put_file(etc_fd, "hostname", text, err);
	if (r == 0)
		r = put_resolvers(etc_fd, resolvers, n_resolvers, err);
	if (r == 0 && mkdirat(root_fd, "tmp", 01777) == 0 && fchmodat(root_fd, "tmp", 01777, 0) < 0)
		r = err_sys(err, errno, "make /tmp");
	return r;
}
