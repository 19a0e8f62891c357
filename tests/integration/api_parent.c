/*
 * Plays ferrited and the other servers for ferrite-api alone, so that the HTTP contract can be tested without
 * privileges: the "sandbox" runs commands as plain child processes, the "rootfs" knows a few made-up images, the "gpu"
 * grants whatever is asked. Usage: api_parent API-PROGRAM FOLDER PORT [KEY=VALUE]…
 *
 * It ends when its standard input ends (the test's end of the pipe), by draining the api first. A byte 's', 'r' or 'g'
 * on standard input ends that server's channel and hands out a fresh one, as a restart would.
 */
#include "supervisor/messages.h"
#include "supervisor/str.h"
#include "supervisor/util.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>

#define INSTANCES_MAX 1024

struct child {
	uint64_t instance;
	pid_t pid;
	bool killed;
	int channel_fd;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct child children[INSTANCES_MAX];
static uint64_t next_instance = 1;
static const char *folder;

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static void reply_failed(int fd, uint64_t id, int code, const char *phase, const char *text)
{
	struct msg_failed body = {.code = code};
	struct err err;

	(void)str_copy(body.phase, sizeof(body.phase), phase);
	(void)str_copy(body.text, sizeof(body.text), text);
	(void)ipc_send_wait(fd,
			    &(struct ipc_out){.type = MSG_FAILED, .id = id, .body = &body, .body_size = sizeof(body)},
			    1000, &err);
}

static int document(const char *text)
{
	int fd = memfd_create("document", MFD_CLOEXEC);

	if (fd < 0 || fd_write_all(fd, text, strlen(text)) < 0)
		die("document");
	return fd;
}

/* --- sandbox ------------------------------------------------------------------------------------------------------ */

/* Waits for one child and reports its end. */
static void *reap(void *argument)
{
	struct child *child = argument;
	struct sbx_exited body = {.instance = child->instance, .exit_code = -1};
	struct err err;
	int status = 0;

	if (waitpid(child->pid, &status, 0) < 0)
		die("waitpid");
	/* What it left running holds the pipes open; the real sandbox kills its cgroup. */
	(void)kill(-child->pid, SIGKILL);
	pthread_mutex_lock(&lock);
	body.end = child->killed ? SBX_END_KILLED : WIFSIGNALED(status) ? SBX_END_SIGNAL : SBX_END_EXIT;
	child->instance = 0;
	pthread_mutex_unlock(&lock);
	if (WIFEXITED(status))
		body.exit_code = WEXITSTATUS(status);
	else
		body.signal = WTERMSIG(status);
	(void)ipc_send_wait(child->channel_fd,
			    &(struct ipc_out){.type = SBX_EXITED, .body = &body, .body_size = sizeof(body)}, 1000,
			    &err);
	return NULL;
}

static void exec_child(char **list, const struct sbx_create *body, const int *pipes)
{
	char *args[64] = {0};

	(void)setpgid(0, 0);
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	(void)signal(SIGPIPE, SIG_DFL);
	if (dup2(pipes[0], 0) < 0 || dup2(pipes[3], 1) < 0 || dup2(pipes[5], 2) < 0)
		_exit(126);
	for (unsigned i = 0; i < body->n_args && i < ARRAY_LEN(args) - 1; i++)
		args[i] = list[3 + i];
	environ = list + 3 + body->n_args;
	(void)execvp(args[0], args);
	_exit(127);
}

static void create(int fd, struct ipc_message *m)
{
	const struct sbx_create *body = (const void *)m->payload;
	_cleanup_free_ char **list = calloc(4 + body->n_args + body->n_env, sizeof(char *));
	struct sbx_created created = {0};
	struct child *child = NULL;
	int pipes[6], pidfd;
	pthread_t thread;
	size_t length;
	char *tail = ipc_tail(m, sizeof(*body), &length);
	struct err err;

	if (!list || str_unpack(tail, length, 3 + body->n_args + body->n_env, list) < 0 || body->n_args == 0) {
		reply_failed(fd, m->header.id, -EINVAL, "request", "malformed");
		return;
	}
	if (strcmp(list[3], "/missing") == 0) {
		reply_failed(fd, m->header.id, -ENOENT, "exec", "/missing: No such file or directory");
		return;
	}
	if (pipe2(pipes, O_CLOEXEC) < 0 || pipe2(pipes + 2, O_CLOEXEC) < 0 || pipe2(pipes + 4, O_CLOEXEC) < 0)
		die("pipe");
	pthread_mutex_lock(&lock);
	for (unsigned i = 0; i < INSTANCES_MAX && !child; i++)
		if (children[i].instance == 0)
			child = &children[i];
	if (!child)
		die("children");
	*child = (struct child){.instance = next_instance++, .channel_fd = fd};
	created.born_us = clock_monotonic_us();
	child->pid = fork();
	if (child->pid == 0)
		exec_child(list, body, pipes);
	(void)setpgid(child->pid, child->pid);
	pthread_mutex_unlock(&lock);
	created.instance = child->instance;
	created.pid = (uint32_t)child->pid;
	created.executed_us = clock_monotonic_us();
	pidfd = (int)syscall(SYS_pidfd_open, child->pid, 0);
	(void)ipc_send_wait(fd,
			    &(struct ipc_out){.type = SBX_CREATED,
					      .id = m->header.id,
					      .body = &created,
					      .body_size = sizeof(created),
					      .fds = (int[]){pipes[1], pipes[2], pipes[4], pidfd},
					      .n_fds = 4},
			    1000, &err);
	for (unsigned i = 0; i < 6; i++)
		(void)close(pipes[i]);
	(void)close(pidfd);
	if (pthread_create(&thread, NULL, reap, child) != 0)
		die("thread");
	(void)pthread_detach(thread);
}

static void kill_instance(uint64_t instance)
{
	pthread_mutex_lock(&lock);
	for (unsigned i = 0; i < INSTANCES_MAX; i++)
		if (children[i].instance != 0 && children[i].instance == instance) {
			children[i].killed = true;
			(void)kill(-children[i].pid, SIGKILL);
		}
	pthread_mutex_unlock(&lock);
}

static void serve_sandbox(int fd, struct ipc_message *m)
{
	struct sbx_stated stated = {.memory_bytes = 4096, .tasks = 1, .cgroup = "/ferrite/test"};
	struct err err;

	if (m->header.type == SBX_CREATE) {
		create(fd, m);
	} else if (m->header.type == SBX_KILL) {
		kill_instance(((const struct sbx_kill *)(const void *)m->payload)->instance);
	} else if (m->header.type == SBX_STAT) {
		stated.instance = ((const struct sbx_stat *)(const void *)m->payload)->instance;
		(void)ipc_send_wait(
			fd,
			&(struct ipc_out){
				.type = SBX_STATED, .id = m->header.id, .body = &stated, .body_size = sizeof(stated)},
			1000, &err);
	}
}

/* --- rootfs ------------------------------------------------------------------------------------------------------- */

struct image {
	const char *name, *config;
};

#define SHELL(script) "{\"config\":{\"Entrypoint\":[\"/bin/sh\",\"-c\"],\"Cmd\":[\"" script "\"]}}"

static const struct image images[] = {
	{"test/echo", "{\"config\":{\"Cmd\":[\"/bin/cat\"]}}"},
	{"test/env", "{\"config\":{\"Cmd\":[\"/usr/bin/env\"],\"Env\":[\"FROM_IMAGE=1\",\"METHOD=image\"]}}"},
	{"test/exit3", SHELL("echo thrown away; exit 3")},
	{"test/exit137", SHELL("exit 137")},
	{"test/stderr", SHELL("echo to the log >&2; echo out")},
	{"test/sleep", SHELL("sleep 30")},
	{"test/sleep1", SHELL("sleep 1; echo done")},
	{"test/flood", SHELL("yes flood")},
	{"test/floodlog", SHELL("yes noise | head -c 3000000 >&2; echo done")},
	{"test/missing", "{\"config\":{\"Cmd\":[\"/missing\"]}}"},
	{"test/empty", "{\"config\":{\"Cmd\":[\"/bin/true\"]}}"},
	{"test/html", SHELL("echo '<html><body>hi</body></html>'")},
	{"test/binary", SHELL("printf '\\\\000\\\\001\\\\002'")},
	{"test/user", "{\"config\":{\"Cmd\":[\"/bin/cat\"],\"User\":\"1x\"}}"},
	{"test/cuda", "{\"config\":{\"Labels\":{\"io.ferrite.runtime\":\"cuda\",\"io.ferrite.cuda\":\"{}\"}}}"},
};

static void open_image(int fd, struct ipc_message *m)
{
	struct rfs_opened body = {.digest = "sha256:0", .n_layers = 1};
	_cleanup_fd_ int layer_fd = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
	struct err err;
	size_t length;
	const char *name = ipc_tail(m, sizeof(struct rfs_open), &length);

	for (size_t i = 0; i < ARRAY_LEN(images); i++)
		if (strcmp(images[i].name, name) == 0) {
			(void)ipc_send_wait(fd,
					    &(struct ipc_out){.type = RFS_OPENED,
							      .id = m->header.id,
							      .body = &body,
							      .body_size = sizeof(body),
							      .tail = images[i].config,
							      .tail_size = strlen(images[i].config),
							      .fds = &layer_fd,
							      .n_fds = 1},
					    1000, &err);
			return;
		}
	reply_failed(fd, m->header.id, -ENOENT, "name", "no such image in the store");
}

static void import(int fd, struct ipc_message *m)
{
	struct rfs_imported body = {.digest = "sha256:1"};
	_cleanup_fd_ int archive_fd = ipc_message_take_fd(m, 0);
	char buffer[65536];
	struct err err;
	ssize_t n;

	while ((n = read(archive_fd, buffer, sizeof(buffer))) > 0)
		body.size += (uint64_t)n;
	if (body.size < 10) {
		reply_failed(fd, m->header.id, -EBADMSG, "unpack", "not an archive");
		return;
	}
	(void)ipc_send_wait(
		fd,
		&(struct ipc_out){.type = RFS_IMPORTED, .id = m->header.id, .body = &body, .body_size = sizeof(body)},
		1000, &err);
}

static void serve_rootfs(int fd, struct ipc_message *m)
{
	struct rfs_document body = {0};
	struct rfs_removed removed = {0};
	struct err err;
	size_t length;

	if (m->header.type == RFS_OPEN) {
		open_image(fd, m);
	} else if (m->header.type == RFS_IMPORT) {
		import(fd, m);
	} else if (m->header.type == RFS_QUERY) {
		const char *name = ipc_tail(m, sizeof(struct rfs_query), &length);
		_cleanup_fd_ int text_fd = document(*name ? "{\"name\":\"it\"}" : "[{\"name\":\"it\"}]");

		(void)ipc_send_wait(fd,
				    &(struct ipc_out){.type = RFS_DOCUMENT,
						      .id = m->header.id,
						      .body = &body,
						      .body_size = sizeof(body),
						      .fds = &text_fd,
						      .n_fds = 1},
				    1000, &err);
	} else if (m->header.type == RFS_REMOVE) {
		if (strcmp(ipc_tail(m, 0, &length), "test/echo") != 0)
			reply_failed(fd, m->header.id, -ENOENT, "name", "no such image in the store");
		else
			(void)ipc_send_wait(fd,
					    &(struct ipc_out){.type = RFS_REMOVED,
							      .id = m->header.id,
							      .body = &removed,
							      .body_size = sizeof(removed)},
					    1000, &err);
	}
}

/* --- gpu ---------------------------------------------------------------------------------------------------------- */

static void serve_gpu(int fd, struct ipc_message *m)
{
	static const char env[] = "NVIDIA_VISIBLE_DEVICES=0\0LD_LIBRARY_PATH=/usr/local/nvidia/lib64";
	struct gpu_attached attached = {
		.grant = 7, .profile = 1, .kind = GPU_KIND_SOFTWARE, .memory_bytes = 1 << 20, .n_env = 2};
	struct gpu_document body = {0};
	struct err err;

	if (m->header.type == GPU_ATTACH) {
		(void)ipc_send_wait(fd,
				    &(struct ipc_out){.type = GPU_ATTACHED,
						      .id = m->header.id,
						      .body = &attached,
						      .body_size = sizeof(attached),
						      .tail = env,
						      .tail_size = sizeof(env)},
				    1000, &err);
	} else if (m->header.type == GPU_LIST) {
		_cleanup_fd_ int text_fd = document("{\"gpus\":[]}");

		(void)ipc_send_wait(fd,
				    &(struct ipc_out){.type = GPU_DOCUMENT,
						      .id = m->header.id,
						      .body = &body,
						      .body_size = sizeof(body),
						      .fds = &text_fd,
						      .n_fds = 1},
				    1000, &err);
	}
}

/* --- the parent --------------------------------------------------------------------------------------------------- */

struct server {
	enum peer peer;
	int fd;
	void (*serve)(int fd, struct ipc_message *m);
};

static void *serve(void *argument)
{
	_cleanup_free_ struct server *server = argument;
	struct ipc_message *m = malloc(sizeof(*m));
	struct err err;

	for (;;) {
		struct pollfd p = {.fd = server->fd, .events = POLLIN};
		int r;

		(void)poll(&p, 1, -1);
		r = ipc_receive(server->fd, m, &err);
		if (r == -EAGAIN)
			continue;
		if (r <= 0)
			break;
		server->serve(server->fd, m);
		ipc_message_done(m);
	}
	free(m);
	return NULL;
}

static int give_channel(int control_fd, enum peer peer)
{
	static void (*const functions[PEER_MAX])(int, struct ipc_message *) = {
		[PEER_SANDBOX] = serve_sandbox, [PEER_ROOTFS] = serve_rootfs, [PEER_GPU] = serve_gpu};
	struct server *server = calloc(1, sizeof(*server));
	struct ctl_channel body = {.peer = peer};
	pthread_t thread;
	struct err err;
	int fds[2];

	if (!server || ipc_pair(fds, &err) < 0)
		die("channel");
	*server = (struct server){.peer = peer, .fd = fds[0], .serve = functions[peer]};
	if (ipc_send(control_fd,
		     &(struct ipc_out){
			     .type = CTL_CHANNEL, .body = &body, .body_size = sizeof(body), .fds = &fds[1], .n_fds = 1},
		     &err) < 0)
		die(err.text);
	(void)close(fds[1]);
	if (pthread_create(&thread, NULL, serve, server) != 0)
		die("thread");
	(void)pthread_detach(thread);
	return fds[0];
}

static void give_listener(int control_fd, enum listen_kind kind, const struct sockaddr *address, socklen_t size)
{
	_cleanup_fd_ int fd = socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct ctl_listen body = {.kind = kind};
	struct err err;
	int one = 1;

	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (fd < 0 || bind(fd, address, size) < 0 || listen(fd, 512) < 0)
		die("listen");
	if (ipc_send(control_fd,
		     &(struct ipc_out){
			     .type = CTL_LISTEN, .body = &body, .body_size = sizeof(body), .fds = &fd, .n_fds = 1},
		     &err) < 0)
		die(err.text);
}

static void give_config(int control_fd, int argc, char **argv)
{
	char tail[8192];
	size_t used = 0;
	struct ctl_config body = {.n_entries = (uint32_t)argc + 1};
	struct err err;
	char dir[600];

	(void)snprintf(dir, sizeof(dir), "state_dir=%s", folder);
	(void)str_pack(tail, sizeof(tail), &used, dir);
	for (int i = 0; i < argc; i++)
		if (!str_pack(tail, sizeof(tail), &used, argv[i]))
			die("settings");
	if (ipc_send(control_fd,
		     &(struct ipc_out){.type = CTL_CONFIG,
				       .body = &body,
				       .body_size = sizeof(body),
				       .tail = tail,
				       .tail_size = used},
		     &err) < 0)
		die(err.text);
}

static pid_t start_api(const char *program, int control_fd)
{
	pid_t pid = fork();

	if (pid == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (dup2(control_fd, 3) < 0)
			_exit(126);
		/* dup2() onto itself would keep close-on-exec. */
		(void)fcntl(3, F_SETFD, 0);
		(void)execl(program, program, (char *)NULL);
		_exit(127);
	}
	return pid;
}

static int wait_for(int control_fd, uint16_t type)
{
	static struct ipc_message m;
	struct err err;

	for (;;) {
		struct pollfd p = {.fd = control_fd, .events = POLLIN};
		int r;

		(void)poll(&p, 1, -1);
		r = ipc_receive(control_fd, &m, &err);
		if (r == 0)
			return -1;
		if (r > 0 && m.header.type == type)
			return 0;
	}
}

int main(int argc, char **argv)
{
	struct sockaddr_in tcp = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct sockaddr_un local = {.sun_family = AF_UNIX};
	int control[2], channels[PEER_MAX] = {-1, -1, -1, -1, -1}, status = 0;
	struct err err;
	pid_t pid;
	char command;

	if (argc < 4)
		return 2;
	folder = argv[2];
	tcp.sin_port = htons((uint16_t)atoi(argv[3]));
	(void)snprintf(local.sun_path, sizeof(local.sun_path), "%.90s/api.sock", folder);
	(void)unlink(local.sun_path);
	(void)signal(SIGPIPE, SIG_IGN);
	if (ipc_pair(control, &err) < 0)
		die("channel");
	pid = start_api(argv[1], control[1]);
	(void)close(control[1]);
	give_config(control[0], argc - 4, argv + 4);
	for (unsigned peer = PEER_SANDBOX; peer < PEER_MAX; peer++)
		channels[peer] = give_channel(control[0], (enum peer)peer);
	give_listener(control[0], LISTEN_TCP, (const struct sockaddr *)&tcp, sizeof(tcp));
	give_listener(control[0], LISTEN_UNIX, (const struct sockaddr *)&local, sizeof(local));
	if (ipc_send(control[0], &(struct ipc_out){.type = CTL_START}, &err) < 0 || wait_for(control[0], CTL_READY) < 0)
		die("start");
	printf("ready\n");
	(void)fflush(stdout);
	while (read(STDIN_FILENO, &command, 1) == 1) {
		enum peer peer = command == 's'	  ? PEER_SANDBOX
				 : command == 'r' ? PEER_ROOTFS
				 : command == 'g' ? PEER_GPU
						  : PEER_MAX;

		if (peer == PEER_MAX)
			continue;
		(void)shutdown(channels[peer], SHUT_RDWR);
		channels[peer] = give_channel(control[0], peer);
	}
	(void)ipc_send(control[0], &(struct ipc_out){.type = CTL_DRAIN}, &err);
	if (waitpid(pid, &status, 0) < 0)
		die("waitpid");
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}
