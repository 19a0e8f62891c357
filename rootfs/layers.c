#include "rootfs/layers.h"

#include "rootfs/child.h"
#include "rootfs/document.h"
#include "rootfs/tree.h"
#include "supervisor/str.h"
#include "supervisor/util.h"

#include <string.h>

/* Descriptors of the children: the directory, which becomes their root, and the archive. */
enum { FOLDER_FD = CHILD_FD_FIRST, ARCHIVE_FD = CHILD_FD_FIRST + 1 };

enum { LAYER_PROGRESS = 1, LAYER_NEEDED, LAYER_PROVIDED, LAYER_UNPACKED, LAYER_TREE };

/* --- in the child ------------------------------------------------------------------------------------------------- */

static void send_progress(void *context, uint64_t bytes_in)
{
	(void)context;
	report_text(LAYER_PROGRESS, bytes_in, 0, "");
}

static void send_needed(void *context, const char *name)
{
	(void)context;
	report_text(LAYER_NEEDED, 0, 0, name);
}

static void send_provided(void *context, const char *name)
{
	(void)context;
	report_text(LAYER_PROVIDED, 0, 0, name);
}

static int run_walk(void *context, struct err *err)
{
	static const struct tree_visitor visitor = {.needed = send_needed, .provided = send_provided};
	struct report report = {.type = LAYER_TREE};
	struct tree_result tree;
	int r = tree_walk(FOLDER_FD, &visitor, &tree, err);

	(void)context;
	if (r < 0)
		return r;
	report.a = tree.bytes;
	report.b = tree.entries;
	(void)str_copy(report.digest, sizeof(report.digest), tree.digest);
	report_send(&report);
	return 0;
}

static int run_unpack(void *context, struct err *err)
{
	const struct unpack_limits *limits = context;
	struct report report = {.type = LAYER_UNPACKED};
	struct unpack_result result;
	int r = unpack_layer(ARCHIVE_FD, FOLDER_FD, limits, send_progress, NULL, &result, err);

	if (r < 0)
		return r;
	report.a = result.opaque_root;
	(void)str_copy(report.digest, sizeof(report.digest), result.diff_id);
	(void)str_copy(report.text, sizeof(report.text), result.compression);
	report_send(&report);
	return run_walk(NULL, err);
}

static int run_spool(void *context, struct err *err)
{
	return spool_archive(ARCHIVE_FD, FOLDER_FD, context, err);
}

/* --- in the parent ------------------------------------------------------------------------------------------------ */

struct collect {
	struct layers_unpacked *result;
	json_t *needed, *provided; /* objects as sets */
};

static void add_library(json_t *set, const char *name)
{
	if (json_object_size(set) < LAYERS_LIBRARIES_MAX)
		(void)json_object_set_new(set, name, json_true());
}

/* The keys of a set as a sorted list: new reference. */
static json_t *set_keys(const json_t *set)
{
	_cleanup_free_ const char **keys = calloc(json_object_size(set) + 1, sizeof(*keys));
	json_t *list = keys ? json_array() : NULL, *value;
	const char *key;
	size_t n = 0;

	if (!list)
		return NULL;
	json_object_foreach((json_t *)set, key, value)
	{
		size_t at = n++;

		for (; at > 0 && strcmp(keys[at - 1], key) > 0; at--)
			keys[at] = keys[at - 1];
		keys[at] = key;
	}
	for (size_t i = 0; i < n; i++)
		(void)json_array_append_new(list, json_string(keys[i]));
	return list;
}

static void collect_report(struct collect *c, const struct report *report)
{
	struct store_layer *record = &c->result->record;

	switch (report->type) {
	case LAYER_NEEDED:
		add_library(c->needed, report->text);
		break;
	case LAYER_PROVIDED:
		add_library(c->provided, report->text);
		break;
	case LAYER_UNPACKED:
		record->opaque = report->a != 0;
		(void)str_copy(c->result->diff_id, sizeof(c->result->diff_id), report->digest);
		(void)str_copy(c->result->compression, sizeof(c->result->compression), report->text);
		break;
	case LAYER_TREE:
		record->bytes = report->a;
		record->entries = report->b;
		(void)str_copy(record->tree, sizeof(record->tree), report->digest);
		break;
	default:
		break;
	}
}

static int run_layer(const struct child_plan *plan, layers_progress progress, void *context,
		     struct layers_unpacked *ret, char *phase, struct err *err)
{
	_cleanup_child_ struct child child = CHILD_INIT;
	_cleanup_json_ json_t *needed = json_object();
	_cleanup_json_ json_t *provided = json_object();
	struct layers_unpacked result = {0};
	struct collect collect = {&result, needed, provided};
	struct report report;
	int r = child_start(plan, &child, err);

	while (r == 0) {
		r = child_next(&child, &report, phase, err);
		if (r == 0)
			break;
		if (r < 0)
			return r;
		if (report.type == LAYER_PROGRESS && progress)
			progress(context, report.a);
		collect_report(&collect, &report);
		r = 0;
	}
	if (r < 0)
		return r;
	result.record.needed = set_keys(needed);
	result.record.provided = set_keys(provided);
	if (!result.record.needed || !result.record.provided) {
		store_layer_clear(&result.record);
		return err_sys(err, ENOMEM, "unpack a layer");
	}
	*ret = result;
	return 0;
}

int layers_unpack(int archive_fd, int root_fd, const struct unpack_limits *limits, layers_progress progress,
		  void *context, struct layers_unpacked *ret, char *phase, struct err *err)
{
	struct unpack_limits copy = *limits;
	const struct child_plan plan = {
		.run = run_unpack,
		.context = &copy,
		.name = "unpack",
		.fds = (const int[]){root_fd, archive_fd},
		.n_fds = 2,
		.confined = true,
		.file_bytes_max = limits->bytes,
		.time_max_us = LAYERS_TIME_MAX_US,
	};

	return run_layer(&plan, progress, context, ret, phase, err);
}

static int walk(int root_fd, struct layers_unpacked *ret, struct err *err)
{
	const struct child_plan plan = {
		.run = run_walk,
		.name = "verify",
		.fds = (const int[]){root_fd},
		.n_fds = 1,
		.confined = true,
		.time_max_us = LAYERS_TIME_MAX_US,
	};

	return run_layer(&plan, NULL, NULL, ret, NULL, err);
}

int layers_record(int root_fd, struct store_layer *ret, struct err *err)
{
	struct layers_unpacked found;
	int r = walk(root_fd, &found, err);

	if (r == 0)
		*ret = found.record;
	return r;
}

int layers_verify(const struct store *store, const char *id, struct err *err)
{
	_cleanup_(store_layer_clear) struct store_layer record = {0};
	_cleanup_(store_layer_clear) struct store_layer found = {0};
	_cleanup_fd_ int fd = -1;
	int r = store_layer_read(store, id, &record, err);

	if (r < 0)
		return r;
	fd = store_layer_open(store, id, err);
	if (fd < 0)
		return fd;
	r = layers_record(fd, &found, err);
	if (r == 0 && strcmp(found.tree, record.tree) != 0)
		r = err_set(err, EUCLEAN, "layer %s has changed on disk since it was unpacked: import the image again",
			    id);
	return r;
}

void layers_files_clear(struct layers_files *files)
{
	for (size_t i = 0; i < files->count; i++) {
		free(files->items[i].name);
		free(files->items[i].target);
		free(files->items[i].file);
	}
	free_ptr(&files->items);
	files->count = 0;
}

static int add_file(struct layers_files *files, struct report *report, struct err *err)
{
	struct layers_file *f, *bigger;
	char *newline = strchr(report->text, '\n');
	char file[24] = "raw";

	/* The child keeps the bound; it is checked because the child is not trusted. */
	if (files->count >= SPOOL_ENTRIES_MAX)
		return err_set(err, EPROTO, "spool: too many files");
	bigger = reallocarray(files->items, files->count + 1, sizeof(*bigger));
	if (!bigger)
		return err_sys(err, ENOMEM, "read an archive");
	files->items = bigger;
	f = &files->items[files->count++];
	*f = (struct layers_file){.kind = (enum spool_kind)report->a, .bytes = report->b};
	(void)str_copy(f->digest, sizeof(f->digest), report->digest);
	if (report->type == SPOOL_REPORT_RAW) {
		f->kind = SPOOL_RAW;
		(void)str_copy(f->compression, sizeof(f->compression), report->text);
		report->text[0] = '\0';
	} else {
		(void)snprintf(file, sizeof(file), "f%zu", files->count - 1);
	}
	if (newline && f->kind == SPOOL_LINK) {
		*newline = '\0';
		f->target = strdup(newline + 1);
	}
	f->name = strdup(report->text);
	f->file = f->kind == SPOOL_LINK ? NULL : strdup(file);
	if (!f->name || (f->kind == SPOOL_LINK && !f->target) || (f->kind != SPOOL_LINK && !f->file))
		return err_sys(err, ENOMEM, "read an archive");
	return 0;
}

int layers_spool(int archive_fd, int folder_fd, const struct spool_limits *limits, layers_progress progress,
		 void *context, struct layers_files *ret_files, char *phase, struct err *err)
{
	struct spool_limits copy = *limits;
	const struct child_plan plan = {
		.run = run_spool,
		.context = &copy,
		.name = "read",
		.fds = (const int[]){folder_fd, archive_fd},
		.n_fds = 2,
		.confined = true,
		.file_bytes_max = limits->bytes,
		.time_max_us = LAYERS_TIME_MAX_US,
	};
	_cleanup_child_ struct child child = CHILD_INIT;
	_cleanup_(layers_files_clear) struct layers_files files = {0};
	struct report report;
	int r = child_start(&plan, &child, err);

	while (r == 0) {
		r = child_next(&child, &report, phase, err);
		if (r == 0)
			break;
		if (r < 0)
			return r;
		r = 0;
		if (report.type == SPOOL_REPORT_PROGRESS && progress)
			progress(context, report.a);
		else if (report.type == SPOOL_REPORT_ENTRY || report.type == SPOOL_REPORT_RAW)
			r = add_file(&files, &report, err);
	}
	if (r < 0)
		return r;
	*ret_files = files;
	files = (struct layers_files){0};
	return 0;
}
