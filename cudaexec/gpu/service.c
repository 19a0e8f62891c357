#include "cudaexec/gpu/service.h"

#include "cudaexec/gpu/capabilities.h"
#include "cudaexec/gpu/document.h"
#include "cudaexec/gpu/explain.h"
#include "cudaexec/gpu/wish.h"
#include "supervisor/server.h"
#include "supervisor/str.h"
#include "supervisor/util.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>

#define ENV_BYTES_MAX	8192
#define SEND_TIMEOUT_MS 2000

/* Of the api: it says what is held before it asks for anything. */
enum { STATE_OPENING = 1, STATE_SERVING = 2 };

static const struct ipc_rule api_rules[] = {
	{GPU_LIST, 0, 0, 0, 0, STATE_OPENING | STATE_SERVING, "gpu list"},
	{GPU_ATTACH, 0, 0, sizeof(struct gpu_attach), GPU_TAIL_MAX, STATE_OPENING | STATE_SERVING, "gpu attach"},
	{GPU_EXPLAIN, 0, 0, sizeof(struct gpu_attach), GPU_TAIL_MAX, STATE_OPENING | STATE_SERVING, "gpu explain"},
	{GPU_RELEASE, 0, 0, sizeof(struct gpu_release), 0, STATE_OPENING | STATE_SERVING, "gpu release"},
	{GPU_HOLD, 0, 0, sizeof(struct gpu_hold), GPU_LABEL_MAX, STATE_OPENING, "gpu hold"},
	{0},
};

static const struct ipc_rule sandbox_rules[] = {
	{SBX_PROFILE_DONE, 0, 0, 0, 0, 1, "profile done"},
	{MSG_FAILED, 0, 0, sizeof(struct msg_failed), 0, 1, "failed"},
	{0},
};

/* --- profiles ----------------------------------------------------------------------------------------------------- */

/* Appends one record: struct sbx_item and its packed list. */
static bool pack_item(const struct injection_item *item, char *buffer, size_t size, size_t *used)
{
	struct sbx_item header = {.kind = item->kind};
	size_t start = *used;

	if (size - start < sizeof(header))
		return false;
	*used += sizeof(header);
	if (!str_pack(buffer, size, used, item->destination) ||
	    (item->content && !str_pack(buffer, size, used, item->content)))
		return false;
	header.length = (uint32_t)(*used - start - sizeof(header));
	memcpy(buffer + start, &header, sizeof(header));
	return true;
}

static int profile_transmit(struct service *service, unsigned index, struct err *err)
{
	const struct injection *injection = &service->profiles[index]->injection;
	struct sbx_profile body = {.profile = index + 1, .n_items = injection->count};
	size_t size = IPC_PAYLOAD_MAX - sizeof(body), used = 0;
	_cleanup_free_ char *tail = malloc(size);
	int fds[SBX_ITEMS_MAX];
	unsigned n_fds = 0;

	if (!tail)
		return err_set(err, -ENOMEM, "no memory for a message");
	for (unsigned i = 0; i < injection->count; i++) {
		if (!pack_item(&injection->items[i], tail, size, &used))
			return err_set(err, -EMSGSIZE, "the list of mounts does not fit a message");
		if (injection->items[i].fd >= 0)
			fds[n_fds++] = injection->items[i].fd;
	}
	return ipc_send_wait(service->sandbox_fd,
			     &(struct ipc_out){.type = SBX_PROFILE_PUT,
					       .id = index + 1,
					       .body = &body,
					       .body_size = sizeof(body),
					       .tail = tail,
					       .tail_size = used,
					       .fds = fds,
					       .n_fds = n_fds},
			     SEND_TIMEOUT_MS, err);
}

/* Sends a profile that the sandbox does not have and is not just reading; without a channel when that comes. */
static int profile_send(struct service *service, unsigned index, struct err *err)
{
	struct service_profile *profile = service->profiles[index];
	int code = 0;

	if (!profile->sent && service->sandbox_fd >= 0) {
		code = profile_transmit(service, index, err);
		profile->sent = code == 0;
	}
	return code;
}

/* Accepts NULL. */
static void profile_free(struct service_profile *profile)
{
	if (!profile)
		return;
	injection_done(&profile->injection);
	free(profile->cdi);
	free(profile);
}

static bool profile_fits(const struct service_profile *profile, uint64_t mask, unsigned capabilities, const char *cdi)
{
	if (cdi || profile->cdi)
		return cdi && profile->cdi && strcmp(cdi, profile->cdi) == 0;
	return profile->mask == mask && profile->capabilities == capabilities;
}

/* CDI is the wish when it is one for CDI devices, else NULL. */
static int profile_make(struct service *service, uint64_t mask, unsigned capabilities, const char *cdi,
			struct service_profile **ret_profile, struct err *err)
{
	struct service_profile *profile = calloc(1, sizeof(*profile));
	int code = 0;

	if (!profile)
		return err_set(err, -ENOMEM, "no memory for a list of mounts");
	*profile =
		(struct service_profile){.mask = mask, .capabilities = capabilities, .cdi = cdi ? strdup(cdi) : NULL};
	if (cdi && !profile->cdi)
		code = err_set(err, -ENOMEM, "no memory for a list of mounts");
	if (code == 0)
		code = wish_injection(&service->backend, cdi, mask, capabilities, &profile->injection, err);
	if (code < 0)
		profile_free(profile);
	else
		*ret_profile = profile;
	return code;
}

/*
 * The place of a new profile: a free one, else that of one which no instance was told and which ferrite-sandbox is not
 * just reading. What images ask for would else fill all places for good.
 */
static int profile_place(const struct service *service, unsigned *ret_index, struct err *err)
{
	for (unsigned i = 0; i < SBX_PROFILES_MAX; i++) {
		if (i == service->n_profiles || (!grants_use_profile(&service->grants, i + 1) &&
						 service->profiles[i]->sent == service->profiles[i]->ready &&
						 service->n_profiles == SBX_PROFILES_MAX)) {
			*ret_index = i;
			return 0;
		}
	}
	return err_set(err, -ENOSPC, "more than %d combinations of GPUs and driver capabilities are in use",
		       SBX_PROFILES_MAX);
}

/* Finds or makes the profile for a set of GPUs and capabilities, or of CDI devices, and sends a new one. */
static int profile_get(struct service *service, uint64_t mask, unsigned capabilities, const char *cdi,
		       unsigned *ret_index, struct err *err)
{
	struct service_profile *profile = NULL;
	int code;

	if (service->backend.kind != GPU_KIND_NVIDIA)
		mask = 0; /* no nodes: one list for every device */
	for (unsigned i = 0; i < service->n_profiles; i++) {
		if (profile_fits(service->profiles[i], mask, capabilities, cdi)) {
			*ret_index = i;
			return profile_send(service, i, err);
		}
	}
	code = profile_make(service, mask, capabilities, cdi, &profile, err);
	if (code == 0)
		code = profile_place(service, ret_index, err);
	if (code < 0) {
		profile_free(profile);
		return code;
	}
	if (*ret_index == service->n_profiles)
		service->n_profiles++;
	else
		profile_free(service->profiles[*ret_index]);
	service->profiles[*ret_index] = profile;
	return profile_send(service, *ret_index, err);
}

/* --- attach ------------------------------------------------------------------------------------------------------- */

static const struct grant *find_grant(const struct service *service, uint64_t id)
{
	for (unsigned i = 0; i < service->grants.count; i++)
		if (service->grants.list[i].id == id)
			return &service->grants.list[i];
	return NULL;
}

static int send_attached(struct service *service, uint64_t request, const struct grant *grant, unsigned profile,
			 struct err *err)
{
	const struct injection *injection = &service->profiles[profile]->injection;
	bool software = service->backend.kind == GPU_KIND_SOFTWARE && !injection->by_cdi;
	struct gpu_attached body = {
		.grant = grant->id,
		.gpus = grant->mask,
		.profile = profile + 1,
		.kind = injection->by_cdi ? GPU_KIND_NVIDIA : service->backend.kind,
		.memory_bytes = grant->memory_bytes,
		.host_memory_bytes = software ? grant->memory_bytes : 0,
	};
	char env[ENV_BYTES_MAX];
	size_t used = 0;
	int code = wish_environment(&service->backend, grant, injection, env, sizeof(env), &used, &body.n_env, err);

	if (code < 0)
		return code;
	return ipc_send_wait(service->api_fd,
			     &(struct ipc_out){.type = GPU_ATTACHED,
					       .id = request,
					       .body = &body,
					       .body_size = sizeof(body),
					       .tail = env,
					       .tail_size = used},
			     SEND_TIMEOUT_MS, err);
}

/* NVIDIA_VISIBLE_DEVICES=void: the instance gets nothing, and that is no error. */
static int send_nothing(struct service *service, uint64_t request, struct err *err)
{
	struct gpu_attached body = {.kind = GPU_KIND_NONE};

	return ipc_send_wait(
		service->api_fd,
		&(struct ipc_out){.type = GPU_ATTACHED, .id = request, .body = &body, .body_size = sizeof(body)},
		SEND_TIMEOUT_MS, err);
}

/* Grants a share, or says why not; *ret_index is the profile that the answer waits for. */
static int grant_wish(struct service *service, const struct wish *wish, struct grant_request *request,
		      const struct grant **ret_grant, unsigned *ret_index, struct err *err)
{
	const struct grant *grant;
	unsigned capabilities;
	int code = capabilities_parse(wish->capabilities, &capabilities, err);

	if (code != 0)
		return code;
	request->memory_bytes = wish->body->memory_bytes ? wish->body->memory_bytes : service->memory_default;
	request->label = wish->label;
	code = grants_add(&service->grants, &service->backend.inventory, request, &grant, err);
	if (code != 0)
		return code;
	code = wish_check(wish, &service->backend, grant->mask, service->notice, err);
	if (code == 0)
		code = profile_get(service, grant->mask, capabilities,
				   wish_by_cdi(wish, &service->backend) ? wish->devices : NULL, ret_index, err);
	if (code < 0)
		grants_remove(&service->grants, grant->id);
	else
		grants_set_profile(&service->grants, grant->id, *ret_index + 1);
	*ret_grant = grant;
	return code;
}

/* The part of an attach that may be refused. */
static int attach(struct service *service, uint64_t id, const struct wish *wish, struct err *err)
{
	struct grant_request request = {0};
	const struct grant *grant = NULL;
	unsigned index = 0;
	int code;

	if (service->draining)
		return err_set(err, -ESHUTDOWN, "the service is shutting down");
	code = wish_devices(wish, &service->backend, &request, err);
	if (code == 0 && request.visible.kind == VISIBLE_VOID)
		return send_nothing(service, id, err);
	if (code == 0 && service->backend.kind == GPU_KIND_NONE && !wish_by_cdi(wish, &service->backend))
		return err_set(err, -ENODEV, "this service has no GPU: %s", service->backend.reason);
	if (code == 0 && service->n_pending == SERVICE_PENDING_MAX)
		return err_set(err, -EAGAIN, "%d instances wait for ferrite-sandbox already", SERVICE_PENDING_MAX);
	if (code == 0)
		code = grant_wish(service, wish, &request, &grant, &index, err);
	if (code != 0)
		return code;
	if (service->profiles[index]->ready)
		return send_attached(service, id, grant, index, err);
	service->pending[service->n_pending++] = (struct service_pending){id, grant->id, index};
	return 0;
}

static int handle_attach(struct service *service, struct ipc_message *message, struct err *err)
{
	char *list[WISH_TEXTS_MAX];
	struct err refusal = ERR_INIT;
	struct wish wish = {0};
	int code = wish_read(message, list, &wish, err);

	if (code != 0)
		return code;
	if (attach(service, message->header.id, &wish, &refusal) < 0)
		return server_send_failed(service->api_fd, message->header.id, "gpu", &refusal, err);
	return 0;
}

/* --- the other messages ------------------------------------------------------------------------------------------- */

/* A memfd that nobody can change any more. */
static int sealed_file(const char *text, size_t length, struct err *err)
{
	_cleanup_fd_ int fd = memfd_create("ferrite-gpus", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	int code;

	if (fd < 0)
		return err_sys(err, errno, "make a memory file");
	code = fd_write_all(fd, text, length);
	if (code < 0)
		return err_sys(err, code, "write a memory file");
	if (fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) < 0)
		return err_sys(err, errno, "seal a memory file");
	return take_fd(&fd);
}

/* Answers with a document, or with why there is none. */
static int send_document(struct service *service, uint64_t id, const char *text, struct err *refusal, struct err *err)
{
	struct gpu_document body = {.size = text ? strlen(text) : 0};
	_cleanup_fd_ int fd = -1;

	if (text)
		fd = sealed_file(text, strlen(text), refusal);
	if (fd < 0)
		return server_send_failed(service->api_fd, id, "gpu", refusal, err);
	return ipc_send_wait(service->api_fd,
			     &(struct ipc_out){.type = GPU_DOCUMENT,
					       .id = id,
					       .body = &body,
					       .body_size = sizeof(body),
					       .fds = &fd,
					       .n_fds = 1},
			     SEND_TIMEOUT_MS, err);
}

static int handle_list(struct service *service, uint64_t id, struct err *err)
{
	_cleanup_free_ char *text = document_make(&service->backend, &service->grants);
	struct err refusal = ERR_INIT;

	if (!text)
		(void)err_set(&refusal, -ENOMEM, "no memory for the list of GPUs");
	return send_document(service, id, text, &refusal, err);
}

/* Nothing is granted, no profile is made: what would be done is only written down. */
static int handle_explain(struct service *service, struct ipc_message *message, struct err *err)
{
	const struct explain_state state = {&service->backend, &service->grants, service->memory_default};
	char *list[WISH_TEXTS_MAX];
	_cleanup_free_ char *text = NULL;
	struct err refusal = ERR_INIT;
	struct wish wish = {0};
	int code = wish_read(message, list, &wish, err);

	if (code < 0)
		return code;
	(void)explain_make(&state, &wish, &text, &refusal);
	return send_document(service, message->header.id, text, &refusal, err);
}

/* An instance that was released while its attach still waited. */
static void forget_pending(struct service *service, uint64_t grant)
{
	for (unsigned i = 0; i < service->n_pending; i++) {
		if (service->pending[i].grant == grant) {
			service->pending[i] = service->pending[--service->n_pending];
			return;
		}
	}
}

/* A share that cannot be entered is one that may be promised twice; its holder loses nothing by that. */
static int handle_hold(struct service *service, struct ipc_message *message, struct err *err)
{
	const struct gpu_hold *hold = (const void *)message->payload;
	struct err failure = ERR_INIT;
	size_t length;
	char *tail = ipc_tail(message, sizeof(*hold), &length), *list[2];
	int code;

	if (str_unpack(tail, length, 1, list) != (long)length)
		return err_set(err, -EPROTO, "gpu hold: the label is no packed list");
	code = grants_restore(&service->grants, &service->backend.inventory, hold, list[0], &failure);
	if (code == -EPROTO)
		return err_set(err, -EPROTO, "gpu hold: %s", failure.text);
	if (code < 0 && service->notice)
		service->notice("a share that is held is not known any more", failure.text);
	return 0;
}

static int handle_api(struct service *service, struct ipc_message *message, struct err *err)
{
	const struct gpu_release *release = (const void *)message->payload;
	int code = ipc_accept(message, api_rules, service->api_asked ? STATE_SERVING : STATE_OPENING, err);

	if (code < 0)
		return code;
	service->api_asked |= message->header.type != GPU_HOLD && message->header.type != GPU_RELEASE;
	switch (message->header.type) {
	case GPU_HOLD:
		return handle_hold(service, message, err);
	case GPU_LIST:
		return handle_list(service, message->header.id, err);
	case GPU_ATTACH:
		return handle_attach(service, message, err);
	case GPU_EXPLAIN:
		return handle_explain(service, message, err);
	default: /* GPU_RELEASE: the table lets nothing else through */
		forget_pending(service, release->grant);
		grants_remove(&service->grants, release->grant);
		return 0;
	}
}

/* Answers the attaches that waited for a profile; FAILURE is NULL when the sandbox took it. */
static int answer_pending(struct service *service, unsigned index, const struct err *failure, struct err *err)
{
	int code = 0;

	for (unsigned i = 0; i < service->n_pending;) {
		struct service_pending pending = service->pending[i];
		const struct grant *grant = find_grant(service, pending.grant);

		if (pending.profile != index) {
			i++;
			continue;
		}
		service->pending[i] = service->pending[--service->n_pending];
		if (failure)
			grants_remove(&service->grants, pending.grant);
		if (service->api_fd < 0 || code < 0)
			continue;
		if (failure)
			code = server_send_failed(service->api_fd, pending.request, "profile", failure, err);
		else if (grant)
			code = send_attached(service, pending.request, grant, index, err);
	}
	return code;
}

static int handle_sandbox(struct service *service, struct ipc_message *message, struct err *err)
{
	struct msg_failed *failed = (void *)message->payload;
	struct err failure = ERR_INIT;
	unsigned index;
	int code = ipc_accept(message, sandbox_rules, 1, err);

	if (code < 0)
		return code;
	if (message->header.id == 0 || message->header.id > service->n_profiles)
		return err_set(err, -EPROTO, "the sandbox answers about a profile that was never sent");
	index = (unsigned)message->header.id - 1;
	if (!service->profiles[index]->sent || service->profiles[index]->ready)
		return err_set(err, -EPROTO, "the sandbox answers twice about profile %u", index + 1);
	if (message->header.type == MSG_FAILED) {
		failed->text[sizeof(failed->text) - 1] = '\0';
		(void)err_set(&failure, failed->code < 0 ? failed->code : -EIO, "%.400s", failed->text);
		if (service->notice)
			service->notice("ferrite-sandbox refuses a list of GPU mounts", failure.text);
	}
	service->profiles[index]->ready = message->header.type == SBX_PROFILE_DONE;
	service->profiles[index]->sent = service->profiles[index]->ready; /* a refused one is tried anew next time */
	(void)answer_pending(service, index, failure.code ? &failure : NULL, &service->api_failure);
	return 0;
}

/* --- life --------------------------------------------------------------------------------------------------------- */

int service_open(struct service *service, const struct backend_config *config, uint64_t memory_default,
		 void (*notice)(const char *text, const char *detail), struct err *err)
{
	int code;

	*service = (struct service){
		.memory_default = memory_default,
		.api_fd = -1,
		.sandbox_fd = -1,
		.notice = notice,
		/* What was granted before a restart is given back after it: it must not name what is granted since. */
		.grants = {.last_id = clock_realtime_us()},
	};
	service->message = malloc(sizeof(*service->message));
	if (!service->message)
		return err_set(err, -ENOMEM, "no memory for the receive buffer");
	code = backend_open(config, &service->backend, err);
	if (code < 0)
		free_ptr(&service->message);
	return code;
}

static int *channel_of(struct service *service, enum peer peer)
{
	return peer == PEER_API ? &service->api_fd : peer == PEER_SANDBOX ? &service->sandbox_fd : NULL;
}

int service_channel(struct service *service, enum peer peer, int fd, struct err *err)
{
	int *channel = channel_of(service, peer);
	int code = 0;

	if (!channel) {
		fd_close(&fd);
		return err_set(err, -EPROTO, "a channel to a peer that ferrite-gpu does not talk to");
	}
	service_lost(service, peer);
	*channel = fd;
	if (peer == PEER_SANDBOX)
		for (unsigned i = 0; i < service->n_profiles && code == 0; i++)
			code = profile_send(service, i, err);
	return code;
}

void service_lost(struct service *service, enum peer peer)
{
	fd_close(channel_of(service, peer));
	if (peer == PEER_API) {
		service->n_pending = 0;
		service->api_asked = false;
		err_clear(&service->api_failure);
		grants_clear(&service->grants);
		return;
	}
	for (unsigned i = 0; i < service->n_profiles; i++)
		service->profiles[i]->ready = service->profiles[i]->sent = false;
}

int service_receive(struct service *service, enum peer peer, struct err *err)
{
	for (;;) {
		int fd = *channel_of(service, peer);
		int code = fd >= 0 ? ipc_receive(fd, service->message, err) : 0;

		if (code == -EAGAIN)
			return 1;
		if (code <= 0)
			return code;
		code = peer == PEER_API ? handle_api(service, service->message, err)
					: handle_sandbox(service, service->message, err);
		ipc_message_done(service->message);
		if (code < 0)
			return code;
	}
}

void service_close(struct service *service)
{
	fd_close(&service->api_fd);
	fd_close(&service->sandbox_fd);
	for (unsigned i = 0; i < service->n_profiles; i++)
		profile_free(service->profiles[i]);
	service->n_profiles = service->n_pending = 0;
	grants_clear(&service->grants);
	backend_close(&service->backend);
	free_ptr(&service->message);
}
