/*
 * Inside of the software device's libcuda.so.1: its state, its handles, and the frame of every call.
 *
 * The device executes in issue order on the calling thread: a launch or copy is complete when the call returns, on
 * whatever stream it was issued. One lock is held during every call that looks at the state, so an object cannot go
 * away under a call, and threads of a program are serialised as the commands of one engine would be. Host callbacks run
 * without the lock.
 *
 * Handles that programs hold are numbers, not pointers: kind, generation and place in a table. A stale, foreign or
 * random value is found out and never followed.
 *
 * A fault of a kernel sticks to its context, as on a real device: the launch returns success, every later call on that
 * context returns the fault until the context is destroyed.
 */
#ifndef FERRITE_CUDAEXEC_SOFTDEV_API_H
#define FERRITE_CUDAEXEC_SOFTDEV_API_H

#define CUDA_API_EXPORT
#include "cuda_api.h"
#include "cudaexec/softdev/engine.h"
#include "supervisor/util.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SOFTDEV_NAME		 "Software CUDA Device"
#define SOFTDEV_UUID		 "ferrite software" /* the 16 bytes themselves */
#define SOFTDEV_PCI_BUS_ID	 "0000:00:00.0"
#define SOFTDEV_MEMORY_DEFAULT	 GIB
#define SOFTDEV_OBJECTS_MAX	 65536u
#define SOFTDEV_CONTEXT_DEPTH	 64u /* contexts on the stack of one thread */
#define SOFTDEV_THREADS_PER_SM	 1024u
#define SOFTDEV_BLOCKS_PER_SM	 16u
#define SOFTDEV_REGISTERS	 65536u
#define SOFTDEV_PITCH_ALIGN	 512u
#define SOFTDEV_CAPABILITY_MAJOR 7
#define SOFTDEV_CAPABILITY_MINOR 5

enum object_kind {
	OBJECT_CONTEXT = 1,
	OBJECT_MODULE,
	OBJECT_FUNCTION,
	OBJECT_LIBRARY,
	OBJECT_KERNEL,
	OBJECT_STREAM,
	OBJECT_EVENT
};

/* First member of everything that has a handle. */
struct object {
	enum object_kind kind;
	uint64_t handle;
	struct context *context; /* that it belongs to; NULL for contexts, libraries and kernels */
};

struct context {
	struct object object;
	CUresult fault; /* what stuck, or CUDA_SUCCESS */
	unsigned flags;
	unsigned api_version;
	uint64_t id;
	uint64_t stack_limit;
};

/* Parsed PTX, shared by the modules that were made of one library. */
struct program {
	struct ptx_program *ptx;
	unsigned references;
};

struct module {
	struct object object;
	struct program *program;
	struct ptx_module *ptx;
	struct library *library;      /* that it was made for, or NULL */
	struct function *functions[]; /* one place per kernel of the program, made when asked for */
};

struct function {
	struct object object;
	struct module *module;
	const struct ptx_kernel *kernel;
	uint32_t dynamic_shared_max;
	uint64_t block_cost; /* warp instructions of one block in the last launch, 0: not known yet */
};

struct library {
	struct object object;
	struct program *program;
	struct kernel *kernels[]; /* one place per kernel of the program */
};

struct kernel {
	struct object object;
	struct library *library;
	const struct ptx_kernel *kernel;
	uint32_t dynamic_shared_max;
};

struct stream {
	struct object object;
	unsigned flags;
	int priority;
	uint64_t id;
};

struct event {
	struct object object;
	unsigned flags;
	bool recorded;
	uint64_t time_ns;
};

enum allocation_kind { ALLOCATION_DEVICE, ALLOCATION_MANAGED, ALLOCATION_HOST, ALLOCATION_REGISTERED };

struct allocation {
	uint64_t base;
	uint64_t size;
	enum allocation_kind kind;
	unsigned flags;
	struct context *context;
	uint64_t id;
};

struct softdev {
	struct device_memory *memory;
	struct ptx_device *device;
	uint64_t budget; /* warp instructions per launch, 0: no limit */
	struct context *primary;
	unsigned primary_references;
	unsigned primary_flags;
	uint64_t next_id;
};

extern struct softdev softdev;

/* --- the frame of a call (api_state.c) ---------------------------------------------------------------------------- */

enum call_need {
	NEED_DEVICE,  /* cuInit was called in this process */
	NEED_CONTEXT, /* and a context is current on this thread and has no fault */
};

struct call {
	CUresult result;
	bool locked;
	struct context *context; /* with NEED_CONTEXT */
};

struct call call_begin(enum call_need need);
void call_end(struct call *call);

/* Opens a call: declares VARIABLE, which releases the lock at the end of the scope; returns when the call cannot be. */
#define CALL_BEGIN(variable, need) \
	_cleanup_(call_end) struct call variable = call_begin(need); \
	if (variable.result != CUDA_SUCCESS) \
	return variable.result

/* --- handles (api_state.c); with the lock held -------------------------------------------------------------------- */

/* Gives the object a handle; CUDA_ERROR_OUT_OF_MEMORY when the table is full. */
CUresult object_register(struct object *object, enum object_kind kind, struct context *context);

/* Takes the handle away; the object itself belongs to the caller. */
void object_unregister(struct object *object);

/* The object of a handle when it is of that kind, else NULL. */
void *object_find(const void *handle, enum object_kind kind);

/* Calls VISIT for every registered object of the context; it may unregister that object. */
void object_each(const struct context *context, void (*visit)(struct object *object));

#define HANDLE(type, thing) ((type)(uintptr_t)(thing)->object.handle)

/* --- contexts (api_context.c) ------------------------------------------------------------------------------------- */

/* The context that is current on this thread: a context, or NULL with *ret_result saying why there is none. */
struct context *context_current(CUresult *ret_result);

/* Frees all that belongs to a context and the context. */
void context_destroy(struct context *context);

/* Writes what kernels have printed to standard output. */
void output_flush(void);

/* --- memory (api_memory.c) ---------------------------------------------------------------------------------------- */

/* The allocation that contains ADDRESS, or NULL. */
const struct allocation *allocation_find(uint64_t address);

void allocations_free_context(const struct context *context);

/* --- modules (api_module.c) --------------------------------------------------------------------------------------- */

void module_destroy(struct module *module);

/* The function behind a CUfunction, or behind a CUkernel given as one (its library is then loaded into the context). */
CUresult function_find(struct context *context, CUfunction handle, struct function **ret_function);

/* --- streams (api_stream.c) --------------------------------------------------------------------------------------- */

/* Whether the handle is a stream of the context or one of the streams that always exist. */
bool stream_valid(const struct context *context, CUstream stream);

#endif
