#include "rootfs/describe.h"

#include "rootfs/document.h"
#include "rootfs/image.h"
#include "supervisor/util.h"

#include <string.h>
#include <time.h>

struct parts {
	struct image_manifest manifest;
	struct image_config config;
};

static void parts_clear(struct parts *parts)
{
	image_manifest_clear(&parts->manifest);
	image_config_clear(&parts->config);
}

static int read_parts(const struct store *store, const struct store_name *name, struct parts *parts, struct err *err)
{
	_cleanup_free_ char *manifest = NULL;
	_cleanup_free_ char *config = NULL;
	ssize_t n = store_blob_read(store, name->digest, IMAGE_MANIFEST_MAX, &manifest, err);
	int r = n < 0 ? (int)n : image_manifest_parse(manifest, (size_t)n, &parts->manifest, err);

	if (r < 0)
		return r;
	n = store_blob_read(store, parts->manifest.config.digest, IMAGE_CONFIG_MAX, &config, err);
	return n < 0 ? (int)n : image_config_parse(config, (size_t)n, parts->manifest.n_layers, &parts->config, err);
}

static json_t *time_json(uint64_t time_us)
{
	time_t seconds = (time_t)(time_us / 1000000);
	char text[32] = "";
	struct tm tm;

	if (gmtime_r(&seconds, &tm))
		(void)strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm);
	return json_string(text);
}

static json_t *labels_json(const struct image_config *config)
{
	json_t *labels = json_object_get(config->run, "Labels");

	return json_is_object(labels) ? json_incref(labels) : json_object();
}

static json_t *basic_json(const struct store_name *name, const struct parts *parts)
{
	const char *runtime = image_config_label(&parts->config, "io.ferrite.runtime");
	const char *base = image_config_label(&parts->config, IMAGE_LABEL_BASE);
	const char *created = json_string_value(json_object_get(parts->config.document, "created"));
	json_t *json = json_pack("{s:s, s:s, s:I, s:o, s:I, s:s, s:o}", "name", name->name, "digest", name->digest,
				 "size", (json_int_t)name->size, "imported", time_json(name->imported_us), "layers",
				 (json_int_t)parts->manifest.n_layers, "runtime", runtime ? runtime : "exec", "labels",
				 labels_json(&parts->config));

	(void)json_object_set_new(json, "created",
				  created ? json_string(created) : json_incref(json_object_get(json, "imported")));
	if (base)
		(void)json_object_set_new(json, "base", json_string(base));
	return json;
}

static json_t *broken_json(const struct store_name *name, const struct err *why)
{
	return json_pack("{s:s, s:s, s:I, s:s}", "name", name->name, "digest", name->digest, "size",
			 (json_int_t)name->size, "error", why->text);
}

static json_t *layers_json(const struct store *store, const struct parts *parts)
{
	json_t *list = json_array();

	for (size_t i = 0; i < parts->manifest.n_layers; i++) {
		_cleanup_(store_layer_clear) struct store_layer record = {0};
		const struct image_descriptor *layer = &parts->manifest.layers[i];
		const char *diff_id = parts->config.diff_ids[i];

		(void)store_layer_read(store, store_hex(diff_id), &record, NULL);
		(void)json_array_append_new(list,
					    json_pack("{s:s, s:s, s:I, s:I, s:s}", "digest", layer->digest, "diff_id",
						      diff_id, "size", (json_int_t)layer->size, "unpacked",
						      (json_int_t)record.bytes, "media_type", layer->media_type));
	}
	return list;
}

static int finish(json_t *json, char **ret_text, struct err *err)
{
	char *text = json ? document_text(json) : NULL;

	json_decref(json);
	if (!text)
		return err_sys(err, ENOMEM, "describe images");
	*ret_text = text;
	return 0;
}

int describe_images(const struct store *store, char **ret_text, struct err *err)
{
	json_t *list = json_array();

	for (size_t i = 0; i < store->n_names; i++) {
		_cleanup_(parts_clear) struct parts parts = {0};
		struct err why = ERR_INIT;
		int r = read_parts(store, &store->names[i], &parts, &why);

		(void)json_array_append_new(list, r < 0 ? broken_json(&store->names[i], &why)
							: basic_json(&store->names[i], &parts));
	}
	return finish(json_pack("{s:o}", "images", list), ret_text, err);
}

int describe_image(const struct store *store, const struct reference *reference, char **ret_text, struct err *err)
{
	_cleanup_(parts_clear) struct parts parts = {0};
	const struct store_name *name = store_find(store, reference);
	char text[REFERENCE_TEXT_MAX];
	json_t *json, *run;
	int r;

	if (!name)
		return err_set(err, ENOENT, "there is no image \"%s\" in the store",
			       reference_format(reference, text, sizeof(text)));
	r = read_parts(store, name, &parts, err);
	if (r < 0)
		return r;
	json = basic_json(name, &parts);
	run = parts.config.run ? json_incref(parts.config.run) : json_object();
	(void)json_object_set_new(json, "layers", layers_json(store, &parts));
	(void)json_object_set_new(json, "config", run);
	for (size_t i = 0; i < 2; i++) {
		const char *key = i == 0 ? "architecture" : "os";
		json_t *value = json_object_get(parts.config.document, key);

		if (value)
			(void)json_object_set(json, key, value);
	}
	return finish(json, ret_text, err);
}
