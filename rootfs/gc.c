#include "rootfs/gc.h"

#include "rootfs/beneath.h"
#include "rootfs/document.h"
#include "rootfs/image.h"
#include "rootfs/import.h"
#include "supervisor/str.h"
#include "supervisor/util.h"

#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

#define PINS_MAX (64 * 1024)

struct sweep {
	struct store *store;
	json_t *live; /* object as a set: hex digests of blobs, layer ids */
	struct gc_result result;
	int rubbish_fd;
	bool keep_host;
};

static int keep(struct sweep *s, const char *id, struct err *err)
{
	return json_object_set_new(s->live, id, json_true()) < 0 ? err_sys(err, ENOMEM, "sweep the store") : 0;
}

static int keep_image(struct sweep *s, const char *digest, struct err *err)
{
	_cleanup_(image_manifest_clear) struct image_manifest manifest = {0};
	_cleanup_(image_config_clear) struct image_config config = {0};
	_cleanup_free_ char *manifest_text = NULL;
	_cleanup_free_ char *config_text = NULL;
	ssize_t n;
	int r;

	if (json_object_get(s->live, store_hex(digest)))
		return 0;
	n = store_blob_read(s->store, digest, IMAGE_MANIFEST_MAX, &manifest_text, err);
	r = n < 0 ? (int)n : image_manifest_parse(manifest_text, (size_t)n, &manifest, err);
	if (r < 0)
		return r;
	n = store_blob_read(s->store, manifest.config.digest, IMAGE_CONFIG_MAX, &config_text, err);
	r = n < 0 ? (int)n : image_config_parse(config_text, (size_t)n, manifest.n_layers, &config, err);
	if (r == 0)
		r = keep(s, store_hex(digest), err);
	if (r == 0)
		r = keep(s, store_hex(manifest.config.digest), err);
	for (size_t i = 0; r == 0 && i < manifest.n_layers; i++) {
		r = keep(s, store_hex(manifest.layers[i].digest), err);
		if (r == 0)
			r = keep(s, store_hex(config.diff_ids[i]), err);
	}
	return r;
}

static int keep_pins(struct sweep *s, const char *work, struct err *err)
{
	_cleanup_free_ char *text = NULL;
	_cleanup_json_ json_t *pins = NULL;
	json_t *item;
	char path[300];
	size_t i;
	ssize_t n;

	(void)snprintf(path, sizeof(path), "%.200s/%s", work, IMPORT_PINS_FILE);
	n = file_read(s->store->tmp_fd, path, PINS_MAX, &text, NULL);
	if (n == -ENOENT || n == -ENOTDIR)
		return 0;
	pins = n < 0 ? NULL : document_parse("pins of an import", text, (size_t)n, err);
	if (!pins)
		return err_set(err, EUCLEAN, "cannot read what an import at work needs");
	json_array_foreach(pins, i, item)
	{
		int r = reference_is_digest(json_string_value(item)) ? keep(s, store_hex(json_string_value(item)), err)
								     : 0;

		if (r < 0)
			return r;
	}
	return 0;
}

/* Calls EACH for every name in a directory. */
static int for_each(struct sweep *s, int dir_fd, int (*each)(struct sweep *s, const char *name, struct err *err),
		    struct err *err)
{
	_cleanup_fd_ int fd = beneath_open(dir_fd, "", O_RDONLY | O_DIRECTORY, 0);
	_cleanup_dir_ DIR *dir = fd < 0 ? NULL : fdopendir(fd);

	if (!dir)
		return err_sys(err, fd < 0 ? -fd : errno, "read a directory of the store");
	(void)take_fd(&fd);
	for (struct dirent *d = readdir(dir); d; d = readdir(dir)) {
		int r = d->d_name[0] == '.' ? 0 : each(s, d->d_name, err);

		if (r < 0)
			return r;
	}
	return 0;
}

static int sweep_blob(struct sweep *s, const char *name, struct err *err)
{
	struct stat st;

	if (json_object_get(s->live, name) || fstatat(s->store->blobs_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return 0;
	if (unlinkat(s->store->blobs_fd, name, 0) < 0)
		return err_sys(err, errno, "delete blob %s", name);
	s->result.blobs++;
	s->result.bytes += (uint64_t)st.st_size;
	return 0;
}

static bool in_use(struct sweep *s, const char *id)
{
	_cleanup_fd_ int fd = beneath_open(s->store->layers_fd, id, O_RDONLY | O_DIRECTORY, 0);

	return fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) < 0;
}

static int open_rubbish(struct sweep *s, struct err *err)
{
	int r = 0;

	if (s->rubbish_fd >= 0)
		return 0;
	r = store_make_work(s->store, "rubbish", s->result.rubbish, err);
	if ((r == -ENOSPC || r == -EDQUOT) && store_spare_use(s->store))
		r = store_make_work(s->store, "rubbish", s->result.rubbish, err);
	if (r < 0)
		return r;
	s->rubbish_fd = beneath_open(s->store->tmp_fd, s->result.rubbish, O_RDONLY | O_DIRECTORY, 0);
	return s->rubbish_fd < 0 ? err_sys(err, -s->rubbish_fd, "open a directory of the store") : 0;
}

/* A record without a layer is left by a crash between the two steps of putting or sweeping one. */
static int sweep_record(struct sweep *s, const char *name, const char *dot, struct err *err)
{
	char id[STORE_LAYER_ID_MAX] = "";
	struct stat st;

	if ((size_t)(dot - name) < sizeof(id))
		memcpy(id, name, (size_t)(dot - name));
	if (fstatat(s->store->layers_fd, id, &st, AT_SYMLINK_NOFOLLOW) == 0)
		return 0;
	return unlinkat(s->store->layers_fd, name, 0) < 0 ? err_sys(err, errno, "delete %s", name) : 0;
}

static int sweep_layer(struct sweep *s, const char *name, struct err *err)
{
	_cleanup_(store_layer_clear) struct store_layer record = {0};
	const char *dot = strchr(name, '.');
	char record_name[STORE_LAYER_ID_MAX + 8];
	int r;

	if (dot || strlen(name) >= STORE_LAYER_ID_MAX)
		return 0;
	if (json_object_get(s->live, name) || (s->keep_host && strncmp(name, "host-", 5) == 0))
		return 0;
	if (in_use(s, name)) {
		s->result.busy++;
		return 0;
	}
	r = open_rubbish(s, err);
	if (r < 0)
		return r;
	if (store_layer_read(s->store, name, &record, NULL) == 0)
		s->result.bytes += record.bytes;
	if (renameat(s->store->layers_fd, name, s->rubbish_fd, name) < 0)
		return err_sys(err, errno, "sweep layer %s", name);
	(void)snprintf(record_name, sizeof(record_name), "%s.json", name);
	(void)unlinkat(s->store->layers_fd, record_name, 0);
	(void)json_object_del(s->store->verified, name);
	s->result.layers++;
	return 0;
}

static int sweep_records(struct sweep *s, const char *name, struct err *err)
{
	const char *dot = strchr(name, '.');

	return dot ? sweep_record(s, name, dot, err) : 0;
}

int gc_sweep(struct store *store, const json_t *kept, struct gc_result *ret_result, struct err *err)
{
	_cleanup_fd_ int lock_fd = store_lock(store, err);
	_cleanup_json_ json_t *live = json_object();
	struct sweep s = {.store = store, .live = live, .rubbish_fd = -1, .keep_host = !kept};
	int r = 0;

	if (lock_fd < 0 || !live)
		return lock_fd < 0 ? lock_fd : err_sys(err, ENOMEM, "sweep the store");
	for (size_t i = 0; r == 0 && i < store->n_names; i++) {
		r = keep_image(&s, store->names[i].digest, err);
		if (r < 0)
			/* Sweeping without knowing what an image needs would destroy it further. */
			err_wrap(err, "image %.200s", store->names[i].name);
	}
	if (r == 0)
		r = for_each(&s, store->tmp_fd, keep_pins, err);
	if (r == 0 && kept && json_object_update(live, (json_t *)kept) < 0)
		r = err_sys(err, ENOMEM, "sweep the store");
	if (r == 0)
		r = for_each(&s, store->blobs_fd, sweep_blob, err);
	if (r == 0)
		r = for_each(&s, store->layers_fd, sweep_layer, err);
	if (r == 0)
		r = for_each(&s, store->layers_fd, sweep_records, err);
	fd_close(&s.rubbish_fd);
	*ret_result = s.result;
	return r;
}
