/*
 * The JSON of images: OCI indexes, manifests and configurations, and Docker's manifest.json. Hostile text in, checked
 * structures out. All strings of a result are copies or belong to its documents; the …_clear() functions release them.
 */
#ifndef FERRITE_ROOTFS_IMAGE_H
#define FERRITE_ROOTFS_IMAGE_H

#include "rootfs/digest.h"
#include "supervisor/err.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	IMAGE_LAYERS_MAX = 128,
	IMAGE_LIST_MAX = 1024,		    /* entries of Env, Cmd, Labels, … */
	IMAGE_DESCRIPTORS_MAX = 256,	    /* entries of an index or a manifest.json */
	IMAGE_MANIFEST_MAX = 1024 * 1024,   /* bytes of an index or a manifest */
	IMAGE_CONFIG_MAX = 4 * 1024 * 1024, /* bytes of a configuration with its history */
	IMAGE_RUN_CONFIG_MAX = 128 * 1024,  /* bytes of what of it is needed to run: it travels in a message */
	IMAGE_NESTING_MAX = 4,		    /* indexes inside indexes */
};

#define IMAGE_MEDIA_MANIFEST "application/vnd.oci.image.manifest.v1+json"
#define IMAGE_MEDIA_INDEX    "application/vnd.oci.image.index.v1+json"
#define IMAGE_MEDIA_CONFIG   "application/vnd.oci.image.config.v1+json"
#define IMAGE_MEDIA_LAYER    "application/vnd.oci.image.layer.v1.tar"

#define IMAGE_LABEL_BASE "io.ferrite.base"

struct image_descriptor {
	char digest[DIGEST_TEXT_LENGTH + 1];
	uint64_t size;
	const char *media_type; /* in the document; "" when it was not given */
	const json_t *json;
};

struct image_manifest {
	json_t *document;
	struct image_descriptor config;
	struct image_descriptor layers[IMAGE_LAYERS_MAX];
	size_t n_layers;
};

struct image_config {
	json_t *document;
	json_t *run; /* its `config` object, may be NULL */
	char diff_ids[IMAGE_LAYERS_MAX][DIGEST_TEXT_LENGTH + 1];
	size_t n_layers;
};

struct image_index {
	json_t *document;
	struct image_descriptor manifests[IMAGE_DESCRIPTORS_MAX];
	size_t count;
};

/* One image of a manifest.json. Strings belong to the document. */
struct image_docker_entry {
	const char *config;
	const char *layers[IMAGE_LAYERS_MAX];
	size_t n_layers;
	const json_t *tags; /* list of strings, may be NULL */
};

struct image_docker {
	json_t *document;
	struct image_docker_entry *entries;
	size_t count;
};

int image_manifest_parse(const char *text, size_t length, struct image_manifest *ret, struct err *err);

/* Also checks that the image is for this machine. N_LAYERS is the manifest's number, the diff ids must agree. */
int image_config_parse(const char *text, size_t length, size_t n_layers, struct image_config *ret, struct err *err);
int image_index_parse(const char *text, size_t length, struct image_index *ret, struct err *err);
int image_docker_parse(const char *text, size_t length, struct image_docker *ret, struct err *err);

void image_manifest_clear(struct image_manifest *manifest);
void image_config_clear(struct image_config *config);
void image_index_clear(struct image_index *index);
void image_docker_clear(struct image_docker *docker);

/* True when a descriptor of an index is for this machine, or says nothing about it; false for attestations. */
bool image_descriptor_fits(const struct image_descriptor *descriptor);
bool image_descriptor_is_index(const struct image_descriptor *descriptor);

/* The image name that a descriptor of an index carries in its annotations, or NULL. */
const char *image_descriptor_name(const struct image_descriptor *descriptor);

/* The compression that a layer's media type promises ("", "gzip", "zstd"), or NULL for types that are no layer. */
const char *image_layer_compression(const char *media_type);

/* A label of the configuration, or NULL. */
const char *image_config_label(const struct image_config *config, const char *key);

/* "amd64", "arm64": the architecture of this machine as images name it. */
const char *image_host_architecture(void);

/* What of the configuration a run needs, as JSON text for RFS_OPENED; the caller frees it. */
int image_run_config(const struct image_config *config, char **ret_text, struct err *err);

/* A descriptor as JSON: new reference, NULL when memory is short. */
json_t *image_descriptor_json(const char *media_type, const char *digest, uint64_t size);

#endif
