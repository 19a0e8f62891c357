/*
 * The part of the NVIDIA Management Library's binary interface that ferrite uses (the inventory) and that the software
 * device offers: our own declarations, no header of NVIDIA's is needed. One list makes the prototypes and, in
 * gpu/nvml.c, the table that is resolved at run time.
 */
#ifndef FERRITE_CUDAEXEC_NVML_API_H
#define FERRITE_CUDAEXEC_NVML_API_H

#define NVML_UUID_MAX	 96
#define NVML_NAME_MAX	 96
#define NVML_VERSION_MAX 80

typedef enum {
	NVML_SUCCESS = 0,
	NVML_ERROR_UNINITIALIZED = 1,
	NVML_ERROR_INVALID_ARGUMENT = 2,
	NVML_ERROR_NOT_SUPPORTED = 3,
	NVML_ERROR_NO_PERMISSION = 4,
	NVML_ERROR_NOT_FOUND = 6,
	NVML_ERROR_INSUFFICIENT_SIZE = 7,
	NVML_ERROR_DRIVER_NOT_LOADED = 9,
	NVML_ERROR_TIMEOUT = 10,
	NVML_ERROR_LIBRARY_NOT_FOUND = 12,
	NVML_ERROR_FUNCTION_NOT_FOUND = 13,
	NVML_ERROR_GPU_IS_LOST = 15,
	NVML_ERROR_LIB_RM_VERSION_MISMATCH = 18,
	NVML_ERROR_MEMORY = 20,
	NVML_ERROR_ARGUMENT_VERSION_MISMATCH = 25,
	NVML_ERROR_UNKNOWN = 999,
} nvmlReturn_t;

typedef enum {
	NVML_BRAND_UNKNOWN = 0,
	NVML_BRAND_QUADRO = 1,
	NVML_BRAND_TESLA = 2,
	NVML_BRAND_NVS = 3,
	NVML_BRAND_GRID = 4,
	NVML_BRAND_GEFORCE = 5,
	NVML_BRAND_TITAN = 6,
} nvmlBrandType_t;

typedef struct nvmlDevice_st *nvmlDevice_t;

typedef struct {
	char busIdLegacy[16];
	unsigned domain, bus, device;
	unsigned pciDeviceId, pciSubSystemId;
	char busId[32];
} nvmlPciInfo_t;

typedef struct {
	unsigned long long total, free, used;
} nvmlMemory_t;

#define NVML_MEMORY_V2 ((unsigned)(sizeof(nvmlMemory_v2_t) | 2u << 24))

typedef struct {
	unsigned version; /* NVML_MEMORY_V2, set by the caller */
	unsigned long long total, reserved, free, used;
} nvmlMemory_v2_t;

typedef struct {
	unsigned gpu, memory; /* percent */
} nvmlUtilization_t;

typedef struct {
	unsigned pid;
	unsigned long long usedGpuMemory;
	unsigned gpuInstanceId, computeInstanceId;
} nvmlProcessInfo_t;

/* X(name, parameters): what returns nvmlReturn_t. */
#define NVML_FUNCTIONS(X) \
	X(nvmlInit_v2, (void)) \
	X(nvmlShutdown, (void)) \
	X(nvmlSystemGetDriverVersion, (char *version, unsigned size)) \
	X(nvmlSystemGetNVMLVersion, (char *version, unsigned size)) \
	X(nvmlSystemGetCudaDriverVersion_v2, (int *version)) \
	X(nvmlDeviceGetCount_v2, (unsigned *count)) \
	X(nvmlDeviceGetHandleByIndex_v2, (unsigned index, nvmlDevice_t *device)) \
	X(nvmlDeviceGetHandleByUUID, (const char *uuid, nvmlDevice_t *device)) \
	X(nvmlDeviceGetIndex, (nvmlDevice_t device, unsigned *index)) \
	X(nvmlDeviceGetUUID, (nvmlDevice_t device, char *uuid, unsigned size)) \
	X(nvmlDeviceGetName, (nvmlDevice_t device, char *name, unsigned size)) \
	X(nvmlDeviceGetBrand, (nvmlDevice_t device, nvmlBrandType_t * brand)) \
	X(nvmlDeviceGetMinorNumber, (nvmlDevice_t device, unsigned *minor)) \
	X(nvmlDeviceGetPciInfo_v3, (nvmlDevice_t device, nvmlPciInfo_t * info)) \
	X(nvmlDeviceGetMemoryInfo, (nvmlDevice_t device, nvmlMemory_t * memory)) \
	X(nvmlDeviceGetMemoryInfo_v2, (nvmlDevice_t device, nvmlMemory_v2_t * memory)) \
	X(nvmlDeviceGetCudaComputeCapability, (nvmlDevice_t device, int *major, int *minor)) \
	X(nvmlDeviceGetUtilizationRates, (nvmlDevice_t device, nvmlUtilization_t * utilization)) \
	X(nvmlDeviceGetComputeRunningProcesses_v3, \
	  (nvmlDevice_t device, unsigned *count, nvmlProcessInfo_t *processes)) \
	X(nvmlDeviceGetGraphicsRunningProcesses_v3, \
	  (nvmlDevice_t device, unsigned *count, nvmlProcessInfo_t *processes)) \
	X(nvmlDeviceGetMigMode, (nvmlDevice_t device, unsigned *current, unsigned *pending)) \
	X(nvmlDeviceGetMaxMigDeviceCount, (nvmlDevice_t device, unsigned *count)) \
	X(nvmlDeviceGetMigDeviceHandleByIndex, (nvmlDevice_t device, unsigned index, nvmlDevice_t *mig)) \
	X(nvmlDeviceGetGpuInstanceId, (nvmlDevice_t device, unsigned *id)) \
	X(nvmlDeviceGetComputeInstanceId, (nvmlDevice_t device, unsigned *id))

#define NVML_PROTOTYPE(name, parameters) nvmlReturn_t name parameters;
NVML_FUNCTIONS(NVML_PROTOTYPE)
#undef NVML_PROTOTYPE

const char *nvmlErrorString(nvmlReturn_t result);

#endif
