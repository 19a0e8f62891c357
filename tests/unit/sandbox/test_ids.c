#include "sandbox/ids.h"
#include "supervisor/util.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "tests/unit/main.h"

#define BASE  0x70000000u
#define FIRST 2
#define COUNT 5

static char folder[64];
static int folder_fd;

static void set_up(void)
{
	strcpy(folder, "/tmp/ferrite-ids-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(folder));
	folder_fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ck_assert_int_ge(folder_fd, 0);
}

static void tear_down(void)
{
	(void)unlinkat(folder_fd, "ids", 0);
	fd_close(&folder_fd);
	ck_assert_int_eq(rmdir(folder), 0);
}

static void open_or_fail(struct ids *ids)
{
	struct err err = ERR_INIT;

	ck_assert_msg(ids_open(ids, folder_fd, BASE, FIRST, COUNT, 0, &err) == 0, "%s", err.text);
}

START_TEST(sec_A2_ranges_are_disjoint_and_run_out)
{
	struct ids ids;
	uint32_t blocks[COUNT], extra = 99;
	struct err err = ERR_INIT;

	open_or_fail(&ids);
	for (unsigned i = 0; i < COUNT; i++) {
		ck_assert_int_eq(ids_lease(&ids, &blocks[i], &err), 0);
		ck_assert_uint_ge(blocks[i], FIRST);
		ck_assert_uint_lt(blocks[i], FIRST + COUNT);
		for (unsigned k = 0; k < i; k++)
			ck_assert_uint_ne(blocks[i], blocks[k]);
		ck_assert_uint_eq(ids_base(&ids, blocks[i]), BASE + blocks[i] * 65536);
	}
	ck_assert_int_eq(ids_lease(&ids, &extra, &err), -EUSERS);
	ck_assert_uint_eq(extra, 99);
	ids_release(&ids, blocks[3]);
	ck_assert_int_eq(ids_lease(&ids, &extra, &err), 0);
	ck_assert_uint_eq(extra, blocks[3]);
	ids_close(&ids);
}
END_TEST

START_TEST(leases_outlive_the_server)
{
	struct ids ids;
	uint32_t block;

	open_or_fail(&ids);
	ck_assert_int_eq(ids_lease(&ids, &block, NULL), 0);
	ck_assert_int_eq(ids_lease(&ids, &block, NULL), 0);
	ids_close(&ids);
	open_or_fail(&ids);
	ck_assert_uint_eq(ids_leased(&ids), 2);
	ck_assert_uint_eq(ids_sweep(&ids), 2);
	ck_assert_uint_eq(ids_leased(&ids), 0);
	ids_close(&ids);
}
END_TEST

START_TEST(another_layout_or_boot_voids_leases)
{
	struct ids ids;
	uint32_t block;
	int fd;

	open_or_fail(&ids);
	ck_assert_int_eq(ids_lease(&ids, &block, NULL), 0);
	ids_close(&ids);
	ck_assert_int_eq(ids_open(&ids, folder_fd, BASE + 65536, FIRST, COUNT, 0, NULL), 0);
	ck_assert_uint_eq(ids_leased(&ids), 0);
	ck_assert_int_eq(ids_lease(&ids, &block, NULL), 0);
	ids_close(&ids);
	/* The boot's identity follows the 8 bytes of magic. */
	fd = openat(folder_fd, "ids", O_RDWR | O_CLOEXEC);
	ck_assert_int_eq(pwrite(fd, "x", 1, 12), 1);
	fd_close(&fd);
	ck_assert_int_eq(ids_open(&ids, folder_fd, BASE + 65536, FIRST, COUNT, 0, NULL), 0);
	ck_assert_uint_eq(ids_leased(&ids), 0);
	ids_close(&ids);
}
END_TEST

START_TEST(one_server_at_a_time)
{
	struct ids ids, other;
	struct err err = ERR_INIT;

	open_or_fail(&ids);
	ck_assert_int_eq(ids_open(&other, folder_fd, BASE, FIRST, COUNT, 1000, &err), -EBUSY);
	ck_assert_ptr_nonnull(strstr(err.text, "another ferrite-sandbox"));
	ids_close(&ids);
	open_or_fail(&other);
	ids_close(&other);
}
END_TEST

START_TEST(sec_D10_planted_files_are_refused)
{
	struct ids ids;
	struct err err = ERR_INIT;

	ck_assert_int_eq(symlinkat("/etc/passwd", folder_fd, "ids"), 0);
	ck_assert_int_eq(ids_open(&ids, folder_fd, BASE, FIRST, COUNT, 0, &err), -ELOOP);
	ck_assert_int_eq(unlinkat(folder_fd, "ids", 0), 0);
	ck_assert_int_eq(mkfifoat(folder_fd, "ids", 0600), 0);
	ck_assert_int_eq(ids_open(&ids, folder_fd, BASE, FIRST, COUNT, 0, &err), -EPERM);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("ids");
	TCase *all = tcase_create("all");

	tcase_add_checked_fixture(all, set_up, tear_down);
	tcase_add_test(all, sec_A2_ranges_are_disjoint_and_run_out);
	tcase_add_test(all, leases_outlive_the_server);
	tcase_add_test(all, another_layout_or_boot_voids_leases);
	tcase_add_test(all, one_server_at_a_time);
	tcase_add_test(all, sec_D10_planted_files_are_refused);
	suite_add_tcase(suite, all);
	return suite;
}
