/* State, configuration, lock and handle table of the software device's driver API. */
#include "cudaexec/softdev/api.h"

#include "supervisor/str.h"

#include <pthread.h>
#include <string.h>

#define HANDLE_INDEX_BITS     24
#define HANDLE_FIRST_INDEX    16u /* small numbers are the streams that always exist */
#define HANDLE_GENERATION_MAX 0xffffffu

struct slot {
	struct object *object; /* NULL: free */
	uint32_t generation;
	uint32_t next_free;
};

struct softdev softdev;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static bool initialised;
static bool forked; /* this process is a child of one that had called cuInit */
static struct slot *slots;
static uint32_t slot_count, slot_free = UINT32_MAX;

static uint64_t handle_make(enum object_kind kind, uint32_t index)
{
	return (uint64_t)kind << 56 | (uint64_t)slots[index].generation << HANDLE_INDEX_BITS |
	       (index + HANDLE_FIRST_INDEX);
}

static bool slots_grow(void)
{
	uint32_t count = slot_count ? slot_count * 2 : 64;
	struct slot *grown;

	if (slot_count >= SOFTDEV_OBJECTS_MAX)
		return false;
	grown = reallocarray(slots, count, sizeof(*grown));
	if (!grown)
		return false;
	for (uint32_t i = slot_count; i < count; i++)
		grown[i] = (struct slot){NULL, 0, i + 1 < count ? i + 1 : UINT32_MAX};
	slots = grown;
	slot_free = slot_count;
	slot_count = count;
	return true;
}

CUresult object_register(struct object *object, enum object_kind kind, struct context *context)
{
	uint32_t index;

	if (slot_free == UINT32_MAX && !slots_grow())
		return CUDA_ERROR_OUT_OF_MEMORY;
	index = slot_free;
	slot_free = slots[index].next_free;
	slots[index].object = object;
	slots[index].generation = (slots[index].generation + 1) & HANDLE_GENERATION_MAX;
	object->kind = kind;
	object->context = context;
	object->handle = handle_make(kind, index);
	return CUDA_SUCCESS;
}

void object_unregister(struct object *object)
{
	uint32_t index = (uint32_t)(object->handle & ((1u << HANDLE_INDEX_BITS) - 1)) - HANDLE_FIRST_INDEX;

	slots[index].object = NULL;
	slots[index].next_free = slot_free;
	slot_free = index;
}

void *object_find(const void *handle, enum object_kind kind)
{
	uint64_t value = (uint64_t)(uintptr_t)handle;
	uint64_t index = (value & ((1u << HANDLE_INDEX_BITS) - 1)) - HANDLE_FIRST_INDEX;

	if (index >= slot_count || !slots[index].object || slots[index].object->kind != kind ||
	    slots[index].object->handle != value)
		return NULL;
	return slots[index].object;
}

void object_each(const struct context *context, void (*visit)(struct object *object))
{
	for (uint32_t i = 0; i < slot_count; i++)
		if (slots[i].object && slots[i].object->context == context)
			visit(slots[i].object);
}

struct call call_begin(enum call_need need)
{
	struct call call = {CUDA_SUCCESS, false, NULL};

	if (__atomic_load_n(&forked, __ATOMIC_ACQUIRE)) {
		call.result = CUDA_ERROR_NOT_INITIALIZED;
		return call;
	}
	(void)pthread_mutex_lock(&lock);
	call.locked = true;
	if (!initialised) {
		call.result = CUDA_ERROR_NOT_INITIALIZED;
	} else if (need == NEED_CONTEXT) {
		call.context = context_current(&call.result);
		if (call.context && call.context->fault != CUDA_SUCCESS)
			call.result = call.context->fault;
	}
	return call;
}

void call_end(struct call *call)
{
	if (call->locked)
		(void)pthread_mutex_unlock(&lock);
	call->locked = false;
}

/* A number from the environment; unset means FALLBACK, anything that is no number in range is an error. */
static bool setting(const char *name, uint64_t fallback, uint64_t min, uint64_t max, uint64_t *ret_value)
{
	const char *text = getenv(name);
	uint64_t value = fallback;

	if (text && !str_u64(text, &value))
		return false;
	if (value < min || value > max)
		return false;
	*ret_value = value;
	return true;
}

static void after_fork(void)
{
	if (initialised)
		__atomic_store_n(&forked, true, __ATOMIC_RELEASE);
}

static CUresult device_open(void)
{
	uint64_t memory = 0, workers = 0;
	enum ptx_status status;

	if (!setting("FERRITE_SOFTWARE_DEVICE_MEMORY", SOFTDEV_MEMORY_DEFAULT, MIB, 1024 * GIB, &memory) ||
	    !setting("FERRITE_SOFTWARE_DEVICE_BUDGET", 0, 0, UINT64_MAX, &softdev.budget) ||
	    !setting("FERRITE_SOFTWARE_DEVICE_WORKERS", 0, 0, PTX_WORKERS_MAX, &workers))
		return CUDA_ERROR_INVALID_VALUE;
	if (device_memory_new(memory, &softdev.memory, NULL) < 0)
		return CUDA_ERROR_OUT_OF_MEMORY;
	status = ptx_device_new(softdev.memory, (uint32_t)workers, &softdev.device);
	if (status != PTX_OK) {
		device_memory_free(softdev.memory);
		softdev.memory = NULL;
		return (CUresult)status;
	}
	return CUDA_SUCCESS;
}

CUresult cuInit(unsigned int flags)
{
	CUresult result = CUDA_SUCCESS;

	if (flags != 0)
		return CUDA_ERROR_INVALID_VALUE;
	if (__atomic_load_n(&forked, __ATOMIC_ACQUIRE))
		return CUDA_ERROR_NOT_INITIALIZED;
	(void)pthread_mutex_lock(&lock);
	if (!initialised) {
		result = device_open();
		if (result == CUDA_SUCCESS) {
			initialised = true;
			(void)pthread_atfork(NULL, NULL, after_fork);
		}
	}
	(void)pthread_mutex_unlock(&lock);
	return result;
}
