#include "rootfs/bundle_write.h"

#include "rootfs/digest.h"
#include "rootfs/document.h"
#include "rootfs/image.h"
#include "supervisor/util.h"

#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <string.h>

#define BUFFER_BYTES (256 * 1024)

/* Everything that would differ from run to run is fixed. */
#define FIXED_TIME    0
#define FIXED_CREATED "1970-01-01T00:00:00Z"

/* Where an archive goes: a descriptor, with a digest and a count over it. */
struct sink {
	int fd;
	struct digest *digest; /* NULL: none */
	uint64_t done, total;
	bundle_progress progress;
	void *user;
	struct err err;
};

static la_ssize_t sink_write(struct archive *a, void *context, const void *bytes, size_t length)
{
	struct sink *s = context;
	int r = fd_write_all(s->fd, bytes, length);

	if (r < 0) {
		(void)err_sys(&s->err, r, "write the archive");
		archive_set_error(a, -r, "%s", s->err.text);
		return -1;
	}
	if (s->digest)
		digest_add(s->digest, bytes, length);
	s->done += length;
	if (s->progress)
		s->progress(s->user, s->done, s->total);
	return (la_ssize_t)length;
}

static int archive_fail(const struct sink *s, struct archive *a, struct err *err)
{
	if (s->err.code)
		return err_set(err, s->err.code, "%s", s->err.text);
	return err_set(err, EIO, "write the archive: %s", archive_error_string(a) ? archive_error_string(a) : "failed");
}

/* GNU tar: keeps the bytes of names and has no limits that a bundle could reach. */
static struct archive *begin_tar(struct sink *sink, struct err *err)
{
	struct archive *a = archive_write_new();

	if (!a) {
		(void)err_sys(err, ENOMEM, "write the archive");
		return NULL;
	}
	if (archive_write_set_format_gnutar(a) == ARCHIVE_OK &&
	    archive_write_set_bytes_per_block(a, BUFFER_BYTES) == ARCHIVE_OK &&
	    archive_write_set_bytes_in_last_block(a, 1) == ARCHIVE_OK &&
	    archive_write_open(a, sink, NULL, sink_write, NULL) == ARCHIVE_OK)
		return a;
	(void)archive_fail(sink, a, err);
	(void)archive_write_free(a);
	return NULL;
}

static int end_tar(struct sink *sink, struct archive *a, int r, struct err *err)
{
	if (r == 0 && archive_write_close(a) != ARCHIVE_OK)
		r = archive_fail(sink, a, err);
	/* Freeing an archive that failed would write its end. */
	if (r < 0)
		(void)archive_write_fail(a);
	(void)archive_write_free(a);
	return r;
}

static int write_header(struct sink *sink, struct archive *a, const char *path, unsigned type, uint32_t mode,
			uint64_t size, const char *link, struct err *err)
{
	struct archive_entry *entry = archive_entry_new();
	int r = 0;

	if (!entry)
		return err_sys(err, ENOMEM, "write the archive");
	archive_entry_set_pathname(entry, path);
	archive_entry_set_filetype(entry, type);
	archive_entry_set_perm(entry, mode);
	archive_entry_set_size(entry, (la_int64_t)size);
	archive_entry_set_mtime(entry, FIXED_TIME, 0);
	archive_entry_set_uid(entry, 0);
	archive_entry_set_gid(entry, 0);
	if (link)
		archive_entry_set_symlink(entry, link);
	/* A warning is a name that the locale cannot show; its bytes are written. */
	if (archive_write_header(a, entry) < ARCHIVE_WARN)
		r = archive_fail(sink, a, err);
	archive_entry_free(entry);
	return r;
}

static int write_bytes(struct sink *sink, struct archive *a, const void *bytes, size_t length, struct err *err)
{
	return archive_write_data(a, bytes, length) == (la_ssize_t)length ? 0 : archive_fail(sink, a, err);
}

/* Copies LENGTH bytes of a file from its beginning. */
static int write_from(struct sink *sink, struct archive *a, int fd, uint64_t length, const char *name, struct err *err)
{
	_cleanup_free_ char *buffer = malloc(BUFFER_BYTES);
	uint64_t done = 0;

	if (!buffer)
		return err_sys(err, ENOMEM, "write the archive");
	while (done < length) {
		ssize_t n = pread(fd, buffer, MIN((uint64_t)BUFFER_BYTES, length - done), (off_t)done);
		int r;

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? err_sys(err, errno, "read %s", name)
				     : err_set(err, EIO, "%s became shorter while it was read", name);
		r = write_bytes(sink, a, buffer, (size_t)n, err);
		if (r < 0)
			return r;
		done += (uint64_t)n;
	}
	return 0;
}

/* --- the layer ---------------------------------------------------------------------------------------------------- */

static int write_file(struct sink *sink, struct archive *a, int dir_fd, const struct bundle_file *file, struct err *err)
{
	_cleanup_fd_ int fd = -1;
	char path[4096 + 2];
	int r;

	switch (file->kind) {
	case BUNDLE_DIRECTORY:
		(void)snprintf(path, sizeof(path), "%s/", file->to);
		return write_header(sink, a, path, AE_IFDIR, file->mode, 0, NULL, err);
	case BUNDLE_LINK:
		return write_header(sink, a, file->to, AE_IFLNK, file->mode, 0, file->text, err);
	default:
		break;
	}
	if (!file->text) {
		fd = bundle_files_open(dir_fd, file, err);
		if (fd < 0)
			return fd;
	}
	r = write_header(sink, a, file->to, AE_IFREG, file->mode, file->bytes, NULL, err);
	if (r < 0)
		return r;
	return file->text ? write_bytes(sink, a, file->text, file->bytes, err)
			  : write_from(sink, a, fd, file->bytes, file->from, err);
}

struct layer {
	int fd;
	uint64_t bytes;
	char digest[DIGEST_TEXT_LENGTH + 1];
};

static int temporary_file(struct err *err)
{
	const char *folder = getenv("TMPDIR");
	int fd;

	if (!folder || !*folder)
		folder = "/tmp";
	fd = open(folder, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	return fd < 0 ? err_sys(err, errno, "make a temporary file in %s", folder) : fd;
}

static int write_layer(int dir_fd, const struct bundle_files *files, struct layer *layer, struct err *err)
{
	_cleanup_(digest_release) struct digest *digest = digest_new();
	struct sink sink = {.digest = digest};
	struct archive *a;
	int r = 0;

	if (!digest)
		return err_sys(err, ENOMEM, "write the archive");
	layer->fd = sink.fd = temporary_file(err);
	if (layer->fd < 0)
		return layer->fd;
	a = begin_tar(&sink, err);
	if (!a)
		return -EIO;
	for (size_t i = 0; r == 0 && i < files->count; i++)
		r = write_file(&sink, a, dir_fd, &files->items[i], err);
	r = end_tar(&sink, a, r, err);
	if (r < 0)
		return r;
	layer->bytes = sink.done;
	digest_end(digest, layer->digest);
	return 0;
}

/* --- documents ---------------------------------------------------------------------------------------------------- */

char *bundle_gpu_json(const struct function_gpu *gpu)
{
	_cleanup_json_ json_t *json =
		json_pack("{s:I, s:s, s:s, s:s}", "count", (json_int_t)gpu->count, "capabilities", gpu->capabilities,
			  "on_pressure", function_pressure_names[gpu->on_pressure], "isolation",
			  function_isolation_names[gpu->isolation]);

	if (gpu->memory_bytes)
		(void)json_object_set_new(json, "memory", json_integer((json_int_t)gpu->memory_bytes));
	if (gpu->sm_percent)
		(void)json_object_set_new(json, "sm_percent", json_integer(gpu->sm_percent));
	if (gpu->warm)
		(void)json_object_set_new(json, "warm", json_integer(gpu->warm));
	return json ? document_text(json) : NULL;
}

static json_t *strings_json(const struct function_strings *strings)
{
	json_t *list = json_array();

	for (size_t i = 0; i < strings->count; i++)
		(void)json_array_append_new(list, json_string(strings->items[i]));
	return list;
}

static json_t *labels_json(const struct function_file *f, const struct manifest *manifest)
{
	json_t *labels = json_pack("{s:s}", BUNDLE_LABEL_RUNTIME, function_runtime_names[f->runtime]);
	_cleanup_free_ char *gpu = f->gpu.count ? bundle_gpu_json(&f->gpu) : NULL;

	if (strcmp(f->base, "scratch") != 0)
		(void)json_object_set_new(labels, BUNDLE_LABEL_BASE, json_string(f->base));
	if (f->has_network || f->runtime == FUNCTION_RUNTIME_CUDA)
		(void)json_object_set_new(labels, BUNDLE_LABEL_NETWORK,
					  json_string(function_network_names[f->network]));
	if (gpu)
		(void)json_object_set_new(labels, BUNDLE_LABEL_GPU, json_string(gpu));
	if (manifest)
		(void)json_object_set_new(labels, BUNDLE_LABEL_CUDA, json_string(manifest_canonical(manifest)));
	return labels;
}

/* What to run; keys that say nothing are left out, so that a base image's stay. */
static json_t *run_json(const struct function_file *f, const struct manifest *manifest)
{
	json_t *run = json_pack("{s:s, s:o}", "WorkingDir", f->workdir, "Labels", labels_json(f, manifest));

	if (f->runtime == FUNCTION_RUNTIME_CUDA)
		(void)json_object_set_new(run, "Entrypoint", json_pack("[s]", BUNDLE_CUDAEXEC));
	if (f->entrypoint.count)
		(void)json_object_set_new(run, "Entrypoint", strings_json(&f->entrypoint));
	if (f->cmd.count)
		(void)json_object_set_new(run, "Cmd", strings_json(&f->cmd));
	if (f->env.count)
		(void)json_object_set_new(run, "Env", strings_json(&f->env));
	if (f->user)
		(void)json_object_set_new(run, "User", json_string(f->user));
	return run;
}

/* A document of the archive: its text, which the caller frees, and its digest. */
struct document {
	char *text;
	size_t length;
	char digest[DIGEST_TEXT_LENGTH + 1];
};

static void document_clear(struct document *document)
{
	free_ptr(&document->text);
}

/* Takes the reference. */
static int make_document(json_t *json, struct document *ret, struct err *err)
{
	ret->text = json ? document_text(json) : NULL;
	json_decref(json);
	if (!ret->text)
		return err_sys(err, ENOMEM, "write the archive");
	ret->length = strlen(ret->text);
	digest_bytes(ret->text, ret->length, ret->digest);
	return 0;
}

struct documents {
	struct document config, manifest, index;
};

static void documents_clear(struct documents *d)
{
	document_clear(&d->config);
	document_clear(&d->manifest);
	document_clear(&d->index);
}

static int make_documents(const struct function_file *f, const struct manifest *manifest, const struct layer *layer,
			  const char *name, struct documents *d, struct err *err)
{
	json_t *top;
	int r = make_document(json_pack("{s:s, s:s, s:s, s:o, s:{s:s, s:[s]}}", "created", FIXED_CREATED,
					"architecture", image_host_architecture(), "os", "linux", "config",
					run_json(f, manifest), "rootfs", "type", "layers", "diff_ids", layer->digest),
			      &d->config, err);

	if (r == 0)
		r = make_document(
			json_pack("{s:i, s:s, s:o, s:[o]}", "schemaVersion", 2, "mediaType", IMAGE_MEDIA_MANIFEST,
				  "config",
				  image_descriptor_json(IMAGE_MEDIA_CONFIG, d->config.digest, d->config.length),
				  "layers", image_descriptor_json(IMAGE_MEDIA_LAYER, layer->digest, layer->bytes)),
			&d->manifest, err);
	if (r < 0)
		return r;
	top = image_descriptor_json(IMAGE_MEDIA_MANIFEST, d->manifest.digest, d->manifest.length);
	(void)json_object_set_new(top, "annotations", json_pack("{s:s}", "org.opencontainers.image.ref.name", name));
	return make_document(
		json_pack("{s:i, s:s, s:[o]}", "schemaVersion", 2, "mediaType", IMAGE_MEDIA_INDEX, "manifests", top),
		&d->index, err);
}

/* --- the archive -------------------------------------------------------------------------------------------------- */

static int write_member(struct sink *sink, struct archive *a, const char *path, const void *bytes, size_t length,
			struct err *err)
{
	int r = write_header(sink, a, path, AE_IFREG, 0644, length, NULL, err);

	return r < 0 ? r : write_bytes(sink, a, bytes, length, err);
}

static void blob_path(const char *digest, char path[128])
{
	(void)snprintf(path, 128, "blobs/sha256/%.64s", digest + 7);
}

static int write_members(struct sink *sink, struct archive *a, const struct documents *d, const struct layer *layer,
			 struct err *err)
{
	static const char layout[] = "{\"imageLayoutVersion\":\"1.0.0\"}";
	char path[128];
	int r = write_member(sink, a, "oci-layout", layout, sizeof(layout) - 1, err);

	if (r == 0)
		r = write_member(sink, a, "index.json", d->index.text, d->index.length, err);
	blob_path(d->manifest.digest, path);
	if (r == 0)
		r = write_member(sink, a, path, d->manifest.text, d->manifest.length, err);
	blob_path(d->config.digest, path);
	if (r == 0)
		r = write_member(sink, a, path, d->config.text, d->config.length, err);
	blob_path(layer->digest, path);
	if (r == 0)
		r = write_header(sink, a, path, AE_IFREG, 0644, layer->bytes, NULL, err);
	return r < 0 ? r : write_from(sink, a, layer->fd, layer->bytes, "the layer", err);
}

int bundle_write_archive(const struct function_file *file, const struct manifest *manifest, int dir_fd,
			 const struct bundle_files *files, const char *name, int out_fd, bundle_progress progress,
			 void *user, struct err *err)
{
	_cleanup_(documents_clear) struct documents d = {0};
	struct sink sink = {.fd = out_fd, .progress = progress, .user = user};
	struct layer layer = {.fd = -1};
	_cleanup_fd_ int layer_fd = -1;
	struct archive *a;
	int r = write_layer(dir_fd, files, &layer, err);

	layer_fd = layer.fd;
	if (r == 0)
		r = make_documents(file, manifest, &layer, name, &d, err);
	if (r < 0)
		return r;
	/* Headers, padding and the end of the archive come on top of this. */
	sink.total = layer.bytes + d.config.length + d.manifest.length + d.index.length;
	a = begin_tar(&sink, err);
	if (!a)
		return -EIO;
	r = end_tar(&sink, a, write_members(&sink, a, &d, &layer, err), err);
	if (r == 0 && progress)
		progress(user, sink.done, sink.done);
	return r;
}
