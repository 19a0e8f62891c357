#include "api/remote.h"

#include "api/jwt.h"
#include "api/task_json.h"
#include "api/task_run.h"
#include "supervisor/log.h"
#include "supervisor/str.h"
#include "supervisor/util.h"

#include <arpa/inet.h>
#include <curl/curl.h>
#include <ifaddrs.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <time.h>

#define PAUSE_S		  1
#define CONNECT_TIMEOUT_S 5L
#define STALL_TIMEOUT_S	  30L
#define TOKEN_SECONDS	  300
/* What a task may be larger as JSON than it is. */
#define JSON_GROWTH 8

struct remote_run {
	struct task_run run;
	struct remote *remote;
	TAILQ_ENTRY(remote_run) link;
};

struct remote {
	struct worker worker;
	struct api *api;
	CURL *curl;
	char url[1024];
	char name[1024]; /* the same for people to read, without a user and a password */
	struct event *timer;
	struct worker_task poll_task;
	bool poll_posted, failing;
	_Atomic bool stopping;
	char jwt_key[256];
	uint64_t max_bytes; /* of an answer */
	struct text answer;
	TAILQ_HEAD(remote_runs, remote_run) runs;
};

/* --- requests ----------------------------------------------------------------------------------------------------- */

/* "Authorization: Bearer …", as the command line tool sends it. */
static int write_token(const char *key, struct text *out)
{
	_cleanup_free_ char *token = jwt_token_make(key, time(NULL), TOKEN_SECONDS);

	if (!token)
		return -ENOMEM;
	text_printf(out, "Authorization: Bearer %s", token);
	return out->failed ? -ENOMEM : 0;
}

static size_t on_bytes(char *bytes, size_t one, size_t length, void *context)
{
	struct remote *remote = context;

	(void)one;
	if (length > remote->max_bytes - MIN(remote->answer.length, remote->max_bytes))
		return 0;
	text_add(&remote->answer, bytes, length);
	return remote->answer.failed ? 0 : length;
}

/* Nothing waits for the other side when we end. */
static int on_progress(void *context, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d)
{
	struct remote *remote = context;

	(void)a;
	(void)b;
	(void)c;
	(void)d;
	return atomic_load(&remote->worker.stopping);
}

/* The settings that a reload may change. */
static void refresh(struct remote *remote)
{
	struct api *api = remote->api;

	pthread_mutex_lock(&api->settings_lock);
	memcpy(remote->jwt_key, api->settings.jwt_auth_key, sizeof(remote->jwt_key));
	remote->max_bytes = api->settings.max_task_bytes * JSON_GROWTH + MIB;
	pthread_mutex_unlock(&api->settings_lock);
}

/* Sends METHOD with BODY (or none); the answer is in remote->answer. Returns the status. */
static int exchange(struct remote *remote, const char *method, const char *body, struct err *err)
{
	_cleanup_(text_done) struct text token = {0};
	char problem[CURL_ERROR_SIZE] = "";
	struct curl_slist *headers = NULL;
	CURL *curl = remote->curl;
	long status = 0;
	CURLcode code;

	refresh(remote);
	if (*remote->jwt_key && write_token(remote->jwt_key, &token) < 0)
		return err_sys(err, ENOMEM, "a token for %s", remote->name);
	headers = curl_slist_append(headers, token.data ? token.data : "Accept: application/json");
	text_clear(&remote->answer);
	remote->answer.failed = false;
	(void)curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, method);
	(void)curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
	(void)curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, problem);
	if (body)
		(void)curl_easy_setopt(curl, CURLOPT_COPYPOSTFIELDS, body);
	else
		(void)curl_easy_setopt(curl, CURLOPT_HTTPGET, 1L);
	code = headers ? curl_easy_perform(curl) : CURLE_OUT_OF_MEMORY;
	(void)curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
	(void)curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, NULL);
	(void)curl_easy_setopt(curl, CURLOPT_HTTPHEADER, NULL);
	curl_slist_free_all(headers);
	if (code != CURLE_OK)
		return err_set(err, EIO, "%s %s: %s", method, remote->name,
			       *problem ? problem : curl_easy_strerror(code));
	return (int)status;
}

/* --- tasks -------------------------------------------------------------------------------------------------------- */

static void post_poll(struct remote *remote)
{
	if (remote->poll_posted || atomic_load(&remote->stopping))
		return;
	remote->poll_posted = true;
	worker_post(&remote->worker, &remote->poll_task);
}

static void poll_later(struct remote *remote)
{
	static const struct timeval pause = {.tv_sec = PAUSE_S};

	(void)evtimer_add(remote->timer, &pause);
}

static void free_run(struct remote_run *own)
{
	struct remote *remote = own->remote;

	TAILQ_REMOVE(&remote->runs, own, link);
	task_run_done(&own->run);
	task_slots_give(&remote->api->task_slots);
	free(own);
}

static void acknowledge(struct remote *remote, const struct task *item)
{
	_cleanup_(text_done) struct text body = {0};
	struct err err = ERR_INIT;
	int status;

	text_puts(&body, "{\"id\":");
	text_json(&body, item->id);
	text_printf(&body, ",\"priority\":%u}", item->priority);
	status = body.failed ? -ENOMEM : exchange(remote, "DELETE", body.data, &err);
	if (status != 202)
		log_warn("a task that ran could not be acknowledged, so it may run again", LOG_STR("call_id", item->id),
			 LOG_STR("queue", remote->name), LOG_INT("status", MAX(status, 0)), LOG_STR("error", err.text));
}

static void on_ended(struct task_run *run)
{
	struct remote_run *own = TABLE_OWNER(run, struct remote_run, run);
	struct remote *remote = own->remote;

	atomic_fetch_sub(&remote->api->tasks_running, 1);
	/* What did not run comes back by itself, perhaps to somebody who has the image. */
	if (run->verdict == TASK_OVER)
		acknowledge(remote, &run->item);
	free_run(own);
	post_poll(remote);
}

static bool is_running(const struct remote *remote, const char *id)
{
	const struct remote_run *own;

	TAILQ_FOREACH(own, &remote->runs, link)
	if (strcmp(own->run.item.id, id) == 0)
		return true;
	return false;
}

/* Takes over the task, and a slot unless it fails. */
static int start(struct remote *remote, struct task *task, struct err *err)
{
	struct remote_run *own = calloc(1, sizeof(*own));

	if (!own) {
		task_done(task);
		return err_sys(err, ENOMEM, "task");
	}
	own->remote = remote;
	own->run = (struct task_run){.worker = &remote->worker, .ended = on_ended};
	task_run_take(remote->api, &own->run, task);
	TAILQ_INSERT_TAIL(&remote->runs, own, link);
	atomic_fetch_add(&remote->api->tasks_running, 1);
	task_run_start(&own->run);
	return 0;
}

/* 0: there was a task, and a slot went with it; -ENOENT: there was none. */
static int take(struct remote *remote, struct err *err)
{
	struct task task = {0};
	int status = exchange(remote, "GET", NULL, err);
	int r;

	if (status < 0)
		return status;
	if (status != 202 && status != 200)
		return err_set(err, EIO, "GET %s: answered with status %d", remote->name, status);
	r = remote->answer.data ? task_json_read(remote->answer.data, remote->answer.length, &task, err) : -ENOENT;
	if (r < 0)
		return r == -ENOENT ? r : err_wrap(err, "GET %s", remote->name);
	if (!is_running(remote, task.id))
		return start(remote, &task, err);
	/* Reserved once more, and nothing else is ready as long as it is the first. */
	task_done(&task);
	return -ENOENT;
}

static void run_poll(struct worker_task *posted)
{
	struct remote *remote = TABLE_OWNER(posted, struct remote, poll_task);
	struct err err = ERR_INIT;
	int r;

	remote->poll_posted = false;
	if (atomic_load(&remote->stopping))
		return;
	if (!budget_has_half(&remote->api->dispatcher->budget, 0) || !task_run_has_memory(remote->api) ||
	    !task_slots_take(&remote->api->task_slots)) {
		poll_later(remote);
		return;
	}
	r = take(remote, &err);
	if (r == 0) {
		remote->failing = false;
		post_poll(remote);
		return;
	}
	task_slots_give(&remote->api->task_slots);
	/* Once for each time that it stops working. */
	if (r != -ENOENT && !remote->failing && !atomic_load(&remote->stopping))
		log_error("no tasks from the queue at API_URL", LOG_STR("error", err.text));
	remote->failing = r != -ENOENT;
	poll_later(remote);
}

static void on_timer(evutil_socket_t fd, short what, void *context)
{
	(void)fd;
	(void)what;
	post_poll(context);
}

/* --- the whole ---------------------------------------------------------------------------------------------------- */

static int take_url(struct remote *remote, const char *url, struct err *err)
{
	CURLU *parsed = curl_url();
	char *path = NULL, *whole = NULL, *name = NULL;
	bool good = parsed && curl_url_set(parsed, CURLUPART_URL, url, 0) == CURLUE_OK &&
		    curl_url_get(parsed, CURLUPART_PATH, &path, 0) == CURLUE_OK;

	if (good && strcmp(path, "/") == 0)
		good = curl_url_set(parsed, CURLUPART_PATH, "/tasks", 0) == CURLUE_OK;
	good = good && curl_url_get(parsed, CURLUPART_URL, &whole, 0) == CURLUE_OK &&
	       (strncmp(whole, "http://", 7) == 0 || strncmp(whole, "https://", 8) == 0) &&
	       str_copy(remote->url, sizeof(remote->url), whole);
	good = good && curl_url_set(parsed, CURLUPART_USER, NULL, 0) == CURLUE_OK &&
	       curl_url_set(parsed, CURLUPART_PASSWORD, NULL, 0) == CURLUE_OK &&
	       curl_url_get(parsed, CURLUPART_URL, &name, 0) == CURLUE_OK &&
	       str_copy(remote->name, sizeof(remote->name), name);
	curl_free(path);
	curl_free(whole);
	curl_free(name);
	curl_url_cleanup(parsed);
	return good ? 0 : err_set(err, EINVAL, "API_URL is no URL with http or https");
}

int remote_open(struct api *api, const char *url, struct remote **ret_remote, struct err *err)
{
	struct remote *remote = calloc(1, sizeof(*remote));
	int r;

	if (!remote)
		return err_sys(err, ENOMEM, "remote queue");
	remote->api = api;
	TAILQ_INIT(&remote->runs);
	remote->poll_task.run = run_poll;
	(void)curl_global_init(CURL_GLOBAL_DEFAULT);
	r = worker_open(&remote->worker, 0, remote, err);
	if (r == 0)
		r = take_url(remote, url, err);
	remote->curl = curl_easy_init();
	if (r == 0)
		remote->timer = evtimer_new(remote->worker.base, on_timer, remote);
	if (r == 0 && (!remote->curl || !remote->timer))
		r = err_set(err, ENOMEM, "remote queue");
	if (r < 0) {
		remote_close(remote);
		return r;
	}
	(void)curl_easy_setopt(remote->curl, CURLOPT_URL, remote->url);
	(void)curl_easy_setopt(remote->curl, CURLOPT_NOSIGNAL, 1L);
	(void)curl_easy_setopt(remote->curl, CURLOPT_CONNECTTIMEOUT, CONNECT_TIMEOUT_S);
	(void)curl_easy_setopt(remote->curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
	(void)curl_easy_setopt(remote->curl, CURLOPT_LOW_SPEED_TIME, STALL_TIMEOUT_S);
	(void)curl_easy_setopt(remote->curl, CURLOPT_WRITEFUNCTION, on_bytes);
	(void)curl_easy_setopt(remote->curl, CURLOPT_WRITEDATA, remote);
	(void)curl_easy_setopt(remote->curl, CURLOPT_XFERINFOFUNCTION, on_progress);
	(void)curl_easy_setopt(remote->curl, CURLOPT_XFERINFODATA, remote);
	(void)curl_easy_setopt(remote->curl, CURLOPT_NOPROGRESS, 0L);
	*ret_remote = remote;
	return 0;
}

int remote_start(struct remote *remote, struct err *err)
{
	post_poll(remote);
	return worker_start(&remote->worker, err);
}

void remote_stop(struct remote *remote)
{
	atomic_store(&remote->stopping, true);
}

void remote_join(struct remote *remote)
{
	if (remote->worker.running)
		worker_stop(&remote->worker);
	worker_join(&remote->worker);
}

void remote_close(struct remote *remote)
{
	if (!remote)
		return;
	if (remote->timer)
		event_free(remote->timer);
	worker_close(&remote->worker);
	if (remote->curl)
		curl_easy_cleanup(remote->curl);
	text_done(&remote->answer);
	free(remote);
}

/* --- is it us? ---------------------------------------------------------------------------------------------------- */

static bool same_address(const struct sockaddr *a, const struct sockaddr *b)
{
	if (a->sa_family != b->sa_family)
		return false;
	if (a->sa_family == AF_INET)
		return ((const struct sockaddr_in *)(const void *)a)->sin_addr.s_addr ==
		       ((const struct sockaddr_in *)(const void *)b)->sin_addr.s_addr;
	return a->sa_family == AF_INET6 && memcmp(&((const struct sockaddr_in6 *)(const void *)a)->sin6_addr,
						  &((const struct sockaddr_in6 *)(const void *)b)->sin6_addr, 16) == 0;
}

/* A name of this machine, or one of its addresses. */
static bool is_this_host(const char *host)
{
	struct sockaddr_in v4 = {.sin_family = AF_INET};
	struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};
	struct ifaddrs *all = NULL;
	char name[256] = "", plain[64] = "";
	bool found = false;
	size_t length = strlen(host);

	if (gethostname(name, sizeof(name) - 1) == 0 && strcasecmp(host, name) == 0)
		return true;
	if (strcasecmp(host, "localhost") == 0 || strncmp(host, "127.", 4) == 0 || strcmp(host, "[::1]") == 0)
		return true;
	if (host[0] == '[' && length > 2 && length - 2 < sizeof(plain))
		memcpy(plain, host + 1, length - 2);
	if (inet_pton(AF_INET, host, &v4.sin_addr) != 1 && inet_pton(AF_INET6, plain, &v6.sin6_addr) != 1)
		return false;
	if (getifaddrs(&all) < 0)
		return false;
	for (const struct ifaddrs *at = all; at && !found; at = at->ifa_next)
		found = at->ifa_addr && same_address(at->ifa_addr, *plain ? (const struct sockaddr *)(const void *)&v6
									  : (const struct sockaddr *)(const void *)&v4);
	freeifaddrs(all);
	return found;
}

static unsigned port_of(int fd)
{
	struct sockaddr_storage address = {0};
	socklen_t length = sizeof(address);

	if (getsockname(fd, (struct sockaddr *)&address, &length) < 0)
		return 0;
	if (address.ss_family == AF_INET)
		return ntohs(((const struct sockaddr_in *)(const void *)&address)->sin_port);
	return address.ss_family == AF_INET6 ? ntohs(((const struct sockaddr_in6 *)(const void *)&address)->sin6_port)
					     : 0;
}

bool remote_is_us(const char *url, const int *listen_fds, unsigned n)
{
	CURLU *parsed = curl_url();
	char *host = NULL, *port = NULL;
	bool us = false;

	if (parsed && curl_url_set(parsed, CURLUPART_URL, url, 0) == CURLUE_OK &&
	    curl_url_get(parsed, CURLUPART_HOST, &host, 0) == CURLUE_OK &&
	    curl_url_get(parsed, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT) == CURLUE_OK && is_this_host(host))
		for (unsigned i = 0; i < n && !us; i++)
			us = port_of(listen_fds[i]) == (unsigned)strtoul(port, NULL, 10);
	curl_free(host);
	curl_free(port);
	curl_url_cleanup(parsed);
	return us;
}
