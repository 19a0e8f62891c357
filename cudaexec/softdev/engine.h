/*
 * The PTX engine of the software device: reads PTX text, places a module in device memory, runs its kernels on the
 * CPUs of this machine.
 *
 * Three steps, three objects. A *program* is parsed and decoded text: it needs no device, is immutable and may be
 * shared by threads (the bundler only makes programs, to check a file and list its kernels). A *module* is a program
 * placed in the memory of a device. A *device* has the worker threads, the printf buffer and the heap of device-side
 * malloc; its modules are launched on it.
 *
 * Ownership: the creator of an object frees it; a program outlives its modules, a device outlives its modules, the
 * memory outlives the device. Names and parameter lists belong to the program.
 *
 * Threads: a program may be read by any number of threads. ptx_launch() runs one launch at a time per device
 * (concurrent callers wait for each other) and returns when the kernel has finished. Loading and unloading may happen
 * during a launch of another module.
 *
 * Errors: enum ptx_status, which are CUresult numbers. Texts go into a struct ptx_log (NULL allowed): for bad PTX one
 * or more lines like "line 12: unknown instruction 'foo.bar'", for failed launches the kernel, block and thread that
 * failed.
 */
#ifndef FERRITE_CUDAEXEC_SOFTDEV_ENGINE_H
#define FERRITE_CUDAEXEC_SOFTDEV_ENGINE_H

#include "cudaexec/softdev/memory.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum ptx_status {
	PTX_OK = 0,
	PTX_INVALID_VALUE = 1,
	PTX_OUT_OF_MEMORY = 2,
	PTX_NO_BINARY_FOR_GPU = 209,	   /* .target is newer than the device */
	PTX_INVALID_PTX = 218,		   /* syntax, unknown instruction, limit of the parser */
	PTX_UNSUPPORTED_PTX_VERSION = 222, /* .version is newer than the parser */
	PTX_ILLEGAL_ADDRESS = 700,	   /* access outside every allocation, or outside shared or local memory */
	PTX_LAUNCH_OUT_OF_RESOURCES = 701, /* block too large, too much shared memory, .maxntid exceeded */
	PTX_LAUNCH_TIMEOUT = 702,	   /* instruction budget used up */
	PTX_ASSERT = 710,		   /* device-side assert() */
	PTX_HARDWARE_STACK_ERROR = 714,	   /* call depth or stack of a thread exceeded */
	PTX_ILLEGAL_INSTRUCTION = 715,	   /* trap, or no instruction to run */
	PTX_MISALIGNED_ADDRESS = 716,	   /* address not a multiple of the access size */
	PTX_INVALID_PC = 718,		   /* indirect call to something that is no function */
	PTX_LAUNCH_FAILED = 719,	   /* deadlock: every thread waits at a barrier that cannot open */
	PTX_COOPERATIVE_LAUNCH_TOO_LARGE = 720,
};

#define PTX_TEXT_MAX		    (64u << 20) /* bytes of PTX text */
#define PTX_LOG_MAX		    4096u
#define PTX_WARP		    32u
#define PTX_BLOCK_THREADS_MAX	    1024u
#define PTX_BLOCK_Z_MAX		    64u
#define PTX_GRID_X_MAX		    0x7fffffffu
#define PTX_GRID_YZ_MAX		    65535u
#define PTX_SHARED_STATIC_MAX	    (48u << 10) /* bytes of static .shared in one kernel */
#define PTX_SHARED_MAX		    (64u << 10) /* static and dynamic together */
#define PTX_PARAM_BYTES_MAX	    4096u	/* of one kernel */
#define PTX_COOPERATIVE_THREADS_MAX (64u << 10)
#define PTX_COOPERATIVE_BLOCKS_MAX  2048u
#define PTX_VERSION_MAX		    90u /* PTX ISA 9.0 as major * 10 + minor; later minors of 9 are taken too */
#define PTX_TARGET_MAX		    90u /* sm_90 */
#define PTX_WORKERS_MAX		    256u
#define PTX_HEAP_DEFAULT	    (8u << 20) /* bytes for device-side malloc */
#define PTX_PRINTF_BYTES	    (1u << 20)

/* A bounded text. Start with PTX_LOG_INIT; what does not fit is dropped. */
struct ptx_log {
	size_t used; /* without the terminator */
	char text[PTX_LOG_MAX];
};

#define PTX_LOG_INIT ((struct ptx_log){0, ""})

void ptx_log_add(struct ptx_log *log, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* --- programs ----------------------------------------------------------------------------------------------------- */

struct ptx_program;

struct ptx_param {
	const char *name;
	uint32_t offset; /* in the parameter buffer */
	uint32_t size;
	uint32_t align;
};

/* A kernel (.entry) of a program. */
struct ptx_kernel {
	const char *name;
	const struct ptx_param *params;
	uint32_t param_count;
	uint32_t param_bytes;  /* size of the parameter buffer, without padding at its end */
	uint32_t shared_bytes; /* static shared memory */
	uint32_t local_bytes;  /* local memory of one thread */
	uint32_t register_count;
	uint32_t threads_max; /* threads of one block: .maxntid or .reqntid, else PTX_BLOCK_THREADS_MAX */
	uint32_t index;	      /* in the program */
};

/*
 * Parses and decodes LENGTH bytes of PTX text; terminating NUL bytes are allowed. Returns PTX_OK and a program that
 * the caller frees, or PTX_INVALID_PTX, PTX_UNSUPPORTED_PTX_VERSION, PTX_NO_BINARY_FOR_GPU, PTX_OUT_OF_MEMORY.
 */
enum ptx_status ptx_parse(const char *text, size_t length, struct ptx_program **ret_program, struct ptx_log *log);

void ptx_program_free(struct ptx_program *program);

/* .version as major * 10 + minor and .target as number (75 for sm_75). */
uint32_t ptx_program_version(const struct ptx_program *program);
uint32_t ptx_program_target(const struct ptx_program *program);

/* Kernels by number and by name; NULL when there is none. */
uint32_t ptx_program_kernel_count(const struct ptx_program *program);
const struct ptx_kernel *ptx_program_kernel(const struct ptx_program *program, uint32_t index);
const struct ptx_kernel *ptx_program_find_kernel(const struct ptx_program *program, const char *name);

/* --- device ------------------------------------------------------------------------------------------------------- */

struct ptx_device;

/*
 * Makes a device over MEMORY with WORKERS threads (0: one per CPU that this process may use). Threads start with the
 * first launch that needs them; the caller of ptx_launch() works too.
 */
enum ptx_status ptx_device_new(struct device_memory *memory, uint32_t workers, struct ptx_device **ret_device);

/* Stops the threads, frees the heap; modules are unloaded before. NULL is allowed. */
void ptx_device_free(struct ptx_device *device);

uint32_t ptx_device_workers(const struct ptx_device *device);

/*
 * Size of the device-side malloc heap (CU_LIMIT_MALLOC_HEAP_SIZE). It is allocated from the device memory by the first
 * load of a module that calls malloc; afterwards the size cannot change: PTX_INVALID_VALUE.
 */
enum ptx_status ptx_device_set_heap(struct ptx_device *device, uint64_t bytes);
uint64_t ptx_device_heap(const struct ptx_device *device);

/*
 * Takes what kernels have printed, formatted, in order; to be called at every synchronisation. Returns a fresh
 * terminated text that the caller frees and its length, or NULL when nothing was printed. When the buffer ran over,
 * the oldest complete outputs are kept and the rest is lost, as on a real device.
 */
char *ptx_device_take_output(struct ptx_device *device, size_t *ret_length);

/* --- modules ------------------------------------------------------------------------------------------------------ */

struct ptx_module;

/* Places .global and .const variables with their initial values. PTX_OUT_OF_MEMORY when the device is full. */
enum ptx_status ptx_module_load(struct ptx_device *device, const struct ptx_program *program,
				struct ptx_module **ret_module, struct ptx_log *log);

void ptx_module_unload(struct ptx_module *module);

/* Address and size in bytes of a .global or .const variable; false when there is none of that name. */
bool ptx_module_global(const struct ptx_module *module, const char *name, uint64_t *ret_address, uint64_t *ret_size);

/* --- launches ----------------------------------------------------------------------------------------------------- */

struct ptx_launch {
	uint32_t grid[3];
	uint32_t block[3];
	uint32_t shared_bytes;	     /* dynamic shared memory */
	const void *params;	     /* the parameter buffer, laid out as struct ptx_kernel says */
	size_t param_bytes;	     /* at least ptx_kernel.param_bytes */
	bool cooperative;	     /* grid-wide barriers work; see PTX_COOPERATIVE_THREADS_MAX and _BLOCKS_MAX */
	uint64_t instruction_budget; /* warp instructions of the whole launch, 0: unlimited */
	uint32_t workers;	     /* use at most this many threads, 0: all of the device */
};

struct ptx_launch_stats {
	uint64_t instructions; /* warp instructions executed */
	uint64_t time_us;
};

/*
 * Runs KERNEL (of the module's program) and waits for it. Returns PTX_OK or what went wrong; after an error the
 * memory that the kernel wrote has undefined contents, the device and module stay usable (that the error sticks to a
 * context is the business of the driver API). *ret_stats may be NULL and is filled in any case.
 */
enum ptx_status ptx_launch(struct ptx_module *module, const struct ptx_kernel *kernel, const struct ptx_launch *launch,
			   struct ptx_launch_stats *ret_stats, struct ptx_log *log);

#endif
