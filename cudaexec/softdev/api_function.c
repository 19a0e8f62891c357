/* Questions about functions and kernels, their attributes, and how many blocks fit a multiprocessor. */
#include "cudaexec/softdev/api.h"

static CUresult kernel_attribute(const struct ptx_kernel *kernel, const struct ptx_program *program,
				 uint32_t dynamic_shared_max, CUfunction_attribute attribute, int *value)
{
	switch (attribute) {
	case CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK:
		*value = (int)kernel->threads_max;
		return CUDA_SUCCESS;
	case CU_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES:
		*value = (int)kernel->shared_bytes;
		return CUDA_SUCCESS;
	case CU_FUNC_ATTRIBUTE_LOCAL_SIZE_BYTES:
		*value = (int)kernel->local_bytes;
		return CUDA_SUCCESS;
	case CU_FUNC_ATTRIBUTE_NUM_REGS:
		*value = (int)kernel->register_count;
		return CUDA_SUCCESS;
	case CU_FUNC_ATTRIBUTE_PTX_VERSION:
	case CU_FUNC_ATTRIBUTE_BINARY_VERSION:
		*value = (int)ptx_program_target(program);
		return CUDA_SUCCESS;
	case CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES:
		*value = (int)dynamic_shared_max;
		return CUDA_SUCCESS;
	case CU_FUNC_ATTRIBUTE_PREFERRED_SHARED_MEMORY_CARVEOUT:
		*value = -1; /* no preference */
		return CUDA_SUCCESS;
	default:
		if (attribute > CU_FUNC_ATTRIBUTE_CLUSTER_SCHEDULING_POLICY_PREFERENCE)
			return CUDA_ERROR_INVALID_VALUE;
		*value = 0;
		return CUDA_SUCCESS;
	}
}

static CUresult set_attribute(const struct ptx_kernel *kernel, uint32_t *dynamic_shared_max,
			      CUfunction_attribute attribute, int value)
{
	switch (attribute) {
	case CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES:
		if (value < 0 || (unsigned)value > PTX_SHARED_MAX - kernel->shared_bytes)
			return CUDA_ERROR_INVALID_VALUE;
		*dynamic_shared_max = (uint32_t)value;
		return CUDA_SUCCESS;
	case CU_FUNC_ATTRIBUTE_PREFERRED_SHARED_MEMORY_CARVEOUT:
		return value >= -1 && value <= 100 ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
	default:
		return CUDA_ERROR_INVALID_VALUE;
	}
}

CUresult cuFuncGetAttribute(int *value, CUfunction_attribute attribute, CUfunction function)
{
	CALL_BEGIN(call, NEED_CONTEXT);
	struct function *found = NULL;

	if (!value)
		return CUDA_ERROR_INVALID_VALUE;
	call.result = function_find(call.context, function, &found);
	if (call.result != CUDA_SUCCESS)
		return call.result;
	return kernel_attribute(found->kernel, found->module->program->ptx, found->dynamic_shared_max, attribute,
				value);
}

CUresult cuFuncSetAttribute(CUfunction function, CUfunction_attribute attribute, int value)
{
	CALL_BEGIN(call, NEED_CONTEXT);
	struct function *found = NULL;

	call.result = function_find(call.context, function, &found);
	if (call.result != CUDA_SUCCESS)
		return call.result;
	return set_attribute(found->kernel, &found->dynamic_shared_max, attribute, value);
}

CUresult cuKernelGetAttribute(int *value, CUfunction_attribute attribute, CUkernel kernel, CUdevice device)
{
	CALL_BEGIN(call, NEED_DEVICE);
	const struct kernel *found = object_find(kernel, OBJECT_KERNEL);

	if (!value)
		return CUDA_ERROR_INVALID_VALUE;
	if (!found)
		return CUDA_ERROR_INVALID_HANDLE;
	if (device != 0)
		return CUDA_ERROR_INVALID_DEVICE;
	return kernel_attribute(found->kernel, found->library->program->ptx, found->dynamic_shared_max, attribute,
				value);
}

CUresult cuKernelSetAttribute(CUfunction_attribute attribute, int value, CUkernel kernel, CUdevice device)
{
	CALL_BEGIN(call, NEED_DEVICE);
	struct kernel *found = object_find(kernel, OBJECT_KERNEL);

	if (!found)
		return CUDA_ERROR_INVALID_HANDLE;
	if (device != 0)
		return CUDA_ERROR_INVALID_DEVICE;
	return set_attribute(found->kernel, &found->dynamic_shared_max, attribute, value);
}

CUresult cuKernelGetFunction(CUfunction *function, CUkernel kernel)
{
	CALL_BEGIN(call, NEED_CONTEXT);
	struct function *found = NULL;

	if (!function)
		return CUDA_ERROR_INVALID_VALUE;
	if (!object_find(kernel, OBJECT_KERNEL))
		return CUDA_ERROR_INVALID_HANDLE;
	call.result = function_find(call.context, (CUfunction)(void *)kernel, &found);
	if (call.result == CUDA_SUCCESS)
		*function = HANDLE(CUfunction, found);
	return call.result;
}

CUresult cuFuncSetCacheConfig(CUfunction function, CUfunc_cache config)
{
	CALL_BEGIN(call, NEED_CONTEXT);
	struct function *found = NULL;

	if (config > CU_FUNC_CACHE_PREFER_EQUAL)
		return CUDA_ERROR_INVALID_VALUE;
	return function_find(call.context, function, &found);
}

CUresult cuFuncGetModule(CUmodule *module, CUfunction function)
{
	CALL_BEGIN(call, NEED_CONTEXT);
	struct function *found = NULL;

	if (!module)
		return CUDA_ERROR_INVALID_VALUE;
	call.result = function_find(call.context, function, &found);
	if (call.result == CUDA_SUCCESS)
		*module = HANDLE(CUmodule, found->module);
	return call.result;
}

CUresult cuFuncGetName(const char **name, CUfunction function)
{
	CALL_BEGIN(call, NEED_CONTEXT);
	struct function *found = NULL;

	if (!name)
		return CUDA_ERROR_INVALID_VALUE;
	call.result = function_find(call.context, function, &found);
	if (call.result == CUDA_SUCCESS)
		*name = found->kernel->name;
	return call.result;
}

static CUresult param_info(const struct ptx_kernel *kernel, size_t index, size_t *offset, size_t *size)
{
	if (!offset || index >= kernel->param_count)
		return CUDA_ERROR_INVALID_VALUE;
	*offset = kernel->params[index].offset;
	if (size)
		*size = kernel->params[index].size;
	return CUDA_SUCCESS;
}

CUresult cuFuncGetParamInfo(CUfunction function, size_t param_index, size_t *param_offset, size_t *param_size)
{
	CALL_BEGIN(call, NEED_CONTEXT);
	struct function *found = NULL;

	call.result = function_find(call.context, function, &found);
	return call.result == CUDA_SUCCESS ? param_info(found->kernel, param_index, param_offset, param_size)
					   : call.result;
}

CUresult cuKernelGetParamInfo(CUkernel kernel, size_t param_index, size_t *param_offset, size_t *param_size)
{
	CALL_BEGIN(call, NEED_DEVICE);
	const struct kernel *found = object_find(kernel, OBJECT_KERNEL);

	return found ? param_info(found->kernel, param_index, param_offset, param_size) : CUDA_ERROR_INVALID_HANDLE;
}

/* Blocks of BLOCK_SIZE threads that one multiprocessor holds at a time. */
static unsigned blocks_resident(const struct ptx_kernel *kernel, unsigned block_size, size_t dynamic_shared)
{
	unsigned threads = (block_size + PTX_WARP - 1) / PTX_WARP * PTX_WARP;
	unsigned blocks = MIN(SOFTDEV_THREADS_PER_SM / threads, SOFTDEV_BLOCKS_PER_SM);
	uint64_t shared = kernel->shared_bytes + (uint64_t)MIN(dynamic_shared, (size_t)PTX_SHARED_MAX + 1);

	if (shared > PTX_SHARED_MAX || block_size > kernel->threads_max)
		return 0;
	return shared > 0 ? MIN(blocks, (unsigned)(PTX_SHARED_MAX / shared)) : blocks;
}

CUresult cuOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(int *num_blocks, CUfunction function, int block_size,
							      size_t dynamic_shared_bytes, unsigned int flags)
{
	CALL_BEGIN(call, NEED_CONTEXT);
	struct function *found = NULL;

	if (!num_blocks || block_size <= 0 || flags > 1)
		return CUDA_ERROR_INVALID_VALUE;
	call.result = function_find(call.context, function, &found);
	if (call.result != CUDA_SUCCESS)
		return call.result;
	*num_blocks = block_size > (int)PTX_BLOCK_THREADS_MAX
			      ? 0
			      : (int)blocks_resident(found->kernel, (unsigned)block_size, dynamic_shared_bytes);
	return CUDA_SUCCESS;
}

CUresult cuOccupancyMaxActiveBlocksPerMultiprocessor(int *num_blocks, CUfunction function, int block_size,
						     size_t dynamic_shared_bytes)
{
	return cuOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(num_blocks, function, block_size,
								    dynamic_shared_bytes, 0);
}

CUresult cuOccupancyMaxPotentialBlockSizeWithFlags(int *min_grid_size, int *block_size, CUfunction function,
						   CUoccupancyB2DSize block_to_shared, size_t dynamic_shared_bytes,
						   int block_size_limit, unsigned int flags)
{
	struct ptx_kernel kernel = {0};
	unsigned best_threads = 0, best_size = 0, limit, workers;

	if (!min_grid_size || !block_size || block_size_limit < 0 || flags > 1)
		return CUDA_ERROR_INVALID_VALUE;
	{
		CALL_BEGIN(call, NEED_CONTEXT);
		struct function *found = NULL;

		call.result = function_find(call.context, function, &found);
		if (call.result != CUDA_SUCCESS)
			return call.result;
		kernel = *found->kernel;
		workers = ptx_device_workers(softdev.device);
	}
	limit = block_size_limit > 0 ? MIN((unsigned)block_size_limit, kernel.threads_max) : kernel.threads_max;
	for (unsigned size = (limit + PTX_WARP - 1) / PTX_WARP * PTX_WARP; size > 0; size -= PTX_WARP) {
		unsigned threads = MIN(size, limit);
		/* The callback is the program's: it runs without our lock. */
		size_t shared = block_to_shared ? block_to_shared((int)threads) : dynamic_shared_bytes;
		unsigned resident = blocks_resident(&kernel, threads, shared) * threads;

		if (resident > best_threads) {
			best_threads = resident;
			best_size = threads;
		}
	}
	*block_size = (int)best_size;
	*min_grid_size = best_size ? (int)(best_threads / best_size * workers) : 0;
	return CUDA_SUCCESS;
}

CUresult cuOccupancyMaxPotentialBlockSize(int *min_grid_size, int *block_size, CUfunction function,
					  CUoccupancyB2DSize block_to_shared, size_t dynamic_shared_bytes,
					  int block_size_limit)
{
	return cuOccupancyMaxPotentialBlockSizeWithFlags(min_grid_size, block_size, function, block_to_shared,
							 dynamic_shared_bytes, block_size_limit, 0);
}

CUresult cuOccupancyAvailableDynamicSMemPerBlock(size_t *dynamic_shared_bytes, CUfunction function, int num_blocks,
						 int block_size)
{
	CALL_BEGIN(call, NEED_CONTEXT);
	struct function *found = NULL;
	uint32_t share;

	if (!dynamic_shared_bytes || num_blocks <= 0 || block_size <= 0)
		return CUDA_ERROR_INVALID_VALUE;
	call.result = function_find(call.context, function, &found);
	if (call.result != CUDA_SUCCESS)
		return call.result;
	if ((uint64_t)num_blocks * (uint64_t)block_size > SOFTDEV_THREADS_PER_SM)
		return CUDA_ERROR_INVALID_VALUE;
	share = PTX_SHARED_MAX / (uint32_t)num_blocks;
	*dynamic_shared_bytes = share > found->kernel->shared_bytes ? share - found->kernel->shared_bytes : 0;
	return CUDA_SUCCESS;
}
