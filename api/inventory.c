#include "api/inventory.h"

#include "api/instance.h"
#include "api/query.h"
#include "supervisor/str.h"
#include "supervisor/util.h"

#include <string.h>

#define INSTANCES_MAX 4096

static void answer_gpus(struct query *query)
{
	if (query->peer.reply)
		query_answer_document(query);
	else
		query_answer_failed(query->request, &query->peer.failure, 500);
}

void inventory_gpus(struct http_request *request, const struct path_match *match)
{
	struct query *query = query_new(request, answer_gpus);

	(void)match;
	if (query)
		query_send(query, PEER_GPU, GPU_LIST, GPU_DOCUMENT, 0);
}

/* --- instances ---------------------------------------------------------------------------------------------------- */

struct listing;

/* What is known here, and what the sandbox adds. */
struct row {
	struct peer_request peer;
	struct listing *listing;
	struct sbx_stat body;
	struct function *function;
	enum instance_state state;
	struct sbx_created created;
	struct grant grant;
	char call_id[CALL_ID_LENGTH + 1];
	struct sbx_stated stated;
};

struct listing {
	struct http_request *request; /* NULL: gone */
	struct api_loop *loop;
	unsigned n, n_open;
	struct row *rows;
};

static void add_row(void *context, struct instance *instance)
{
	struct listing *listing = context;
	struct row *row = &listing->rows[listing->n++];

	*row = (struct row){.listing = listing,
			    .body = {.instance = instance->created.instance},
			    .function = function_ref(instance->function),
			    .state = atomic_load(&instance->state),
			    .created = instance->created,
			    .grant = instance->grant};
	(void)str_copy(row->call_id, sizeof(row->call_id), instance->call_id);
}

const char *inventory_state_name(enum instance_state state)
{
	static const char *const states[INSTANCE_STATE_MAX] = {[INSTANCE_STARTING] = "starting",
							       [INSTANCE_BUSY] = "busy",
							       [INSTANCE_IDLE] = "idle",
							       [INSTANCE_ENDING] = "ending"};

	return states[state];
}

static void write_row(const struct row *row, struct text *out)
{
	text_printf(out, "{\"id\":%llu,\"state\":\"%s\",\"app\":", (unsigned long long)row->created.instance,
		    inventory_state_name(row->state));
	text_json(out, row->function->app);
	text_puts(out, ",\"route\":");
	text_json(out, row->function->path);
	text_puts(out, ",\"image\":");
	text_json(out, row->function->image);
	text_printf(out, ",\"call_id\":\"%s\",\"pid\":%u,\"cgroup\":", row->call_id, row->created.pid);
	text_json(out, row->stated.cgroup);
	text_printf(out, ",\"memory\":%llu,\"memory_reserved\":%llu,\"cpu_us\":%llu,\"tasks\":%u,\"gpu\":",
		    (unsigned long long)row->stated.memory_bytes, (unsigned long long)row->grant.memory_bytes,
		    (unsigned long long)row->stated.cpu_us, row->stated.tasks);
	if (row->grant.has_gpu)
		text_json(out, row->grant.gpu_device);
	else
		text_puts(out, "null");
	text_printf(out, ",\"gpu_memory\":%llu}", (unsigned long long)row->grant.gpu_memory_bytes);
}

static void finish(struct listing *listing)
{
	_cleanup_(text_done) struct text body = {0};

	text_puts(&body, "{\"instances\":[");
	for (unsigned i = 0; i < listing->n; i++) {
		if (i > 0)
			text_puts(&body, ",");
		write_row(&listing->rows[i], &body);
		function_unref(listing->rows[i].function);
	}
	text_puts(&body, "]}");
	if (listing->request)
		api_reply(listing->request, 200, &body);
	free(listing->rows);
	free(listing);
}

static void on_stated(struct peer_request *request)
{
	struct row *row = (struct row *)request;
	struct listing *listing = row->listing;

	/* One that has ended meanwhile is shown as it was. */
	if (request->reply) {
		memcpy(&row->stated, request->reply->payload, sizeof(row->stated));
		row->stated.cgroup[sizeof(row->stated.cgroup) - 1] = '\0';
	}
	peer_request_done(request);
	if (--listing->n_open == 0)
		finish(listing);
}

static void on_gone(struct http_request *request)
{
	struct listing *listing = request->user;

	listing->request = NULL;
}

void inventory_instances(struct http_request *request, const struct path_match *match)
{
	struct listing *listing = calloc(1, sizeof(*listing));
	struct api *api = api_loop_of(request)->api;
	size_t count = MIN(dispatcher_count(api->dispatcher), (size_t)INSTANCES_MAX);

	(void)match;
	if (listing)
		listing->rows = calloc(count + 1, sizeof(struct row));
	if (!listing || !listing->rows) {
		free(listing);
		api_reply_error(request, 503, "ferrite is out of memory");
		return;
	}
	listing->request = request;
	listing->loop = api_loop_of(request);
	request->user = listing;
	request->gone = on_gone;
	request->patient = true;
	dispatcher_visit(api->dispatcher, (unsigned)count, add_row, listing);
	listing->n_open = listing->n;
	if (listing->n == 0) {
		finish(listing);
		return;
	}
	/* The answers run in this loop, so the listing lives at least until this function ends. */
	for (unsigned i = 0; i < listing->n; i++) {
		struct row *row = &listing->rows[i];

		row->peer.worker = &listing->loop->worker;
		row->peer.done = on_stated;
		row->peer.expects = SBX_STATED;
		row->peer.out = (struct ipc_out){.type = SBX_STAT, .body = &row->body, .body_size = sizeof(row->body)};
		peers_send(api->peers, PEER_SANDBOX, &row->peer);
	}
}
