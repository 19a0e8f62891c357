/*
 * Devices and modules from the inside: see engine.h for what they are.
 *
 * Threads: the launch lock lets one launch run at a time; workers wait for launches. Output and heap have locks of
 * their own, because kernels use them while they run.
 */
#ifndef FERRITE_CUDAEXEC_SOFTDEV_DEVICE_H
#define FERRITE_CUDAEXEC_SOFTDEV_DEVICE_H

#include "cudaexec/softdev/engine.h"
#include "cudaexec/softdev/heap.h"
#include "cudaexec/softdev/ptx_program.h"

#include <pthread.h>
#include <stdatomic.h>

struct exec_run;

struct ptx_device {
	struct device_memory *memory;
	uint32_t workers;
	pthread_mutex_t launch_lock;

	/* workers */
	pthread_mutex_t pool_lock;
	pthread_cond_t work_ready, work_done;
	pthread_t *threads;
	uint32_t thread_count; /* started */
	uint64_t generation;   /* of the launch offered to the workers */
	uint32_t wanted;       /* workers that still may join it */
	uint32_t busy;	       /* workers in it */
	struct exec_run *run;
	bool stopping;

	/* printf */
	pthread_mutex_t output_lock;
	char *output;
	size_t output_used;

	/* malloc */
	pthread_mutex_t heap_lock;
	uint64_t heap_bytes;
	uint64_t heap_address;
	struct heap *heap;
};

struct ptx_module {
	struct ptx_device *device;
	const struct ptx_program *program;
	uint64_t image;	     /* address of the variables, 0 when there are none */
	uint8_t **constants; /* of each function */
};

/* Appends formatted text of a kernel to the output of the device; what does not fit is dropped whole. */
void device_print(struct ptx_device *device, const char *text, size_t length);

/* Device-side malloc: 0 when the heap is full. False when the address was not allocated. */
uint64_t device_heap_alloc(struct ptx_device *device, uint64_t size);
bool device_heap_release(struct ptx_device *device, uint64_t address);

/* Runs RUN on up to run->workers threads, the caller included. */
void pool_run(struct ptx_device *device, struct exec_run *run);
void pool_stop(struct ptx_device *device);

/* launch.c: the part of one worker in a launch. */
void exec_worker(struct exec_run *run);

#endif
