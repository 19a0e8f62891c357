/*
 * Finds the image inside an archive that was spooled: which file is the configuration, which are the layers, under
 * which names. Understands OCI layouts, both layouts of docker save, and takes anything else for one layer.
 */
#ifndef FERRITE_ROOTFS_ARCHIVE_IMAGE_H
#define FERRITE_ROOTFS_ARCHIVE_IMAGE_H

#include "rootfs/image.h"
#include "rootfs/layers.h"
#include "supervisor/err.h"

#include <stddef.h>

#define ARCHIVE_IMAGE_NAMES_MAX 64

struct archive_layer {
	const struct layers_file *file; /* NULL: in the store already (of a base image) */
	const char *compression;	/* what the media type promises, NULL: nothing */
	const char *media_type;		/* of the manifest; NULL: to be found */
	char digest[DIGEST_TEXT_LENGTH + 1];
	uint64_t bytes;
};

struct archive_image {
	char *manifest; /* text as it stands in the archive, NULL: to be made */
	size_t manifest_length;
	char *config; /* text; NULL for a plain root file system: to be made */
	size_t config_length;
	struct archive_layer layers[IMAGE_LAYERS_MAX];
	size_t n_layers;
	char *names[ARCHIVE_IMAGE_NAMES_MAX]; /* normal forms that the archive gives it */
	size_t n_names;
};

/*
 * FOLDER_FD holds the spooled FILES, which outlive the result. NAME (normal form, or NULL) chooses among several
 * images. Returns 0 or a negative errno; the caller clears the result.
 */
int archive_image_find(int folder_fd, const struct layers_files *files, const char *name, struct archive_image *ret,
		       struct err *err);
void archive_image_clear(struct archive_image *image);

#endif
