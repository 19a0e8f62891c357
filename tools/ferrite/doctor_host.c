/* What ferrite needs of the machine beside the kernel, and the service itself. */
#include "supervisor/str.h"
#include "supervisor/util.h"
#include "tools/ferrite/client.h"
#include "tools/ferrite/commands.h"
#include "tools/ferrite/doctor.h"
#include "tools/ferrite/output.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/statvfs.h>

#define FILE_MAX     (4 * 1024 * 1024)
#define DEFAULT_PORT 8080
/* The block of user ids that servers, the image store and instances take (SECURITY.md). */
#define IDS_FIRST UINT64_C(0x70000000)
#define IDS_LAST  UINT64_C(0x7fffffff)

struct doctor_finding doctor_memory(const struct doctor_subject *subject)
{
	_cleanup_free_ char *text = NULL;
	char size[32];

	(void)subject;
	if (file_read(AT_FDCWD, "/proc/meminfo", FILE_MAX, &text, NULL) < 0)
		return doctor_found(DOCTOR_WARNING, "mount /proc", "/proc/meminfo cannot be read");

	const char *line = strstr(text, "MemAvailable:");
	uint64_t bytes = line ? strtoull(line + 13, NULL, 10) * KIB : 0;

	output_bytes(size, bytes);
	if (bytes < 256 * MIB)
		return doctor_found(DOCTOR_WARNING, "free some, or lower the memory of the routes",
				    "only %s are available; a function's default is 128 MiB", size);
	return doctor_found(DOCTOR_OK, NULL, "%s available", size);
}

/* ferrite-sandbox looks for the same names. */
struct doctor_finding doctor_bridge(const struct doctor_subject *subject)
{
	static const char *const programs[] = {"/usr/sbin/nft", "/sbin/nft", "/usr/bin/nft"};

	(void)subject;
	for (size_t i = 0; i < ARRAY_LEN(programs); i++)
		if (access(programs[i], X_OK) == 0)
			return doctor_found(DOCTOR_OK, NULL, "%s is there for its rules", programs[i]);
	return doctor_found(DOCTOR_WARNING, "install the package nftables, or set network_default = none",
			    "there is no nft program: instances cannot have the network \"bridge\"");
}

struct doctor_finding doctor_disk(const struct doctor_subject *subject)
{
	char folder[512], size[32];
	struct statvfs st;

	(void)snprintf(folder, sizeof(folder), "%s", subject->state_dir);
	while (statvfs(folder, &st) < 0) {
		char *slash = strrchr(folder, '/');

		if (!slash || slash == folder)
			return doctor_found(DOCTOR_PROBLEM, NULL, "%s: %s", subject->state_dir, strerror(errno));
		*slash = '\0';
	}

	uint64_t bytes = (uint64_t)st.f_bavail * st.f_frsize;

	output_bytes(size, bytes);
	if (bytes < 100 * MIB)
		return doctor_found(DOCTOR_PROBLEM, "free some, or \"ferrite images gc\"", "only %s are free for %s",
				    size, subject->state_dir);
	if (bytes < GIB)
		return doctor_found(DOCTOR_WARNING, "free some before large images are imported", "%s are free for %s",
				    size, subject->state_dir);
	return doctor_found(DOCTOR_OK, NULL, "%s free for %s", size, subject->state_dir);
}

/* The number in field INDEX (from 0) of a line whose fields are separated by colons. */
static bool field_number(const char *line, unsigned index, uint64_t *ret_number)
{
	char text[24];

	for (; index > 0; index--) {
		line += strcspn(line, ":\n");
		if (*line != ':')
			return false;
		line++;
	}
	(void)snprintf(text, sizeof(text), "%.*s", (int)MIN(strcspn(line, ":\n"), sizeof(text) - 1), line);
	return str_u64(text, ret_number);
}

struct doctor_finding doctor_ids(const struct doctor_subject *subject)
{
	static const struct {
		const char *path;
		unsigned first, count; /* fields; count 0: single ids */
	} files[] = {{"/etc/passwd", 2, 0}, {"/etc/group", 2, 0}, {"/etc/subuid", 1, 2}, {"/etc/subgid", 1, 2}};

	(void)subject;
	for (size_t i = 0; i < ARRAY_LEN(files); i++) {
		_cleanup_free_ char *text = NULL;

		if (file_read(AT_FDCWD, files[i].path, FILE_MAX, &text, NULL) < 0)
			continue;
		for (const char *line = text; line && *line; line = strchr(line, '\n')) {
			uint64_t first = 0, count = 1;

			line += *line == '\n';
			if (!field_number(line, files[i].first, &first) ||
			    (files[i].count && !field_number(line, files[i].count, &count)))
				continue;
			if (first <= IDS_LAST && first + count > IDS_FIRST)
				return doctor_found(DOCTOR_PROBLEM,
						    "move that range; ferrite gives these ids to its instances",
						    "%s has ids between %" PRIu64 " and %" PRIu64, files[i].path,
						    IDS_FIRST, IDS_LAST);
		}
	}
	return doctor_found(DOCTOR_OK, NULL, "%" PRIu64 " to %" PRIu64 " are free", IDS_FIRST, IDS_LAST);
}

/* Whether a PCI display or 3D controller of NVIDIA is there. */
static bool has_nvidia_hardware(void)
{
	_cleanup_dir_ DIR *dir = opendir("/sys/bus/pci/devices");

	if (!dir)
		return false;
	for (const struct dirent *entry = readdir(dir); entry; entry = readdir(dir)) {
		_cleanup_free_ char *vendor = NULL, *class = NULL;
		char path[300];

		(void)snprintf(path, sizeof(path), "%s/vendor", entry->d_name);
		if (entry->d_name[0] == '.' || file_read(dirfd(dir), path, 64, &vendor, NULL) < 0)
			continue;
		(void)snprintf(path, sizeof(path), "%s/class", entry->d_name);
		if (strncmp(vendor, "0x10de", 6) == 0 && file_read(dirfd(dir), path, 64, &class, NULL) > 0 &&
		    strncmp(class, "0x03", 4) == 0)
			return true;
	}
	return false;
}

struct doctor_finding doctor_gpu(const struct doctor_subject *subject)
{
	_cleanup_free_ char *version = NULL;
	unsigned devices = 0;
	char path[32];

	(void)subject;
	for (unsigned i = 0; i < 64; i++) {
		(void)snprintf(path, sizeof(path), "/dev/nvidia%u", i);
		devices += access(path, F_OK) == 0;
	}
	if (file_read(AT_FDCWD, "/proc/driver/nvidia/version", 4096, &version, NULL) < 0) {
		if (has_nvidia_hardware())
			return doctor_found(DOCTOR_WARNING, "install the NVIDIA driver, then restart ferrited",
					    "there is an NVIDIA GPU but no driver; the software device is used");
		return doctor_found(DOCTOR_OK, NULL, "no NVIDIA GPU; the software device is used");
	}
	version[strcspn(version, "\n")] = '\0';
	if (devices == 0)
		return doctor_found(DOCTOR_PROBLEM, "nvidia-modprobe -u -c 0, or nvidia-smi as root, makes them",
				    "the driver is loaded but /dev has no nvidia devices (%s)", version);
	return doctor_found(DOCTOR_OK, NULL, "%u device%s, %s", devices, devices == 1 ? "" : "s", version);
}

/* GET PATH; the document (may be NULL) is the caller's. Returns the HTTP status, or a negative errno. */
static long ask(const struct doctor_subject *subject, const char *path, json_t **ret_document, struct err *err)
{
	_cleanup_(client_reply_done) struct client_reply reply = CLIENT_REPLY_INIT;
	struct client_request request = {.method = "GET", .path = path};
	struct client *client = subject->cli->client;
	int r = client->curl ? 0 : client_open(subject->cli->api, client, err);

	if (r == 0)
		r = client_send(client, &request, &reply, err);
	if (r < 0)
		return r;
	*ret_document = json_loadb(reply.body, reply.length, JSON_DECODE_ANY, NULL);
	return reply.status;
}

struct doctor_finding doctor_service(const struct doctor_subject *subject)
{
	struct err err = ERR_INIT;
	json_t *document = NULL;
	long status = ask(subject, "/readyz", &document, &err);
	const struct client *client = subject->cli->client;

	json_decref(document);
	/* Where no address was given, a host that is only being prepared is not ill. */
	if (status < 0)
		return doctor_found(
			subject->cli->api ? DOCTOR_PROBLEM : DOCTOR_WARNING,
			"systemctl start ferrited, or run ferrited in a terminal; its log says what is wrong", "%s",
			err.text);
	if (status >= 400)
		return doctor_found(DOCTOR_PROBLEM, "its log says which server is missing (journalctl -u ferrited)",
				    "it answers, but is not ready (HTTP status %ld)", status);
	return doctor_found(DOCTOR_OK, NULL, "ready at %s%s", client->socket ? "unix:" : client->url,
			    client->socket ? client->socket : "");
}

struct doctor_finding doctor_servers(const struct doctor_subject *subject)
{
	struct err err = ERR_INIT;
	json_t *document = NULL;
	long status = ask(subject, "/healthz", &document, &err);
	const json_t *servers = json_object_get(document, "servers"), *server;
	enum doctor_state state = DOCTOR_OK;
	char text[400] = "";
	size_t used = 0, i;

	json_array_foreach(servers, i, server)
	{
		char restarts[32], unused[8];
		const char *name = output_member(server, "name", unused, sizeof(unused));
		const char *at = output_member(server, "state", unused, sizeof(unused));
		json_int_t n_restarts = json_integer_value(json_object_get(server, "restarts"));

		if (!name || !at || used >= sizeof(text))
			continue;
		(void)snprintf(restarts, sizeof(restarts), " (%" JSON_INTEGER_FORMAT " restarts)", n_restarts);
		used += (size_t)snprintf(text + used, sizeof(text) - used, "%s%s %s%s", used ? ", " : "", name, at,
					 n_restarts > 0 ? restarts : "");
		if (strcmp(at, "ready") != 0)
			state = DOCTOR_PROBLEM;
		else if (n_restarts > 0)
			state = MAX(state, DOCTOR_WARNING);
	}
	json_decref(document);
	if (status < 0)
		return doctor_found(subject->cli->api ? DOCTOR_PROBLEM : DOCTOR_WARNING, NULL,
				    "unknown: no service answers");
	if (used == 0)
		return doctor_found(DOCTOR_OK, NULL, "the service answers");
	return doctor_found(state, state == DOCTOR_OK ? NULL : "the log of ferrited says why they ended", "%s", text);
}

struct doctor_finding doctor_port(const struct doctor_subject *subject)
{
	_cleanup_fd_ int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_in address = {
		.sin_family = AF_INET,
		.sin_port = htons(DEFAULT_PORT),
		.sin_addr = {htonl(INADDR_LOOPBACK)},
	};
	struct err err = ERR_INIT;
	json_t *document = NULL;
	int on = 1;

	if (fd < 0)
		return doctor_found(DOCTOR_PROBLEM, NULL, "no socket can be made: %s", strerror(errno));
	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(fd, (const struct sockaddr *)&address, sizeof(address)) == 0)
		return doctor_found(DOCTOR_OK, NULL, "127.0.0.1:%d is free", DEFAULT_PORT);
	if (errno != EADDRINUSE)
		return doctor_found(DOCTOR_PROBLEM, NULL, "127.0.0.1:%d: %s", DEFAULT_PORT, strerror(errno));

	struct client local = {0};
	struct client_request request = {.method = "GET", .path = "/healthz"};
	_cleanup_(client_reply_done) struct client_reply reply = CLIENT_REPLY_INIT;
	bool ours = client_open("http://127.0.0.1:8080", &local, &err) == 0 &&
		    client_send(&local, &request, &reply, &err) == 0 && reply.status == 200;

	(void)subject;
	(void)document;
	client_close(&local);
	if (ours)
		return doctor_found(DOCTOR_OK, NULL, "127.0.0.1:%d is taken by a service that is well", DEFAULT_PORT);
	return doctor_found(DOCTOR_WARNING, "end that program, or give ferrited another one with --listen",
			    "127.0.0.1:%d is taken by another program", DEFAULT_PORT);
}
