/* What a route or an image asks of the GPU: the `gpu` key of bundle.md section 1. */
#ifndef FERRITE_API_GPUWISH_H
#define FERRITE_API_GPUWISH_H

#include "supervisor/messages.h"

#include <jansson.h>

#define GPU_COUNT_MAX 64

struct gpu_wish {
	uint32_t count;		/* 0: no GPU */
	uint64_t memory_bytes;	/* 0: the operator's default */
	char capabilities[128]; /* NVIDIA_DRIVER_CAPABILITIES syntax; empty: the default */
};

/* Reads a number of GPUs, or an object with the keys of bundle.md. -EINVAL names the key and what is wrong with it. */
int gpu_wish_read(const json_t *value, struct gpu_wish *ret_wish, struct err *err);

#endif
