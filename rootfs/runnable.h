/*
 * What is needed to run an image of the store: its configuration and its layers in the order of the overlay.
 */
#ifndef FERRITE_ROOTFS_RUNNABLE_H
#define FERRITE_ROOTFS_RUNNABLE_H

#include "rootfs/image.h"
#include "rootfs/store.h"
#include "supervisor/err.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

struct runnable {
	char digest[DIGEST_TEXT_LENGTH + 1]; /* of the manifest */
	char *config;			     /* image_run_config() */
	/* Lowest first; each once (a layer that comes twice counts where it is uppermost), nothing below a layer that
	 * hides everything. */
	char layers[IMAGE_LAYERS_MAX][STORE_LAYER_ID_MAX];
	size_t n_layers;
	bool host_base; /* the host's layers go below */
	json_t *needed; /* libraries that the layers need and do not bring, for the host's layers */
};

/* Reads the image with this manifest digest; checks digests of manifest and configuration. The caller clears it. */
int runnable_load(const struct store *store, const char *digest, struct runnable *ret, struct err *err);
void runnable_clear(struct runnable *runnable);

/* Libraries that the layers need and do not bring themselves: a new list, NULL when memory is short. */
json_t *runnable_open_needs(const struct store_layer *const *records, size_t n_records);

#endif
