#include "rootfs/runnable.h"

#include "rootfs/document.h"
#include "supervisor/str.h"
#include "supervisor/util.h"

#include <string.h>

json_t *runnable_open_needs(const struct store_layer *const *records, size_t n_records)
{
	_cleanup_json_ json_t *known = json_object();
	_cleanup_json_ json_t *list = json_array();
	json_t *item;
	size_t j;

	for (size_t i = 0; i < n_records; i++)
		json_array_foreach(records[i]->provided, j, item)
		{
			if (json_object_set_new(known, json_string_value(item), json_true()) < 0)
				return NULL;
		}
	for (size_t i = 0; i < n_records; i++)
		json_array_foreach(records[i]->needed, j, item)
		{
			if (json_object_get(known, json_string_value(item)))
				continue;
			if (json_object_set_new(known, json_string_value(item), json_true()) < 0 ||
			    json_array_append(list, item) < 0)
				return NULL;
		}
	return take_ptr(list);
}

static bool is_above(const struct image_config *config, size_t at)
{
	for (size_t i = at + 1; i < config->n_layers; i++)
		if (strcmp(config->diff_ids[i], config->diff_ids[at]) == 0)
			return true;
	return false;
}

struct records {
	struct store_layer items[IMAGE_LAYERS_MAX];
	const struct store_layer *list[IMAGE_LAYERS_MAX];
	size_t count;
};

static void records_clear(struct records *records)
{
	for (size_t i = 0; i < records->count; i++)
		store_layer_clear(&records->items[i]);
}

static int take_layers(const struct store *store, const struct image_config *config, struct runnable *r,
		       struct records *records, struct err *err)
{
	for (size_t i = 0; i < config->n_layers; i++) {
		struct store_layer *record = &records->items[records->count];
		int result;

		if (is_above(config, i))
			continue;
		result = store_layer_read(store, store_hex(config->diff_ids[i]), record, err);
		if (result < 0)
			return result;
		records->list[records->count++] = record;
		if (record->opaque) {
			/* overlayfs knows no opaque root: the layers that it hides are left out instead. */
			r->n_layers = 0;
			r->host_base = false;
		}
		(void)str_copy(r->layers[r->n_layers++], STORE_LAYER_ID_MAX, store_hex(config->diff_ids[i]));
	}
	r->needed = runnable_open_needs(records->list, records->count);
	return r->needed ? 0 : err_sys(err, ENOMEM, "open an image");
}

static int read_documents(const struct store *store, const char *digest, struct image_config *config, struct err *err)
{
	_cleanup_(image_manifest_clear) struct image_manifest manifest = {0};
	_cleanup_free_ char *manifest_text = NULL;
	_cleanup_free_ char *config_text = NULL;
	ssize_t n = store_blob_read(store, digest, IMAGE_MANIFEST_MAX, &manifest_text, err);
	int r = n < 0 ? (int)n : image_manifest_parse(manifest_text, (size_t)n, &manifest, err);

	if (r < 0)
		return r;
	n = store_blob_read(store, manifest.config.digest, IMAGE_CONFIG_MAX, &config_text, err);
	return n < 0 ? (int)n : image_config_parse(config_text, (size_t)n, manifest.n_layers, config, err);
}

int runnable_load(const struct store *store, const char *digest, struct runnable *ret, struct err *err)
{
	_cleanup_(runnable_clear) struct runnable runnable = {0};
	_cleanup_(image_config_clear) struct image_config config = {0};
	_cleanup_(records_clear) struct records records = {.count = 0};
	const char *base;
	int r = read_documents(store, digest, &config, err);

	if (r == 0)
		r = image_run_config(&config, &runnable.config, err);
	if (r < 0)
		return r;
	base = image_config_label(&config, IMAGE_LABEL_BASE);
	runnable.host_base = base && strcmp(base, "host") == 0;
	(void)str_copy(runnable.digest, sizeof(runnable.digest), digest);
	r = take_layers(store, &config, &runnable, &records, err);
	if (r == 0 && runnable.n_layers == 0 && !runnable.host_base)
		r = err_set(err, EINVAL, "the image has no layers: there is nothing to run");
	if (r < 0)
		return r;
	*ret = runnable;
	runnable = (struct runnable){0};
	return 0;
}

void runnable_clear(struct runnable *runnable)
{
	free_ptr(&runnable->config);
	document_release(&runnable->needed);
}
