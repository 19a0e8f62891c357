/*
 * The test kernels against their references through the CUDA driver API: on a real GPU (make check-gpu) and on the
 * software device (make check), the same program.
 *
 * usage: test_kernels [LIBCUDA [SEED]]; the driver is LIBCUDA, else $FERRITE_LIBCUDA, else libcuda.so.1.
 */
#include "cudaexec/driver.h"
#include "supervisor/util.h"
#include "tests/gpu/kernels/cases.h"

#include <string.h>

struct gpu {
	struct cuda_driver driver;
	CUmodule module;
};

static bool check(struct backend *backend, CUresult result, const char *call)
{
	return result == CUDA_SUCCESS || case_fail(backend, "%s: %s (%d)", call, cuda_result_name(result), (int)result);
}

static bool load(struct backend *backend, const char *ptx, size_t size)
{
	struct gpu *gpu = backend->state;
	_cleanup_free_ char *text = calloc(1, size + 1);

	if (!text)
		return case_fail(backend, "out of memory");
	memcpy(text, ptx, size);
	if (gpu->module && !check(backend, gpu->driver.cuModuleUnload(gpu->module), "cuModuleUnload"))
		return false;
	gpu->module = NULL;
	return check(backend, gpu->driver.cuModuleLoadData(&gpu->module, text), "cuModuleLoadData");
}

static uint64_t alloc(struct backend *backend, size_t size)
{
	struct gpu *gpu = backend->state;
	CUdeviceptr address = 0;

	return check(backend, gpu->driver.cuMemAlloc_v2(&address, size), "cuMemAlloc") ? address : 0;
}

static void release(struct backend *backend, uint64_t address)
{
	struct gpu *gpu = backend->state;

	(void)gpu->driver.cuMemFree_v2(address);
}

static bool put(struct backend *backend, uint64_t to, const void *from, size_t size)
{
	struct gpu *gpu = backend->state;

	return check(backend, gpu->driver.cuMemcpyHtoD_v2(to, from, size), "cuMemcpyHtoD");
}

static bool get(struct backend *backend, void *to, uint64_t from, size_t size)
{
	struct gpu *gpu = backend->state;

	return check(backend, gpu->driver.cuMemcpyDtoH_v2(to, from, size), "cuMemcpyDtoH");
}

static bool variable(struct backend *backend, const char *name, uint64_t *ret_address)
{
	struct gpu *gpu = backend->state;
	CUdeviceptr address = 0;
	size_t size = 0;

	if (!check(backend, gpu->driver.cuModuleGetGlobal_v2(&address, &size, gpu->module, name), "cuModuleGetGlobal"))
		return false;
	*ret_address = address;
	return true;
}

static bool launch(struct backend *backend, const char *kernel, const unsigned grid[3], const unsigned block[3],
		   unsigned shared, const struct kernel_arg *args, unsigned count)
{
	struct gpu *gpu = backend->state;
	CUfunction function = NULL;
	void *params[16];

	if (count > ARRAY_LEN(params))
		return case_fail(backend, "too many arguments");
	for (unsigned i = 0; i < count; i++)
		memcpy(&params[i], &args[i].value, sizeof(params[i]));
	return check(backend, gpu->driver.cuModuleGetFunction(&function, gpu->module, kernel), "cuModuleGetFunction") &&
	       check(backend,
		     gpu->driver.cuLaunchKernel(function, grid[0], grid[1], grid[2], block[0], block[1], block[2],
						shared, NULL, params, NULL),
		     "cuLaunchKernel") &&
	       check(backend, gpu->driver.cuCtxSynchronize(), "cuCtxSynchronize");
}

/* Opens the driver and makes a context on the first device; false with the reason. */
static bool open_gpu(struct gpu *gpu, struct backend *backend, const char *path)
{
	struct err err = ERR_INIT;
	CUcontext context = NULL;
	char name[128] = "";
	CUdevice device = 0;

	if (cuda_driver_load(path, &gpu->driver, &err) < 0)
		return case_fail(backend, "%s", err.text);
	if (!check(backend, gpu->driver.cuInit(0), "cuInit") ||
	    !check(backend, gpu->driver.cuDeviceGet(&device, 0), "cuDeviceGet") ||
	    !check(backend, gpu->driver.cuDeviceGetName(name, sizeof(name), device), "cuDeviceGetName") ||
	    !check(backend, gpu->driver.cuDevicePrimaryCtxRetain(&context, device), "cuDevicePrimaryCtxRetain") ||
	    !check(backend, gpu->driver.cuCtxSetCurrent(context), "cuCtxSetCurrent"))
		return false;
	printf("device: %s\n", name);
	return true;
}

int main(int argc, char **argv)
{
	static const char *const variants[] = {"", "fast", "debug"};
	const char *path = argc > 1 ? argv[1] : getenv("FERRITE_LIBCUDA");
	struct gpu gpu = {0};
	struct backend backend = {.load = load,
				  .alloc = alloc,
				  .release = release,
				  .put = put,
				  .get = get,
				  .variable = variable,
				  .launch = launch,
				  .state = &gpu};
	unsigned passed = 0, failed = 0;
	uint64_t seed = 0;
	size_t size = 0;

	if (!open_gpu(&gpu, &backend, path)) {
		/* Where a driver was named it has to work. */
		printf("%s: %s\n0 passed, %d failed, %d skipped\n", path ? "FAIL" : "skip", backend.error, path ? 1 : 0,
		       path ? 0 : 1);
		return path ? 1 : 0;
	}
	random_bytes(&seed, sizeof(seed));
	if (argc > 2)
		seed = strtoull(argv[2], NULL, 0);
	printf("seed: 0x%llx\n", (unsigned long long)seed);
	for (unsigned i = 0; i < kernel_case_count; i++)
		for (size_t v = 0; v < ARRAY_LEN(variants); v++) {
			const struct kernel_case *test = &kernel_cases[i];

			if (!kernel_ptx(test->name, variants[v], &size))
				continue;
			if (kernel_case_run(test, &backend, seed, variants[v])) {
				passed++;
				continue;
			}
			failed++;
			printf("FAIL: %s %s: %s\n", test->name, variants[v], backend.error);
		}
	printf("%u passed, %u failed, 0 skipped\n", passed, failed);
	return failed == 0 ? 0 : 1;
}
