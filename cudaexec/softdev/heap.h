/*
 * A heap for device-side malloc in a range of device memory. What belongs to whom is kept outside that range, so that
 * a kernel that writes where it should not cannot confuse it. Not locked.
 */
#ifndef FERRITE_CUDAEXEC_SOFTDEV_HEAP_H
#define FERRITE_CUDAEXEC_SOFTDEV_HEAP_H

#include <stdbool.h>
#include <stdint.h>

struct heap;

/* A heap in [base, base + bytes); NULL when memory is short. */
struct heap *heap_new(uint64_t base, uint64_t bytes);
void heap_free(struct heap *heap);

/* An address aligned to 16, or 0. */
uint64_t heap_alloc(struct heap *heap, uint64_t size);

/* False when ADDRESS is not the start of an allocation. */
bool heap_release(struct heap *heap, uint64_t address);

#endif
