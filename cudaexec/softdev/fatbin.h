/*
 * Device code images as CUDA programs carry them: finds the PTX text in a fat binary (wrapper, container, compressed or
 * plain payloads) and tells other images apart. Pure functions over bytes: no device, no state; any thread.
 */
#ifndef FERRITE_CUDAEXEC_SOFTDEV_FATBIN_H
#define FERRITE_CUDAEXEC_SOFTDEV_FATBIN_H

#include "supervisor/err.h"

#include <stddef.h>
#include <stdint.h>

#define FATBIN_WRAPPER_MAGIC 0x466243b1u
#define FATBIN_MAGIC	     0xba55ed50u
#define FATBIN_HEADER_BYTES  16u
#define FATBIN_SIZE_MAX	     (256u << 20) /* of a container */
#define FATBIN_TEXT_MAX	     (64u << 20)  /* of the text after decompression */
#define FATBIN_ENTRIES_MAX   4096u
#define FATBIN_TARGET_MAX    90u /* newest architecture whose text is taken */

enum image_kind { IMAGE_PTX, IMAGE_FATBIN_WRAPPER, IMAGE_FATBIN, IMAGE_ELF, IMAGE_UNKNOWN };

/* What the first bytes of an image say; at least 4 bytes, or fewer when a text ends before. */
enum image_kind image_recognise(const void *image, size_t size);

/*
 * The size that a container's own header claims. IMAGE has FATBIN_HEADER_BYTES. Returns 0, or -EBADMSG when it is no
 * container or claims more than FATBIN_SIZE_MAX.
 */
int fatbin_size(const void *image, size_t *ret_size, struct err *err);

/*
 * Takes the PTX text out of a container of SIZE bytes: of the texts for architectures up to TARGET the newest, else the
 * oldest up to FATBIN_TARGET_MAX. Returns 0 and a fresh text with a terminator that the caller frees, or
 * -ENOEXEC (machine code only, or only for newer devices), -EBADMSG (damaged: the text says where), -EFBIG, -ENOMEM.
 */
int fatbin_extract_ptx(const void *image, size_t size, unsigned target, char **ret_text, size_t *ret_length,
		       struct err *err);

/*
 * Decodes one LZ4 block of SIZE bytes into exactly ROOM bytes. Returns the number of bytes written, or -EBADMSG.
 */
long lz4_decode(const uint8_t *input, size_t size, uint8_t *output, size_t room);

#endif
