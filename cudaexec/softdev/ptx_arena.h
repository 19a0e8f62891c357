/*
 * Memory that is freed all at once. Allocations are zeroed and aligned to 16 bytes. Not for several threads.
 */
#ifndef FERRITE_CUDAEXEC_SOFTDEV_PTX_ARENA_H
#define FERRITE_CUDAEXEC_SOFTDEV_PTX_ARENA_H

#include <stddef.h>
#include <stdint.h>

struct ptx_arena {
	struct ptx_arena_chunk *chunks;
	size_t left; /* in the newest chunk */
};

/* NULL when memory is short. */
void *ptx_arena_alloc(struct ptx_arena *arena, size_t size);

/* COUNT elements of SIZE bytes. */
void *ptx_arena_array(struct ptx_arena *arena, size_t count, size_t size);

/* A terminated copy. */
char *ptx_arena_text(struct ptx_arena *arena, const char *text, size_t length);

void ptx_arena_free(struct ptx_arena *arena);

#endif
