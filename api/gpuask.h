/*
 * How ferrite-gpu is asked for a share: what a route and its image say about GPUs as a struct gpu_attach and its texts.
 * The variables of an image mean what they mean to NVIDIA's container toolkit. Pure functions.
 */
#ifndef FERRITE_API_GPUASK_H
#define FERRITE_API_GPUASK_H

#include "api/function.h"
#include "api/image.h"
#include "api/text.h"

/* The wish that counts: the route's, else the image's; a CUDA bundle has at least one GPU. FUNCTION may be NULL. */
struct gpu_wish gpu_ask_wish(const struct function *function, const struct image *image);

/*
 * Appends the texts of a GPU_ATTACH to an empty TAIL. -E2BIG: the image has more than GPU_REQUIRES_MAX requirements;
 * -ENOMEM.
 */
int gpu_ask(const struct image *image, const struct gpu_wish *wish, const char *label, struct gpu_attach *ret_body,
	    struct text *tail, struct err *err);

#endif
