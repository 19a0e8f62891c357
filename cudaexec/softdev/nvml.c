/*
 * libnvidia-ml.so.1 of the software device: one device that says what it is. Every process has a device of its own, so
 * the memory in use is that of the calling process: it is asked from the libcuda.so.1 that this process has loaded, and
 * is 0 without one or without a current context. There are no GPU processes of others, no PCI device and no MIG.
 */
#pragma GCC visibility push(default)
#include "cudaexec/nvml_api.h"
#pragma GCC visibility pop

#include "cudaexec/softdev/api.h"
#include "supervisor/str.h"

#include <dlfcn.h>
#include <string.h>

#define NVML_UUID "GPU-66657272-6974-6520-736f-667477617265" /* SOFTDEV_UUID in hexadecimal */

typedef CUresult memory_info(size_t *available, size_t *total);

static unsigned initialised; /* nvmlInit calls that were not shut down */
static char the_device;

static nvmlReturn_t check(nvmlDevice_t device, const void *output)
{
	if (__atomic_load_n(&initialised, __ATOMIC_ACQUIRE) == 0)
		return NVML_ERROR_UNINITIALIZED;
	return (void *)device == &the_device && output ? NVML_SUCCESS : NVML_ERROR_INVALID_ARGUMENT;
}

static nvmlReturn_t check_system(const void *output)
{
	return check((nvmlDevice_t)(void *)&the_device, output);
}

static nvmlReturn_t write_text(char *buffer, unsigned size, const char *text)
{
	if (strlen(text) >= size)
		return NVML_ERROR_INSUFFICIENT_SIZE;
	memcpy(buffer, text, strlen(text) + 1);
	return NVML_SUCCESS;
}

nvmlReturn_t nvmlInit_v2(void)
{
	(void)__atomic_add_fetch(&initialised, 1, __ATOMIC_ACQ_REL);
	return NVML_SUCCESS;
}

nvmlReturn_t nvmlShutdown(void)
{
	unsigned count = __atomic_load_n(&initialised, __ATOMIC_ACQUIRE);

	while (count > 0)
		if (__atomic_compare_exchange_n(&initialised, &count, count - 1, false, __ATOMIC_ACQ_REL,
						__ATOMIC_ACQUIRE))
			return NVML_SUCCESS;
	return NVML_ERROR_UNINITIALIZED;
}

const char *nvmlErrorString(nvmlReturn_t result)
{
	switch (result) {
	case NVML_SUCCESS:
		return "Success";
	case NVML_ERROR_UNINITIALIZED:
		return "Uninitialized";
	case NVML_ERROR_INVALID_ARGUMENT:
		return "Invalid Argument";
	case NVML_ERROR_NOT_SUPPORTED:
		return "Not Supported";
	case NVML_ERROR_NOT_FOUND:
		return "Not Found";
	case NVML_ERROR_INSUFFICIENT_SIZE:
		return "Insufficient Size";
	case NVML_ERROR_ARGUMENT_VERSION_MISMATCH:
		return "Argument Version Mismatch";
	default:
		return "Unknown Error";
	}
}

nvmlReturn_t nvmlSystemGetDriverVersion(char *version, unsigned size)
{
	nvmlReturn_t result = check_system(version);

	return result == NVML_SUCCESS ? write_text(version, size, FERRITE_VERSION) : result;
}

nvmlReturn_t nvmlSystemGetNVMLVersion(char *version, unsigned size)
{
	nvmlReturn_t result = check_system(version);

	return result == NVML_SUCCESS ? write_text(version, size, FERRITE_VERSION) : result;
}

nvmlReturn_t nvmlSystemGetCudaDriverVersion_v2(int *version)
{
	nvmlReturn_t result = check_system(version);

	if (result == NVML_SUCCESS)
		*version = CUDA_VERSION;
	return result;
}

nvmlReturn_t nvmlDeviceGetCount_v2(unsigned *count)
{
	nvmlReturn_t result = check_system(count);

	if (result == NVML_SUCCESS)
		*count = 1;
	return result;
}

nvmlReturn_t nvmlDeviceGetHandleByIndex_v2(unsigned index, nvmlDevice_t *device)
{
	nvmlReturn_t result = check_system(device);

	if (result != NVML_SUCCESS)
		return result;
	if (index != 0)
		return NVML_ERROR_INVALID_ARGUMENT;
	*device = (nvmlDevice_t)(void *)&the_device;
	return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetHandleByUUID(const char *uuid, nvmlDevice_t *device)
{
	nvmlReturn_t result = check_system(device);

	if (result != NVML_SUCCESS)
		return result;
	if (!uuid)
		return NVML_ERROR_INVALID_ARGUMENT;
	if (strcmp(uuid, NVML_UUID) != 0)
		return NVML_ERROR_NOT_FOUND;
	*device = (nvmlDevice_t)(void *)&the_device;
	return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetIndex(nvmlDevice_t device, unsigned *index)
{
	nvmlReturn_t result = check(device, index);

	if (result == NVML_SUCCESS)
		*index = 0;
	return result;
}

nvmlReturn_t nvmlDeviceGetUUID(nvmlDevice_t device, char *uuid, unsigned size)
{
	nvmlReturn_t result = check(device, uuid);

	return result == NVML_SUCCESS ? write_text(uuid, size, NVML_UUID) : result;
}

nvmlReturn_t nvmlDeviceGetName(nvmlDevice_t device, char *name, unsigned size)
{
	nvmlReturn_t result = check(device, name);

	return result == NVML_SUCCESS ? write_text(name, size, SOFTDEV_NAME) : result;
}

nvmlReturn_t nvmlDeviceGetBrand(nvmlDevice_t device, nvmlBrandType_t *brand)
{
	nvmlReturn_t result = check(device, brand);

	if (result == NVML_SUCCESS)
		*brand = NVML_BRAND_UNKNOWN;
	return result;
}

nvmlReturn_t nvmlDeviceGetMinorNumber(nvmlDevice_t device, unsigned *minor)
{
	nvmlReturn_t result = check(device, minor);

	return result == NVML_SUCCESS ? NVML_ERROR_NOT_SUPPORTED : result; /* there is no device node */
}

nvmlReturn_t nvmlDeviceGetPciInfo_v3(nvmlDevice_t device, nvmlPciInfo_t *info)
{
	nvmlReturn_t result = check(device, info);

	return result == NVML_SUCCESS ? NVML_ERROR_NOT_SUPPORTED : result;
}

/* The quota, and what this process has allocated. */
static nvmlReturn_t memory_read(uint64_t *ret_total, uint64_t *ret_free)
{
	const char *quota = getenv("FERRITE_SOFTWARE_DEVICE_MEMORY");
	uint64_t total = SOFTDEV_MEMORY_DEFAULT;
	size_t available, size;
	void *library;

	if (quota && !str_u64(quota, &total))
		return NVML_ERROR_UNKNOWN;
	*ret_total = total;
	*ret_free = total;
	library = dlopen("libcuda.so.1", RTLD_NOW | RTLD_NOLOAD);
	if (library) {
		memory_info *info = (memory_info *)dlsym(library, "cuMemGetInfo_v2");

		if (info && info(&available, &size) == CUDA_SUCCESS) {
			*ret_total = size;
			*ret_free = available;
		}
		(void)dlclose(library);
	}
	return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetMemoryInfo(nvmlDevice_t device, nvmlMemory_t *memory)
{
	nvmlReturn_t result = check(device, memory);
	uint64_t total = 0, available = 0;

	if (result == NVML_SUCCESS)
		result = memory_read(&total, &available);
	if (result == NVML_SUCCESS)
		*memory = (nvmlMemory_t){total, available, total - available};
	return result;
}

nvmlReturn_t nvmlDeviceGetMemoryInfo_v2(nvmlDevice_t device, nvmlMemory_v2_t *memory)
{
	nvmlReturn_t result = check(device, memory);
	uint64_t total = 0, available = 0;

	if (result == NVML_SUCCESS && memory->version != NVML_MEMORY_V2)
		return NVML_ERROR_ARGUMENT_VERSION_MISMATCH;
	if (result == NVML_SUCCESS)
		result = memory_read(&total, &available);
	if (result == NVML_SUCCESS)
		*memory = (nvmlMemory_v2_t){NVML_MEMORY_V2, total, 0, available, total - available};
	return result;
}

nvmlReturn_t nvmlDeviceGetCudaComputeCapability(nvmlDevice_t device, int *major, int *minor)
{
	nvmlReturn_t result = check(device, major);

	if (result != NVML_SUCCESS)
		return result;
	if (!minor)
		return NVML_ERROR_INVALID_ARGUMENT;
	*major = SOFTDEV_CAPABILITY_MAJOR;
	*minor = SOFTDEV_CAPABILITY_MINOR;
	return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetUtilizationRates(nvmlDevice_t device, nvmlUtilization_t *utilization)
{
	nvmlReturn_t result = check(device, utilization);

	return result == NVML_SUCCESS ? NVML_ERROR_NOT_SUPPORTED : result; /* the CPU's figures say it better */
}

static nvmlReturn_t zero_count(nvmlDevice_t device, unsigned *count)
{
	nvmlReturn_t result = check(device, count);

	if (result == NVML_SUCCESS)
		*count = 0;
	return result;
}

nvmlReturn_t nvmlDeviceGetComputeRunningProcesses_v3(nvmlDevice_t device, unsigned *count, nvmlProcessInfo_t *processes)
{
	(void)processes;
	return zero_count(device, count);
}

nvmlReturn_t nvmlDeviceGetGraphicsRunningProcesses_v3(nvmlDevice_t device, unsigned *count,
						      nvmlProcessInfo_t *processes)
{
	(void)processes;
	return zero_count(device, count);
}

nvmlReturn_t nvmlDeviceGetMigMode(nvmlDevice_t device, unsigned *current, unsigned *pending)
{
	nvmlReturn_t result = check(device, current);

	(void)pending;
	return result == NVML_SUCCESS ? NVML_ERROR_NOT_SUPPORTED : result;
}

nvmlReturn_t nvmlDeviceGetMaxMigDeviceCount(nvmlDevice_t device, unsigned *count)
{
	return zero_count(device, count);
}

nvmlReturn_t nvmlDeviceGetMigDeviceHandleByIndex(nvmlDevice_t device, unsigned index, nvmlDevice_t *mig)
{
	nvmlReturn_t result = check(device, mig);

	(void)index;
	return result == NVML_SUCCESS ? NVML_ERROR_NOT_FOUND : result;
}

static nvmlReturn_t no_mig_id(nvmlDevice_t device, const unsigned *id)
{
	nvmlReturn_t result = check(device, id);

	return result == NVML_SUCCESS ? NVML_ERROR_NOT_SUPPORTED : result;
}

nvmlReturn_t nvmlDeviceGetGpuInstanceId(nvmlDevice_t device, unsigned *id)
{
	return no_mig_id(device, id);
}

nvmlReturn_t nvmlDeviceGetComputeInstanceId(nvmlDevice_t device, unsigned *id)
{
	return no_mig_id(device, id);
}
