#include "rootfs/archive_image.h"

#include "rootfs/document.h"
#include "rootfs/entry.h"
#include "rootfs/reference.h"
#include "supervisor/str.h"
#include "supervisor/util.h"

#include <string.h>

#define LINKS_MAX 4

struct finder {
	int folder_fd;
	const struct layers_files *files;
	const char *name;
	struct archive_image *image;
};

static const struct layers_file *find_exact(const struct finder *f, const char *name)
{
	const struct layers_file *found = NULL;

	/* As with tar itself, the last of several entries of one name counts. */
	for (size_t i = 0; i < f->files->count; i++)
		if (strcmp(f->files->items[i].name, name) == 0)
			found = &f->files->items[i];
	return found;
}

/* Resolves TARGET, as a link at FROM has it; ".." is allowed as long as it stays inside. */
static bool link_path(const char *from, const char *target, char *buffer, size_t size)
{
	const char *slash = strrchr(from, '/');
	size_t length = slash ? (size_t)(slash - from) : 0;

	if (length >= size)
		return false;
	memcpy(buffer, from, length);
	buffer[length] = '\0';
	while (strncmp(target, "../", 3) == 0) {
		char *parent = strrchr(buffer, '/');

		if (!buffer[0])
			return false;
		*(parent ? parent : buffer) = '\0';
		target += 3;
	}
	length = strlen(buffer);
	return (size_t)snprintf(buffer + length, size - length, "%s%s", length ? "/" : "", target) < size - length;
}

static const struct layers_file *find(const struct finder *f, const char *name)
{
	char path[2 * SPOOL_NAME_MAX + 2];
	const struct layers_file *file = find_exact(f, name);

	for (int i = 0; file && file->kind == SPOOL_LINK; i++) {
		/* Hard links name the whole path, symbolic links begin at their place. */
		const struct layers_file *next = find_exact(f, file->target);

		if (!next && link_path(file->name, file->target, path, sizeof(path)))
			next = find_exact(f, path);
		if (i == LINKS_MAX)
			return NULL;
		file = next;
	}
	return file;
}

static int missing(const char *name, struct err *err)
{
	char shown[120];

	return err_set(err, EINVAL, "the image archive lacks the file \"%s\" that it names",
		       str_escape(shown, sizeof(shown), name, strlen(name)));
}

static int read_text(const struct finder *f, const struct layers_file *file, size_t max, char **ret_text,
		     size_t *ret_length, struct err *err)
{
	ssize_t n;

	if (file->bytes > max)
		return err_set(err, EFBIG, "%s in the archive is larger than %zu bytes", file->name, max);
	n = file_read(f->folder_fd, file->file, max, ret_text, err);
	if (n >= 0)
		*ret_length = (size_t)n;
	return n < 0 ? (int)n : 0;
}

/* The file of a descriptor, with the right digest and size. */
static const struct layers_file *find_blob(const struct finder *f, const struct image_descriptor *d, struct err *err)
{
	char name[7 + 7 + DIGEST_HEX_LENGTH + 1];
	const struct layers_file *file;

	(void)snprintf(name, sizeof(name), "blobs/sha256/%s", store_hex(d->digest));
	file = find(f, name);
	if (!file) {
		(void)missing(name, err);
		return NULL;
	}
	if (strcmp(file->digest, d->digest) != 0) {
		(void)err_set(err, EINVAL, "digest mismatch: %s in the archive has the digest %s", name, file->digest);
		return NULL;
	}
	if (file->bytes != d->size) {
		(void)err_set(err, EINVAL, "size mismatch: %s in the archive has %llu bytes, its descriptor says %llu",
			      name, (unsigned long long)file->bytes, (unsigned long long)d->size);
		return NULL;
	}
	return file;
}

/* Adds the normal form of a name when it is one; others are no reason to refuse an image. */
static void add_name(struct archive_image *image, const char *text)
{
	char buffer[REFERENCE_TEXT_MAX];
	struct reference reference;

	/* OCI layouts often have a bare tag there, which names nothing. */
	if (!text || !strpbrk(text, "/:") || reference_parse(text, &reference, NULL) < 0 || reference.digest[0] ||
	    image->n_names >= ARCHIVE_IMAGE_NAMES_MAX)
		return;
	image->names[image->n_names] = strdup(reference_format(&reference, buffer, sizeof(buffer)));
	if (image->names[image->n_names])
		image->n_names++;
}

static bool is_name(const char *text, const char *wanted)
{
	char buffer[REFERENCE_TEXT_MAX];
	struct reference reference;

	return text && wanted && reference_parse(text, &reference, NULL) == 0 &&
	       strcmp(reference_format(&reference, buffer, sizeof(buffer)), wanted) == 0;
}

/* --- OCI ---------------------------------------------------------------------------------------------------------- */

static int take_manifest(struct finder *f, const struct layers_file *file, struct err *err)
{
	struct archive_image *image = f->image;
	_cleanup_(image_manifest_clear) struct image_manifest m = {0};
	const struct layers_file *config;
	int r = read_text(f, file, IMAGE_MANIFEST_MAX, &image->manifest, &image->manifest_length, err);

	if (r == 0)
		r = image_manifest_parse(image->manifest, image->manifest_length, &m, err);
	if (r < 0)
		return r;
	config = find_blob(f, &m.config, err);
	if (!config)
		return -EINVAL;
	r = read_text(f, config, IMAGE_CONFIG_MAX, &image->config, &image->config_length, err);
	if (r < 0)
		return r;
	for (size_t i = 0; i < m.n_layers; i++) {
		struct archive_layer *layer = &image->layers[i];

		layer->file = find_blob(f, &m.layers[i], err);
		if (!layer->file)
			return err_wrap(err, "layer %zu", i), -EINVAL;
		layer->compression = image_layer_compression(m.layers[i].media_type);
		layer->bytes = layer->file->bytes;
		(void)str_copy(layer->digest, sizeof(layer->digest), layer->file->digest);
	}
	image->n_layers = m.n_layers;
	return 0;
}

/* The place of the one descriptor of an index that is for this machine and, where it matters, of the wanted name. */
static int choose(const struct finder *f, const struct image_index *index, bool top, size_t *ret_chosen,
		  struct err *err)
{
	size_t fitting = 0, named = 0, first = 0, by_name = 0;

	for (size_t i = index->count; i-- > 0;) {
		const struct image_descriptor *d = &index->manifests[i];

		if (!image_descriptor_fits(d))
			continue;
		fitting++;
		first = i;
		if (top && is_name(image_descriptor_name(d), f->name)) {
			named++;
			by_name = i;
		}
	}
	if (fitting == 0)
		return err_set(err, EINVAL, "the archive has no image for linux/%s", image_host_architecture());
	if (top && fitting > 1 && named == 0)
		return err_set(err, EINVAL, "the archive holds %zu images: give the name of one of them", fitting);
	*ret_chosen = named ? by_name : first;
	return 0;
}

static int find_oci(struct finder *f, const struct layers_file *file, unsigned nesting, struct err *err)
{
	_cleanup_(image_index_clear) struct image_index index = {0};
	_cleanup_free_ char *text = NULL;
	const struct layers_file *next;
	size_t length = 0, chosen = 0;
	int r;

	if (nesting > IMAGE_NESTING_MAX)
		return err_set(err, ELOOP, "indexes are nested in indexes more than %d times", IMAGE_NESTING_MAX);
	r = read_text(f, file, IMAGE_MANIFEST_MAX, &text, &length, err);
	if (r == 0)
		r = image_index_parse(text, length, &index, err);
	if (r == 0)
		r = choose(f, &index, nesting == 0, &chosen, err);
	if (r < 0)
		return r;
	next = find_blob(f, &index.manifests[chosen], err);
	if (!next)
		return -EINVAL;
	if (nesting == 0)
		add_name(f->image, image_descriptor_name(&index.manifests[chosen]));
	if (image_descriptor_is_index(&index.manifests[chosen]))
		return find_oci(f, next, nesting + 1, err);
	return take_manifest(f, next, err);
}

/* --- docker save -------------------------------------------------------------------------------------------------- */

/* Names that carry a digest ("<hex>.json", "sha256:<hex>", "blobs/sha256/<hex>") promise it. */
static int check_promise(const struct layers_file *file, const char *name, struct err *err)
{
	const char *base = strrchr(name, '/') ? strrchr(name, '/') + 1 : name;

	if (strncmp(base, "sha256:", 7) == 0)
		base += 7;
	if (strspn(base, "0123456789abcdef") != DIGEST_HEX_LENGTH ||
	    (base[DIGEST_HEX_LENGTH] && strcmp(base + DIGEST_HEX_LENGTH, ".json") != 0) ||
	    strncmp(store_hex(file->digest), base, DIGEST_HEX_LENGTH) == 0)
		return 0;
	return err_set(err, EINVAL, "digest mismatch: %.120s in the archive has the digest %s", name, file->digest);
}

static int choose_docker(const struct finder *f, const struct image_docker *docker, size_t *ret_chosen, struct err *err)
{
	json_t *tag;
	size_t j;

	for (size_t i = 0; i < docker->count; i++)
		json_array_foreach((json_t *)docker->entries[i].tags, j, tag)
		{
			if (is_name(json_string_value(tag), f->name)) {
				*ret_chosen = i;
				return 0;
			}
		}
	if (docker->count > 1)
		return err_set(err, EINVAL, "the archive holds %zu images: give the name of one of them",
			       docker->count);
	*ret_chosen = 0;
	return 0;
}

static int take_docker(struct finder *f, const struct image_docker_entry *entry, struct err *err)
{
	const struct layers_file *config = find(f, entry->config);
	struct archive_image *image = f->image;
	json_t *tag;
	size_t i;
	int r;

	if (!config)
		return missing(entry->config, err);
	r = check_promise(config, entry->config, err);
	if (r == 0)
		r = read_text(f, config, IMAGE_CONFIG_MAX, &image->config, &image->config_length, err);
	for (i = 0; r == 0 && i < entry->n_layers; i++) {
		struct archive_layer *layer = &image->layers[i];

		layer->file = find(f, entry->layers[i]);
		if (!layer->file)
			return missing(entry->layers[i], err);
		r = check_promise(layer->file, entry->layers[i], err);
		layer->bytes = layer->file->bytes;
		(void)str_copy(layer->digest, sizeof(layer->digest), layer->file->digest);
	}
	image->n_layers = entry->n_layers;
	json_array_foreach((json_t *)entry->tags, i, tag)
	{
		add_name(image, json_string_value(tag));
	}
	return r;
}

static int find_docker(struct finder *f, const struct layers_file *file, struct err *err)
{
	_cleanup_(image_docker_clear) struct image_docker docker = {0};
	_cleanup_free_ char *text = NULL;
	size_t length = 0, chosen = 0;
	int r = read_text(f, file, IMAGE_MANIFEST_MAX, &text, &length, err);

	if (r == 0)
		r = image_docker_parse(text, length, &docker, err);
	if (r == 0)
		r = choose_docker(f, &docker, &chosen, err);
	if (r < 0 || !docker.entries)
		return r < 0 ? r : -EINVAL;
	return take_docker(f, &docker.entries[chosen], err);
}

int archive_image_find(int folder_fd, const struct layers_files *files, const char *name, struct archive_image *ret,
		       struct err *err)
{
	_cleanup_(archive_image_clear) struct archive_image image = {0};
	struct finder f = {folder_fd, files, name, &image};
	const struct layers_file *index = find(&f, "index.json"), *docker = find(&f, "manifest.json");
	int r = 0;

	if (files->count == 0)
		return err_set(err, EINVAL, "the archive is empty");
	if (files->items[0].kind == SPOOL_RAW) {
		image.layers[0].file = &files->items[0];
		image.layers[0].bytes = files->items[0].bytes;
		image.layers[0].compression = files->items[0].compression;
		(void)str_copy(image.layers[0].digest, sizeof(image.layers[0].digest), files->items[0].digest);
		image.n_layers = 1;
	} else if (index && find(&f, "oci-layout")) {
		/* The newer docker save has both; the OCI part keeps the image's own manifest and digest. */
		r = find_oci(&f, index, 0, err);
	} else if (docker) {
		r = find_docker(&f, docker, err);
	} else {
		r = err_set(err, EINVAL,
			    "the archive looks like an image but has neither manifest.json (docker save) nor "
			    "oci-layout and index.json (OCI)");
	}
	if (r < 0)
		return r;
	*ret = image;
	image = (struct archive_image){0};
	return 0;
}

void archive_image_clear(struct archive_image *image)
{
	free_ptr(&image->manifest);
	free_ptr(&image->config);
	for (size_t i = 0; i < image->n_names; i++)
		free_ptr(&image->names[i]);
	image->n_names = 0;
}
