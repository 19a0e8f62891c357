#include "sandbox/service.h"

#include "sandbox/create.h"
#include "sandbox/kernel.h"
#include "supervisor/log.h"
#include "supervisor/server.h"
#include "supervisor/str.h"
#include "supervisor/util.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#define SWEEP_WAIT_US	   5000000
#define LOCK_WAIT_US	   5000000
#define MESSAGES_PER_ROUND 16
#define DRAIN_EXTRA_US	   2000000 /* for the killed to go */

static const struct ipc_rule api_rules[] = {
	{SBX_CREATE, 0, SBX_LAYERS_MAX, sizeof(struct sbx_create), IPC_PAYLOAD_MAX, 1, "create"},
	{SBX_KILL, 0, 0, sizeof(struct sbx_kill), 0, 1, "kill"},
	{SBX_STAT, 0, 0, sizeof(struct sbx_stat), 0, 1, "stat"},
	{0},
};

static const struct ipc_rule gpu_rules[] = {
	{SBX_PROFILE_PUT, 0, SBX_ITEMS_MAX, sizeof(struct sbx_profile), IPC_PAYLOAD_MAX, 1, "profile"},
	{0},
};

/* A living peer gets no other channel: ferrited puts a successor in its place. */
static void accuse(enum peer peer, const struct err *why)
{
	if (why->code != -EPIPE && why->code != -ECONNRESET)
		(void)server_accuse(peer, NULL);
}

static void close_api(struct service *service, const char *why)
{
	if (service->api.fd < 0)
		return;
	log_warn("the channel to the api is closed", LOG_STR("why", why), LOG_INT("instances", service->instances.n));
	channel_close(&service->api, &service->loop);
	instances_kill_owner(&service->instances, service->api_generation);
}

static void close_gpu(struct service *service, const char *why)
{
	if (service->gpu.fd < 0)
		return;
	log_warn("the channel to ferrite-gpu is closed", LOG_STR("why", why));
	channel_close(&service->gpu, &service->loop);
}

static void send_api(struct service *service, const struct ipc_out *out)
{
	struct err err = ERR_INIT;

	if (service->api.fd >= 0 && channel_send(&service->api, &service->loop, out, &err) < 0) {
		close_api(service, err.text);
		accuse(PEER_API, &err);
	}
}

static void send_failed(struct service *service, uint64_t id, const char *phase, const struct err *failure)
{
	struct msg_failed body = {.code = failure->code};

	(void)snprintf(body.phase, sizeof(body.phase), "%s", phase);
	(void)snprintf(body.text, sizeof(body.text), "%s", failure->text);
	send_api(service, &(struct ipc_out){.type = MSG_FAILED, .id = id, .body = &body, .body_size = sizeof(body)});
}

/* --- events of instances ------------------------------------------------------------------------------------------ */

static bool is_current(const struct service *service, const struct instance *instance)
{
	return service->api.fd >= 0 && instance->owner == service->api_generation;
}

static void on_created(void *context, struct instance *instance)
{
	struct service *service = context;
	int fds[] = {instance->stdio_fds[0], instance->stdio_fds[1], instance->stdio_fds[2], instance->pid_fd,
		     instance->group.freeze_fd};
	struct sbx_created body = {
		.instance = instance->id,
		.pid = (uint32_t)instance->pid,
		.uid_base = instance->uid_base,
		.born_us = instance->born_us,
		.executed_us = instance->executed_us,
		.start = instance->warm ? SBX_START_WARM : SBX_START_COLD,
	};

	if (is_current(service, instance))
		send_api(service, &(struct ipc_out){.type = SBX_CREATED,
						    .id = instance->request_id,
						    .body = &body,
						    .body_size = sizeof(body),
						    .fds = fds,
						    .n_fds = ARRAY_LEN(fds)});
	for (unsigned i = 0; i < 3; i++)
		fd_close(&instance->stdio_fds[i]);
	fd_close(&instance->group.freeze_fd);
	log_debug("instance runs", LOG_INT("instance", instance->id), LOG_INT("pid", instance->pid),
		  LOG_INT("birth_us", instance->executed_us - instance->born_us));
}

static void on_failed(void *context, struct instance *instance, const char *phase, const struct err *failure)
{
	struct service *service = context;

	if (!instance->owner) {
		/* Nobody waits for it. It was given back, or the server goes down. */
		if (instance->cause == CAUSE_OWNER)
			return;
		log_warn("a container for the pool did not start", LOG_STR("phase", phase),
			 LOG_STR("error", failure->text));
		pool_failed(&service->pool);
		return;
	}
	log_info("an instance did not start", LOG_INT("instance", instance->id), LOG_STR("phase", phase),
		 LOG_STR("error", failure->text));
	if (is_current(service, instance))
		send_failed(service, instance->request_id, phase, failure);
}

static void on_exited(void *context, struct instance *instance, const struct sbx_exited *exited)
{
	struct service *service = context;

	log_debug("instance ended", LOG_INT("instance", instance->id), LOG_INT("end", exited->end),
		  LOG_INT("exit_code", exited->exit_code), LOG_INT("signal", exited->signal),
		  LOG_INT("run_us", exited->run_us));
	if (is_current(service, instance))
		send_api(service, &(struct ipc_out){.type = SBX_EXITED, .body = exited, .body_size = sizeof(*exited)});
	pool_rest(&service->pool);
}

static void on_empty(void *context)
{
	struct service *service = context;

	if (service->draining)
		service->loop.stop = true;
}

static const struct instance_events events = {on_created, on_failed, on_exited, on_empty};

/* --- requests ----------------------------------------------------------------------------------------------------- */

static const struct profile *find_profile(const struct service *service, uint32_t number)
{
	for (unsigned i = 0; i < SBX_PROFILES_MAX; i++)
		if (service->profiles[i].number == number)
			return &service->profiles[i];
	return NULL;
}

static int start_instance(struct service *service, struct instance *instance, const struct create_request *request,
			  const struct profile *profile, const char **ret_phase, struct err *err)
{
	int r = instance->warm ? 0 : spawn_begin(&service->spawn, instance, ret_phase, err);

	if (r == 0)
		r = spawn_finish(&service->spawn, instance, &request->limits, &request->what, profile, ret_phase, err);
	/* It ended already, and what it said is there to be read. */
	if (r == -EPIPE || r == -ECONNRESET)
		r = 0;
	if (r == 0 && !instance->warm) {
		*ret_phase = "watch";
		r = instance_watch(instance, err);
	}
	return r;
}

static void create(struct service *service, struct ipc_message *m, struct create_request *request)
{
	const struct profile *profile = request->profile ? find_profile(service, request->profile) : NULL;
	struct err failure = ERR_INIT;
	struct instance *instance = NULL;
	uint64_t now_us = clock_monotonic_us(), deadline_us = now_us + service->config.birth_timeout_us;
	const char *phase = "profile";
	int r = 0;

	if (request->profile && !profile)
		r = err_set(&failure, ENOENT, "there is no profile %u", request->profile);
	if (r == 0) {
		phase = "layers";
		r = spawn_check_layers(&service->spawn, request->what.layer_fds, request->what.n_layers, &failure);
	}
	if (r == 0) {
		phase = "ids";
		instance = pool_take(&service->pool, request->network);
		if (instance)
			instance->warm = true;
		else
			r = instance_new(&service->instances, &instance, &failure);
	}
	if (r < 0 || !instance) {
		send_failed(service, m->header.id, phase, &failure);
		return;
	}
	/* A driver library needs more of /proc and /sys than functions get. */
	if (profile && profile->n_devices > 0)
		request->what.root.flags |= BIRTH_FULL_PROC;
	instance->owner = service->api_generation;
	instance->request_id = m->header.id;
	instance->network = request->network;
	instance->born_us = request->born_us;
	instance->timeout_us = request->timeout_us;
	instance->stop_signal = request->stop_signal;
	if (m->header.deadline_us && m->header.deadline_us < deadline_us)
		deadline_us = m->header.deadline_us;
	instance_set_state(instance, INSTANCE_STARTING, deadline_us);
	r = start_instance(service, instance, request, profile, &phase, &failure);
	if (r == 0)
		return;
	on_failed(service, instance, phase, &failure);
	if (instance->pid <= 0 || (instance->pid_watch.fd < 0 && instance_watch(instance, &failure) < 0))
		instance_discard(instance);
	else
		instance_kill(instance, CAUSE_FAILED);
}

static int handle_create(struct service *service, struct ipc_message *m, struct err *err)
{
	struct create_request request = {.born_us = clock_monotonic_us()};
	struct err failure = ERR_INIT;
	const char *phase = "request";
	int r = create_parse(&service->config, m, &request, &phase, &failure);

	if (r == -EPROTO)
		return err_set(err, EPROTO, "%s", failure.text);
	if (r == 0 && service->draining)
		r = err_set(&failure, ESHUTDOWN, "the server is going down");
	if (r < 0)
		send_failed(service, m->header.id, phase, &failure);
	else
		create(service, m, &request);
	return 0;
}

static void handle_kill(struct service *service, const struct sbx_kill *body)
{
	struct instance *instance = instances_find(&service->instances, body->instance);

	if (instance && instance->owner == service->api_generation)
		instance_stop(instance, body->grace_us);
}

static void handle_stat(struct service *service, uint64_t id, const struct sbx_stat *body)
{
	struct instance *instance = instances_find(&service->instances, body->instance);
	struct sbx_stated reply = {.instance = body->instance};
	struct cgroup_state state;
	struct err failure = ERR_INIT;

	if (!instance || instance->owner != service->api_generation || instance->state == INSTANCE_REMOVING) {
		(void)err_set(&failure, ENOENT, "there is no such instance");
		send_failed(service, id, "instance", &failure);
		return;
	}
	cgroup_read_state(&service->groups, &instance->group, &state);
	reply.memory_bytes = state.memory_bytes;
	reply.cpu_us = state.cpu_us;
	reply.tasks = state.tasks;
	reply.frozen = state.frozen;
	(void)snprintf(reply.cgroup, sizeof(reply.cgroup), "%s%s%s", service->groups.below,
		       service->groups.below[0] ? "/" : "", instance->group.name);
	send_api(service, &(struct ipc_out){.type = SBX_STATED, .id = id, .body = &reply, .body_size = sizeof(reply)});
}

static int handle_api(struct service *service, struct ipc_message *m, struct err *err)
{
	int r = ipc_accept(m, api_rules, 1, err);

	if (r < 0)
		return r;
	switch (m->header.type) {
	case SBX_CREATE:
		return handle_create(service, m, err);
	case SBX_KILL:
		handle_kill(service, (const void *)m->payload);
		return 0;
	default: /* SBX_STAT: the table lets nothing else through */
		handle_stat(service, m->header.id, (const void *)m->payload);
		return 0;
	}
}

static struct profile *profile_place(struct service *service, uint32_t number)
{
	struct profile *place = NULL;

	for (unsigned i = 0; i < SBX_PROFILES_MAX; i++) {
		if (service->profiles[i].number == number)
			return &service->profiles[i];
		if (service->profiles[i].number == 0 && !place)
			place = &service->profiles[i];
	}
	return place;
}

static int put_profile(struct service *service, struct ipc_message *m, struct err *err)
{
	struct sbx_profile body;
	struct profile made = {.program_fd = -1};
	struct profile *place;
	size_t length;
	char *tail = ipc_tail(m, sizeof(body), &length);
	int r;

	memcpy(&body, m->payload, sizeof(body));
	place = body.profile ? profile_place(service, body.profile) : NULL;
	if (!place)
		return err_set(err, body.profile ? ENOSPC : EINVAL, "no place for profile %u", body.profile);
	if (body.n_items > SBX_ITEMS_MAX)
		return err_set(err, EINVAL, "%u items, at most %d are allowed", body.n_items, SBX_ITEMS_MAX);
	r = profile_build(&made, &body, tail, length, m->fds, m->n_fds, service->spawn.proc_fd,
			  service->config.profile_drivers, err);
	if (r < 0)
		return r;
	profile_done(place);
	*place = made;
	return 0;
}

static int handle_gpu(struct service *service, struct ipc_message *m, struct err *err)
{
	struct err failure = ERR_INIT;
	struct msg_failed failed = {.phase = "profile"};
	struct ipc_out out = {.type = SBX_PROFILE_DONE, .id = m->header.id};
	int r = ipc_accept(m, gpu_rules, 1, err);

	if (r < 0)
		return r;
	r = put_profile(service, m, &failure);
	if (r < 0) {
		log_warn("a profile was refused", LOG_STR("error", failure.text));
		failed.code = r;
		(void)snprintf(failed.text, sizeof(failed.text), "%s", failure.text);
		out = (struct ipc_out){
			.type = MSG_FAILED, .id = m->header.id, .body = &failed, .body_size = sizeof(failed)};
	}
	return channel_send(&service->gpu, &service->loop, &out, err);
}

/* --- channels ----------------------------------------------------------------------------------------------------- */

typedef int handler(struct service *, struct ipc_message *, struct err *);

/* Handles some of the messages that are there. Negative: close the channel. */
static int serve(struct service *service, struct channel *channel, uint32_t bits, handler *handle, struct err *err)
{
	int r = bits & EPOLLOUT ? channel_flush(channel, &service->loop, err) : 0;

	for (unsigned i = 0; r == 0 && i < MESSAGES_PER_ROUND && channel->fd >= 0; i++) {
		r = ipc_receive(channel->fd, service->message, err);
		if (r == -EAGAIN)
			return 0;
		if (r == 0)
			return err_set(err, EPIPE, "the peer is gone");
		if (r < 0)
			return r;
		r = handle(service, service->message, err);
		ipc_message_done(service->message);
	}
	return r;
}

static void on_api(struct loop *loop, struct loop_watch *watch, uint32_t bits)
{
	struct service *service = watch->context;
	struct err err = ERR_INIT;

	(void)loop;
	if (serve(service, &service->api, bits, handle_api, &err) < 0) {
		close_api(service, err.text);
		accuse(PEER_API, &err);
	}
}

static void on_gpu(struct loop *loop, struct loop_watch *watch, uint32_t bits)
{
	struct service *service = watch->context;
	struct err err = ERR_INIT;

	(void)loop;
	if (serve(service, &service->gpu, bits, handle_gpu, &err) < 0) {
		close_gpu(service, err.text);
		accuse(PEER_GPU, &err);
	}
}

int service_set_channel(struct service *service, enum peer peer, int fd, struct err *err)
{
	if (peer == PEER_API) {
		close_api(service, "replaced");
		service->api_generation++;
		return channel_open(&service->api, &service->loop, fd, on_api, service, err);
	}
	if (peer == PEER_GPU) {
		close_gpu(service, "replaced");
		return channel_open(&service->gpu, &service->loop, fd, on_gpu, service, err);
	}
	fd_close(&fd);
	return err_set(err, EPROTO, "a channel to peer %d is of no use here", (int)peer);
}

/* --- life --------------------------------------------------------------------------------------------------------- */

static void on_drain_deadline(struct loop *loop, struct loop_watch *watch, uint32_t bits)
{
	struct service *service = watch->context;
	uint64_t now_us = clock_monotonic_us();

	(void)bits;
	instances_kill_owner(&service->instances, 0);
	if (now_us >= service->drain_deadline_us + DRAIN_EXTRA_US)
		loop->stop = true;
	else
		(void)loop_timer_set(service->drain_timer_fd, service->drain_deadline_us + DRAIN_EXTRA_US, NULL);
}

void service_drain(struct service *service, uint64_t deadline_us)
{
	service->draining = true;
	service->drain_deadline_us = deadline_us;
	pool_close(&service->pool);
	if (service->instances.n == 0)
		service->loop.stop = true;
	(void)loop_timer_set(service->drain_timer_fd, MAX(deadline_us, (uint64_t)1), NULL);
}

static int open_state(const char *path, struct err *err)
{
	_cleanup_fd_ int fd = -1;
	struct stat st;

	if (mkdir(path, 0711) < 0 && errno != EEXIST)
		return err_sys(err, errno, "make %s", path);
	fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0)
		return err_sys(err, errno, "open %s", path);
	if (st.st_uid != geteuid() || (st.st_mode & (S_IWGRP | S_IWOTH)))
		return err_set(err, EPERM, "%s can be changed by others", path);
	return take_fd(&fd);
}

static int open_parts(struct service *service, int state_fd, int *ret_swept, struct err *err)
{
	struct sandbox_config *config = &service->config;
	int r = ids_open(&service->ids, state_fd, config->uid_base, config->ids_first_block, config->ids_blocks,
			 LOCK_WAIT_US, err);

	if (r == 0)
		r = cgroups_open(&service->groups, config, err);
	if (r == 0)
		r = cgroups_sweep(&service->groups, SWEEP_WAIT_US, err);
	if (r < 0)
		return r;
	*ret_swept = r;
	(void)ids_sweep(&service->ids);
	r = loop_open(&service->loop, err);
	if (r == 0)
		r = bridge_init(&service->bridge, config, state_fd, err);
	if (r == 0)
		r = instances_open(&service->instances, &service->loop, &service->groups, &service->ids,
				   &service->bridge, &events, service, config->ids_blocks, err);
	if (r == 0)
		r = spawn_open(&service->spawn, config, &service->groups, &service->bridge, state_fd, err);
	if (r < 0)
		return r;
	cgroups_refill(&service->groups, CGROUP_POOL);
	r = pool_open(&service->pool, &service->instances, &service->spawn, config, err);
	if (r < 0)
		return r;
	service->drain_timer_fd = r = loop_timer(err);
	if (r < 0)
		return r;
	return loop_add(&service->loop, &service->drain_watch, service->drain_timer_fd, EPOLLIN, on_drain_deadline,
			service, err);
}

int service_open(struct service *service, int *ret_swept, struct err *err)
{
	_cleanup_fd_ int state_fd = -1;
	int r = sandbox_config_check(&service->config, err);

	service->api.fd = service->gpu.fd = -1;
	service->drain_timer_fd = service->pool.timer_fd = -1;
	service->bridge.state_fd = -1;
	for (unsigned i = 0; i < SBX_PROFILES_MAX; i++)
		service->profiles[i].program_fd = -1;
	if (r == 0)
		r = kernel_check(err);
	if (r < 0)
		return r;
	service->message = malloc(sizeof(*service->message));
	if (!service->message)
		return err_sys(err, ENOMEM, "receive buffer");
	state_fd = open_state(service->config.state_dir, err);
	return state_fd < 0 ? state_fd : open_parts(service, state_fd, ret_swept, err);
}

void service_close(struct service *service)
{
	channel_close(&service->api, &service->loop);
	channel_close(&service->gpu, &service->loop);
	for (unsigned i = 0; i < SBX_PROFILES_MAX; i++)
		profile_done(&service->profiles[i]);
	pool_close(&service->pool);
	spawn_close(&service->spawn);
	instances_close(&service->instances);
	bridge_close(&service->bridge);
	ids_close(&service->ids);
	cgroups_close(&service->groups);
	loop_remove(&service->loop, &service->drain_watch);
	fd_close(&service->drain_timer_fd);
	loop_close(&service->loop);
	free(service->message);
}
