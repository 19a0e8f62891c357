/*
 * Images as the api runs them: the layer directories and the interpreted configuration, as ferrite-rootfs resolved a
 * name. Opened images are kept by name until the store says that a name changed. Immutable once made, counted.
 */
#ifndef FERRITE_API_IMAGE_H
#define FERRITE_API_IMAGE_H

#include "api/gpuwish.h"
#include "api/peers.h"

#define IMAGES_KEPT_MAX 256

struct image {
	_Atomic unsigned references;
	struct table_node node;
	char *name; /* as the route has it */
	char digest[72];
	unsigned n_layers;
	int layer_fds[SBX_LAYERS_MAX];
	unsigned n_args;
	char **args; /* ENTRYPOINT and CMD; ends with NULL */
	unsigned n_env;
	char **env; /* "K=V" */
	char *workdir;
	char home[256];
	uint32_t uid, gid, stop_signal;
	bool cuda;	     /* label io.ferrite.runtime */
	char *cuda_section;  /* label io.ferrite.cuda */
	struct gpu_wish gpu; /* label io.ferrite.gpu; count 1 for cuda without one */
};

/* Interprets an OCI image configuration. The layers are taken over in any case. */
int image_make(const char *name, const char *digest, const char *config, size_t length, int *layer_fds,
	       unsigned n_layers, struct image **ret_image, struct err *err);
struct image *image_ref(struct image *image);
void image_unref(struct image *image);

struct images {
	pthread_mutex_t lock;
	struct table kept;
};

int images_open(struct images *images, struct err *err);
void images_close(struct images *images);
/* A reference, or NULL when the image has to be opened first. */
struct image *images_find(struct images *images, const char *name);
/* Keeps an opened image; control thread, in the order of the messages. */
void images_keep(struct images *images, struct image *image);
/* Forgets all: names have changed. */
void images_forget(struct images *images);

#endif
