/*
 * SHA-256 of byte streams, as OCI writes it. A digest object is not shared between threads.
 */
#ifndef FERRITE_ROOTFS_DIGEST_H
#define FERRITE_ROOTFS_DIGEST_H

#include "supervisor/err.h"

#include <stddef.h>
#include <stdint.h>

#define DIGEST_HEX_LENGTH  64
#define DIGEST_TEXT_LENGTH (7 + DIGEST_HEX_LENGTH) /* "sha256:…" */

struct digest;

/* NULL when memory is short. */
struct digest *digest_new(void);

void digest_add(struct digest *digest, const void *data, size_t length);

/* Writes "sha256:…" and ends the stream; only digest_free() may follow. */
void digest_end(struct digest *digest, char ret_text[DIGEST_TEXT_LENGTH + 1]);

/* Accepts NULL; returns NULL. */
struct digest *digest_free(struct digest *digest);

/* For _cleanup_(). */
void digest_release(struct digest **digest);

/* The digest of LENGTH bytes in memory. */
void digest_bytes(const void *data, size_t length, char ret_text[DIGEST_TEXT_LENGTH + 1]);

/* The digest of an open file from its beginning to its end; moves no file position. RET_SIZE may be NULL. */
int digest_file(int fd, char ret_text[DIGEST_TEXT_LENGTH + 1], uint64_t *ret_size, struct err *err);

#endif
