/*
 * The CUDA side of the runner: the driver, one context, one stream, the module of a kernel bundle and its launches.
 *
 * A device belongs to one thread. Failures come as `struct device_error`: what to tell the caller, the HTTP status, and
 * whether the context is lost, so that the process has to be replaced.
 */
#ifndef FERRITE_CUDAEXEC_DEVICE_H
#define FERRITE_CUDAEXEC_DEVICE_H

#include "cudaexec/driver.h"
#include "cudaexec/runner/manifest.h"
#include "cudaexec/runner/request.h"
#include "supervisor/err.h"

#include <stdbool.h>
#include <stdint.h>

#define DEVICE_MODULE_MAX (256u << 20) /* bytes of a module file */

struct device_error {
	struct err err;
	unsigned status; /* HTTP: 400, 500, 507 */
	bool lost;	 /* the context cannot be used any more */
	bool transient;	 /* at start: another process may have more luck */
};

#define DEVICE_ERROR_INIT ((struct device_error){.err = ERR_INIT, .status = 500})

/* Device memory of one tensor, kept between calls. */
struct device_buffer {
	CUdeviceptr address;
	size_t room;
};

struct device {
	struct cuda_driver driver;
	CUdevice ordinal;
	CUcontext context;
	CUstream stream;
	CUevent begin, end;
	CUmodule module;
	CUfunction *functions;	       /* one for each launch of the manifest */
	struct device_buffer *buffers; /* one for each of its tensors */
	size_t n_buffers;
};

/* Loads the driver (LIBRARY: NULL for libcuda.so.1), takes the first device's primary context, makes it current. */
int device_open(struct device *device, const char *library, struct device_error *ret_error);

/* Loads the manifest's module from the working directory and looks its kernels up. */
int device_load(struct device *device, const struct manifest *manifest, struct device_error *ret_error);

/*
 * Runs all launches of the manifest on a request. OUTPUTS[i] receives the elements of r->outputs[i]; they are fresh
 * memory that the caller frees, also when it fails half-way. *RET_GPU_US is the time from the first copy to the last.
 */
int device_run(struct device *device, const struct request *r, void **outputs, uint64_t *ret_gpu_us,
	       struct device_error *ret_error);

/* Frees what belongs to the runner; what is on the device goes with the process. Also after a half-way open. */
void device_close(struct device *device);

/* Asks the context whether it still works; fills the error and returns -EIO when it does not. */
int device_check(struct device *device, const char *what, struct device_error *ret_error);

#endif
