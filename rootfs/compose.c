#include "rootfs/compose.h"

#include "rootfs/document.h"
#include "supervisor/str.h"
#include "supervisor/util.h"

#include <string.h>

#define LABEL_BASE_NAME	  "org.opencontainers.image.base.name"
#define LABEL_BASE_DIGEST "org.opencontainers.image.base.digest"

static int no_memory(struct err *err)
{
	return err_sys(err, ENOMEM, "compose an image");
}

static int set_text(char **text, size_t *length, const json_t *json, struct err *err)
{
	char *fresh = document_text(json);

	if (!fresh)
		return no_memory(err);
	free(*text);
	*text = fresh;
	*length = strlen(fresh);
	return 0;
}

static const char *media_type(const struct archive_layer *layer)
{
	if (layer->media_type)
		return layer->media_type;
	if (layer->compression && strcmp(layer->compression, "gzip") == 0)
		return IMAGE_MEDIA_LAYER "+gzip";
	if (layer->compression && strcmp(layer->compression, "zstd") == 0)
		return IMAGE_MEDIA_LAYER "+zstd";
	return IMAGE_MEDIA_LAYER;
}

static int make_manifest(struct archive_image *image, struct err *err)
{
	_cleanup_json_ json_t *layers = json_array();
	_cleanup_json_ json_t *manifest = NULL;
	char digest[DIGEST_TEXT_LENGTH + 1];

	digest_bytes(image->config, image->config_length, digest);
	for (size_t i = 0; i < image->n_layers; i++) {
		const struct archive_layer *l = &image->layers[i];

		if (json_array_append_new(layers, image_descriptor_json(media_type(l), l->digest, l->bytes)) < 0)
			return no_memory(err);
	}
	manifest = json_pack("{s:i, s:s, s:o, s:O}", "schemaVersion", 2, "mediaType", IMAGE_MEDIA_MANIFEST, "config",
			     image_descriptor_json(IMAGE_MEDIA_CONFIG, digest, image->config_length), "layers", layers);
	return manifest ? set_text(&image->manifest, &image->manifest_length, manifest, err) : no_memory(err);
}

static int make_config(struct archive_image *image, const char *diff_id, struct err *err)
{
	_cleanup_json_ json_t *config =
		json_pack("{s:s, s:s, s:{}, s:{s:s, s:[s]}}", "architecture", image_host_architecture(), "os", "linux",
			  "config", "rootfs", "type", "layers", "diff_ids", diff_id);

	return config ? set_text(&image->config, &image->config_length, config, err) : no_memory(err);
}

/* The value of an environment list's entry with the same name as ENTRY, or NULL. */
static bool has_variable(const json_t *list, const char *entry)
{
	size_t length = strcspn(entry, "=") + 1, i;
	json_t *item;

	json_array_foreach((json_t *)list, i, item)
	{
		if (strncmp(json_string_value(item), entry, length) == 0)
			return true;
	}
	return false;
}

static int merge_environment(json_t *run, const json_t *base, struct err *err)
{
	_cleanup_json_ json_t *merged = json_array();
	json_t *own = json_object_get(run, "Env"), *item;
	size_t i;

	json_array_foreach(json_object_get(base, "Env"), i, item)
	{
		if (!has_variable(own, json_string_value(item)) && json_array_append(merged, item) < 0)
			return no_memory(err);
	}
	if (json_is_array(own) && json_array_extend(merged, own) < 0)
		return no_memory(err);
	return json_object_set(run, "Env", merged) < 0 ? no_memory(err) : 0;
}

static bool is_given(const json_t *value)
{
	return json_array_size(value) > 0 || (json_is_string(value) && *json_string_value(value));
}

static int inherit(json_t *run, const json_t *base, const char *key, struct err *err)
{
	json_t *value = json_object_get(base, key);

	if (is_given(json_object_get(run, key)) || !value)
		return 0;
	return json_object_set(run, key, value) < 0 ? no_memory(err) : 0;
}

static int merge_labels(json_t *run, const json_t *base, const struct store_name *name, struct err *err)
{
	_cleanup_json_ json_t *labels = json_object();
	json_t *base_labels = json_object_get(base, "Labels");

	if ((json_is_object(base_labels) && json_object_update(labels, base_labels) < 0) ||
	    json_object_update(labels, json_object_get(run, "Labels")) < 0)
		return no_memory(err);
	(void)json_object_del(labels, IMAGE_LABEL_BASE);
	/* What the base stands on itself goes on to hold: a bundle on an image with the host's C library needs it too.
	 */
	if (json_object_get(base_labels, IMAGE_LABEL_BASE))
		(void)json_object_set(labels, IMAGE_LABEL_BASE, json_object_get(base_labels, IMAGE_LABEL_BASE));
	if (json_object_set_new(labels, LABEL_BASE_NAME, json_string(name->name)) < 0 ||
	    json_object_set_new(labels, LABEL_BASE_DIGEST, json_string(name->digest)) < 0 ||
	    json_object_set(run, "Labels", labels) < 0)
		return no_memory(err);
	return 0;
}

static int merge_run(json_t *run, const json_t *base, const struct store_name *name, struct err *err)
{
	static const char *const simple[] = {"User", "WorkingDir", "StopSignal"};
	bool own_entry = is_given(json_object_get(run, "Entrypoint"));
	int r = merge_environment(run, base, err);

	for (size_t i = 0; r == 0 && i < ARRAY_LEN(simple); i++)
		r = inherit(run, base, simple[i], err);
	/* As in a Dockerfile: an entry point of its own resets the base's command. */
	if (r == 0 && !own_entry)
		r = inherit(run, base, "Cmd", err);
	if (r == 0)
		r = inherit(run, base, "Entrypoint", err);
	return r < 0 ? r : merge_labels(run, base, name, err);
}

struct base {
	struct image_manifest manifest;
	struct image_config config;
};

static void base_clear(struct base *base)
{
	image_manifest_clear(&base->manifest);
	image_config_clear(&base->config);
}

static int load_base(const struct store *store, const struct store_name *name, struct base *base, struct err *err)
{
	_cleanup_free_ char *manifest = NULL;
	_cleanup_free_ char *config = NULL;
	ssize_t n = store_blob_read(store, name->digest, IMAGE_MANIFEST_MAX, &manifest, err);
	int r = n < 0 ? (int)n : image_manifest_parse(manifest, (size_t)n, &base->manifest, err);

	if (r < 0)
		return r;
	n = store_blob_read(store, base->manifest.config.digest, IMAGE_CONFIG_MAX, &config, err);
	return n < 0 ? (int)n : image_config_parse(config, (size_t)n, base->manifest.n_layers, &base->config, err);
}

static int add_base_layers(struct archive_image *image, const struct image_manifest *base, struct err *err)
{
	if (image->n_layers + base->n_layers > IMAGE_LAYERS_MAX)
		return err_set(err, E2BIG, "image and base have more than %d layers together", IMAGE_LAYERS_MAX);
	memmove(image->layers + base->n_layers, image->layers, image->n_layers * sizeof(image->layers[0]));
	for (size_t i = 0; i < base->n_layers; i++) {
		struct archive_layer *l = &image->layers[i];

		*l = (struct archive_layer){.bytes = base->layers[i].size};
		l->compression = image_layer_compression(base->layers[i].media_type);
		(void)str_copy(l->digest, sizeof(l->digest), base->layers[i].digest);
	}
	image->n_layers += base->n_layers;
	return 0;
}

static int merge_config(struct archive_image *image, struct image_config *config, const struct base *base,
			const struct store_name *name, struct err *err)
{
	_cleanup_json_ json_t *ids = json_array();
	_cleanup_json_ json_t *rootfs = NULL;
	int r = merge_run(config->run, base->config.run, name, err);

	for (size_t i = 0; i < base->config.n_layers; i++)
		(void)json_array_append_new(ids, json_string(base->config.diff_ids[i]));
	for (size_t i = 0; i < config->n_layers; i++)
		(void)json_array_append_new(ids, json_string(config->diff_ids[i]));
	rootfs = json_pack("{s:s, s:O}", "type", "layers", "diff_ids", ids);
	if (r == 0 && (!rootfs || json_object_set(config->document, "rootfs", rootfs) < 0))
		r = no_memory(err);
	/* The history counts layers; the base's part of it is told by its digest. */
	(void)json_object_del(config->document, "history");
	return r < 0 ? r : set_text(&image->config, &image->config_length, config->document, err);
}

static int put_on_base(const struct store *store, struct archive_image *image, struct image_config *config,
		       const char *text, struct err *err)
{
	_cleanup_(base_clear) struct base base = {0};
	const struct store_name *name;
	struct reference reference;
	int r = reference_parse(text, &reference, err);

	if (r < 0) {
		err_wrap(err, "base of the image");
		return r;
	}
	name = store_find(store, &reference);
	if (!name)
		return err_set(err, ENOENT, "the base image \"%.200s\" is not in the store: import it first", text);
	r = load_base(store, name, &base, err);
	if (r < 0) {
		err_wrap(err, "base image %.200s", name->name);
		return r;
	}
	r = merge_config(image, config, &base, name, err);
	if (r == 0)
		r = add_base_layers(image, &base.manifest, err);
	free_ptr(&image->manifest);
	return r;
}

int compose_image(const struct store *store, struct archive_image *image, const char *diff_id, struct err *err)
{
	_cleanup_(image_config_clear) struct image_config config = {0};
	const char *base;
	int r = image->config ? 0 : make_config(image, diff_id, err);

	if (r == 0)
		r = image_config_parse(image->config, image->config_length, image->n_layers, &config, err);
	if (r < 0)
		return r;
	base = image_config_label(&config, IMAGE_LABEL_BASE);
	if (base && strcmp(base, "host") != 0 && strcmp(base, "scratch") != 0)
		r = put_on_base(store, image, &config, base, err);
	return r < 0 || image->manifest ? r : make_manifest(image, err);
}
