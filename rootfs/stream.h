/*
 * The bytes of a plain, gzip or zstd compressed file, with digests over what is read and what comes out, and a bound
 * on how much may come out. On top of it, an archive reader for tar.
 *
 * Runs in confined children. The input is read once, from its current position to its end; it may be a pipe.
 */
#ifndef FERRITE_ROOTFS_STREAM_H
#define FERRITE_ROOTFS_STREAM_H

#include "supervisor/err.h"

#include <archive.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* What a stream may put out for every byte it reads, once it has put out more than RATIO_FREE_BYTES. */
#define STREAM_RATIO_MAX	200
#define STREAM_RATIO_FREE_BYTES (256ull << 20)

struct stream;

struct stream_options {
	uint64_t out_max; /* bytes that may come out */
	/* Gets all input bytes as they are read; a negative result fails the stream. May be NULL. */
	int (*tee)(void *context, const void *bytes, size_t length, struct err *err);
	/* Called with the number of input bytes so far, about every MiB. May be NULL. */
	void (*progress)(void *context, uint64_t bytes_in);
	void *context;
};

/* Opens the stream over FD, which stays the caller's. */
int stream_open(int fd, const struct stream_options *options, struct stream **ret_stream, struct err *err);

/* The next bytes: their number, with *ret pointing to them until the next call; 0 at the end. */
ssize_t stream_read(struct stream *stream, const void **ret, struct err *err);

/* Reads to the end of the decompressed bytes. */
int stream_drain(struct stream *stream, struct err *err);

/* Reads the rest of the input without decompressing it, for the tee and the input digest. */
int stream_drain_input(struct stream *stream, struct err *err);

/* After draining: "sha256:…" of what came out. Once. */
void stream_digest(struct stream *stream, char *ret_text);

/* Name of the compression: "gzip", "zstd" or "" for none. Known after the first read. */
const char *stream_compression(const struct stream *stream);

/* A tar reader on the stream; NULL with err set on failure. The caller frees it before the stream. */
struct archive *stream_tar(struct stream *stream, struct err *err);

/* The error of the last failed libarchive call on a reader of stream_tar(), preferring the stream's own failure. */
int stream_tar_error(struct stream *stream, struct archive *tar, struct err *err);

/* Accepts NULL. */
void stream_free(struct stream **stream);

#endif
