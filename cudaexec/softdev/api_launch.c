/* Kernel launches: arguments are collected into one buffer and the engine runs the grid before the call returns. */
#include "cudaexec/softdev/api.h"

#include <string.h>

#define LAUNCH_ATTRIBUTES_MAX 64u
#define SMALL_LAUNCH_COST     50000u /* warp instructions: some tens of microseconds */
#define SMALL_LAUNCH_WARPS    64u    /* taken for small when nothing is known */

/* Copies the arguments that `kernelParams` points to. */
static CUresult params_from_list(const struct ptx_kernel *kernel, void **list, uint8_t *buffer)
{
	if (kernel->param_count > 0 && !list)
		return CUDA_ERROR_INVALID_VALUE;
	for (uint32_t i = 0; i < kernel->param_count; i++) {
		if (!list[i])
			return CUDA_ERROR_INVALID_VALUE;
		memcpy(buffer + kernel->params[i].offset, list[i], kernel->params[i].size);
	}
	return CUDA_SUCCESS;
}

/* Copies the buffer that the `extra` list describes. */
static CUresult params_from_extra(const struct ptx_kernel *kernel, void **extra, uint8_t *buffer)
{
	const void *data = NULL;
	const size_t *size = NULL;

	for (; *extra != CU_LAUNCH_PARAM_END; extra += 2) {
		if (extra[0] == CU_LAUNCH_PARAM_BUFFER_POINTER)
			data = extra[1];
		else if (extra[0] == CU_LAUNCH_PARAM_BUFFER_SIZE)
			size = extra[1];
		else
			return CUDA_ERROR_INVALID_VALUE;
	}
	if (kernel->param_bytes == 0)
		return CUDA_SUCCESS;
	if (!data || !size || *size < kernel->param_bytes)
		return CUDA_ERROR_INVALID_VALUE;
	memcpy(buffer, data, kernel->param_bytes);
	return CUDA_SUCCESS;
}

static CUresult dimensions_check(const struct ptx_launch *launch, const struct function *function)
{
	static const uint32_t grid_max[3] = {PTX_GRID_X_MAX, PTX_GRID_YZ_MAX, PTX_GRID_YZ_MAX};
	static const uint32_t block_max[3] = {PTX_BLOCK_THREADS_MAX, PTX_BLOCK_THREADS_MAX, PTX_BLOCK_Z_MAX};
	uint64_t threads = 1;

	for (unsigned i = 0; i < 3; i++) {
		if (launch->grid[i] == 0 || launch->grid[i] > grid_max[i] || launch->block[i] == 0 ||
		    launch->block[i] > block_max[i])
			return CUDA_ERROR_INVALID_VALUE;
		threads *= launch->block[i];
	}
	if (threads > PTX_BLOCK_THREADS_MAX || launch->shared_bytes > function->dynamic_shared_max)
		return CUDA_ERROR_INVALID_VALUE;
	return CUDA_SUCCESS;
}

/* Errors that the launch itself reports; every other one happened in the kernel and sticks to the context. */
static bool is_launch_error(enum ptx_status status)
{
	return status == PTX_INVALID_VALUE || status == PTX_OUT_OF_MEMORY || status == PTX_LAUNCH_OUT_OF_RESOURCES ||
	       status == PTX_COOPERATIVE_LAUNCH_TOO_LARGE;
}

static uint64_t block_count(const struct ptx_launch *launch)
{
	return (uint64_t)launch->grid[0] * launch->grid[1] * launch->grid[2]; /* below 2^63 by the limits of grids */
}

/*
 * Threads for a launch: 1 when it is so small that waking another thread, and waiting until it had its turn on a CPU,
 * would take longer than the kernel; else 0 for all.
 */
static uint32_t workers_for(const struct function *function, const struct ptx_launch *launch)
{
	uint64_t blocks = block_count(launch), cost;
	uint32_t warps = (launch->block[0] * launch->block[1] * launch->block[2] + PTX_WARP - 1) / PTX_WARP;

	if (launch->cooperative)
		return 0;
	if (function->block_cost == 0)
		return blocks <= SMALL_LAUNCH_WARPS / warps;
	return !__builtin_mul_overflow(blocks, function->block_cost, &cost) && cost <= SMALL_LAUNCH_COST;
}

static CUresult run(struct context *context, struct function *function, struct ptx_launch *launch)
{
	struct ptx_log log = PTX_LOG_INIT;
	struct ptx_launch_stats stats = {0};
	enum ptx_status status;

	launch->workers = workers_for(function, launch);
	status = ptx_launch(function->module->ptx, function->kernel, launch, &stats, &log);
	if (status == PTX_OK)
		function->block_cost = MAX(stats.instructions / block_count(launch), (uint64_t)1);
	if (status == PTX_OK || is_launch_error(status))
		return (CUresult)status;
	context->fault = (CUresult)status;
	output_flush();
	/* A GPU's driver reports a failed assert on standard error; here every fault can say where it was. */
	fprintf(stderr, SOFTDEV_NAME ": %s%s", log.text, log.used > 0 && log.text[log.used - 1] == '\n' ? "" : "\n");
	return CUDA_SUCCESS;
}

static CUresult launch_function(CUfunction handle, const struct ptx_launch *shape, CUstream stream, void **params,
				void **extra)
{
	CALL_BEGIN(call, NEED_CONTEXT);
	struct ptx_launch launch = *shape;
	_Alignas(16) uint8_t buffer[PTX_PARAM_BYTES_MAX] = {0};
	struct function *function = NULL;

	call.result = function_find(call.context, handle, &function);
	if (call.result != CUDA_SUCCESS)
		return call.result;
	if (!stream_valid(call.context, stream))
		return CUDA_ERROR_INVALID_HANDLE;
	if (params && extra)
		return CUDA_ERROR_INVALID_VALUE;
	call.result = dimensions_check(&launch, function);
	if (call.result == CUDA_SUCCESS)
		call.result = extra ? params_from_extra(function->kernel, extra, buffer)
				    : params_from_list(function->kernel, params, buffer);
	if (call.result != CUDA_SUCCESS)
		return call.result;
	launch.params = buffer;
	launch.param_bytes = sizeof(buffer);
	launch.instruction_budget = softdev.budget;
	return run(call.context, function, &launch);
}

CUresult cuLaunchKernel(CUfunction function, unsigned int grid_dim_x, unsigned int grid_dim_y, unsigned int grid_dim_z,
			unsigned int block_dim_x, unsigned int block_dim_y, unsigned int block_dim_z,
			unsigned int shared_bytes, CUstream stream, void **kernel_params, void **extra)
{
	struct ptx_launch launch = {.grid = {grid_dim_x, grid_dim_y, grid_dim_z},
				    .block = {block_dim_x, block_dim_y, block_dim_z},
				    .shared_bytes = shared_bytes};

	return launch_function(function, &launch, stream, kernel_params, extra);
}

CUresult cuLaunchCooperativeKernel(CUfunction function, unsigned int grid_dim_x, unsigned int grid_dim_y,
				   unsigned int grid_dim_z, unsigned int block_dim_x, unsigned int block_dim_y,
				   unsigned int block_dim_z, unsigned int shared_bytes, CUstream stream,
				   void **kernel_params)
{
	struct ptx_launch launch = {.grid = {grid_dim_x, grid_dim_y, grid_dim_z},
				    .block = {block_dim_x, block_dim_y, block_dim_z},
				    .shared_bytes = shared_bytes,
				    .cooperative = true};

	return launch_function(function, &launch, stream, kernel_params, NULL);
}

/* Attributes that change what a kernel may do; the others only tune a schedule that is not here. */
static CUresult attributes_apply(const CUlaunchConfig *config, struct ptx_launch *launch)
{
	if (config->numAttrs > LAUNCH_ATTRIBUTES_MAX || (config->numAttrs > 0 && !config->attrs))
		return CUDA_ERROR_INVALID_VALUE;
	for (unsigned i = 0; i < config->numAttrs; i++) {
		const CUlaunchAttributeValue *value = &config->attrs[i].value;

		if (config->attrs[i].id == CU_LAUNCH_ATTRIBUTE_COOPERATIVE)
			launch->cooperative = value->cooperative != 0;
		if (config->attrs[i].id == CU_LAUNCH_ATTRIBUTE_CLUSTER_DIMENSION &&
		    (value->clusterDim.x > 1 || value->clusterDim.y > 1 || value->clusterDim.z > 1))
			return CUDA_ERROR_NOT_SUPPORTED;
	}
	return CUDA_SUCCESS;
}

CUresult cuLaunchKernelEx(const CUlaunchConfig *config, CUfunction function, void **kernel_params, void **extra)
{
	struct ptx_launch launch = {0};
	CUresult result;

	if (!config)
		return CUDA_ERROR_INVALID_VALUE;
	launch = (struct ptx_launch){.grid = {config->gridDimX, config->gridDimY, config->gridDimZ},
				     .block = {config->blockDimX, config->blockDimY, config->blockDimZ},
				     .shared_bytes = config->sharedMemBytes};
	result = attributes_apply(config, &launch);
	return result == CUDA_SUCCESS ? launch_function(function, &launch, config->hStream, kernel_params, extra)
				      : result;
}
