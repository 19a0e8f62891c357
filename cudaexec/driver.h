/*
 * The CUDA driver of this machine, opened at run time: one function pointer per row of driver_api.txt, named as the
 * driver exports it. Nothing of NVIDIA is needed at build time; the software device is a driver like any other.
 *
 * Ownership: cuda_driver_load() fills a table that the caller owns; cuda_driver_unload() ends its use. Real drivers
 * keep threads and do not survive dlclose(), so the library stays mapped: unload only forgets the table.
 *
 * Threads: the table is constant after loading. Whether a call may be made from a thread is the driver's business.
 */
#ifndef FERRITE_CUDAEXEC_DRIVER_H
#define FERRITE_CUDAEXEC_DRIVER_H

#include "cuda_api.h"
#include "supervisor/err.h"

/* Entry points that CUDA 11.0 has must be in a driver; a newer one may be NULL and has to be tested before the call. */
#define CUDA_DRIVER_REQUIRED 11000

struct cuda_driver {
	void *library;
	int version; /* of the CUDA that the driver supports, e.g. 12040 */
#include "cuda_driver_members.h"
};

/*
 * Opens the driver at PATH (NULL: "libcuda.so.1" where the loader finds it) and resolves the table. The driver is not
 * initialised: call cuInit(). Returns 0, -ENOENT (no such library), -ELIBBAD (not usable: the text says which symbol
 * or file) and leaves the table untouched.
 */
int cuda_driver_load(const char *path, struct cuda_driver *ret_driver, struct err *err);

void cuda_driver_unload(struct cuda_driver *driver);

/* The name of a result, "CUDA_ERROR_OUT_OF_MEMORY"; our own table answers, so it works for every driver. */
const char *cuda_result_name(CUresult result);

/* What a result means, in words. */
const char *cuda_result_text(CUresult result);

/* The errno value nearest to a result: -ENOMEM, -EINVAL, -ETIMEDOUT, -EFAULT, -ENODEV, …; 0 for CUDA_SUCCESS. */
int cuda_result_errno(CUresult result);

/*
 * Sets the error object from a failed call: "CALL: CUDA_ERROR_NAME (number): text". Returns the negative errno value,
 * or 0 when RESULT is CUDA_SUCCESS.
 */
int cuda_result_check(CUresult result, const char *call, struct err *err);

#endif
