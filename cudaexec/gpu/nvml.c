#include "cudaexec/gpu/nvml.h"

#include "supervisor/util.h"

#include <dlfcn.h>
#include <string.h>

int nvml_open(const char *path, struct nvml *ret_nvml, struct err *err)
{
	struct nvml nvml = {0};
	nvmlReturn_t result;

	nvml.library = dlopen(path, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
	if (!nvml.library)
		return err_set(err, -ELIBBAD, "open NVML: %s", dlerror());
#define NVML_RESOLVE(name, parameters) nvml.name = (nvmlReturn_t(*) parameters)dlsym(nvml.library, #name);
	NVML_FUNCTIONS(NVML_RESOLVE)
#undef NVML_RESOLVE
	if (!nvml.nvmlInit_v2 || !nvml.nvmlShutdown || !nvml.nvmlDeviceGetCount_v2 ||
	    !nvml.nvmlDeviceGetHandleByIndex_v2 || !nvml.nvmlDeviceGetUUID || !nvml.nvmlDeviceGetName ||
	    !nvml.nvmlDeviceGetMemoryInfo) {
		(void)dlclose(nvml.library);
		return err_set(err, -ELIBBAD, "NVML %s lacks functions of the inventory", path);
	}
	result = nvml.nvmlInit_v2();
	if (result != NVML_SUCCESS) {
		(void)dlclose(nvml.library);
		return err_set(err, result == NVML_ERROR_DRIVER_NOT_LOADED ? -ENODEV : -EIO, "nvmlInit fails with %d%s",
			       (int)result,
			       result == NVML_ERROR_DRIVER_NOT_LOADED ? ": the driver is not loaded"
			       : result == NVML_ERROR_LIB_RM_VERSION_MISMATCH
				       ? ": library and kernel module differ in version"
				       : "");
	}
	*ret_nvml = nvml;
	return 0;
}

void nvml_close(struct nvml *nvml)
{
	if (!nvml->library)
		return;
	(void)nvml->nvmlShutdown();
	(void)dlclose(nvml->library);
	memset(nvml, 0, sizeof(*nvml));
}
