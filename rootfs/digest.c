#include "rootfs/digest.h"

#include "supervisor/util.h"

#include <openssl/sha.h>
#include <string.h>

/* One-shot EVP contexts cost an allocation and a provider look-up each; the low-level calls need neither, and the
 * confined processes cannot load a provider. They are marked deprecated, not removed. */
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"

#define READ_BYTES (256 * 1024)

struct digest {
	SHA256_CTX context;
};

struct digest *digest_new(void)
{
	struct digest *d = malloc(sizeof(*d));

	if (d)
		(void)SHA256_Init(&d->context);
	return d;
}

void digest_add(struct digest *digest, const void *data, size_t length)
{
	(void)SHA256_Update(&digest->context, data, length);
}

void digest_end(struct digest *digest, char ret_text[DIGEST_TEXT_LENGTH + 1])
{
	static const char hex[] = "0123456789abcdef";
	unsigned char sum[SHA256_DIGEST_LENGTH];
	char *out = ret_text + 7;

	(void)SHA256_Final(sum, &digest->context);
	memcpy(ret_text, "sha256:", 7);
	for (size_t i = 0; i < sizeof(sum); i++) {
		*out++ = hex[sum[i] >> 4];
		*out++ = hex[sum[i] & 15];
	}
	*out = '\0';
}

struct digest *digest_free(struct digest *digest)
{
	free(digest);
	return NULL;
}

void digest_release(struct digest **digest)
{
	*digest = digest_free(*digest);
}

void digest_bytes(const void *data, size_t length, char ret_text[DIGEST_TEXT_LENGTH + 1])
{
	struct digest d;

	(void)SHA256_Init(&d.context);
	digest_add(&d, data, length);
	digest_end(&d, ret_text);
}

int digest_file(int fd, char ret_text[DIGEST_TEXT_LENGTH + 1], uint64_t *ret_size, struct err *err)
{
	_cleanup_free_ char *buffer = malloc(READ_BYTES);
	struct digest d;
	off_t at = 0;

	if (!buffer)
		return err_sys(err, ENOMEM, "read a file");
	(void)SHA256_Init(&d.context);
	for (;;) {
		ssize_t n = pread(fd, buffer, READ_BYTES, at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_sys(err, errno, "read a file");
		if (n == 0)
			break;
		digest_add(&d, buffer, (size_t)n);
		at += n;
	}
	digest_end(&d, ret_text);
	if (ret_size)
		*ret_size = (uint64_t)at;
	return 0;
}
