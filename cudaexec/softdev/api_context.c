/* Contexts: creation, the stack of current contexts of each thread, the primary context, limits. */
#include "cudaexec/softdev/api.h"

#include <string.h>

#define API_VERSION_3020 3020u
#define API_VERSION	 4020u
#define STACK_DEFAULT	 1024u
#define STACK_MAX	 (512u << 10)

/* Handles, not pointers: a context may be destroyed by another thread. */
static _Thread_local CUcontext stack[SOFTDEV_CONTEXT_DEPTH];
static _Thread_local unsigned depth;

struct context *context_current(CUresult *ret_result)
{
	struct context *context;

	if (depth == 0 || !stack[depth - 1]) {
		*ret_result = CUDA_ERROR_INVALID_CONTEXT;
		return NULL;
	}
	context = object_find(stack[depth - 1], OBJECT_CONTEXT);
	if (!context)
		*ret_result = CUDA_ERROR_CONTEXT_IS_DESTROYED;
	return context;
}

void output_flush(void)
{
	size_t length = 0;
	_cleanup_free_ char *text = ptx_device_take_output(softdev.device, &length);

	if (text) {
		(void)fwrite(text, 1, length, stdout);
		(void)fflush(stdout);
	}
}

static CUresult context_new(unsigned flags, unsigned api_version, struct context **ret_context)
{
	struct context *context = calloc(1, sizeof(*context));
	CUresult result;

	if (!context)
		return CUDA_ERROR_OUT_OF_MEMORY;
	context->flags = flags;
	context->api_version = api_version;
	context->id = ++softdev.next_id;
	context->stack_limit = STACK_DEFAULT;
	result = object_register(&context->object, OBJECT_CONTEXT, NULL);
	if (result != CUDA_SUCCESS) {
		free(context);
		return result;
	}
	*ret_context = context;
	return CUDA_SUCCESS;
}

/* Modules take their functions with them, so they go in a pass of their own. */
static void destroy_module(struct object *object)
{
	if (object->kind == OBJECT_MODULE)
		module_destroy((struct module *)object);
}

static void destroy_rest(struct object *object)
{
	if (object->kind == OBJECT_STREAM || object->kind == OBJECT_EVENT) {
		object_unregister(object);
		free(object);
	}
}

void context_destroy(struct context *context)
{
	output_flush();
	object_each(context, destroy_module);
	object_each(context, destroy_rest);
	allocations_free_context(context);
	object_unregister(&context->object);
	free(context);
}

static CUresult push(CUcontext context)
{
	if (depth == SOFTDEV_CONTEXT_DEPTH)
		return CUDA_ERROR_INVALID_VALUE;
	stack[depth++] = context;
	return CUDA_SUCCESS;
}

static CUresult flags_check(unsigned flags)
{
	const unsigned schedule = flags & CU_CTX_SCHED_MASK;

	if (flags & ~(unsigned)CU_CTX_FLAGS_MASK)
		return CUDA_ERROR_INVALID_VALUE;
	if (schedule != CU_CTX_SCHED_AUTO && schedule != CU_CTX_SCHED_SPIN && schedule != CU_CTX_SCHED_YIELD &&
	    schedule != CU_CTX_SCHED_BLOCKING_SYNC)
		return CUDA_ERROR_INVALID_VALUE;
	return CUDA_SUCCESS;
}

static CUresult create(CUcontext *context, unsigned flags, CUdevice device, unsigned api_version)
{
	CALL_BEGIN(call, NEED_DEVICE);
	struct context *made = NULL;

	if (!context)
		return CUDA_ERROR_INVALID_VALUE;
	if (device != 0)
		return CUDA_ERROR_INVALID_DEVICE;
	if (flags_check(flags) != CUDA_SUCCESS || depth == SOFTDEV_CONTEXT_DEPTH)
		return CUDA_ERROR_INVALID_VALUE;
	call.result = context_new(flags, api_version, &made);
	if (call.result != CUDA_SUCCESS)
		return call.result;
	*context = HANDLE(CUcontext, made);
	return push(*context);
}

CUresult cuCtxCreate_v2(CUcontext *context, unsigned int flags, CUdevice device)
{
	return create(context, flags, device, API_VERSION_3020);
}

CUresult cuCtxCreate_v3(CUcontext *context, CUexecAffinityParam *affinity, int affinity_count, unsigned int flags,
			CUdevice device)
{
	if (affinity_count < 0 || (affinity_count > 0 && !affinity))
		return CUDA_ERROR_INVALID_VALUE;
	if (affinity_count > 0)
		return CUDA_ERROR_UNSUPPORTED_EXEC_AFFINITY;
	return create(context, flags, device, API_VERSION);
}

CUresult cuCtxCreate_v4(CUcontext *context, CUctxCreateParams *params, unsigned int flags, CUdevice device)
{
	if (params && params->cigParams)
		return CUDA_ERROR_NOT_SUPPORTED;
	return params ? cuCtxCreate_v3(context, params->execAffinityParams, params->numExecAffinityParams, flags,
				       device)
		      : create(context, flags, device, API_VERSION);
}

CUresult cuCtxDestroy_v2(CUcontext context)
{
	CALL_BEGIN(call, NEED_DEVICE);
	struct context *found = object_find(context, OBJECT_CONTEXT);

	if (!found || found == softdev.primary)
		return CUDA_ERROR_INVALID_CONTEXT;
	if (depth > 0 && stack[depth - 1] == context)
		depth--;
	context_destroy(found);
	return CUDA_SUCCESS;
}

CUresult cuCtxPushCurrent_v2(CUcontext context)
{
	CALL_BEGIN(call, NEED_DEVICE);

	if (!object_find(context, OBJECT_CONTEXT))
		return CUDA_ERROR_INVALID_CONTEXT;
	return push(context);
}

CUresult cuCtxPopCurrent_v2(CUcontext *context)
{
	CALL_BEGIN(call, NEED_DEVICE);

	if (depth == 0)
		return CUDA_ERROR_INVALID_CONTEXT;
	depth--;
	if (context)
		*context = stack[depth];
	return CUDA_SUCCESS;
}

CUresult cuCtxSetCurrent(CUcontext context)
{
	CALL_BEGIN(call, NEED_DEVICE);

	if (!context) {
		if (depth > 0)
			depth--;
		return CUDA_SUCCESS;
	}
	if (!object_find(context, OBJECT_CONTEXT))
		return CUDA_ERROR_INVALID_CONTEXT;
	if (depth == 0)
		return push(context);
	stack[depth - 1] = context;
	return CUDA_SUCCESS;
}

CUresult cuCtxGetCurrent(CUcontext *context)
{
	CALL_BEGIN(call, NEED_DEVICE);

	if (!context)
		return CUDA_ERROR_INVALID_VALUE;
	*context = depth > 0 ? stack[depth - 1] : NULL;
	return CUDA_SUCCESS;
}

/* The context of a handle; NULL means the one that is current. */
static struct context *context_of(CUcontext handle, CUresult *ret_result)
{
	struct context *context = handle ? object_find(handle, OBJECT_CONTEXT) : context_current(ret_result);

	if (handle && !context)
		*ret_result = CUDA_ERROR_INVALID_CONTEXT;
	return context;
}

CUresult cuCtxGetDevice_v2(CUdevice *device, CUcontext context)
{
	CALL_BEGIN(call, NEED_DEVICE);

	if (!device)
		return CUDA_ERROR_INVALID_VALUE;
	if (!context_of(context, &call.result))
		return call.result;
	*device = 0;
	return CUDA_SUCCESS;
}

CUresult cuCtxGetDevice(CUdevice *device)
{
	return cuCtxGetDevice_v2(device, NULL);
}

CUresult cuCtxGetFlags(unsigned int *flags)
{
	CALL_BEGIN(call, NEED_CONTEXT);

	if (!flags)
		return CUDA_ERROR_INVALID_VALUE;
	*flags = call.context->flags;
	return CUDA_SUCCESS;
}

CUresult cuCtxGetApiVersion(CUcontext context, unsigned int *version)
{
	CALL_BEGIN(call, NEED_DEVICE);
	struct context *found = context_of(context, &call.result);

	if (!found)
		return call.result;
	if (!version)
		return CUDA_ERROR_INVALID_VALUE;
	*version = found->api_version;
	return CUDA_SUCCESS;
}

CUresult cuCtxGetId(CUcontext context, unsigned long long *id)
{
	CALL_BEGIN(call, NEED_DEVICE);
	struct context *found = context_of(context, &call.result);

	if (!found)
		return call.result;
	if (!id)
		return CUDA_ERROR_INVALID_VALUE;
	*id = found->id;
	return CUDA_SUCCESS;
}

CUresult cuCtxSynchronize_v2(CUcontext context)
{
	CALL_BEGIN(call, NEED_DEVICE);
	struct context *found = context_of(context, &call.result);

	if (!found)
		return call.result;
	output_flush();
	return found->fault;
}

CUresult cuCtxSynchronize(void)
{
	return cuCtxSynchronize_v2(NULL);
}

CUresult cuCtxGetLimit(size_t *value, CUlimit limit)
{
	CALL_BEGIN(call, NEED_CONTEXT);

	if (!value)
		return CUDA_ERROR_INVALID_VALUE;
	switch (limit) {
	case CU_LIMIT_STACK_SIZE:
		*value = call.context->stack_limit;
		return CUDA_SUCCESS;
	case CU_LIMIT_PRINTF_FIFO_SIZE:
		*value = PTX_PRINTF_BYTES;
		return CUDA_SUCCESS;
	case CU_LIMIT_MALLOC_HEAP_SIZE:
		*value = ptx_device_heap(softdev.device);
		return CUDA_SUCCESS;
	default:
		return CUDA_ERROR_UNSUPPORTED_LIMIT;
	}
}

CUresult cuCtxSetLimit(CUlimit limit, size_t value)
{
	CALL_BEGIN(call, NEED_CONTEXT);

	switch (limit) {
	case CU_LIMIT_STACK_SIZE:
		/* The engine sizes stacks by need; the limit is kept for programs that read it back. */
		if (value > STACK_MAX)
			return CUDA_ERROR_INVALID_VALUE;
		call.context->stack_limit = value;
		return CUDA_SUCCESS;
	case CU_LIMIT_PRINTF_FIFO_SIZE:
		return value <= PTX_PRINTF_BYTES ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
	case CU_LIMIT_MALLOC_HEAP_SIZE:
		return (CUresult)ptx_device_set_heap(softdev.device, value);
	default:
		return CUDA_ERROR_UNSUPPORTED_LIMIT;
	}
}

CUresult cuCtxGetStreamPriorityRange(int *least_priority, int *greatest_priority)
{
	CALL_BEGIN(call, NEED_CONTEXT);

	if (least_priority)
		*least_priority = 0;
	if (greatest_priority)
		*greatest_priority = 0;
	return CUDA_SUCCESS;
}

CUresult cuDevicePrimaryCtxRetain(CUcontext *context, CUdevice device)
{
	CALL_BEGIN(call, NEED_DEVICE);

	if (!context)
		return CUDA_ERROR_INVALID_VALUE;
	if (device != 0)
		return CUDA_ERROR_INVALID_DEVICE;
	if (!softdev.primary) {
		call.result = context_new(softdev.primary_flags, API_VERSION, &softdev.primary);
		if (call.result != CUDA_SUCCESS)
			return call.result;
	}
	softdev.primary_references++;
	*context = HANDLE(CUcontext, softdev.primary);
	return CUDA_SUCCESS;
}

static void primary_destroy(void)
{
	if (softdev.primary)
		context_destroy(softdev.primary);
	softdev.primary = NULL;
}

CUresult cuDevicePrimaryCtxRelease_v2(CUdevice device)
{
	CALL_BEGIN(call, NEED_DEVICE);

	if (device != 0)
		return CUDA_ERROR_INVALID_DEVICE;
	if (softdev.primary_references == 0)
		return CUDA_ERROR_INVALID_CONTEXT;
	if (--softdev.primary_references == 0)
		primary_destroy();
	return CUDA_SUCCESS;
}

CUresult cuDevicePrimaryCtxRelease(CUdevice device)
{
	return cuDevicePrimaryCtxRelease_v2(device);
}

CUresult cuDevicePrimaryCtxReset_v2(CUdevice device)
{
	CALL_BEGIN(call, NEED_DEVICE);

	if (device != 0)
		return CUDA_ERROR_INVALID_DEVICE;
	softdev.primary_references = 0;
	primary_destroy();
	return CUDA_SUCCESS;
}

CUresult cuDevicePrimaryCtxReset(CUdevice device)
{
	return cuDevicePrimaryCtxReset_v2(device);
}

CUresult cuDevicePrimaryCtxSetFlags_v2(CUdevice device, unsigned int flags)
{
	CALL_BEGIN(call, NEED_DEVICE);

	if (device != 0)
		return CUDA_ERROR_INVALID_DEVICE;
	if (flags_check(flags) != CUDA_SUCCESS)
		return CUDA_ERROR_INVALID_VALUE;
	softdev.primary_flags = flags;
	if (softdev.primary)
		softdev.primary->flags = flags;
	return CUDA_SUCCESS;
}

CUresult cuDevicePrimaryCtxSetFlags(CUdevice device, unsigned int flags)
{
	return cuDevicePrimaryCtxSetFlags_v2(device, flags);
}

CUresult cuDevicePrimaryCtxGetState(CUdevice device, unsigned int *flags, int *active)
{
	CALL_BEGIN(call, NEED_DEVICE);

	if (device != 0)
		return CUDA_ERROR_INVALID_DEVICE;
	if (!flags || !active)
		return CUDA_ERROR_INVALID_VALUE;
	*flags = softdev.primary_flags;
	*active = softdev.primary != NULL;
	return CUDA_SUCCESS;
}
