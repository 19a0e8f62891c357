/* Allocations: device, managed, pinned and registered host memory, and questions about pointers. */
#include "cudaexec/softdev/api.h"

#include <string.h>
#include <sys/mman.h>

#define BASE_ALIGN 512u

/* Sorted by address. */
static struct allocation *allocations;
static size_t allocation_count, allocation_room;

/* The number of allocations that start at or below ADDRESS. */
static size_t allocations_upto(uint64_t address)
{
	size_t low = 0, high = allocation_count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (allocations[middle].base <= address)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static struct allocation *find(uint64_t address)
{
	size_t upto = allocations_upto(address);
	struct allocation *candidate = upto > 0 ? &allocations[upto - 1] : NULL;

	return candidate && address - candidate->base < candidate->size ? candidate : NULL;
}

const struct allocation *allocation_find(uint64_t address)
{
	return find(address);
}

static bool reserve(void)
{
	size_t room = allocation_room ? allocation_room * 2 : 64;
	struct allocation *grown;

	if (allocation_count < allocation_room)
		return true;
	grown = reallocarray(allocations, room, sizeof(*grown));
	if (!grown)
		return false;
	allocations = grown;
	allocation_room = room;
	return true;
}

/* After reserve(). */
static void insert(struct allocation allocation)
{
	size_t place = allocations_upto(allocation.base);

	allocation.id = ++softdev.next_id;
	memmove(&allocations[place + 1], &allocations[place], (allocation_count - place) * sizeof(*allocations));
	allocations[place] = allocation;
	allocation_count++;
}

static void release_memory(const struct allocation *allocation)
{
	void *host = (void *)(uintptr_t)allocation->base; /* device addresses are addresses of this process */

	switch (allocation->kind) {
	case ALLOCATION_DEVICE:
	case ALLOCATION_MANAGED:
		(void)device_memory_release(softdev.memory, allocation->base);
		break;
	case ALLOCATION_HOST:
		(void)device_memory_remove_host(softdev.memory, host);
		(void)munmap(host, allocation->size);
		break;
	case ALLOCATION_REGISTERED:
		(void)device_memory_remove_host(softdev.memory, host);
		break;
	}
}

static void remove_at(size_t place)
{
	release_memory(&allocations[place]);
	allocation_count--;
	memmove(&allocations[place], &allocations[place + 1], (allocation_count - place) * sizeof(*allocations));
}

void allocations_free_context(const struct context *context)
{
	for (size_t i = allocation_count; i-- > 0;)
		if (allocations[i].context == context)
			remove_at(i);
}

static CUresult allocate(struct context *context, uint64_t bytes, enum allocation_kind kind, unsigned flags,
			 CUdeviceptr *address)
{
	uint64_t base;

	if (!address || bytes == 0)
		return CUDA_ERROR_INVALID_VALUE;
	base = reserve() ? device_memory_alloc(softdev.memory, bytes, BASE_ALIGN) : 0;
	if (base == 0)
		return CUDA_ERROR_OUT_OF_MEMORY;
	insert((struct allocation){base, bytes, kind, flags, context, 0});
	*address = base;
	return CUDA_SUCCESS;
}

CUresult cuMemAlloc_v2(CUdeviceptr *address, size_t bytes)
{
	CALL_BEGIN(call, NEED_CONTEXT);

	return allocate(call.context, bytes, ALLOCATION_DEVICE, 0, address);
}

CUresult cuMemAllocManaged(CUdeviceptr *address, size_t bytes, unsigned int flags)
{
	CALL_BEGIN(call, NEED_CONTEXT);

	if (flags != CU_MEM_ATTACH_GLOBAL && flags != CU_MEM_ATTACH_HOST)
		return CUDA_ERROR_INVALID_VALUE;
	return allocate(call.context, bytes, ALLOCATION_MANAGED, flags, address);
}

CUresult cuMemAllocPitch_v2(CUdeviceptr *address, size_t *pitch, size_t width_bytes, size_t height,
			    unsigned int element_bytes)
{
	CALL_BEGIN(call, NEED_CONTEXT);
	size_t line, bytes;

	if (!pitch || width_bytes == 0 || height == 0 ||
	    (element_bytes != 4 && element_bytes != 8 && element_bytes != 16))
		return CUDA_ERROR_INVALID_VALUE;
	if (__builtin_add_overflow(width_bytes, SOFTDEV_PITCH_ALIGN - 1, &line))
		return CUDA_ERROR_OUT_OF_MEMORY;
	line &= ~(size_t)(SOFTDEV_PITCH_ALIGN - 1);
	if (__builtin_mul_overflow(line, height, &bytes))
		return CUDA_ERROR_OUT_OF_MEMORY;
	call.result = allocate(call.context, bytes, ALLOCATION_DEVICE, 0, address);
	if (call.result == CUDA_SUCCESS)
		*pitch = line;
	return call.result;
}

/* Removes the allocation that starts at ADDRESS when its kind is one of the two. */
static bool release(uint64_t address, enum allocation_kind kind, enum allocation_kind other_kind)
{
	struct allocation *allocation = find(address);

	if (!allocation || allocation->base != address || (allocation->kind != kind && allocation->kind != other_kind))
		return false;
	remove_at((size_t)(allocation - allocations));
	return true;
}

CUresult cuMemFree_v2(CUdeviceptr address)
{
	CALL_BEGIN(call, NEED_CONTEXT);

	if (address == 0)
		return CUDA_SUCCESS;
	output_flush(); /* freeing waits for the device */
	return release(address, ALLOCATION_DEVICE, ALLOCATION_MANAGED) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

CUresult cuMemGetInfo_v2(size_t *available, size_t *total)
{
	CALL_BEGIN(call, NEED_CONTEXT);
	uint64_t free_bytes = 0, total_bytes = 0;

	if (!available || !total)
		return CUDA_ERROR_INVALID_VALUE;
	device_memory_info(softdev.memory, &free_bytes, &total_bytes);
	*available = free_bytes;
	*total = total_bytes;
	return CUDA_SUCCESS;
}

CUresult cuMemGetAddressRange_v2(CUdeviceptr *base, size_t *bytes, CUdeviceptr address)
{
	CALL_BEGIN(call, NEED_CONTEXT);
	const struct allocation *allocation = find(address);

	if (!allocation)
		return CUDA_ERROR_NOT_FOUND;
	if (base)
		*base = allocation->base;
	if (bytes)
		*bytes = allocation->size;
	return CUDA_SUCCESS;
}

CUresult cuMemHostAlloc(void **host, size_t bytes, unsigned int flags)
{
	CALL_BEGIN(call, NEED_CONTEXT);
	const unsigned known = CU_MEMHOSTALLOC_PORTABLE | CU_MEMHOSTALLOC_DEVICEMAP | CU_MEMHOSTALLOC_WRITECOMBINED;
	void *memory;

	if (!host || bytes == 0 || (flags & ~known))
		return CUDA_ERROR_INVALID_VALUE;
	if (!reserve())
		return CUDA_ERROR_OUT_OF_MEMORY;
	memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (memory == MAP_FAILED)
		return CUDA_ERROR_OUT_OF_MEMORY;
	if (!device_memory_add_host(softdev.memory, memory, bytes)) {
		(void)munmap(memory, bytes);
		return CUDA_ERROR_OUT_OF_MEMORY;
	}
	insert((struct allocation){(uintptr_t)memory, bytes, ALLOCATION_HOST, flags, call.context, 0});
	*host = memory;
	return CUDA_SUCCESS;
}

CUresult cuMemAllocHost_v2(void **host, size_t bytes)
{
	return cuMemHostAlloc(host, bytes, 0);
}

CUresult cuMemFreeHost(void *host)
{
	CALL_BEGIN(call, NEED_CONTEXT);

	return release((uintptr_t)host, ALLOCATION_HOST, ALLOCATION_HOST) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

CUresult cuMemHostRegister_v2(void *host, size_t bytes, unsigned int flags)
{
	CALL_BEGIN(call, NEED_CONTEXT);
	const unsigned known = CU_MEMHOSTREGISTER_PORTABLE | CU_MEMHOSTREGISTER_DEVICEMAP |
			       CU_MEMHOSTREGISTER_IOMEMORY | CU_MEMHOSTREGISTER_READ_ONLY;
	uint64_t base = (uintptr_t)host, end;

	if (!host || bytes == 0 || (flags & ~known) || __builtin_add_overflow(base, bytes, &end))
		return CUDA_ERROR_INVALID_VALUE;
	if (flags & CU_MEMHOSTREGISTER_IOMEMORY)
		return CUDA_ERROR_NOT_SUPPORTED;
	if (find(base) || find(end - 1) || allocations_upto(base) != allocations_upto(end - 1))
		return CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED;
	if (!reserve() || !device_memory_add_host(softdev.memory, host, bytes))
		return CUDA_ERROR_OUT_OF_MEMORY;
	insert((struct allocation){base, bytes, ALLOCATION_REGISTERED, flags, call.context, 0});
	return CUDA_SUCCESS;
}

CUresult cuMemHostUnregister(void *host)
{
	CALL_BEGIN(call, NEED_CONTEXT);

	return release((uintptr_t)host, ALLOCATION_REGISTERED, ALLOCATION_REGISTERED)
		       ? CUDA_SUCCESS
		       : CUDA_ERROR_HOST_MEMORY_NOT_REGISTERED;
}

static bool is_host(const struct allocation *allocation)
{
	return allocation->kind == ALLOCATION_HOST || allocation->kind == ALLOCATION_REGISTERED;
}

static const struct allocation *find_host(const void *host)
{
	const struct allocation *allocation = find((uintptr_t)host);

	return allocation && is_host(allocation) ? allocation : NULL;
}

CUresult cuMemHostGetDevicePointer_v2(CUdeviceptr *address, void *host, unsigned int flags)
{
	CALL_BEGIN(call, NEED_CONTEXT);

	if (!address || flags != 0 || !find_host(host))
		return CUDA_ERROR_INVALID_VALUE;
	*address = (uintptr_t)host;
	return CUDA_SUCCESS;
}

CUresult cuMemHostGetFlags(unsigned int *flags, void *host)
{
	CALL_BEGIN(call, NEED_CONTEXT);
	const struct allocation *allocation = find_host(host);

	if (!flags || !allocation)
		return CUDA_ERROR_INVALID_VALUE;
	*flags = allocation->flags | CU_MEMHOSTALLOC_DEVICEMAP; /* with unified addressing all of it is mapped */
	return CUDA_SUCCESS;
}

static bool is_host_visible(const struct allocation *allocation)
{
	return is_host(allocation) || allocation->kind == ALLOCATION_MANAGED;
}

/* DATA has the type that the attribute says; the caller gave it, as the interface has no size. */
static CUresult pointer_attribute(void *data, CUpointer_attribute attribute, uint64_t address,
				  const struct allocation *allocation)
{
	switch (attribute) {
	case CU_POINTER_ATTRIBUTE_CONTEXT:
		*(CUcontext *)data = HANDLE(CUcontext, allocation->context);
		break;
	case CU_POINTER_ATTRIBUTE_MEMORY_TYPE:
		*(unsigned *)data = is_host(allocation) ? CU_MEMORYTYPE_HOST : CU_MEMORYTYPE_DEVICE;
		break;
	case CU_POINTER_ATTRIBUTE_DEVICE_POINTER:
		*(CUdeviceptr *)data = address;
		break;
	case CU_POINTER_ATTRIBUTE_HOST_POINTER:
		if (!is_host_visible(allocation))
			return CUDA_ERROR_INVALID_VALUE;
		*(void **)data = (void *)(uintptr_t)address;
		break;
	case CU_POINTER_ATTRIBUTE_SYNC_MEMOPS:
		*(unsigned *)data = 1; /* every copy here is synchronous */
		break;
	case CU_POINTER_ATTRIBUTE_BUFFER_ID:
		*(unsigned long long *)data = allocation->id;
		break;
	case CU_POINTER_ATTRIBUTE_IS_MANAGED:
		*(unsigned *)data = allocation->kind == ALLOCATION_MANAGED;
		break;
	case CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL:
		*(int *)data = 0;
		break;
	case CU_POINTER_ATTRIBUTE_RANGE_START_ADDR:
		*(CUdeviceptr *)data = allocation->base;
		break;
	case CU_POINTER_ATTRIBUTE_RANGE_SIZE:
		*(size_t *)data = allocation->size;
		break;
	case CU_POINTER_ATTRIBUTE_MAPPED:
		*(unsigned *)data = 1;
		break;
	case CU_POINTER_ATTRIBUTE_IS_LEGACY_CUDA_IPC_CAPABLE:
	case CU_POINTER_ATTRIBUTE_IS_GPU_DIRECT_RDMA_CAPABLE:
		*(unsigned *)data = 0;
		break;
	default:
		return CUDA_ERROR_NOT_SUPPORTED;
	}
	return CUDA_SUCCESS;
}

CUresult cuPointerGetAttribute(void *data, CUpointer_attribute attribute, CUdeviceptr address)
{
	CALL_BEGIN(call, NEED_CONTEXT);
	const struct allocation *allocation = find(address);

	if (!data || !allocation || attribute < CU_POINTER_ATTRIBUTE_CONTEXT ||
	    attribute > CU_POINTER_ATTRIBUTE_IS_HW_DECOMPRESS_CAPABLE)
		return CUDA_ERROR_INVALID_VALUE;
	return pointer_attribute(data, attribute, address, allocation);
}

/* What an attribute is of a pointer that CUDA does not know, or that does not have it. */
static CUresult pointer_attribute_none(void *data, CUpointer_attribute attribute)
{
	switch (attribute) {
	case CU_POINTER_ATTRIBUTE_CONTEXT:
	case CU_POINTER_ATTRIBUTE_DEVICE_POINTER:
	case CU_POINTER_ATTRIBUTE_HOST_POINTER:
	case CU_POINTER_ATTRIBUTE_RANGE_START_ADDR:
	case CU_POINTER_ATTRIBUTE_RANGE_SIZE:
	case CU_POINTER_ATTRIBUTE_BUFFER_ID:
		*(uint64_t *)data = 0;
		return CUDA_SUCCESS;
	case CU_POINTER_ATTRIBUTE_MEMORY_TYPE:
	case CU_POINTER_ATTRIBUTE_SYNC_MEMOPS:
	case CU_POINTER_ATTRIBUTE_IS_MANAGED:
	case CU_POINTER_ATTRIBUTE_MAPPED:
	case CU_POINTER_ATTRIBUTE_IS_LEGACY_CUDA_IPC_CAPABLE:
	case CU_POINTER_ATTRIBUTE_IS_GPU_DIRECT_RDMA_CAPABLE:
		*(unsigned *)data = 0;
		return CUDA_SUCCESS;
	case CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL:
		*(int *)data = -2; /* the driver's number for "no device" */
		return CUDA_SUCCESS;
	default:
		return CUDA_ERROR_NOT_SUPPORTED;
	}
}

CUresult cuPointerGetAttributes(unsigned int attribute_count, CUpointer_attribute *attributes, void **data,
				CUdeviceptr address)
{
	CALL_BEGIN(call, NEED_CONTEXT);
	const struct allocation *allocation = find(address);

	if (attribute_count == 0 || !attributes || !data)
		return CUDA_ERROR_INVALID_VALUE;
	for (unsigned i = 0; i < attribute_count; i++) {
		CUresult result = CUDA_ERROR_INVALID_VALUE;

		if (!data[i])
			return CUDA_ERROR_INVALID_VALUE;
		if (allocation)
			result = pointer_attribute(data[i], attributes[i], address, allocation);
		if (result == CUDA_ERROR_INVALID_VALUE)
			result = pointer_attribute_none(data[i], attributes[i]);
		if (result != CUDA_SUCCESS)
			return result;
	}
	return CUDA_SUCCESS;
}
