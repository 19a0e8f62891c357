/*
 * ferrite-gpu: the GPUs of this machine, who holds them, and what a container needs to use one. Unprivileged; started
 * by ferrited, talks to ferrite-api and ferrite-sandbox over the channels it is given.
 */
#include "cudaexec/gpu/service.h"
#include "supervisor/log.h"
#include "supervisor/server.h"
#include "supervisor/str.h"
#include "supervisor/util.h"

#include <event2/event.h>
#include <string.h>

#define MEMORY_DEFAULT (1024 * MIB)

struct program {
	struct server server;
	struct backend_config config;
	uint64_t memory_default;
	struct service service;
	bool serving; /* the service is open; channels that came before wait in early_fds */
	int early_fds[PEER_MAX];
	struct event_base *base;
	struct event *control_event, *drain_event;
	struct event *channel_events[PEER_MAX];
	int status; /* of the process */
};

static void notice(const char *text, const char *detail)
{
	log_warn(text, LOG_STR("detail", detail));
}

static int set_mode(struct backend_config *config, const char *value, struct err *err)
{
	for (unsigned i = 0; i < GPU_MODE_MAX; i++) {
		if (strcmp(value, gpu_mode_names[i]) == 0) {
			config->mode = (enum gpu_mode)i;
			return 0;
		}
	}
	return err_set(err, -EINVAL, "'%.40s' is none of auto, nvidia, software, none", value);
}

static int on_config(void *context, const char *key, const char *value, bool reload, struct err *err)
{
	struct program *program = context;
	struct backend_config *config = &program->config;
	const struct {
		const char *key;
		char *place;
	} paths[] = {
		{"driver_root", config->driver_root},
		{"library_dirs", config->library_dirs},
		{"software_device_dir", config->software_device_dir},
		{"cudaexec", config->cudaexec},
		{"cdi_dirs", config->cdi_dirs},
	};

	if (strcmp(key, "gpu_memory_default") == 0) {
		if (str_size(value, MIB, &program->memory_default) < 0 || program->memory_default == 0)
			return err_set(err, -EINVAL, "expected a size in MiB");
		program->service.memory_default = program->memory_default;
		return 0;
	}
	if (reload)
		return 0; /* the rest is fixed at the start */
	if (strcmp(key, "gpu") == 0)
		return set_mode(config, value, err);
	for (size_t i = 0; i < ARRAY_LEN(paths); i++)
		if (strcmp(key, paths[i].key) == 0 && !str_copy(paths[i].place, PATH_MAX, value))
			return err_set(err, -ENAMETOOLONG, "longer than %d bytes", PATH_MAX - 1);
	return 0;
}

static void end(struct program *program, int status)
{
	program->status = status;
	(void)event_base_loopbreak(program->base);
}

static void forget_channel(struct program *program, enum peer peer)
{
	if (program->channel_events[peer])
		event_free(program->channel_events[peer]);
	program->channel_events[peer] = NULL;
}

/* The channel is of no use any more. A living peer gets no other: ferrited puts a successor in its place. */
static void lose(struct program *program, enum peer peer, const struct err *why)
{
	forget_channel(program, peer);
	service_lost(&program->service, peer);
	if (why->code == 0 || why->code == -EPIPE || why->code == -ECONNRESET)
		return;
	log_error("a peer broke the protocol", LOG_STR("peer", peer == PEER_API ? "ferrite-api" : "ferrite-sandbox"),
		  LOG_STR("error", why->text));
	(void)server_accuse(peer, NULL);
}

static void on_peer(struct program *program, enum peer peer)
{
	struct service *service = &program->service;
	struct err err = ERR_INIT;

	if (service_receive(service, peer, &err) <= 0)
		lose(program, peer, &err);
	/* An answer that came due with a message of the sandbox. */
	if (service->api_failure.code < 0)
		lose(program, PEER_API, &service->api_failure);
	if (service->draining && service->grants.count == 0)
		end(program, 0);
}

static void on_api(evutil_socket_t fd, short what, void *context)
{
	(void)fd;
	(void)what;
	on_peer(context, PEER_API);
}

static void on_sandbox(evutil_socket_t fd, short what, void *context)
{
	(void)fd;
	(void)what;
	on_peer(context, PEER_SANDBOX);
}

static int watch_channel(struct program *program, enum peer peer, int fd, struct err *err)
{
	int code;

	forget_channel(program, peer);
	code = service_channel(&program->service, peer, fd, err);
	if (code < 0)
		return code;
	program->channel_events[peer] =
		event_new(program->base, fd, EV_READ | EV_PERSIST, peer == PEER_API ? on_api : on_sandbox, program);
	if (!program->channel_events[peer] || event_add(program->channel_events[peer], NULL) < 0)
		return err_set(err, -ENOMEM, "watch a channel");
	return 0;
}

static int on_channel(void *context, enum peer peer, int fd, struct err *err)
{
	struct program *program = context;

	if (program->serving)
		return watch_channel(program, peer, fd, err);
	fd_close(&program->early_fds[peer]);
	program->early_fds[peer] = fd;
	return 0;
}

/* Nothing runs here that must be finished; instances that end meanwhile may still be released. */
static void on_drain(void *context, uint64_t deadline_us)
{
	struct program *program = context;
	uint64_t now_us = clock_monotonic_us(), left_us = deadline_us > now_us ? deadline_us - now_us : 0;
	struct timeval left = {(time_t)(left_us / 1000000), (suseconds_t)(left_us % 1000000)};

	program->service.draining = true;
	if (program->service.grants.count == 0)
		end(program, 0);
	else
		(void)event_add(program->drain_event, &left);
}

static void on_deadline(evutil_socket_t fd, short what, void *context)
{
	(void)fd;
	(void)what;
	end(context, 0);
}

static void on_control(evutil_socket_t fd, short what, void *context)
{
	struct program *program = context;
	struct err err = ERR_INIT;
	int code = server_dispatch(&program->server, &err);

	(void)fd;
	(void)what;
	if (code < 0)
		log_error("the control channel failed", LOG_STR("error", err.text));
	if (code <= 0)
		end(program, code < 0 ? 1 : 0);
	else if (program->service.draining && program->service.grants.count == 0)
		end(program, 0);
}

static const struct server_callbacks callbacks = {
	.config = on_config,
	.channel = on_channel,
	.drain = on_drain,
};

/* One line that says what the machine has, and why it is this. */
static void log_backend(const struct backend *backend)
{
	static const char *const kinds[GPU_KIND_MAX] = {"none", "nvidia", "software"};
	const struct gpu *first = &backend->inventory.gpus[0];

	log_info("GPUs found", LOG_STR("kind", kinds[backend->kind]), LOG_INT("count", backend->inventory.count),
		 LOG_STR("name", backend->inventory.count ? first->name : ""),
		 LOG_STR("driver", backend->inventory.driver_version), LOG_STR("root", backend->root),
		 LOG_STR("reason", backend->reason));
	if (backend->kind == GPU_KIND_SOFTWARE && backend->mode == GPU_MODE_AUTO)
		log_warn("kernels run on the CPU: the software device stands in for a GPU",
			 LOG_STR("reason", backend->reason));
	if (backend->kind != GPU_KIND_NONE && backend->cudaexec_fd < 0)
		log_warn("the runner cudaexec was not found: CUDA bundles cannot run; set cudaexec to its path");
}

static int start(struct program *program, struct err *err)
{
	int code = server_open(&program->server, "ferrite-gpu", &callbacks, program, err);

	if (code < 0)
		return code;
	program->base = event_base_new();
	if (!program->base)
		return err_set(err, -ENOMEM, "make an event loop");
	code = service_open(&program->service, &program->config, program->memory_default, notice, err);
	if (code < 0)
		return code;
	program->serving = true;
	log_backend(&program->service.backend);
	for (unsigned peer = 0; peer < PEER_MAX && code == 0; peer++)
		if (program->early_fds[peer] >= 0)
			code = watch_channel(program, (enum peer)peer, take_fd(&program->early_fds[peer]), err);
	if (code < 0)
		return code;
	program->control_event =
		event_new(program->base, program->server.fd, EV_READ | EV_PERSIST, on_control, program);
	program->drain_event = evtimer_new(program->base, on_deadline, program);
	if (!program->control_event || !program->drain_event || event_add(program->control_event, NULL) < 0)
		return err_set(err, -ENOMEM, "watch the control channel");
	return server_ready(&program->server, err);
}

int main(void)
{
	static struct program program = {
		.config = {.driver_root = "/", .host_root = "/", .cdi_dirs = "/etc/cdi:/var/run/cdi", .notice = notice},
		.memory_default = MEMORY_DEFAULT,
		.early_fds = {[0 ... PEER_MAX - 1] = -1},
	};
	struct err err = ERR_INIT;

	if (start(&program, &err) < 0) {
		log_error("ferrite-gpu cannot start", LOG_STR("error", err.text));
		return 1;
	}
	(void)event_base_dispatch(program.base);
	for (unsigned peer = 0; peer < PEER_MAX; peer++)
		forget_channel(&program, (enum peer)peer);
	event_free(program.control_event);
	event_free(program.drain_event);
	event_base_free(program.base);
	service_close(&program.service);
	return program.status;
}
