#include "rootfs/spool.h"

#include "rootfs/beneath.h"
#include "rootfs/child.h"
#include "rootfs/digest.h"
#include "rootfs/entry.h"
#include "rootfs/stream.h"
#include "supervisor/str.h"
#include "supervisor/util.h"

#include <archive_entry.h>
#include <fcntl.h>
#include <string.h>

enum mode { MODE_OPEN, MODE_IMAGE, MODE_RAW };

struct spool {
	int folder_fd;
	int raw_fd; /* gets the archive itself until it turns out to be an image */
	enum mode mode;
	struct digest *raw_digest;
	uint64_t raw_bytes;
	uint64_t bytes, bytes_max;
	unsigned n_entries;
};

static bool is_hex(const char *text, size_t length)
{
	return strspn(text, "0123456789abcdef") >= length;
}

bool spool_is_image_name(const char *name)
{
	static const char *const known[] = {"oci-layout", "index.json", "manifest.json", "repositories", "blobs"};
	const char *rest;

	for (size_t i = 0; i < ARRAY_LEN(known); i++)
		if (strcmp(name, known[i]) == 0)
			return true;
	if (strncmp(name, "blobs/sha256", 12) == 0)
		return name[12] == '\0' || name[12] == '/';
	if (strncmp(name, "sha256:", 7) == 0)
		return is_hex(name + 7, 64);
	if (!is_hex(name, 64))
		return false;
	rest = name + 64;
	return !*rest || *rest == '/' || strcmp(rest, ".json") == 0 || strncmp(rest, ".tar", 4) == 0;
}

static int write_all(int fd, const void *bytes, size_t length, struct err *err)
{
	int r = fd_write_all(fd, bytes, length);

	return r < 0 ? err_sys(err, r, "write to the store") : 0;
}

static int keep_raw(void *context, const void *bytes, size_t length, struct err *err)
{
	struct spool *s = context;

	if (s->mode == MODE_IMAGE)
		return 0;
	s->raw_bytes += length;
	if (s->raw_bytes > s->bytes_max)
		return err_set(err, EFBIG, "the archive is larger than %llu bytes", (unsigned long long)s->bytes_max);
	digest_add(s->raw_digest, bytes, length);
	return write_all(s->raw_fd, bytes, length, err);
}

static void progress(void *context, uint64_t bytes_in)
{
	(void)context;
	report_text(SPOOL_REPORT_PROGRESS, bytes_in, 0, "");
}

static int copy_content(struct spool *s, struct stream *stream, struct archive *tar, int fd, struct report *entry,
			struct err *err)
{
	_cleanup_(digest_release) struct digest *digest = digest_new();
	int r;

	if (!digest)
		return err_sys(err, ENOMEM, "read an archive");
	for (;;) {
		const void *bytes;
		size_t n;
		la_int64_t offset;

		r = archive_read_data_block(tar, &bytes, &n, &offset);
		if (r == ARCHIVE_EOF)
			break;
		if (r != ARCHIVE_OK)
			return stream_tar_error(stream, tar, err);
		if ((uint64_t)offset != entry->b)
			return err_set(err, EINVAL, "file \"%.100s\" of the archive is sparse", entry->text);
		entry->b += n;
		s->bytes += n;
		if (s->bytes > s->bytes_max)
			return err_set(err, EFBIG, "the files of the archive are larger than %llu bytes",
				       (unsigned long long)s->bytes_max);
		digest_add(digest, bytes, n);
		r = write_all(fd, bytes, n, err);
		if (r < 0)
			return r;
	}
	digest_end(digest, entry->digest);
	return 0;
}

static int spool_file(struct spool *s, struct stream *stream, struct archive *tar, struct report *entry,
		      struct err *err)
{
	char file[16];
	_cleanup_fd_ int fd = -1;
	int r;

	(void)snprintf(file, sizeof(file), "f%u", s->n_entries);
	fd = beneath_open(s->folder_fd, file, O_WRONLY | O_CREAT | O_EXCL, 0644);
	if (fd < 0)
		return err_sys(err, -fd, "make a file in the store");
	entry->a = SPOOL_FILE;
	r = copy_content(s, stream, tar, fd, entry, err);
	if (r == 0)
		report_send(entry);
	return r;
}

static int image_entry(struct spool *s, struct stream *stream, struct archive *tar, struct archive_entry *entry,
		       const char *name, struct err *err)
{
	struct report report = {.type = SPOOL_REPORT_ENTRY};
	const char *link = archive_entry_hardlink(entry) ? archive_entry_hardlink(entry) : archive_entry_symlink(entry);
	int r = 0;

	if (!link && archive_entry_filetype(entry) != AE_IFREG)
		return 0;
	if (s->n_entries >= SPOOL_ENTRIES_MAX)
		return err_set(err, EFBIG, "the image archive has more than %d files", SPOOL_ENTRIES_MAX);
	if (!str_copy(report.text, SPOOL_NAME_MAX + 1, name))
		return err_set(err, EINVAL, "a file of the image archive has a name longer than %d bytes",
			       SPOOL_NAME_MAX);
	if (link && (strlen(link) > SPOOL_NAME_MAX || strchr(link, '\n')))
		return 0;
	if (link) {
		/* Old docker save links the layers that two images share. The reader looks the target up by name. */
		report.a = SPOOL_LINK;
		(void)strcat(strcat(report.text, "\n"), link);
		report_send(&report);
	} else {
		r = spool_file(s, stream, tar, &report, err);
	}
	s->n_entries++;
	return r;
}

/* Gives up the copy of the archive itself: it is an image, and its files are what counts. */
static int begin_image(struct spool *s, struct err *err)
{
	s->mode = MODE_IMAGE;
	if (ftruncate(s->raw_fd, 0) < 0)
		return err_sys(err, errno, "write to the store");
	return 0;
}

static int read_entries(struct spool *s, struct stream *stream, struct archive *tar, struct err *err)
{
	for (;;) {
		struct archive_entry *entry;
		char name[ENTRY_PATH_MAX + 1];
		int r = archive_read_next_header(tar, &entry);

		if (r == ARCHIVE_EOF)
			return 0;
		if (r < ARCHIVE_WARN)
			return stream_tar_error(stream, tar, err);
		if (!archive_entry_pathname(entry))
			return err_set(err, EINVAL, "an entry of the archive has no name");
		r = entry_path_normalise("entry", archive_entry_pathname(entry), name, err);
		if (r < 0)
			return r;
		if (!*name)
			continue;
		if (s->mode == MODE_OPEN && !spool_is_image_name(name)) {
			s->mode = MODE_RAW;
			return 0;
		}
		if (s->mode == MODE_OPEN)
			r = begin_image(s, err);
		if (r == 0)
			r = image_entry(s, stream, tar, entry, name, err);
		if (r < 0)
			return r;
	}
}

static int finish_raw(struct spool *s, struct stream *stream, struct err *err)
{
	struct report report = {.type = SPOOL_REPORT_RAW};
	int r = stream_drain_input(stream, err);

	if (r < 0)
		return r;
	report.b = s->raw_bytes;
	digest_end(s->raw_digest, report.digest);
	(void)str_copy(report.text, sizeof(report.text), stream_compression(stream));
	report_send(&report);
	return 0;
}

static int run(struct spool *s, struct stream *stream, struct err *err)
{
	struct archive *tar = stream_tar(stream, err);
	int r;

	if (!tar)
		return err->code;
	r = read_entries(s, stream, tar, err);
	(void)archive_read_free(tar);
	if (r < 0)
		return r;
	/* A writer at the other end of a pipe is read to its end in any case. */
	return s->mode == MODE_IMAGE ? stream_drain(stream, err) : finish_raw(s, stream, err);
}

int spool_archive(int archive_fd, int folder_fd, const struct spool_limits *limits, struct err *err)
{
	struct spool s = {.folder_fd = folder_fd, .bytes_max = limits->bytes};
	struct stream_options options = {
		.out_max = limits->bytes, .tee = keep_raw, .progress = progress, .context = &s};
	_cleanup_(stream_free) struct stream *stream = NULL;
	_cleanup_(digest_release) struct digest *digest = digest_new();
	_cleanup_fd_ int raw_fd = beneath_open(folder_fd, "raw", O_WRONLY | O_CREAT | O_EXCL, 0644);
	int r;

	if (!digest)
		return err_sys(err, ENOMEM, "read an archive");
	if (raw_fd < 0)
		return err_sys(err, -raw_fd, "make a file in the store");
	s.raw_fd = raw_fd;
	s.raw_digest = digest;
	r = stream_open(archive_fd, &options, &stream, err);
	return r < 0 ? r : run(&s, stream, err);
}
