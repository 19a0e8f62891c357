/* Launches: checking them, memory of blocks, workers. */
#include "cudaexec/softdev/exec.h"
#include "supervisor/util.h"

#include <string.h>
#include <sys/mman.h>

#define WORKSPACE_BYTES 256u /* of a cooperative launch: what its grid barrier counts in */
#define GUARD_BYTES	64u

/* --- memory of a block -------------------------------------------------------------------------------------------- */

static size_t round64(size_t size)
{
	return (size + 63) & ~(size_t)63;
}

static void set_specials(struct exec_block *block)
{
	const struct exec_run *run = block->run;
	const struct ptx_launch *launch = run->launch;
	const uint32_t values[SPECIAL_BLOCK_COUNT] = {
		[SPECIAL_NTID_X] = launch->block[0],
		[SPECIAL_NTID_Y] = launch->block[1],
		[SPECIAL_NTID_Z] = launch->block[2],
		[SPECIAL_NCTAID_X] = launch->grid[0],
		[SPECIAL_NCTAID_Y] = launch->grid[1],
		[SPECIAL_NCTAID_Z] = launch->grid[2],
		[SPECIAL_NWARPID] = block->warp_count,
		[SPECIAL_NSMID] = run->device->workers,
		[SPECIAL_DYNAMIC_SMEM] = launch->shared_bytes,
		[SPECIAL_TOTAL_SMEM] = launch->shared_bytes + run->function->kernel.shared_bytes,
		[SPECIAL_WARP_SIZE] = PTX_WARP,
		[SPECIAL_ENVREG1] = (uint32_t)(run->workspace >> 32),
		[SPECIAL_ENVREG2] = (uint32_t)run->workspace,
	};
	uint8_t *specials = block->warps[0].base[3];

	for (uint32_t place = 0; place < SPECIAL_BLOCK_COUNT; place++)
		for (uint32_t i = 0; i < PTX_WARP; i++)
			((uint32_t *)(void *)(specials + place * PTX_SPECIAL_BYTES))[i] = values[place];
}

static void set_thread_specials(struct exec_warp *warp, uint32_t index)
{
	const struct exec_block *block = warp->block;
	const uint32_t *size = block->run->launch->block;
	uint32_t *lanes[SPECIAL_THREAD_COUNT];

	for (uint32_t place = 0; place < SPECIAL_THREAD_COUNT; place++)
		lanes[place] = (uint32_t *)(void *)(warp->base[2] + place * PTX_SPECIAL_BYTES);
	for (uint32_t i = 0; i < PTX_WARP; i++) {
		uint32_t thread = index * PTX_WARP + i;

		lanes[SPECIAL_TID_X][i] = thread % size[0];
		lanes[SPECIAL_TID_Y][i] = thread / size[0] % size[1];
		lanes[SPECIAL_TID_Z][i] = thread / size[0] / size[1];
		lanes[SPECIAL_LANEID][i] = i;
		lanes[SPECIAL_WARPID][i] = index;
		lanes[SPECIAL_LANEMASK_EQ][i] = 1u << i;
		lanes[SPECIAL_LANEMASK_LT][i] = (1u << i) - 1;
		lanes[SPECIAL_LANEMASK_LE][i] = (2u << i) - 1;
		lanes[SPECIAL_LANEMASK_GT][i] = ~((2u << i) - 1);
		lanes[SPECIAL_LANEMASK_GE][i] = ~((1u << i) - 1);
	}
}

/* The root frame of a warp, at the start of its stack. */
static void set_root_frame(struct exec_warp *warp)
{
	const struct exec_run *run = warp->block->run;
	struct exec_frame *frame = (struct exec_frame *)(void *)warp->stack;

	*frame = (struct exec_frame){.function = run->function, .registers = warp->stack + 128};
	for (uint32_t i = 0; i < run->module->program->function_count; i++)
		if (run->module->program->functions[i] == run->function)
			frame->constants = run->module->constants[i];
}

/*
 * Maps the memory of a block: special registers, shared and local memory, stacks with registers. Pages cost nothing
 * until they are used, and begin as zeros, so a kernel never sees what another one left behind.
 */
static bool make_block(struct exec_run *run, struct exec_block *block, uint32_t warps)
{
	const struct ptx_function *function = run->function;
	const bool calls = function->calls_any;
	size_t special_bytes = SPECIAL_BLOCK_COUNT * PTX_SPECIAL_BYTES,
	       thread_bytes = SPECIAL_THREAD_COUNT * PTX_SPECIAL_BYTES;
	size_t stack_bytes = round64(128 + function->register_bytes + (calls ? EXEC_STACK + 512 : 0));
	size_t stride = round64(function->local_bytes + (calls ? EXEC_LOCAL : 0));
	size_t shared_bytes = round64(run->shared_size) + GUARD_BYTES;
	uint8_t *at;

	block->run = run;
	block->warp_count = warps;
	block->memory_size = special_bytes + shared_bytes + warps * (thread_bytes + stack_bytes + PTX_WARP * stride);
	block->memory = mmap(NULL, block->memory_size, PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (block->memory == MAP_FAILED) {
		block->memory = NULL;
		return false;
	}
	block->shared = block->memory + special_bytes;
	block->shared_size = run->shared_size;
	block->local_stride = (uint32_t)stride;
	at = block->shared + shared_bytes;
	for (uint32_t w = 0; w < warps; w++) {
		struct exec_warp *warp = &block->warps[w];
		uint32_t left = run->threads - w * PTX_WARP;

		warp->block = block;
		warp->handlers = exec_handlers();
		warp->threads = left >= PTX_WARP ? EXEC_ALL : (1u << left) - 1;
		warp->base[3] = block->memory;
		warp->base[2] = at;
		warp->stack = at + thread_bytes;
		warp->local = warp->stack + stack_bytes;
		at = warp->local + PTX_WARP * stride;
		set_thread_specials(warp, w);
		set_root_frame(warp);
	}
	set_specials(block);
	return true;
}

static void free_block(struct exec_block *block)
{
	if (!block)
		return;
	atomic_fetch_add(&block->run->instructions, block->instructions);
	if (block->memory)
		(void)munmap(block->memory, block->memory_size);
	free(block);
}

static struct exec_block *new_block(struct exec_run *run)
{
	uint32_t warps = (run->threads + PTX_WARP - 1) / PTX_WARP;
	struct exec_block *block = calloc(1, sizeof(*block) + warps * sizeof(block->warps[0]));
	int expected = PTX_OK;

	if (block && make_block(run, block, warps))
		return block;
	free(block);
	(void)atomic_compare_exchange_strong(&run->status, &expected, PTX_OUT_OF_MEMORY);
	return NULL;
}

/* --- workers ------------------------------------------------------------------------------------------------------ */

static bool failed(struct exec_run *run)
{
	return atomic_load_explicit(&run->status, memory_order_relaxed) != PTX_OK;
}

/* Blocks one after the other, as long as there are any. */
static void run_blocks(struct exec_run *run)
{
	uint64_t number = atomic_fetch_add(&run->next_block, 1);
	struct exec_block *block;

	if (number >= run->blocks)
		return;
	block = new_block(run);
	for (; block && number < run->blocks && !failed(run); number = atomic_fetch_add(&run->next_block, 1)) {
		exec_block_start(block, number);
		while (!exec_block_run(block))
			;
	}
	free_block(block);
}

/* A cooperative launch: all blocks of this worker are there at the same time and take turns. */
static void run_blocks_together(struct exec_run *run)
{
	struct exec_block **blocks = calloc(run->blocks, sizeof(*blocks));
	uint64_t count = 0, number;

	while (blocks && (number = atomic_fetch_add(&run->next_block, 1)) < run->blocks && count < run->blocks) {
		blocks[count] = new_block(run);
		if (!blocks[count])
			break;
		exec_block_start(blocks[count++], number);
	}
	for (uint64_t left = count; left > 0 && !failed(run);) {
		left = 0;
		for (uint64_t i = 0; i < count; i++)
			if (blocks[i]->live_threads > 0)
				left += !exec_block_run(blocks[i]);
	}
	for (uint64_t i = 0; i < count; i++)
		free_block(blocks[i]);
	free(blocks);
}

void exec_worker(struct exec_run *run)
{
	if (run->launch->cooperative)
		run_blocks_together(run);
	else
		run_blocks(run);
}

/* --- launch ------------------------------------------------------------------------------------------------------- */

static enum ptx_status check_launch(const struct ptx_kernel *kernel, const struct ptx_launch *launch,
				    struct ptx_log *log)
{
	const uint32_t *grid = launch->grid, *block = launch->block;
	uint64_t threads = (uint64_t)block[0] * block[1] * block[2], all;

	if (grid[0] == 0 || grid[1] == 0 || grid[2] == 0 || threads == 0 || grid[0] > PTX_GRID_X_MAX ||
	    grid[1] > PTX_GRID_YZ_MAX || grid[2] > PTX_GRID_YZ_MAX || block[0] > PTX_BLOCK_THREADS_MAX ||
	    block[1] > PTX_BLOCK_THREADS_MAX || block[2] > PTX_BLOCK_Z_MAX || threads > PTX_BLOCK_THREADS_MAX) {
		ptx_log_add(log, "kernel '%.200s': grid (%u,%u,%u) of blocks (%u,%u,%u) is out of range\n",
			    kernel->name, grid[0], grid[1], grid[2], block[0], block[1], block[2]);
		return PTX_INVALID_VALUE;
	}
	if (launch->param_bytes < kernel->param_bytes || (kernel->param_bytes > 0 && !launch->params)) {
		ptx_log_add(log, "kernel '%.200s': %zu bytes of parameters, it has %u\n", kernel->name,
			    launch->param_bytes, kernel->param_bytes);
		return PTX_INVALID_VALUE;
	}
	if (threads > kernel->threads_max || kernel->shared_bytes > PTX_SHARED_MAX ||
	    launch->shared_bytes > PTX_SHARED_MAX - kernel->shared_bytes) {
		ptx_log_add(
			log,
			"kernel '%.200s': blocks of %llu threads (at most %u) with %u + %u bytes of shared memory\n",
			kernel->name, (unsigned long long)threads, kernel->threads_max, kernel->shared_bytes,
			launch->shared_bytes);
		return threads > kernel->threads_max ? PTX_LAUNCH_OUT_OF_RESOURCES : PTX_INVALID_VALUE;
	}
	all = (uint64_t)grid[0] * grid[1] * grid[2];
	if (launch->cooperative && (all > PTX_COOPERATIVE_BLOCKS_MAX || all * threads > PTX_COOPERATIVE_THREADS_MAX)) {
		ptx_log_add(log, "kernel '%.200s': a cooperative launch has at most %u blocks and %u threads\n",
			    kernel->name, PTX_COOPERATIVE_BLOCKS_MAX, PTX_COOPERATIVE_THREADS_MAX);
		return PTX_COOPERATIVE_LAUNCH_TOO_LARGE;
	}
	return PTX_OK;
}

/* A cooperative launch needs a word per grid barrier in device memory; kernels find it through %envreg1 and 2. */
static bool make_workspace(struct exec_run *run)
{
	if (!run->launch->cooperative)
		return true;
	run->workspace = device_memory_alloc(run->device->memory, WORKSPACE_BYTES, DEVICE_MEMORY_PAGE);
	if (run->workspace)
		*(uint32_t *)run->workspace = WORKSPACE_BYTES;
	return run->workspace != 0;
}

enum ptx_status ptx_launch(struct ptx_module *module, const struct ptx_kernel *kernel, const struct ptx_launch *launch,
			   struct ptx_launch_stats *ret_stats, struct ptx_log *log)
{
	struct ptx_device *device = module->device;
	_cleanup_free_ uint8_t *params = NULL;
	enum ptx_status status = check_launch(kernel, launch, log);
	uint64_t start = clock_monotonic_us();
	struct exec_run run = {.device = device, .module = module, .launch = launch, .log = log};

	if (ret_stats)
		*ret_stats = (struct ptx_launch_stats){0};
	if (status != PTX_OK)
		return status;
	run.function = module->program->kernels[kernel->index];
	run.params_size = kernel->param_bytes;
	params = aligned_alloc(64, round64(MAX(kernel->param_bytes, 1u)));
	if (!params)
		return PTX_OUT_OF_MEMORY;
	if (kernel->param_bytes > 0)
		memcpy(params, launch->params, kernel->param_bytes);
	run.params = params;
	run.threads = launch->block[0] * launch->block[1] * launch->block[2];
	run.blocks = (uint64_t)launch->grid[0] * launch->grid[1] * launch->grid[2];
	run.shared_size = module->program->dynamic_shared_offset + launch->shared_bytes;
	run.workers = device->workers;
	if (launch->workers > 0)
		run.workers = MIN(run.workers, launch->workers);
	run.workers = (uint32_t)MIN((uint64_t)run.workers, run.blocks);
	atomic_init(&run.budget, (long long)MIN(launch->instruction_budget, (uint64_t)INT64_MAX));
	pthread_mutex_lock(&device->launch_lock);
	if (make_workspace(&run))
		pool_run(device, &run);
	else
		atomic_store(&run.status, PTX_OUT_OF_MEMORY);
	if (run.workspace)
		(void)device_memory_release(device->memory, run.workspace);
	pthread_mutex_unlock(&device->launch_lock);
	if (ret_stats) {
		ret_stats->instructions = atomic_load(&run.instructions);
		ret_stats->time_us = clock_monotonic_us() - start;
	}
	return (enum ptx_status)atomic_load(&run.status);
}
