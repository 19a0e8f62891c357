/*
 * Putting an image on another image of the store: `io.ferrite.base: NAME`. Done once, at import; the result stands for
 * itself.
 */
#ifndef FERRITE_ROOTFS_COMPOSE_H
#define FERRITE_ROOTFS_COMPOSE_H

#include "rootfs/archive_image.h"
#include "rootfs/store.h"
#include "supervisor/err.h"

/*
 * Makes a configuration and manifest where the archive has none (docker save, plain root file systems). Then, when the
 * configuration has the label io.ferrite.base with an image name, puts that image's layers below, takes over its
 * environment, labels, user, working directory and, when the image has no entry point of its own, entry point and
 * command, and replaces the label by org.opencontainers.image.base.name and .digest. Manifest and configuration are new
 * texts then. DIFF_ID is the diff id of a plain root file system's only layer, NULL for images.
 */
int compose_image(const struct store *store, struct archive_image *image, const char *diff_id, struct err *err);

#endif
