#include "rootfs/stream.h"

#include "rootfs/digest.h"
#include "supervisor/util.h"

#include <archive_entry.h>
#include <string.h>

#define BLOCK_BYTES    (256 * 1024)
#define PROGRESS_BYTES (1 << 20)

struct stream {
	int fd;
	struct stream_options options;
	struct archive *raw;
	struct digest *out_digest;
	uint64_t in, out, reported;
	struct err failure; /* of a callback inside libarchive, which cannot carry it */
	bool started;
	char block[BLOCK_BYTES];
};

static ssize_t read_input(struct stream *s, struct err *err)
{
	ssize_t n;

	do
		n = read(s->fd, s->block, sizeof(s->block));
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return err_sys(err, errno, "read the archive");
	s->in += (uint64_t)n;
	if (n > 0 && s->options.tee) {
		int r = s->options.tee(s->options.context, s->block, (size_t)n, err);

		if (r < 0)
			return r;
	}
	if (s->options.progress && (s->in - s->reported >= PROGRESS_BYTES || n == 0)) {
		s->reported = s->in;
		s->options.progress(s->options.context, s->in);
	}
	return n;
}

static la_ssize_t raw_read(struct archive *a, void *context, const void **ret)
{
	struct stream *s = context;
	ssize_t n = read_input(s, &s->failure);

	*ret = s->block;
	if (n < 0)
		archive_set_error(a, (int)-n, "%s", s->failure.text);
	return n < 0 ? ARCHIVE_FATAL : n;
}

static int raw_error(struct stream *s, struct err *err)
{
	const char *text;

	/* The tar reader's callback passes the failure itself. */
	if (s->failure.code && err != &s->failure)
		return err_set(err, s->failure.code, "%s", s->failure.text);
	if (s->failure.code)
		return s->failure.code;
	text = archive_error_string(s->raw);
	return err_set(err, archive_errno(s->raw) == ENOMEM ? ENOMEM : EINVAL,
		       "the compressed data is damaged or cut off: %s", text ? text : "unknown cause");
}

static struct stream *stream_new(int fd, const struct stream_options *options)
{
	struct stream *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	s->fd = fd;
	s->options = *options;
	s->out_digest = digest_new();
	s->raw = archive_read_new();
	if (!s->raw || !s->out_digest)
		stream_free(&s);
	return s;
}

int stream_open(int fd, const struct stream_options *options, struct stream **ret_stream, struct err *err)
{
	_cleanup_(stream_free) struct stream *s = stream_new(fd, options);

	if (!s)
		return err_sys(err, ENOMEM, "read an archive");
	/* Nothing but these: every other filter is attack surface, and some would start programs. */
	if (archive_read_support_filter_gzip(s->raw) != ARCHIVE_OK ||
	    archive_read_support_filter_zstd(s->raw) != ARCHIVE_OK ||
	    archive_read_support_format_raw(s->raw) != ARCHIVE_OK ||
	    archive_read_support_format_empty(s->raw) != ARCHIVE_OK)
		return err_set(err, ENOSYS, "libarchive lacks gzip or zstd: %s", archive_error_string(s->raw));
	*ret_stream = take_ptr(s);
	return 0;
}

static int start(struct stream *s, struct err *err)
{
	struct archive_entry *entry;
	int r = archive_read_open(s->raw, s, NULL, raw_read, NULL);

	if (r == ARCHIVE_OK)
		r = archive_read_next_header(s->raw, &entry);
	if (r == ARCHIVE_EOF)
		return err_set(err, EINVAL, "the archive is empty");
	if (r < ARCHIVE_WARN)
		return raw_error(s, err);
	/* libarchive peels as many layers as it finds; an image has one. */
	if (archive_filter_count(s->raw) > 2)
		return err_set(err, EINVAL, "the archive is compressed more than once");
	s->started = true;
	return 0;
}

ssize_t stream_read(struct stream *stream, const void **ret, struct err *err)
{
	size_t n = 0;
	la_int64_t offset;
	int r = stream->started ? 0 : start(stream, err);

	if (r < 0)
		return r;
	do
		r = archive_read_data_block(stream->raw, ret, &n, &offset);
	while (r == ARCHIVE_OK && n == 0);
	if (r == ARCHIVE_EOF)
		return 0;
	if (r != ARCHIVE_OK)
		return raw_error(stream, err);
	digest_add(stream->out_digest, *ret, n);
	stream->out += n;
	if (stream->out > stream->options.out_max)
		return err_set(err, EFBIG, "the archive unpacks to more than %llu bytes",
			       (unsigned long long)stream->options.out_max);
	if (stream->out > STREAM_RATIO_FREE_BYTES && stream->out / STREAM_RATIO_MAX > stream->in)
		return err_set(err, EFBIG, "compression bomb: %llu bytes unpack to more than %d times as many",
			       (unsigned long long)stream->in, STREAM_RATIO_MAX);
	return (ssize_t)n;
}

int stream_drain(struct stream *stream, struct err *err)
{
	const void *bytes;
	ssize_t n;

	do
		n = stream_read(stream, &bytes, err);
	while (n > 0);
	return n < 0 ? (int)n : stream_drain_input(stream, err);
}

int stream_drain_input(struct stream *stream, struct err *err)
{
	ssize_t n;

	do
		n = read_input(stream, err);
	while (n > 0);
	return (int)n;
}

void stream_digest(struct stream *stream, char *ret_text)
{
	digest_end(stream->out_digest, ret_text);
}

const char *stream_compression(const struct stream *stream)
{
	switch (archive_filter_code(stream->raw, 0)) {
	case ARCHIVE_FILTER_GZIP:
		return "gzip";
	case ARCHIVE_FILTER_ZSTD:
		return "zstd";
	default:
		return "";
	}
}

static la_ssize_t tar_read(struct archive *a, void *context, const void **ret)
{
	struct stream *s = context;
	ssize_t n = stream_read(s, ret, &s->failure);

	if (n < 0)
		archive_set_error(a, (int)-n, "%s", s->failure.text);
	return n < 0 ? ARCHIVE_FATAL : n;
}

struct archive *stream_tar(struct stream *stream, struct err *err)
{
	struct archive *tar = archive_read_new();

	if (!tar) {
		(void)err_sys(err, ENOMEM, "read an archive");
		return NULL;
	}
	/* "empty": libarchive's name for an archive that is an end marker at once. */
	if (archive_read_support_format_tar(tar) == ARCHIVE_OK &&
	    archive_read_support_format_empty(tar) == ARCHIVE_OK &&
	    archive_read_open(tar, stream, NULL, tar_read, NULL) == ARCHIVE_OK)
		return tar;
	(void)stream_tar_error(stream, tar, err);
	(void)archive_read_free(tar);
	return NULL;
}

/* What people try that is neither tar nor gzip nor zstd. */
static const char *other_kind(const char *bytes)
{
	if (memcmp(bytes,
		   "\xfd"
		   "7zXZ",
		   5) == 0)
		return "xz";
	if (memcmp(bytes, "BZh", 3) == 0)
		return "bzip2";
	if (memcmp(bytes, "PK\3\4", 4) == 0)
		return "zip";
	return NULL;
}

int stream_tar_error(struct stream *stream, struct archive *tar, struct err *err)
{
	const char *text = archive_error_string(tar);
	const char *kind = other_kind(stream->block);

	if (stream->failure.code)
		return err_set(err, stream->failure.code, "%s", stream->failure.text);
	if (text && strstr(text, "Unrecognized archive format") && kind)
		return err_set(err, EINVAL, "the archive is a %s file; expected is tar, plain or with gzip or zstd",
			       kind);
	if (text && strstr(text, "Unrecognized archive format"))
		return err_set(err, EINVAL, "this is no tar archive (plain or with gzip or zstd)");
	return err_set(err, archive_errno(tar) == ENOMEM ? ENOMEM : EINVAL, "the tar archive is damaged or cut off: %s",
		       text ? text : "unknown cause");
}

void stream_free(struct stream **stream)
{
	struct stream *s = *stream;

	*stream = NULL;
	if (!s)
		return;
	if (s->raw)
		(void)archive_read_free(s->raw);
	(void)digest_free(s->out_digest);
	free(s);
}
