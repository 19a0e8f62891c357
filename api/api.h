/*
 * The program as a whole: settings, loops, and what every handler needs. One struct api per process.
 *
 * Threads: `control` is the main thread (control channel, channels to the other servers, admission timer). `loops` are
 * the HTTP threads; a request, and the call it makes, stay in the loop that accepted them. `writer` is the one thread
 * that changes the store, and has the call history. The task queue has a thread of its own, and so has the queue at
 * API_URL.
 */
#ifndef FERRITE_API_API_H
#define FERRITE_API_API_H

#include "api/http.h"
#include "api/loglimit.h"
#include "api/metrics.h"
#include "api/path.h"
#include "api/queue.h"
#include "api/recorder.h"
#include "api/spool.h"
#include "api/store.h"
#include "api/table.h"
#include "api/text.h"
#include "api/worker.h"
#include "supervisor/server.h"

#define API_VERSION_ANSWER "0.2.72" /* of the contract, not ours */
#define LOOPS_MAX	   64
#define LISTENERS_MAX	   16

struct settings {
	char store_path[512];
	char queue_path[512];
	char api_url[1024];	   /* empty: no queue but ours */
	char spool_dir[512];	   /* uploads on their way to ferrite-rootfs */
	char jwt_auth_key[256];	   /* empty: no service authentication */
	uint64_t memory_bytes;	   /* of all running instances together */
	uint64_t max_body_bytes;   /* of one call */
	uint64_t max_spool_bytes;  /* of all bodies and uploads that wait in files */
	unsigned max_spools;	   /* files of them */
	uint64_t max_output_bytes; /* of one call */
	uint64_t max_image_bytes;  /* of one upload */
	enum sbx_network network;  /* of an image whose route says nothing */
	unsigned max_waiting;	   /* calls that wait for memory */
	uint64_t max_wait_us;	   /* of the first of them */
	char history_path[512];	   /* empty: in memory */
	struct history_limits history;
	uint64_t log_bytes; /* of one call's standard error, kept in the history */
	unsigned n_loops;
	unsigned async_workers;	 /* 0: no task is run here */
	uint64_t max_task_bytes; /* payload of one task */
	struct queue_limits queue;
	struct http_limits http;
};

struct api;
struct dispatcher;
struct env;
struct peers;
struct remote;
struct runner;

struct api_loop {
	struct worker worker;
	struct api *api;
	struct http_loop *http;
	struct store *store;	  /* reading */
	struct settings settings; /* this loop's copy: a reload reaches it as a task */
	struct worker_task settings_task;
	_Atomic bool settings_posted;
	struct worker_task drain_task;
	struct loglimit failures; /* calls that failed, in the log */
	struct metrics metrics;
	struct record_feed feed; /* calls that ended, on their way to the history */
	struct env *env;	 /* for the variables of one call at a time */
	char *scratch;		 /* for decoded paths */
	size_t scratch_size;
};

/* How many tasks run at a time, wherever they come from; see task_run.h. */
struct task_slots {
	_Atomic unsigned used, limit;
};

struct api {
	struct settings settings; /* changed by the control thread, with the lock held */
	pthread_mutex_t settings_lock;
	struct server server;
	struct worker control;
	struct worker writer;
	struct store *writer_store;
	struct http_shared http;
	struct spool_totals spools;
	struct dispatcher *dispatcher;
	struct queue *queue;
	struct runner *runner; /* our workers of our queue */
	struct remote *remote; /* our workers of the queue at API_URL, or NULL */
	struct task_slots task_slots;
	_Atomic unsigned tasks_running, next_loop;
	_Atomic uint64_t task_bytes; /* payloads of the tasks that were taken */
	struct peers *peers;
	struct recorder *recorder;
	unsigned n_listeners;
	int listen_fds[LISTENERS_MAX];
	enum listen_kind listen_kinds[LISTENERS_MAX];
	unsigned n_loops;
	struct api_loop loops[LOOPS_MAX];
	_Atomic uint64_t generation; /* of apps and routes: raised by each change */
	_Atomic bool draining;
};

typedef void api_handler(struct http_request *request, const struct path_match *match);

/* The loop that owns the request. */
static inline struct api_loop *api_loop_of(const struct http_request *request)
{
	return request->context;
}

/* Answers with BODY as JSON and a newline; takes its content. A failed BODY becomes a 503. */
void api_reply(struct http_request *request, unsigned status, struct text *body);
/* {"error":{"message":…}} */
void api_reply_error(struct http_request *request, unsigned status, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
/* The answer to what is not there: 404 with the JSON string "Not Found". */
void api_reply_not_found(struct http_request *request);

#endif
