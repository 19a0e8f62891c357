/* The JSON of images in every place where it is read, and image names. The first byte chooses. */
#include "rootfs/image.h"
#include "rootfs/reference.h"
#include "supervisor/util.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void config(const char *text, size_t length)
{
	static struct image_config c;
	_cleanup_free_ char *run = NULL;
	size_t n_layers = length % 4;

	if (image_config_parse(text, length, n_layers, &c, NULL) < 0)
		return;
	if (c.n_layers != n_layers)
		abort();
	if (image_run_config(&c, &run, NULL) == 0 && strlen(run) > IMAGE_RUN_CONFIG_MAX)
		abort();
	(void)image_config_label(&c, IMAGE_LABEL_BASE);
	image_config_clear(&c);
}

static void manifest(const char *text, size_t length)
{
	static struct image_manifest m;

	if (image_manifest_parse(text, length, &m, NULL) < 0)
		return;
	for (size_t i = 0; i < m.n_layers; i++)
		if (!image_layer_compression(m.layers[i].media_type) || !reference_is_digest(m.layers[i].digest))
			abort();
	image_manifest_clear(&m);
}

static void image_index(const char *text, size_t length)
{
	static struct image_index index;

	if (image_index_parse(text, length, &index, NULL) < 0)
		return;
	for (size_t i = 0; i < index.count; i++) {
		(void)image_descriptor_fits(&index.manifests[i]);
		(void)image_descriptor_is_index(&index.manifests[i]);
		(void)image_descriptor_name(&index.manifests[i]);
	}
	image_index_clear(&index);
}

static void docker(const char *text, size_t length)
{
	struct image_docker d = {0};

	if (image_docker_parse(text, length, &d, NULL) == 0)
		image_docker_clear(&d);
}

/* The normal form of a name is its own normal form. */
static void name(const char *text, size_t length)
{
	_cleanup_free_ char *copy = strndup(text, length);
	char normal[REFERENCE_TEXT_MAX], again[REFERENCE_TEXT_MAX];
	struct reference reference;

	if (!copy || reference_parse(copy, &reference, NULL) < 0)
		return;
	(void)reference_format(&reference, normal, sizeof(normal));
	if (reference_parse(normal, &reference, NULL) < 0 ||
	    strcmp(reference_format(&reference, again, sizeof(again)), normal) != 0)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static void (*const readers[])(const char *text, size_t length) = {config, manifest, image_index, docker, name};

	if (size > 0)
		readers[data[0] % ARRAY_LEN(readers)]((const char *)data + 1, size - 1);
	return 0;
}
