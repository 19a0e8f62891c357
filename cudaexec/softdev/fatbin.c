#include "cudaexec/softdev/fatbin.h"

#include "supervisor/util.h"

#include <string.h>
#include <zstd.h>

#define ENTRY_HEADER_MIN 0x40u
#define ENTRY_KIND_PTX	 1u
#define FLAG_LZ4	 0x2000u
#define FLAG_ZSTD	 0x8000u
#define LZ4_MATCH_MIN	 4u

/* One payload of a container. */
struct entry {
	unsigned kind;
	unsigned target;
	uint64_t flags;
	const uint8_t *payload;
	size_t payload_size; /* bytes that hold data */
	uint64_t text_size;  /* after decompression, 0 when it is not compressed */
};

static uint16_t read_u16(const uint8_t *bytes)
{
	return (uint16_t)(bytes[0] | bytes[1] << 8);
}

static uint32_t read_u32(const uint8_t *bytes)
{
	return read_u16(bytes) | (uint32_t)read_u16(bytes + 2) << 16;
}

static uint64_t read_u64(const uint8_t *bytes)
{
	return read_u32(bytes) | (uint64_t)read_u32(bytes + 4) << 32;
}

static bool is_text_byte(uint8_t byte)
{
	return byte == '\t' || byte == '\n' || byte == '\r' || byte == '\f' || (byte >= ' ' && byte < 0x7f);
}

enum image_kind image_recognise(const void *image, size_t size)
{
	const uint8_t *bytes = image;

	if (size >= 4) {
		uint32_t magic = read_u32(bytes);

		if (magic == FATBIN_WRAPPER_MAGIC)
			return IMAGE_FATBIN_WRAPPER;
		if (magic == FATBIN_MAGIC)
			return IMAGE_FATBIN;
		if (memcmp(bytes, "\177ELF", 4) == 0)
			return IMAGE_ELF;
	}
	for (size_t i = 0; i < size && i < 4 && bytes[i] != '\0'; i++)
		if (!is_text_byte(bytes[i]))
			return IMAGE_UNKNOWN;
	return IMAGE_PTX;
}

int fatbin_size(const void *image, size_t *ret_size, struct err *err)
{
	const uint8_t *bytes = image;
	uint64_t payload = read_u64(bytes + 8);
	unsigned header = read_u16(bytes + 6);

	if (read_u32(bytes) != FATBIN_MAGIC || read_u16(bytes + 4) != 1 || header < FATBIN_HEADER_BYTES)
		return err_set(err, -EBADMSG, "fat binary: unknown header");
	if (payload > FATBIN_SIZE_MAX - header)
		return err_set(err, -EBADMSG, "fat binary: header claims %llu bytes", (unsigned long long)payload);
	*ret_size = header + (size_t)payload;
	return 0;
}

/* Adds a length that goes on with bytes of 255; false when the input ends. */
static bool lz4_length(const uint8_t **in, const uint8_t *end, size_t *length)
{
	uint8_t byte;

	do {
		if (*in == end)
			return false;
		byte = *(*in)++;
		*length += byte;
	} while (byte == 255);
	return true;
}

long lz4_decode(const uint8_t *input, size_t size, uint8_t *output, size_t room)
{
	const uint8_t *in = input, *end = input + size;
	size_t done = 0;

	while (in < end) {
		unsigned token = *in++;
		size_t literals = token >> 4, match = token & 15, distance;

		if (literals == 15 && !lz4_length(&in, end, &literals))
			return -EBADMSG;
		if (literals > (size_t)(end - in) || literals > room - done)
			return -EBADMSG;
		memcpy(output + done, in, literals);
		in += literals;
		done += literals;
		if (in == end)
			break; /* the last sequence has no match */
		if (end - in < 2)
			return -EBADMSG;
		distance = read_u16(in);
		in += 2;
		if (match == 15 && !lz4_length(&in, end, &match))
			return -EBADMSG;
		match += LZ4_MATCH_MIN;
		if (distance == 0 || distance > done || match > room - done)
			return -EBADMSG;
		for (; match > 0; match--, done++) /* may overlap: byte by byte is the meaning */
			output[done] = output[done - distance];
	}
	return (long)done;
}

/* Reads the entry at *OFFSET and moves on; 1 when there is one, 0 at the end. */
static int next_entry(const uint8_t *bytes, size_t size, size_t *offset, struct entry *ret_entry, struct err *err)
{
	const uint8_t *header = bytes + *offset;
	size_t left = size - *offset;
	uint32_t header_size, compressed;
	uint64_t padded;

	if (left < ENTRY_HEADER_MIN)
		return 0; /* padding */
	header_size = read_u32(header + 4);
	padded = read_u64(header + 8);
	compressed = read_u32(header + 0x10);
	if (header_size < ENTRY_HEADER_MIN || header_size > left || padded > left - header_size)
		return err_set(err, -EBADMSG, "fat binary: entry at byte %zu does not fit", *offset);
	*ret_entry = (struct entry){
		.kind = read_u16(header),
		.target = read_u32(header + 0x1c),
		.flags = read_u64(header + 0x28),
		.payload = header + header_size,
		.payload_size = (size_t)padded,
		.text_size = read_u64(header + 0x38),
	};
	if (ret_entry->flags & (FLAG_LZ4 | FLAG_ZSTD)) {
		if (compressed > padded)
			return err_set(err, -EBADMSG, "fat binary: entry at byte %zu is larger than its place",
				       *offset);
		ret_entry->payload_size = compressed;
	}
	*offset += header_size + (size_t)padded;
	return 1;
}

static bool better(const struct entry *candidate, const struct entry *best, unsigned target)
{
	if (best->kind == 0)
		return true;
	if (candidate->target <= target)
		return best->target > target || candidate->target > best->target;
	return best->target > target && candidate->target < best->target;
}

static int find_text(const uint8_t *bytes, size_t size, unsigned target, struct entry *ret_entry, struct err *err)
{
	struct entry entry = {0}, best = {0};
	size_t offset = read_u16(bytes + 6);
	unsigned count = 0;
	int more;

	while ((more = next_entry(bytes, size, &offset, &entry, err)) > 0) {
		if (++count > FATBIN_ENTRIES_MAX)
			return err_set(err, -EFBIG, "fat binary: more than %u entries", FATBIN_ENTRIES_MAX);
		if (entry.kind == ENTRY_KIND_PTX && entry.target <= FATBIN_TARGET_MAX && better(&entry, &best, target))
			best = entry;
	}
	if (more < 0)
		return more;
	if (best.kind == 0)
		return err_set(
			err, -ENOEXEC,
			"fat binary: it holds no PTX text for this device, only machine code or newer PTX; build "
			"it with -gencode arch=compute_75,code=compute_75");
	*ret_entry = best;
	return 0;
}

static int decompress(const struct entry *entry, char *text, struct err *err)
{
	if (entry->flags & FLAG_ZSTD) {
		size_t done = ZSTD_decompress(text, (size_t)entry->text_size, entry->payload, entry->payload_size);

		if (ZSTD_isError(done) || done != entry->text_size)
			return err_set(err, -EBADMSG, "fat binary: damaged zstd data: %s",
				       ZSTD_isError(done) ? ZSTD_getErrorName(done) : "wrong length");
		return 0;
	}
	if (lz4_decode(entry->payload, entry->payload_size, (uint8_t *)text, (size_t)entry->text_size) !=
	    (long)entry->text_size)
		return err_set(err, -EBADMSG, "fat binary: damaged LZ4 data");
	return 0;
}

int fatbin_extract_ptx(const void *image, size_t size, unsigned target, char **ret_text, size_t *ret_length,
		       struct err *err)
{
	_cleanup_free_ char *text = NULL;
	struct entry entry = {0};
	size_t claimed = 0;
	int code;

	if (size < FATBIN_HEADER_BYTES)
		return err_set(err, -EBADMSG, "fat binary: it ends in its header");
	code = fatbin_size(image, &claimed, err);
	if (code != 0)
		return code;
	if (claimed > size)
		return err_set(err, -EBADMSG, "fat binary: it ends after %zu of %zu bytes", size, claimed);
	code = find_text(image, claimed, target, &entry, err);
	if (code != 0 || !entry.payload)
		return code;
	if (!(entry.flags & (FLAG_LZ4 | FLAG_ZSTD)))
		entry.text_size = entry.payload_size;
	if (entry.text_size > FATBIN_TEXT_MAX)
		return err_set(err, -EFBIG, "fat binary: PTX text of %llu bytes, at most %u are taken",
			       (unsigned long long)entry.text_size, FATBIN_TEXT_MAX);
	text = calloc(1, (size_t)entry.text_size + 1);
	if (!text)
		return err_set(err, -ENOMEM, "fat binary: no memory for %llu bytes",
			       (unsigned long long)entry.text_size);
	if (entry.flags & (FLAG_LZ4 | FLAG_ZSTD))
		code = decompress(&entry, text, err);
	else
		memcpy(text, entry.payload, entry.payload_size);
	if (code < 0)
		return code;
	*ret_length = strlen(text); /* payloads are padded with zeros */
	*ret_text = take_ptr(text);
	return 0;
}
