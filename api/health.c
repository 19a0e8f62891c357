#include "api/health.h"

#include "supervisor/util.h"

#include <string.h>

struct question {
	struct worker_task task;
	struct question *next;
	struct http_request *request; /* NULL: gone */
	struct worker *worker;
	uint64_t id;
	unsigned n_rows;
	struct ctl_status_row rows[PEER_MAX];
};

/* Questions that ferrited has not answered yet; a handful at most. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct question *open_questions;
static uint64_t next_id = 1;

static void write_row(const struct ctl_status_row *row, struct text *out)
{
	static const char *const states[SERVER_STATE_MAX] = {[SERVER_DOWN] = "down",
							     [SERVER_STARTING] = "starting",
							     [SERVER_READY] = "ready",
							     [SERVER_DRAINING] = "draining",
							     [SERVER_FAILED] = "failed"};
	char name[sizeof(row->name) + 1] = "", last_exit[sizeof(row->last_exit) + 1] = "";

	memcpy(name, row->name, sizeof(row->name));
	memcpy(last_exit, row->last_exit, sizeof(row->last_exit));
	text_puts(out, "{\"name\":");
	text_json(out, name);
	text_printf(out, ",\"state\":\"%s\",\"pid\":%u,\"restarts\":%u,\"last_exit\":",
		    row->state < SERVER_STATE_MAX ? states[row->state] : "unknown", row->pid, row->restarts);
	text_json(out, last_exit);
	text_puts(out, "}");
}

static void reply(struct http_request *request, const struct ctl_status_row *rows, unsigned n_rows)
{
	_cleanup_(text_done) struct text body = {0};

	text_puts(&body, "{\"status\":\"ok\",\"servers\":[");
	for (unsigned i = 0; i < n_rows; i++) {
		if (i > 0)
			text_puts(&body, ",");
		write_row(&rows[i], &body);
	}
	text_puts(&body, "]}");
	api_reply(request, 200, &body);
}

static void run_answer(struct worker_task *task)
{
	struct question *question = (struct question *)task;

	if (question->request)
		reply(question->request, question->rows, question->n_rows);
	free(question);
}

static struct question *take(uint64_t id)
{
	struct question **at = &open_questions, *found;

	pthread_mutex_lock(&lock);
	while (*at && (*at)->id != id)
		at = &(*at)->next;
	found = *at;
	if (found)
		*at = found->next;
	pthread_mutex_unlock(&lock);
	return found;
}

void health_answer(struct api *api, uint64_t id, const struct ctl_status_row *rows, unsigned n_rows)
{
	struct question *question = take(id);

	(void)api;
	if (!question)
		return;
	question->n_rows = MIN(n_rows, (unsigned)PEER_MAX);
	memcpy(question->rows, rows, question->n_rows * sizeof(*rows));
	question->task.run = run_answer;
	worker_post(question->worker, &question->task);
}

static void on_gone(struct http_request *request)
{
	struct question *question = request->user;

	question->request = NULL;
}

void health_get(struct http_request *request, const struct path_match *match)
{
	struct api_loop *loop = api_loop_of(request);
	struct question *question = calloc(1, sizeof(*question));
	uint64_t id;

	(void)match;
	if (!question) {
		reply(request, NULL, 0);
		return;
	}
	question->request = request;
	question->worker = &loop->worker;
	request->user = question;
	request->gone = on_gone;
	request->patient = true;
	pthread_mutex_lock(&lock);
	id = question->id = next_id++;
	question->next = open_questions;
	open_questions = question;
	pthread_mutex_unlock(&lock);
	/* From here on the answer may be on its way; if there is none, this process serves all the same. */
	if (server_status_get(&loop->api->server, id, NULL) < 0 && take(id)) {
		free(question);
		reply(request, NULL, 0);
	}
}
