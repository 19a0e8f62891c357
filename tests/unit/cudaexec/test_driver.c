/* Opening a driver that is none, and the texts of results. */
#include "cudaexec/driver.h"
#include "supervisor/util.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

static void expect_load(const char *path, int code, const char *part)
{
	struct cuda_driver driver = {.version = 77};
	struct err err = ERR_INIT;
	int got = cuda_driver_load(path, &driver, &err);

	ck_assert_msg(got == code && strstr(err.text, part), "%s gives %d: %s", path, got, err.text);
	ck_assert_int_eq(driver.version, 77);
	ck_assert_ptr_null(driver.library);
}

START_TEST(no_driver)
{
	char path[] = "/tmp/ferrite-driver-XXXXXX";
	int fd = mkstemp(path);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(fd_write_all(fd, "no library", 10), 0);
	fd_close(&fd);
	expect_load("/nowhere/libcuda.so.1", -ENOENT, "/nowhere/libcuda.so.1");
	expect_load(path, -ELIBBAD, path);
	expect_load("libm.so.6", -ELIBBAD, "has no cuInit");
	(void)unlink(path);
}
END_TEST

START_TEST(results)
{
	struct err err = ERR_INIT;

	ck_assert_str_eq(cuda_result_name(CUDA_ERROR_INVALID_PTX), "CUDA_ERROR_INVALID_PTX");
	ck_assert_str_eq(cuda_result_name((CUresult)31337), "unknown CUDA error");
	ck_assert_int_eq(cuda_result_check(CUDA_SUCCESS, "cuInit", &err), 0);
	ck_assert_int_eq(err.code, 0);
	ck_assert_int_eq(cuda_result_check(CUDA_ERROR_OUT_OF_MEMORY, "cuMemAlloc", &err), -ENOMEM);
	ck_assert_str_eq(err.text, "cuMemAlloc: CUDA_ERROR_OUT_OF_MEMORY (2): out of memory");
	ck_assert_int_eq(cuda_result_errno(CUDA_ERROR_LAUNCH_TIMEOUT), -ETIMEDOUT);
	ck_assert_int_eq(cuda_result_errno((CUresult)31337), -EIO);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("driver");
	TCase *tcase = tcase_create("driver");

	tcase_add_test(tcase, no_driver);
	tcase_add_test(tcase, results);
	suite_add_tcase(suite, tcase);
	return suite;
}

#include "tests/unit/main.h"
