#include "rootfs/import.h"

#include "rootfs/archive_image.h"
#include "rootfs/beneath.h"
#include "rootfs/child.h"
#include "rootfs/compose.h"
#include "rootfs/document.h"
#include "rootfs/hostbase.h"
#include "rootfs/runnable.h"
#include "supervisor/str.h"
#include "supervisor/util.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct import {
	const struct import_request *request;
	const struct store *store;
	int work_fd;
	struct layers_files files;
	struct archive_image image;
	struct image_config config;
	char manifest_digest[DIGEST_TEXT_LENGTH + 1], config_digest[DIGEST_TEXT_LENGTH + 1];
	char raw_diff_id[DIGEST_TEXT_LENGTH + 1]; /* of a plain root file system, unpacked before its id is known */
	struct {
		bool fresh;   /* unpacked now, in directory "l<number>" */
		bool damaged; /* the one in the store is to be replaced */
		struct store_layer record;
	} layers[IMAGE_LAYERS_MAX];
	uint64_t unpacked, to_unpack;
	const char *step;
	char *phase;
};

static void import_clear(struct import *im)
{
	for (size_t i = 0; i < IMAGE_LAYERS_MAX; i++)
		store_layer_clear(&im->layers[i].record);
	image_config_clear(&im->config);
	archive_image_clear(&im->image);
	layers_files_clear(&im->files);
	fd_close(&im->work_fd);
}

static void begin(struct import *im, const char *step)
{
	im->step = step;
	(void)str_copy(im->phase, REPORT_PHASE_MAX, step);
}

static void tell(const struct import *im, uint64_t done, uint64_t total)
{
	if (im->request->progress)
		im->request->progress(im->request->context, im->step, done, total);
}

static void read_progress(void *context, uint64_t bytes)
{
	const struct import *im = context;

	tell(im, bytes, im->request->archive_size);
}

static void unpack_progress(void *context, uint64_t bytes)
{
	const struct import *im = context;

	tell(im, im->unpacked + bytes, im->to_unpack);
}

/* --- layers ------------------------------------------------------------------------------------------------------- */

static void folder_name(size_t number, char name[24])
{
	(void)snprintf(name, 24, "l%zu", number);
}

static int check_compression(const struct archive_layer *layer, const char *found, struct err *err)
{
	if (!layer->compression || strcmp(layer->compression, found) == 0)
		return 0;
	return err_set(err, EINVAL, "its media type promises %s compression, it has %s",
		       *layer->compression ? layer->compression : "no", *found ? found : "none");
}

/* Unpacks layer NUMBER into its directory; DIFF_ID gets what it was. */
static int unpack(struct import *im, size_t number, char *diff_id, struct err *err)
{
	const struct archive_layer *layer = &im->image.layers[number];
	_cleanup_fd_ int archive_fd = beneath_open(im->work_fd, layer->file->file, O_RDONLY, 0);
	_cleanup_fd_ int root_fd = -1;
	struct layers_unpacked found;
	char name[24];
	int r;

	folder_name(number, name);
	if (archive_fd < 0 || mkdirat(im->work_fd, name, 0755) < 0)
		return err_sys(err, archive_fd < 0 ? -archive_fd : errno, "open the archive of a layer");
	root_fd = beneath_open(im->work_fd, name, O_RDONLY | O_DIRECTORY, 0);
	/* mkdir obeys the umask, and an archive need not have an entry for its root. */
	if (root_fd < 0 || fchmod(root_fd, 0755) < 0)
		return err_sys(err, root_fd < 0 ? -root_fd : errno, "make the directory of a layer");
	r = layers_unpack(archive_fd, root_fd, &im->request->unpack_limits, unpack_progress, im, &found, im->phase,
			  err);
	if (r < 0)
		return r;
	im->layers[number].fresh = true;
	im->layers[number].record = found.record;
	im->unpacked += layer->bytes;
	(void)str_copy(diff_id, DIGEST_TEXT_LENGTH + 1, found.diff_id);
	return check_compression(layer, found.compression, err);
}

/* True when the store has the layer and its contents are right. */
static bool have_layer(struct import *im, size_t number, const char *id)
{
	struct store_layer record;

	if (store_layer_read(im->store, id, &record, NULL) < 0)
		return false;
	if (!store_is_verified(im->store, id) && layers_verify(im->store, id, NULL) < 0) {
		im->layers[number].damaged = true;
		store_layer_clear(&record);
		return false;
	}
	im->layers[number].record = record;
	return true;
}

static bool is_repeated(const struct import *im, size_t number)
{
	for (size_t i = 0; i < number; i++)
		if (strcmp(im->config.diff_ids[i], im->config.diff_ids[number]) == 0)
			return true;
	return false;
}

static int take_layer(struct import *im, size_t number, struct err *err)
{
	const char *wanted = im->config.diff_ids[number];
	char diff_id[DIGEST_TEXT_LENGTH + 1];
	int r;

	if (is_repeated(im, number) || im->layers[number].fresh || have_layer(im, number, store_hex(wanted)))
		return 0;
	if (!im->image.layers[number].file)
		return err_set(err, EUCLEAN, "the base image's layer %s has changed on disk: import the base again",
			       wanted);
	r = unpack(im, number, diff_id, err);
	if (r == 0 && strcmp(diff_id, wanted) != 0)
		r = err_set(err, EINVAL, "digest mismatch: the configuration promises %s, the archive holds %s", wanted,
			    diff_id);
	return r;
}

static int take_layers(struct import *im, struct err *err)
{
	for (size_t i = 0; i < im->image.n_layers; i++)
		im->to_unpack += im->image.layers[i].file ? im->image.layers[i].bytes : 0;
	for (size_t i = 0; i < im->image.n_layers; i++) {
		int r = take_layer(im, i, err);

		if (r < 0) {
			err_wrap(err, "layer %zu", i);
			return r;
		}
	}
	tell(im, im->to_unpack, im->to_unpack);
	return 0;
}

/* --- the host base ------------------------------------------------------------------------------------------------ */

static int check_host(struct import *im, struct err *err)
{
	const char *base = image_config_label(&im->config, IMAGE_LABEL_BASE);
	const struct store_layer *records[IMAGE_LAYERS_MAX];
	_cleanup_json_ json_t *needed = NULL;

	if (!base || strcmp(base, "host") != 0)
		return 0;
	if (im->image.n_layers + HOSTBASE_LAYERS_MAX > IMAGE_LAYERS_MAX)
		return err_set(err, E2BIG, "an image on the host's libraries may have %d layers",
			       IMAGE_LAYERS_MAX - HOSTBASE_LAYERS_MAX);
	for (size_t i = 0; i < im->image.n_layers; i++)
		records[i] = &im->layers[i].record;
	needed = runnable_open_needs(records, im->image.n_layers);
	return needed ? hostbase_check(needed, im->request->runner, err) : err_sys(err, ENOMEM, "import an image");
}

/* --- committing --------------------------------------------------------------------------------------------------- */

static int write_text(struct import *im, const char *name, const char *text, size_t length, struct err *err)
{
	_cleanup_fd_ int fd = beneath_open(im->work_fd, name, O_WRONLY | O_CREAT | O_EXCL, 0644);
	int r = fd < 0 ? fd : fd_write_all(fd, text, length);

	return r < 0 ? err_sys(err, r, "write to the store") : 0;
}

/* Tells the sweep what this import relies on, before it looks whether it is there. */
static int write_pins(struct import *im, struct err *err)
{
	_cleanup_fd_ int lock_fd = store_lock(im->store, err);
	_cleanup_json_ json_t *pins = json_array();
	_cleanup_free_ char *text = NULL;

	if (lock_fd < 0)
		return lock_fd;
	digest_bytes(im->image.manifest, im->image.manifest_length, im->manifest_digest);
	digest_bytes(im->image.config, im->image.config_length, im->config_digest);
	(void)json_array_append_new(pins, json_string(im->manifest_digest));
	(void)json_array_append_new(pins, json_string(im->config_digest));
	for (size_t i = 0; i < im->image.n_layers; i++) {
		(void)json_array_append_new(pins, json_string(im->image.layers[i].digest));
		if (im->config.n_layers > i)
			(void)json_array_append_new(pins, json_string(im->config.diff_ids[i]));
	}
	text = document_text(pins);
	if (!text)
		return err_sys(err, ENOMEM, "import an image");
	return write_text(im, IMPORT_PINS_FILE, text, strlen(text), err);
}

static int move_blob(struct import *im, const char *file, const char *digest, struct err *err)
{
	if (fchmodat(im->work_fd, file, 0644, 0) == 0 &&
	    renameat(im->work_fd, file, im->store->blobs_fd, store_hex(digest)) == 0)
		return 0;
	/* The same file may be two layers of the image; it has moved already then. */
	if (errno == ENOENT && store_blob_exists(im->store, digest))
		return 0;
	return err_sys(err, errno, "put %s into the store", digest);
}

static int move_layers(struct import *im, struct err *err)
{
	/* Another import may bring the same layer at this moment. */
	_cleanup_fd_ int lock_fd = store_lock(im->store, err);

	if (lock_fd < 0)
		return lock_fd;
	for (size_t i = 0; i < im->image.n_layers; i++) {
		const struct archive_layer *layer = &im->image.layers[i];
		char name[24];
		int r = layer->file ? move_blob(im, layer->file->file, layer->digest, err) : 0;

		folder_name(i, name);
		if (r == 0 && im->layers[i].fresh)
			r = store_layer_put(im->store, store_hex(im->config.diff_ids[i]), im->work_fd, name,
					    &im->layers[i].record, im->layers[i].damaged, err);
		if (r < 0)
			return r;
	}
	return 0;
}

static int commit(struct import *im, struct import_result *result, struct err *err)
{
	struct archive_image *image = &im->image;
	int r = write_text(im, "manifest", image->manifest, image->manifest_length, err);
	if (r == 0)
		r = write_text(im, "config", image->config, image->config_length, err);
	if (r == 0 && syncfs(im->work_fd) < 0)
		r = err_sys(err, errno, "write the image to disk");
	if (r == 0)
		r = move_layers(im, err);
	if (r == 0)
		r = move_blob(im, "config", im->config_digest, err);
	if (r == 0)
		r = move_blob(im, "manifest", im->manifest_digest, err);
	if (r == 0 && fsync(im->store->blobs_fd) < 0)
		r = err_sys(err, errno, "write the image to disk");
	(void)str_copy(result->image.digest, sizeof(result->image.digest), im->manifest_digest);
	result->image.manifest_size = image->manifest_length;
	result->image.size = image->manifest_length + image->config_length;
	for (size_t i = 0; i < image->n_layers; i++)
		result->image.size += image->layers[i].bytes;
	return r;
}

static int list_verified(const struct import *im, struct import_result *result, struct err *err)
{
	result->verified = json_array();
	for (size_t i = 0; i < im->image.n_layers; i++)
		if (json_array_append_new(result->verified, json_string(store_hex(im->config.diff_ids[i]))) < 0)
			return err_sys(err, ENOMEM, "import an image");
	return 0;
}

/* --- steps -------------------------------------------------------------------------------------------------------- */

static int choose_names(struct import *im, const char *name, struct import_result *result, struct err *err)
{
	if (name) {
		result->names[0] = strdup(name);
		result->n_names = result->names[0] ? 1 : 0;
		return result->n_names ? 0 : err_sys(err, ENOMEM, "import an image");
	}
	if (im->image.n_names == 0)
		return err_set(err, EINVAL, "the archive gives the image no name: say which it shall have");
	for (size_t i = 0; i < im->image.n_names; i++)
		result->names[i] = take_ptr(im->image.names[i]);
	result->n_names = im->image.n_names;
	im->image.n_names = 0;
	return 0;
}

static int parse_config(struct import *im, struct err *err)
{
	_cleanup_free_ char *run = NULL;
	int r = image_config_parse(im->image.config, im->image.config_length, im->image.n_layers, &im->config, err);

	return r < 0 ? r : image_run_config(&im->config, &run, err);
}

/* A plain root file system has no configuration that names its layer: unpacking tells. */
static int prepare(struct import *im, struct err *err)
{
	int r = 0;

	if (!im->image.config) {
		begin(im, "unpack");
		im->to_unpack = im->image.layers[0].bytes;
		r = unpack(im, 0, im->raw_diff_id, err);
		im->to_unpack = 0;
	}
	if (r < 0)
		return r;
	begin(im, "config");
	r = compose_image(im->store, &im->image, im->raw_diff_id, err);
	return r < 0 ? r : parse_config(im, err);
}

static int run(struct import *im, const char *name, struct import_result *result, struct err *err)
{
	const struct import_request *q = im->request;
	int r;

	begin(im, "read");
	r = layers_spool(q->archive_fd, im->work_fd, &q->spool_limits, read_progress, im, &im->files, im->phase, err);
	if (r < 0)
		return r;
	begin(im, "manifest");
	r = archive_image_find(im->work_fd, &im->files, name, &im->image, err);
	if (r == 0)
		r = choose_names(im, name, result, err);
	if (r == 0)
		r = prepare(im, err);
	if (r == 0)
		r = write_pins(im, err);
	if (r < 0)
		return r;
	begin(im, "unpack");
	r = take_layers(im, err);
	if (r < 0)
		return r;
	begin(im, "libraries");
	r = check_host(im, err);
	if (r < 0)
		return r;
	begin(im, "store");
	r = commit(im, result, err);
	return r < 0 ? r : list_verified(im, result, err);
}

int import_run(const struct import_request *request, struct import_result *ret_result, char *phase, struct err *err)
{
	_cleanup_(import_result_clear) struct import_result result = {0};
	_cleanup_free_ struct import *im = NULL;
	char text[REFERENCE_TEXT_MAX], unused[REPORT_PHASE_MAX];
	const char *name = request->name && *request->name ? request->name : NULL;
	struct reference reference;
	int r;

	im = calloc(1, sizeof(*im));
	if (!im)
		return err_sys(err, ENOMEM, "import an image");
	*im = (struct import){.request = request, .store = request->store, .phase = phase ? phase : unused};
	begin(im, "name");
	if (name) {
		r = reference_parse(name, &reference, err);
		if (r == 0 && reference.digest[0])
			r = err_set(err, EINVAL, "an image is imported under a name and a tag, not under a digest");
		if (r < 0)
			return r;
		name = reference_format(&reference, text, sizeof(text));
	}
	im->work_fd = beneath_open(im->store->tmp_fd, request->work, O_RDONLY | O_DIRECTORY, 0);
	if (im->work_fd < 0)
		return err_sys(err, -im->work_fd, "open the working directory");
	r = run(im, name, &result, err);
	import_clear(im);
	if (r < 0)
		return r;
	*ret_result = result;
	result = (struct import_result){0};
	return 0;
}

void import_result_clear(struct import_result *result)
{
	for (size_t i = 0; i < result->n_names; i++)
		free_ptr(&result->names[i]);
	result->n_names = 0;
	document_release(&result->verified);
}
