/* The software device's driver API: life of the driver, contexts, handles, threads, fork, look-up of entry points. */
#include "cudaexec/nvml_api.h"
#include "supervisor/util.h"
#include "tests/unit/cudaexec/softdev/driver_fixture.h"

#include <dlfcn.h>
#include <pthread.h>
#include <string.h>
#include <sys/wait.h>

#define THREADS 8
#define ROUNDS	25

START_TEST(before_init)
{
	CUdeviceptr address;
	CUdevice device;
	int version = 0;

	EXPECT(CUDA_ERROR_NOT_INITIALIZED, cu.cuDeviceGet(&device, 0));
	EXPECT(CUDA_ERROR_NOT_INITIALIZED, cu.cuMemAlloc_v2(&address, 1));
	EXPECT(CUDA_ERROR_INVALID_VALUE, cu.cuInit(1));
	OK(cu.cuDriverGetVersion(&version));
	ck_assert_int_eq(version, CUDA_VERSION);
	OK(cu.cuInit(0));
	OK(cu.cuInit(0));
	OK(cu.cuDeviceGet(&device, 0));
	EXPECT(CUDA_ERROR_INVALID_DEVICE, cu.cuDeviceGet(&device, 1));
	EXPECT(CUDA_ERROR_INVALID_CONTEXT, cu.cuMemAlloc_v2(&address, 1));
}
END_TEST

START_TEST(bad_settings)
{
	setenv("FERRITE_SOFTWARE_DEVICE_MEMORY", "much", 1);
	EXPECT(CUDA_ERROR_INVALID_VALUE, cu.cuInit(0));
	setenv("FERRITE_SOFTWARE_DEVICE_MEMORY", "33554432", 1);
	setenv("FERRITE_SOFTWARE_DEVICE_WORKERS", "100000", 1);
	EXPECT(CUDA_ERROR_INVALID_VALUE, cu.cuInit(0));
	setenv("FERRITE_SOFTWARE_DEVICE_WORKERS", "3", 1);
	OK(cu.cuInit(0));
}
END_TEST

START_TEST(device_facts)
{
	static const struct {
		CUdevice_attribute attribute;
		int value;
	} facts[] = {
		{CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, 7},
		{CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR, 5},
		{CU_DEVICE_ATTRIBUTE_WARP_SIZE, 32},
		{CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_BLOCK, 1024},
		{CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK, 49152},
		{CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN, 65536},
		{CU_DEVICE_ATTRIBUTE_UNIFIED_ADDRESSING, 1},
		{CU_DEVICE_ATTRIBUTE_MANAGED_MEMORY, 1},
		{CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT, 2},
		{CU_DEVICE_ATTRIBUTE_MEMORY_POOLS_SUPPORTED, 0},
	};
	char name[64], cut[9];
	CUuuid uuid;
	size_t bytes;
	int value;

	OK(cu.cuDeviceGetName(name, sizeof(name), 0));
	ck_assert_str_eq(name, "Software CUDA Device");
	OK(cu.cuDeviceGetName(cut, sizeof(cut), 0));
	ck_assert_str_eq(cut, "Software");
	OK(cu.cuDeviceGetUuid_v2(&uuid, 0));
	ck_assert_mem_eq(uuid.bytes, "ferrite software", 16);
	OK(cu.cuDeviceTotalMem_v2(&bytes, 0));
	ck_assert_uint_eq(bytes, 64 * MIB);
	for (size_t i = 0; i < ARRAY_LEN(facts); i++) {
		OK(cu.cuDeviceGetAttribute(&value, facts[i].attribute, 0));
		ck_assert_msg(value == facts[i].value, "attribute %d is %d", (int)facts[i].attribute, value);
	}
	EXPECT(CUDA_ERROR_INVALID_VALUE, cu.cuDeviceGetAttribute(&value, 0, 0));
	EXPECT(CUDA_ERROR_INVALID_VALUE, cu.cuDeviceGetAttribute(&value, 5000, 0));
	EXPECT(CUDA_ERROR_INVALID_VALUE, cu.cuDeviceGetAttribute(NULL, CU_DEVICE_ATTRIBUTE_WARP_SIZE, 0));
	EXPECT(CUDA_ERROR_INVALID_DEVICE, cu.cuDeviceGetAttribute(&value, CU_DEVICE_ATTRIBUTE_WARP_SIZE, 7));
}
END_TEST

START_TEST(context_stack)
{
	CUcontext second, current;
	unsigned version;

	OK(cu.cuCtxCreate_v2(&second, CU_CTX_SCHED_SPIN, 0));
	OK(cu.cuCtxGetCurrent(&current));
	ck_assert_ptr_eq(current, second);
	OK(cu.cuCtxPopCurrent_v2(&current));
	ck_assert_ptr_eq(current, second);
	OK(cu.cuCtxGetCurrent(&current));
	ck_assert_ptr_eq(current, context);
	OK(cu.cuCtxPushCurrent_v2(second));
	OK(cu.cuCtxGetApiVersion(NULL, &version));
	OK(cu.cuCtxDestroy_v2(second));
	OK(cu.cuCtxGetCurrent(&current));
	ck_assert_ptr_eq(current, context);
	EXPECT(CUDA_ERROR_INVALID_CONTEXT, cu.cuCtxDestroy_v2(second));
	EXPECT(CUDA_ERROR_INVALID_CONTEXT, cu.cuCtxSetCurrent(second));
	EXPECT(CUDA_ERROR_INVALID_CONTEXT, cu.cuCtxPushCurrent_v2(second));
	EXPECT(CUDA_ERROR_INVALID_VALUE, cu.cuCtxCreate_v2(&second, 0xff00, 0));
	EXPECT(CUDA_ERROR_INVALID_DEVICE, cu.cuCtxCreate_v2(&second, 0, 3));
	OK(cu.cuCtxSetCurrent(NULL));
	EXPECT(CUDA_ERROR_INVALID_CONTEXT, cu.cuCtxSynchronize());
	EXPECT(CUDA_ERROR_INVALID_CONTEXT, cu.cuCtxPopCurrent_v2(&current));
	for (unsigned i = 0; i < 64; i++)
		OK(cu.cuCtxPushCurrent_v2(context));
	EXPECT(CUDA_ERROR_INVALID_VALUE, cu.cuCtxPushCurrent_v2(context));
}
END_TEST

static void *destroy_elsewhere(void *handle)
{
	OK(cu.cuCtxDestroy_v2(handle));
	return NULL;
}

START_TEST(destroyed_by_another_thread)
{
	CUdeviceptr address;
	pthread_t thread;
	CUstream stream;

	OK(cu.cuStreamCreate(&stream, 0));
	ck_assert_int_eq(pthread_create(&thread, NULL, destroy_elsewhere, context), 0);
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
	EXPECT(CUDA_ERROR_CONTEXT_IS_DESTROYED, cu.cuMemAlloc_v2(&address, 16));
	EXPECT(CUDA_ERROR_CONTEXT_IS_DESTROYED, cu.cuStreamSynchronize(stream));
	OK(cu.cuCtxCreate_v2(&context, 0, 0));
	OK(cu.cuMemAlloc_v2(&address, 16));
	EXPECT(CUDA_ERROR_INVALID_HANDLE, cu.cuStreamSynchronize(stream));
}
END_TEST

START_TEST(destroy_frees_memory)
{
	CUdeviceptr address;
	CUcontext second;
	size_t before, after, total;
	void *host;

	OK(cu.cuMemGetInfo_v2(&before, &total));
	OK(cu.cuCtxCreate_v2(&second, 0, 0));
	OK(cu.cuMemAlloc_v2(&address, 8 * MIB));
	OK(cu.cuMemAllocHost_v2(&host, 4096));
	OK(cu.cuMemGetInfo_v2(&after, &total));
	ck_assert_uint_eq(before - after, 8 * MIB);
	OK(cu.cuCtxDestroy_v2(second));
	OK(cu.cuMemGetInfo_v2(&after, &total));
	ck_assert_uint_eq(before, after);
	EXPECT(CUDA_ERROR_INVALID_VALUE, cu.cuMemFree_v2(address));
	EXPECT(CUDA_ERROR_INVALID_VALUE, cu.cuMemFreeHost(host));
}
END_TEST

START_TEST(primary_context)
{
	CUcontext first, second;
	CUdeviceptr address;
	unsigned flags;
	int active;

	EXPECT(CUDA_ERROR_INVALID_CONTEXT, cu.cuDevicePrimaryCtxRelease_v2(0));
	OK(cu.cuDevicePrimaryCtxSetFlags_v2(0, CU_CTX_SCHED_YIELD));
	OK(cu.cuDevicePrimaryCtxGetState(0, &flags, &active));
	ck_assert_int_eq(active, 0);
	OK(cu.cuDevicePrimaryCtxRetain(&first, 0));
	OK(cu.cuDevicePrimaryCtxRetain(&second, 0));
	ck_assert_ptr_eq(first, second);
	OK(cu.cuDevicePrimaryCtxGetState(0, &flags, &active));
	ck_assert_uint_eq(flags, CU_CTX_SCHED_YIELD);
	ck_assert_int_eq(active, 1);
	EXPECT(CUDA_ERROR_INVALID_CONTEXT, cu.cuCtxDestroy_v2(first));
	OK(cu.cuCtxSetCurrent(first));
	OK(cu.cuMemAlloc_v2(&address, 4096));
	OK(cu.cuDevicePrimaryCtxRelease_v2(0));
	OK(cu.cuMemFree_v2(address));
	OK(cu.cuDevicePrimaryCtxRelease_v2(0));
	EXPECT(CUDA_ERROR_CONTEXT_IS_DESTROYED, cu.cuMemAlloc_v2(&address, 4096));
	OK(cu.cuDevicePrimaryCtxRetain(&first, 0));
	OK(cu.cuDevicePrimaryCtxReset_v2(0));
	EXPECT(CUDA_ERROR_INVALID_CONTEXT, cu.cuCtxSetCurrent(first));
}
END_TEST

/* Calls everything that takes a handle with it; nothing may crash, nothing may succeed. */
static void throw_handle(uintptr_t value)
{
	CUdeviceptr address;
	CUfunction function;
	CUcontext other;
	CUkernel found;
	CUmodule mod;
	float time;
	int number;

	ck_assert_int_ne(cu.cuCtxSetCurrent((CUcontext)value), 0);
	ck_assert_int_ne(cu.cuCtxDestroy_v2((CUcontext)value), 0);
	ck_assert_int_ne(cu.cuCtxSynchronize_v2((CUcontext)value), 0);
	ck_assert_int_ne(cu.cuModuleUnload((CUmodule)value), 0);
	ck_assert_int_ne(cu.cuModuleGetFunction(&function, (CUmodule)value, "add1"), 0);
	ck_assert_int_ne(cu.cuModuleGetGlobal_v2(&address, NULL, (CUmodule)value, "counter"), 0);
	ck_assert_int_ne(cu.cuFuncGetAttribute(&number, CU_FUNC_ATTRIBUTE_NUM_REGS, (CUfunction)value), 0);
	ck_assert_int_ne(cu.cuLaunchKernel((CUfunction)value, 1, 1, 1, 1, 1, 1, 0, NULL, NULL, NULL), 0);
	ck_assert_int_ne(cu.cuLibraryUnload((CUlibrary)value), 0);
	ck_assert_int_ne(cu.cuLibraryGetKernel(&found, (CUlibrary)value, "add1"), 0);
	ck_assert_int_ne(cu.cuLibraryGetModule(&mod, (CUlibrary)value), 0);
	ck_assert_int_ne(cu.cuKernelGetFunction(&function, (CUkernel)value), 0);
	ck_assert_int_ne(cu.cuStreamSynchronize((CUstream)value), 0);
	ck_assert_int_ne(cu.cuStreamGetCtx((CUstream)value, &other), 0);
	ck_assert_int_ne(cu.cuStreamDestroy_v2((CUstream)value), 0);
	ck_assert_int_ne(cu.cuEventQuery((CUevent)value), 0);
	ck_assert_int_ne(cu.cuEventElapsedTime(&time, (CUevent)value, (CUevent)value), 0);
	ck_assert_int_ne(cu.cuEventDestroy_v2((CUevent)value), 0);
	ck_assert_int_ne(cu.cuMemFree_v2((CUdeviceptr)value), 0);
	ck_assert_int_ne(cu.cuMemFreeHost((void *)value), 0);
	ck_assert_int_ne(cu.cuMemHostUnregister((void *)value), 0);
}

START_TEST(wrong_handles)
{
	uintptr_t values[] = {3,
			      17,
			      4096,
			      (uintptr_t)&cu,
			      UINTPTR_MAX,
			      0x0100000100000010,
			      0x0700000100000013,
			      0x0300000000000000,
			      (uintptr_t)1 << 63};
	CUevent stale;
	uint64_t random;

	OK(cu.cuEventCreate(&stale, 0));
	OK(cu.cuEventDestroy_v2(stale));
	throw_handle((uintptr_t)stale);
	for (size_t i = 0; i < ARRAY_LEN(values); i++)
		if (values[i] != (uintptr_t)context && values[i] != (uintptr_t)module)
			throw_handle(values[i]);
	for (unsigned i = 0; i < 2000; i++) {
		random_bytes(&random, sizeof(random));
		throw_handle((uintptr_t)random);
	}
	/* A right handle of the wrong kind */
	EXPECT(CUDA_ERROR_INVALID_HANDLE, cu.cuModuleUnload((CUmodule)(uintptr_t)kernel("add1")));
	EXPECT(CUDA_ERROR_INVALID_CONTEXT, cu.cuCtxSetCurrent((CUcontext)(uintptr_t)module));
}
END_TEST

START_TEST(handles_are_not_reused)
{
	CUevent first, second;

	OK(cu.cuEventCreate(&first, 0));
	OK(cu.cuEventDestroy_v2(first));
	OK(cu.cuEventCreate(&second, 0));
	ck_assert_ptr_ne(first, second);
	EXPECT(CUDA_ERROR_INVALID_HANDLE, cu.cuEventQuery(first));
	OK(cu.cuEventQuery(second));
}
END_TEST

static void *work(void *unused)
{
	CUcontext own;
	CUdeviceptr address;
	CUstream stream;

	(void)unused;
	for (int round = 0; round < ROUNDS; round++) {
		int count = 1000 + round, values[1100];

		OK(cu.cuCtxCreate_v2(&own, 0, 0));
		OK(cu.cuCtxSetCurrent(context)); /* the function belongs to the shared context */
		OK(cu.cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
		address = ramp_make(count);
		OK(cu.cuLaunchKernel(kernel("add1"), 5, 1, 1, 256, 1, 1, 0, stream, (void *[]){&address, &count},
				     NULL));
		OK(cu.cuMemcpyDtoHAsync_v2(values, address, (size_t)count * sizeof(int), stream));
		OK(cu.cuStreamSynchronize(stream));
		for (int i = 0; i < count; i++)
			ck_assert_int_eq(values[i], i + 1);
		OK(cu.cuMemFree_v2(address));
		OK(cu.cuStreamDestroy_v2(stream));
		OK(cu.cuCtxDestroy_v2(own));
	}
	return NULL;
}

START_TEST(many_threads)
{
	pthread_t threads[THREADS];
	size_t before, after, total;

	OK(cu.cuMemGetInfo_v2(&before, &total));
	for (unsigned i = 0; i < THREADS; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, work, NULL), 0);
	for (unsigned i = 0; i < THREADS; i++)
		ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
	OK(cu.cuMemGetInfo_v2(&after, &total));
	ck_assert_uint_eq(before, after);
}
END_TEST

START_TEST(fork_detected)
{
	CUdeviceptr address = ramp_make(100);
	pid_t child = fork();
	int status;

	ck_assert_int_ge(child, 0);
	if (child == 0) {
		CUdeviceptr other;
		CUcontext made;
		bool good = cu.cuInit(0) == CUDA_ERROR_NOT_INITIALIZED &&
			    cu.cuMemAlloc_v2(&other, 16) == CUDA_ERROR_NOT_INITIALIZED &&
			    cu.cuCtxCreate_v2(&made, 0, 0) == CUDA_ERROR_NOT_INITIALIZED &&
			    cu.cuCtxSynchronize() == CUDA_ERROR_NOT_INITIALIZED;

		_exit(good ? 0 : 1);
	}
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	ramp_expect(address, 100, 0);
}
END_TEST

START_TEST(proc_address)
{
	static const struct {
		const char *symbol;
		int version;
		unsigned flags;
		const char *found; /* export, NULL: not found */
		CUdriverProcAddressQueryResult status;
	} rows[] = {
		{"cuMemAlloc", 12000, 0, "cuMemAlloc_v2", CU_GET_PROC_ADDRESS_SUCCESS},
		{"cuMemAlloc", 3020, 0, "cuMemAlloc_v2", CU_GET_PROC_ADDRESS_SUCCESS},
		{"cuMemAlloc", 2000, 0, NULL, CU_GET_PROC_ADDRESS_VERSION_NOT_SUFFICIENT},
		{"cuMemAlloc_v2", 12000, 0, NULL, CU_GET_PROC_ADDRESS_SYMBOL_NOT_FOUND},
		{"cuNothing", 12000, 0, NULL, CU_GET_PROC_ADDRESS_SYMBOL_NOT_FOUND},
		{"cuCtxCreate", 12000, 0, "cuCtxCreate_v3", CU_GET_PROC_ADDRESS_SUCCESS},
		{"cuCtxCreate", 13000, 0, "cuCtxCreate_v4", CU_GET_PROC_ADDRESS_SUCCESS},
		{"cuCtxCreate", 4000, 0, "cuCtxCreate_v2", CU_GET_PROC_ADDRESS_SUCCESS},
		{"cuGetProcAddress", 11030, 0, "cuGetProcAddress", CU_GET_PROC_ADDRESS_SUCCESS},
		{"cuGetProcAddress", 12000, 0, "cuGetProcAddress_v2", CU_GET_PROC_ADDRESS_SUCCESS},
		{"cuLaunchKernel", 13000, 2, "cuLaunchKernel_ptsz", CU_GET_PROC_ADDRESS_SUCCESS},
		{"cuLaunchKernel", 13000, 1, "cuLaunchKernel", CU_GET_PROC_ADDRESS_SUCCESS},
		{"cuMemcpyHtoD", 13000, 2, "cuMemcpyHtoD_v2_ptds", CU_GET_PROC_ADDRESS_SUCCESS},
		{"cuMemAlloc", 13000, 2, "cuMemAlloc_v2", CU_GET_PROC_ADDRESS_SUCCESS},
	};
	CUdriverProcAddressQueryResult status;
	void *address = &status;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		void *expected = rows[i].found ? dlsym(cu.library, rows[i].found) : NULL;

		ck_assert(!rows[i].found == !expected);
		OK(cu.cuGetProcAddress_v2(rows[i].symbol, &address, rows[i].version, rows[i].flags, &status));
		ck_assert_msg(address == expected && status == rows[i].status, "%s@%d", rows[i].symbol,
			      rows[i].version);
	}
	OK(cu.cuGetProcAddress_v2("", &address, 0, 0, NULL));
	ck_assert_ptr_null(address);
	EXPECT(CUDA_ERROR_NOT_FOUND, cu.cuGetProcAddress("cuNothing", &address, 13000, 0));
	EXPECT(CUDA_ERROR_INVALID_VALUE, cu.cuGetProcAddress_v2("cuInit", &address, 13000, 3, &status));
	EXPECT(CUDA_ERROR_INVALID_VALUE, cu.cuGetProcAddress_v2(NULL, &address, 13000, 0, &status));
}
END_TEST

START_TEST(error_texts)
{
	const void *table = &cu;
	const char *text;
	CUuuid id = {{0}};

	OK(cu.cuGetErrorName(CUDA_ERROR_ILLEGAL_ADDRESS, &text));
	ck_assert_str_eq(text, "CUDA_ERROR_ILLEGAL_ADDRESS");
	OK(cu.cuGetErrorString(CUDA_ERROR_OUT_OF_MEMORY, &text));
	ck_assert_str_eq(text, "out of memory");
	EXPECT(CUDA_ERROR_INVALID_VALUE, cu.cuGetErrorName((CUresult)12345, &text));
	ck_assert_ptr_null(text);
	EXPECT(CUDA_ERROR_NOT_FOUND, cu.cuGetExportTable(&table, &id));
	ck_assert_ptr_null(table);
}
END_TEST

#define NVML(library, name) ((__typeof__(&name))dlsym(library, #name))

START_TEST(management_library)
{
	void *library = dlopen(device_path("libnvidia-ml.so.1"), RTLD_NOW);
	nvmlMemory_v2_t second = {.version = NVML_MEMORY_V2};
	nvmlDevice_t device = NULL;
	char text[NVML_UUID_MAX];
	CUdeviceptr address;
	nvmlMemory_t memory;
	unsigned count = 0;

	ck_assert_ptr_nonnull(library);
	ck_assert_int_eq(NVML(library, nvmlDeviceGetCount_v2)(&count), NVML_ERROR_UNINITIALIZED);
	ck_assert_int_eq(NVML(library, nvmlInit_v2)(), NVML_SUCCESS);
	ck_assert_int_eq(NVML(library, nvmlDeviceGetCount_v2)(&count), NVML_SUCCESS);
	ck_assert_uint_eq(count, 1);
	ck_assert_int_eq(NVML(library, nvmlDeviceGetHandleByIndex_v2)(1, &device), NVML_ERROR_INVALID_ARGUMENT);
	ck_assert_int_eq(NVML(library, nvmlDeviceGetHandleByIndex_v2)(0, &device), NVML_SUCCESS);
	ck_assert_int_eq(NVML(library, nvmlDeviceGetName)(device, text, sizeof(text)), NVML_SUCCESS);
	ck_assert_str_eq(text, "Software CUDA Device");
	ck_assert_int_eq(NVML(library, nvmlDeviceGetName)(device, text, 4), NVML_ERROR_INSUFFICIENT_SIZE);
	ck_assert_int_eq(NVML(library, nvmlDeviceGetUUID)(device, text, sizeof(text)), NVML_SUCCESS);
	ck_assert_str_eq(text, "GPU-66657272-6974-6520-736f-667477617265");
	OK(cu.cuMemAlloc_v2(&address, 2 * MIB));
	ck_assert_int_eq(NVML(library, nvmlDeviceGetMemoryInfo)(device, &memory), NVML_SUCCESS);
	ck_assert_uint_eq(memory.total, 64 * MIB);
	ck_assert_uint_ge(memory.used, 2 * MIB);
	ck_assert_uint_lt(memory.used, 4 * MIB);
	ck_assert_int_eq(NVML(library, nvmlDeviceGetMemoryInfo_v2)(device, &second), NVML_SUCCESS);
	ck_assert_uint_eq(second.used, memory.used);
	second.version = 1;
	ck_assert_int_eq(NVML(library, nvmlDeviceGetMemoryInfo_v2)(device, &second),
			 NVML_ERROR_ARGUMENT_VERSION_MISMATCH);
	ck_assert_int_eq(NVML(library, nvmlDeviceGetIndex)((nvmlDevice_t)(void *)&count, &count),
			 NVML_ERROR_INVALID_ARGUMENT);
	ck_assert_int_eq(NVML(library, nvmlShutdown)(), NVML_SUCCESS);
	ck_assert_int_eq(NVML(library, nvmlShutdown)(), NVML_ERROR_UNINITIALIZED);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("driver_api_state");
	TCase *closed = tcase_create("not initialised"), *open = tcase_create("initialised");

	tcase_add_checked_fixture(closed, driver_open, NULL);
	tcase_add_test(closed, before_init);
	tcase_add_test(closed, bad_settings);
	tcase_add_test(closed, proc_address);
	tcase_add_test(closed, error_texts);
	suite_add_tcase(suite, closed);
	tcase_add_checked_fixture(open, driver_setup, NULL);
	tcase_set_timeout(open, 120);
	tcase_add_test(open, device_facts);
	tcase_add_test(open, context_stack);
	tcase_add_test(open, destroyed_by_another_thread);
	tcase_add_test(open, destroy_frees_memory);
	tcase_add_test(open, primary_context);
	tcase_add_test(open, wrong_handles);
	tcase_add_test(open, handles_are_not_reused);
	tcase_add_test(open, many_threads);
	tcase_add_test(open, fork_detected);
	tcase_add_test(open, management_library);
	suite_add_tcase(suite, open);
	return suite;
}

#include "tests/unit/main.h"
