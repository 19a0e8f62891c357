#include "rootfs/elf.h"
#include "supervisor/util.h"

#include <elf.h>
#include <fcntl.h>
#include <string.h>

#include "tests/unit/main.h"

#define OWN_MAX (256 * MIB)

static char *own;
static size_t own_length;

static void read_own(void)
{
	ssize_t n = file_read(AT_FDCWD, "/proc/self/exe", OWN_MAX, &own, NULL);

	ck_assert_int_gt((int)(n > 0), 0);
	own_length = (size_t)n;
}

static void free_own(void)
{
	free(own);
}

START_TEST(this_program_is_understood)
{
	_cleanup_fd_ int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	struct elf_file elf;
	bool has_libc = false;

	ck_assert_int_eq(elf_read(fd, &elf, NULL), 1);
	ck_assert_uint_eq(elf.machine, elf_host_machine());
	ck_assert(elf.is_dynamic && elf.is_executable && !elf.is_library);
	ck_assert_ptr_nonnull(strstr(elf.interp, "ld-linux"));
	for (size_t i = 0; i < elf.n_needed; i++)
		has_libc |= strcmp(elf.needed[i], "libc.so.6") == 0;
	ck_assert(has_libc);
	elf_file_clear(&elf);
}
END_TEST

START_TEST(a_library_is_told_from_a_program)
{
	static const char *const places[] = {"/lib/x86_64-linux-gnu/libm.so.6", "/lib/aarch64-linux-gnu/libm.so.6",
					     "/lib64/libm.so.6"};
	struct elf_file elf;
	int found = 0;

	for (size_t i = 0; i < ARRAY_LEN(places) && !found; i++) {
		_cleanup_fd_ int fd = open(places[i], O_RDONLY | O_CLOEXEC);

		if (fd < 0)
			continue;
		found = elf_read(fd, &elf, NULL);
	}
	ck_assert_int_eq(found, 1);
	ck_assert(elf.is_library && !elf.is_executable);
	ck_assert_str_eq(elf.soname, "libm.so.6");
	elf_file_clear(&elf);
}
END_TEST

START_TEST(other_files_are_none)
{
	static const char *const texts[] = {"", "#!/bin/sh\n",
					    "\x7f"
					    "ELG",
					    "\x7f"
					    "ELF"};
	char other[sizeof(Elf32_Ehdr) + sizeof(Elf64_Ehdr)] = "\x7f"
							      "ELF\1\1\1";
	struct elf_file elf;

	for (size_t i = 0; i < ARRAY_LEN(texts); i++)
		ck_assert_int_eq(elf_read_bytes(texts[i], strlen(texts[i]), &elf, NULL), 0);
	((Elf32_Ehdr *)(void *)other)->e_machine = EM_ARM;
	ck_assert_int_eq(elf_read_bytes(other, sizeof(other), &elf, NULL), 0);
	ck_assert_uint_eq(elf.machine, EM_ARM);
	ck_assert_str_eq(elf_machine_name(elf.machine), "32-bit ARM");
}
END_TEST

/* Every length and every header byte: an answer, never a crash (the sanitizers look on). */
START_TEST(damage_is_survived)
{
	struct elf_file elf;

	for (size_t length = 0; length < 2048; length++)
		if (elf_read_bytes(own, length, &elf, NULL) == 1)
			elf_file_clear(&elf);
	for (size_t at = 0; at < 1024 && at < own_length; at++) {
		char saved = own[at];

		for (int bit = 0; bit < 8; bit++) {
			own[at] = (char)(saved ^ (1 << bit));
			if (elf_read_bytes(own, own_length, &elf, NULL) == 1)
				elf_file_clear(&elf);
		}
		own[at] = saved;
	}
}
END_TEST

START_TEST(numbers_that_lie_are_refused)
{
	Elf64_Ehdr *header = (void *)own;
	Elf64_Phdr *segments = (void *)(own + header->e_phoff);
	struct elf_file elf;
	struct err err = ERR_INIT;

	for (unsigned i = 0; i < header->e_phnum; i++) {
		Elf64_Phdr saved = segments[i];

		if (segments[i].p_type != PT_INTERP && segments[i].p_type != PT_DYNAMIC)
			continue;
		segments[i].p_offset = UINT64_MAX - 8;
		ck_assert_int_eq(elf_read_bytes(own, own_length, &elf, &err), -EINVAL);
		ck_assert_msg(strstr(err.text, "malformed ELF file"), "%s", err.text);
		segments[i] = saved;
		segments[i].p_filesz = UINT64_MAX;
		ck_assert_int_eq(elf_read_bytes(own, own_length, &elf, &err), -EINVAL);
		segments[i] = saved;
	}
	header->e_phoff = own_length;
	ck_assert_int_eq(elf_read_bytes(own, own_length, &elf, &err), -EINVAL);
	header->e_phentsize = 1;
	ck_assert_int_eq(elf_read_bytes(own, own_length, &elf, &err), -EINVAL);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("elf");
	TCase *all = tcase_create("all");

	tcase_add_checked_fixture(all, read_own, free_own);
	tcase_add_test(all, this_program_is_understood);
	tcase_add_test(all, a_library_is_told_from_a_program);
	tcase_add_test(all, other_files_are_none);
	tcase_add_test(all, damage_is_survived);
	tcase_add_test(all, numbers_that_lie_are_refused);
	suite_add_tcase(suite, all);
	return suite;
}
