#include "api/service.h"

#include "api/dispatcher.h"
#include "api/env.h"
#include "api/health.h"
#include "api/peers.h"
#include "api/remote.h"
#include "api/router.h"
#include "api/runner.h"
#include "api/settings.h"

#include "supervisor/log.h"
#include "supervisor/util.h"

#include <string.h>

#define DRAIN_CHECK_US 20000

struct service {
	struct api api;
	struct event *control_event, *drain_event;
	uint64_t drain_deadline_us;
	int result;
	struct err err;
};

static void run_settings(struct worker_task *task)
{
	struct api_loop *loop = TABLE_OWNER(task, struct api_loop, settings_task);
	struct api *api = loop->api;

	/* First: a change that comes from here on posts again. */
	atomic_store(&loop->settings_posted, false);
	pthread_mutex_lock(&api->settings_lock);
	loop->settings = api->settings;
	pthread_mutex_unlock(&api->settings_lock);
	http_loop_limit(loop->http, &loop->settings.http);
}

static int on_config(void *context, const char *key, const char *value, bool reload, struct err *err)
{
	struct service *service = context;
	struct api *api = &service->api;
	int r;

	pthread_mutex_lock(&api->settings_lock);
	r = settings_set(&api->settings, key, value, reload, err);
	pthread_mutex_unlock(&api->settings_lock);
	if (r < 0)
		return r;
	budget_limit(&api->dispatcher->budget, api->settings.memory_bytes, api->settings.max_waiting,
		     api->settings.max_wait_us);
	atomic_store(&api->task_slots.limit, api->settings.async_workers);
	if (api->queue)
		queue_limit(api->queue, &api->settings.queue);
	for (unsigned i = 0; i < api->n_loops; i++)
		if (!atomic_exchange(&api->loops[i].settings_posted, true))
			worker_post(&api->loops[i].worker, &api->loops[i].settings_task);
	return 0;
}

static int on_channel(void *context, enum peer peer, int fd, struct err *err)
{
	struct service *service = context;

	return peers_channel(service->api.peers, peer, fd, err);
}

static int on_listener(void *context, enum listen_kind kind, int fd, struct err *err)
{
	struct service *service = context;
	struct api *api = &service->api;

	if (api->n_listeners == LISTENERS_MAX || api->n_loops > 0) {
		(void)close(fd);
		return err_set(err, E2BIG, "a listening socket too many");
	}
	api->listen_fds[api->n_listeners] = fd;
	api->listen_kinds[api->n_listeners++] = kind;
	return 0;
}

static void run_drain(struct worker_task *task)
{
	struct api_loop *loop = TABLE_OWNER(task, struct api_loop, drain_task);

	http_loop_drain(loop->http);
}

static void on_drain_check(evutil_socket_t fd, short what, void *context)
{
	struct service *service = context;

	(void)fd;
	(void)what;
	if ((atomic_load(&service->api.http.connections) == 0 && atomic_load(&service->api.tasks_running) == 0) ||
	    (service->drain_deadline_us && clock_monotonic_us() >= service->drain_deadline_us))
		worker_stop(&service->api.control);
}

static void on_drain(void *context, uint64_t deadline_us)
{
	static const struct timeval interval = {.tv_usec = DRAIN_CHECK_US};
	struct service *service = context;
	struct api *api = &service->api;

	if (atomic_exchange(&api->draining, true))
		return;
	log_info("draining", LOG_INT("connections", atomic_load(&api->http.connections)),
		 LOG_INT("tasks", atomic_load(&api->tasks_running)));
	runner_stop(api->runner);
	if (api->remote)
		remote_stop(api->remote);
	service->drain_deadline_us = deadline_us;
	pools_drain(&api->dispatcher->pools);
	for (unsigned i = 0; i < api->n_loops; i++) {
		api->loops[i].drain_task.run = run_drain;
		worker_post(&api->loops[i].worker, &api->loops[i].drain_task);
	}
	(void)event_add(service->drain_event, &interval);
}

static void on_status(void *context, uint64_t id, const struct ctl_status_row *rows, unsigned n_rows)
{
	struct service *service = context;

	health_answer(&service->api, id, rows, n_rows);
}

static const struct server_callbacks callbacks = {
	.config = on_config,
	.channel = on_channel,
	.listener = on_listener,
	.drain = on_drain,
	.status = on_status,
};

static void on_control(evutil_socket_t fd, short what, void *context)
{
	struct service *service = context;
	int r = server_dispatch(&service->api.server, &service->err);

	(void)fd;
	(void)what;
	if (r > 0)
		return;
	if (r == 0)
		r = err_set(&service->err, EPIPE, "ferrited is gone");
	service->result = r;
	worker_stop(&service->api.control);
}

static int open_loop(struct api *api, struct err *err)
{
	struct api_loop *loop = &api->loops[api->n_loops];
	int r = worker_open(&loop->worker, api->n_loops, loop, err);

	loop->api = api;
	record_feed_open(&loop->feed);
	loop->settings = api->settings;
	loop->settings_task.run = run_settings;
	api->n_loops++;
	loop->env = calloc(1, sizeof(*loop->env));
	if (!loop->env)
		return err_sys(err, ENOMEM, "event loop");
	if (r == 0)
		r = store_open(api->settings.store_path, false, &loop->store, err);
	if (r == 0)
		r = http_loop_open(&loop->worker, &api->http, loop, &loop->http, err);
	for (unsigned i = 0; r == 0 && i < api->n_listeners; i++)
		r = http_loop_listen(loop->http, api->listen_fds[i], api->listen_kinds[i] == LISTEN_UNIX, err);
	return r;
}

/* Each node works its own queue, and one at API_URL where that is another's. */
static int open_queue(struct api *api, struct err *err)
{
	const struct settings *settings = &api->settings;
	int r;

	if (!*settings->queue_path)
		return err_set(err, EINVAL, "no place for the queue was given (state_dir or mq_url)");
	if (strcmp(settings->queue_path, settings->store_path) == 0)
		return err_set(err, EINVAL, "db_url and mq_url name the same file, %s", settings->queue_path);
	atomic_store(&api->task_slots.limit, settings->async_workers);
	r = runner_open(api, &api->runner, err);
	if (r == 0)
		r = queue_open(settings->queue_path, &settings->queue, &runner_events, api->runner, &api->queue, err);
	if (r == 0)
		r = runner_start(api->runner, err);
	if (r == 0 && *settings->api_url && !remote_is_us(settings->api_url, api->listen_fds, api->n_listeners))
		r = remote_open(api, settings->api_url, &api->remote, err);
	return r;
}

static int open_all(struct service *service, struct err *err)
{
	struct api *api = &service->api;
	int r;

	api->http.limits = api->settings.http;
	api->http.handler = router_handle;
	if (!*api->settings.store_path)
		return err_set(err, EINVAL, "no place for the store was given (state_dir or db_url)");
	r = store_open(api->settings.store_path, true, &api->writer_store, err);
	if (r == 0)
		r = open_queue(api, err);
	if (r == 0)
		r = worker_open(&api->writer, 0, api, err);
	if (r == 0)
		r = recorder_open(api, &api->recorder, err);
	if (r < 0)
		return r;
	service->control_event =
		event_new(api->control.base, api->server.fd, EV_READ | EV_PERSIST, on_control, service);
	service->drain_event = event_new(api->control.base, -1, EV_PERSIST, on_drain_check, service);
	if (!service->control_event || !service->drain_event || event_add(service->control_event, NULL) < 0)
		return err_set(err, ENOMEM, "control channel");
	for (unsigned i = 0; r == 0 && i < api->settings.n_loops; i++)
		r = open_loop(api, err);
	return r;
}

static int start_all(struct api *api, struct err *err)
{
	int r = worker_start(&api->writer, err);

	for (unsigned i = 0; r == 0 && i < api->n_loops; i++)
		r = worker_start(&api->loops[i].worker, err);
	if (r == 0)
		r = queue_start(api->queue, err);
	if (r == 0 && api->remote)
		r = remote_start(api->remote, err);
	return r < 0 ? r : server_ready(&api->server, err);
}

/* What the loops still had for the queue is done; the tasks that run are the next service's. */
static void close_queue(struct api *api)
{
	if (api->remote)
		remote_join(api->remote);
	if (api->queue) {
		queue_stop(api->queue);
		for (unsigned i = 0; i < api->n_loops; i++)
			worker_flush(&api->loops[i].worker);
		queue_flush(api->queue);
		runner_rest(api->runner);
	}
}

static void close_all(struct service *service)
{
	struct api *api = &service->api;

	for (unsigned i = 0; i < api->n_loops; i++)
		if (api->loops[i].worker.running)
			worker_stop(&api->loops[i].worker);
	for (unsigned i = 0; i < api->n_loops; i++)
		worker_join(&api->loops[i].worker);
	if (api->runner)
		runner_stop(api->runner);
	close_queue(api);
	if (api->writer.running)
		worker_stop(&api->writer);
	worker_join(&api->writer);
	worker_flush(&api->writer);
	/* The calls that end with their clients are the last ones in the history. */
	for (unsigned i = 0; i < api->n_loops; i++)
		http_loop_close(api->loops[i].http);
	recorder_close(api->recorder);
	worker_close(&api->writer);
	for (unsigned i = 0; i < api->n_loops; i++) {
		worker_close(&api->loops[i].worker);
		store_close(api->loops[i].store);
		free(api->loops[i].scratch);
		if (api->loops[i].env)
			env_done(api->loops[i].env);
		free(api->loops[i].env);
		record_feed_close(&api->loops[i].feed);
	}
	if (service->control_event)
		event_free(service->control_event);
	if (service->drain_event)
		event_free(service->drain_event);
	/* Its tasks are parts of the channels, which go next. */
	worker_flush(&api->control);
	peers_close(api->peers);
	dispatcher_close(api->dispatcher);
	worker_close(&api->control);
	remote_close(api->remote);
	queue_close(api->queue);
	runner_close(api->runner);
	store_close(api->writer_store);
	for (unsigned i = 0; i < api->n_listeners; i++)
		fd_close(&api->listen_fds[i]);
	free(api->server.message);
	(void)pthread_mutex_destroy(&api->settings_lock);
}

/* What the messages before the start need already. */
static int open_early(struct api *api, struct err *err)
{
	const struct settings *settings = &api->settings;
	int r = worker_open(&api->control, 0, api, err);

	if (r == 0)
		r = dispatcher_open(&api->control, settings->memory_bytes, settings->max_waiting, settings->max_wait_us,
				    &api->dispatcher, err);
	return r < 0 ? r : peers_open(&api->control, &dispatcher_events, api->dispatcher, &api->peers, err);
}

int service_run(struct err *err)
{
	struct service *service = calloc(1, sizeof(*service));
	int r;

	if (!service)
		return err_sys(err, ENOMEM, "service");
	settings_default(&service->api.settings);
	(void)pthread_mutex_init(&service->api.settings_lock, NULL);
	r = open_early(&service->api, err);
	if (r == 0)
		r = server_open(&service->api.server, "ferrite-api", &callbacks, service, err);
	if (r == 0)
		r = open_all(service, err);
	if (r == 0)
		r = start_all(&service->api, err);
	if (r == 0) {
		worker_run(&service->api.control);
		r = service->result;
		if (r < 0)
			*err = service->err;
	}
	close_all(service);
	free(service);
	return r;
}
