/* Streams and events. Work is complete when its call returns, so there is nothing to wait for; events keep host time.
 */
#include "cudaexec/softdev/api.h"

#include <time.h>

bool stream_valid(const struct context *context, CUstream stream)
{
	const struct stream *found;

	if (!stream || stream == CU_STREAM_LEGACY || stream == CU_STREAM_PER_THREAD)
		return true;
	found = object_find(stream, OBJECT_STREAM);
	return found && found->object.context == context;
}

CUresult cuStreamCreateWithPriority(CUstream *stream, unsigned int flags, int priority)
{
	CALL_BEGIN(call, NEED_CONTEXT);
	struct stream *made;

	if (!stream || flags > CU_STREAM_NON_BLOCKING)
		return CUDA_ERROR_INVALID_VALUE;
	made = calloc(1, sizeof(*made));
	if (!made)
		return CUDA_ERROR_OUT_OF_MEMORY;
	made->flags = flags;
	made->priority = 0; /* clamped to the range, which is one value */
	(void)priority;
	call.result = object_register(&made->object, OBJECT_STREAM, call.context);
	if (call.result != CUDA_SUCCESS)
		free(made);
	else
		*stream = HANDLE(CUstream, made);
	return call.result;
}

CUresult cuStreamCreate(CUstream *stream, unsigned int flags)
{
	return cuStreamCreateWithPriority(stream, flags, 0);
}

CUresult cuStreamDestroy_v2(CUstream stream)
{
	CALL_BEGIN(call, NEED_CONTEXT);
	struct stream *found = object_find(stream, OBJECT_STREAM);

	if (!found)
		return CUDA_ERROR_INVALID_HANDLE;
	object_unregister(&found->object);
	free(found);
	return CUDA_SUCCESS;
}

static CUresult stream_check(CUstream stream)
{
	CALL_BEGIN(call, NEED_CONTEXT);

	return stream_valid(call.context, stream) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_HANDLE;
}

CUresult cuStreamSynchronize(CUstream stream)
{
	CALL_BEGIN(call, NEED_CONTEXT);

	if (!stream_valid(call.context, stream))
		return CUDA_ERROR_INVALID_HANDLE;
	output_flush();
	return CUDA_SUCCESS;
}

CUresult cuStreamQuery(CUstream stream)
{
	return stream_check(stream);
}

CUresult cuStreamWaitEvent(CUstream stream, CUevent event, unsigned int flags)
{
	CALL_BEGIN(call, NEED_CONTEXT);

	if (flags > 1)
		return CUDA_ERROR_INVALID_VALUE;
	if (!stream_valid(call.context, stream) || !object_find(event, OBJECT_EVENT))
		return CUDA_ERROR_INVALID_HANDLE;
	return CUDA_SUCCESS;
}

CUresult cuStreamGetFlags(CUstream stream, unsigned int *flags)
{
	CALL_BEGIN(call, NEED_CONTEXT);
	const struct stream *found = object_find(stream, OBJECT_STREAM);

	if (!flags)
		return CUDA_ERROR_INVALID_VALUE;
	if (!stream_valid(call.context, stream))
		return CUDA_ERROR_INVALID_HANDLE;
	*flags = found ? found->flags : CU_STREAM_DEFAULT;
	return CUDA_SUCCESS;
}

CUresult cuStreamGetPriority(CUstream stream, int *priority)
{
	CALL_BEGIN(call, NEED_CONTEXT);
	const struct stream *found = object_find(stream, OBJECT_STREAM);

	if (!priority)
		return CUDA_ERROR_INVALID_VALUE;
	if (!stream_valid(call.context, stream))
		return CUDA_ERROR_INVALID_HANDLE;
	*priority = found ? found->priority : 0;
	return CUDA_SUCCESS;
}

CUresult cuStreamGetCtx(CUstream stream, CUcontext *context)
{
	CALL_BEGIN(call, NEED_CONTEXT);

	if (!context)
		return CUDA_ERROR_INVALID_VALUE;
	if (!stream_valid(call.context, stream))
		return CUDA_ERROR_INVALID_HANDLE;
	*context = HANDLE(CUcontext, call.context);
	return CUDA_SUCCESS;
}

CUresult cuStreamAddCallback(CUstream stream, CUstreamCallback callback, void *user_data, unsigned int flags)
{
	CUresult result;

	if (!callback || flags != 0)
		return CUDA_ERROR_INVALID_VALUE;
	result = stream_check(stream);
	if (result == CUDA_SUCCESS)
		callback(stream, CUDA_SUCCESS, user_data);
	return result;
}

CUresult cuLaunchHostFunc(CUstream stream, CUhostFn function, void *user_data)
{
	CUresult result;

	if (!function)
		return CUDA_ERROR_INVALID_VALUE;
	result = stream_check(stream);
	if (result == CUDA_SUCCESS)
		function(user_data);
	return result;
}

CUresult cuEventCreate(CUevent *event, unsigned int flags)
{
	CALL_BEGIN(call, NEED_CONTEXT);
	struct event *made;

	if (!event || (flags & ~(unsigned)(CU_EVENT_BLOCKING_SYNC | CU_EVENT_DISABLE_TIMING | CU_EVENT_INTERPROCESS)))
		return CUDA_ERROR_INVALID_VALUE;
	if (flags & CU_EVENT_INTERPROCESS)
		return CUDA_ERROR_NOT_SUPPORTED;
	made = calloc(1, sizeof(*made));
	if (!made)
		return CUDA_ERROR_OUT_OF_MEMORY;
	made->flags = flags;
	call.result = object_register(&made->object, OBJECT_EVENT, call.context);
	if (call.result != CUDA_SUCCESS)
		free(made);
	else
		*event = HANDLE(CUevent, made);
	return call.result;
}

CUresult cuEventDestroy_v2(CUevent event)
{
	CALL_BEGIN(call, NEED_CONTEXT);
	struct event *found = object_find(event, OBJECT_EVENT);

	if (!found)
		return CUDA_ERROR_INVALID_HANDLE;
	object_unregister(&found->object);
	free(found);
	return CUDA_SUCCESS;
}

CUresult cuEventRecordWithFlags(CUevent event, CUstream stream, unsigned int flags)
{
	CALL_BEGIN(call, NEED_CONTEXT);
	struct event *found = object_find(event, OBJECT_EVENT);
	struct timespec now;

	if (flags > 1)
		return CUDA_ERROR_INVALID_VALUE;
	if (!found || found->object.context != call.context || !stream_valid(call.context, stream))
		return CUDA_ERROR_INVALID_HANDLE;
	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	found->time_ns = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
	found->recorded = true;
	return CUDA_SUCCESS;
}

CUresult cuEventRecord(CUevent event, CUstream stream)
{
	return cuEventRecordWithFlags(event, stream, 0);
}

CUresult cuEventQuery(CUevent event)
{
	CALL_BEGIN(call, NEED_CONTEXT);

	return object_find(event, OBJECT_EVENT) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_HANDLE;
}

CUresult cuEventSynchronize(CUevent event)
{
	CALL_BEGIN(call, NEED_CONTEXT);

	if (!object_find(event, OBJECT_EVENT))
		return CUDA_ERROR_INVALID_HANDLE;
	output_flush();
	return CUDA_SUCCESS;
}

CUresult cuEventElapsedTime_v2(float *milliseconds, CUevent start, CUevent end)
{
	CALL_BEGIN(call, NEED_CONTEXT);
	const struct event *first = object_find(start, OBJECT_EVENT), *last = object_find(end, OBJECT_EVENT);

	if (!milliseconds)
		return CUDA_ERROR_INVALID_VALUE;
	if (!first || !last || !first->recorded || !last->recorded ||
	    ((first->flags | last->flags) & CU_EVENT_DISABLE_TIMING))
		return CUDA_ERROR_INVALID_HANDLE;
	*milliseconds = (float)((double)((int64_t)last->time_ns - (int64_t)first->time_ns) / 1e6);
	return CUDA_SUCCESS;
}

CUresult cuEventElapsedTime(float *milliseconds, CUevent start, CUevent end)
{
	return cuEventElapsedTime_v2(milliseconds, start, end);
}
