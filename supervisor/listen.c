#include "supervisor/listen.h"

#include "supervisor/str.h"
#include "supervisor/util.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stddef.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>

#define PASSED_FIRST 3
#define BACKLOG	     1024

static void set_ipv4(struct listen_address *a, in_addr_t host)
{
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons((uint16_t)a->port), .sin_addr.s_addr = host};

	memcpy(&a->address, &in, sizeof(in));
	a->length = sizeof(in);
}

static bool set_host(struct listen_address *a, const char *host)
{
	struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)a->port)};
	struct in_addr in;
	size_t length = strlen(host);
	char inner[INET6_ADDRSTRLEN];

	a->wildcard = length == 0 || strcmp(host, "*") == 0;
	if (strcmp(host, "localhost") == 0)
		host = "127.0.0.1";
	if (!a->wildcard && inet_pton(AF_INET, host, &in) == 1) {
		set_ipv4(a, in.s_addr);
		return true;
	}
	if (!a->wildcard) {
		if (length < 4 || length - 2 >= sizeof(inner) || host[0] != '[' || host[length - 1] != ']')
			return false;
		memcpy(inner, host + 1, length - 2);
		inner[length - 2] = '\0';
		if (inet_pton(AF_INET6, inner, &in6.sin6_addr) != 1)
			return false;
	}
	memcpy(&a->address, &in6, sizeof(in6));
	a->length = sizeof(in6);
	return true;
}

int listen_parse(const char *text, struct listen_address *ret_address, struct err *err)
{
	struct listen_address a = {.port = 0};
	const char *colon = strrchr(text, ':');
	char host[64];
	char shown[LISTEN_TEXT_MAX];
	uint64_t port = 0;

	str_escape(shown, sizeof(shown), text, strlen(text));
	if (!colon || (size_t)(colon - text) >= sizeof(host) || !str_u64(colon + 1, &port) || port > 65535)
		return err_set(err, EINVAL, "\"%s\" is no address: expected ADDR:PORT, [ADDR6]:PORT or *:PORT", shown);
	memcpy(host, text, (size_t)(colon - text));
	host[colon - text] = '\0';
	a.port = (unsigned)port;
	if (!set_host(&a, host))
		return err_set(err, EINVAL,
			       "\"%s\" is no address: \"*\", an IPv4 address or an [IPv6 address] must "
			       "stand before the port",
			       shown);
	*ret_address = a;
	return 0;
}

static int add(struct listen_set *set, int fd, enum listen_kind kind, const char *text, struct err *err)
{
	struct listen_socket *s = &set->sockets[set->n_sockets];

	if (set->n_sockets == LISTEN_SOCKETS_MAX)
		return err_set(err, E2BIG, "more than %d addresses to listen on", LISTEN_SOCKETS_MAX);
	*s = (struct listen_socket){.fd = fd, .kind = kind};
	(void)str_copy(s->text, sizeof(s->text), text);
	set->n_sockets++;
	return 0;
}

static int open_one(struct listen_address *a, int *ret_fd)
{
	_cleanup_fd_ int fd = socket(a->address.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int on = 1, off = 0;

	/* A kernel without IPv6 still has every IPv4 interface. */
	if (fd < 0 && errno == EAFNOSUPPORT && a->wildcard) {
		set_ipv4(a, htonl(INADDR_ANY));
		fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	}
	if (fd < 0)
		return -errno;
	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (a->address.ss_family == AF_INET6)
		(void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, a->wildcard ? &off : &on, sizeof(on));
	if (bind(fd, (const struct sockaddr *)&a->address, a->length) < 0) {
		/* IPv6 is compiled in but switched off. */
		if (errno != EADDRNOTAVAIL || !a->wildcard || a->address.ss_family != AF_INET6)
			return -errno;
		set_ipv4(a, htonl(INADDR_ANY));
		return open_one(a, ret_fd);
	}
	if (listen(fd, BACKLOG) < 0)
		return -errno;
	*ret_fd = take_fd(&fd);
	return 0;
}

static int open_address(struct listen_set *set, const char *text, struct err *err)
{
	struct listen_address a;
	_cleanup_fd_ int fd = -1;
	int r = listen_parse(text, &a, err);

	if (r < 0)
		return r;
	r = open_one(&a, &fd);
	if (r == -EADDRINUSE)
		return err_set(
			err, EADDRINUSE,
			"listen on %s: the port is in use by another program (ss -ltnp shows which); stop that, or "
			"choose another address with --listen or PORT",
			text);
	if (r == -EADDRNOTAVAIL)
		return err_set(err, EADDRNOTAVAIL, "listen on %s: no interface of this machine has that address", text);
	if (r < 0)
		return err_sys(err, r, "listen on %s", text);
	r = add(set, fd, LISTEN_TCP, text, err);
	if (r == 0)
		(void)take_fd(&fd);
	return r;
}

int listen_open_tcp(struct listen_set *set, const char *text, struct err *err)
{
	if (strcmp(text, "none") == 0)
		return 0;
	while (*text) {
		size_t length = strcspn(text, " ");
		char one[LISTEN_TEXT_MAX];
		int r;

		if (length >= sizeof(one))
			return err_set(err, EINVAL, "an address to listen on is longer than %zu bytes", sizeof(one));
		memcpy(one, text, length);
		one[length] = '\0';
		r = open_address(set, one, err);
		if (r < 0)
			return r;
		text += length + (text[length] == ' ');
	}
	return 0;
}

int listen_open_unix(struct listen_set *set, const char *path, gid_t gid, struct err *err)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	_cleanup_fd_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	mode_t mask;
	int r;

	if (fd < 0)
		return err_sys(err, errno, "make the socket %s", path);
	if (!str_copy(a.sun_path, sizeof(a.sun_path), path))
		return err_set(err, ENAMETOOLONG, "%s is too long for a socket (%zu bytes): choose a shorter run_dir",
			       path, sizeof(a.sun_path) - 1);
	if (unlink(path) < 0 && errno != ENOENT)
		return err_sys(err, errno, "remove the old socket %s", path);
	/* Nobody may connect before the owner is right. */
	mask = umask(0177);
	r = bind(fd, (const struct sockaddr *)&a, sizeof(a)) < 0 ? -errno : 0;
	(void)umask(mask);
	if (r < 0)
		return err_sys(err, r, "make the socket %s", path);
	if (gid != (gid_t)-1 && (chown(path, (uid_t)-1, gid) < 0 || chmod(path, 0660) < 0))
		return err_sys(err, errno, "give the socket %s to group %u", path, gid);
	if (listen(fd, BACKLOG) < 0)
		return err_sys(err, errno, "listen on %s", path);
	r = add(set, fd, LISTEN_UNIX, path, err);
	if (r == 0)
		(void)take_fd(&fd);
	return r;
}

static int take_one(struct listen_set *set, int fd, struct err *err)
{
	struct sockaddr_storage address = {0};
	socklen_t length = sizeof(address), size = sizeof(int);
	int type = 0, listening = 0;
	char text[LISTEN_TEXT_MAX];

	if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) < 0 || type != SOCK_STREAM ||
	    getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &size) < 0 || !listening ||
	    getsockname(fd, (struct sockaddr *)&address, &length) < 0)
		return err_set(err, EINVAL, "descriptor %d from the service manager is no listening stream socket", fd);
	if (fcntl(fd, F_SETFD, FD_CLOEXEC) < 0 || fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK) < 0)
		return err_sys(err, errno, "set up descriptor %d from the service manager", fd);
	(void)snprintf(text, sizeof(text), "descriptor %d from the service manager", fd);
	return add(set, fd, address.ss_family == AF_UNIX ? LISTEN_UNIX : LISTEN_TCP, text, err);
}

int listen_take_passed(struct listen_set *set, struct err *err)
{
	const char *count = getenv("LISTEN_FDS"), *pid = getenv("LISTEN_PID");
	uint64_t n = 0, wanted = 0;
	int r = 0;

	if (count && pid && str_u64(pid, &wanted) && wanted == (uint64_t)getpid()) {
		if (!str_u64(count, &n) || n > LISTEN_SOCKETS_MAX)
			r = err_set(err, EINVAL, "LISTEN_FDS=%.32s: expected a number up to %d", count,
				    LISTEN_SOCKETS_MAX);
		for (unsigned i = 0; r == 0 && i < n; i++)
			r = take_one(set, PASSED_FIRST + (int)i, err);
	}
	(void)unsetenv("LISTEN_FDS");
	(void)unsetenv("LISTEN_PID");
	(void)unsetenv("LISTEN_FDNAMES");
	return r < 0 ? r : (int)n;
}

gid_t listen_find_group(const char *group_file, const char *group)
{
	size_t length = strlen(group);

	for (const char *line = group_file; *line;) {
		size_t line_length = strcspn(line, "\n");

		if (line_length > length && memcmp(line, group, length) == 0 && line[length] == ':') {
			const char *number = memchr(line + length + 1, ':', line_length - length - 1);
			char digits[16];
			uint64_t gid = 0;
			size_t n;

			if (!number)
				return (gid_t)-1;
			n = strspn(number + 1, "0123456789");
			if (n >= sizeof(digits) || number[1 + n] != ':')
				return (gid_t)-1;
			memcpy(digits, number + 1, n);
			digits[n] = '\0';
			return str_u64(digits, &gid) && gid < UINT32_MAX ? (gid_t)gid : (gid_t)-1;
		}
		line += line_length + (line[line_length] == '\n');
	}
	return (gid_t)-1;
}

void listen_close(struct listen_set *set)
{
	for (unsigned i = 0; i < set->n_sockets; i++)
		fd_close(&set->sockets[i].fd);
	set->n_sockets = 0;
}
