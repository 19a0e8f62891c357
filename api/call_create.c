#include "api/call.h"
#include "api/env.h"
#include "api/gpuask.h"
#include "api/hot.h"
#include "api/variables.h"

#include "supervisor/str.h"
#include "supervisor/util.h"

#include <string.h>

#define CUDAEXEC_PATH "/usr/local/ferrite/bin/cudaexec"
#define DEFAULT_PATH  "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
/* The sandbox's own time limit stands behind ours, for instances whose api is gone. */
#define TIMEOUT_MARGIN_US 1000000
/* Between two questions for a share of a GPU that an idle instance gives up, and how long it may take to do so. */
#define GPU_PAUSE_US 10000
#define GPU_WAIT_US  2000000

static void pack(struct text *list, const char *text)
{
	text_add(list, text, strlen(text) + 1);
}

static void send_request(struct call *call, enum peer peer, uint16_t type, uint16_t expects, const void *body,
			 size_t size)
{
	call->peer.expects = expects;
	call->peer.out = (struct ipc_out){.type = type,
					  .body = body,
					  .body_size = size,
					  .tail = call->tail.data,
					  .tail_size = call->tail.length,
					  .fds = call->peer.out.fds,
					  .n_fds = call->peer.out.n_fds};
	peers_send(call->loop->api->peers, peer, &call->peer);
}

/* A server that is not there, or went away; true when the call was answered so. */
static bool fail_by_server(struct call *call)
{
	if (call->peer.failure.code == -EHOSTDOWN)
		call_fail(call, CALL_REFUSED, 503, "%s, try again", call->peer.failure.text);
	else if (call->peer.failure.code == -ECONNRESET)
		call_fail(call, CALL_BROKEN, 502, "%s", call->peer.failure.text);
	else
		return false;
	return true;
}

/* --- the instance ------------------------------------------------------------------------------------------------- */

/* Control thread. */
static void on_created_early(struct peer_request *request)
{
	struct call *call = (struct call *)request;

	instance_created(call->instance, request->reply);
}

static void on_create_failed(struct call *call)
{
	int code = call->peer.failure.code;

	instance_free(take_ptr(call->instance));
	if (fail_by_server(call))
		return;
	if (code == -EAGAIN || code == -EUSERS || code == -EBUSY || code == -EMFILE)
		call_fail(call, CALL_REFUSED, 503, "No container can be made now: %s", call->peer.failure.text);
	else
		call_fail(call, CALL_REFUSED, 500, "Failed to start '%s': %s", call->function->image,
			  call->peer.failure.text);
}

static void on_created(struct peer_request *request)
{
	struct call *call = (struct call *)request;
	struct err err = ERR_INIT;
	int r;

	if (!request->reply) {
		on_create_failed(call);
		return;
	}
	call->executed_us = call->instance->created.executed_us;
	if (call->instance->created.start == SBX_START_WARM)
		call->start = RECORD_START_WARM;
	if (call->instance->hot)
		hot_started(call);
	r = instance_start(call->instance, request->reply, &err);
	peer_request_done(request);
	if (r == 0 && call_is_wanted(call)) {
		call_run(call);
		return;
	}
	if (r == 0 && call->instance->hot) {
		hot_give_back(call);
		call_abandon(call);
		return;
	}
	call_stop(call);
	if (call_is_wanted(call))
		call_fail(call, CALL_REFUSED, 503, "%s", err.text);
	else
		call_abandon(call);
}

static void set_default(struct env *env, const char *name, const char *value)
{
	if (!env_get(env, name))
		env_set(env, name, value);
}

/* "name:tag", as a CUDA bundle shows it to its callers. */
static void set_image_name(struct env *env, const char *image)
{
	_cleanup_(text_done) struct text name = {0};
	const char *last = strrchr(image, '/');
	bool tagged = strchr(last ? last : image, ':') || strchr(image, '@');

	text_printf(&name, "%s%s", image, tagged ? "" : ":latest");
	env_set(env, "FERRITE_IMAGE", name.data ? name.data : image);
}

/* What a GPU brings along goes first in search paths, and replaces everything else. */
static void set_gpu_variables(const struct call *call, struct env *env)
{
	const char *at = call->gpu_env.data;

	for (unsigned i = 0; i < call->n_gpu_env; i++, at += strlen(at) + 1) {
		_cleanup_(text_done) struct text joined = {0};
		size_t length = strcspn(at, "=");
		bool is_path = strncmp(at, "PATH=", 5) == 0 || strncmp(at, "LD_LIBRARY_PATH=", 16) == 0;
		_cleanup_free_ char *name = strndup(at, length);
		const char *earlier = name && is_path ? env_get(env, name) : NULL;

		if (earlier && *earlier)
			text_printf(&joined, "%s:%s", at, earlier);
		env_put(env, joined.data ? joined.data : at);
	}
}

static void set_variables(struct call *call, struct env *env)
{
	const struct image *image = call->image;

	env_clear(env);
	for (unsigned i = 0; i < image->n_env; i++)
		env_put(env, image->env[i]);
	set_default(env, "PATH", DEFAULT_PATH);
	set_default(env, "HOSTNAME", call->loop->api->dispatcher->host_name);
	set_default(env, "HOME", image->home);
	if (call->framed) {
		variables_of_config(env, call->function);
		env_set(env, "FN_FORMAT", "http");
	} else {
		call_variables(call, env);
	}
	if (image->cuda) {
		env_set(env, "FERRITE_CUDA", image->cuda_section);
		set_image_name(env, call->function->image);
	}
	set_gpu_variables(call, env);
}

int call_frame(struct call *call, bool first)
{
	struct env *env = call->loop->env;

	env_clear(env);
	call_variables(call, env);
	text_clear(&call->head);
	env_frame(env, call->id, call->payload.length, first, &call->head);
	if (env->overflow)
		return -E2BIG;
	return call->head.failed ? -ENOMEM : 0;
}

/* What its route says, else what an image gets; CUDA bundles have nothing to do with a network. */
static void set_network(struct call *call)
{
	const struct network_wish *wish = &call->function->network;

	call->create.network = call->image->cuda ? SBX_NETWORK_NONE : call->loop->settings.network;
	call->create.n_allow = 0;
	if (!call->function->has_network)
		return;
	call->create.network = wish->mode;
	call->create.n_allow = wish->n_allow;
	memcpy(call->create.allow, wish->allow, sizeof(wish->allow));
}

static int make_create(struct call *call, struct env *env)
{
	const struct image *image = call->image;

	set_variables(call, env);
	if (env->overflow)
		return -E2BIG;
	call->create.n_layers = image->n_layers;
	call->create.n_args = image->cuda ? 1 : image->n_args;
	call->create.n_env = env->n;
	set_network(call);
	call->create.uid = image->uid;
	call->create.gid = image->gid;
	if (__builtin_add_overflow(call->create.memory_bytes, call->function->memory_bytes, &call->create.memory_bytes))
		call->create.memory_bytes = UINT64_MAX;
	/* The time of a hot function is that of each call. */
	call->create.timeout_us = call->function->pool ? 0 : call->function->timeout_us + TIMEOUT_MARGIN_US;
	call->create.stop_signal = image->stop_signal;
	text_clear(&call->tail);
	pack(&call->tail, image->workdir);
	pack(&call->tail, call->loop->api->dispatcher->host_name);
	text_printf(&call->tail, "%s%s", call->function->app, call->function->path);
	text_add(&call->tail, "", 1);
	if (image->cuda)
		pack(&call->tail, CUDAEXEC_PATH);
	for (unsigned i = 0; !image->cuda && i < image->n_args; i++)
		pack(&call->tail, image->args[i]);
	env_pack(env, &call->tail);
	if (call->tail.length > IPC_PAYLOAD_MAX - sizeof(call->create))
		return -E2BIG;
	return call->tail.failed ? -ENOMEM : 0;
}

static void create(struct call *call)
{
	int r;

	if (!call_is_wanted(call)) {
		call_abandon(call);
		return;
	}
	r = make_create(call, call->loop->env);
	if (r == -E2BIG) {
		call_fail(call, CALL_REFUSED, 431,
			  "The headers and the configuration are too large for the function's variables");
		return;
	}
	if (r == 0)
		call->instance = instance_new(call->loop, call->function, &call->grant, call->id);
	if (!call->instance) {
		call_fail(call, CALL_REFUSED, 503, "ferrite is out of memory");
		return;
	}
	call->grant = (struct grant){0};
	if (call->function->pool)
		hot_prepare(call);
	call->stage = CALL_CREATING;
	call->peer.done = on_created;
	call->peer.received = on_created_early;
	call->peer.repeatable = false;
	call->peer.out.fds = call->image->layer_fds;
	call->peer.out.n_fds = call->image->n_layers;
	send_request(call, PEER_SANDBOX, SBX_CREATE, SBX_CREATED, &call->create, sizeof(call->create));
}

static void attach_gpu(struct call *call);

/* --- the GPU ------------------------------------------------------------------------------------------------------ */

/* The list of "K=V" must be as long as the message says. */
static int take_gpu_env(struct call *call, const struct gpu_attached *attached, const struct peer_reply *reply)
{
	size_t length = reply->length - sizeof(*attached);
	const char *at = (const char *)reply->payload + sizeof(*attached);

	for (unsigned i = 0; i < attached->n_env; i++) {
		size_t n = strnlen(at, length);

		if (n == length || i >= SBX_ENV_MAX)
			return -EPROTO;
		text_add(&call->gpu_env, at, n + 1);
		if (strncmp(at, "NVIDIA_VISIBLE_DEVICES=", 23) == 0)
			(void)str_copy(call->grant.gpu_device, sizeof(call->grant.gpu_device), at + 23);
		at += n + 1;
		length -= n + 1;
	}
	call->n_gpu_env = attached->n_env;
	return call->gpu_env.failed ? -ENOMEM : 0;
}

static void on_attach_again(evutil_socket_t fd, short what, void *context)
{
	struct call *call = context;

	(void)fd;
	(void)what;
	event_free(take_ptr(call->timer));
	if (call_is_wanted(call))
		attach_gpu(call);
	else
		call_abandon(call);
}

/* Idle hot instances give up their shares of GPUs one by one; a share is free when the end of its instance is reported.
 */
static bool waits_for_gpu(struct call *call)
{
	static const struct timeval pause = {.tv_usec = GPU_PAUSE_US};
	uint64_t now = clock_monotonic_us();

	if (pools_free_gpu(&call->loop->api->dispatcher->pools))
		call->gpu_until_us = now + GPU_WAIT_US;
	if (now >= call->gpu_until_us)
		return false;
	call->timer = evtimer_new(call->loop->worker.base, on_attach_again, call);
	return call->timer && evtimer_add(call->timer, &pause) == 0;
}

static void on_attach_failed(struct call *call)
{
	int code = call->peer.failure.code;
	bool is_full = code == -ENOMEM || code == -ENOSPC || code == -EAGAIN || code == -EBUSY;

	if (fail_by_server(call) || (is_full && waits_for_gpu(call)))
		return;
	if (is_full)
		call_fail(call, CALL_REFUSED, 503, "No GPU memory: %s", call->peer.failure.text);
	else
		call_fail(call, CALL_REFUSED, 500, "No GPU for this function: %s", call->peer.failure.text);
}

/* Control thread: before any later message of ferrite-gpu, or its end. */
static void on_attached_early(struct peer_request *request)
{
	struct call *call = (struct call *)request;
	struct gpu_attached attached;

	memcpy(&attached, request->reply->payload, sizeof(attached));
	shares_hold(&call->loop->api->dispatcher->shares, take_ptr(call->share), &attached);
}

static void on_attached(struct peer_request *request)
{
	struct call *call = (struct call *)request;
	struct gpu_attached attached;
	int r;

	if (!request->reply) {
		on_attach_failed(call);
		return;
	}
	memcpy(&attached, request->reply->payload, sizeof(attached));
	call->grant.has_gpu = true;
	call->grant.gpu = attached.grant;
	call->grant.gpu_memory_bytes = attached.memory_bytes;
	call->create.profile = attached.profile;
	call->create.memory_bytes = attached.host_memory_bytes;
	r = take_gpu_env(call, &attached, request->reply);
	peer_request_done(request);
	if (r < 0)
		call_fail(call, CALL_BROKEN, 502, "ferrite-gpu sent variables that cannot be used");
	else
		create(call);
}

static void attach_gpu(struct call *call)
{
	_cleanup_(text_done) struct text label = {0};
	struct err err = ERR_INIT;

	if (!call->share)
		call->share = share_new(call->function->app, call->function->path);
	text_printf(&label, "%s%s", call->function->app, call->function->path);
	text_clear(&call->tail);
	if (!call->share || label.failed) {
		call_fail(call, CALL_REFUSED, 503, "ferrite is out of memory");
		return;
	}
	if (gpu_ask(call->image, &call->gpu, label.data, &call->attach, &call->tail, &err) < 0) {
		call_fail(call, CALL_REFUSED, err.code == -ENOMEM ? 503 : 500, "No GPU for this function: %s",
			  err.text);
		return;
	}
	call->stage = CALL_ATTACHING;
	call->peer.done = on_attached;
	call->peer.received = on_attached_early;
	call->peer.repeatable = true;
	call->peer.out.n_fds = 0;
	send_request(call, PEER_GPU, GPU_ATTACH, GPU_ATTACHED, &call->attach, sizeof(call->attach));
}

/* --- memory ------------------------------------------------------------------------------------------------------- */

static void on_admitted(struct call *call)
{
	if (call->starting)
		pool_offer_done(call->function->pool, &call->turn);
	call->grant.memory_bytes = call->wait.bytes;
	call->admitted_us = clock_monotonic_us();
	if (!call_is_wanted(call))
		call_abandon(call);
	else if (call->gpu.count > 0)
		attach_gpu(call);
	else
		create(call);
}

static void run_wait_over(struct worker_task *task)
{
	struct call *call = TABLE_OWNER(task, struct call, wait.task);

	if (call->wait.result == 0)
		on_admitted(call);
	else
		call_fail(call, CALL_REFUSED, 503, "Task timed out. No available memory.");
}

void call_reserve(struct call *call)
{
	struct budget *budget = &call->loop->api->dispatcher->budget;
	int r;

	call->wait.bytes = call->function->memory_bytes;
	call->wait.task.run = run_wait_over;
	call->stage = CALL_WAITING;
	if (call->task)
		r = budget_try_half(budget, call->wait.bytes);
	else
		r = budget_enter(budget, &call->wait);
	if (r == 0)
		on_admitted(call);
	else if (r == -ENOBUFS)
		call_fail(call, CALL_REFUSED, 503, "The runner queue is full");
	else if (r == -E2BIG || r == -EAGAIN)
		call_fail(call, CALL_REFUSED, 503, "Task timed out. No available memory.");
	else
		hot_wait_for_memory(call);
}

static void admit(struct call *call)
{
	const struct function *function = call->function;

	call->framed = function->pool || call->image->cuda;
	call->gpu = gpu_ask_wish(function, call->image);
	if (function->pool)
		hot_enter(call);
	else
		call_reserve(call);
}

/* --- the image ---------------------------------------------------------------------------------------------------- */

/* Control thread: in the order of the messages, so that a later change of a name forgets what is kept here. */
static void on_opened_early(struct peer_request *request)
{
	struct call *call = (struct call *)request;
	struct peer_reply *reply = request->reply;
	struct rfs_opened opened;
	const char *config;

	memcpy(&opened, reply->payload, sizeof(opened));
	opened.digest[sizeof(opened.digest) - 1] = '\0';
	/* The configuration is text; whether its terminator was sent along makes no difference. */
	config = (const char *)reply->payload + sizeof(opened);
	if (image_make(call->function->image, opened.digest, config, strlen(config), reply->fds, reply->n_fds,
		       &call->image, &request->failure) == 0)
		images_keep(&call->loop->api->dispatcher->images, call->image);
}

static void on_opened(struct peer_request *request)
{
	struct call *call = (struct call *)request;

	peer_request_done(request);
	if (call->image) {
		if (call_is_wanted(call))
			admit(call);
		else
			call_abandon(call);
	} else if (request->failure.code == -ENOENT) {
		call_fail(call, CALL_REFUSED, 500,
			  "Failed to pull image '%s': %s (import it with: ferrite images import "
			  "FILE %s)",
			  call->function->image, request->failure.text, call->function->image);
	} else if (!fail_by_server(call)) {
		call_fail(call, CALL_REFUSED, 500, "Failed to open image '%s': %s", call->function->image,
			  request->failure.text);
	}
}

void call_open_image(struct call *call)
{
	call->image = images_find(&call->loop->api->dispatcher->images, call->function->image);
	if (call->image) {
		admit(call);
		return;
	}
	pack(&call->tail, call->function->image);
	call->stage = CALL_OPENING;
	call->peer.done = on_opened;
	call->peer.received = on_opened_early;
	call->peer.repeatable = true;
	send_request(call, PEER_ROOTFS, RFS_OPEN, RFS_OPENED, &call->open, sizeof(call->open));
}
