/* The loader's cache: this machine's own, one made here, and damaged copies. */
#include "cudaexec/gpu/ldcache.h"
#include "supervisor/util.h"

#include <check.h>
#include <fcntl.h>
#include <string.h>

struct seen {
	unsigned count;
	bool has_libc;
	char last[64];
};

static bool visit(void *context, const char *soname, const char *path)
{
	struct seen *seen = context;

	seen->count++;
	seen->has_libc |= strcmp(soname, "libc.so.6") == 0 && path[0] == '/';
	(void)snprintf(seen->last, sizeof(seen->last), "%s=%s", soname, path);
	return true;
}

static void put_u32(uint8_t *bytes, uint32_t value)
{
	memcpy(bytes, &value, sizeof(value));
}

/* A cache with one entry of this architecture and one of another, behind OLD entries of the old format. */
static size_t make_cache(uint8_t *bytes, uint32_t old)
{
	static const char texts[] = "libcuda.so.1\0/opt/driver/libcuda.so.1";
	size_t offset = 0;
	uint8_t *start;

#if defined(__x86_64__)
	const uint32_t flags = 0x0303, other = 0x0a03;
#else
	const uint32_t flags = 0x0a03, other = 0x0303;
#endif
	if (old > 0) {
		memcpy(bytes, "ld.so-1.7.0", 11);
		put_u32(bytes + 12, old);
		offset = (16 + (size_t)old * 12 + 7) & ~(size_t)7;
	}
	start = bytes + offset;
	memcpy(start, "glibc-ld.so.cache1.1", 20);
	put_u32(start + 20, 2);
	put_u32(start + 24, sizeof(texts));
	for (unsigned i = 0; i < 2; i++) {
		put_u32(start + 48 + i * 24, i == 0 ? other : flags);
		put_u32(start + 48 + i * 24 + 4, 96);
		put_u32(start + 48 + i * 24 + 8, 96 + 13);
	}
	memcpy(start + 96, texts, sizeof(texts));
	return offset + 96 + sizeof(texts);
}

START_TEST(own_cache)
{
	char *text;
	ssize_t size = file_read(AT_FDCWD, "/etc/ld.so.cache", LDCACHE_BYTES_MAX, &text, NULL);
	struct seen seen = {0};
	struct err err = ERR_INIT;

	ck_assert_int_gt(size, 0);
	ck_assert_msg(ldcache_each(text, (size_t)size, visit, &seen, &err) > 0, "%s", err.text);
	ck_assert(seen.has_libc);
	free(text);
}
END_TEST

START_TEST(made_cache)
{
	for (uint32_t old = 0; old < 4; old++) {
		uint8_t bytes[512] = {0};
		struct seen seen = {0};
		size_t size = make_cache(bytes, old);

		ck_assert_int_eq(ldcache_each(bytes, size, visit, &seen, NULL), 1);
		ck_assert_uint_eq(seen.count, 1);
		ck_assert_str_eq(seen.last, "libcuda.so.1=/opt/driver/libcuda.so.1");
	}
}
END_TEST

START_TEST(truncated)
{
	uint8_t bytes[512] = {0};
	size_t size = make_cache(bytes, 2);

	for (size_t cut = 0; cut < size; cut++) {
		uint8_t *copy = malloc(cut ? cut : 1); /* exact, so that a sanitizer sees a read behind it */
		struct seen seen = {0};
		struct err err = ERR_INIT;

		memcpy(copy, bytes, cut);
		ck_assert_int_eq(ldcache_each(copy, cut, visit, &seen, &err), -EBADMSG);
		ck_assert(err.text[0] != '\0');
		free(copy);
	}
}
END_TEST

START_TEST(lying_counts)
{
	uint8_t bytes[512] = {0};
	size_t size = make_cache(bytes, 0);
	struct seen seen = {0};

	put_u32(bytes + 20, 0xffffffff);
	ck_assert_int_eq(ldcache_each(bytes, size, visit, &seen, NULL), -EBADMSG);
	put_u32(bytes + 20, 2);
	put_u32(bytes + 48 + 24 + 8, 0xfffffff0); /* the path of the second entry */
	ck_assert_int_eq(ldcache_each(bytes, size, visit, &seen, NULL), -EBADMSG);
	memcpy(bytes, "ld.so-1.7.0\0\377\377\377\377", 16);
	ck_assert_int_eq(ldcache_each(bytes, size, visit, &seen, NULL), -EBADMSG);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("ldcache");
	TCase *tcase = tcase_create("ldcache");

	tcase_add_test(tcase, own_cache);
	tcase_add_test(tcase, made_cache);
	tcase_add_test(tcase, truncated);
	tcase_add_test(tcase, lying_counts);
	suite_add_tcase(suite, tcase);
	return suite;
}

#include "tests/unit/main.h"
