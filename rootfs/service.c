#include "rootfs/service.h"

#include "rootfs/image.h"
#include "supervisor/log.h"
#include "supervisor/str.h"
#include "supervisor/util.h"

#include <string.h>

#define SEND_WAIT_MS 1000

static const struct ipc_rule rules[] = {
	{RFS_IMPORT, 1, 1, sizeof(struct rfs_import), RFS_TAIL_MAX, ~0u, "import"},
	{RFS_OPEN, 0, 0, sizeof(struct rfs_open), RFS_TAIL_MAX, ~0u, "open"},
	{RFS_QUERY, 0, 0, sizeof(struct rfs_query), RFS_TAIL_MAX, ~0u, "query"},
	{RFS_REMOVE, 0, 0, 0, RFS_TAIL_MAX, ~0u, "remove"},
	{RFS_GC, 0, 0, 0, 0, ~0u, "gc"},
	{0},
};

void service_close_api(struct service *service)
{
	loop_remove(&service->loop, &service->api_watch);
	fd_close(&service->api_fd);
	service->n_waiting = 0;
	service_end_imports(service);
}

/* The channel is of no use any more. A living api gets no other: ferrited puts a successor in its place. */
static void lose_api(struct service *service, const struct err *why)
{
	service_close_api(service);
	if (why->code == -EPIPE || why->code == -ECONNRESET)
		return;
	log_error("the api broke the protocol", LOG_STR("error", why->text));
	(void)server_accuse(PEER_API, NULL);
}

void service_send(struct service *service, const struct ipc_out *out)
{
	struct err err = ERR_INIT;

	if (service->api_fd < 0)
		return;
	if (ipc_send_wait(service->api_fd, out, SEND_WAIT_MS, &err) >= 0)
		return;
	lose_api(service, &err);
}

void service_fail(struct service *service, uint64_t id, const char *phase, const struct err *why)
{
	struct err err = ERR_INIT;

	if (service->api_fd >= 0 && server_send_failed(service->api_fd, id, phase, why, &err) < 0)
		lose_api(service, &err);
}

void service_changed(struct service *service, const char *name)
{
	service_send(service, &(struct ipc_out){.type = RFS_CHANGED, .tail = name, .tail_size = strlen(name) + 1});
}

static void api_readable(struct loop *loop, struct loop_watch *watch, uint32_t events)
{
	struct service *s = watch->context;
	struct err err = ERR_INIT;

	(void)loop;
	(void)events;
	while (s->api_fd >= 0) {
		int r = ipc_receive(s->api_fd, s->message, &err);

		if (r == -EAGAIN)
			return;
		if (r == 1) {
			r = ipc_accept(s->message, rules, 1, &err);
			if (r == 0)
				service_request(s, s->message);
			ipc_message_done(s->message);
			if (r == 0)
				continue;
		}
		if (r == 0)
			service_close_api(s);
		else
			lose_api(s, &err);
	}
}

int service_set_api(struct service *service, int fd, struct err *err)
{
	service_close_api(service);
	service->api_fd = fd;
	/* Before service_start() there is no loop yet; it adds the watch. */
	if (service->loop.epoll_fd < 0)
		return 0;
	return loop_add(&service->loop, &service->api_watch, fd, EPOLLIN, api_readable, service, err);
}

static void control_readable(struct loop *loop, struct loop_watch *watch, uint32_t events)
{
	struct service *s = watch->context;
	int r = server_dispatch(&s->server, &s->err);

	(void)events;
	if (r > 0)
		return;
	s->failure = r;
	loop->stop = true;
}

static void drained(struct loop *loop, struct loop_watch *watch, uint32_t events)
{
	(void)watch;
	(void)events;
	loop->stop = true;
}

void service_end_if_drained(struct service *service)
{
	if (!service->draining)
		return;
	/* Rubbish is deleted at the next start just as well. */
	for (size_t i = 0; i < SERVICE_JOBS_MAX; i++)
		if (service->jobs[i] && service->jobs[i]->kind != JOB_KIND_DELETE)
			return;
	service->loop.stop = true;
}

void service_drain(struct service *service, uint64_t deadline_us)
{
	service->draining = true;
	if (deadline_us && loop_timer_set(service->timer_fd, deadline_us, NULL) < 0)
		service->loop.stop = true;
	service_end_if_drained(service);
}

int service_start(struct service *service, struct err *err)
{
	struct rfs_removed swept;
	struct err why = ERR_INIT;
	int r;

	service->message = malloc(sizeof(*service->message));
	service->waiting = calloc(SERVICE_WAITING_MAX, sizeof(*service->waiting));
	if (!service->message || !service->waiting)
		return err_sys(err, ENOMEM, "start");
	if (!service->state_dir)
		return err_set(err, EINVAL, "the setting state_dir is missing");
	if (service->libexec_dir && asprintf(&service->runner, "%s/cudaexec", service->libexec_dir) < 0)
		return err_sys(err, ENOMEM, "start");
	r = store_open(service->state_dir, &service->store, err);
	if (r == 0)
		r = loop_open(&service->loop, err);
	if (r < 0)
		return r;
	service->timer_fd = loop_timer(err);
	if (service->timer_fd < 0)
		return service->timer_fd;
	r = loop_add(&service->loop, &service->timer_watch, service->timer_fd, EPOLLIN, drained, service, err);
	if (r == 0)
		r = loop_add(&service->loop, &service->control_watch, service->server.fd, EPOLLIN, control_readable,
			     service, err);
	if (r == 0 && service->api_fd >= 0)
		r = loop_add(&service->loop, &service->api_watch, service->api_fd, EPOLLIN, api_readable, service, err);
	/* What an import that was cut off had put into place already. */
	if (r == 0 && service_sweep(service, &swept, &why) < 0)
		log_warn("the store was not swept", LOG_STR("why", why.text));
	return r;
}

int service_run(struct service *service, struct err *err)
{
	int r = loop_run(&service->loop, err);

	if (r == 0 && service->failure < 0)
		return err_set(err, service->failure, "%s", service->err.text);
	return r;
}

void service_stop(struct service *service)
{
	service_close_api(service);
	for (size_t i = 0; i < SERVICE_JOBS_MAX; i++) {
		struct service_job *job = service->jobs[i];

		if (job)
			child_stop(&job->child);
	}
	fd_close(&service->timer_fd);
	loop_close(&service->loop);
	store_close(&service->store);
}
