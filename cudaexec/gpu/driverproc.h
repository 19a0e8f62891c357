/*
 * The texts of the kernel that the NVIDIA driver shows: /proc/driver/nvidia/{params,version}, gpus/BUSID/information,
 * /proc/devices. Pure functions over texts; what they allocate belongs to the caller.
 */
#ifndef FERRITE_CUDAEXEC_GPU_DRIVERPROC_H
#define FERRITE_CUDAEXEC_GPU_DRIVERPROC_H

#include <stdbool.h>
#include <stddef.h>

#define DRIVER_VERSION_MAX 32

/*
 * A copy of `params` in which ModifyDeviceFiles is 0, so that the driver's libraries do not try to make device nodes in
 * a container. A missing line is added. NULL when memory is short.
 */
char *driverproc_rewrite_params(const char *params);

/* The driver's version in the first line of `version` ("NVRM version: … 535.309.01 …"); false when there is none. */
bool driverproc_version(const char *text, char *ret_version, size_t size);

/* True when TEXT is a driver version: two or three numbers with dots between. */
bool driver_version_valid(const char *text);

/* The major number of character devices called NAME; false when there is none. */
bool driverproc_major(const char *devices, const char *name, unsigned *ret_major);

/* The value of "KEY: value" in a gpus/BUSID/information text, without blanks around; false when missing or too long. */
bool driverproc_field(const char *information, const char *key, char *ret_value, size_t size);

#endif
