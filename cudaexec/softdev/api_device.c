/* What the device says about itself. */
#include "cudaexec/softdev/api.h"

#include <string.h>

static const struct {
	CUdevice_attribute attribute;
	int value;
} attributes[] = {
	{CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_BLOCK, PTX_BLOCK_THREADS_MAX},
	{CU_DEVICE_ATTRIBUTE_MAX_BLOCK_DIM_X, PTX_BLOCK_THREADS_MAX},
	{CU_DEVICE_ATTRIBUTE_MAX_BLOCK_DIM_Y, PTX_BLOCK_THREADS_MAX},
	{CU_DEVICE_ATTRIBUTE_MAX_BLOCK_DIM_Z, PTX_BLOCK_Z_MAX},
	{CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_X, (int)PTX_GRID_X_MAX},
	{CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_Y, PTX_GRID_YZ_MAX},
	{CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_Z, PTX_GRID_YZ_MAX},
	{CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK, PTX_SHARED_STATIC_MAX},
	{CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN, PTX_SHARED_MAX},
	{CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_MULTIPROCESSOR, PTX_SHARED_MAX},
	{CU_DEVICE_ATTRIBUTE_TOTAL_CONSTANT_MEMORY, 65536},
	{CU_DEVICE_ATTRIBUTE_WARP_SIZE, PTX_WARP},
	{CU_DEVICE_ATTRIBUTE_MAX_PITCH, 0x7fffffff},
	{CU_DEVICE_ATTRIBUTE_MAX_REGISTERS_PER_BLOCK, SOFTDEV_REGISTERS},
	{CU_DEVICE_ATTRIBUTE_MAX_REGISTERS_PER_MULTIPROCESSOR, SOFTDEV_REGISTERS},
	{CU_DEVICE_ATTRIBUTE_CLOCK_RATE, 1000000},
	{CU_DEVICE_ATTRIBUTE_MEMORY_CLOCK_RATE, 1000000},
	{CU_DEVICE_ATTRIBUTE_GLOBAL_MEMORY_BUS_WIDTH, 64},
	{CU_DEVICE_ATTRIBUTE_TEXTURE_ALIGNMENT, SOFTDEV_PITCH_ALIGN},
	{CU_DEVICE_ATTRIBUTE_TEXTURE_PITCH_ALIGNMENT, 32},
	{CU_DEVICE_ATTRIBUTE_SURFACE_ALIGNMENT, SOFTDEV_PITCH_ALIGN},
	{CU_DEVICE_ATTRIBUTE_INTEGRATED, 1}, /* its memory is the host's */
	{CU_DEVICE_ATTRIBUTE_CAN_MAP_HOST_MEMORY, 1},
	{CU_DEVICE_ATTRIBUTE_COMPUTE_MODE, CU_COMPUTEMODE_DEFAULT},
	{CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_MULTIPROCESSOR, SOFTDEV_THREADS_PER_SM},
	{CU_DEVICE_ATTRIBUTE_MAX_BLOCKS_PER_MULTIPROCESSOR, SOFTDEV_BLOCKS_PER_SM},
	{CU_DEVICE_ATTRIBUTE_UNIFIED_ADDRESSING, 1},
	{CU_DEVICE_ATTRIBUTE_MANAGED_MEMORY, 1},
	{CU_DEVICE_ATTRIBUTE_CONCURRENT_MANAGED_ACCESS, 1},
	{CU_DEVICE_ATTRIBUTE_DIRECT_MANAGED_MEM_ACCESS_FROM_HOST, 1},
	{CU_DEVICE_ATTRIBUTE_HOST_NATIVE_ATOMIC_SUPPORTED, 1},
	{CU_DEVICE_ATTRIBUTE_CAN_USE_HOST_POINTER_FOR_REGISTERED_MEM, 1},
	{CU_DEVICE_ATTRIBUTE_HOST_REGISTER_SUPPORTED, 1},
	{CU_DEVICE_ATTRIBUTE_READ_ONLY_HOST_REGISTER_SUPPORTED, 1},
	{CU_DEVICE_ATTRIBUTE_COOPERATIVE_LAUNCH, 1},
	{CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, SOFTDEV_CAPABILITY_MAJOR},
	{CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR, SOFTDEV_CAPABILITY_MINOR},
	{CU_DEVICE_ATTRIBUTE_SINGLE_TO_DOUBLE_PRECISION_PERF_RATIO, 2},
	{CU_DEVICE_ATTRIBUTE_MULTI_GPU_BOARD_GROUP_ID, 0},
	{CU_DEVICE_ATTRIBUTE_NUMA_ID, -1},
	{CU_DEVICE_ATTRIBUTE_HOST_NUMA_ID, -1},
};

CUresult cuDriverGetVersion(int *version)
{
	if (!version)
		return CUDA_ERROR_INVALID_VALUE;
	*version = CUDA_VERSION;
	return CUDA_SUCCESS;
}

CUresult cuDeviceGet(CUdevice *device, int ordinal)
{
	CALL_BEGIN(call, NEED_DEVICE);

	if (!device)
		return CUDA_ERROR_INVALID_VALUE;
	if (ordinal != 0)
		return CUDA_ERROR_INVALID_DEVICE;
	*device = 0;
	return CUDA_SUCCESS;
}

CUresult cuDeviceGetCount(int *count)
{
	CALL_BEGIN(call, NEED_DEVICE);

	if (!count)
		return CUDA_ERROR_INVALID_VALUE;
	*count = 1;
	return CUDA_SUCCESS;
}

static CUresult device_check(CUdevice device, const void *output)
{
	CALL_BEGIN(call, NEED_DEVICE);

	if (!output)
		return CUDA_ERROR_INVALID_VALUE;
	return device == 0 ? CUDA_SUCCESS : CUDA_ERROR_INVALID_DEVICE;
}

/* Names are cut to the buffer, as the driver does. */
static CUresult device_text(char *buffer, int size, CUdevice device, const char *text)
{
	CUresult result = device_check(device, buffer);

	if (result != CUDA_SUCCESS)
		return result;
	if (size <= 0)
		return CUDA_ERROR_INVALID_VALUE;
	(void)snprintf(buffer, (size_t)size, "%s", text);
	return CUDA_SUCCESS;
}

CUresult cuDeviceGetName(char *name, int size, CUdevice device)
{
	return device_text(name, size, device, SOFTDEV_NAME);
}

CUresult cuDeviceGetPCIBusId(char *bus_id, int size, CUdevice device)
{
	return device_text(bus_id, size, device, SOFTDEV_PCI_BUS_ID);
}

CUresult cuDeviceGetByPCIBusId(CUdevice *device, const char *bus_id)
{
	CUresult result = device_check(0, device);

	if (result != CUDA_SUCCESS)
		return result;
	if (!bus_id)
		return CUDA_ERROR_INVALID_VALUE;
	if (strcmp(bus_id, SOFTDEV_PCI_BUS_ID) != 0)
		return CUDA_ERROR_INVALID_DEVICE;
	*device = 0;
	return CUDA_SUCCESS;
}

CUresult cuDeviceGetUuid_v2(CUuuid *uuid, CUdevice device)
{
	CUresult result = device_check(device, uuid);

	_Static_assert(sizeof(SOFTDEV_UUID) - 1 == sizeof(uuid->bytes), "a UUID has 16 bytes");
	if (result == CUDA_SUCCESS)
		memcpy(uuid->bytes, SOFTDEV_UUID, sizeof(uuid->bytes));
	return result;
}

CUresult cuDeviceGetUuid(CUuuid *uuid, CUdevice device)
{
	return cuDeviceGetUuid_v2(uuid, device);
}

CUresult cuDeviceTotalMem_v2(size_t *bytes, CUdevice device)
{
	CUresult result = device_check(device, bytes);
	uint64_t available = 0, total = 0;

	if (result != CUDA_SUCCESS)
		return result;
	device_memory_info(softdev.memory, &available, &total);
	*bytes = total;
	return CUDA_SUCCESS;
}

CUresult cuDeviceGetAttribute(int *value, CUdevice_attribute attribute, CUdevice device)
{
	CUresult result = device_check(device, value);

	if (result != CUDA_SUCCESS)
		return result;
	if ((int)attribute <= 0 || attribute > CU_DEVICE_ATTRIBUTE_ONLY_PARTIAL_HOST_NATIVE_ATOMIC_SUPPORTED)
		return CUDA_ERROR_INVALID_VALUE;
	*value = 0; /* what is not in the table is a feature that this device lacks */
	if (attribute == CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT)
		*value = (int)ptx_device_workers(softdev.device);
	for (size_t i = 0; i < ARRAY_LEN(attributes); i++)
		if (attributes[i].attribute == attribute)
			*value = attributes[i].value;
	return CUDA_SUCCESS;
}

CUresult cuDeviceCanAccessPeer(int *can_access_peer, CUdevice device, CUdevice peer)
{
	CUresult result = device_check(device, can_access_peer);

	if (result != CUDA_SUCCESS)
		return result;
	if (peer != 0)
		return CUDA_ERROR_INVALID_DEVICE;
	*can_access_peer = 0;
	return CUDA_SUCCESS;
}

CUresult cuDeviceComputeCapability(int *major, int *minor, CUdevice device)
{
	CUresult result = device_check(device, major);

	if (result != CUDA_SUCCESS)
		return result;
	if (!minor)
		return CUDA_ERROR_INVALID_VALUE;
	*major = SOFTDEV_CAPABILITY_MAJOR;
	*minor = SOFTDEV_CAPABILITY_MINOR;
	return CUDA_SUCCESS;
}

CUresult cuDeviceGetProperties(CUdevprop *properties, CUdevice device)
{
	CUresult result = device_check(device, properties);

	if (result == CUDA_SUCCESS)
		*properties = (CUdevprop){
			.maxThreadsPerBlock = PTX_BLOCK_THREADS_MAX,
			.maxThreadsDim = {PTX_BLOCK_THREADS_MAX, PTX_BLOCK_THREADS_MAX, PTX_BLOCK_Z_MAX},
			.maxGridSize = {(int)PTX_GRID_X_MAX, PTX_GRID_YZ_MAX, PTX_GRID_YZ_MAX},
			.sharedMemPerBlock = PTX_SHARED_STATIC_MAX,
			.totalConstantMemory = 65536,
			.SIMDWidth = PTX_WARP,
			.memPitch = 0x7fffffff,
			.regsPerBlock = SOFTDEV_REGISTERS,
			.clockRate = 1000000,
			.textureAlign = SOFTDEV_PITCH_ALIGN,
		};
	return result;
}

CUresult cuDeviceGetDefaultMemPool(CUmemoryPool *pool, CUdevice device)
{
	CUresult result = device_check(device, pool);

	return result == CUDA_SUCCESS ? CUDA_ERROR_NOT_SUPPORTED : result;
}
