/*
 * ferrite-gpu's conversation over real channels: the test plays ferrite-api and ferrite-sandbox. Once in this process
 * over a driver root made here, once with the program itself, started as ferrited does.
 */
#include "cudaexec/gpu/service.h"
#include "supervisor/server.h"
#include "supervisor/str.h"
#include "supervisor/util.h"
#include "tests/unit/cudaexec/gpu/fake_root.h"

#include <check.h>
#include <fcntl.h>
#include <jansson.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>

#define WAIT_MS 10000

#define SEND(channel_fd, ...) ck_assert_int_eq(ipc_send(channel_fd, &(struct ipc_out){__VA_ARGS__}, NULL), 0)
#define BODY(b)		      .body = &(b), .body_size = sizeof(b)

static struct fake_root root;
static struct service service;
static int api_fd = -1, sandbox_fd = -1;
static struct ipc_message message;

static void connect_peer(enum peer peer, int *ret_fd)
{
	int fds[2];

	ck_assert_int_eq(ipc_pair(fds, NULL), 0);
	fd_close(ret_fd);
	*ret_fd = fds[0];
	ck_assert_int_eq(service_channel(&service, peer, fds[1], NULL), 0);
}

static void setup(void)
{
	struct backend_config config = {.mode = GPU_MODE_NVIDIA, .driver_root = "/", .cudaexec = "/bin/sh"};
	struct err err = ERR_INIT;

	fake_root_make(&root);
	(void)str_copy(config.host_root, sizeof(config.host_root), root.path);
	ck_assert_msg(service_open(&service, &config, 512 * MIB, NULL, &err) == 0, "%s", err.text);
	/* The proc files do not say how much memory there is; these tests need a number. */
	service.backend.inventory.gpus[0].memory_bytes = service.backend.inventory.gpus[1].memory_bytes = GIB;
	connect_peer(PEER_API, &api_fd);
	connect_peer(PEER_SANDBOX, &sandbox_fd);
}

static void teardown(void)
{
	service_close(&service);
	fd_close(&api_fd);
	fd_close(&sandbox_fd);
	fake_root_remove(&root);
}

/* Sends a wish; texts are devices, capabilities, label, then requirements up to NULL. */
static void send_wish(uint16_t type, int fd, uint64_t id, uint32_t count, uint64_t memory, const char *const *texts)
{
	struct gpu_attach body = {.count = count, .memory_bytes = memory};
	char tail[1024];
	size_t used = 0;

	for (unsigned i = 0; texts[i]; i++) {
		ck_assert(str_pack(tail, sizeof(tail), &used, texts[i]));
		body.n_requires = i < 3 ? 0 : i - 2;
	}
	SEND(fd, .type = type, .id = id, BODY(body), .tail = tail, .tail_size = used);
}

#define ATTACH(fd, id, count, memory, ...) \
	send_wish(GPU_ATTACH, fd, id, count, memory, (const char *const[]){__VA_ARGS__, NULL})
#define EXPLAIN(id, count, memory, ...) \
	send_wish(GPU_EXPLAIN, api_fd, id, count, memory, (const char *const[]){__VA_ARGS__, NULL})

static void expect_message(int fd, uint16_t type, uint64_t id)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	struct err err = ERR_INIT;

	ck_assert_int_eq(poll(&p, 1, WAIT_MS), 1);
	ck_assert_msg(ipc_receive(fd, &message, &err) == 1, "%s", err.text);
	ck_assert_msg(message.header.type == type, "type %x: %s", message.header.type,
		      message.header.type == MSG_FAILED ? ((struct msg_failed *)message.payload)->text : "");
	ck_assert_uint_eq(message.header.id, id);
}

static void expect_silence(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};

	ck_assert_int_eq(poll(&p, 1, 0), 0);
}

static void expect_refusal(int fd, uint64_t id, int code, const char *part)
{
	const struct msg_failed *failed = (void *)message.payload;

	expect_message(fd, MSG_FAILED, id);
	ck_assert_msg(failed->code == code && strstr(failed->text, part), "%d: %s", failed->code, failed->text);
	ipc_message_done(&message);
}

static void serve(enum peer peer)
{
	struct err err = ERR_INIT;

	ck_assert_msg(service_receive(&service, peer, &err) == 1, "%s", err.text);
}

/* The sandbox's part: takes a profile and says so. */
static void take_profile(int fd)
{
	uint64_t id;

	struct pollfd p = {.fd = fd, .events = POLLIN};

	ck_assert_int_eq(poll(&p, 1, WAIT_MS), 1);
	ck_assert_int_eq(ipc_receive(fd, &message, NULL), 1);
	ck_assert_uint_eq(message.header.type, SBX_PROFILE_PUT);
	id = message.header.id;
	ipc_message_done(&message);
	SEND(fd, .type = SBX_PROFILE_DONE, .id = id);
}

static struct gpu_attached expect_attached(int fd, uint64_t id, char *env, size_t size)
{
	struct gpu_attached body;
	size_t length, used = 0;
	char *list[16], *tail;

	expect_message(fd, GPU_ATTACHED, id);
	memcpy(&body, message.payload, sizeof(body));
	tail = ipc_tail(&message, sizeof(body), &length);
	ck_assert_uint_lt(body.n_env, 16);
	ck_assert_int_eq(str_unpack(tail, length, body.n_env, list), (long)length);
	env[0] = '\0';
	for (unsigned i = 0; i < body.n_env; i++)
		used += (size_t)snprintf(env + used, size - used, "%s\n", list[i]);
	return body;
}

START_TEST(attach_waits_for_profile)
{
	struct gpu_attached first, second;
	const struct sbx_profile *profile = (void *)message.payload;
	char env[1024];

	ATTACH(api_fd, 11, 1, 100 * MIB, "", "compute", "app /route");
	serve(PEER_API);
	expect_silence(api_fd);
	expect_message(sandbox_fd, SBX_PROFILE_PUT, 1);
	ck_assert_uint_eq(profile->profile, 1);
	ck_assert_uint_gt(message.n_fds, 8);
	ck_assert_uint_gt(profile->n_items, message.n_fds);
	ipc_message_done(&message);
	SEND(sandbox_fd, .type = SBX_PROFILE_DONE, .id = 1);
	serve(PEER_SANDBOX);
	first = expect_attached(api_fd, 11, env, sizeof(env));
	ck_assert_uint_eq(first.profile, 1);
	ck_assert_uint_eq(first.kind, GPU_KIND_NVIDIA);
	ck_assert_uint_eq(first.memory_bytes, 100 * MIB);
	ck_assert_uint_eq(first.host_memory_bytes, 0);
	ck_assert_ptr_nonnull(strstr(env, "LD_LIBRARY_PATH=/usr/local/nvidia/lib64\n"));
	ck_assert_ptr_nonnull(strstr(env, "CUDA_VISIBLE_DEVICES=GPU-1111\n"));
	/* The second share goes where more room is: another GPU, another profile. */
	ATTACH(api_fd, 12, 1, 100 * MIB, "", "compute", "app /route");
	serve(PEER_API);
	take_profile(sandbox_fd);
	serve(PEER_SANDBOX);
	second = expect_attached(api_fd, 12, env, sizeof(env));
	ck_assert_uint_eq(second.profile, 2);
	ck_assert_ptr_nonnull(strstr(env, "CUDA_VISIBLE_DEVICES=GPU-2222\n"));
	ck_assert_uint_ne(first.grant, second.grant);
	/* A third on the first GPU finds its profile there. */
	ATTACH(api_fd, 13, 1, 10 * MIB, "0", "compute", "app /route");
	serve(PEER_API);
	expect_silence(sandbox_fd);
	ck_assert_uint_eq(expect_attached(api_fd, 13, env, sizeof(env)).profile, 1);
}
END_TEST

START_TEST(admission)
{
	struct gpu_attached attached;
	struct gpu_release release;
	char env[1024];

	ATTACH(api_fd, 1, 1, 700 * MIB, "0", "", "a");
	serve(PEER_API);
	take_profile(sandbox_fd);
	serve(PEER_SANDBOX);
	attached = expect_attached(api_fd, 1, env, sizeof(env));
	ATTACH(api_fd, 2, 1, 700 * MIB, "0", "", "b");
	serve(PEER_API);
	expect_refusal(api_fd, 2, -EAGAIN, "324 MiB free of 1024 MiB, 700 MiB are asked for");
	ATTACH(api_fd, 3, 1, 2000 * MIB, "0", "", "b");
	serve(PEER_API);
	expect_refusal(api_fd, 3, -ENOSPC, "2000 MiB are asked for");
	ATTACH(api_fd, 4, 3, MIB, "", "", "b");
	serve(PEER_API);
	expect_refusal(api_fd, 4, -ENODEV, "3 GPUs are asked for, this machine has 2");
	release.grant = attached.grant;
	SEND(api_fd, .type = GPU_RELEASE, BODY(release));
	ATTACH(api_fd, 5, 1, 700 * MIB, "0", "", "b");
	serve(PEER_API);
	(void)expect_attached(api_fd, 5, env, sizeof(env));
	release.grant = 999999;
	SEND(api_fd, .type = GPU_RELEASE, BODY(release));
	serve(PEER_API);
	ck_assert_uint_eq(service.grants.count, 1);
}
END_TEST

static struct gpu_attached attach_one(void)
{
	char env[1024];

	ATTACH(api_fd, 1, 1, 700 * MIB, "0", "", "a");
	serve(PEER_API);
	take_profile(sandbox_fd);
	serve(PEER_SANDBOX);
	return expect_attached(api_fd, 1, env, sizeof(env));
}

/* An instance that outlived a restart gives back its grant: that must not be somebody's newer one. */
START_TEST(grants_of_a_predecessor_are_nobodys)
{
	struct gpu_release release;

	release.grant = attach_one().grant;
	teardown();
	setup();
	(void)attach_one();
	SEND(api_fd, .type = GPU_RELEASE, BODY(release));
	serve(PEER_API);
	ck_assert_uint_eq(service.grants.count, 1);
}
END_TEST

static void send_hold(const struct gpu_hold *hold)
{
	SEND(api_fd, .type = GPU_HOLD, BODY(*hold), .tail = "a/b", .tail_size = 4);
}

/* What is said to be held is not promised again, and given back as any other. */
START_TEST(what_is_held_is_known_after_a_restart)
{
	struct gpu_attached before = attach_one();
	struct gpu_hold hold = {before.grant, before.gpus, before.memory_bytes, 5};
	struct gpu_release release = {before.grant};
	struct err err = ERR_INIT;
	char env[1024];

	ck_assert_uint_ne(before.gpus, 0);
	teardown();
	setup();
	send_hold(&hold);
	serve(PEER_API);
	ck_assert_uint_eq(service.grants.count, 1);
	ck_assert_str_eq(service.grants.list[0].label, "a/b");
	ck_assert_uint_eq(service.grants.list[0].since_us, 5);
	ck_assert_uint_eq(grants_declared(&service.grants, 0), before.memory_bytes);
	ATTACH(api_fd, 2, 1, 700 * MIB, "0", "", "a");
	serve(PEER_API);
	expect_refusal(api_fd, 2, -EAGAIN, "324 MiB free");
	SEND(api_fd, .type = GPU_RELEASE, BODY(release));
	serve(PEER_API);
	ck_assert_uint_eq(service.grants.count, 0);
	ck_assert_uint_gt(attach_one().grant, before.grant);
	/* It comes before all requests. */
	send_hold(&hold);
	ck_assert_int_eq(service_receive(&service, PEER_API, &err), -EPROTO);
	/* Never twice, never without an id; what lies beyond the inventory is cut off. */
	connect_peer(PEER_API, &api_fd);
	hold.gpus = UINT64_MAX;
	send_hold(&hold);
	serve(PEER_API);
	ck_assert_uint_eq(service.grants.list[0].mask, 3);
	send_hold(&hold);
	ck_assert_int_eq(service_receive(&service, PEER_API, &err), -EPROTO);
	connect_peer(PEER_API, &api_fd);
	hold.grant = 0;
	send_hold(&hold);
	ck_assert_int_eq(service_receive(&service, PEER_API, &err), -EPROTO);
	connect_peer(PEER_API, &api_fd);
	hold.grant = 7;
	SEND(api_fd, .type = GPU_HOLD, BODY(hold), .tail = "a", .tail_size = 1);
	ck_assert_int_eq(service_receive(&service, PEER_API, &err), -EPROTO);
	/* A clock that was set back makes no id twice. */
	connect_peer(PEER_API, &api_fd);
	hold.grant = UINT64_MAX / 2;
	send_hold(&hold);
	serve(PEER_API);
	ATTACH(api_fd, 2, 1, 100 * MIB, "0", "", "a");
	serve(PEER_API);
	ck_assert_uint_gt(expect_attached(api_fd, 2, env, sizeof(env)).grant, hold.grant);
}
END_TEST

START_TEST(refusals)
{
	char env[1024];

	ATTACH(api_fd, 1, 1, 0, "7", "", "a");
	serve(PEER_API);
	expect_refusal(api_fd, 1, -ENODEV, "no such GPU");
	ATTACH(api_fd, 2, 1, 0, "", "comput", "a");
	serve(PEER_API);
	expect_refusal(api_fd, 2, -EINVAL, "did you mean compute");
	ATTACH(api_fd, 3, 0, 0, "", "", "a");
	serve(PEER_API);
	expect_refusal(api_fd, 3, -EINVAL, "0 GPUs");
	ATTACH(api_fd, 4, 1, 0, "", "", "a", "driver>=1000");
	serve(PEER_API);
	expect_refusal(api_fd, 4, -EOPNOTSUPP, "does not satisfy 'driver>=1000'");
	ATTACH(api_fd, 5, 1, 0, "", "", "a", "driver>=999", "nonsense");
	serve(PEER_API);
	expect_refusal(api_fd, 5, -EINVAL, "nonsense");
	ATTACH(api_fd, 6, 1, 0, "void", "", "a");
	serve(PEER_API);
	ck_assert_uint_eq(expect_attached(api_fd, 6, env, sizeof(env)).kind, GPU_KIND_NONE);
	fake_root_delete(&root, "/dev/nvidia-uvm");
	ATTACH(api_fd, 7, 1, 0, "", "", "a");
	serve(PEER_API);
	expect_refusal(api_fd, 7, -ENOENT, "nvidia-modprobe");
	ck_assert_uint_eq(service.grants.count, 0);
	expect_silence(sandbox_fd);
}
END_TEST

START_TEST(sandbox_refuses)
{
	struct msg_failed failed = {.code = -EPERM, .phase = "profile", .text = "no such driver"};
	char env[1024];

	ATTACH(api_fd, 1, 1, 0, "", "", "a");
	serve(PEER_API);
	expect_message(sandbox_fd, SBX_PROFILE_PUT, 1);
	ipc_message_done(&message);
	SEND(sandbox_fd, .type = MSG_FAILED, .id = 1, BODY(failed));
	serve(PEER_SANDBOX);
	expect_refusal(api_fd, 1, -EPERM, "no such driver");
	ck_assert_uint_eq(service.grants.count, 0);
	/* The next one tries again. */
	ATTACH(api_fd, 2, 1, 0, "0", "", "a");
	serve(PEER_API);
	take_profile(sandbox_fd);
	serve(PEER_SANDBOX);
	ck_assert_uint_eq(expect_attached(api_fd, 2, env, sizeof(env)).memory_bytes, 512 * MIB);
}
END_TEST

START_TEST(peers_come_back)
{
	char env[1024];

	ATTACH(api_fd, 1, 1, 0, "0", "", "a");
	serve(PEER_API);
	take_profile(sandbox_fd);
	serve(PEER_SANDBOX);
	(void)expect_attached(api_fd, 1, env, sizeof(env));
	/* A new sandbox gets all profiles; an attach waits until it has them. */
	service_lost(&service, PEER_SANDBOX);
	ATTACH(api_fd, 2, 1, 0, "0", "", "a");
	serve(PEER_API);
	expect_silence(api_fd);
	connect_peer(PEER_SANDBOX, &sandbox_fd);
	take_profile(sandbox_fd);
	serve(PEER_SANDBOX);
	(void)expect_attached(api_fd, 2, env, sizeof(env));
	ck_assert_uint_eq(service.grants.count, 2);
	/* A new api starts with nothing. */
	connect_peer(PEER_API, &api_fd);
	ck_assert_uint_eq(service.grants.count, 0);
	ATTACH(api_fd, 3, 1, GIB, "0", "", "a");
	serve(PEER_API);
	(void)expect_attached(api_fd, 3, env, sizeof(env));
}
END_TEST

/* The api does not read while the sandbox's answer lets an attach go on: the owner is told whose channel is broken. */
START_TEST(answers_that_nobody_takes)
{
	struct err err = ERR_INIT;
	int filled = 0;

	ATTACH(api_fd, 1, 1, 0, "0", "", "a");
	serve(PEER_API);
	while (ipc_send(service.api_fd, &(struct ipc_out){.type = MSG_FAILED}, &err) == 0)
		filled++;
	ck_assert_int_gt(filled, 0);
	take_profile(sandbox_fd);
	serve(PEER_SANDBOX);
	ck_assert_int_eq(service.api_failure.code, -EAGAIN);
	service_lost(&service, PEER_API);
	ck_assert_int_eq(service.api_failure.code, 0);
	ck_assert_uint_eq(service.grants.count, 0);
}
END_TEST

START_TEST(violations)
{
	struct gpu_attach body = {.n_requires = 60000};
	struct err err = ERR_INIT;

	SEND(api_fd, .type = SBX_CREATE, .id = 1);
	ck_assert_int_eq(service_receive(&service, PEER_API, &err), -EPROTO);
	connect_peer(PEER_API, &api_fd);
	SEND(api_fd, .type = GPU_ATTACH, .id = 1, BODY(body));
	ck_assert_int_eq(service_receive(&service, PEER_API, &err), -EPROTO);
	connect_peer(PEER_API, &api_fd);
	body.n_requires = 0;
	SEND(api_fd, .type = GPU_ATTACH, .id = 1, BODY(body), .tail = "a\0b", .tail_size = 4);
	ck_assert_int_eq(service_receive(&service, PEER_API, &err), -EPROTO);
	SEND(sandbox_fd, .type = SBX_PROFILE_DONE, .id = 55);
	ck_assert_int_eq(service_receive(&service, PEER_SANDBOX, &err), -EPROTO);
	/* An answer that was given. */
	connect_peer(PEER_API, &api_fd);
	connect_peer(PEER_SANDBOX, &sandbox_fd);
	(void)attach_one();
	SEND(sandbox_fd, .type = SBX_PROFILE_DONE, .id = 1);
	ck_assert_int_eq(service_receive(&service, PEER_SANDBOX, &err), -EPROTO);
	fd_close(&api_fd);
	ck_assert_int_eq(service_receive(&service, PEER_API, &err), 0);
}
END_TEST

/* Reads a document that must be sealed. */
static json_t *take_document(int fd, uint64_t id)
{
	const struct gpu_document *body = (void *)message.payload;
	_cleanup_fd_ int file = -1;
	char text[65536] = "";
	json_t *document;

	expect_message(fd, GPU_DOCUMENT, id);
	file = ipc_message_take_fd(&message, 0);
	ck_assert_int_ge(file, 0);
	ck_assert_int_eq(fcntl(file, F_GET_SEALS), F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE);
	ck_assert_int_eq(pread(file, text, sizeof(text) - 1, 0), (ssize_t)body->size);
	document = json_loads(text, 0, NULL);
	ck_assert_msg(document != NULL, "%s", text);
	return document;
}

START_TEST(document)
{
	json_t *list, *gpu;
	char env[1024];

	ATTACH(api_fd, 1, 1, 100 * MIB, "1", "", "demo \"x\"\n/p");
	serve(PEER_API);
	take_profile(sandbox_fd);
	serve(PEER_SANDBOX);
	(void)expect_attached(api_fd, 1, env, sizeof(env));
	SEND(api_fd, .type = GPU_LIST, .id = 2);
	serve(PEER_API);
	list = take_document(api_fd, 2);
	ck_assert_str_eq(json_string_value(json_object_get(list, "kind")), "nvidia");
	ck_assert_str_eq(json_string_value(json_object_get(list, "driver")), "NVIDIA " FAKE_VERSION);
	gpu = json_array_get(json_object_get(list, "gpus"), 1);
	ck_assert_str_eq(json_string_value(json_object_get(gpu, "uuid")), "GPU-2222");
	ck_assert_int_eq(json_integer_value(json_object_get(gpu, "memory_total")), (json_int_t)GIB);
	ck_assert_int_eq(json_integer_value(json_object_get(gpu, "memory_free")), (json_int_t)(924 * MIB));
	gpu = json_array_get(json_object_get(gpu, "holders"), 0);
	ck_assert_str_eq(json_string_value(json_object_get(gpu, "label")), "demo \"x\"\n/p");
	ck_assert_int_eq(json_integer_value(json_object_get(gpu, "memory")), (json_int_t)(100 * MIB));
	json_decref(list);
}
END_TEST

/* The row of a list whose MEMBER is VALUE; it must be there, with a reason. */
static json_t *find_row(const json_t *told, const char *list, const char *member, const char *value)
{
	json_t *row;
	size_t i;

	json_array_foreach(json_object_get(told, list), i, row)
	{
		if (strcmp(json_string_value(json_object_get(row, member)), value) != 0)
			continue;
		ck_assert_str_ne(json_string_value(json_object_get(row, "why")), "");
		return row;
	}
	ck_abort_msg("%s: no %s is %s", list, member, value);
	return NULL;
}

#define CDI_FILE \
	"{\"cdiVersion\": \"0.5.0\", \"kind\": \"v.com/c\", \"devices\": [{\"name\": \"d\", \"containerEdits\": " \
	"{\"env\": " \
	"[\"A=1\"], \"deviceNodes\": [{\"path\": \"/dev/nvidia5\"}]}}, {\"name\": \"e\", \"containerEdits\": " \
	"{\"hooks\": " \
	"[{\"hookName\": \"poststop\", \"path\": \"/bin/sh\"}]}}]}"

/* A device of a CDI file holds memory of the GPU that it is, and brings nothing but what the file says. */
START_TEST(cdi_devices)
{
	struct gpu_attached attached;
	char env[1024];
	json_t *told;

	fake_root_file(&root, "/etc/cdi/v.json", CDI_FILE);
	ck_assert_int_eq(cdi_load(service.backend.host_fd, "/etc/cdi", NULL, &service.backend.cdi, NULL), 0);
	ATTACH(api_fd, 1, 1, 700 * MIB, "v.com/c=d", "", "a");
	serve(PEER_API);
	take_profile(sandbox_fd);
	serve(PEER_SANDBOX);
	attached = expect_attached(api_fd, 1, env, sizeof(env));
	ck_assert_str_eq(env, "A=1\nCUDA_VISIBLE_DEVICES=GPU-2222\n");
	ck_assert_uint_eq(attached.gpus, 2);
	ck_assert_uint_eq(attached.memory_bytes, 700 * MIB);
	ipc_message_done(&message);
	ATTACH(api_fd, 2, 1, 700 * MIB, "v.com/c=d", "", "a");
	serve(PEER_API);
	expect_refusal(api_fd, 2, -EAGAIN, "324 MiB free");
	ATTACH(api_fd, 3, 1, MIB, "v.com/c=e", "", "a");
	serve(PEER_API);
	expect_refusal(api_fd, 3, -EOPNOTSUPP, "/bin/sh on the host");
	ATTACH(api_fd, 4, 1, MIB, "v.com/c=f", "", "a");
	serve(PEER_API);
	expect_refusal(api_fd, 4, -ENODEV, "v.com/c=f");
	ck_assert_uint_eq(service.grants.count, 1);
	EXPLAIN(5, 1, MIB, "v.com/c=d", "", "");
	serve(PEER_API);
	told = take_document(api_fd, 5);
	(void)find_row(told, "devices", "path", "/dev/nvidia5");
	(void)find_row(told, "environment", "variable", "A=1");
	ck_assert_uint_eq(json_array_size(json_object_get(told, "environment")), 2);
	json_decref(told);
}
END_TEST

/* A wish that is written in a way of its own, so that it has a list of mounts of its own. */
static struct gpu_attached attach_variant(unsigned number)
{
	struct gpu_attached attached;
	char wish[256], env[1024];

	(void)snprintf(wish, sizeof(wish), "%*sv.com/c=d", (int)number, "");
	ATTACH(api_fd, number, 1, 1, wish, "", "a");
	serve(PEER_API);
	take_profile(sandbox_fd);
	serve(PEER_SANDBOX);
	attached = expect_attached(api_fd, number, env, sizeof(env));
	ipc_message_done(&message);
	return attached;
}

/* Images choose what they ask for: they cannot use up the places of lists for good. */
START_TEST(lists_are_given_up)
{
	struct gpu_release release[SBX_PROFILES_MAX + 1];

	fake_root_file(&root, "/etc/cdi/v.json", CDI_FILE);
	ck_assert_int_eq(cdi_load(service.backend.host_fd, "/etc/cdi", NULL, &service.backend.cdi, NULL), 0);
	for (unsigned i = 1; i <= SBX_PROFILES_MAX; i++)
		release[i] = (struct gpu_release){attach_variant(i).grant};
	ATTACH(api_fd, 100, 1, 1, "        v.com/c=d   ", "", "a");
	serve(PEER_API);
	expect_refusal(api_fd, 100, -ENOSPC, "more than 64 combinations");
	SEND(api_fd, .type = GPU_RELEASE, BODY(release[7]));
	ck_assert_uint_eq(attach_variant(101).profile, 7);
	SEND(api_fd, .type = GPU_RELEASE, BODY(release[9]));
	ck_assert_uint_eq(attach_variant(102).profile, 9);
	/* One that was given up is made anew. */
	SEND(api_fd, .type = GPU_RELEASE, BODY(release[1]));
	ck_assert_uint_eq(attach_variant(7).profile, 1);
}
END_TEST

START_TEST(explained)
{
	json_t *told, *row;

	EXPLAIN(1, 1, 100 * MIB, "1", "compute", "app /route", "driver>=5");
	serve(PEER_API);
	told = take_document(api_fd, 1);
	ck_assert(json_is_true(json_object_get(told, "injected")));
	ck_assert(json_is_null(json_object_get(told, "waits_for")));
	row = find_row(told, "mounts", "destination", "/usr/local/nvidia/lib64/libcuda.so." FAKE_VERSION);
	ck_assert_ptr_nonnull(strstr(json_string_value(json_object_get(row, "source")), root.path));
	row = find_row(told, "devices", "path", "/dev/nvidia5");
	ck_assert_int_eq(json_integer_value(json_object_get(row, "minor")), 5);
	row = find_row(told, "files", "path", "/proc/driver/nvidia/params");
	ck_assert_str_eq(json_string_value(json_object_get(row, "content")),
			 "ModifyDeviceFiles: 0\nDeviceFileUID: 0\n");
	(void)find_row(told, "links", "path", "/usr/local/nvidia/lib64/libcuda.so.1");
	(void)find_row(told, "environment", "variable", "CUDA_VISIBLE_DEVICES=GPU-2222");
	json_decref(told);
	/* Nothing was granted, and no list was sent. */
	ck_assert_uint_eq(service.grants.count, 0);
	ck_assert_uint_eq(service.n_profiles, 0);
	expect_silence(sandbox_fd);
}
END_TEST

START_TEST(explained_when_it_cannot_be)
{
	json_t *told;
	char env[1024];

	EXPLAIN(1, 3, MIB, "", "", "");
	serve(PEER_API);
	expect_refusal(api_fd, 1, -ENODEV, "3 GPUs are asked for");
	EXPLAIN(2, 1, 2 * GIB, "", "", "");
	serve(PEER_API);
	expect_refusal(api_fd, 2, -ENOSPC, "2048 MiB are asked for");
	EXPLAIN(3, 1, MIB, "0", "comput", "");
	serve(PEER_API);
	expect_refusal(api_fd, 3, -EINVAL, "did you mean compute");
	EXPLAIN(4, 1, MIB, "0", "", "", "driver>=1000");
	serve(PEER_API);
	expect_refusal(api_fd, 4, -EOPNOTSUPP, "does not satisfy");
	EXPLAIN(5, 1, MIB, "void", "", "");
	serve(PEER_API);
	told = take_document(api_fd, 5);
	ck_assert(json_is_false(json_object_get(told, "injected")));
	json_decref(told);
	/* What others hold is only a matter of time. */
	ATTACH(api_fd, 6, 1, 700 * MIB, "0", "", "a");
	serve(PEER_API);
	take_profile(sandbox_fd);
	serve(PEER_SANDBOX);
	(void)expect_attached(api_fd, 6, env, sizeof(env));
	ipc_message_done(&message);
	EXPLAIN(7, 1, 700 * MIB, "0", "", "");
	serve(PEER_API);
	told = take_document(api_fd, 7);
	ck_assert(json_is_true(json_object_get(told, "injected")));
	ck_assert_ptr_nonnull(strstr(json_string_value(json_object_get(told, "waits_for")), "324 MiB free"));
	json_decref(told);
}
END_TEST

/* --- the program -------------------------------------------------------------------------------------------------- */

static pid_t child;
static int control_fd = -1;

static void spawn(const char *program)
{
	int fds[2];

	ck_assert_int_eq(ipc_pair(fds, NULL), 0);
	child = fork();
	ck_assert_int_ge(child, 0);
	if (child == 0) {
		if (fds[1] == SERVER_CONTROL_FD)
			(void)fcntl(fds[1], F_SETFD, 0);
		else
			(void)dup2(fds[1], SERVER_CONTROL_FD);
		(void)execl(program, program, (char *)NULL);
		_exit(127);
	}
	(void)close(fds[1]);
	control_fd = fds[0];
}

static void send_channel(enum peer peer, int *ret_fd)
{
	struct ctl_channel body = {.peer = peer};
	int fds[2];

	ck_assert_int_eq(ipc_pair(fds, NULL), 0);
	SEND(control_fd, .type = CTL_CHANNEL, BODY(body), .fds = &fds[1], .n_fds = 1);
	(void)close(fds[1]);
	fd_close(ret_fd);
	*ret_fd = fds[0];
}

/* Starts ferrite-gpu of this build with the given mode; it finds the software device beside itself. */
static void program_start(const char *mode)
{
	char program[PATH_MAX + 32], entry[32], tail[128];
	struct ctl_config config = {.n_entries = 2};
	ssize_t length = readlink("/proc/self/exe", program, PATH_MAX - 1);
	size_t used = 0;

	ck_assert_int_gt(length, 0);
	program[length] = '\0';
	for (unsigned i = 0; i < 3; i++)
		*strrchr(program, '/') = '\0';
	(void)strcat(program, "/libexec/ferrite-gpu");
	spawn(program);
	expect_message(control_fd, CTL_HELLO, 0);
	(void)snprintf(entry, sizeof(entry), "gpu=%s", mode);
	ck_assert(str_pack(tail, sizeof(tail), &used, entry));
	ck_assert(str_pack(tail, sizeof(tail), &used, "gpu_memory_default=256"));
	SEND(control_fd, .type = CTL_CONFIG, BODY(config), .tail = tail, .tail_size = used);
	send_channel(PEER_API, &api_fd);
	send_channel(PEER_SANDBOX, &sandbox_fd);
	SEND(control_fd, .type = CTL_START);
	expect_message(control_fd, CTL_READY, 0);
}

static int program_end(void)
{
	int status = -1;

	fd_close(&control_fd);
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	fd_close(&api_fd);
	fd_close(&sandbox_fd);
	ck_assert(WIFEXITED(status));
	return WEXITSTATUS(status);
}

START_TEST(program_serves_software_device)
{
	struct gpu_attached attached;
	json_t *list, *gpu;
	char env[1024];

	program_start("software");
	SEND(control_fd, .type = CTL_PING, .id = 9);
	expect_message(control_fd, CTL_PONG, 9);
	ATTACH(api_fd, 1, 1, 0, "", "", "a", "cuda>=12.0 brand=tesla,driver>=450,driver<451");
	take_profile(sandbox_fd);
	attached = expect_attached(api_fd, 1, env, sizeof(env));
	ck_assert_uint_eq(attached.kind, GPU_KIND_SOFTWARE);
	ck_assert_uint_eq(attached.memory_bytes, 256 * MIB);
	ck_assert_uint_eq(attached.host_memory_bytes, 256 * MIB);
	ck_assert_ptr_nonnull(strstr(env, "FERRITE_SOFTWARE_DEVICE_MEMORY=268435456\n"));
	SEND(api_fd, .type = GPU_LIST, .id = 2);
	list = take_document(api_fd, 2);
	ck_assert_str_eq(json_string_value(json_object_get(list, "kind")), "software");
	ck_assert_ptr_nonnull(strstr(json_string_value(json_object_get(list, "driver")), "ferrite software device"));
	gpu = json_array_get(json_object_get(list, "gpus"), 0);
	ck_assert_str_eq(json_string_value(json_object_get(gpu, "name")), "Software CUDA Device");
	ck_assert_str_eq(json_string_value(json_object_get(gpu, "compute_capability")), "7.5");
	json_decref(list);
	/* A dead api takes its grants with it. */
	send_channel(PEER_API, &api_fd);
	ATTACH(api_fd, 3, 1, 0, "none", "", "a");
	attached = expect_attached(api_fd, 3, env, sizeof(env));
	ck_assert_uint_eq(attached.profile, 1);
	ck_assert_int_eq(program_end(), 0);
}
END_TEST

static void expect_accusation(enum peer peer)
{
	const struct ctl_accuse *body = (const void *)message.payload;

	expect_message(control_fd, CTL_ACCUSE, 0);
	ck_assert_uint_eq(body->peer, peer);
}

static void expect_closed(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	int r;

	do {
		ck_assert_int_eq(poll(&p, 1, WAIT_MS), 1);
		r = ipc_receive(fd, &message, NULL);
		if (r > 0)
			ipc_message_done(&message);
	} while (r > 0);
	ck_assert_int_eq(r, 0);
}

/* The program names who broke the protocol, closes that channel only, and serves on with the next. */
START_TEST(program_accuses)
{
	struct gpu_attached attached;
	char env[1024];

	program_start("software");
	ATTACH(api_fd, 1, 1, 0, "", "", "a");
	take_profile(sandbox_fd);
	(void)expect_attached(api_fd, 1, env, sizeof(env));
	SEND(api_fd, .type = SBX_CREATE, .id = 1);
	expect_accusation(PEER_API);
	expect_closed(api_fd);
	send_channel(PEER_API, &api_fd);
	SEND(sandbox_fd, .type = SBX_PROFILE_DONE, .id = 55);
	expect_accusation(PEER_SANDBOX);
	expect_closed(sandbox_fd);
	send_channel(PEER_SANDBOX, &sandbox_fd);
	take_profile(sandbox_fd);
	ATTACH(api_fd, 2, 1, 0, "", "", "a");
	attached = expect_attached(api_fd, 2, env, sizeof(env));
	ck_assert_uint_eq(attached.kind, GPU_KIND_SOFTWARE);
	/* A peer that only goes is not accused. */
	send_channel(PEER_API, &api_fd);
	SEND(control_fd, .type = CTL_PING, .id = 9);
	expect_message(control_fd, CTL_PONG, 9);
	ck_assert_int_eq(program_end(), 0);
}
END_TEST

START_TEST(program_without_gpu)
{
	json_t *list;

	program_start("none");
	ATTACH(api_fd, 1, 1, 0, "", "", "a");
	expect_refusal(api_fd, 1, -ENODEV, "");
	SEND(api_fd, .type = GPU_LIST, .id = 2);
	list = take_document(api_fd, 2);
	ck_assert_str_eq(json_string_value(json_object_get(list, "kind")), "none");
	ck_assert_uint_eq(json_array_size(json_object_get(list, "gpus")), 0);
	json_decref(list);
	ck_assert_int_eq(program_end(), 0);
}
END_TEST

START_TEST(program_drains)
{
	struct gpu_release release;
	char env[1024];
	int status = -1;

	program_start("software");
	ATTACH(api_fd, 1, 1, 0, "", "", "a");
	take_profile(sandbox_fd);
	release.grant = expect_attached(api_fd, 1, env, sizeof(env)).grant;
	SEND(control_fd, .type = CTL_DRAIN, .deadline_us = clock_monotonic_us() + 60000000);
	SEND(control_fd, .type = CTL_PING, .id = 5);
	expect_message(control_fd, CTL_PONG, 5); /* the order to drain was read */
	ATTACH(api_fd, 2, 1, 0, "", "", "a");
	expect_refusal(api_fd, 2, -ESHUTDOWN, "shutting down");
	SEND(api_fd, .type = GPU_RELEASE, BODY(release));
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	fd_close(&control_fd);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("gpu_service");
	TCase *inside = tcase_create("in this process"), *program = tcase_create("program");

	tcase_add_checked_fixture(inside, setup, teardown);
	tcase_add_test(inside, attach_waits_for_profile);
	tcase_add_test(inside, admission);
	tcase_add_test(inside, grants_of_a_predecessor_are_nobodys);
	tcase_add_test(inside, what_is_held_is_known_after_a_restart);
	tcase_add_test(inside, refusals);
	tcase_add_test(inside, sandbox_refuses);
	tcase_add_test(inside, peers_come_back);
	tcase_add_test(inside, answers_that_nobody_takes);
	tcase_add_test(inside, violations);
	tcase_add_test(inside, document);
	tcase_add_test(inside, cdi_devices);
	tcase_add_test(inside, lists_are_given_up);
	tcase_add_test(inside, explained);
	tcase_add_test(inside, explained_when_it_cannot_be);
	suite_add_tcase(suite, inside);
	tcase_set_timeout(program, 60);
	tcase_add_test(program, program_serves_software_device);
	tcase_add_test(program, program_accuses);
	tcase_add_test(program, program_without_gpu);
	tcase_add_test(program, program_drains);
	suite_add_tcase(suite, program);
	return suite;
}

#include "tests/unit/main.h"
