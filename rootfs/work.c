/* Images in memory, and the jobs that make them ready or bring them in. */
#include "rootfs/gc.h"
#include "rootfs/service.h"

#include "supervisor/log.h"
#include "supervisor/str.h"
#include "supervisor/util.h"

#include <string.h>

#define HOST_CHECK_US 1000000 /* how often the host's libraries are looked at */

static void start_waiting_jobs(struct service *s);

/* --- images in memory --------------------------------------------------------------------------------------------- */

static void image_free(struct service_image *image)
{
	if (!image)
		return;
	runnable_clear(&image->runnable);
	hostbase_clear(&image->host);
	free(image);
}

static struct service_image *image_find(struct service *s, const char *digest)
{
	for (size_t i = 0; i < SERVICE_IMAGES_MAX; i++)
		if (s->images[i] && strcmp(s->images[i]->runnable.digest, digest) == 0)
			return s->images[i];
	return NULL;
}

/* The slot that is free or was not used for the longest time. */
static size_t image_slot(const struct service *s)
{
	size_t oldest = 0;

	for (size_t i = 0; i < SERVICE_IMAGES_MAX; i++) {
		if (!s->images[i])
			return i;
		if (s->images[i]->used < s->images[oldest]->used)
			oldest = i;
	}
	return oldest;
}

static struct service_image *image_get(struct service *s, const char *digest, struct err *err)
{
	struct service_image *image = image_find(s, digest);
	size_t slot;

	if (!image) {
		image = calloc(1, sizeof(*image));
		if (!image) {
			(void)err_sys(err, ENOMEM, "open an image");
			return NULL;
		}
		if (runnable_load(&s->store, digest, &image->runnable, err) < 0) {
			free(image);
			return NULL;
		}
		s->used_images = true;
		slot = image_slot(s);
		image_free(s->images[slot]);
		s->images[slot] = image;
	}
	image->used = clock_monotonic_us();
	return image;
}

static bool is_named(const struct service *s, const char *digest)
{
	for (size_t i = 0; i < s->store.n_names; i++)
		if (strcmp(s->store.names[i].digest, digest) == 0)
			return true;
	return false;
}

static void forget_unnamed(struct service *s)
{
	for (size_t i = 0; i < SERVICE_IMAGES_MAX; i++) {
		if (!s->images[i] || is_named(s, s->images[i]->runnable.digest))
			continue;
		image_free(s->images[i]);
		s->images[i] = NULL;
	}
}

static bool host_is_current(struct service_image *image)
{
	uint64_t now = clock_monotonic_us();

	if (!image->has_host)
		return false;
	if (now - image->host_checked_us < HOST_CHECK_US)
		return true;
	image->has_host = hostbase_is_current(&image->host);
	image->host_checked_us = now;
	return image->has_host;
}

static bool image_is_ready(const struct service *s, struct service_image *image)
{
	for (size_t i = 0; i < image->runnable.n_layers; i++)
		if (!store_is_verified(&s->store, image->runnable.layers[i]))
			return false;
	return !image->runnable.host_base || host_is_current(image);
}

/* --- RFS_OPEN ----------------------------------------------------------------------------------------------------- */

struct layer_fds {
	int fds[IMAGE_LAYERS_MAX];
	unsigned count;
};

static void layer_fds_close(struct layer_fds *l)
{
	for (unsigned i = 0; i < l->count; i++)
		fd_close(&l->fds[i]);
}

static int open_layer(struct service *s, const char *id, struct layer_fds *l, struct err *err)
{
	int fd;

	if (l->count >= IMAGE_LAYERS_MAX)
		return err_set(err, E2BIG, "the image has more than %d layers with its base", IMAGE_LAYERS_MAX);
	fd = store_layer_open(&s->store, id, err);
	if (fd < 0)
		return fd;
	l->fds[l->count++] = fd;
	return 0;
}

static void reply_opened(struct service *s, uint64_t id, struct service_image *image)
{
	_cleanup_(layer_fds_close) struct layer_fds l = {.count = 0};
	struct rfs_opened body = {0};
	struct err why = ERR_INIT;
	int r = 0;

	for (size_t i = 0; r == 0 && image->runnable.host_base && i < image->host.n_ids; i++)
		r = open_layer(s, image->host.ids[i], &l, &why);
	for (size_t i = 0; r == 0 && i < image->runnable.n_layers; i++)
		r = open_layer(s, image->runnable.layers[i], &l, &why);
	if (r < 0) {
		/* Whatever happened to the layer, the next call has it made again. */
		image->has_host = false;
		service_fail(s, id, "layers", &why);
		return;
	}
	(void)str_copy(body.digest, sizeof(body.digest), image->runnable.digest);
	body.n_layers = l.count;
	service_send(s, &(struct ipc_out){.type = RFS_OPENED,
					  .id = id,
					  .body = &body,
					  .body_size = sizeof(body),
					  .tail = image->runnable.config,
					  .tail_size = strlen(image->runnable.config) + 1,
					  .fds = l.fds,
					  .n_fds = l.count});
}

/* --- jobs --------------------------------------------------------------------------------------------------------- */

static void job_unlist(const struct service_job *job)
{
	for (size_t i = 0; i < SERVICE_JOBS_MAX; i++)
		if (job->service->jobs[i] == job)
			job->service->jobs[i] = NULL;
}

static void job_free(struct service_job *job)
{
	struct service *s = job->service;

	loop_remove(&s->loop, &job->watch);
	child_stop(&job->child);
	fd_close(&job->archive_fd);
	free(job->name);
	for (size_t i = 0; i < job->n_names; i++)
		free(job->names[i]);
	hostbase_clear(&job->host);
	job_unlist(job);
	free(job);
}

static struct service_job *job_new(struct service *s, enum job_kind kind, struct err *err)
{
	struct service_job *job = NULL;

	for (size_t i = 0; i < SERVICE_JOBS_MAX && !job; i++) {
		if (s->jobs[i])
			continue;
		job = calloc(1, sizeof(*job));
		if (!job) {
			(void)err_sys(err, ENOMEM, "begin work");
			return NULL;
		}
		s->jobs[i] = job;
	}
	if (!job) {
		(void)err_set(err, EAGAIN, "the image store is busy: %d imports and other jobs wait already",
			      SERVICE_JOBS_MAX);
		return NULL;
	}
	job->service = s;
	job->kind = kind;
	job->child = CHILD_INIT;
	job->watch.fd = -1;
	job->archive_fd = -1;
	return job;
}

/* Rubbish that cannot be deleted now is deleted at the next start. */
static void delete_rubbish(struct service *s, const char *name)
{
	struct service_job *job = *name ? job_new(s, JOB_KIND_DELETE, NULL) : NULL;

	if (!job)
		return;
	(void)str_copy(job->work, sizeof(job->work), name);
	start_waiting_jobs(s);
}

static bool is_preparing(const struct service *s)
{
	for (size_t i = 0; i < SERVICE_JOBS_MAX; i++)
		if (s->jobs[i] && s->jobs[i]->kind == JOB_KIND_PREPARE && s->jobs[i]->started)
			return true;
	return false;
}

int service_sweep(struct service *service, struct rfs_removed *ret, struct err *err)
{
	/* At the start nobody has asked for an image yet, and the host's layers are worth keeping. While an image is
	 * made ready, nobody here knows yet which of them it will use. */
	json_t *kept = service->used_images && !is_preparing(service) ? json_object() : NULL;
	struct gc_result result = {0};
	int r;

	forget_unnamed(service);
	for (size_t i = 0; kept && i < SERVICE_IMAGES_MAX; i++)
		for (size_t j = 0; service->images[i] && j < service->images[i]->host.n_ids; j++)
			(void)json_object_set_new(kept, service->images[i]->host.ids[j], json_true());
	for (size_t i = 0; kept && i < SERVICE_JOBS_MAX; i++)
		for (size_t j = 0; service->jobs[i] && j < service->jobs[i]->host.n_ids; j++)
			(void)json_object_set_new(kept, service->jobs[i]->host.ids[j], json_true());
	r = gc_sweep(&service->store, kept, &result, err);
	json_decref(kept);
	if (r < 0)
		return r;
	store_spare_keep(&service->store);
	delete_rubbish(service, result.rubbish);
	*ret = (struct rfs_removed){.blobs = result.blobs, .layers = result.layers, .bytes = result.bytes};
	return 0;
}

/* The images' names refer to it now, or nothing does any more. */
static void drop_pins(struct service *s, const struct service_job *job)
{
	char path[64];

	(void)snprintf(path, sizeof(path), "%s/" IMPORT_PINS_FILE, job->work);
	(void)unlinkat(s->store.tmp_fd, path, 0);
}

static void finish_import(struct service *s, struct service_job *job)
{
	struct rfs_imported body = {0};
	struct rfs_removed swept;
	struct err why = ERR_INIT;
	bool changed[IMPORT_NAMES_MAX] = {false};

	for (size_t i = 0; i < job->n_names; i++) {
		struct reference reference;
		const struct store_name *old =
			reference_parse(job->names[i], &reference, NULL) < 0 ? NULL : store_find(&s->store, &reference);

		changed[i] = !old || strcmp(old->digest, job->imported.digest) != 0;
	}
	if (store_set_names(&s->store, job->names, job->n_names, &job->imported, &why) < 0) {
		drop_pins(s, job);
		service_fail(s, job->id, "store", &why);
		return;
	}
	drop_pins(s, job);
	log_info("image imported", LOG_STR("name", job->n_names ? job->names[0] : ""),
		 LOG_STR("digest", job->imported.digest), LOG_INT("bytes", job->imported.size));
	(void)str_copy(body.digest, sizeof(body.digest), job->imported.digest);
	body.size = job->imported.size;
	for (size_t i = 0; i < job->n_names; i++)
		if (changed[i])
			service_changed(s, job->names[i]);
	service_send(s,
		     &(struct ipc_out){.type = RFS_IMPORTED, .id = job->id, .body = &body, .body_size = sizeof(body)});
	/* What a name meant before may have nothing left that refers to it. */
	if (service_sweep(s, &swept, &why) < 0)
		log_warn("the store was not swept", LOG_STR("why", why.text));
}

/* Answers everybody who waits for an image. */
static void finish_prepare(struct service *s, struct service_job *job, const struct err *failure)
{
	struct service_image *image = failure ? NULL : image_find(s, job->digest);
	struct err gone = ERR_INIT;

	if (!failure && !image)
		(void)err_set(&gone, ENOENT, "the image was removed while it was made ready");
	if (image) {
		hostbase_clear(&image->host);
		image->host = job->host;
		image->has_host = image->runnable.host_base;
		image->host_checked_us = clock_monotonic_us();
		job->host = (struct hostbase){0};
	}
	for (size_t i = 0; i < s->n_waiting;) {
		struct service_waiting w = s->waiting[i];

		if (strcmp(w.digest, job->digest) != 0) {
			i++;
			continue;
		}
		s->waiting[i] = s->waiting[--s->n_waiting];
		if (image)
			reply_opened(s, w.id, image);
		else
			service_fail(s, w.id, failure ? job->phase : "image", failure ? failure : &gone);
	}
}

static void finish_job(struct service *s, struct service_job *job, const struct err *failure)
{
	char work[40] = "";

	/* Off the list first: a channel that breaks while it is answered ends the imports that are on it. */
	job_unlist(job);
	if (failure && job->kind != JOB_KIND_DELETE)
		log_warn(job->kind == JOB_KIND_IMPORT ? "import failed" : "image cannot be used",
			 LOG_STR("name", job->name ? job->name : job->digest), LOG_STR("phase", job->phase),
			 LOG_STR("why", failure->text));
	if (job->kind == JOB_KIND_IMPORT) {
		(void)str_copy(work, sizeof(work), job->work);
		if (failure)
			drop_pins(s, job);
		if (!failure)
			finish_import(s, job);
		else
			service_fail(s, job->id, job->phase, failure);
	} else if (job->kind == JOB_KIND_PREPARE) {
		finish_prepare(s, job, failure);
	}
	job_free(job);
	delete_rubbish(s, work);
	start_waiting_jobs(s);
	service_end_if_drained(s);
}

static int take_report(struct service *s, struct service_job *job, const struct report *report, struct err *err)
{
	struct rfs_progress progress = {.done = report->a, .total = report->b};

	switch (report->type) {
	case JOB_PROGRESS:
		(void)str_copy(progress.phase, sizeof(progress.phase), report->phase);
		/* An event may be lost when the api is behind: the next one says more. */
		if (s->api_fd >= 0)
			(void)ipc_send(s->api_fd,
				       &(struct ipc_out){.type = RFS_PROGRESS,
							 .id = job->id,
							 .body = &progress,
							 .body_size = sizeof(progress)},
				       NULL);
		return 0;
	case JOB_VERIFIED:
		store_mark_verified(&s->store, report->text);
		return 0;
	case JOB_NAME:
		if (job->n_names >= IMPORT_NAMES_MAX)
			return err_set(err, EPROTO, "a worker sent too many names");
		job->names[job->n_names] = strdup(report->text);
		if (!job->names[job->n_names])
			return err_sys(err, ENOMEM, "import an image");
		job->n_names++;
		return 0;
	case JOB_IMPORTED:
		job->imported = (struct store_name){
			.size = report->a, .manifest_size = report->b, .imported_us = clock_realtime_us()};
		(void)str_copy(job->imported.digest, sizeof(job->imported.digest), report->digest);
		return 0;
	default:
		return job_take_host(report, &job->host, err);
	}
}

static void job_readable(struct loop *loop, struct loop_watch *watch, uint32_t events)
{
	struct service_job *job = watch->context;
	struct service *s = job->service;
	struct err err = ERR_INIT;
	struct report report;
	char phase[REPORT_PHASE_MAX];
	int r;

	(void)loop;
	(void)events;
	do {
		(void)str_copy(phase, sizeof(phase), "");
		/* The worker's end closes the descriptor: it must leave the loop before. */
		loop_remove(&s->loop, &job->watch);
		r = child_poll(&job->child, &report, phase, &err);
		if (r > 0)
			r = take_report(s, job, &report, &err) < 0 ? err.code : 1;
	} while (r > 0);
	if (r == -EAGAIN && job->child.fd >= 0) {
		err_clear(&err);
		r = loop_add(&s->loop, &job->watch, job->child.fd, EPOLLIN, job_readable, job, &err);
		if (r == 0)
			return;
	}
	(void)str_copy(job->phase, sizeof(job->phase), phase);
	finish_job(s, job, r < 0 ? &err : NULL);
}

static int start_import(struct service *s, struct service_job *job, struct err *err)
{
	const struct import_request request = {
		.store = &s->store,
		.work = job->work,
		.runner = s->runner,
		.archive_fd = job->archive_fd,
		.name = job->name,
		.archive_size = job->archive_size,
		.spool_limits = {.bytes = s->unpack_limits.bytes},
		.unpack_limits = s->unpack_limits,
	};
	int r = store_make_work(&s->store, "import", job->work, err);

	if (r == 0)
		r = job_start_import(&request, &job->child, err);
	/* The writer of a pipe must see when the import ends. */
	fd_close(&job->archive_fd);
	return r;
}

static int start_job(struct service *s, struct service_job *job, struct err *err)
{
	struct service_image *image;
	int r;

	job->started = true;
	(void)str_copy(job->phase, sizeof(job->phase), "start");
	switch (job->kind) {
	case JOB_KIND_IMPORT:
		r = start_import(s, job, err);
		break;
	case JOB_KIND_PREPARE:
		image = image_get(s, job->digest, err);
		r = image ? job_start_prepare(&s->store, &image->runnable, s->runner, &job->child, err) : err->code;
		break;
	default:
		r = job_start_delete(&s->store, job->work, &job->child, err);
		break;
	}
	if (r == 0)
		r = loop_add(&s->loop, &job->watch, job->child.fd, EPOLLIN, job_readable, job, err);
	return r;
}

/* Starts what waits as far as the limits allow. */
static void start_waiting_jobs(struct service *s)
{
	static const unsigned limits[JOB_KIND_MAX] = {
		[JOB_KIND_IMPORT] = SERVICE_IMPORTS_MAX,
		[JOB_KIND_PREPARE] = SERVICE_PREPARES_MAX,
		[JOB_KIND_DELETE] = 1,
	};
	unsigned running[JOB_KIND_MAX] = {0};

	for (size_t i = 0; i < SERVICE_JOBS_MAX; i++)
		if (s->jobs[i] && s->jobs[i]->started)
			running[s->jobs[i]->kind]++;
	for (size_t i = 0; i < SERVICE_JOBS_MAX; i++) {
		struct service_job *job = s->jobs[i];
		struct err err = ERR_INIT;

		if (!job || job->started || running[job->kind] >= limits[job->kind])
			continue;
		if (start_job(s, job, &err) < 0) {
			/* Goes through the list again: this one is off it. */
			finish_job(s, job, &err);
			return;
		}
		running[job->kind]++;
	}
}

int service_add_import(struct service *service, uint64_t id, int archive_fd, uint64_t size, const char *name,
		       struct err *err)
{
	_cleanup_fd_ int fd = archive_fd;
	struct service_job *job = NULL;
	char *copy = NULL;

	if (service->draining)
		return err_set(err, ESHUTDOWN, "the service is shutting down");
	job = job_new(service, JOB_KIND_IMPORT, err);
	copy = job ? strdup(name) : NULL;
	if (!job)
		return err->code;
	if (!copy) {
		job_free(job);
		return err_sys(err, ENOMEM, "import an image");
	}
	job->id = id;
	job->name = copy;
	job->archive_fd = take_fd(&fd);
	job->archive_size = size;
	start_waiting_jobs(service);
	return 0;
}

void service_end_imports(struct service *service)
{
	for (size_t i = 0; i < SERVICE_JOBS_MAX; i++) {
		struct service_job *job = service->jobs[i];
		char work[40];

		if (!job || job->kind != JOB_KIND_IMPORT)
			continue;
		(void)str_copy(work, sizeof(work), job->work);
		child_stop(&job->child);
		drop_pins(service, job);
		job_free(job);
		delete_rubbish(service, work);
	}
}

static bool has_prepare(const struct service *s, const char *digest)
{
	for (size_t i = 0; i < SERVICE_JOBS_MAX; i++)
		if (s->jobs[i] && s->jobs[i]->kind == JOB_KIND_PREPARE && strcmp(s->jobs[i]->digest, digest) == 0)
			return true;
	return false;
}

void service_open_image(struct service *service, uint64_t id, const char *digest)
{
	struct err why = ERR_INIT;
	struct service_image *image = image_get(service, digest, &why);
	struct service_waiting *w;
	struct service_job *job;

	if (!image) {
		service_fail(service, id, "image", &why);
		return;
	}
	if (image_is_ready(service, image)) {
		reply_opened(service, id, image);
		return;
	}
	if (service->n_waiting >= SERVICE_WAITING_MAX) {
		(void)err_set(&why, EAGAIN, "too many calls wait for the first use of an image");
		service_fail(service, id, "layers", &why);
		return;
	}
	if (!has_prepare(service, digest)) {
		job = job_new(service, JOB_KIND_PREPARE, &why);
		if (!job) {
			service_fail(service, id, "layers", &why);
			return;
		}
		(void)str_copy(job->digest, sizeof(job->digest), digest);
	}
	w = &service->waiting[service->n_waiting++];
	w->id = id;
	(void)str_copy(w->digest, sizeof(w->digest), digest);
	start_waiting_jobs(service);
}
