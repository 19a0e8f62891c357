#include "api/calls.h"

#include "api/recorder.h"
#include "api/timestamp.h"
#include "supervisor/log.h"
#include "supervisor/str.h"
#include "supervisor/util.h"

#include <string.h>

#define LIMIT_DEFAULT 100

/* A reading of the history on its way: made in the loop of its request, run in the writer thread, answered in the loop.
 */
struct reading {
	struct worker_task task;
	struct api_loop *loop;
	struct http_request *request; /* NULL: gone */
	void (*run)(struct reading *reading, struct history *history);
	char *app, *path, *id;
	bool app_exists, is_log, log_truncated;
	struct history_filter filter;
	unsigned status;
	struct text body;
};

static void reading_free(struct reading *reading)
{
	free(reading->app);
	free(reading->path);
	free(reading->id);
	text_done(&reading->body);
	free(reading);
}

/* --- the way there and back --------------------------------------------------------------------------------------- */

static void run_answer(struct worker_task *task)
{
	struct reading *reading = (struct reading *)task;
	struct http_request *request = reading->request;

	if (request && reading->is_log && reading->status == 200) {
		/* It is a function's text, and to be taken for nothing else. */
		http_reply_header(request, "X-Content-Type-Options", "nosniff");
		if (reading->log_truncated)
			http_reply_header(request, "Ferrite-Log-Truncated", "1");
		http_reply(request, 200, "text/plain; charset=utf-8", reading->body.data, reading->body.length);
	} else if (request) {
		api_reply(request, reading->status, &reading->body);
	}
	reading_free(reading);
}

static void run_reading(struct worker_task *task)
{
	struct reading *reading = (struct reading *)task;

	reading->run(reading, recorder_history(reading->loop->api->recorder));
	task->run = run_answer;
	worker_post(&reading->loop->worker, task);
}

static void on_gone(struct http_request *request)
{
	struct reading *reading = request->user;

	reading->request = NULL;
}

static void begin(struct reading *reading, void (*run)(struct reading *, struct history *))
{
	reading->run = run;
	reading->task.run = run_reading;
	reading->request->user = reading;
	reading->request->gone = on_gone;
	reading->request->patient = true;
	worker_post(&reading->loop->api->writer, &reading->task);
}

static struct reading *reading_new(struct http_request *request, const char *app)
{
	struct reading *reading = calloc(1, sizeof(*reading));
	_cleanup_(text_done) struct text document = {0};

	if (reading && app)
		reading->app = strdup(app);
	if (!reading || (app && !reading->app)) {
		free(reading);
		api_reply_error(request, 503, "ferrite is out of memory");
		return NULL;
	}
	reading->request = request;
	reading->loop = api_loop_of(request);
	/* An app that was deleted is not there; the calls it had still are. */
	reading->app_exists = !app || store_app_get(reading->loop->store, app, &document, NULL) != -ENOENT;
	return reading;
}

static void set_error(struct reading *reading, unsigned status, const char *message)
{
	reading->status = status;
	text_clear(&reading->body);
	text_puts(&reading->body, "{\"error\":{\"message\":");
	text_json(&reading->body, message);
	text_puts(&reading->body, "}}");
}

static void set_failed(struct reading *reading, const struct err *err)
{
	recorder_failed(reading->loop->api->recorder, err);
	set_error(reading, 500, err->text);
}

/* --- lists -------------------------------------------------------------------------------------------------------- */

static void run_list(struct reading *reading, struct history *history)
{
	struct err err = ERR_INIT;
	size_t before;

	reading->status = 200;
	text_puts(&reading->body, "{\"message\":\"Successfully listed calls\",\"calls\":[");
	before = reading->body.length;
	if (history_list(history, &reading->filter, &reading->body, &err) < 0)
		set_failed(reading, &err);
	else if (reading->body.length == before && !reading->app_exists)
		set_error(reading, 404, "App not found");
	else
		text_puts(&reading->body, "]}");
}

/* "504", "5xx", an outcome, or "failed": everything but success. */
static bool read_status(const char *text, struct history_filter *filter)
{
	enum record_outcome outcome;

	if (text[0] >= '1' && text[0] <= '5' && strcmp(text + 1, "xx") == 0) {
		filter->min_status = (text[0] - '0') * 100;
		filter->max_status = filter->min_status + 99;
	} else if (text[0] >= '1' && text[0] <= '5' && strlen(text) == 3 && strspn(text, "0123456789") == 3) {
		filter->min_status = filter->max_status =
			(text[0] - '0') * 100 + (text[1] - '0') * 10 + (text[2] - '0');
	} else if (strcmp(text, "failed") == 0) {
		filter->outcomes = ~(1u << RECORD_SUCCESS);
	} else if (record_outcome_read(text, &outcome)) {
		filter->outcomes = 1u << outcome;
	} else {
		return false;
	}
	return true;
}

static bool read_number(const char *text, uint64_t minimum, uint64_t maximum, uint64_t *ret_number)
{
	return str_u64(text, ret_number) && *ret_number >= minimum && *ret_number <= maximum;
}

struct parameter {
	const char *name, *wanted;
	bool (*read)(const char *text, struct reading *reading);
};

static bool take_limit(const char *text, struct reading *reading)
{
	uint64_t number;

	if (!read_number(text, 1, HISTORY_LIST_MAX, &number))
		return false;
	reading->filter.limit = (unsigned)number;
	return true;
}

static bool take_before(const char *text, struct reading *reading)
{
	uint64_t number;

	if (!read_number(text, 1, INT64_MAX, &number))
		return false;
	reading->filter.before = (int64_t)number;
	return true;
}

static bool take_after(const char *text, struct reading *reading)
{
	uint64_t number;

	if (!read_number(text, 0, INT64_MAX, &number))
		return false;
	reading->filter.after = (int64_t)number;
	return true;
}

static bool take_status(const char *text, struct reading *reading)
{
	return read_status(text, &reading->filter);
}

static bool take_since(const char *text, struct reading *reading)
{
	return timestamp_read(text, &reading->filter.since_us);
}

static bool take_path(const char *text, struct reading *reading)
{
	size_t length = strlen(text);

	reading->path = malloc(length + 2);
	if (!reading->path)
		return false;
	(void)snprintf(reading->path, length + 2, "%s%s", *text == '/' ? "" : "/", text);
	path_clean(reading->path);
	reading->filter.path = reading->path;
	return true;
}

/* False when it has replied. */
static bool read_parameters(struct reading *reading)
{
	static const struct parameter parameters[] = {
		{"limit", "a number from 1 to 1000", take_limit},
		{"path", "the path of a route", take_path},
		{"status",
		 "a status (504), a class (5xx), failed, or one of success, error, oom, timeout, refused, broken, "
		 "cancelled",
		 take_status},
		{"since", "a time like 2026-11-22T06:02:43Z, or seconds since 1970", take_since},
		{"before", "the cursor of a call", take_before},
		{"after", "the cursor of a call", take_after},
	};

	for (size_t i = 0; i < ARRAY_LEN(parameters); i++) {
		_cleanup_(text_done) struct text value = {0};

		if (!path_query(reading->request->target, parameters[i].name, &value))
			continue;
		if (value.length == strlen(value.data) && parameters[i].read(value.data, reading))
			continue;
		api_reply_error(reading->request, 400, "%s must be %s", parameters[i].name, parameters[i].wanted);
		return false;
	}
	return true;
}

static void list(struct http_request *request, const char *app)
{
	struct reading *reading = reading_new(request, app);

	if (!reading)
		return;
	reading->filter = (struct history_filter){.app = reading->app, .outcomes = ~0u, .limit = LIMIT_DEFAULT};
	if (read_parameters(reading))
		begin(reading, run_list);
	else
		reading_free(reading);
}

void calls_list(struct http_request *request, const struct path_match *match)
{
	list(request, match->app);
}

void calls_list_all(struct http_request *request, const struct path_match *match)
{
	(void)match;
	list(request, NULL);
}

/* --- one call ----------------------------------------------------------------------------------------------------- */

static void run_get(struct reading *reading, struct history *history)
{
	struct err err = ERR_INIT;
	int r;

	reading->status = 200;
	if (reading->is_log) {
		r = history_log(history, reading->app, reading->id, &reading->body, &reading->log_truncated, &err);
	} else {
		text_puts(&reading->body, "{\"message\":\"Successfully loaded call\",\"call\":");
		r = history_get(history, reading->app, reading->id, &reading->body, &err);
		text_puts(&reading->body, "}");
	}
	if (r == -ENOENT)
		set_error(reading, 404, reading->app_exists ? "Call not found" : "App not found");
	else if (r < 0)
		set_failed(reading, &err);
}

void calls_get(struct http_request *request, const struct path_match *match)
{
	const char *id = match->rest + 1;
	size_t length = strcspn(id, "/");
	bool is_log = strcmp(id + length, "/log") == 0;
	struct reading *reading;

	if (length == 0 || (id[length] && !is_log)) {
		api_reply_not_found(request);
		return;
	}
	reading = reading_new(request, match->app);
	if (!reading)
		return;
	reading->id = strndup(id, length);
	if (!reading->id) {
		reading_free(reading);
		api_reply_error(request, 503, "ferrite is out of memory");
		return;
	}
	reading->is_log = is_log;
	begin(reading, run_get);
}
