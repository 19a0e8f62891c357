#include "tests/unit/cudaexec/softdev/driver_fixture.h"

#include "supervisor/util.h"

#include <fcntl.h>
#include <limits.h>
#include <string.h>

struct cuda_driver cu;
CUcontext context;
CUmodule module;

const char *device_path(const char *name)
{
	static char path[PATH_MAX + 64];
	ssize_t length = readlink("/proc/self/exe", path, PATH_MAX - 1);
	char *slash;

	ck_assert_int_gt(length, 0);
	path[length] = '\0';
	for (unsigned i = 0; i < 3; i++) { /* BUILD/tests/unit/NAME */
		slash = strrchr(path, '/');
		ck_assert_ptr_nonnull(slash);
		*slash = '\0';
	}
	(void)snprintf(path + strlen(path), sizeof(path) - strlen(path), "/lib/ferrite/software-device/%s", name);
	return path;
}

char *text_load(const char *path)
{
	struct err err = ERR_INIT;
	char *text = NULL;

	ck_assert_msg(file_read(AT_FDCWD, path, MIB, &text, &err) >= 0, "%s (tests run from the top)", err.text);
	return text;
}

void driver_open(void)
{
	struct err err = ERR_INIT;

	ck_assert_msg(cuda_driver_load(device_path("libcuda.so.1"), &cu, &err) == 0, "%s", err.text);
}

void driver_setup(void)
{
	_cleanup_free_ char *ptx = text_load(KERNELS_PTX);

	ck_assert_int_eq(setenv("FERRITE_SOFTWARE_DEVICE_MEMORY", "67108864", 1), 0);
	ck_assert_int_eq(setenv("FERRITE_SOFTWARE_DEVICE_WORKERS", "2", 1), 0);
	driver_open();
	OK(cu.cuInit(0));
	OK(cu.cuCtxCreate_v2(&context, 0, 0));
	OK(cu.cuModuleLoadData(&module, ptx));
}

CUfunction kernel(const char *name)
{
	CUfunction function = NULL;

	OK(cu.cuModuleGetFunction(&function, module, name));
	return function;
}

CUdeviceptr ramp_make(int count)
{
	_cleanup_free_ int *values = calloc((size_t)count, sizeof(int));
	CUdeviceptr address = 0;

	ck_assert_ptr_nonnull(values);
	for (int i = 0; i < count; i++)
		values[i] = i;
	OK(cu.cuMemAlloc_v2(&address, (size_t)count * sizeof(int)));
	OK(cu.cuMemcpyHtoD_v2(address, values, (size_t)count * sizeof(int)));
	return address;
}

void ramp_expect(CUdeviceptr address, int count, int added)
{
	_cleanup_free_ int *values = calloc((size_t)count, sizeof(int));

	ck_assert_ptr_nonnull(values);
	OK(cu.cuMemcpyDtoH_v2(values, address, (size_t)count * sizeof(int)));
	for (int i = 0; i < count; i++)
		ck_assert_int_eq(values[i], i + added);
}
