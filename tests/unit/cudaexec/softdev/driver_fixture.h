/*
 * The software device's libcuda.so.1 of this build, opened as a program would, for the tests of the driver API. Every
 * test runs in a process of its own, so each starts with a driver that is not initialised.
 */
#ifndef FERRITE_TESTS_DRIVER_FIXTURE_H
#define FERRITE_TESTS_DRIVER_FIXTURE_H

#include "cudaexec/driver.h"

#include <check.h>

extern struct cuda_driver cu;

#define KERNELS_PTX "tests/unit/cudaexec/softdev/api_kernels.ptx"

/* The call gives this result. */
#define EXPECT(expected, call) \
	do { \
		CUresult result_ = (call); \
		ck_assert_msg(result_ == (expected), "%s gives %s, expected %s", #call, cuda_result_name(result_), \
			      cuda_result_name(expected)); \
	} while (0)

#define OK(call) EXPECT(CUDA_SUCCESS, call)

/* Opens the library; fixture for tests that call cuInit themselves. */
void driver_open(void);

/* And initialises it with a device of 64 MiB and two workers, a current context and the module of KERNELS_PTX. */
void driver_setup(void);

extern CUcontext context;
extern CUmodule module;

CUfunction kernel(const char *name);

/* A device buffer of COUNT ints from 0 upward, and the check that each is INDEX + added. */
CUdeviceptr ramp_make(int count);
void ramp_expect(CUdeviceptr address, int count, int added);

/* Text of a file, terminated; the caller frees it. */
char *text_load(const char *path);

/* The path of a file beside the library. */
const char *device_path(const char *name);

#endif
