/* Fat binaries as nvcc writes them (the corpus of the fuzz target), damaged ones, and the LZ4 decoder. */
#include "cudaexec/softdev/fatbin.h"
#include "supervisor/util.h"

#include <check.h>
#include <fcntl.h>
#include <string.h>

#define CORPUS "tests/fuzz/corpus/fuzz_fatbin/"

static size_t load(const char *path, char **ret_bytes)
{
	struct err err = ERR_INIT;
	ssize_t size = file_read(AT_FDCWD, path, FATBIN_SIZE_MAX, ret_bytes, &err);

	ck_assert_msg(size > 0, "%s (tests run from the top of the source tree)", err.text);
	return (size_t)size;
}

static void expect_text(const char *path, const char *target)
{
	_cleanup_free_ char *bytes = NULL, *text = NULL;
	size_t size = load(path, &bytes), length;
	struct err err = ERR_INIT;
	int code = fatbin_extract_ptx(bytes, size, 75, &text, &length, &err);

	ck_assert_msg(code == 0, "%s: %s", path, err.text);
	ck_assert_uint_eq(strlen(text), length);
	ck_assert_ptr_nonnull(strstr(text, ".version"));
	ck_assert_ptr_nonnull(strstr(text, target));
	ck_assert_ptr_nonnull(strstr(text, ".visible .entry add1("));
	ck_assert_int_eq(text[length - 1], '\n');
}

START_TEST(compressions)
{
	expect_text(CORPUS "none.fatbin", ".target sm_75");
	expect_text(CORPUS "zstd.fatbin", ".target sm_75");
	expect_text(CORPUS "lz4.fatbin", ".target sm_75");
}
END_TEST

START_TEST(chooses_target)
{
	_cleanup_free_ char *bytes = NULL, *text = NULL;
	size_t size = load(CORPUS "multi.fatbin", &bytes), length;

	expect_text(CORPUS "multi.fatbin", ".target sm_75");
	ck_assert_int_eq(fatbin_extract_ptx(bytes, size, 90, &text, &length, NULL), 0);
	ck_assert_ptr_nonnull(strstr(text, ".target sm_80"));
	free_ptr(&text);
	ck_assert_int_eq(fatbin_extract_ptx(bytes, size, 50, &text, &length, NULL), 0);
	ck_assert_ptr_nonnull(strstr(text, ".target sm_75"));
}
END_TEST

START_TEST(machine_code_only)
{
	_cleanup_free_ char *bytes = NULL;
	size_t size = load(CORPUS "elf-only.fatbin", &bytes), length;
	struct err err = ERR_INIT;
	char *text = NULL;

	ck_assert_int_eq(fatbin_extract_ptx(bytes, size, 75, &text, &length, &err), -ENOEXEC);
	ck_assert_ptr_nonnull(strstr(err.text, "compute_75"));
	ck_assert_ptr_null(text);
}
END_TEST

/* Whatever is cut off or flipped: an error or a text, never a crash; the copies are exact for the sanitizers. */
static void damage(const char *path)
{
	_cleanup_free_ char *bytes = NULL;
	size_t size = load(path, &bytes), length;

	for (size_t cut = 0; cut < size; cut += 1 + cut / 64) {
		_cleanup_free_ char *copy = malloc(cut + 1), *text = NULL;
		struct err err = ERR_INIT;

		memcpy(copy, bytes, cut);
		ck_assert_int_eq(fatbin_extract_ptx(copy, cut, 75, &text, &length, &err), -EBADMSG);
		ck_assert(err.text[0] != '\0');
	}
	for (size_t i = 0; i < size * 8; i += 3) {
		_cleanup_free_ char *text = NULL;
		struct err err = ERR_INIT;
		int code;

		bytes[i / 8] = (char)(bytes[i / 8] ^ 1 << i % 8);
		code = fatbin_extract_ptx(bytes, size, 75, &text, &length, &err);
		ck_assert((code == 0) == (text != NULL));
		bytes[i / 8] = (char)(bytes[i / 8] ^ 1 << i % 8);
	}
}

START_TEST(damaged)
{
	damage(CORPUS "zstd.fatbin");
	damage(CORPUS "lz4.fatbin");
}
END_TEST

START_TEST(lz4)
{
	/* "abcd", 4 bytes from 4 back, then "z" */
	static const uint8_t block[] = {0x40, 'a', 'b', 'c', 'd', 4, 0, 0x10, 'z'};
	/* one literal, then an overlapping match of 4 + 15 + 2 */
	static const uint8_t run[] = {0x1f, 'x', 1, 0, 2};
	static const uint8_t bad_distance[] = {0x10, 'a', 2, 0};
	static const uint8_t zero_distance[] = {0x10, 'a', 0, 0};
	static const uint8_t long_literals[] = {0xf0, 255, 255};
	static const uint8_t short_literals[] = {0x50, 'a'};
	uint8_t output[32];

	ck_assert_int_eq(lz4_decode(block, sizeof(block), output, sizeof(output)), 9);
	ck_assert_mem_eq(output, "abcdabcdz", 9);
	ck_assert_int_eq(lz4_decode(block, sizeof(block), output, 8), -EBADMSG);
	ck_assert_int_eq(lz4_decode(run, sizeof(run), output, sizeof(output)), 22);
	ck_assert_mem_eq(output, "xxxxxxxxxxxxxxxxxxxxxx", 22);
	ck_assert_int_eq(lz4_decode(run, sizeof(run), output, 21), -EBADMSG);
	ck_assert_int_eq(lz4_decode(bad_distance, sizeof(bad_distance), output, 32), -EBADMSG);
	ck_assert_int_eq(lz4_decode(zero_distance, sizeof(zero_distance), output, 32), -EBADMSG);
	ck_assert_int_eq(lz4_decode(long_literals, sizeof(long_literals), output, 32), -EBADMSG);
	ck_assert_int_eq(lz4_decode(short_literals, sizeof(short_literals), output, 32), -EBADMSG);
	ck_assert_int_eq(lz4_decode(block, 0, output, 32), 0);
}
END_TEST

START_TEST(kinds)
{
	ck_assert_int_eq(image_recognise("//\n.version", 4), IMAGE_PTX);
	ck_assert_int_eq(image_recognise("", 1), IMAGE_PTX);
	ck_assert_int_eq(image_recognise("\177ELF", 4), IMAGE_ELF);
	ck_assert_int_eq(image_recognise("\x50\xed\x55\xba", 4), IMAGE_FATBIN);
	ck_assert_int_eq(image_recognise("\xb1\x43\x62\x46", 4), IMAGE_FATBIN_WRAPPER);
	ck_assert_int_eq(image_recognise("\x01\x02\x03\x04", 4), IMAGE_UNKNOWN);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("fatbin");
	TCase *tcase = tcase_create("fatbin");

	tcase_set_timeout(tcase, 60);
	tcase_add_test(tcase, compressions);
	tcase_add_test(tcase, chooses_target);
	tcase_add_test(tcase, machine_code_only);
	tcase_add_test(tcase, damaged);
	tcase_add_test(tcase, lz4);
	tcase_add_test(tcase, kinds);
	suite_add_tcase(suite, tcase);
	return suite;
}

#include "tests/unit/main.h"
