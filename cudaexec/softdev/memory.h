/*
 * The memory of the software device.
 *
 * One address range is reserved without access rights when the object is made; an allocation opens pages in it and a
 * release closes them and gives them back to the system. A device address is the real address of the byte in this
 * process, so a copy is a memcpy once device_memory_check() has said yes. The capacity is the quota that the device
 * shows as its total memory; it counts whole pages. Fresh memory is zero.
 *
 * Host memory that kernels may touch (pinned or registered host memory) is entered as a host range: it can be looked
 * up like an allocation and counts for nothing.
 *
 * Threads: every function may be called at any time from any thread. Releasing memory that a running kernel uses
 * must be prevented by the caller (the driver API waits for the device before it frees).
 */
#ifndef FERRITE_CUDAEXEC_SOFTDEV_MEMORY_H
#define FERRITE_CUDAEXEC_SOFTDEV_MEMORY_H

#include "supervisor/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DEVICE_MEMORY_PAGE	 4096u
#define DEVICE_MEMORY_ALIGN_MAX	 (2u << 20)
#define DEVICE_MEMORY_BLOCKS_MAX 32768u /* allocations and host ranges together */

struct device_memory;

/* An allocation or host range: [base, base + size), SIZE as it was asked for. */
struct device_range {
	uint64_t base;
	uint64_t size;
};

/* Reserves the address range for CAPACITY bytes (rounded up to pages). The caller frees it. */
int device_memory_new(uint64_t capacity, struct device_memory **ret_memory, struct err *err);

/* Releases everything; NULL is allowed. */
void device_memory_free(struct device_memory *memory);

/*
 * Allocates SIZE > 0 bytes at a multiple of ALIGN (a power of two up to DEVICE_MEMORY_ALIGN_MAX; every allocation
 * starts on a page anyway). Returns the address, or 0 when the quota, the address range or the system has no room.
 */
uint64_t device_memory_alloc(struct device_memory *memory, uint64_t size, uint64_t align);

/* Frees the allocation that starts at ADDRESS; false when there is none. */
bool device_memory_release(struct device_memory *memory, uint64_t address);

/* Enters and removes host memory; false when it overlaps something, there are too many, or it is not known. */
bool device_memory_add_host(struct device_memory *memory, void *host, uint64_t size);
bool device_memory_remove_host(struct device_memory *memory, void *host);

/* Finds the allocation or host range that contains ADDRESS; false leaves *ret_range alone. */
bool device_memory_find(struct device_memory *memory, uint64_t address, struct device_range *ret_range);

/* True when [address, address + length) lies inside one allocation or host range. A length of 0 is always true. */
bool device_memory_check(struct device_memory *memory, uint64_t address, uint64_t length);

/* Bytes not allocated, and the capacity. */
void device_memory_info(struct device_memory *memory, uint64_t *ret_free, uint64_t *ret_total);

#endif
