/* The processes that hostile bytes are given to: what they cannot do, and what their parent hears of their end. */
#include "rootfs/beneath.h"
#include "rootfs/child.h"
#include "supervisor/util.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "tests/unit/main.h"

static char folder[64];
static int folder_fd = -1;

static void make_folder(void)
{
	(void)strcpy(folder, "/tmp/ferrite-test-confine-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(folder));
	folder_fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ck_assert_int_ge(folder_fd, 0);
}

static void delete_folder(void)
{
	(void)unlinkat(folder_fd, "file", 0);
	fd_close(&folder_fd);
	ck_assert_int_eq(rmdir(folder), 0);
}

/* Runs FUNCTION confined; gives the result of the whole. */
static int run(int (*function)(void *context, struct err *err), uint64_t time_max_us, struct err *err)
{
	struct child_plan plan = {
		.run = function,
		.name = "test",
		.fds = (const int[]){folder_fd},
		.n_fds = 1,
		.confined = true,
		.file_bytes_max = MIB,
		.time_max_us = time_max_us,
	};
	struct child child = CHILD_INIT;
	struct report report;
	int r;

	*err = ERR_INIT;
	ck_assert_int_eq(child_start(&plan, &child, err), 0);
	do
		r = child_next(&child, &report, NULL, err);
	while (r > 0);
	ck_assert_int_eq(child.pid, 0);
	return r;
}

static int do_good_work(void *context, struct err *err)
{
	int fd = beneath_open(CHILD_FD_FIRST, "file", O_WRONLY | O_CREAT | O_EXCL, 0644);
	char *memory = malloc(8 * MIB);

	(void)context;
	if (fd < 0 || !memory || write(fd, "x", 1) != 1)
		return err_set(err, EIO, "it did not work");
	free(memory);
	for (uint64_t i = 0; i < 1000; i++)
		report_text(1, i, 0, "going on");
	return 0;
}

static int do_see_the_host(void *context, struct err *err)
{
	struct stat st;

	(void)context;
	return fstatat(AT_FDCWD, "/etc", &st, 0) == 0 ? err_set(err, EIO, "the host is there") : 0;
}

static int do_fail(void *context, struct err *err)
{
	(void)context;
	return err_set(err, EXDEV, "for a good reason");
}

static int do_write_much(void *context, struct err *err)
{
	static const char block[65536];
	int fd = beneath_open(CHILD_FD_FIRST, "file", O_WRONLY | O_CREAT, 0644);

	(void)context;
	for (int i = 0; i < 32; i++)
		if (fd < 0 || write(fd, block, sizeof(block)) < 0)
			return err_sys(err, errno, "write");
	return 0;
}

static int do_loop(void *context, struct err *err)
{
	(void)context;
	(void)err;
	for (volatile bool on = true; on;)
		;
	return 0;
}

static int do_crash(void *context, struct err *err)
{
	(void)context;
	(void)err;
	(void)signal(SIGSEGV, SIG_DFL);
	(void)raise(SIGSEGV);
	return 0;
}

START_TEST(work_gets_done)
{
	struct err err;
	struct stat st;

	ck_assert_msg(run(do_good_work, 0, &err) == 0, "%s", err.text);
	ck_assert_int_eq(fstatat(folder_fd, "file", &st, 0), 0);
	ck_assert_msg(run(do_see_the_host, 0, &err) == 0, "%s", err.text);
}
END_TEST

START_TEST(ends_are_told)
{
	struct err err;

	ck_assert_int_eq(run(do_fail, 0, &err), -EXDEV);
	ck_assert_str_eq(err.text, "for a good reason");
	ck_assert_int_eq(run(do_loop, 100000, &err), -ETIMEDOUT);
	ck_assert_msg(strstr(err.text, "longer than allowed"), "%s", err.text);
	ck_assert_int_eq(run(do_crash, 0, &err), -EIO);
}
END_TEST

START_TEST(files_have_a_bound)
{
	struct err err;
	struct stat st;

	ck_assert_int_lt(run(do_write_much, 0, &err), 0);
	ck_assert_int_eq(fstatat(folder_fd, "file", &st, 0), 0);
	ck_assert_int_le(st.st_size, (off_t)MIB);
}
END_TEST

#ifndef FERRITE_SANITIZE
static int do_execute(void *context, struct err *err)
{
	(void)context;
	(void)err;
	return (int)execve("/bin/true", (char *[]){NULL}, (char *[]){NULL});
}

static int do_connect(void *context, struct err *err)
{
	(void)context;
	(void)err;
	return socket(AF_INET, SOCK_STREAM, 0);
}

static int do_open_plainly(void *context, struct err *err)
{
	(void)context;
	(void)err;
	return (int)syscall(SYS_openat, AT_FDCWD, "file", O_RDONLY);
}

static int do_map_code(void *context, struct err *err)
{
	(void)context;
	(void)err;
	return mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED;
}

static int do_fork(void *context, struct err *err)
{
	(void)context;
	(void)err;
	return fork() == 0 ? (_exit(0), 0) : 0;
}

static int do_kill(void *context, struct err *err)
{
	(void)context;
	(void)err;
	return kill(getpid(), 0);
}

static int do_mount_something(void *context, struct err *err)
{
	(void)context;
	(void)err;
	return (int)syscall(SYS_mount, "none", "/", "tmpfs", 0, NULL);
}

static int (*const forbidden[])(void *context, struct err *err) = {
	do_execute, do_connect, do_open_plainly, do_map_code, do_fork, do_kill, do_mount_something,
};

START_TEST(forbidden_calls_end_the_process)
{
	struct err err;

	ck_assert_int_eq(run(forbidden[_i], 0, &err), -EIO);
	ck_assert_msg(strstr(err.text, "a system call that it must not make"), "%s", err.text);
}
END_TEST
#endif

static Suite *make_suite(void)
{
	Suite *suite = suite_create("confine");
	TCase *all = tcase_create("all");

	tcase_add_checked_fixture(all, make_folder, delete_folder);
	tcase_add_test(all, work_gets_done);
	tcase_add_test(all, ends_are_told);
	tcase_add_test(all, files_have_a_bound);
#ifndef FERRITE_SANITIZE
	tcase_add_loop_test(all, forbidden_calls_end_the_process, 0, (int)ARRAY_LEN(forbidden));
#endif
	suite_add_tcase(suite, all);
	return suite;
}
