#include "tests/integration/sandbox/harness.h"

#include "supervisor/server.h"
#include "supervisor/str.h"
#include "supervisor/util.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#define START_TIMEOUT_MS 15000

static int send_body(int fd, uint16_t type, const void *body, size_t size, const int *fds, unsigned n_fds,
		     struct err *err)
{
	return ipc_send_wait(
		fd, &(struct ipc_out){.type = type, .body = body, .body_size = size, .fds = fds, .n_fds = n_fds}, 1000,
		err);
}

int harness_receive(struct harness *harness, int fd, int timeout_ms, struct err *err)
{
	for (;;) {
		struct pollfd p = {.fd = fd, .events = POLLIN};
		int r = ipc_receive(fd, harness->message, err);

		if (r != -EAGAIN)
			return r;
		if (poll(&p, 1, timeout_ms) == 0)
			return err_set(err, ETIMEDOUT, "no message within %d ms", timeout_ms);
	}
}

static int expect(struct harness *harness, uint16_t type, struct err *err)
{
	int r = harness_receive(harness, harness->control_fd, START_TIMEOUT_MS, err);

	if (r == 0)
		return err_set(err, EPIPE, "the server ended during its start");
	if (r > 0 && harness->message->header.type != type)
		return err_set(err, EPROTO, "got message %u, expected %u", harness->message->header.type, type);
	return r < 0 ? r : 0;
}

static _Noreturn void run_server(const char *program, int control_fd)
{
	int fd = fcntl(control_fd, F_DUPFD, 10);

	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (dup2(fd, SERVER_CONTROL_FD) < 0)
		_exit(126);
	(void)close(fd);
	(void)execl(program, "ferrite-sandbox", (char *)NULL);
	_exit(127);
}

int harness_new_channel(struct harness *harness, enum peer peer, int *ret_old_fd, struct err *err)
{
	int *fd = peer == PEER_API ? &harness->api_fd : &harness->gpu_fd;
	struct ctl_channel body = {.peer = peer};
	int pair[2];
	int r = ipc_pair(pair, err);

	if (r < 0)
		return r;
	r = send_body(harness->control_fd, CTL_CHANNEL, &body, sizeof(body), &pair[1], 1, err);
	fd_close(&pair[1]);
	*ret_old_fd = *fd;
	*fd = pair[0];
	return r;
}

static int configure(struct harness *harness, const char *const *config, unsigned n_config, struct err *err)
{
	char text[16384];
	size_t used = 0;
	struct ctl_config body = {.n_entries = n_config};
	int old_fd = -1;
	int r;

	for (unsigned i = 0; i < n_config; i++)
		if (!str_pack(text, sizeof(text), &used, config[i]))
			return err_set(err, E2BIG, "too much configuration");
	r = expect(harness, CTL_HELLO, err);
	if (r == 0)
		r = ipc_send(harness->control_fd,
			     &(struct ipc_out){.type = CTL_CONFIG,
					       .body = &body,
					       .body_size = sizeof(body),
					       .tail = text,
					       .tail_size = used},
			     err);
	if (r == 0)
		r = harness_new_channel(harness, PEER_API, &old_fd, err);
	if (r == 0)
		r = harness_new_channel(harness, PEER_GPU, &old_fd, err);
	if (r == 0)
		r = send_body(harness->control_fd, CTL_START, NULL, 0, NULL, 0, err);
	return r == 0 ? expect(harness, CTL_READY, err) : r;
}

int harness_start(struct harness *harness, const char *program, const char *const *config, unsigned n_config,
		  struct err *err)
{
	int pair[2];
	int r;

	*harness = (struct harness){.control_fd = -1, .api_fd = -1, .gpu_fd = -1, .next_id = 1};
	harness->message = malloc(sizeof(*harness->message));
	if (!harness->message)
		return err_sys(err, ENOMEM, "receive buffer");
	r = ipc_pair(pair, err);
	if (r < 0)
		return r;
	harness->pid = fork();
	if (harness->pid == 0)
		run_server(program, pair[1]);
	fd_close(&pair[1]);
	harness->control_fd = pair[0];
	if (harness->pid < 0)
		return err_sys(err, errno, "start %s", program);
	r = configure(harness, config, n_config, err);
	if (r < 0)
		(void)harness_stop(harness);
	return r;
}

static bool pack_list(char *text, size_t size, size_t *used, const char *const *list, uint32_t *ret_n)
{
	bool fits = true;

	*ret_n = 0;
	for (; fits && list && list[*ret_n]; (*ret_n)++)
		fits = str_pack(text, size, used, list[*ret_n]);
	return fits;
}

int harness_create(struct harness *harness, struct sbx_create *body, const struct harness_texts *texts,
		   const int *layer_fds, unsigned n_layers, uint64_t *ret_id, struct err *err)
{
	static char text[IPC_PAYLOAD_MAX];
	size_t used = 0;

	body->n_layers = n_layers;
	if (!str_pack(text, sizeof(text), &used, texts->cwd ? texts->cwd : "") ||
	    !str_pack(text, sizeof(text), &used, texts->hostname ? texts->hostname : "") ||
	    !str_pack(text, sizeof(text), &used, texts->label ? texts->label : "") ||
	    !pack_list(text, sizeof(text), &used, texts->arguments, &body->n_args) ||
	    !pack_list(text, sizeof(text), &used, texts->variables, &body->n_env))
		return err_set(err, E2BIG, "the texts are too large");
	*ret_id = harness->next_id++;
	return ipc_send_wait(harness->api_fd,
			     &(struct ipc_out){.type = SBX_CREATE,
					       .id = *ret_id,
					       .body = body,
					       .body_size = sizeof(*body),
					       .tail = text,
					       .tail_size = used,
					       .fds = layer_fds,
					       .n_fds = n_layers},
			     1000, err);
}

int harness_stop(struct harness *harness)
{
	int status = -1;

	fd_close(&harness->api_fd);
	fd_close(&harness->gpu_fd);
	fd_close(&harness->control_fd);
	while (harness->pid > 0 && waitpid(harness->pid, &status, 0) < 0 && errno == EINTR)
		;
	harness->pid = 0;
	free(harness->message);
	harness->message = NULL;
	return status;
}
