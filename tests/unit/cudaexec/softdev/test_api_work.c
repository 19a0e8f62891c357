/* The software device's driver API: memory, copies, modules, launches, streams and events, faults that stick. */
#include "supervisor/util.h"
#include "tests/unit/cudaexec/softdev/driver_fixture.h"

#include <fcntl.h>
#include <string.h>

START_TEST(quota)
{
	CUdeviceptr first = 0, second = 0, third = 77;
	size_t available, total, before;

	OK(cu.cuMemGetInfo_v2(&before, &total));
	ck_assert_uint_eq(total, 64 * MIB);
	OK(cu.cuMemAlloc_v2(&first, 40 * MIB));
	EXPECT(CUDA_ERROR_OUT_OF_MEMORY, cu.cuMemAlloc_v2(&third, 40 * MIB));
	ck_assert_uint_eq(third, 77);
	OK(cu.cuMemAlloc_v2(&second, 8 * MIB));
	OK(cu.cuMemGetInfo_v2(&available, &total));
	ck_assert_uint_eq(before - available, 48 * MIB);
	OK(cu.cuMemFree_v2(first));
	EXPECT(CUDA_ERROR_INVALID_VALUE, cu.cuMemFree_v2(first));
	EXPECT(CUDA_ERROR_INVALID_VALUE, cu.cuMemFree_v2(second + 4096));
	OK(cu.cuMemFree_v2(0));
	OK(cu.cuMemAlloc_v2(&third, 40 * MIB));
	EXPECT(CUDA_ERROR_INVALID_VALUE, cu.cuMemAlloc_v2(&first, 0));
	EXPECT(CUDA_ERROR_OUT_OF_MEMORY, cu.cuMemAlloc_v2(&first, SIZE_MAX));
	EXPECT(CUDA_ERROR_INVALID_VALUE, cu.cuMemAlloc_v2(NULL, 16));
	OK(cu.cuMemFree_v2(second));
	OK(cu.cuMemFree_v2(third));
	OK(cu.cuMemGetInfo_v2(&available, &total));
	ck_assert_uint_eq(available, before);
}
END_TEST

START_TEST(pitch)
{
	CUdeviceptr address;
	size_t line = 0;

	OK(cu.cuMemAllocPitch_v2(&address, &line, 1000, 10, 4));
	ck_assert_uint_eq(line, 1024);
	OK(cu.cuMemsetD8_v2(address, 1, line * 10));
	EXPECT(CUDA_ERROR_INVALID_VALUE, cu.cuMemsetD8_v2(address, 1, line * 10 + 1));
	EXPECT(CUDA_ERROR_INVALID_VALUE, cu.cuMemAllocPitch_v2(&address, &line, 1000, 10, 3));
	EXPECT(CUDA_ERROR_OUT_OF_MEMORY, cu.cuMemAllocPitch_v2(&address, &line, SIZE_MAX, 2, 4));
	EXPECT(CUDA_ERROR_OUT_OF_MEMORY, cu.cuMemAllocPitch_v2(&address, &line, SIZE_MAX / 2, 4, 4));
}
END_TEST

START_TEST(copies)
{
	CUdeviceptr address = ramp_make(256), other;
	int values[256];

	OK(cu.cuMemAlloc_v2(&other, sizeof(values)));
	OK(cu.cuMemcpyDtoD_v2(other, address, sizeof(values)));
	ramp_expect(other, 256, 0);
	OK(cu.cuMemcpyDtoD_v2(other + 4, other, sizeof(values) - 4)); /* overlapping */
	OK(cu.cuMemcpyDtoH_v2(values, other, sizeof(values)));
	ck_assert_int_eq(values[0], 0);
	ck_assert_int_eq(values[255], 254);
	EXPECT(CUDA_ERROR_INVALID_VALUE, cu.cuMemcpyHtoD_v2(address, values, sizeof(values) + 1));
	EXPECT(CUDA_ERROR_INVALID_VALUE, cu.cuMemcpyHtoD_v2(address + sizeof(values), values, 1));
	EXPECT(CUDA_ERROR_INVALID_VALUE, cu.cuMemcpyDtoH_v2(values, address - 1, 4));
	EXPECT(CUDA_ERROR_INVALID_VALUE, cu.cuMemcpyDtoH_v2(values, 4096, 4));
	EXPECT(CUDA_ERROR_INVALID_VALUE, cu.cuMemcpyDtoD_v2(address, other, SIZE_MAX));
	EXPECT(CUDA_ERROR_INVALID_VALUE, cu.cuMemcpyHtoD_v2(address, NULL, 4));
	OK(cu.cuMemcpyHtoD_v2(address, values, 0));
	memset(values, 0, sizeof(values));
	OK(cu.cuMemcpy((CUdeviceptr)(uintptr_t)values, address, sizeof(values)));
	ck_assert_int_eq(values[200], 200);
	EXPECT(CUDA_ERROR_INVALID_HANDLE, cu.cuMemcpyHtoDAsync_v2(address, values, 4, (CUstream)77));
}
END_TEST

START_TEST(fills)
{
	CUdeviceptr address;
	unsigned char bytes[64];
	uint16_t halves[32];
	uint32_t words[16];

	OK(cu.cuMemAlloc_v2(&address, 64));
	OK(cu.cuMemsetD8_v2(address, 0xab, 64));
	OK(cu.cuMemsetD16_v2(address + 2, 0x1234, 2));
	OK(cu.cuMemcpyDtoH_v2(halves, address, sizeof(halves)));
	ck_assert_uint_eq(halves[0], 0xabab);
	ck_assert_uint_eq(halves[2], 0x1234);
	ck_assert_uint_eq(halves[3], 0xabab);
	OK(cu.cuMemsetD32Async(address, 0xdeadbeef, 16, CU_STREAM_PER_THREAD));
	OK(cu.cuMemcpyDtoH_v2(words, address, sizeof(words)));
	ck_assert_uint_eq(words[15], 0xdeadbeef);
	OK(cu.cuMemsetD2D8_v2(address, 16, 7, 4, 3));
	OK(cu.cuMemcpyDtoH_v2(bytes, address, sizeof(bytes)));
	ck_assert_uint_eq(bytes[35], 7);
	ck_assert_uint_eq(bytes[36], 0xef);
	EXPECT(CUDA_ERROR_INVALID_VALUE, cu.cuMemsetD16_v2(address + 1, 0, 1));
	EXPECT(CUDA_ERROR_INVALID_VALUE, cu.cuMemsetD32_v2(address, 0, 17));
	EXPECT(CUDA_ERROR_INVALID_VALUE, cu.cuMemsetD32_v2(address, 0, SIZE_MAX / 2));
	EXPECT(CUDA_ERROR_INVALID_VALUE, cu.cuMemsetD2D8_v2(address, 3, 0, 4, 2));
	EXPECT(CUDA_ERROR_INVALID_VALUE, cu.cuMemsetD2D8_v2(address, 16, 0, 4, SIZE_MAX));
}
END_TEST

START_TEST(boxes)
{
	CUdeviceptr address = ramp_make(64); /* 8 lines of 8 ints */
	int tile[3][4] = {{0}};
	CUDA_MEMCPY2D copy = {.srcXInBytes = 8,
			      .srcY = 2,
			      .srcMemoryType = CU_MEMORYTYPE_DEVICE,
			      .srcDevice = address,
			      .srcPitch = 32,
			      .dstMemoryType = CU_MEMORYTYPE_HOST,
			      .dstHost = tile,
			      .dstPitch = 16,
			      .WidthInBytes = 16,
			      .Height = 3};
	CUDA_MEMCPY3D volume = {.srcMemoryType = CU_MEMORYTYPE_DEVICE,
				.srcDevice = address,
				.srcPitch = 8,
				.srcHeight = 4,
				.srcZ = 1,
				.dstMemoryType = CU_MEMORYTYPE_UNIFIED,
				.dstDevice = (CUdeviceptr)(uintptr_t)tile,
				.dstPitch = 8,
				.dstHeight = 2,
				.WidthInBytes = 8,
				.Height = 2,
				.Depth = 2};

	OK(cu.cuMemcpy2D_v2(&copy));
	ck_assert_int_eq(tile[0][0], 18);
	ck_assert_int_eq(tile[2][3], 37);
	OK(cu.cuMemcpy3D_v2(&volume));
	ck_assert_int_eq(tile[0][0], 8);
	ck_assert_int_eq(tile[1][3], 19);
	copy.srcY = 6;
	EXPECT(CUDA_ERROR_INVALID_VALUE, cu.cuMemcpy2D_v2(&copy));
	copy.srcY = SIZE_MAX - 1;
	EXPECT(CUDA_ERROR_INVALID_VALUE, cu.cuMemcpy2D_v2(&copy));
	copy.srcY = 2;
	copy.srcPitch = 20;
	EXPECT(CUDA_ERROR_INVALID_VALUE, cu.cuMemcpy2D_v2(&copy));
	copy.srcMemoryType = CU_MEMORYTYPE_ARRAY;
	EXPECT(CUDA_ERROR_NOT_SUPPORTED, cu.cuMemcpy2D_v2(&copy));
	copy.srcMemoryType = 99;
	EXPECT(CUDA_ERROR_INVALID_VALUE, cu.cuMemcpy2D_v2(&copy));
	copy.Height = 0;
	OK(cu.cuMemcpy2D_v2(&copy));
	volume.Depth = SIZE_MAX;
	EXPECT(CUDA_ERROR_INVALID_VALUE, cu.cuMemcpy3D_v2(&volume));
	EXPECT(CUDA_ERROR_INVALID_VALUE, cu.cuMemcpy2D_v2(NULL));
}
END_TEST

START_TEST(host_memory)
{
	static int registered[1024];
	CUdeviceptr address, managed;
	int count = 100, *pinned;
	unsigned flags;

	OK(cu.cuMemHostAlloc((void **)&pinned, 400, CU_MEMHOSTALLOC_DEVICEMAP));
	OK(cu.cuMemHostGetDevicePointer_v2(&address, pinned, 0));
	OK(cu.cuLaunchKernel(kernel("add1"), 1, 1, 1, 128, 1, 1, 0, NULL, (void *[]){&address, &count}, NULL));
	ck_assert_int_eq(pinned[99], 1);
	OK(cu.cuMemHostGetFlags(&flags, pinned));
	ck_assert_uint_eq(flags, CU_MEMHOSTALLOC_DEVICEMAP);
	OK(cu.cuMemFreeHost(pinned));
	EXPECT(CUDA_ERROR_INVALID_VALUE, cu.cuMemFreeHost(pinned));
	OK(cu.cuMemHostRegister_v2(registered, sizeof(registered), 0));
	EXPECT(CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED, cu.cuMemHostRegister_v2(registered + 5, 4, 0));
	address = (CUdeviceptr)(uintptr_t)registered;
	OK(cu.cuLaunchKernel(kernel("add1"), 1, 1, 1, 128, 1, 1, 0, NULL, (void *[]){&address, &count}, NULL));
	OK(cu.cuCtxSynchronize());
	ck_assert_int_eq(registered[99], 1);
	OK(cu.cuMemHostUnregister(registered));
	EXPECT(CUDA_ERROR_HOST_MEMORY_NOT_REGISTERED, cu.cuMemHostUnregister(registered));
	OK(cu.cuMemAllocManaged(&managed, 400, CU_MEM_ATTACH_GLOBAL));
	OK(cu.cuLaunchKernel(kernel("add1"), 1, 1, 1, 128, 1, 1, 0, NULL, (void *[]){&managed, &count}, NULL));
	ck_assert_int_eq(((int *)(uintptr_t)managed)[50], 1);
	OK(cu.cuMemFree_v2(managed));
	EXPECT(CUDA_ERROR_INVALID_VALUE, cu.cuMemAllocManaged(&managed, 400, 8));
}
END_TEST

START_TEST(pointers)
{
	CUdeviceptr address = ramp_make(64), base;
	CUpointer_attribute attributes[] = {CU_POINTER_ATTRIBUTE_CONTEXT,	 CU_POINTER_ATTRIBUTE_MEMORY_TYPE,
					    CU_POINTER_ATTRIBUTE_DEVICE_POINTER, CU_POINTER_ATTRIBUTE_HOST_POINTER,
					    CU_POINTER_ATTRIBUTE_IS_MANAGED,	 CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL};
	CUcontext owner;
	unsigned type, managed;
	CUdeviceptr device;
	void *host;
	int ordinal, local;
	void *data[] = {&owner, &type, &device, &host, &managed, &ordinal};
	size_t bytes;

	OK(cu.cuMemGetAddressRange_v2(&base, &bytes, address + 100));
	ck_assert_uint_eq(base, address);
	ck_assert_uint_eq(bytes, 256);
	EXPECT(CUDA_ERROR_NOT_FOUND, cu.cuMemGetAddressRange_v2(&base, &bytes, address + 256));
	OK(cu.cuPointerGetAttributes(6, attributes, data, address + 8));
	ck_assert_ptr_eq(owner, context);
	ck_assert_uint_eq(type, CU_MEMORYTYPE_DEVICE);
	ck_assert_uint_eq(device, address + 8);
	ck_assert_ptr_null(host);
	ck_assert_uint_eq(managed, 0);
	ck_assert_int_eq(ordinal, 0);
	OK(cu.cuPointerGetAttributes(6, attributes, data, (CUdeviceptr)(uintptr_t)&local));
	ck_assert_ptr_null(owner);
	ck_assert_uint_eq(type, 0);
	EXPECT(CUDA_ERROR_INVALID_VALUE,
	       cu.cuPointerGetAttribute(&type, CU_POINTER_ATTRIBUTE_MEMORY_TYPE, (CUdeviceptr)(uintptr_t)&local));
	EXPECT(CUDA_ERROR_INVALID_VALUE, cu.cuPointerGetAttribute(&type, 500, address));
}
END_TEST

/* Loads TEXT with a log buffer; the log must contain PART. */
static void expect_log(CUresult expected, const char *text, const char *part)
{
	CUjit_option options[] = {CU_JIT_ERROR_LOG_BUFFER, CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES};
	char log[512] = "untouched";
	void *values[] = {log, (void *)sizeof(log)};
	CUmodule bad = (CUmodule)(uintptr_t)5;

	EXPECT(expected, cu.cuModuleLoadDataEx(&bad, text, 2, options, values));
	ck_assert_ptr_eq(bad, (CUmodule)(uintptr_t)5);
	ck_assert_msg(strstr(log, part) != NULL, "the log says: %s", log);
	ck_assert_uint_eq((uintptr_t)values[1], strlen(log));
}

START_TEST(jit_log)
{
	CUjit_option options[] = {CU_JIT_ERROR_LOG_BUFFER, CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES, 4711};
	char tiny[8] = "xxxxxxx";
	void *values[] = {tiny, (void *)4, NULL};
	CUmodule bad;

	expect_log(CUDA_ERROR_INVALID_PTX,
		   ".version 7.0\n.target sm_75\n.address_size 64\n.visible .entry k() {\n\tfrobnicate.u32 %r1;\n}\n",
		   "line 5");
	expect_log(CUDA_ERROR_INVALID_PTX, "this is no PTX", "line 1");
	expect_log(CUDA_ERROR_UNSUPPORTED_PTX_VERSION, ".version 99.0\n.target sm_75\n.address_size 64\n", "99");
	expect_log(CUDA_ERROR_NO_BINARY_FOR_GPU, "\177ELF", "machine code");
	EXPECT(CUDA_ERROR_INVALID_PTX, cu.cuModuleLoadDataEx(&bad, "nonsense", 2, options, values));
	ck_assert_str_eq(tiny + 4, "xxx"); /* nothing behind the stated size */
	ck_assert_uint_eq(strlen(tiny), 3);
	EXPECT(CUDA_ERROR_INVALID_VALUE, cu.cuModuleLoadDataEx(&bad, "nonsense", 3, options, values));
	EXPECT(CUDA_ERROR_INVALID_VALUE, cu.cuModuleLoadDataEx(&bad, "nonsense", 2, NULL, NULL));
}
END_TEST

START_TEST(images)
{
	static const char *const files[] = {"none.fatbin", "zstd.fatbin", "lz4.fatbin", "multi.fatbin"};
	CUmodule loaded;
	CUfunction function;
	char path[128];

	for (size_t i = 0; i < ARRAY_LEN(files); i++) {
		_cleanup_free_ char *image = NULL;
		struct {
			uint32_t magic, version;
			const void *data;
			void *unused;
		} wrapper = {0x466243b1, 1, NULL, NULL};

		(void)snprintf(path, sizeof(path), "tests/fuzz/corpus/fuzz_fatbin/%s", files[i]);
		OK(cu.cuModuleLoad(&loaded, path));
		OK(cu.cuModuleGetFunction(&function, loaded, "add1"));
		OK(cu.cuModuleUnload(loaded));
		image = text_load(path);
		OK(cu.cuModuleLoadFatBinary(&loaded, image));
		OK(cu.cuModuleUnload(loaded));
		wrapper.data = image;
		OK(cu.cuModuleLoadData(&loaded, &wrapper));
		EXPECT(CUDA_ERROR_NOT_FOUND, cu.cuModuleGetFunction(&function, loaded, "nothing"));
		OK(cu.cuModuleUnload(loaded));
		EXPECT(CUDA_ERROR_INVALID_HANDLE, cu.cuModuleUnload(loaded));
	}
	EXPECT(CUDA_ERROR_NO_BINARY_FOR_GPU, cu.cuModuleLoad(&loaded, "tests/fuzz/corpus/fuzz_fatbin/elf-only.fatbin"));
	EXPECT(CUDA_ERROR_INVALID_IMAGE, cu.cuModuleLoad(&loaded, "tests/fuzz/corpus/fuzz_fatbin/truncated.fatbin"));
	EXPECT(CUDA_ERROR_FILE_NOT_FOUND, cu.cuModuleLoad(&loaded, "/nowhere/x.ptx"));
	EXPECT(CUDA_ERROR_INVALID_VALUE, cu.cuModuleLoadData(&loaded, NULL));
	EXPECT(CUDA_ERROR_INVALID_IMAGE, cu.cuModuleLoadData(&loaded, "\x01\x02\x03\x04"));
}
END_TEST

START_TEST(globals)
{
	CUdeviceptr address;
	int by = 5, value;
	size_t bytes;

	OK(cu.cuModuleGetGlobal_v2(&address, &bytes, module, "counter"));
	ck_assert_uint_eq(bytes, 4);
	OK(cu.cuLaunchKernel(kernel("bump"), 3, 1, 1, 32, 1, 1, 0, NULL, (void *[]){&by}, NULL));
	OK(cu.cuMemcpyDtoH_v2(&value, address, 4));
	ck_assert_int_eq(value, 7 + 15);
	EXPECT(CUDA_ERROR_INVALID_VALUE, cu.cuMemcpyDtoH_v2(&value, address, 8192));
	EXPECT(CUDA_ERROR_NOT_FOUND, cu.cuModuleGetGlobal_v2(&address, &bytes, module, "nothing"));
	EXPECT(CUDA_ERROR_INVALID_VALUE, cu.cuMemFree_v2(address));
}
END_TEST

START_TEST(libraries)
{
	_cleanup_free_ char *ptx = text_load(KERNELS_PTX);
	CUdeviceptr address = ramp_make(64), global;
	CUfunction function;
	CUmodule mod, again;
	CUlibrary library;
	CUkernel found;
	int count = 64, value;
	size_t offset, size;
	const char *name;

	OK(cu.cuLibraryLoadData(&library, ptx, NULL, NULL, 0, NULL, NULL, 0));
	OK(cu.cuLibraryGetKernel(&found, library, "add1"));
	EXPECT(CUDA_ERROR_NOT_FOUND, cu.cuLibraryGetKernel(&found, library, "nothing"));
	OK(cu.cuLaunchKernel((CUfunction)(void *)found, 1, 1, 1, 64, 1, 1, 0, NULL, (void *[]){&address, &count},
			     NULL));
	ramp_expect(address, 64, 1);
	OK(cu.cuKernelGetFunction(&function, found));
	OK(cu.cuLaunchKernel(function, 1, 1, 1, 64, 1, 1, 0, NULL, (void *[]){&address, &count}, NULL));
	ramp_expect(address, 64, 2);
	OK(cu.cuFuncGetName(&name, function));
	ck_assert_str_eq(name, "add1");
	OK(cu.cuKernelGetParamInfo(found, 1, &offset, &size));
	ck_assert_uint_eq(offset, 8);
	ck_assert_uint_eq(size, 4);
	EXPECT(CUDA_ERROR_INVALID_VALUE, cu.cuKernelGetParamInfo(found, 2, &offset, &size));
	OK(cu.cuKernelSetAttribute(CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, 60000, found, 0));
	OK(cu.cuKernelGetAttribute(&value, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, found, 0));
	ck_assert_int_eq(value, 60000);
	OK(cu.cuLibraryGetModule(&mod, library));
	OK(cu.cuFuncGetModule(&again, function));
	ck_assert_ptr_eq(mod, again);
	EXPECT(CUDA_ERROR_INVALID_HANDLE, cu.cuModuleUnload(mod)); /* it belongs to the library */
	OK(cu.cuLibraryGetGlobal(&global, &size, library, "counter"));
	OK(cu.cuLibraryUnload(library));
	EXPECT(CUDA_ERROR_INVALID_HANDLE, cu.cuLibraryUnload(library));
	EXPECT(CUDA_ERROR_INVALID_HANDLE, cu.cuLaunchKernel(function, 1, 1, 1, 1, 1, 1, 0, NULL, NULL, NULL));
	EXPECT(CUDA_ERROR_INVALID_HANDLE, cu.cuKernelGetFunction(&function, found));
	EXPECT(CUDA_ERROR_FILE_NOT_FOUND, cu.cuLibraryLoadFromFile(&library, "/nowhere", NULL, NULL, 0, NULL, NULL, 0));
}
END_TEST

/* The same arguments in both forms; the kernel has parameters of 8, 4, 1 and 8 bytes. */
START_TEST(parameters)
{
	struct {
		CUdeviceptr p;
		unsigned n;
		unsigned char shift;
		long long k;
	} packed = {0, 100, 3, 5};
	size_t size = sizeof(packed);
	void *extra[] = {CU_LAUNCH_PARAM_BUFFER_POINTER, &packed, CU_LAUNCH_PARAM_BUFFER_SIZE, &size,
			 CU_LAUNCH_PARAM_END};
	void *list[] = {&packed.p, &packed.n, &packed.shift, &packed.k};
	CUfunction fill = kernel("fill");
	double values[100];

	OK(cu.cuMemAlloc_v2(&packed.p, sizeof(values)));
	OK(cu.cuLaunchKernel(fill, 1, 1, 1, 128, 1, 1, 0, NULL, NULL, extra));
	OK(cu.cuMemcpyDtoH_v2(values, packed.p, sizeof(values)));
	ck_assert_double_eq(values[99], 40.0);
	packed.k = -7;
	OK(cu.cuLaunchKernel(fill, 1, 1, 1, 128, 1, 1, 0, NULL, list, NULL));
	OK(cu.cuMemcpyDtoH_v2(values, packed.p, sizeof(values)));
	ck_assert_double_eq(values[0], -56.0);
	EXPECT(CUDA_ERROR_INVALID_VALUE, cu.cuLaunchKernel(fill, 1, 1, 1, 128, 1, 1, 0, NULL, list, extra));
	EXPECT(CUDA_ERROR_INVALID_VALUE, cu.cuLaunchKernel(fill, 1, 1, 1, 128, 1, 1, 0, NULL, NULL, NULL));
	list[2] = NULL;
	EXPECT(CUDA_ERROR_INVALID_VALUE, cu.cuLaunchKernel(fill, 1, 1, 1, 128, 1, 1, 0, NULL, list, NULL));
	size = 12;
	EXPECT(CUDA_ERROR_INVALID_VALUE, cu.cuLaunchKernel(fill, 1, 1, 1, 128, 1, 1, 0, NULL, NULL, extra));
	extra[2] = (void *)9;
	EXPECT(CUDA_ERROR_INVALID_VALUE, cu.cuLaunchKernel(fill, 1, 1, 1, 128, 1, 1, 0, NULL, NULL, extra));
}
END_TEST

static CUresult launch(const char *name, unsigned gx, unsigned gy, unsigned bx, unsigned bz, unsigned shared)
{
	static CUdeviceptr address;
	static int count = 0;

	if (address == 0)
		address = ramp_make(1024);
	return cu.cuLaunchKernel(kernel(name), gx, gy, 1, bx, 1, bz, shared, NULL, (void *[]){&address, &count}, NULL);
}

START_TEST(launch_limits)
{
	OK(launch("add1", 1, 1, 1024, 1, 0));
	EXPECT(CUDA_ERROR_INVALID_VALUE, launch("add1", 0, 1, 32, 1, 0));
	EXPECT(CUDA_ERROR_INVALID_VALUE, launch("add1", 1, 0, 32, 1, 0));
	EXPECT(CUDA_ERROR_INVALID_VALUE, launch("add1", 1, 1, 0, 1, 0));
	EXPECT(CUDA_ERROR_INVALID_VALUE, launch("add1", 1, 1, 1025, 1, 0));
	EXPECT(CUDA_ERROR_INVALID_VALUE, launch("add1", 1, 1, 512, 3, 0));
	EXPECT(CUDA_ERROR_INVALID_VALUE, launch("add1", 1, 1, 1, 65, 0));
	EXPECT(CUDA_ERROR_INVALID_VALUE, launch("add1", 1, 65536, 1, 1, 0));
	EXPECT(CUDA_ERROR_INVALID_VALUE, launch("add1", 1, 1, 32, 1, 49153));
	EXPECT(CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES, launch("narrow", 1, 1, 65, 1, 0));
	OK(launch("narrow", 1, 1, 64, 1, 0));
	OK(cu.cuFuncSetAttribute(kernel("add1"), CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, 65536));
	OK(launch("add1", 1, 1, 32, 1, 65536));
	EXPECT(CUDA_ERROR_INVALID_VALUE,
	       cu.cuFuncSetAttribute(kernel("add1"), CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, 65537));
	OK(cu.cuCtxSynchronize()); /* none of these sticks */
}
END_TEST

START_TEST(shared_and_extended_launch)
{
	CUdeviceptr address = ramp_make(64);
	CUlaunchAttribute attributes[2] = {{.id = CU_LAUNCH_ATTRIBUTE_COOPERATIVE, .value = {.cooperative = 1}},
					   {.id = CU_LAUNCH_ATTRIBUTE_PRIORITY, .value = {.priority = 0}}};
	CUlaunchConfig config = {.gridDimX = 1,
				 .gridDimY = 1,
				 .gridDimZ = 1,
				 .blockDimX = 64,
				 .blockDimY = 1,
				 .blockDimZ = 1,
				 .sharedMemBytes = 256,
				 .attrs = attributes,
				 .numAttrs = 2};
	int values[64];

	OK(cu.cuLaunchKernel(kernel("reverse"), 1, 1, 1, 64, 1, 1, 256, NULL, (void *[]){&address}, NULL));
	OK(cu.cuMemcpyDtoH_v2(values, address, sizeof(values)));
	ck_assert_int_eq(values[0], 63);
	OK(cu.cuLaunchKernelEx(&config, kernel("reverse"), (void *[]){&address}, NULL));
	ramp_expect(address, 64, 0);
	OK(cu.cuLaunchCooperativeKernel(kernel("reverse"), 1, 1, 1, 64, 1, 1, 256, NULL, (void *[]){&address}));
	EXPECT(CUDA_ERROR_COOPERATIVE_LAUNCH_TOO_LARGE,
	       cu.cuLaunchCooperativeKernel(kernel("reverse"), 100000, 1, 1, 64, 1, 1, 256, NULL,
					    (void *[]){&address}));
	attributes[1].id = CU_LAUNCH_ATTRIBUTE_CLUSTER_DIMENSION;
	attributes[1].value.clusterDim.x = 2;
	EXPECT(CUDA_ERROR_NOT_SUPPORTED, cu.cuLaunchKernelEx(&config, kernel("reverse"), (void *[]){&address}, NULL));
	EXPECT(CUDA_ERROR_INVALID_VALUE, cu.cuLaunchKernelEx(NULL, kernel("reverse"), (void *[]){&address}, NULL));
}
END_TEST

/* After a fault every call on the context says so; other contexts are not touched, destruction heals. */
static void expect_sticky(CUresult fault, CUdeviceptr address)
{
	CUcontext second;
	CUdeviceptr other;
	CUstream stream;
	CUevent event;
	size_t bytes;

	EXPECT(fault, cu.cuCtxSynchronize());
	EXPECT(fault, cu.cuMemAlloc_v2(&other, 16));
	EXPECT(fault, cu.cuMemFree_v2(address));
	EXPECT(fault, cu.cuMemcpyDtoH_v2(&other, address, 4));
	EXPECT(fault, cu.cuStreamCreate(&stream, 0));
	EXPECT(fault, cu.cuEventCreate(&event, 0));
	EXPECT(fault, cu.cuMemGetInfo_v2(&bytes, &bytes));
	EXPECT(fault, cu.cuModuleUnload(module));
	OK(cu.cuCtxCreate_v2(&second, 0, 0));
	OK(cu.cuMemAlloc_v2(&other, 16));
	OK(cu.cuCtxDestroy_v2(second));
	EXPECT(fault, cu.cuCtxSynchronize());
	OK(cu.cuCtxDestroy_v2(context));
	OK(cu.cuCtxCreate_v2(&context, 0, 0));
	address = ramp_make(10);
	ramp_expect(address, 10, 0);
}

START_TEST(illegal_address_sticks)
{
	CUdeviceptr address = ramp_make(10);

	OK(cu.cuLaunchKernel(kernel("wild"), 1, 1, 1, 1, 1, 1, 0, NULL, (void *[]){&address}, NULL));
	expect_sticky(CUDA_ERROR_ILLEGAL_ADDRESS, address);
}
END_TEST

START_TEST(misaligned_sticks)
{
	CUdeviceptr address = ramp_make(10) + 1;
	int count = 1;

	OK(cu.cuLaunchKernel(kernel("add1"), 1, 1, 1, 1, 1, 1, 0, NULL, (void *[]){&address, &count}, NULL));
	expect_sticky(CUDA_ERROR_MISALIGNED_ADDRESS, address - 1);
}
END_TEST

static void budget_setup(void)
{
	setenv("FERRITE_SOFTWARE_DEVICE_BUDGET", "100000", 1);
	driver_setup();
}

START_TEST(endless_kernel_stops)
{
	CUdeviceptr address = ramp_make(10);

	OK(cu.cuLaunchKernel(kernel("spin"), 1, 1, 1, 1, 1, 1, 0, NULL, (void *[]){&address}, NULL));
	expect_sticky(CUDA_ERROR_LAUNCH_TIMEOUT, address);
}
END_TEST

static void set_flag(void *flag)
{
	size_t available, total;

	*(int *)flag = cu.cuMemGetInfo_v2(&available, &total) == CUDA_SUCCESS ? 1 : 2;
}

static void set_flag_of_stream(CUstream stream, CUresult status, void *flag)
{
	(void)stream;
	*(int *)flag = status == CUDA_SUCCESS ? 1 : 2;
}

START_TEST(streams_and_events)
{
	CUevent start, end, untimed;
	CUstream stream;
	CUcontext owner;
	float time = -1;
	int flag = 0, priority = 5;
	unsigned flags = 5;

	OK(cu.cuStreamCreateWithPriority(&stream, CU_STREAM_NON_BLOCKING, -3));
	OK(cu.cuStreamGetFlags(stream, &flags));
	ck_assert_uint_eq(flags, CU_STREAM_NON_BLOCKING);
	OK(cu.cuStreamGetPriority(stream, &priority));
	ck_assert_int_eq(priority, 0);
	OK(cu.cuStreamGetCtx(stream, &owner));
	ck_assert_ptr_eq(owner, context);
	OK(cu.cuEventCreate(&start, 0));
	OK(cu.cuEventCreate(&end, CU_EVENT_BLOCKING_SYNC));
	OK(cu.cuEventCreate(&untimed, CU_EVENT_DISABLE_TIMING));
	EXPECT(CUDA_ERROR_INVALID_HANDLE, cu.cuEventElapsedTime(&time, start, end)); /* not recorded */
	OK(cu.cuEventRecord(start, stream));
	OK(launch("add1", 1, 1, 32, 1, 0));
	OK(cu.cuEventRecord(end, stream));
	OK(cu.cuEventRecord(untimed, NULL));
	OK(cu.cuStreamWaitEvent(stream, end, 0));
	OK(cu.cuEventSynchronize(end));
	OK(cu.cuEventElapsedTime(&time, start, end));
	ck_assert(time >= 0);
	EXPECT(CUDA_ERROR_INVALID_HANDLE, cu.cuEventElapsedTime(&time, start, untimed));
	OK(cu.cuLaunchHostFunc(stream, set_flag, &flag));
	OK(cu.cuStreamSynchronize(stream));
	ck_assert_int_eq(flag, 1);
	flag = 0;
	OK(cu.cuStreamAddCallback(stream, set_flag_of_stream, &flag, 0));
	OK(cu.cuStreamQuery(stream));
	ck_assert_int_eq(flag, 1);
	EXPECT(CUDA_ERROR_INVALID_VALUE, cu.cuStreamCreate(&stream, 2));
	EXPECT(CUDA_ERROR_INVALID_VALUE, cu.cuEventCreate(&start, 0x80));
	EXPECT(CUDA_ERROR_NOT_SUPPORTED, cu.cuEventCreate(&start, CU_EVENT_INTERPROCESS | CU_EVENT_DISABLE_TIMING));
	OK(cu.cuStreamDestroy_v2(stream));
	EXPECT(CUDA_ERROR_INVALID_HANDLE, cu.cuStreamSynchronize(stream));
	OK(cu.cuStreamSynchronize(CU_STREAM_LEGACY));
	OK(cu.cuStreamSynchronize(CU_STREAM_PER_THREAD));
}
END_TEST

/* A stream and a function of one context cannot be used while another is current. */
START_TEST(foreign_objects)
{
	CUdeviceptr address = ramp_make(10);
	CUfunction function = kernel("add1");
	CUcontext second;
	CUstream stream;
	CUevent event;
	int count = 10;

	OK(cu.cuStreamCreate(&stream, 0));
	OK(cu.cuEventCreate(&event, 0));
	OK(cu.cuCtxCreate_v2(&second, 0, 0));
	EXPECT(CUDA_ERROR_INVALID_HANDLE,
	       cu.cuLaunchKernel(function, 1, 1, 1, 32, 1, 1, 0, NULL, (void *[]){&address, &count}, NULL));
	EXPECT(CUDA_ERROR_INVALID_HANDLE, cu.cuStreamSynchronize(stream));
	EXPECT(CUDA_ERROR_INVALID_HANDLE, cu.cuEventRecord(event, NULL));
	EXPECT(CUDA_ERROR_INVALID_HANDLE, cu.cuModuleUnload(module));
}
END_TEST

START_TEST(occupancy)
{
	CUfunction function = kernel("add1");
	int blocks, grid, block;
	size_t bytes;

	OK(cu.cuOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, function, 256, 0));
	ck_assert_int_eq(blocks, 4);
	OK(cu.cuOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, function, 33, 0));
	ck_assert_int_eq(blocks, 16);
	OK(cu.cuOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, function, 128, 32768));
	ck_assert_int_eq(blocks, 2);
	OK(cu.cuOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, function, 128, SIZE_MAX));
	ck_assert_int_eq(blocks, 0);
	OK(cu.cuOccupancyMaxPotentialBlockSize(&grid, &block, function, NULL, 0, 0));
	ck_assert_int_eq(block, 1024);
	ck_assert_int_eq(grid, 2);
	OK(cu.cuOccupancyMaxPotentialBlockSize(&grid, &block, kernel("narrow"), NULL, 0, 0));
	ck_assert_int_eq(block, 64);
	OK(cu.cuOccupancyAvailableDynamicSMemPerBlock(&bytes, function, 2, 128));
	ck_assert_uint_eq(bytes, 32768);
	EXPECT(CUDA_ERROR_INVALID_VALUE, cu.cuOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, function, 0, 0));
}
END_TEST

/* printf of a kernel appears on standard output when the program waits for the device. */
START_TEST(printf_output)
{
	char text[64] = "";
	int pipe_fds[2], saved = dup(STDOUT_FILENO), number = 42;
	ssize_t length;

	ck_assert_int_eq(pipe2(pipe_fds, O_CLOEXEC | O_NONBLOCK), 0);
	(void)fflush(stdout);
	ck_assert_int_ge(dup2(pipe_fds[1], STDOUT_FILENO), 0);
	OK(cu.cuLaunchKernel(kernel("hello"), 1, 1, 1, 2, 1, 1, 0, NULL, (void *[]){&number}, NULL));
	OK(cu.cuCtxSynchronize());
	length = read(pipe_fds[0], text, sizeof(text) - 1);
	ck_assert_int_ge(dup2(saved, STDOUT_FILENO), 0);
	ck_assert_int_gt(length, 0);
	ck_assert_str_eq(text, "hello 42\nhello 42\n");
}
END_TEST

START_TEST(limits)
{
	size_t value;

	OK(cu.cuCtxGetLimit(&value, CU_LIMIT_MALLOC_HEAP_SIZE));
	ck_assert_uint_eq(value, 8 * MIB);
	OK(cu.cuCtxSetLimit(CU_LIMIT_MALLOC_HEAP_SIZE, 4 * MIB));
	OK(cu.cuCtxGetLimit(&value, CU_LIMIT_MALLOC_HEAP_SIZE));
	ck_assert_uint_eq(value, 4 * MIB);
	OK(cu.cuCtxSetLimit(CU_LIMIT_STACK_SIZE, 4096));
	OK(cu.cuCtxGetLimit(&value, CU_LIMIT_STACK_SIZE));
	ck_assert_uint_eq(value, 4096);
	EXPECT(CUDA_ERROR_UNSUPPORTED_LIMIT, cu.cuCtxGetLimit(&value, CU_LIMIT_DEV_RUNTIME_SYNC_DEPTH));
	EXPECT(CUDA_ERROR_UNSUPPORTED_LIMIT, cu.cuCtxSetLimit(77, 1));
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("driver_api_work");
	TCase *tcase = tcase_create("work"), *budget = tcase_create("budget");

	tcase_add_checked_fixture(tcase, driver_setup, NULL);
	tcase_set_timeout(tcase, 60);
	tcase_add_test(tcase, quota);
	tcase_add_test(tcase, pitch);
	tcase_add_test(tcase, copies);
	tcase_add_test(tcase, fills);
	tcase_add_test(tcase, boxes);
	tcase_add_test(tcase, host_memory);
	tcase_add_test(tcase, pointers);
	tcase_add_test(tcase, jit_log);
	tcase_add_test(tcase, images);
	tcase_add_test(tcase, globals);
	tcase_add_test(tcase, libraries);
	tcase_add_test(tcase, parameters);
	tcase_add_test(tcase, launch_limits);
	tcase_add_test(tcase, shared_and_extended_launch);
	tcase_add_test(tcase, illegal_address_sticks);
	tcase_add_test(tcase, misaligned_sticks);
	tcase_add_test(tcase, streams_and_events);
	tcase_add_test(tcase, foreign_objects);
	tcase_add_test(tcase, occupancy);
	tcase_add_test(tcase, printf_output);
	tcase_add_test(tcase, limits);
	suite_add_tcase(suite, tcase);
	tcase_add_checked_fixture(budget, budget_setup, NULL);
	tcase_add_test(budget, endless_kernel_stops);
	suite_add_tcase(suite, budget);
	return suite;
}

#include "tests/unit/main.h"
