/* ferrite-sandbox: makes, watches and removes containers. See ferrite-sandbox(8). */
#include "sandbox/service.h"
#include "supervisor/log.h"
#include "supervisor/server.h"
#include "supervisor/util.h"

#include <signal.h>

#define LEAVE_AT_ONCE_US 1000000

struct program {
	struct server server;
	struct service service;
	struct loop_watch control_watch;
	/* Channels that came before the service was open. */
	int early_fds[PEER_MAX];
	bool open;
};

static int on_config(void *context, const char *key, const char *value, bool reload, struct err *err)
{
	struct program *program = context;

	/* What exists keeps its limits; new instances get the new ones. */
	return sandbox_config_set(&program->service.config, key, value, reload, err);
}

static int on_channel(void *context, enum peer peer, int fd, struct err *err)
{
	struct program *program = context;

	if (program->open)
		return service_set_channel(&program->service, peer, fd, err);
	fd_close(&program->early_fds[peer]);
	program->early_fds[peer] = fd;
	return 0;
}

static void on_drain(void *context, uint64_t deadline_us)
{
	struct program *program = context;

	service_drain(&program->service, deadline_us);
}

static void on_control(struct loop *loop, struct loop_watch *watch, uint32_t events)
{
	struct program *program = watch->context;
	struct err err = ERR_INIT;
	int r = server_dispatch(&program->server, &err);

	(void)events;
	if (r > 0)
		return;
	if (r < 0)
		log_error("control channel", LOG_STR("error", err.text));
	/* Nobody will ask for anything any more: remove what there is, then end. */
	loop_remove(loop, watch);
	instances_kill_owner(&program->service.instances, 0);
	service_drain(&program->service, clock_monotonic_us() + LEAVE_AT_ONCE_US);
}

static int start(struct program *program, struct err *err)
{
	static const struct server_callbacks callbacks = {
		.config = on_config, .channel = on_channel, .drain = on_drain};
	int swept = 0;
	int r = server_open(&program->server, "ferrite-sandbox", &callbacks, program, err);

	if (r == 0)
		r = service_open(&program->service, &swept, err);
	if (r < 0)
		return r;
	program->open = true;
	if (swept > 0)
		log_warn("removed instances that a predecessor left", LOG_INT("groups", swept));
	for (int peer = 0; r == 0 && peer < PEER_MAX; peer++)
		if (program->early_fds[peer] >= 0)
			r = service_set_channel(&program->service, (enum peer)peer, take_fd(&program->early_fds[peer]),
						err);
	if (r == 0)
		r = loop_add(&program->service.loop, &program->control_watch, program->server.fd, EPOLLIN, on_control,
			     program, err);
	if (r == 0)
		r = server_ready(&program->server, err);
	if (r == 0)
		log_info("ready", LOG_STR("cgroups", program->service.groups.backend->name),
			 LOG_INT("id_ranges", program->service.config.ids_blocks));
	return r;
}

int main(void)
{
	static struct program program;
	struct err err = ERR_INIT;
	sigset_t none;

	/* Children inherit what is ignored or blocked; functions expect neither. */
	(void)sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	for (int number = 1; number < NSIG; number++)
		(void)signal(number, SIG_DFL);
	sandbox_config_init(&program.service.config);
	for (unsigned i = 0; i < PEER_MAX; i++)
		program.early_fds[i] = -1;
	if (start(&program, &err) < 0 || loop_run(&program.service.loop, &err) < 0) {
		log_error("cannot serve", LOG_STR("error", err.text));
		return 1;
	}
	service_close(&program.service);
	free(program.server.message);
	return 0;
}
