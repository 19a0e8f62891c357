/*
 * NVIDIA's management library, opened at run time. Functions that a driver's version lacks are NULL; those that the
 * inventory needs are checked at loading. One thread.
 */
#ifndef FERRITE_CUDAEXEC_GPU_NVML_H
#define FERRITE_CUDAEXEC_GPU_NVML_H

#include "cudaexec/nvml_api.h"
#include "supervisor/err.h"

struct nvml {
	void *library;
#define NVML_MEMBER(name, parameters) nvmlReturn_t(*name) parameters;
	NVML_FUNCTIONS(NVML_MEMBER)
#undef NVML_MEMBER
};

/*
 * Opens the library at PATH and initialises it. -ELIBBAD: not loadable or too old; -ENODEV: it finds no driver or no
 * GPU; -EIO with NVML's number for the rest.
 */
int nvml_open(const char *path, struct nvml *ret_nvml, struct err *err);

/* Shuts NVML down; the library stays mapped, as drivers do not survive being unmapped. */
void nvml_close(struct nvml *nvml);

#endif
