#include "api/scrape.h"

#include "api/instance.h"
#include "api/inventory.h"
#include "api/json.h"
#include "api/query.h"
#include "supervisor/util.h"

#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/resource.h>

#define TEXT_TYPE	"text/plain; version=0.0.4; charset=utf-8"
#define INSTANCES_MAX	65536
#define PROC_STAT_BYTES 4096
#define GPU_ROWS_MAX	64

static void gauge(struct text *out, const char *name, const char *help, uint64_t value)
{
	metrics_family(out, name, "gauge", help);
	text_printf(out, "%s %" PRIu64 "\n", name, value);
}

/* --- the parts ---------------------------------------------------------------------------------------------------- */

static void write_calls(const struct api *api, struct text *out)
{
	const struct metrics *loops[LOOPS_MAX];

	for (unsigned i = 0; i < api->n_loops; i++)
		loops[i] = &api->loops[i].metrics;
	metrics_write(loops, api->n_loops, out);
	gauge(out, "ferrite_calls_waiting", "Calls that were accepted and do not run yet.",
	      atomic_load(&api->dispatcher->queued));
	gauge(out, "ferrite_calls_running", "Calls whose function runs.", atomic_load(&api->dispatcher->running));
}

static void count_state(void *context, struct instance *instance)
{
	unsigned *counts = context;

	counts[atomic_load(&instance->state)]++;
}

static void write_instances(struct dispatcher *dispatcher, struct text *out)
{
	unsigned counts[INSTANCE_STATE_MAX] = {0};

	dispatcher_visit(dispatcher, INSTANCES_MAX, count_state, counts);
	metrics_family(out, "ferrite_instances", "gauge", "Containers, by what they are doing.");
	for (unsigned state = 0; state < INSTANCE_STATE_MAX; state++)
		text_printf(out, "ferrite_instances{state=\"%s\"} %u\n",
			    inventory_state_name((enum instance_state)state), counts[state]);
}

static void write_budget(struct budget *budget, struct text *out)
{
	uint64_t total, used;
	unsigned waiting;

	pthread_mutex_lock(&budget->lock);
	total = budget->total;
	used = budget->used;
	waiting = budget->n_waiting;
	pthread_mutex_unlock(&budget->lock);
	gauge(out, "ferrite_memory_budget_bytes", "Memory for all running functions together.", total);
	gauge(out, "ferrite_memory_reserved_bytes", "What running functions have reserved of it.", used);
	gauge(out, "ferrite_memory_waiting_calls", "Calls in the line for memory.", waiting);
}

static void counter(struct text *out, const char *name, const char *help, uint64_t value)
{
	metrics_family(out, name, "counter", help);
	text_printf(out, "%s %" PRIu64 "\n", name, value);
}

static void write_queue(const struct queue *queue, struct text *out)
{
	const struct queue_numbers numbers = queue_numbers(queue);
	const struct {
		const char *state;
		uint64_t tasks;
	} rows[] = {{"ready", numbers.ready},
		    {"delayed", numbers.delayed},
		    {"reserved", numbers.reserved},
		    {"running", numbers.running},
		    {"dead", numbers.dead}};

	metrics_family(out, "ferrite_queue_tasks", "gauge", "Asynchronous calls in the queue, by state.");
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		text_printf(out, "ferrite_queue_tasks{state=\"%s\"} %" PRIu64 "\n", rows[i].state, rows[i].tasks);
	metrics_family(out, "ferrite_queue_oldest_task_age_seconds", "gauge",
		       "How long the oldest task that nobody took has been waiting.");
	text_printf(out, "ferrite_queue_oldest_task_age_seconds %.3f\n", (double)queue_oldest_age_us(queue) / 1e6);
	gauge(out, "ferrite_queue_bytes", "Size of the tasks in the queue.", numbers.bytes);
	counter(out, "ferrite_queue_accepted_total", "Tasks that were accepted.", numbers.accepted);
	counter(out, "ferrite_queue_acknowledged_total", "Tasks that were done and forgotten.", numbers.acknowledged);
	counter(out, "ferrite_queue_crashed_total", "Runs of tasks that a crash ended.", numbers.crashed);
}

static void write_http(const struct api *api, struct text *out)
{
	metrics_family(out, "ferrite_http_responses_total", "counter", "Answers to HTTP requests, by class of status.");
	for (unsigned class = 1; class < HTTP_CLASSES; class ++) {
		uint64_t sum = 0;

		for (unsigned i = 0; i < api->n_loops; i++)
			sum += http_loop_answers(api->loops[i].http, class);
		text_printf(out, "ferrite_http_responses_total{code=\"%uxx\"} %" PRIu64 "\n", class, sum);
	}
}

static void write_servers(struct api *api, struct text *out)
{
	metrics_family(out, "ferrite_server_up", "gauge", "Whether ferrite-api has a channel to the server.");
	for (unsigned peer = PEER_SANDBOX; peer < PEER_MAX; peer++)
		text_printf(out, "ferrite_server_up{server=\"%s\"} %d\n", peer_name((enum peer)peer),
			    peers_connected(api->peers, (enum peer)peer));
}

/* --- the process, as Prometheus' client libraries have it --------------------------------------------------------- */

static unsigned count_descriptors(void)
{
	_cleanup_dir_ DIR *folder = opendir("/proc/self/fd");
	unsigned n = 0;

	while (folder && readdir(folder))
		n++;
	/* Not ".", "..", and the folder's own. */
	return n > 3 ? n - 3 : 0;
}

/* Time at which the process began, in seconds since 1970: ticks since the machine was, and when that was. */
static double start_time(unsigned long long ticks)
{
	struct timespec boot, now;

	(void)clock_gettime(CLOCK_BOOTTIME, &boot);
	(void)clock_gettime(CLOCK_REALTIME, &now);
	return (double)(now.tv_sec - boot.tv_sec) + (double)(now.tv_nsec - boot.tv_nsec) / 1e9 +
	       (double)ticks / (double)sysconf(_SC_CLK_TCK);
}

static void write_stat(struct text *out)
{
	_cleanup_free_ char *stat = NULL;
	unsigned long long ticks = 0, virtual = 0, pages = 0;
	const char *at;

	if (file_read(AT_FDCWD, "/proc/self/stat", PROC_STAT_BYTES, &stat, NULL) < 0)
		return;
	/* The name, in brackets, may hold anything; of the fields after it the 20th to the 22nd. */
	at = strrchr(stat, ')');
	if (!at || sscanf(at + 1, " %*c%*d%*d%*d%*d%*d%*u%*u%*u%*u%*u%*u%*u%*d%*d%*d%*d%*d%*d%llu%llu%llu", &ticks,
			  &virtual, &pages) != 3)
		return;
	gauge(out, "process_resident_memory_bytes", "Resident memory of ferrite-api.",
	      pages * (uint64_t)sysconf(_SC_PAGESIZE));
	gauge(out, "process_virtual_memory_bytes", "Virtual memory of ferrite-api.", virtual);
	metrics_family(out, "process_start_time_seconds", "gauge", "When ferrite-api began, in seconds since 1970.");
	text_printf(out, "process_start_time_seconds %.2f\n", start_time(ticks));
}

static void write_process(struct text *out)
{
	struct rlimit files = {0};
	struct rusage used = {0};
	int64_t us;

	(void)getrusage(RUSAGE_SELF, &used);
	us = (used.ru_utime.tv_sec + used.ru_stime.tv_sec) * 1000000 + used.ru_utime.tv_usec + used.ru_stime.tv_usec;
	metrics_family(out, "process_cpu_seconds_total", "counter", "Processor time of ferrite-api.");
	text_printf(out, "process_cpu_seconds_total %" PRId64 ".%06" PRId64 "\n", us / 1000000, us % 1000000);
	gauge(out, "process_open_fds", "Descriptors that ferrite-api has open.", count_descriptors());
	if (getrlimit(RLIMIT_NOFILE, &files) == 0)
		gauge(out, "process_max_fds", "Descriptors that it may open.", (uint64_t)files.rlim_cur);
	write_stat(out);
}

/* --- the GPUs ----------------------------------------------------------------------------------------------------- */

struct gpu_family {
	const char *name, *member, *help;
};

/* Each device is known by its index and its UUID. */
static void write_gpu_family(const json_t *gpus, const struct gpu_family *family, struct text *out)
{
	size_t i;
	json_t *gpu;

	metrics_family(out, family->name, "gauge", family->help);
	json_array_foreach((json_t *)gpus, i, gpu)
	{
		const char *uuid = json_string_value(json_object_get(gpu, "uuid"));
		const json_t *bytes = json_object_get(gpu, family->member);

		/* What a driver does not say is null. */
		if (i >= GPU_ROWS_MAX || !json_is_integer(bytes))
			continue;
		text_printf(out, "%s{gpu=\"%lld\",uuid=", family->name,
			    (long long)json_integer_value(json_object_get(gpu, "index")));
		metrics_label(out, uuid ? uuid : "");
		text_printf(out, "} %lld\n", (long long)MAX(json_integer_value(bytes), 0));
	}
}

static void write_gpus(struct peer_reply *reply, struct text *out)
{
	static const struct gpu_family families[] = {
		{"ferrite_gpu_memory_bytes", "memory_total", "Memory of the device."},
		{"ferrite_gpu_memory_reserved_bytes", "memory_declared", "What instances have reserved of it."},
	};
	_cleanup_(text_done) struct text document = {0};
	_cleanup_json_ json_t *root = NULL;
	const json_t *gpus;

	if (query_read_document(reply, &document) < 0)
		return;
	root = json_loadb(document.data, document.length, 0, NULL);
	gpus = json_object_get(root, "gpus");
	for (size_t i = 0; json_array_size(gpus) > 0 && i < ARRAY_LEN(families); i++)
		write_gpu_family(gpus, &families[i], out);
}

/* --- the answer --------------------------------------------------------------------------------------------------- */

static void answer(struct http_request *request, struct peer_reply *gpus)
{
	struct api *api = api_loop_of(request)->api;
	_cleanup_(text_done) struct text out = {0};

	write_calls(api, &out);
	write_instances(api->dispatcher, &out);
	write_budget(&api->dispatcher->budget, &out);
	write_queue(api->queue, &out);
	if (gpus)
		write_gpus(gpus, &out);
	write_servers(api, &out);
	write_http(api, &out);
	gauge(&out, "ferrite_http_connections", "Open connections of clients.", atomic_load(&api->http.connections));
	metrics_family(&out, "ferrite_build_info", "gauge", "The version of ferrite, and of the interface it speaks.");
	text_puts(&out, "ferrite_build_info{version=\"" FERRITE_VERSION "\",interface=\"" API_VERSION_ANSWER "\"} 1\n");
	write_process(&out);
	if (out.failed)
		api_reply_error(request, 503, "ferrite is out of memory");
	else
		http_reply(request, 200, TEXT_TYPE, out.data, out.length);
}

/* ferrite-gpu may have ended meanwhile: then there is nothing to say about its devices. */
static void answer_query(struct query *query)
{
	answer(query->request, query->peer.reply);
}

void scrape_metrics(struct http_request *request, const struct path_match *match)
{
	struct query *query;

	(void)match;
	/* One that is not there would be waited for. */
	if (!peers_connected(api_loop_of(request)->api->peers, PEER_GPU)) {
		answer(request, NULL);
		return;
	}
	query = query_new(request, answer_query);
	if (query)
		query_send(query, PEER_GPU, GPU_LIST, GPU_DOCUMENT, 0);
}
