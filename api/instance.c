#include "api/instance.h"

#include "api/recorder.h"

#include "supervisor/log.h"
#include "supervisor/str.h"
#include "supervisor/util.h"

#include <string.h>
#include <sys/ioctl.h>
#include <sys/uio.h>

#define READ_BYTES    (16 << 10)
#define READS_AT_ONCE 4 /* so that one flood does not hold up the loop's other calls */

void grant_release(struct api *api, const struct grant *grant)
{
	if (grant->has_gpu)
		shares_release(&api->dispatcher->shares, api->peers, grant->gpu);
	if (grant->memory_bytes > 0)
		budget_leave(&api->dispatcher->budget, grant->memory_bytes);
}

struct instance *instance_new(struct api_loop *loop, struct function *function, const struct grant *grant,
			      const char *call_id)
{
	struct instance *instance = calloc(1, sizeof(*instance));

	if (!instance)
		return NULL;
	instance->api = loop->api;
	instance->loop = loop;
	instance->end_worker = &loop->worker;
	instance->function = function_ref(function);
	instance->grant = *grant;
	instance->input_fd = instance->output_fd = instance->log_fd = instance->freezer_fd = -1;
	(void)str_copy(instance->call_id, sizeof(instance->call_id), call_id);
	(void)str_copy(instance->served_id, sizeof(instance->served_id), call_id);
	return instance;
}

static void close_pipe(int *fd, struct event **event)
{
	if (*event)
		event_free(*event);
	*event = NULL;
	fd_close(fd);
}

void instance_free(struct instance *instance)
{
	if (!instance)
		return;
	close_pipe(&instance->input_fd, &instance->input_event);
	close_pipe(&instance->output_fd, &instance->output_event);
	close_pipe(&instance->log_fd, &instance->log_event);
	fd_close(&instance->freezer_fd);
	capture_done(&instance->capture);
	grant_release(instance->api, &instance->grant);
	if (instance->counts_as_room)
		atomic_fetch_sub(&instance->api->dispatcher->room_coming, instance->grant.memory_bytes);
	function_unref(instance->function);
	free(instance);
}

void instance_created(struct instance *instance, const struct peer_reply *reply)
{
	memcpy(&instance->created, reply->payload, sizeof(instance->created));
	dispatcher_add_instance(instance->api->dispatcher, instance);
}

/* --- the log ------------------------------------------------------------------------------------------------------ */

static void log_a_line(struct instance *instance)
{
	const struct function *f = instance->function;

	instance->line[instance->line_length] = '\0';
	instance->line_length = 0;
	if (log_enabled(LOG_LEVEL_INFO) && loglimit_allows(&instance->log_limit, clock_monotonic_us()))
		log_info(instance->line, LOG_STR("user_log", "true"), LOG_STR("app_name", f->app),
			 LOG_STR("path", f->path), LOG_STR("image", f->image), LOG_STR("call_id", instance->served_id));
}

static void log_bytes(struct instance *instance, const char *bytes, size_t length)
{
	capture_add(&instance->capture, (size_t)instance->loop->settings.log_bytes, bytes, length);
	for (size_t i = 0; i < length; i++) {
		if (bytes[i] == '\n' || instance->line_length == sizeof(instance->line) - 1)
			log_a_line(instance);
		/* A line is cut at its first zero byte by nobody: the byte itself is left out. */
		if (bytes[i] != '\n' && bytes[i] != '\0')
			instance->line[instance->line_length++] = bytes[i];
	}
}

/* --- the pipes ---------------------------------------------------------------------------------------------------- */

enum pipe_state { PIPE_OPEN, PIPE_ENDED, PIPE_LEFT /* the instance is not ours any more */ };

/* AT_ONCE reads at most; 0: until nothing is there. A read that fills the buffer by half only was the last. */
static enum pipe_state read_pipe(struct instance *instance, int fd, unsigned at_once, bool is_log)
{
	char buffer[READ_BYTES];

	for (unsigned i = 0; at_once == 0 || i < at_once; i++) {
		ssize_t n = read(fd, buffer, sizeof(buffer));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EAGAIN ? PIPE_OPEN : PIPE_ENDED;
		if (n == 0)
			return PIPE_ENDED;
		if (is_log)
			log_bytes(instance, buffer, (size_t)n);
		else if (!instance->events->output(instance->context, buffer, (size_t)n))
			return PIPE_LEFT;
		if (at_once > 0 && (size_t)n < sizeof(buffer))
			return PIPE_OPEN;
	}
	return PIPE_OPEN;
}

/* A hot one that writes between two calls, or has ended. */
static void on_unasked_output(struct instance *instance)
{
	close_pipe(&instance->output_fd, &instance->output_event);
	if (instance->hot && pool_drop(&instance->member))
		instance_kill(instance, 0);
}

static void on_output(evutil_socket_t fd, short what, void *context)
{
	struct instance *instance = context;

	(void)what;
	if (!instance->events) {
		on_unasked_output(instance);
	} else if (read_pipe(instance, fd, READS_AT_ONCE, false) == PIPE_ENDED) {
		close_pipe(&instance->output_fd, &instance->output_event);
		instance->events->output_end(instance->context);
	}
}

static void on_log(evutil_socket_t fd, short what, void *context)
{
	struct instance *instance = context;

	(void)what;
	if (read_pipe(instance, fd, READS_AT_ONCE, true) == PIPE_ENDED)
		close_pipe(&instance->log_fd, &instance->log_event);
}

const struct capture *instance_log(struct instance *instance, bool unfinished)
{
	/* Lines that came before the last byte of the answer may still be in the pipe. */
	if (instance->log_fd >= 0)
		(void)read_pipe(instance, instance->log_fd, READS_AT_ONCE, true);
	instance->unfinished |= unfinished;
	return &instance->capture;
}

static void close_input(struct instance *instance)
{
	close_pipe(&instance->input_fd, &instance->input_event);
}

static size_t head_left(const struct instance *instance)
{
	return instance->head->length - instance->head_at;
}

/* Writes what is in memory of head and body. The number of bytes, or a negative errno. */
static ssize_t write_memory(struct instance *instance)
{
	struct iovec parts[1 + SPOOL_PARTS_MAX];
	size_t head = head_left(instance);
	unsigned n_parts = 0;
	ssize_t n;

	if (head > 0)
		parts[n_parts++] = (struct iovec){instance->head->data + instance->head_at, head};
	if (spool_in_memory(instance->body))
		n_parts += spool_peek(instance->body, parts + n_parts);
	if (n_parts == 0)
		return -EIO;
	do
		n = writev(instance->input_fd, parts, (int)n_parts);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	instance->head_at += MIN((size_t)n, head);
	if ((size_t)n > head)
		spool_skip(instance->body, (size_t)n - head);
	return n;
}

static bool has_input_left(const struct instance *instance)
{
	return instance->head && (head_left(instance) > 0 || instance->body->at < instance->body->length);
}

/* Writes what the pipe takes. A program that does not read its input to the end is no error. */
static void write_input(struct instance *instance)
{
	while (has_input_left(instance)) {
		bool from_memory = head_left(instance) > 0 || spool_in_memory(instance->body);
		ssize_t n = from_memory ? write_memory(instance) : spool_splice(instance->body, instance->input_fd);

		if (n == -EAGAIN) {
			(void)event_add(instance->input_event, NULL);
			return;
		}
		if (n < 0) {
			instance->input_refused = true;
			close_input(instance);
			return;
		}
		instance->sent += (uint64_t)n;
	}
	if (!instance->keep_input_open)
		close_input(instance);
}

static void on_input(evutil_socket_t fd, short what, void *context)
{
	(void)fd;
	(void)what;
	write_input(context);
}

static bool make_events(struct instance *instance)
{
	struct event_base *base = instance->loop->worker.base;

	if (instance->input_fd >= 0)
		instance->input_event = event_new(base, instance->input_fd, EV_WRITE, on_input, instance);
	if (instance->output_fd >= 0)
		instance->output_event =
			event_new(base, instance->output_fd, EV_READ | EV_PERSIST, on_output, instance);
	if (instance->log_fd >= 0)
		instance->log_event = event_new(base, instance->log_fd, EV_READ | EV_PERSIST, on_log, instance);
	return !!instance->input_event == (instance->input_fd >= 0) &&
	       !!instance->output_event == (instance->output_fd >= 0) &&
	       !!instance->log_event == (instance->log_fd >= 0) &&
	       (!instance->output_event || event_add(instance->output_event, NULL) == 0) &&
	       (!instance->log_event || event_add(instance->log_event, NULL) == 0);
}

int instance_start(struct instance *instance, struct peer_reply *reply, struct err *err)
{
	instance->input_fd = peer_reply_take_fd(reply, 0);
	instance->output_fd = peer_reply_take_fd(reply, 1);
	instance->log_fd = peer_reply_take_fd(reply, 2);
	if (instance->hot)
		instance->freezer_fd = peer_reply_take_fd(reply, 4);
	if (evutil_make_socket_nonblocking(instance->input_fd) < 0 ||
	    evutil_make_socket_nonblocking(instance->output_fd) < 0 ||
	    evutil_make_socket_nonblocking(instance->log_fd) < 0)
		return err_sys(err, errno, "pipes of the instance");
	return make_events(instance) ? 0 : err_set(err, ENOMEM, "events of the instance");
}

void instance_attach(struct instance *instance, const struct instance_events *events, void *context,
		     const char *call_id)
{
	instance->events = events;
	instance->context = context;
	(void)str_copy(instance->served_id, sizeof(instance->served_id), call_id);
	atomic_store(&instance->state, INSTANCE_BUSY);
}

void instance_send(struct instance *instance, const struct text *head, struct spool *body, bool keep_open)
{
	instance->head = head;
	instance->body = body;
	instance->head_at = 0;
	instance->sent = 0;
	instance->keep_input_open = keep_open;
	instance->n_served++;
	if (instance->input_fd >= 0)
		write_input(instance);
	else
		instance->input_refused = true;
}

static void turn_away(struct instance *instance)
{
	instance->events = NULL;
	instance->context = NULL;
	instance->head = NULL;
	instance->body = NULL;
}

void instance_detach(struct instance *instance)
{
	turn_away(instance);
	atomic_store(&instance->state, INSTANCE_ENDING);
	close_input(instance);
	/* Without a reader a program that still writes ends by SIGPIPE. */
	close_pipe(&instance->output_fd, &instance->output_event);
}

void instance_rest(struct instance *instance)
{
	if (instance->line_length > 0)
		log_a_line(instance);
	turn_away(instance);
	atomic_store(&instance->state, INSTANCE_IDLE);
}

int instance_unread(const struct instance *instance)
{
	int n = 0;

	return instance->input_fd < 0 || ioctl(instance->input_fd, FIONREAD, &n) < 0 ? -1 : n;
}

bool instance_sent_all(const struct instance *instance)
{
	return !has_input_left(instance);
}

bool instance_has_output(const struct instance *instance)
{
	int n = 0;

	return instance->output_fd < 0 || ioctl(instance->output_fd, FIONREAD, &n) < 0 || n > 0;
}

void instance_freeze(const struct instance *instance, bool frozen)
{
	if (pwrite(instance->freezer_fd, frozen ? "1" : "0", 1, 0) < 0)
		log_debug("an instance cannot be frozen or thawed", LOG_INT("instance", instance->created.instance),
			  LOG_INT("errno", errno));
}

static void drop_event(struct event **event)
{
	if (*event)
		event_free(*event);
	*event = NULL;
}

void instance_leave(struct instance *instance)
{
	drop_event(&instance->input_event);
	drop_event(&instance->output_event);
	drop_event(&instance->log_event);
}

bool instance_arrive(struct instance *instance, struct api_loop *loop)
{
	instance->loop = loop;
	return make_events(instance);
}

void instance_kill(struct instance *instance, uint64_t grace_us)
{
	struct sbx_kill body = {.instance = instance->created.instance, .grace_us = grace_us};

	atomic_store(&instance->state, INSTANCE_ENDING);
	peers_tell(instance->api->peers, PEER_SANDBOX,
		   &(struct ipc_out){.type = SBX_KILL, .body = &body, .body_size = sizeof(body)});
}

/* --- the end ------------------------------------------------------------------------------------------------------ */

/* Its call was recorded when it was answered, or given up; now it is known what it took. */
static void complete_record(struct instance *instance)
{
	struct record *record = record_new(instance->function, instance->call_id);

	if (!record)
		return;
	record->addition = true;
	record->ended_us = (int64_t)clock_monotonic_us();
	record_report(record, &instance->end.report);
	record_log(record, &instance->capture);
	recorder_add(instance->loop, record);
}

void instance_finish(struct instance *instance)
{
	/* All its processes are gone: what is in the pipes is all that there will be. Not so when the server was lost:
	 * they may go on writing until its successor ends them. */
	unsigned at_once = instance->end.server_lost ? READS_AT_ONCE : 0;

	instance->has_ended = true;
	if (instance->output_fd >= 0 && instance->events &&
	    read_pipe(instance, instance->output_fd, at_once, false) == PIPE_LEFT)
		close_pipe(&instance->output_fd, &instance->output_event);
	if (instance->log_fd >= 0)
		(void)read_pipe(instance, instance->log_fd, at_once, true);
	if (instance->line_length > 0)
		log_a_line(instance);
	if (instance->log_limit.dropped > 0)
		log_warn("lines of a function were not logged", LOG_INT("lines", instance->log_limit.dropped),
			 LOG_STR("app_name", instance->function->app), LOG_STR("path", instance->function->path),
			 LOG_STR("call_id", instance->served_id));
	if (instance->unfinished && !instance->end.server_lost)
		complete_record(instance);
	if (instance->events)
		instance->events->ended(instance->context, &instance->end);
	instance_free(instance);
}

static void run_end(struct worker_task *task)
{
	struct instance *instance = TABLE_OWNER(task, struct instance, end_task);
	enum pool_end where = POOL_END_HERE;

	if (instance->member.pool)
		where = pool_ended(&instance->member, instance->end_worker, &instance->end_worker);
	if (where == POOL_END_HERE)
		instance_finish(instance);
	else if (where == POOL_END_ELSEWHERE)
		worker_post(instance->end_worker, &instance->end_task);
}

void instance_ended(struct instance *instance, const struct sbx_exited *report, bool server_lost)
{
	instance->end = (struct instance_end){.report = *report, .server_lost = server_lost};
	if (instance->end.report.end >= SBX_END_MAX)
		instance->end.report.end = SBX_END_LOST;
	instance->end_task.run = run_end;
	worker_post(instance->end_worker, &instance->end_task);
}
