/* Hostile trees: what is opened or made through them stays inside. */
#include "sandbox/root.h"
#include "supervisor/util.h"

#include <fcntl.h>
#include <ftw.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "tests/unit/main.h"

static char top[64];
static int top_fd, root_fd;

static int remove_entry(const char *path, const struct stat *st, int kind, struct FTW *walk)
{
	(void)st;
	(void)kind;
	(void)walk;
	return remove(path);
}

static void set_up(void)
{
	strcpy(top, "/tmp/ferrite-root-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(top));
	top_fd = open(top, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ck_assert_int_eq(mkdirat(top_fd, "root", 0755), 0);
	ck_assert_int_eq(mkdirat(top_fd, "outside", 0755), 0);
	root_fd = openat(top_fd, "root", O_PATH | O_DIRECTORY | O_CLOEXEC);
	ck_assert_int_ge(root_fd, 0);
}

static void tear_down(void)
{
	fd_close(&root_fd);
	fd_close(&top_fd);
	ck_assert_int_eq(nftw(top, remove_entry, 16, FTW_DEPTH | FTW_PHYS), 0);
}

static unsigned entries(const char *name)
{
	_cleanup_dir_ DIR *dir = NULL;
	int fd = openat(top_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	unsigned n = 0;

	dir = fdopendir(fd);
	ck_assert_ptr_nonnull(dir);
	while (readdir(dir))
		n++;
	return n - 2;
}

static bool same(int fd, int dirfd, const char *path)
{
	struct stat a, b;

	return fstat(fd, &a) == 0 && fstatat(dirfd, path, &b, 0) == 0 && a.st_ino == b.st_ino && a.st_dev == b.st_dev;
}

START_TEST(directories_are_made_inside)
{
	struct err err = ERR_INIT;
	int fd = root_open_directory(root_fd, "/a/b/c", &err);

	ck_assert_msg(fd >= 0, "%s", err.text);
	ck_assert(same(fd, top_fd, "root/a/b/c"));
	fd_close(&fd);
	fd = root_open_directory(root_fd, "/", &err);
	ck_assert(same(fd, top_fd, "root"));
	fd_close(&fd);
}
END_TEST

START_TEST(sec_D1_links_never_lead_out)
{
	static const char *const targets[] = {"../outside", "../../../../../../../tmp", "/../outside",	  "..",
					      "/",	    "/proc/self/root",		"/proc/self/fd/0"};
	struct err err = ERR_INIT;

	for (unsigned i = 0; i < ARRAY_LEN(targets); i++) {
		int fd;

		ck_assert_int_eq(symlinkat(targets[i], top_fd, "root/link"), 0);
		fd = root_open_directory(root_fd, "/link/made", &err);
		if (fd >= 0)
			ck_assert_msg(same(fd, top_fd, "root/made") || same(fd, top_fd, "root/outside/made") ||
					      same(fd, top_fd, "root/tmp/made"),
				      "%s", targets[i]);
		fd_close(&fd);
		ck_assert_uint_eq(entries("outside"), 0);
		ck_assert_uint_eq(entries("."), 2);
		ck_assert_int_eq(unlinkat(top_fd, "root/link", 0), 0);
	}
}
END_TEST

START_TEST(a_link_to_nowhere_is_an_error)
{
	struct err err = ERR_INIT;

	ck_assert_int_eq(symlinkat("/missing/place", top_fd, "root/link"), 0);
	ck_assert_int_eq(root_open_directory(root_fd, "/link/x", &err), -EEXIST);
	ck_assert_int_eq(symlinkat("self", top_fd, "root/self"), 0);
	ck_assert_int_eq(root_open_directory(root_fd, "/self/x", &err), -ELOOP);
	ck_assert_uint_eq(entries("root"), 2);
}
END_TEST

START_TEST(mount_points_are_real_directories)
{
	struct err err = ERR_INIT;
	int fd = root_open_mount_point(root_fd, "dev", &err);

	ck_assert(same(fd, top_fd, "root/dev"));
	fd_close(&fd);
	ck_assert_int_eq(symlinkat("dev", top_fd, "root/proc"), 0);
	ck_assert_int_eq(root_open_mount_point(root_fd, "proc", &err), -ENOTDIR);
	ck_assert_ptr_nonnull(strstr(err.text, "/proc of the image is not a directory"));
	ck_assert_int_eq(mkfifoat(top_fd, "root/sys", 0600), 0);
	ck_assert_int_eq(root_open_mount_point(root_fd, "sys", &err), -ENOTDIR);
}
END_TEST

START_TEST(files_replace_links_and_do_not_follow_them)
{
	_cleanup_free_ char *text = NULL;
	struct err err = ERR_INIT;
	int fd = root_open_directory(root_fd, "/etc", &err);
	struct stat st;

	ck_assert_int_eq(symlinkat("../../outside/hosts", fd, "hosts"), 0);
	ck_assert_int_eq(root_put_file(fd, "hosts", "text", 4, 0444, &err), 0);
	ck_assert_int_eq(fstatat(fd, "hosts", &st, AT_SYMLINK_NOFOLLOW), 0);
	ck_assert(S_ISREG(st.st_mode) && (st.st_mode & 07777) == 0444);
	ck_assert_int_eq(file_read(fd, "hosts", 100, &text, &err), 4);
	ck_assert_str_eq(text, "text");
	ck_assert_uint_eq(entries("outside"), 0);
	ck_assert_int_eq(root_put_link(fd, "hosts", "target", &err), 0);
	ck_assert_int_eq(fstatat(fd, "hosts", &st, AT_SYMLINK_NOFOLLOW), 0);
	ck_assert(S_ISLNK(st.st_mode));
	ck_assert_int_eq(mkdirat(fd, "folder", 0755), 0);
	ck_assert_int_lt(root_put_file(fd, "folder", "x", 1, 0444, &err), 0);
	ck_assert_int_lt(root_put_link(fd, "folder", "x", &err), 0);
	fd_close(&fd);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("root");
	TCase *all = tcase_create("all");

	tcase_add_checked_fixture(all, set_up, tear_down);
	tcase_add_test(all, directories_are_made_inside);
	tcase_add_test(all, sec_D1_links_never_lead_out);
	tcase_add_test(all, a_link_to_nowhere_is_an_error);
	tcase_add_test(all, mount_points_are_real_directories);
	tcase_add_test(all, files_replace_links_and_do_not_follow_them);
	suite_add_tcase(suite, all);
	return suite;
}
