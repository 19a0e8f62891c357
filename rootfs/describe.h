/*
 * JSON about the images of a store, for `GET /v1/images` and the like.
 */
#ifndef FERRITE_ROOTFS_DESCRIBE_H
#define FERRITE_ROOTFS_DESCRIBE_H

#include "rootfs/store.h"
#include "supervisor/err.h"

/*
 * {"images": [{name, digest, size, created, imported, layers (their number), runtime, base, labels}, …]}; an image that
 * cannot be read has name, digest, size and `error`. The caller frees the text.
 */
int describe_images(const struct store *store, char **ret_text, struct err *err);

/*
 * One image: the same, and architecture, os, config (as in the image) and layers as a list of {digest, diff_id, size,
 * unpacked, media_type}. -ENOENT when there is none of that name.
 */
int describe_image(const struct store *store, const struct reference *reference, char **ret_text, struct err *err);

#endif
