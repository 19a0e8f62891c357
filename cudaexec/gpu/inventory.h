/*
 * The GPUs of this machine: from NVML, from the kernel's proc files when NVML cannot be had, or the software device.
 */
#ifndef FERRITE_CUDAEXEC_GPU_INVENTORY_H
#define FERRITE_CUDAEXEC_GPU_INVENTORY_H

#include "cudaexec/gpu/nvml.h"
#include "cudaexec/gpu/visible.h"
#include "supervisor/err.h"

#include <stdint.h>

struct gpu {
	char uuid[NVML_UUID_MAX];
	char name[NVML_NAME_MAX];
	char brand[16];	       /* lower case; "": unknown */
	char arch[16];	       /* compute capability "7.5"; "": unknown */
	char bus_id[32];       /* as below /proc/driver/nvidia/gpus; "": none */
	int minor;	       /* of its device node; -1: none */
	uint64_t memory_bytes; /* 0: unknown */
};

struct inventory {
	char driver_version[NVML_VERSION_MAX];
	char cuda_version[16]; /* "13.0"; "": unknown */
	struct gpu gpus[GPUS_MAX];
	unsigned count;
};

/* Asks NVML. -ENODEV when there is no GPU, -EIO when a call that must work fails. */
int inventory_from_nvml(const struct nvml *nvml, struct inventory *ret_inventory, struct err *err);

/*
 * Reads /proc/driver/nvidia/gpus below HOST_FD. Memory, architecture and CUDA version stay unknown. -ENODEV when there
 * is no GPU.
 */
int inventory_from_proc(int host_fd, const char *driver_version, struct inventory *ret_inventory, struct err *err);

#endif
