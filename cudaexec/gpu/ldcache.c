#include "cudaexec/gpu/ldcache.h"

#include "supervisor/util.h"

#include <string.h>

#define OLD_MAGIC      "ld.so-1.7.0"
#define OLD_HEADER     16u /* magic with padding, number of entries */
#define OLD_ENTRY      12u
#define NEW_MAGIC      "glibc-ld.so.cache1.1"
#define NEW_HEADER     48u
#define NEW_ENTRY      24u
#define FLAG_TYPE_MASK 0x00ffu
#define FLAG_ELF_LIBC6 0x0003u
#define FLAG_ARCH_MASK 0xff00u
#if defined(__x86_64__)
#define FLAG_ARCH 0x0300u
#elif defined(__aarch64__)
#define FLAG_ARCH 0x0a00u
#else
#define FLAG_ARCH 0x0000u
#endif

static uint32_t read_u32(const uint8_t *bytes)
{
	uint32_t value;

	memcpy(&value, bytes, sizeof(value)); /* the cache is written in the machine's own byte order */
	return value;
}

/* Where the new format begins: at once, or aligned behind the entries of the old one. */
static int find_new(const uint8_t *bytes, size_t size, size_t *ret_offset, struct err *err)
{
	uint64_t offset = 0;

	if (size >= OLD_HEADER && memcmp(bytes, OLD_MAGIC, strlen(OLD_MAGIC)) == 0) {
		offset = OLD_HEADER + (uint64_t)read_u32(bytes + 12) * OLD_ENTRY;
		offset = (offset + 7) & ~UINT64_C(7);
	}
	if (offset > size || size - offset < NEW_HEADER || memcmp(bytes + offset, NEW_MAGIC, strlen(NEW_MAGIC)) != 0)
		return err_set(err, -EBADMSG, "ld.so.cache: unknown format");
	*ret_offset = (size_t)offset;
	return 0;
}

/* The text at OFFSET when it ends inside the bytes, else NULL. */
static const char *text_at(const uint8_t *bytes, size_t size, uint32_t offset)
{
	return offset < size && memchr(bytes + offset, '\0', size - offset) ? (const char *)bytes + offset : NULL;
}

int ldcache_each(const void *data, size_t size, ldcache_visit *visit, void *context, struct err *err)
{
	const uint8_t *bytes = data;
	size_t offset = 0;
	uint32_t count;
	int visited = 0, code;

	if (size > LDCACHE_BYTES_MAX)
		return err_set(err, -EFBIG, "ld.so.cache: %zu bytes", size);
	code = find_new(bytes, size, &offset, err);
	if (code < 0)
		return code;
	bytes += offset;
	size -= offset;
	count = read_u32(bytes + 20);
	if (count > LDCACHE_ENTRIES_MAX || count > (size - NEW_HEADER) / NEW_ENTRY)
		return err_set(err, -EBADMSG, "ld.so.cache: it ends before its %u entries", count);
	for (uint32_t i = 0; i < count; i++) {
		const uint8_t *entry = bytes + NEW_HEADER + (size_t)i * NEW_ENTRY;
		uint32_t flags = read_u32(entry);
		const char *soname = text_at(bytes, size, read_u32(entry + 4));
		const char *path = text_at(bytes, size, read_u32(entry + 8));

		if (!soname || !path)
			return err_set(err, -EBADMSG, "ld.so.cache: entry %u points behind the end", i);
		if ((flags & FLAG_TYPE_MASK) != FLAG_ELF_LIBC6 || (flags & FLAG_ARCH_MASK) != FLAG_ARCH)
			continue;
		visited++;
		if (!visit(context, soname, path))
			break;
	}
	return visited;
}
