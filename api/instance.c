#include "api/instance.h"

#include "api/recorder.h"

#include "supervisor/log.h"
#include "supervisor/str.h"
#include "supervisor/util.h"

#include <string.h>

#define READ_BYTES    (64 << 10)
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

	if (instance)
		instance->input = evbuffer_new();
	if (!instance || !instance->input) {
		free(instance);
		grant_release(loop->api, grant);
		return NULL;
	}
	instance->loop = loop;
	instance->function = function_ref(function);
	instance->grant = *grant;
	instance->input_fd = instance->output_fd = instance->log_fd = -1;
	(void)str_copy(instance->call_id, sizeof(instance->call_id), call_id);
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
	evbuffer_free(instance->input);
	capture_done(&instance->capture);
	grant_release(instance->loop->api, &instance->grant);
	function_unref(instance->function);
	free(instance);
}

void instance_created(struct instance *instance, const struct peer_reply *reply)
{
	memcpy(&instance->created, reply->payload, sizeof(instance->created));
	dispatcher_add_instance(instance->loop->api->dispatcher, instance);
}

/* --- the log ------------------------------------------------------------------------------------------------------ */

static void log_a_line(struct instance *instance)
{
	const struct function *f = instance->function;

	instance->line[instance->line_length] = '\0';
	instance->line_length = 0;
	if (log_enabled(LOG_LEVEL_INFO) && loglimit_allows(&instance->log_limit, clock_monotonic_us()))
		log_info(instance->line, LOG_STR("user_log", "true"), LOG_STR("app_name", f->app),
			 LOG_STR("path", f->path), LOG_STR("image", f->image), LOG_STR("call_id", instance->call_id));
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

/* False at the end of the pipe. AT_ONCE reads at most; 0: until nothing is there. */
static bool read_pipe(struct instance *instance, int fd, unsigned at_once, bool is_log)
{
	char buffer[READ_BYTES];

	for (unsigned i = 0; at_once == 0 || i < at_once; i++) {
		ssize_t n = read(fd, buffer, sizeof(buffer));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EAGAIN;
		if (n == 0)
			return false;
		if (is_log)
			log_bytes(instance, buffer, (size_t)n);
		else if (instance->events)
			instance->events->output(instance->context, buffer, (size_t)n);
		/* The call that heard it may have turned away, and the pipe is closed then. */
		if (!is_log && !instance->events)
			return false;
	}
	return true;
}

static void on_output(evutil_socket_t fd, short what, void *context)
{
	struct instance *instance = context;

	(void)what;
	if (read_pipe(instance, fd, READS_AT_ONCE, false))
		return;
	close_pipe(&instance->output_fd, &instance->output_event);
	if (instance->events)
		instance->events->output_end(instance->context);
}

static void on_log(evutil_socket_t fd, short what, void *context)
{
	struct instance *instance = context;

	(void)what;
	if (!read_pipe(instance, fd, READS_AT_ONCE, true))
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

/* Writes what the pipe takes. A program that does not read its input to the end is no error. */
static void write_input(struct instance *instance)
{
	while (evbuffer_get_length(instance->input) > 0) {
		int n = evbuffer_write(instance->input, instance->input_fd);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN) {
			(void)event_add(instance->input_event, NULL);
			return;
		}
		if (n <= 0) {
			instance_close_input(instance);
			return;
		}
	}
	if (!instance->keep_input_open)
		instance_close_input(instance);
}

static void on_input(evutil_socket_t fd, short what, void *context)
{
	(void)fd;
	(void)what;
	write_input(context);
}

void instance_close_input(struct instance *instance)
{
	close_pipe(&instance->input_fd, &instance->input_event);
	(void)evbuffer_drain(instance->input, evbuffer_get_length(instance->input));
}

int instance_start(struct instance *instance, struct peer_reply *reply, struct evbuffer *input, bool keep_input_open,
		   struct err *err)
{
	struct event_base *base = instance->loop->worker.base;

	instance->input_fd = peer_reply_take_fd(reply, 0);
	instance->output_fd = peer_reply_take_fd(reply, 1);
	instance->log_fd = peer_reply_take_fd(reply, 2);
	instance->keep_input_open = keep_input_open;
	atomic_store(&instance->state, INSTANCE_BUSY);
	if (evutil_make_socket_nonblocking(instance->input_fd) < 0 ||
	    evutil_make_socket_nonblocking(instance->output_fd) < 0 ||
	    evutil_make_socket_nonblocking(instance->log_fd) < 0)
		return err_sys(err, errno, "pipes of the instance");
	instance->input_event = event_new(base, instance->input_fd, EV_WRITE, on_input, instance);
	instance->output_event = event_new(base, instance->output_fd, EV_READ | EV_PERSIST, on_output, instance);
	instance->log_event = event_new(base, instance->log_fd, EV_READ | EV_PERSIST, on_log, instance);
	if (!instance->input_event || !instance->output_event || !instance->log_event ||
	    event_add(instance->output_event, NULL) < 0 || event_add(instance->log_event, NULL) < 0 ||
	    evbuffer_add_buffer(instance->input, input) < 0)
		return err_set(err, ENOMEM, "events of the instance");
	write_input(instance);
	return 0;
}

void instance_attach(struct instance *instance, const struct instance_events *events, void *context)
{
	instance->events = events;
	instance->context = context;
}

void instance_detach(struct instance *instance)
{
	instance->events = NULL;
	instance->context = NULL;
	atomic_store(&instance->state, INSTANCE_ENDING);
	instance_close_input(instance);
	/* Without a reader a program that still writes ends by SIGPIPE. */
	close_pipe(&instance->output_fd, &instance->output_event);
}

void instance_kill(struct instance *instance, uint64_t grace_us)
{
	struct sbx_kill body = {.instance = instance->created.instance, .grace_us = grace_us};

	atomic_store(&instance->state, INSTANCE_ENDING);
	peers_tell(instance->loop->api->peers, PEER_SANDBOX,
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

static void run_end(struct worker_task *task)
{
	struct instance *instance = TABLE_OWNER(task, struct instance, end_task);

	/* All its processes are gone: what is in the pipes is all that there will be. Not so when the server was lost:
	 * they may go on writing until its successor ends them. */
	unsigned at_once = instance->end.server_lost ? READS_AT_ONCE : 0;

	if (instance->output_fd >= 0 && instance->events)
		(void)read_pipe(instance, instance->output_fd, at_once, false);
	if (instance->log_fd >= 0)
		(void)read_pipe(instance, instance->log_fd, at_once, true);
	if (instance->line_length > 0)
		log_a_line(instance);
	if (instance->log_limit.dropped > 0)
		log_warn("lines of a function were not logged", LOG_INT("lines", instance->log_limit.dropped),
			 LOG_STR("app_name", instance->function->app), LOG_STR("path", instance->function->path),
			 LOG_STR("call_id", instance->call_id));
	if (instance->unfinished && !instance->end.server_lost)
		complete_record(instance);
	if (instance->events)
		instance->events->ended(instance->context, &instance->end);
	instance_free(instance);
}

void instance_ended(struct instance *instance, const struct sbx_exited *report, bool server_lost)
{
	instance->end = (struct instance_end){.report = *report, .server_lost = server_lost};
	if (instance->end.report.end >= SBX_END_MAX)
		instance->end.report.end = SBX_END_LOST;
	instance->end_task.run = run_end;
	worker_post(&instance->loop->worker, &instance->end_task);
}
