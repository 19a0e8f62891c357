#include "api/worker.h"

#include "supervisor/util.h"

#include <stddef.h>
#include <sys/eventfd.h>

static void run_mail(struct worker *worker)
{
	struct worker_task *newest = atomic_exchange(&worker->mail, NULL), *ordered = NULL;

	while (newest) {
		struct worker_task *next = newest->next;

		newest->next = ordered;
		ordered = newest;
		newest = next;
	}
	while (ordered) {
		struct worker_task *task = ordered;

		ordered = task->next;
		task->run(task);
	}
}

static void on_mail(evutil_socket_t fd, short what, void *context)
{
	uint64_t count;

	(void)what;
	/* Only clears the wake-up; the mailbox itself says what there is. */
	(void)!read(fd, &count, sizeof(count));
	run_mail(context);
}

int worker_open(struct worker *worker, unsigned index, void *context, struct err *err)
{
	*worker = (struct worker){.index = index, .context = context, .mail_fd = -1};
	worker->mail_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (worker->mail_fd < 0)
		return err_sys(err, errno, "event descriptor of loop %u", index);
	worker->base = event_base_new();
	if (worker->base)
		worker->mail_event = event_new(worker->base, worker->mail_fd, EV_READ | EV_PERSIST, on_mail, worker);
	if (!worker->mail_event || event_add(worker->mail_event, NULL) < 0)
		return err_set(err, ENOMEM, "event loop %u cannot be made", index);
	return 0;
}

static void *thread_main(void *argument)
{
	worker_run(argument);
	return NULL;
}

int worker_start(struct worker *worker, struct err *err)
{
	int r = pthread_create(&worker->thread, NULL, thread_main, worker);

	if (r != 0)
		return err_sys(err, r, "thread of event loop %u", worker->index);
	worker->running = true;
	return 0;
}

void worker_run(struct worker *worker)
{
	(void)event_base_loop(worker->base, EVLOOP_NO_EXIT_ON_EMPTY);
}

static void run_stop(struct worker_task *task)
{
	struct worker *worker = (void *)((char *)task - offsetof(struct worker, stop_task));

	(void)event_base_loopbreak(worker->base);
}

void worker_stop(struct worker *worker)
{
	/* A task is in the mailbox once only, and a loop may have several reasons to end at the same time. */
	if (atomic_exchange(&worker->stopping, true))
		return;
	worker->stop_task.run = run_stop;
	worker_post(worker, &worker->stop_task);
}

void worker_join(struct worker *worker)
{
	if (worker->running)
		(void)pthread_join(worker->thread, NULL);
	worker->running = false;
}

void worker_flush(struct worker *worker)
{
	run_mail(worker);
}

void worker_close(struct worker *worker)
{
	worker_join(worker);
	run_mail(worker);
	if (worker->mail_event)
		event_free(worker->mail_event);
	if (worker->base)
		event_base_free(worker->base);
	fd_close(&worker->mail_fd);
	*worker = (struct worker){.mail_fd = -1};
}

void worker_post(struct worker *worker, struct worker_task *task)
{
	struct worker_task *newest = atomic_load(&worker->mail);
	uint64_t one = 1;

	do
		task->next = newest;
	while (!atomic_compare_exchange_weak(&worker->mail, &newest, task));
	/* Who finds the mailbox empty wakes the loop; all others ride along. */
	if (!newest)
		(void)!write(worker->mail_fd, &one, sizeof(one));
}
