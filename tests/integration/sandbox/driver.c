/*
 * Drives a private ferrite-sandbox for tests/integration/test_sandbox.py: one JSON object per line in, one out.
 *
 *   driver PROGRAM KEY=VALUE...
 *
 *   {"op": "create", "layers": [DIR...], "args": [...], ...}   -> {"instance": N, "pid": N, ...} or {"failed": {...}}
 *   {"op": "wait", "instance": N}      -> how it ended, and what it wrote
 *   {"op": "run", ...}                 create and wait
 *   {"op": "burst", "count": N, ...}   N creations at once, until all have ended -> how many of what
 *   {"op": "kill"|"stat", "instance": N, ...}
 *   {"op": "freeze"|"thaw", "instance": N}                as a user without any right
 *   {"op": "profile", "profile": N, "items": [{"kind": K, "to": PATH, "from": PATH, "text": T}...]}
 *   {"op": "raw", "peer": "api"|"gpu", "type": N, "hex": BYTES, "fds": N}   any message, also a malformed one
 *   {"op": "channel", "peer": ...}     a fresh channel in place of the present one
 */
#include "supervisor/str.h"
#include "supervisor/util.h"
#include "tests/integration/sandbox/harness.h"

#include <fcntl.h>
#include <jansson.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define INSTANCES_MAX 1024
#define OUTPUT_KEPT   (256 * 1024)
#define REPLY_MS      30000
#define LIST_MAX      1024
#define NOBODY	      65534

struct output {
	int fd;
	size_t total, kept;
	char *bytes;
};

struct run {
	uint64_t instance;
	int stdin_fd, pid_fd, freeze_fd;
	struct output out, err;
	bool exited;
	struct sbx_exited exit;
};

static struct harness harness;
static struct run *runs[INSTANCES_MAX];

static struct run *find_run(uint64_t instance)
{
	for (unsigned i = 0; i < INSTANCES_MAX; i++)
		if (runs[i] && runs[i]->instance == instance)
			return runs[i];
	return NULL;
}

static void forget_run(struct run *run)
{
	for (unsigned i = 0; i < INSTANCES_MAX; i++)
		if (runs[i] == run)
			runs[i] = NULL;
	fd_close(&run->stdin_fd);
	fd_close(&run->pid_fd);
	fd_close(&run->freeze_fd);
	fd_close(&run->out.fd);
	fd_close(&run->err.fd);
	free(run->out.bytes);
	free(run->err.bytes);
	free(run);
}

static void drain_output(struct output *o)
{
	static char buffer[65536];

	while (o->fd >= 0) {
		ssize_t n = read(o->fd, buffer, sizeof(buffer));
		size_t keep;

		if (n < 0 && errno == EAGAIN)
			return;
		if (n <= 0) {
			fd_close(&o->fd);
			return;
		}
		o->total += (size_t)n;
		keep = MIN((size_t)n, OUTPUT_KEPT - o->kept);
		o->bytes = o->bytes ? o->bytes : malloc(OUTPUT_KEPT);
		memcpy(o->bytes + o->kept, buffer, keep);
		o->kept += keep;
	}
}

static json_t *failure_json(const struct msg_failed *f)
{
	return json_pack("{s:{s:i,s:s,s:s}}", "failed", "code", f->code, "phase", f->phase, "text", f->text);
}

static void take_created(struct ipc_message *m)
{
	const struct sbx_created *body = (const void *)m->payload;
	struct run *run = calloc(1, sizeof(*run));

	run->instance = body->instance;
	run->stdin_fd = ipc_message_take_fd(m, 0);
	run->out.fd = ipc_message_take_fd(m, 1);
	run->err.fd = ipc_message_take_fd(m, 2);
	run->pid_fd = ipc_message_take_fd(m, 3);
	run->freeze_fd = ipc_message_take_fd(m, 4);
	(void)fcntl(run->out.fd, F_SETFL, O_NONBLOCK);
	(void)fcntl(run->err.fd, F_SETFL, O_NONBLOCK);
	for (unsigned i = 0; i < INSTANCES_MAX; i++)
		if (!runs[i]) {
			runs[i] = run;
			return;
		}
	abort();
}

/* Takes one message from the api channel; the reply to ID is returned, events are kept. */
static json_t *take_message(uint64_t id)
{
	struct err err = ERR_INIT;
	int r = harness_receive(&harness, harness.api_fd, REPLY_MS, &err);
	struct ipc_message *m = harness.message;
	json_t *reply = NULL;

	if (r <= 0)
		return json_pack("{s:s}", "lost", r == 0 ? "channel closed" : err.text);
	switch (m->header.type) {
	case SBX_CREATED: {
		const struct sbx_created *b = (const void *)m->payload;

		take_created(m);
		reply = json_pack("{s:I,s:i,s:I,s:I,s:s}", "instance", (json_int_t)b->instance, "pid", (int)b->pid,
				  "uid_base", (json_int_t)b->uid_base, "birth_us",
				  (json_int_t)(b->executed_us - b->born_us), "start",
				  b->start == SBX_START_WARM ? "warm" : "cold");
		break;
	}
	case SBX_EXITED: {
		const struct sbx_exited *b = (const void *)m->payload;
		struct run *run = find_run(b->instance);

		if (!run || run->exited)
			reply = json_pack("{s:s}", "lost", "an end that was not due");
		else
			run->exit = *b, run->exited = true;
		break;
	}
	case SBX_STATED: {
		const struct sbx_stated *b = (const void *)m->payload;

		reply = json_pack("{s:I,s:I,s:i,s:b,s:s}", "memory", (json_int_t)b->memory_bytes, "cpu_us",
				  (json_int_t)b->cpu_us, "tasks", (int)b->tasks, "frozen", (int)b->frozen, "cgroup",
				  b->cgroup);
		break;
	}
	default:
		reply = failure_json((const void *)m->payload);
	}
	if (reply && m->header.type != SBX_EXITED && m->header.id != id)
		reply = json_pack("{s:s}", "lost", "a reply to another request");
	ipc_message_done(m);
	return reply;
}

static unsigned string_list(json_t *array, const char **list)
{
	unsigned n = 0;

	for (; n < json_array_size(array) && n < LIST_MAX; n++)
		list[n] = json_string_value(json_array_get(array, n));
	list[n] = NULL;
	return n;
}

static uint64_t number(json_t *o, const char *key)
{
	return (uint64_t)json_integer_value(json_object_get(o, key));
}

/* Until the new instance's program has written something. */
static void await_output(json_t *created)
{
	struct run *run = find_run(number(created, "instance"));
	struct pollfd p = {.fd = run ? run->out.fd : -1, .events = POLLIN};

	(void)poll(&p, 1, REPLY_MS);
}

/* Sends a creation without waiting for the reply. */
static int send_create(json_t *o, uint64_t *ret_id, struct err *err)
{
	const char *arguments[LIST_MAX + 1], *variables[LIST_MAX + 1], *layers[LIST_MAX + 1];
	int fds[LIST_MAX];
	struct sbx_create body = {
		.network = (uint32_t)number(o, "network"),
		.uid = (uint32_t)number(o, "uid"),
		.gid = (uint32_t)number(o, "gid"),
		.pids_max = (uint32_t)number(o, "pids"),
		.cpu_percent = (uint32_t)number(o, "cpu"),
		.memory_bytes = number(o, "memory"),
		.disk_bytes = number(o, "disk"),
		.timeout_us = number(o, "timeout_us"),
		.profile = (uint32_t)number(o, "profile"),
		.stop_signal = (uint32_t)number(o, "stop_signal"),
	};
	struct harness_texts texts = {.cwd = json_string_value(json_object_get(o, "cwd")),
				      .hostname = json_string_value(json_object_get(o, "hostname")),
				      .label = "test",
				      .arguments = arguments,
				      .variables = variables};
	unsigned n = string_list(json_object_get(o, "layers"), layers);
	int r;

	(void)string_list(json_object_get(o, "args"), arguments);
	(void)string_list(json_object_get(o, "env"), variables);
	for (unsigned i = 0; i < n; i++)
		fds[i] = open(layers[i], O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	r = harness_create(&harness, &body, &texts, fds, n, ret_id, err);
	for (unsigned i = 0; i < n; i++)
		fd_close(&fds[i]);
	return r;
}

static json_t *op_create(json_t *o)
{
	struct err err = ERR_INIT;
	json_t *reply = NULL;
	uint64_t id;

	if (send_create(o, &id, &err) < 0)
		return json_pack("{s:s}", "lost", err.text);
	while (!reply)
		reply = take_message(id);
	if (json_is_true(json_object_get(o, "await_output")))
		await_output(reply);
	return reply;
}

static void feed_stdin(struct run *run, json_t *o)
{
	const char *text = json_string_value(json_object_get(o, "stdin"));

	if (json_is_true(json_object_get(o, "hold_stdin")))
		return;
	if (text)
		(void)fd_write_all(run->stdin_fd, text, strlen(text));
	fd_close(&run->stdin_fd);
}

static json_t *text_json(const struct output *o)
{
	/* Output may be any bytes; the tests look at ASCII. */
	for (size_t i = 0; i < o->kept; i++)
		if ((unsigned char)o->bytes[i] >= 0x80 || o->bytes[i] == 0)
			o->bytes[i] = '?';
	return json_stringn(o->bytes ? o->bytes : "", o->kept);
}

static json_t *op_wait(json_t *o, uint64_t instance)
{
	static const char *const ends[] = {"exit", "signal", "oom", "timeout", "killed", "lost"};
	struct run *run = find_run(instance);
	json_t *reply;

	if (!run)
		return json_pack("{s:s}", "lost", "no such instance");
	feed_stdin(run, o);
	while (!run->exited || run->out.fd >= 0 || run->err.fd >= 0) {
		struct pollfd p[3] = {{.fd = harness.api_fd, .events = POLLIN},
				      {.fd = run->out.fd, .events = POLLIN},
				      {.fd = run->err.fd, .events = POLLIN}};

		if (poll(p, 3, REPLY_MS * 2) == 0)
			return json_pack("{s:s}", "lost", "the instance does not end");
		drain_output(&run->out);
		drain_output(&run->err);
		reply = p[0].revents ? take_message(0) : NULL;
		if (reply)
			return reply;
	}
	reply = json_pack("{s:s,s:i,s:i,s:I,s:I,s:I,s:o,s:o,s:I,s:I}", "end", ends[run->exit.end], "exit_code",
			  run->exit.exit_code, "signal", run->exit.signal, "cpu_us", (json_int_t)run->exit.cpu_us,
			  "memory_peak", (json_int_t)run->exit.memory_peak_bytes, "run_us",
			  (json_int_t)run->exit.run_us, "stdout", text_json(&run->out), "stderr", text_json(&run->err),
			  "stdout_total", (json_int_t)run->out.total, "stderr_total", (json_int_t)run->err.total);
	forget_run(run);
	return reply;
}

static json_t *op_run(json_t *o)
{
	json_t *reply = op_create(o), *done;
	json_t *instance = json_object_get(reply, "instance");

	if (!instance)
		return reply;
	done = op_wait(o, (uint64_t)json_integer_value(instance));
	(void)json_object_update_missing(done, reply);
	json_decref(reply);
	return done;
}

static json_t *op_burst(json_t *o)
{
	unsigned count = (unsigned)number(o, "count"), warm = 0, created = 0, failed = 0, good = 0, ended = 0;
	char why[ERR_TEXT_MAX] = "";
	struct err err = ERR_INIT;
	uint64_t id;

	for (unsigned i = 0; i < count; i++)
		if (send_create(o, &id, &err) < 0)
			return json_pack("{s:s}", "lost", err.text);
	while (created + failed < count || ended < created) {
		struct ipc_message *m = harness.message;

		if (harness_receive(&harness, harness.api_fd, REPLY_MS, &err) <= 0)
			return json_pack("{s:s}", "lost", err.text);
		if (m->header.type == SBX_CREATED) {
			created++;
			warm += ((const struct sbx_created *)(const void *)m->payload)->start == SBX_START_WARM;
		} else if (m->header.type == SBX_EXITED) {
			const struct sbx_exited *b = (const void *)m->payload;

			ended++;
			good += b->end == SBX_END_EXIT && b->exit_code == 0;
		} else {
			failed++;
			(void)str_copy(why, sizeof(why), ((const struct msg_failed *)(const void *)m->payload)->text);
		}
		ipc_message_done(m);
	}
	return json_pack("{s:i,s:i,s:i,s:i,s:s}", "created", (int)created, "failed", (int)failed, "warm", (int)warm,
			 "good", (int)good, "why", why);
}

static json_t *op_kill(json_t *o)
{
	struct sbx_kill body = {.instance = number(o, "instance"), .grace_us = number(o, "grace_us")};
	struct err err = ERR_INIT;

	(void)ipc_send_wait(harness.api_fd,
			    &(struct ipc_out){.type = SBX_KILL, .body = &body, .body_size = sizeof(body)}, 1000, &err);
	return json_pack("{s:s}", "sent", err.text);
}

static json_t *op_stat(json_t *o)
{
	struct sbx_stat body = {.instance = number(o, "instance")};
	uint64_t id = harness.next_id++;
	struct err err = ERR_INIT;
	json_t *reply = NULL;

	(void)ipc_send_wait(harness.api_fd,
			    &(struct ipc_out){.type = SBX_STAT, .id = id, .body = &body, .body_size = sizeof(body)},
			    1000, &err);
	while (!reply)
		reply = take_message(id);
	return reply;
}

static int write_as_nobody(int fd, const char *text)
{
	if (setresgid(NOBODY, NOBODY, NOBODY) < 0 || setresuid(NOBODY, NOBODY, NOBODY) < 0)
		return errno;
	return write(fd, text, 1) == 1 ? 0 : errno;
}

/* The api's right to freeze is the descriptor alone. */
static json_t *op_freeze(json_t *o, const char *text)
{
	struct run *run = find_run(number(o, "instance"));
	int status = -1;
	pid_t pid;

	if (!run)
		return json_pack("{s:s}", "lost", "no such instance");
	pid = fork();
	if (pid == 0)
		_exit(write_as_nobody(run->freeze_fd, text));
	while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return json_pack("{s:i}", "errno", WIFEXITED(status) ? WEXITSTATUS(status) : -1);
}

static json_t *gpu_reply(void)
{
	struct err err = ERR_INIT;
	int r = harness_receive(&harness, harness.gpu_fd, REPLY_MS, &err);

	if (r <= 0)
		return json_pack("{s:s}", "lost", r == 0 ? "channel closed" : err.text);
	if (harness.message->header.type == SBX_PROFILE_DONE)
		return json_pack("{s:b}", "done", 1);
	return failure_json((const void *)harness.message->payload);
}

static json_t *op_profile(json_t *o)
{
	static char tail[IPC_PAYLOAD_MAX];
	json_t *items = json_object_get(o, "items");
	struct sbx_profile body = {.profile = (uint32_t)number(o, "profile"),
				   .n_items = (uint32_t)json_array_size(items)};
	int fds[IPC_FDS_MAX];
	unsigned n_fds = 0;
	size_t used = 0, i;
	struct err err = ERR_INIT;
	json_t *item;
	int r;

	json_array_foreach(items, i, item)
	{
		const char *from = json_string_value(json_object_get(item, "from"));
		const char *text = json_string_value(json_object_get(item, "text"));
		struct sbx_item record = {.kind = (uint32_t)number(item, "kind")};
		size_t at = used;

		used += sizeof(record);
		(void)str_pack(tail, sizeof(tail), &used, json_string_value(json_object_get(item, "to")));
		if (text)
			(void)str_pack(tail, sizeof(tail), &used, text);
		record.length = (uint32_t)(used - at - sizeof(record));
		memcpy(tail + at, &record, sizeof(record));
		if (from)
			fds[n_fds++] = open(from, O_PATH | O_CLOEXEC);
	}
	r = ipc_send_wait(harness.gpu_fd,
			  &(struct ipc_out){.type = SBX_PROFILE_PUT,
					    .id = harness.next_id++,
					    .body = &body,
					    .body_size = sizeof(body),
					    .tail = tail,
					    .tail_size = used,
					    .fds = fds,
					    .n_fds = n_fds},
			  1000, &err);
	while (n_fds > 0)
		fd_close(&fds[--n_fds]);
	return r < 0 ? json_pack("{s:s}", "lost", err.text) : gpu_reply();
}

static int peer_fd(json_t *o, enum peer *ret_peer)
{
	const char *peer = json_string_value(json_object_get(o, "peer"));

	*ret_peer = peer && strcmp(peer, "gpu") == 0 ? PEER_GPU : PEER_API;
	return *ret_peer == PEER_GPU ? harness.gpu_fd : harness.api_fd;
}

static json_t *op_raw(json_t *o)
{
	static unsigned char bytes[IPC_PAYLOAD_MAX];
	const char *hex = json_string_value(json_object_get(o, "hex"));
	enum peer peer;
	int fd = peer_fd(o, &peer);
	int null_fds[8];
	unsigned n_fds = (unsigned)number(o, "fds");
	size_t n = 0;
	struct err err = ERR_INIT;

	for (; hex && hex[2 * n] && n < sizeof(bytes); n++) {
		unsigned value = 0;

		(void)sscanf(hex + 2 * n, "%2x", &value);
		bytes[n] = (unsigned char)value;
	}
	for (unsigned i = 0; i < n_fds && i < ARRAY_LEN(null_fds); i++)
		null_fds[i] = open("/dev/null", O_RDONLY | O_CLOEXEC);
	if (json_is_true(json_object_get(o, "no_header")))
		(void)send(fd, bytes, n, MSG_NOSIGNAL);
	else
		(void)ipc_send_wait(fd,
				    &(struct ipc_out){.type = (uint16_t)number(o, "type"),
						      .body = bytes,
						      .body_size = n,
						      .fds = null_fds,
						      .n_fds = n_fds},
				    1000, &err);
	for (unsigned i = 0; i < n_fds && i < ARRAY_LEN(null_fds); i++)
		fd_close(&null_fds[i]);
	return peer == PEER_GPU ? gpu_reply() : take_message(0);
}

static json_t *op_channel(json_t *o)
{
	enum peer peer;
	struct err err = ERR_INIT;
	int old_fd = -1;

	(void)peer_fd(o, &peer);
	if (harness_new_channel(&harness, peer, &old_fd, &err) < 0)
		return json_pack("{s:s}", "lost", err.text);
	fd_close(&old_fd);
	if (peer == PEER_API)
		for (unsigned i = 0; i < INSTANCES_MAX; i++)
			if (runs[i])
				forget_run(runs[i]);
	return json_pack("{s:b}", "done", 1);
}

static json_t *dispatch(json_t *o)
{
	const char *op = json_string_value(json_object_get(o, "op"));

	if (!op)
		return json_pack("{s:s}", "lost", "no op");
	if (strcmp(op, "create") == 0)
		return op_create(o);
	if (strcmp(op, "wait") == 0)
		return op_wait(o, number(o, "instance"));
	if (strcmp(op, "run") == 0)
		return op_run(o);
	if (strcmp(op, "burst") == 0)
		return op_burst(o);
	if (strcmp(op, "kill") == 0)
		return op_kill(o);
	if (strcmp(op, "stat") == 0)
		return op_stat(o);
	if (strcmp(op, "freeze") == 0)
		return op_freeze(o, "1");
	if (strcmp(op, "thaw") == 0)
		return op_freeze(o, "0");
	if (strcmp(op, "profile") == 0)
		return op_profile(o);
	if (strcmp(op, "raw") == 0)
		return op_raw(o);
	if (strcmp(op, "channel") == 0)
		return op_channel(o);
	return json_pack("{s:s}", "lost", "unknown op");
}

int main(int argc, char **argv)
{
	struct err err = ERR_INIT;
	char *line = NULL;
	size_t room = 0;

	if (argc < 2)
		return 2;
	if (harness_start(&harness, argv[1], (const char *const *)argv + 2, (unsigned)argc - 2, &err) < 0) {
		printf("{\"error\": \"%s\"}\n", err.text);
		return 1;
	}
	printf("{\"server\": %d}\n", harness.pid);
	(void)fflush(stdout);
	while (getline(&line, &room, stdin) > 0) {
		json_t *request = json_loads(line, 0, NULL);
		json_t *reply = dispatch(request);
		char *text = json_dumps(reply, JSON_COMPACT);

		(void)puts(text);
		(void)fflush(stdout);
		free(text);
		json_decref(reply);
		json_decref(request);
	}
	free(line);
	for (unsigned i = 0; i < INSTANCES_MAX; i++)
		if (runs[i])
			forget_run(runs[i]);
	return harness_stop(&harness) == 0 ? 0 : 1;
}
