#include "rootfs/image.h"

#include "rootfs/document.h"
#include "rootfs/reference.h"
#include "supervisor/str.h"
#include "supervisor/util.h"

#include <string.h>

#if defined(__x86_64__)
#define HOST_ARCHITECTURE "amd64"
#else
#define HOST_ARCHITECTURE "arm64"
#endif

static int refuse(const char *what, const char *why, struct err *err)
{
	return err_set(err, EINVAL, "%s: %s", what, why);
}

const char *image_host_architecture(void)
{
	return HOST_ARCHITECTURE;
}

static int parse_object(const char *what, const char *text, size_t length, size_t max, json_t **ret, struct err *err)
{
	if (length > max)
		return err_set(err, EFBIG, "%s is larger than %zu bytes", what, max);
	*ret = document_parse(what, text, length, err);
	if (!*ret)
		return err && err->code ? err->code : -EINVAL;
	return json_is_object(*ret) ? 0 : refuse(what, "it is no object", err);
}

static int parse_descriptor(const json_t *json, const char *what, struct image_descriptor *ret, struct err *err)
{
	const char *digest = NULL;
	const json_t *size = json_object_get(json, "size");
	int r;

	*ret = (struct image_descriptor){.media_type = "", .json = json};
	if (!json_is_object(json))
		return refuse(what, "a descriptor is no object", err);
	r = document_string(json, what, "digest", &digest, err);
	if (r >= 0)
		r = document_string(json, what, "mediaType", &ret->media_type, err);
	if (r < 0)
		return r;
	if (!digest || !reference_is_digest(digest))
		return refuse(what, "a descriptor has no valid sha256 digest", err);
	if (!json_is_integer(size) || json_integer_value(size) < 0)
		return refuse(what, "a descriptor has no valid size", err);
	(void)str_copy(ret->digest, sizeof(ret->digest), digest);
	ret->size = (uint64_t)json_integer_value(size);
	return 0;
}

static int parse_descriptors(const json_t *object, const char *what, const char *key, struct image_descriptor *list,
			     size_t max, size_t *ret_count, struct err *err)
{
	json_t *array = NULL, *item;
	size_t i;
	int r = document_array(object, what, key, &array, err);

	if (r < 0)
		return r;
	if (r == 0)
		return err_set(err, EINVAL, "%s: %s is missing", what, key);
	if (json_array_size(array) > max)
		return err_set(err, E2BIG, "%s: %s has more than %zu entries", what, key, max);
	json_array_foreach(array, i, item)
	{
		r = parse_descriptor(item, what, &list[i], err);
		if (r < 0)
			return r;
	}
	*ret_count = json_array_size(array);
	return 0;
}

static int check_version(const json_t *document, const char *what, struct err *err)
{
	const json_t *version = json_object_get(document, "schemaVersion");

	if (!json_is_integer(version) || json_integer_value(version) != 2)
		return refuse(what, "schemaVersion is not 2", err);
	return 0;
}

int image_manifest_parse(const char *text, size_t length, struct image_manifest *ret, struct err *err)
{
	static const char what[] = "image manifest";
	_cleanup_(image_manifest_clear) struct image_manifest m = {0};
	int r = parse_object(what, text, length, IMAGE_MANIFEST_MAX, &m.document, err);

	if (r == 0)
		r = check_version(m.document, what, err);
	if (r == 0 && json_object_get(m.document, "manifests"))
		r = refuse(what, "it is an index, not a manifest", err);
	if (r == 0)
		r = parse_descriptor(json_object_get(m.document, "config"), what, &m.config, err);
	if (r == 0)
		r = parse_descriptors(m.document, what, "layers", m.layers, IMAGE_LAYERS_MAX, &m.n_layers, err);
	for (size_t i = 0; r == 0 && i < m.n_layers; i++)
		if (!image_layer_compression(m.layers[i].media_type))
			r = err_set(err, EINVAL, "%s: layer %zu has the media type \"%.80s\", which is no layer", what,
				    i, m.layers[i].media_type);
	if (r < 0)
		return r;
	*ret = m;
	m.document = NULL;
	return 0;
}

int image_index_parse(const char *text, size_t length, struct image_index *ret, struct err *err)
{
	static const char what[] = "image index";
	_cleanup_(image_index_clear) struct image_index index = {0};
	int r = parse_object(what, text, length, IMAGE_MANIFEST_MAX, &index.document, err);

	if (r == 0)
		r = check_version(index.document, what, err);
	if (r == 0)
		r = parse_descriptors(index.document, what, "manifests", index.manifests, IMAGE_DESCRIPTORS_MAX,
				      &index.count, err);
	if (r < 0)
		return r;
	*ret = index;
	index.document = NULL;
	return 0;
}

static int check_strings(const json_t *object, const char *key, bool pairs, struct err *err)
{
	static const char what[] = "image configuration";
	json_t *array = NULL, *item;
	size_t i;
	int r = document_array(object, what, key, &array, err);

	if (r <= 0)
		return r;
	if (json_array_size(array) > IMAGE_LIST_MAX)
		return err_set(err, E2BIG, "%s: %s has more than %d entries", what, key, IMAGE_LIST_MAX);
	json_array_foreach(array, i, item)
	{
		const char *text = json_string_value(item);

		if (!text || (pairs && (*text == '=' || !strchr(text, '='))))
			return err_set(err, EINVAL, "%s: entry %zu of %s is no %s", what, i, key,
				       pairs ? "NAME=VALUE" : "string");
	}
	return 0;
}

static int check_labels(json_t *run, struct err *err)
{
	static const char what[] = "image configuration";
	json_t *labels = NULL, *value;
	const char *key;
	int r = document_object(run, what, "Labels", &labels, err);

	if (r <= 0)
		return r;
	if (json_object_size(labels) > IMAGE_LIST_MAX)
		return refuse(what, "it has too many labels", err);
	json_object_foreach(labels, key, value)
	{
		if (!json_is_string(value))
			return err_set(err, EINVAL, "%s: label %.80s is no string", what, key);
	}
	return 0;
}

/* The part that says what to run: its types are right, so that nobody has to look again. */
static int check_run(json_t *run, struct err *err)
{
	static const char *const strings[] = {"User", "WorkingDir", "StopSignal"};
	static const char *const lists[] = {"Entrypoint", "Cmd"};
	int r = check_strings(run, "Env", true, err);

	for (size_t i = 0; r >= 0 && i < ARRAY_LEN(lists); i++)
		r = check_strings(run, lists[i], false, err);
	for (size_t i = 0; r >= 0 && i < ARRAY_LEN(strings); i++) {
		const char *value;

		r = document_string(run, "image configuration", strings[i], &value, err);
	}
	return r < 0 ? r : check_labels(run, err);
}

static int check_platform(const json_t *document, struct err *err)
{
	static const char what[] = "image configuration";
	const char *os = "linux", *architecture = HOST_ARCHITECTURE;
	int r = document_string(document, what, "os", &os, err);

	if (r >= 0)
		r = document_string(document, what, "architecture", &architecture, err);
	if (r < 0)
		return r;
	/* Docker leaves them empty in images that were imported from a bare archive. */
	if ((*os && strcmp(os, "linux") != 0) || (*architecture && strcmp(architecture, HOST_ARCHITECTURE) != 0))
		return err_set(err, EINVAL, "the image is for %.40s/%.40s, this machine is linux/%s", os, architecture,
			       HOST_ARCHITECTURE);
	return 0;
}

static int parse_diff_ids(struct image_config *config, size_t n_layers, struct err *err)
{
	static const char what[] = "image configuration";
	json_t *rootfs = NULL, *ids = NULL, *item;
	size_t i;
	int r = document_object(config->document, what, "rootfs", &rootfs, err);

	if (r > 0)
		r = document_array(rootfs, "image configuration: rootfs", "diff_ids", &ids, err);
	if (r < 0)
		return r;
	if (json_array_size(ids) != n_layers)
		return err_set(err, EINVAL, "%s: it names %zu layers, the manifest %zu", what, json_array_size(ids),
			       n_layers);
	json_array_foreach(ids, i, item)
	{
		const char *id = json_string_value(item);

		if (!id || !reference_is_digest(id))
			return err_set(err, EINVAL, "%s: rootfs.diff_ids[%zu] is no sha256 digest", what, i);
		(void)str_copy(config->diff_ids[i], sizeof(config->diff_ids[i]), id);
	}
	config->n_layers = n_layers;
	return 0;
}

int image_config_parse(const char *text, size_t length, size_t n_layers, struct image_config *ret, struct err *err)
{
	static const char what[] = "image configuration";
	_cleanup_(image_config_clear) struct image_config c = {0};
	int r;

	if (n_layers > IMAGE_LAYERS_MAX)
		return err_set(err, E2BIG, "the image has more than %d layers", IMAGE_LAYERS_MAX);
	r = parse_object(what, text, length, IMAGE_CONFIG_MAX, &c.document, err);
	if (r == 0)
		r = check_platform(c.document, err);
	if (r == 0)
		r = parse_diff_ids(&c, n_layers, err);
	if (r == 0)
		r = document_object(c.document, what, "config", &c.run, err);
	if (r > 0)
		r = check_run(c.run, err);
	if (r < 0)
		return r;
	*ret = c;
	c.document = NULL;
	return 0;
}

static int parse_docker_entry(const json_t *json, struct image_docker_entry *entry, struct err *err)
{
	static const char what[] = "manifest.json";
	json_t *layers = NULL, *tags = NULL, *item;
	size_t i;
	int r;

	if (!json_is_object(json))
		return refuse(what, "an entry is no object", err);
	r = document_string(json, what, "Config", &entry->config, err);
	if (r == 0)
		return refuse(what, "Config is missing", err);
	if (r > 0)
		r = document_array(json, what, "Layers", &layers, err);
	if (r >= 0)
		r = document_array(json, what, "RepoTags", &tags, err);
	if (r < 0)
		return r;
	if (json_array_size(layers) > IMAGE_LAYERS_MAX)
		return err_set(err, E2BIG, "%s: an image has more than %d layers", what, IMAGE_LAYERS_MAX);
	json_array_foreach(layers, i, item)
	{
		entry->layers[i] = json_string_value(item);
		if (!entry->layers[i])
			return refuse(what, "Layers has an entry that is no string", err);
	}
	json_array_foreach(tags, i, item)
	{
		if (!json_is_string(item) || i >= IMAGE_LIST_MAX)
			return refuse(what, "RepoTags is no list of strings", err);
	}
	entry->n_layers = json_array_size(layers);
	entry->tags = tags;
	return 0;
}

int image_docker_parse(const char *text, size_t length, struct image_docker *ret, struct err *err)
{
	static const char what[] = "manifest.json";
	_cleanup_(image_docker_clear) struct image_docker d = {0};
	int r = 0;

	if (length > IMAGE_MANIFEST_MAX)
		return err_set(err, EFBIG, "%s is larger than %d bytes", what, IMAGE_MANIFEST_MAX);
	d.document = document_parse(what, text, length, err);
	if (!d.document)
		return err && err->code ? err->code : -EINVAL;
	d.count = json_array_size(d.document);
	if (d.count == 0 || d.count > IMAGE_DESCRIPTORS_MAX)
		return refuse(what, "it is no list of images", err);
	d.entries = calloc(d.count, sizeof(*d.entries));
	if (!d.entries)
		return err_sys(err, ENOMEM, "parse %s", what);
	for (size_t i = 0; r == 0 && i < d.count; i++) {
		r = parse_docker_entry(json_array_get(d.document, i), &d.entries[i], err);
		r = r > 0 ? 0 : r;
	}
	if (r < 0)
		return r;
	*ret = d;
	d = (struct image_docker){0};
	return 0;
}

void image_manifest_clear(struct image_manifest *manifest)
{
	document_release(&manifest->document);
}

void image_config_clear(struct image_config *config)
{
	document_release(&config->document);
}

void image_index_clear(struct image_index *index)
{
	document_release(&index->document);
}

void image_docker_clear(struct image_docker *docker)
{
	document_release(&docker->document);
	free_ptr(&docker->entries);
}

bool image_descriptor_fits(const struct image_descriptor *descriptor)
{
	const json_t *platform = json_object_get(descriptor->json, "platform");
	const char *os = json_string_value(json_object_get(platform, "os"));
	const char *architecture = json_string_value(json_object_get(platform, "architecture"));

	if (os && strcmp(os, "linux") != 0)
		return false;
	return !architecture || strcmp(architecture, HOST_ARCHITECTURE) == 0;
}

bool image_descriptor_is_index(const struct image_descriptor *descriptor)
{
	return strcmp(descriptor->media_type, IMAGE_MEDIA_INDEX) == 0 ||
	       strcmp(descriptor->media_type, "application/vnd.docker.distribution.manifest.list.v2+json") == 0;
}

const char *image_descriptor_name(const struct image_descriptor *descriptor)
{
	const json_t *annotations = json_object_get(descriptor->json, "annotations");
	const char *name = json_string_value(json_object_get(annotations, "io.containerd.image.name"));

	return name ? name : json_string_value(json_object_get(annotations, "org.opencontainers.image.ref.name"));
}

const char *image_layer_compression(const char *media_type)
{
	static const struct {
		const char *type, *compression;
	} known[] = {
		{IMAGE_MEDIA_LAYER, ""},
		{IMAGE_MEDIA_LAYER "+gzip", "gzip"},
		{IMAGE_MEDIA_LAYER "+zstd", "zstd"},
		{"application/vnd.docker.image.rootfs.diff.tar", ""},
		{"application/vnd.docker.image.rootfs.diff.tar.gzip", "gzip"},
		{"application/vnd.docker.image.rootfs.diff.tar.zstd", "zstd"},
	};

	for (size_t i = 0; i < ARRAY_LEN(known); i++)
		if (strcmp(media_type, known[i].type) == 0)
			return known[i].compression;
	return NULL;
}

const char *image_config_label(const struct image_config *config, const char *key)
{
	return json_string_value(json_object_get(json_object_get(config->run, "Labels"), key));
}

int image_run_config(const struct image_config *config, char **ret_text, struct err *err)
{
	static const char *const kept[] = {"architecture", "os", "created", "author", "config"};
	_cleanup_json_ json_t *out = json_object();
	_cleanup_free_ char *text = NULL;

	for (size_t i = 0; i < ARRAY_LEN(kept); i++) {
		json_t *value = json_object_get(config->document, kept[i]);

		if (value && json_object_set(out, kept[i], value) < 0)
			return err_sys(err, ENOMEM, "image configuration");
	}
	text = document_text(out);
	if (!text)
		return err_sys(err, ENOMEM, "image configuration");
	if (strlen(text) > IMAGE_RUN_CONFIG_MAX)
		return err_set(err, EFBIG, "image configuration: what is needed to run is larger than %d bytes",
			       IMAGE_RUN_CONFIG_MAX);
	*ret_text = take_ptr(text);
	return 0;
}

json_t *image_descriptor_json(const char *media_type, const char *digest, uint64_t size)
{
	return json_pack("{s:s, s:s, s:I}", "mediaType", media_type, "digest", digest, "size", (json_int_t)size);
}
