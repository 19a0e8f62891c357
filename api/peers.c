#include "api/peers.h"

#include "supervisor/log.h"
#include "supervisor/server.h"
#include "supervisor/str.h"
#include "supervisor/util.h"

#include <string.h>

#define TICK_US		 250000
#define RECEIVES_AT_ONCE 64
#define CONFIG_TEXT_MAX	 IPC_PAYLOAD_MAX

TAILQ_HEAD(request_list, peer_request);

/* A message without a reply that waits for room in the channel. */
struct told {
	STAILQ_ENTRY(told) link;
	uint16_t type;
	size_t size;
	unsigned char payload[];
};

STAILQ_HEAD(told_list, told);

struct peer_state {
	struct peers *peers;
	enum peer peer;
	const struct ipc_rule *rules;
	pthread_mutex_t lock;
	int fd;
	uint64_t next_id;
	struct table pending; /* sent, by id */
	struct request_list unsent;
	struct told_list told; /* goes before all of unsent */
	unsigned n_unsent, n_told;
	bool opening; /* the channel is new: what is told now comes before all requests */
	bool choked;  /* what had to be told could not be kept */
	bool wake_posted;
	struct worker_task wake;
	/* Control thread only. */
	struct event *read_event, *write_event;
};

struct peers {
	struct worker *control;
	const struct peers_events *events;
	void *context;
	struct event *tick;
	struct ipc_message *message;
	struct peer_state states[PEER_MAX];
};

static const struct ipc_rule sandbox_rules[] = {
	{MSG_FAILED, 0, 0, sizeof(struct msg_failed), 0, ~0u, "failed"},
	{SBX_CREATED, 5, 5, sizeof(struct sbx_created), 0, ~0u, "created"},
	{SBX_EXITED, 0, 0, sizeof(struct sbx_exited), 0, ~0u, "exited"},
	{SBX_STATED, 0, 0, sizeof(struct sbx_stated), 0, ~0u, "stated"},
	{0},
};

static const struct ipc_rule rootfs_rules[] = {
	{MSG_FAILED, 0, 0, sizeof(struct msg_failed), 0, ~0u, "failed"},
	{RFS_PROGRESS, 0, 0, sizeof(struct rfs_progress), 0, ~0u, "progress"},
	{RFS_IMPORTED, 0, 0, sizeof(struct rfs_imported), 0, ~0u, "imported"},
	{RFS_OPENED, 1, SBX_LAYERS_MAX, sizeof(struct rfs_opened), CONFIG_TEXT_MAX, ~0u, "opened"},
	{RFS_CHANGED, 0, 0, 0, 1024, ~0u, "changed"},
	{RFS_DOCUMENT, 1, 1, sizeof(struct rfs_document), 0, ~0u, "document"},
	{RFS_REMOVED, 0, 0, sizeof(struct rfs_removed), 0, ~0u, "removed"},
	{0},
};

static const struct ipc_rule gpu_rules[] = {
	{MSG_FAILED, 0, 0, sizeof(struct msg_failed), 0, ~0u, "failed"},
	{GPU_DOCUMENT, 1, 1, sizeof(struct gpu_document), 0, ~0u, "document"},
	{GPU_ATTACHED, 0, 0, sizeof(struct gpu_attached), 64 * 1024, ~0u, "attached"},
	{0},
};

const char *peer_name(enum peer peer)
{
	static const char *const names[PEER_MAX] = {[PEER_SUPERVISOR] = "ferrited",
						    [PEER_API] = "ferrite-api",
						    [PEER_SANDBOX] = "ferrite-sandbox",
						    [PEER_ROOTFS] = "ferrite-rootfs",
						    [PEER_GPU] = "ferrite-gpu"};

	return names[peer];
}

/* --- outcomes ----------------------------------------------------------------------------------------------------- */

static void run_done(struct worker_task *task)
{
	struct peer_request *request = TABLE_OWNER(task, struct peer_request, task);

	request->done(request);
}

static void deliver(struct peer_request *request)
{
	request->task.run = run_done;
	worker_post(request->worker, &request->task);
}

static void fail(struct peer_request *request, int code, const char *text)
{
	(void)err_set(&request->failure, code, "%s %s", peer_name(request->peer), text);
	deliver(request);
}

int peer_reply_take_fd(struct peer_reply *reply, unsigned index)
{
	return index < reply->n_fds ? take_fd(&reply->fds[index]) : -1;
}

void peer_request_done(struct peer_request *request)
{
	for (unsigned i = 0; request->reply && i < request->reply->n_fds; i++)
		fd_close(&request->reply->fds[i]);
	free(request->reply);
	request->reply = NULL;
}

/* --- sending ------------------------------------------------------------------------------------------------------ */

/* What the receiver would take for a breach of the protocol is the fault of a caller with a long name, not of ours. */
static bool is_too_large(const struct peer_request *request)
{
	static const size_t limits[PEER_MAX] = {
		[PEER_SANDBOX] = IPC_PAYLOAD_MAX, [PEER_ROOTFS] = RFS_TAIL_MAX, [PEER_GPU] = GPU_TAIL_MAX};

	return request->out.tail_size > limits[request->peer];
}

/* With the lock held. 0: sent (or failed for good); -EAGAIN: it has to wait. */
static int send_now(struct peer_state *state, struct peer_request *request)
{
	int r;

	if (is_too_large(request)) {
		(void)err_set(&request->failure, EMSGSIZE, "a name is too long: %zu bytes for %s",
			      request->out.tail_size, peer_name(request->peer));
		deliver(request);
		return 0;
	}
	if (state->fd < 0 || state->opening || state->n_told > 0)
		return -EAGAIN;
	request->out.id = state->next_id++;
	r = ipc_send(state->fd, &request->out, &request->failure);
	if (r == -EMSGSIZE) {
		deliver(request);
		return 0;
	}
	/* A peer that is gone is noticed by the control thread, and the request waits for the next one. */
	if (r < 0)
		return -EAGAIN;
	table_insert(&state->pending, &request->node, table_hash_u64(request->out.id));
	return 0;
}

static void wait_in_line(struct peer_state *state, struct peer_request *request)
{
	if (state->n_unsent >= PEER_QUEUE_MAX) {
		fail(request, EHOSTDOWN, "has too many requests waiting");
		return;
	}
	request->give_up_us = clock_monotonic_us() + PEER_WAIT_US;
	TAILQ_INSERT_TAIL(&state->unsent, request, link);
	state->n_unsent++;
}

/* With the lock held; true when the control thread is to be woken, so that it sends what waits. */
static bool wants_wake(struct peer_state *state)
{
	bool wake = state->fd >= 0 && !state->opening && !state->wake_posted;

	state->wake_posted |= wake;
	return wake;
}

void peers_send(struct peers *peers, enum peer peer, struct peer_request *request)
{
	struct peer_state *state = &peers->states[peer];
	bool wake = false;

	request->peer = peer;
	request->reply = NULL;
	request->failure = ERR_INIT;
	request->phase[0] = '\0';
	request->repeated = false;
	pthread_mutex_lock(&state->lock);
	if (state->n_unsent > 0 || send_now(state, request) == -EAGAIN) {
		wait_in_line(state, request);
		wake = wants_wake(state);
	}
	pthread_mutex_unlock(&state->lock);
	if (wake)
		worker_post(peers->control, &state->wake);
}

/* With the lock held. */
static void keep_told(struct peer_state *state, const struct ipc_out *out)
{
	struct told *told = NULL;

	if (state->n_told < PEER_QUEUE_MAX)
		told = malloc(sizeof(*told) + out->body_size + out->tail_size);
	if (!told) {
		state->choked = true;
		return;
	}
	told->type = out->type;
	told->size = out->body_size + out->tail_size;
	memcpy(told->payload, out->body, out->body_size);
	if (out->tail_size > 0)
		memcpy(told->payload + out->body_size, out->tail, out->tail_size);
	STAILQ_INSERT_TAIL(&state->told, told, link);
	state->n_told++;
}

static void forget_told(struct peer_state *state)
{
	struct told *told;

	while ((told = STAILQ_FIRST(&state->told)) != NULL) {
		STAILQ_REMOVE_HEAD(&state->told, link);
		free(told);
	}
	state->n_told = 0;
	state->choked = false;
}

void peers_tell(struct peers *peers, enum peer peer, const struct ipc_out *out)
{
	struct peer_state *state = &peers->states[peer];
	bool wake = false;

	pthread_mutex_lock(&state->lock);
	/* What is told ends something; a peer that is gone has ended it already. */
	if (state->fd >= 0 && (state->n_told > 0 || ipc_send(state->fd, out, NULL) == -EAGAIN)) {
		keep_told(state, out);
		wake = wants_wake(state);
	}
	pthread_mutex_unlock(&state->lock);
	if (wake)
		worker_post(peers->control, &state->wake);
}

/* With the lock held; false when no more can be sent now. */
static bool send_told(struct peer_state *state)
{
	struct told *told;

	while (state->fd >= 0 && (told = STAILQ_FIRST(&state->told)) != NULL) {
		const struct ipc_out out = {.type = told->type, .body = told->payload, .body_size = told->size};

		/* A peer that is gone is noticed when its channel is read; what it was told is forgotten then. */
		if (ipc_send(state->fd, &out, NULL) < 0)
			return false;
		STAILQ_REMOVE_HEAD(&state->told, link);
		state->n_told--;
		free(told);
	}
	return state->fd >= 0;
}

/* Control thread: sends what waits, and watches for room when some is left. */
static void flush(struct peer_state *state)
{
	struct peer_request *request;
	bool room;

	pthread_mutex_lock(&state->lock);
	room = send_told(state);
	while (room && (request = TAILQ_FIRST(&state->unsent)) != NULL) {
		TAILQ_REMOVE(&state->unsent, request, link);
		if (send_now(state, request) == -EAGAIN) {
			TAILQ_INSERT_HEAD(&state->unsent, request, link);
			room = false;
		} else {
			state->n_unsent--;
		}
	}
	if (!room && state->fd >= 0)
		(void)event_add(state->write_event, NULL);
	pthread_mutex_unlock(&state->lock);
}

/* --- losing and waiting ------------------------------------------------------------------------------------------- */

static void lose(struct peer_state *state)
{
	struct table_node *node;

	if (state->fd < 0)
		return;
	event_free(state->read_event);
	event_free(state->write_event);
	state->read_event = state->write_event = NULL;
	pthread_mutex_lock(&state->lock);
	fd_close(&state->fd);
	forget_told(state);
	while ((node = table_any(&state->pending)) != NULL) {
		struct peer_request *request = TABLE_OWNER(node, struct peer_request, node);

		table_remove(&state->pending, node);
		/* Once: a request that ends every server it reaches would keep them all down. */
		if (request->repeatable && !request->repeated) {
			request->repeated = true;
			wait_in_line(state, request);
		} else {
			fail(request, ECONNRESET, "ended during the request");
		}
	}
	pthread_mutex_unlock(&state->lock);
	state->peers->events->lost(state->peers->context, state->peer);
}

static void run_wake(struct worker_task *task)
{
	struct peer_state *state = TABLE_OWNER(task, struct peer_state, wake);
	bool choked;

	pthread_mutex_lock(&state->lock);
	state->wake_posted = false;
	choked = state->choked;
	pthread_mutex_unlock(&state->lock);
	/* Nothing that has to end may go on because its server is deaf: the server ends, and that with it. */
	if (choked) {
		log_error("a server does not read its channel", LOG_STR("server", peer_name(state->peer)));
		(void)server_accuse(state->peer, NULL);
		lose(state);
	}
	flush(state);
}

static void on_writable(evutil_socket_t fd, short what, void *context)
{
	(void)fd;
	(void)what;
	flush(context);
}

/* All wait equally long, so the first in line is the first to give up. */
static void give_up(struct peer_state *state, uint64_t now)
{
	struct peer_request *request;

	pthread_mutex_lock(&state->lock);
	while ((request = TAILQ_FIRST(&state->unsent)) != NULL && request->give_up_us <= now) {
		TAILQ_REMOVE(&state->unsent, request, link);
		state->n_unsent--;
		fail(request, EHOSTDOWN, state->fd < 0 ? "is not running" : "does not take requests");
	}
	pthread_mutex_unlock(&state->lock);
}

static void on_tick(evutil_socket_t fd, short what, void *context)
{
	struct peers *peers = context;
	uint64_t now = clock_monotonic_us();

	(void)fd;
	(void)what;
	for (unsigned peer = PEER_SANDBOX; peer < PEER_MAX; peer++)
		give_up(&peers->states[peer], now);
}

/* --- receiving ---------------------------------------------------------------------------------------------------- */

static struct peer_request *take_pending(struct peer_state *state, uint64_t id)
{
	uint64_t hash = table_hash_u64(id);
	struct peer_request *found = NULL;

	pthread_mutex_lock(&state->lock);
	for (struct table_node *node = table_first(&state->pending, hash); node && !found;
	     node = table_next(node, hash)) {
		struct peer_request *request = TABLE_OWNER(node, struct peer_request, node);

		if (request->out.id == id)
			found = request;
	}
	if (found)
		table_remove(&state->pending, &found->node);
	pthread_mutex_unlock(&state->lock);
	return found;
}

static void take_failure(struct peer_request *request, const struct ipc_message *m)
{
	struct msg_failed body;

	memcpy(&body, m->payload, sizeof(body));
	body.phase[sizeof(body.phase) - 1] = '\0';
	body.text[sizeof(body.text) - 1] = '\0';
	(void)str_copy(request->phase, sizeof(request->phase), body.phase);
	(void)err_set(&request->failure, body.code ? body.code : EIO, "%s", body.text);
	/* These two codes say that a server is not there; no server may say that of itself. */
	if (request->failure.code == -EHOSTDOWN || request->failure.code == -ECONNRESET)
		request->failure.code = -EIO;
}

static int take_reply(struct peer_request *request, struct ipc_message *m)
{
	struct peer_reply *reply = malloc(sizeof(*reply) + m->header.length + 1);

	if (!reply)
		return err_sys(&request->failure, ENOMEM, "reply of %s", peer_name(request->peer));
	reply->n_fds = MIN(m->n_fds, (unsigned)SBX_LAYERS_MAX);
	for (unsigned i = 0; i < reply->n_fds; i++)
		reply->fds[i] = ipc_message_take_fd(m, i);
	reply->length = m->header.length;
	memcpy(reply->payload, m->payload, reply->length + 1);
	request->reply = reply;
	if (request->received)
		request->received(request);
	return 0;
}

static int handle(struct peer_state *state, struct ipc_message *m, struct err *err)
{
	struct peer_request *request;
	int r = ipc_accept(m, state->rules, 1, err);

	if (r < 0)
		return r;
	if (m->header.type == RFS_PROGRESS)
		return 0;
	if (m->header.type == SBX_EXITED || m->header.type == RFS_CHANGED) {
		state->peers->events->event(state->peers->context, state->peer, m);
		return 0;
	}
	request = take_pending(state, m->header.id);
	if (!request)
		return err_set(err, EPROTO, "reply %u to a request that was not made", m->header.type);
	if (m->header.type == MSG_FAILED) {
		take_failure(request, m);
	} else if (m->header.type == request->expects) {
		(void)take_reply(request, m);
	} else {
		fail(request, ECONNRESET, "sent a wrong reply");
		return err_set(err, EPROTO, "reply %u where %u was due", m->header.type, request->expects);
	}
	deliver(request);
	return 0;
}

static void on_readable(evutil_socket_t fd, short what, void *context)
{
	struct peer_state *state = context;
	struct err err = ERR_INIT;

	(void)what;
	for (unsigned i = 0; i < RECEIVES_AT_ONCE; i++) {
		int r = ipc_receive(fd, state->peers->message, &err);

		if (r == -EAGAIN)
			return;
		if (r > 0) {
			r = handle(state, state->peers->message, &err) < 0 ? -EPROTO : 1;
			ipc_message_done(state->peers->message);
		}
		if (r > 0)
			continue;
		if (r < 0) {
			log_error("a server broke the protocol", LOG_STR("server", peer_name(state->peer)),
				  LOG_STR("error", err.text));
			(void)server_accuse(state->peer, NULL);
		} else {
			log_warn("a server ended", LOG_STR("server", peer_name(state->peer)));
		}
		lose(state);
		return;
	}
}

/* --- life --------------------------------------------------------------------------------------------------------- */

static int open_state(struct peers *peers, enum peer peer, const struct ipc_rule *rules, struct err *err)
{
	struct peer_state *state = &peers->states[peer];

	state->peers = peers;
	state->peer = peer;
	state->rules = rules;
	state->fd = -1;
	state->next_id = 1;
	state->wake.run = run_wake;
	TAILQ_INIT(&state->unsent);
	STAILQ_INIT(&state->told);
	(void)pthread_mutex_init(&state->lock, NULL);
	return table_open(&state->pending, err);
}

int peers_open(struct worker *control, const struct peers_events *events, void *context, struct peers **ret_peers,
	       struct err *err)
{
	static const struct timeval interval = {.tv_usec = TICK_US};
	struct peers *peers = calloc(1, sizeof(*peers));

	if (!peers)
		return err_sys(err, ENOMEM, "channels");
	peers->control = control;
	peers->events = events;
	peers->context = context;
	peers->message = malloc(sizeof(*peers->message));
	peers->tick = event_new(control->base, -1, EV_PERSIST, on_tick, peers);
	if (open_state(peers, PEER_SANDBOX, sandbox_rules, err) < 0 ||
	    open_state(peers, PEER_ROOTFS, rootfs_rules, err) < 0 || open_state(peers, PEER_GPU, gpu_rules, err) < 0 ||
	    !peers->message || !peers->tick || event_add(peers->tick, &interval) < 0) {
		peers_close(peers);
		return err_set(err, ENOMEM, "channels cannot be made");
	}
	*ret_peers = peers;
	return 0;
}

void peers_close(struct peers *peers)
{
	if (!peers)
		return;
	for (unsigned peer = PEER_SANDBOX; peer < PEER_MAX; peer++) {
		struct peer_state *state = &peers->states[peer];

		if (state->read_event)
			event_free(state->read_event);
		if (state->write_event)
			event_free(state->write_event);
		if (state->peers) {
			fd_close(&state->fd);
			forget_told(state);
			table_close(&state->pending);
			(void)pthread_mutex_destroy(&state->lock);
		}
	}
	if (peers->tick)
		event_free(peers->tick);
	free(peers->message);
	free(peers);
}

int peers_channel(struct peers *peers, enum peer peer, int fd, struct err *err)
{
	struct peer_state *state = &peers->states[peer];
	_cleanup_fd_ int owned_fd = fd;
	struct event *read_event, *write_event;

	if (peer < PEER_SANDBOX)
		return err_set(err, EPROTO, "a channel to %s", peer_name(peer));
	lose(state);
	read_event = event_new(peers->control->base, fd, EV_READ | EV_PERSIST, on_readable, state);
	write_event = event_new(peers->control->base, fd, EV_WRITE, on_writable, state);
	if (!read_event || !write_event || event_add(read_event, NULL) < 0) {
		if (read_event)
			event_free(read_event);
		if (write_event)
			event_free(write_event);
		return err_set(err, ENOMEM, "channel to %s", peer_name(peer));
	}
	state->read_event = read_event;
	state->write_event = write_event;
	pthread_mutex_lock(&state->lock);
	state->fd = take_fd(&owned_fd);
	state->opening = true;
	pthread_mutex_unlock(&state->lock);
	peers->events->opened(peers->context, peers, peer);
	pthread_mutex_lock(&state->lock);
	state->opening = false;
	pthread_mutex_unlock(&state->lock);
	flush(state);
	return 0;
}

bool peers_connected(struct peers *peers, enum peer peer)
{
	struct peer_state *state = &peers->states[peer];
	bool connected;

	pthread_mutex_lock(&state->lock);
	connected = state->fd >= 0;
	pthread_mutex_unlock(&state->lock);
	return connected;
}
