#include "api/tasks.h"

#include "api/queue.h"
#include "api/task_json.h"
#include "supervisor/log.h"
#include "supervisor/util.h"

#define VARIABLES_JSON_MAX (1 << 20)
/* What a task may be larger as JSON than it is: each byte of a payload as an escape, and once more in base 64. */
#define JSON_GROWTH 8

/* A request to /tasks on its way through the queue. */
struct exchange {
	struct queue_request queue;
	struct http_request *request; /* NULL: gone */
	struct text echo;
};

static void exchange_free(struct exchange *exchange)
{
	task_done(&exchange->queue.item);
	text_done(&exchange->echo);
	free(exchange);
}

static void on_gone(struct http_request *request)
{
	struct exchange *exchange = request->user;

	exchange->request = NULL;
}

static void on_gone_early(struct http_request *request)
{
	exchange_free(request->user);
}

static struct exchange *exchange_new(struct http_request *request, enum queue_operation operation, queue_function *done)
{
	struct exchange *exchange = calloc(1, sizeof(*exchange));

	if (!exchange) {
		api_reply_error(request, 503, "ferrite is out of memory");
		return NULL;
	}
	exchange->request = request;
	exchange->queue = (struct queue_request){
		.operation = operation, .as = TASK_RESERVED, .worker = &api_loop_of(request)->worker, .done = done};
	request->user = exchange;
	return exchange;
}

static void submit(struct exchange *exchange)
{
	exchange->request->gone = on_gone;
	exchange->request->patient = true;
	queue_submit(api_loop_of(exchange->request)->api->queue, &exchange->queue);
}

/* The texts of the original, which names the wrong store. */
static void reply_failure(struct exchange *exchange)
{
	log_error("a request to /tasks failed", LOG_STR("error", exchange->queue.failure.text));
	if (exchange->request)
		api_reply_error(exchange->request, 500, "Could not list routes from datastore");
}

/* Nobody took it: it need not wait for the end of its reservation. */
static void on_put_back(struct queue_request *request)
{
	exchange_free(TABLE_OWNER(request, struct exchange, queue));
}

static void on_reserved(struct queue_request *queue)
{
	struct exchange *exchange = TABLE_OWNER(queue, struct exchange, queue);
	_cleanup_(text_done) struct text body = {0};

	if (queue->result == 0 && !exchange->request) {
		queue->operation = QUEUE_PUT_BACK;
		queue->done = on_put_back;
		queue_submit(queue->queue, queue);
		return;
	}
	if (queue->result == 0)
		task_json_write(&queue->item, &body);
	else if (queue->result == -ENOENT)
		text_puts(&body, "null");
	else
		reply_failure(exchange);
	if (exchange->request && (queue->result == 0 || queue->result == -ENOENT))
		api_reply(exchange->request, 202, &body);
	exchange_free(exchange);
}

void tasks_reserve(struct http_request *request, const struct path_match *match)
{
	struct exchange *exchange = exchange_new(request, QUEUE_TAKE, on_reserved);

	(void)match;
	if (exchange)
		submit(exchange);
}

static void on_acknowledged(struct queue_request *queue)
{
	struct exchange *exchange = TABLE_OWNER(queue, struct exchange, queue);

	if (queue->result < 0 && queue->result != -ENOENT)
		reply_failure(exchange);
	else if (exchange->request && queue->result == -ENOENT)
		api_reply_error(exchange->request, 404, "Task not found: it is not reserved, or no longer");
	else if (exchange->request)
		api_reply(exchange->request, 202, &exchange->echo);
	exchange_free(exchange);
}

static void on_body(struct http_request *request)
{
	struct exchange *exchange = request->user;
	struct task *item = &exchange->queue.item;
	size_t length = evbuffer_get_length(request->body);
	const unsigned char *bytes = length > 0 ? evbuffer_pullup(request->body, -1) : NULL;
	int r = bytes ? task_json_echo((const char *)bytes, length, item->id, &item->priority, &exchange->echo)
		      : -EINVAL;

	if (r == 0) {
		submit(exchange);
		return;
	}
	if (r == -EDOM)
		api_reply_error(request, 400, "Invalid priority: a task has one from 0 to %d", TASK_PRIORITY_MAX);
	else if (r == -ENOMEM)
		api_reply_error(request, 503, "ferrite is out of memory");
	else
		api_reply_error(request, 400, "Invalid JSON");
	exchange_free(exchange);
}

void tasks_acknowledge(struct http_request *request, const struct path_match *match)
{
	struct exchange *exchange = exchange_new(request, QUEUE_ACKNOWLEDGE, on_acknowledged);
	const struct settings *settings = &api_loop_of(request)->settings;

	(void)match;
	if (!exchange)
		return;
	request->gone = on_gone_early;
	http_collect(request, (size_t)(settings->max_task_bytes * JSON_GROWTH) + VARIABLES_JSON_MAX, on_body);
}
