#include "rootfs/jobs.h"

#include "supervisor/str.h"
#include "supervisor/util.h"

#include <string.h>

/* Descriptors of a worker: the four directories of the store, then the archive of an import. */
enum { STORE_FD = CHILD_FD_FIRST, STORE_BLOBS_FD, STORE_LAYERS_FD, STORE_TMP_FD, ARCHIVE_FD, WORKER_FDS = 5 };

struct worker {
	struct store store; /* as the worker sees it */
	struct import_request import;
	const struct runnable *runnable;
	const char *runner;
	const char *name;
};

/* --- in the worker ------------------------------------------------------------------------------------------------ */

static void send_progress(void *context, const char *phase, uint64_t done, uint64_t total)
{
	struct report report = {.type = JOB_PROGRESS, .a = done, .b = total};

	(void)context;
	(void)str_copy(report.phase, sizeof(report.phase), phase);
	report_send(&report);
}

static int fail_in(const char *phase, int code, const struct err *why)
{
	struct report last = {.type = REPORT_FAILED, .code = why->code ? why->code : code};

	(void)str_copy(last.phase, sizeof(last.phase), phase);
	(void)str_copy(last.text, sizeof(last.text), why->text);
	report_send(&last);
	_exit(1);
}

static int run_import(void *context, struct err *err)
{
	struct worker *w = context;
	_cleanup_(import_result_clear) struct import_result result = {0};
	struct report report = {.type = JOB_IMPORTED};
	char phase[REPORT_PHASE_MAX] = "import";
	json_t *id;
	size_t i;
	int r;

	w->import.store = &w->store;
	w->import.archive_fd = ARCHIVE_FD;
	w->import.progress = send_progress;
	r = import_run(&w->import, &result, phase, err);
	if (r < 0)
		return fail_in(phase, r, err);
	json_array_foreach(result.verified, i, id)
	{
		report_text(JOB_VERIFIED, 0, 0, json_string_value(id));
	}
	for (i = 0; i < result.n_names; i++)
		report_text(JOB_NAME, 0, 0, result.names[i]);
	report.a = result.image.size;
	report.b = result.image.manifest_size;
	(void)str_copy(report.digest, sizeof(report.digest), result.image.digest);
	report_send(&report);
	return 0;
}

static void send_source(const struct hostbase_source *s, uint64_t number)
{
	const uint64_t values[] = {s->device, s->inode, s->bytes, s->changed_ns};

	for (size_t i = 0; i < ARRAY_LEN(values); i++) {
		struct report report = {.type = JOB_HOST_SOURCE, .code = (int32_t)i, .a = number, .b = values[i]};

		(void)str_copy(report.text, sizeof(report.text), s->path);
		report_send(&report);
	}
}

static int run_prepare(void *context, struct err *err)
{
	struct worker *w = context;
	_cleanup_(hostbase_clear) struct hostbase base = {0};
	int r = 0;

	for (size_t i = 0; i < w->runnable->n_layers; i++) {
		const char *id = w->runnable->layers[i];

		if (store_is_verified(&w->store, id))
			continue;
		r = layers_verify(&w->store, id, err);
		if (r < 0)
			return r;
		report_text(JOB_VERIFIED, 0, 0, id);
	}
	if (!w->runnable->host_base)
		return 0;
	r = hostbase_build(&w->store, w->runnable->needed, w->runner, &base, err);
	if (r < 0)
		return r;
	for (size_t i = 0; i < base.n_ids; i++)
		report_text(JOB_HOST_LAYER, 0, 0, base.ids[i]);
	for (size_t i = 0; i < base.n_sources; i++)
		send_source(&base.sources[i], i);
	return 0;
}

static int run_delete(void *context, struct err *err)
{
	struct worker *w = context;

	return store_delete_tree(w->store.tmp_fd, w->name, err);
}

/* --- in the server ------------------------------------------------------------------------------------------------ */

static int start(struct worker *w, const struct store *store, const char *name,
		 int (*run)(void *context, struct err *err), int archive_fd, struct child *ret_child, struct err *err)
{
	const int fds[WORKER_FDS] = {store->dir_fd, store->blobs_fd, store->layers_fd, store->tmp_fd, archive_fd};
	const struct child_plan plan = {
		.run = run,
		.context = w,
		.name = name,
		.fds = fds,
		.n_fds = archive_fd >= 0 ? WORKER_FDS : WORKER_FDS - 1,
	};

	/* The names and the set of verified layers come along with the memory, the directories under new numbers. */
	w->store = *store;
	w->store.dir_fd = STORE_FD;
	w->store.blobs_fd = STORE_BLOBS_FD;
	w->store.layers_fd = STORE_LAYERS_FD;
	w->store.tmp_fd = STORE_TMP_FD;
	return child_start(&plan, ret_child, err);
}

int job_start_import(const struct import_request *request, struct child *ret_child, struct err *err)
{
	struct worker w = {.import = *request};

	return start(&w, request->store, "import", run_import, request->archive_fd, ret_child, err);
}

int job_start_prepare(const struct store *store, const struct runnable *runnable, const char *runner,
		      struct child *ret_child, struct err *err)
{
	struct worker w = {.runnable = runnable, .runner = runner};

	return start(&w, store, "layers", run_prepare, -1, ret_child, err);
}

int job_start_delete(const struct store *store, const char *name, struct child *ret_child, struct err *err)
{
	struct worker w = {.name = name};

	return start(&w, store, "delete", run_delete, -1, ret_child, err);
}

int job_take_host(const struct report *report, struct hostbase *base, struct err *err)
{
	struct hostbase_source *s;

	if (report->type == JOB_HOST_LAYER) {
		if (base->n_ids >= HOSTBASE_LAYERS_MAX ||
		    !str_copy(base->ids[base->n_ids], STORE_LAYER_ID_MAX, report->text))
			return err_set(err, EPROTO, "a worker made too many host layers");
		base->n_ids++;
		return 0;
	}
	if (!base->sources)
		base->sources = calloc(HOSTBASE_FILES_MAX, sizeof(*base->sources));
	if (!base->sources)
		return err_sys(err, ENOMEM, "keep the host's layers");
	if (report->a >= HOSTBASE_FILES_MAX || report->code < 0 || report->code > 3)
		return err_set(err, EPROTO, "a worker sent a malformed report");
	s = &base->sources[report->a];
	base->n_sources = MAX(base->n_sources, (size_t)report->a + 1);
	(void)str_copy(s->path, sizeof(s->path), report->text);
	*(report->code == 0   ? &s->device
	  : report->code == 1 ? &s->inode
	  : report->code == 2 ? &s->bytes
			      : &s->changed_ns) = report->b;
	return 0;
}
