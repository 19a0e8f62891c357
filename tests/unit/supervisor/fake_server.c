/*
 * A server for tests of ferrited: speaks server.h under whatever name it is executed as and writes what happens to it
 *to standard error, one line "NAME: event …" each. On SIGUSR1, and before it is ready, it does what the file
 *STATE_DIR/do says: exit N, abort, hang, garbage (sends nonsense to ferrited), unready (never says that it is ready),
 *	status (asks ferrited for the state of all), deaf (ignores the order to drain), child (leaves a process behind)
 */
#include "supervisor/loop.h"
#include "supervisor/server.h"
#include "supervisor/str.h"
#include "supervisor/util.h"

#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>

#define PEER_WORD 0x7000 /* message type between fake servers: tail is the sender's name */

static const char *name;
static char state_dir[1024];
static bool deaf, unready;
static struct loop loop;
static struct server server;
static struct loop_watch control_watch, signal_watch, peer_watches[PEER_MAX], listener_watches[8];
static unsigned n_listeners;

__attribute__((format(printf, 1, 2))) static void tell(const char *format, ...)
{
	char line[2048];
	int n = snprintf(line, sizeof(line), "%s: ", name);
	va_list args;

	va_start(args, format);
	n += vsnprintf(line + n, sizeof(line) - (size_t)n - 1, format, args);
	va_end(args);
	line[n++] = '\n';
	(void)fd_write_all(STDERR_FILENO, line, (size_t)n);
}

static void obey(void)
{
	_cleanup_free_ char *order = NULL;
	struct err err = ERR_INIT;
	char path[1100];

	(void)snprintf(path, sizeof(path), "%s/do", state_dir);
	if (file_read(AT_FDCWD, path, 256, &order, NULL) < 0)
		return;
	order[strcspn(order, "\n")] = '\0';
	tell("obeys %s", order);
	if (strncmp(order, "exit ", 5) == 0)
		_exit(atoi(order + 5));
	if (strcmp(order, "abort") == 0)
		abort();
	while (strcmp(order, "hang") == 0)
		(void)pause();
	if (strcmp(order, "garbage") == 0)
		(void)send(SERVER_CONTROL_FD, "nonsense", 8, 0);
	if (strcmp(order, "status") == 0 && server_status_get(&server, 4711, &err) < 0)
		tell("cannot ask: %s", err.text);
	if (strncmp(order, "accuse ", 7) == 0)
		(void)server_accuse((enum peer)atoi(order + 7), NULL);
	unready = strcmp(order, "unready") == 0;
	deaf |= strcmp(order, "deaf") == 0;
	if (strcmp(order, "child") == 0 && fork() == 0) {
		(void)prctl(PR_SET_PDEATHSIG, 0);
		(void)setsid();
		for (;;)
			(void)pause();
	}
}

static int on_config(void *context, const char *key, const char *value, bool reload, struct err *err)
{
	(void)context;
	(void)err;
	tell("%s %s=%s", reload ? "reload" : "config", key, value);
	if (strcmp(key, "state_dir") == 0)
		(void)str_copy(state_dir, sizeof(state_dir), value);
	return 0;
}

static void on_peer(struct loop *l, struct loop_watch *watch, uint32_t events)
{
	static struct ipc_message message;
	long peer = watch - peer_watches;
	int fd = watch->fd;
	int r = ipc_receive(fd, &message, NULL);

	(void)events;
	if (r == -EAGAIN)
		return;
	if (r <= 0) {
		tell("lost peer %ld", peer);
		loop_remove(l, watch);
		(void)close(fd);
		return;
	}
	tell("peer %ld says %s", peer, (char *)message.payload);
	ipc_message_done(&message);
}

static int on_channel(void *context, enum peer peer, int fd, struct err *err)
{
	int old_fd = peer_watches[peer].fd;

	(void)context;
	if (old_fd > 0) {
		loop_remove(&loop, &peer_watches[peer]);
		(void)close(old_fd);
	}
	tell("channel %d", peer);
	(void)ipc_send(fd, &(struct ipc_out){.type = PEER_WORD, .tail = name, .tail_size = strlen(name) + 1}, NULL);
	return loop_add(&loop, &peer_watches[peer], fd, EPOLLIN, on_peer, NULL, err);
}

static void on_client(struct loop *l, struct loop_watch *watch, uint32_t events)
{
	_cleanup_fd_ int fd = accept4(watch->fd, NULL, NULL, SOCK_CLOEXEC);
	char text[64];

	(void)l;
	(void)events;
	if (fd < 0)
		return;
	(void)snprintf(text, sizeof(text), "%d\n", getpid());
	(void)fd_write_all(fd, text, strlen(text));
}

static int on_listener(void *context, enum listen_kind kind, int fd, struct err *err)
{
	(void)context;
	tell("listener %d", kind);
	if (n_listeners == ARRAY_LEN(listener_watches))
		return err_set(err, E2BIG, "too many listeners");
	return loop_add(&loop, &listener_watches[n_listeners++], fd, EPOLLIN, on_client, NULL, err);
}

static void on_drain(void *context, uint64_t deadline_us)
{
	(void)context;
	tell("drain %s", deadline_us > clock_monotonic_us() ? "with time" : "without time");
	loop.stop = !deaf;
}

static void on_status(void *context, uint64_t id, const struct ctl_status_row *rows, unsigned n_rows)
{
	(void)context;
	for (unsigned i = 0; i < n_rows; i++)
		tell("status %llu %s state=%u pid=%u restarts=%u last=%s", (unsigned long long)id, rows[i].name,
		     rows[i].state, rows[i].pid, rows[i].restarts, rows[i].last_exit);
}

static void on_control(struct loop *l, struct loop_watch *watch, uint32_t events)
{
	struct err err = ERR_INIT;
	int r = server_dispatch(&server, &err);

	(void)watch;
	(void)events;
	if (r < 0)
		tell("error %s", err.text);
	l->stop |= r <= 0;
}

static void on_signal(struct loop *l, struct loop_watch *watch, uint32_t events)
{
	struct signalfd_siginfo info;

	(void)l;
	(void)events;
	if (read(watch->fd, &info, sizeof(info)) > 0)
		obey();
}

int main(int argc, char **argv)
{
	static const struct server_callbacks callbacks = {on_config, on_channel, on_listener, on_drain, on_status};
	struct err err = ERR_INIT;
	sigset_t signals;
	int r;

	name = argc > 0 ? strrchr(argv[0], '/') ? strrchr(argv[0], '/') + 1 : argv[0] : "?";
	(void)signal(SIGPIPE, SIG_IGN);
	(void)sigemptyset(&signals);
	(void)sigaddset(&signals, SIGUSR1);
	(void)sigprocmask(SIG_BLOCK, &signals, NULL);
	r = loop_open(&loop, &err);
	if (r == 0)
		r = server_open(&server, name, &callbacks, NULL, &err);
	if (r == 0)
		r = loop_add(&loop, &control_watch, server.fd, EPOLLIN, on_control, NULL, &err);
	if (r == 0)
		r = loop_add(&loop, &signal_watch, signalfd(-1, &signals, SFD_CLOEXEC), EPOLLIN, on_signal, NULL, &err);
	if (r == 0) {
		tell("started");
		obey();
	}
	if (r == 0 && !unready)
		r = server_ready(&server, &err);
	if (r == 0)
		r = loop_run(&loop, &err);
	if (r < 0)
		tell("error %s", err.text);
	return r < 0;
}
