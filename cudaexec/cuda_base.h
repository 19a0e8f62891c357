/*
 * The part of the CUDA driver's binary interface that is not in the tables: handles, unions, callbacks and marker
 * values. Include "cuda_api.h" (made from driver_types.txt and driver_api.txt), which includes this. These are our own
 * declarations; a translation unit uses either them or NVIDIA's <cuda.h>, never both.
 */
#ifndef FERRITE_CUDAEXEC_CUDA_BASE_H
#define FERRITE_CUDAEXEC_CUDA_BASE_H

#include <stddef.h>
#include <stdint.h>

#define CUDA_VERSION 13000 /* the version of the interface that the tables describe */

typedef uint64_t cuuint64_t;
typedef unsigned long long CUdeviceptr;
typedef int CUdevice;

typedef struct CUctx_st *CUcontext;
typedef struct CUmod_st *CUmodule;
typedef struct CUfunc_st *CUfunction;
typedef struct CUlib_st *CUlibrary;
typedef struct CUkern_st *CUkernel;
typedef struct CUstream_st *CUstream;
typedef struct CUevent_st *CUevent;
typedef struct CUarray_st *CUarray;
typedef struct CUmemPoolHandle_st *CUmemoryPool;
typedef struct CUctxCigParam_st CUctxCigParam;

/* Streams that exist without having been created; NULL is the default stream of the caller's choice at compile time. */
#define CU_STREAM_LEGACY     ((CUstream)0x1)
#define CU_STREAM_PER_THREAD ((CUstream)0x2)

#define CU_MEMHOSTALLOC_PORTABLE      0x01u
#define CU_MEMHOSTALLOC_DEVICEMAP     0x02u
#define CU_MEMHOSTALLOC_WRITECOMBINED 0x04u
#define CU_MEMHOSTREGISTER_PORTABLE   0x01u
#define CU_MEMHOSTREGISTER_DEVICEMAP  0x02u
#define CU_MEMHOSTREGISTER_IOMEMORY   0x04u
#define CU_MEMHOSTREGISTER_READ_ONLY  0x08u

/* Words of the `extra` list of cuLaunchKernel. */
#define CU_LAUNCH_PARAM_END	       ((void *)0x00)
#define CU_LAUNCH_PARAM_BUFFER_POINTER ((void *)0x01)
#define CU_LAUNCH_PARAM_BUFFER_SIZE    ((void *)0x02)

typedef union {
	char pad[64];
	int cooperative;
	int priority;
	struct {
		unsigned int x, y, z;
	} clusterDim;
} CUlaunchAttributeValue;

typedef union {
	struct {
		unsigned int val;
	} smCount;
} CUexecAffinityValue;

#endif
