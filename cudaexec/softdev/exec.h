/*
 * The executor: blocks of threads run as warps of 32 lanes in lockstep. Internal to the engine.
 *
 * A warp has *groups* of lanes; the lanes of a group are at the same instruction of the same frame. The group in the
 * deepest frame with the lowest instruction runs first, and groups that meet become one, so lanes that diverged come
 * together again where their paths join. After EXEC_TURN instructions another group gets a turn, so that lanes that
 * wait for each other make progress.
 *
 * A *frame* is the registers of one function call of some lanes. Addresses in device code: global, const and kernel
 * parameters are real addresses; shared and local ones are offsets; generic ones are real addresses.
 *
 * Threads: a block and everything in it belongs to one worker; struct exec_run is shared by the workers of a launch.
 */
#ifndef FERRITE_CUDAEXEC_SOFTDEV_EXEC_H
#define FERRITE_CUDAEXEC_SOFTDEV_EXEC_H

#include "cudaexec/softdev/device.h"
#include "cudaexec/softdev/ptx_program.h"

#include <stdatomic.h>

#define EXEC_TURN     10000u /* instructions before another group of the warp gets a turn */
#define EXEC_SLICE    20000u /* instructions before another warp of the block gets a turn */
#define EXEC_BARRIERS 16u
#define EXEC_ALL      UINT32_MAX  /* the mask of all lanes */
#define EXEC_STACK    (4u << 20)  /* bytes of frames of a warp beyond the kernel's own, when it calls functions */
#define EXEC_LOCAL    (64u << 10) /* bytes of local memory of a thread beyond the kernel's own, likewise */

struct exec_frame {
	const struct ptx_function *function;
	uint8_t *registers;
	uint8_t *constants;
	struct exec_frame *parent; /* the caller's */
	struct exec_frame *below;  /* on the stack of the warp */
	const struct ptx_call *call;
	uint32_t return_pc;
	uint32_t live; /* lanes that have neither returned nor exited */
	uint32_t depth;
	uint32_t local_base; /* of its variables in the local memory of each thread */
};

/* What is known about an address register: in each half of the warp all the same, or a row. */
struct exec_rows {
	uint64_t first[2];
	uint8_t row[2];
	bool valid;
};

enum exec_state { GROUP_READY, GROUP_WARP_SYNC, GROUP_BARRIER };

struct exec_group {
	struct exec_frame *frame;
	uint32_t pc;
	uint32_t mask;
	uint8_t state;
	uint8_t barrier;
	const struct ptx_insn *reduction; /* bar.red that waits for its result */
};

/* What a handler tells the loop. */
enum exec_step {
	STEP_NEXT,
	STEP_SWITCH, /* groups have changed: choose again */
	STEP_FAULT,  /* the launch has failed */
};

struct exec_warp;
typedef enum exec_step (*exec_handler)(struct exec_warp *warp, const struct ptx_insn *insn, uint32_t mask);

struct exec_warp {
	uint8_t *base[4]; /* of the operand areas: registers, constants, thread and block specials */
	uint32_t full;	  /* operations on these lanes may write all: the other lanes are dead in this frame */
	uint32_t mask;	  /* of the group that runs */
	uint32_t pc;	  /* of the next instruction */
	uint32_t limit;	  /* where another group of this frame waits to be joined */
	uint32_t ticks;	  /* instructions left in this turn */
	const struct ptx_insn *code;
	const exec_handler *handlers;
	struct exec_frame *frame;
	struct exec_block *block;
	uint8_t *local; /* of lane 0; the others follow in steps of block->local_stride */
	uint8_t *stack; /* frames */
	struct exec_frame *top;
	uint32_t threads; /* mask of the lanes that exist */
	uint32_t live;	  /* of those, the ones that have not exited */
	uint32_t group_count;
	uint32_t last_group;
	struct exec_rows rows[4]; /* forgotten whenever another group runs */
	bool force_sync;	  /* nothing else can run: let a warp barrier through */
	struct exec_group groups[PTX_WARP];
};

struct exec_barrier {
	uint32_t arrived;  /* threads, rounded up to warps where a count is given */
	uint32_t expected; /* 0: all threads of the block */
	uint32_t popc;
	bool all, any;
};

#define EXEC_RANGES 16u

/* A block of threads that is being run, with memory of its own. */
struct exec_block {
	struct exec_run *run;
	uint32_t index[3];
	uint32_t warp_count;
	uint32_t live_threads;
	uint32_t barriers_used; /* bits of the barriers at which threads have arrived */
	uint8_t *shared;
	uint32_t shared_size;
	uint32_t local_stride;
	uint8_t *memory; /* one mapping: specials, shared, local, stacks */
	size_t memory_size;
	uint64_t instructions;
	uint64_t budget;			 /* instructions taken from the launch and not yet used */
	struct device_range ranges[EXEC_RANGES]; /* allocations seen lately */
	struct exec_barrier barriers[EXEC_BARRIERS];
	struct exec_warp warps[]; /* warp_count */
};

/* A launch. */
struct exec_run {
	struct ptx_device *device;
	struct ptx_module *module;
	const struct ptx_function *function;
	const struct ptx_launch *launch;
	const uint8_t *params;
	uint32_t params_size;
	uint32_t threads; /* of a block */
	uint64_t blocks;
	uint32_t shared_size;
	uint64_t workspace; /* of a cooperative launch, for grid barriers */
	uint32_t workers;
	atomic_ullong next_block;
	atomic_ullong instructions;
	atomic_llong budget;
	atomic_int status; /* enum ptx_status; the first failure stays */
	struct ptx_log *log;
};

/* The lanes of an operand. */
static inline void *exec_lanes(const struct exec_warp *warp, uint32_t operand)
{
	return warp->base[operand >> 30] + (operand & ~PTX_AREA_MASK);
}

static inline uint32_t exec_predicate(const struct exec_warp *warp, uint32_t operand)
{
	return *(const uint32_t *)exec_lanes(warp, operand);
}

/* Writes the lanes of MASK of a predicate. */
static inline void exec_set_predicate(const struct exec_warp *warp, uint32_t operand, uint32_t mask, uint32_t value)
{
	uint32_t *lanes = exec_lanes(warp, operand);

	*lanes = (*lanes & ~mask) | (value & mask);
}

static inline unsigned exec_first_lane(uint32_t mask)
{
	return (unsigned)__builtin_ctz(mask);
}

/* --- exec_control.c ----------------------------------------------------------------------------------------------- */

/* Prepares a block for its first instruction. */
void exec_block_start(struct exec_block *block, uint64_t number);

/* Runs warps until the block has ended (true), or every warp has had a turn (false). After a fault: true. */
bool exec_block_run(struct exec_block *block);

/* Notes the failure of LANE; always returns STEP_FAULT. */
enum exec_step exec_fault(struct exec_warp *warp, enum ptx_status status, unsigned lane, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

/* --- exec_address.c ----------------------------------------------------------------------------------------------- */

/*
 * Real addresses of an access of SIZE bytes (a power of two) by the lanes of MASK, checked. The places of the other
 * lanes get the address of an active one. False after a fault.
 */
bool exec_addresses(struct exec_warp *warp, const struct ptx_insn *insn, uint32_t mask, uint32_t size,
		    uint64_t *ret_addresses);

/* Checks one access to generic memory of LENGTH bytes by LANE, without a fault. */
bool exec_check(struct exec_warp *warp, unsigned lane, uint64_t address, uint64_t length);

/* As exec_check(), but true also sets how many bytes follow ADDRESS in its range. */
bool exec_room(struct exec_warp *warp, unsigned lane, uint64_t address, uint64_t *ret_room);

/* --- exec_builtin.c ----------------------------------------------------------------------------------------------- */

/* vprintf, malloc, free, __assertfail for the lanes of MASK. */
enum exec_step exec_builtin(struct exec_warp *warp, const struct ptx_function *function, const struct ptx_call *call,
			    uint32_t mask);

/* --- handlers ----------------------------------------------------------------------------------------------------- */

#define X(name) enum exec_step op_##name(struct exec_warp *warp, const struct ptx_insn *insn, uint32_t mask);
PTX_COMMON_OPS(X)
#undef X

/* The handlers for the newest instruction set that this CPU has. */
const exec_handler *exec_handlers(void);

/* Use nothing newer than x86-64-v<LEVEL> (1, 3, 4), so that tests can try what other CPUs run. */
void exec_limit_level(unsigned level);

extern const exec_handler exec_handlers_base[OP_COUNT];
extern const exec_handler exec_handlers_v3[OP_COUNT];
extern const exec_handler exec_handlers_v4[OP_COUNT];

#endif
