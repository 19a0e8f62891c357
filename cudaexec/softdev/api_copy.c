/*
 * Copies and fills. Device addresses are addresses of this process, so each is a memcpy once the range is known to lie
 * inside one allocation. The asynchronous twins do the same at once: commands run in issue order.
 */
#include "cudaexec/softdev/api.h"

#include <string.h>

static void *bytes_at(uint64_t address)
{
	return (void *)(uintptr_t)address;
}

static bool on_device(uint64_t address, uint64_t bytes)
{
	return device_memory_check(softdev.memory, address, bytes);
}

/* Range of an address that may belong to the device or to the program's ordinary memory. */
static bool anywhere(uint64_t address, uint64_t bytes)
{
	struct device_range range;

	return address != 0 && (!device_memory_find(softdev.memory, address, &range) || on_device(address, bytes));
}

/* A copy that was checked. */
static CUresult copy(uint64_t dst, uint64_t src, uint64_t bytes)
{
	if (bytes > 0)
		memmove(bytes_at(dst), bytes_at(src), bytes);
	return CUDA_SUCCESS;
}

CUresult cuMemcpyHtoDAsync_v2(CUdeviceptr dst, const void *src, size_t bytes, CUstream stream)
{
	CALL_BEGIN(call, NEED_CONTEXT);

	if (!stream_valid(call.context, stream))
		return CUDA_ERROR_INVALID_HANDLE;
	if (!on_device(dst, bytes) || (bytes > 0 && !anywhere((uintptr_t)src, bytes)))
		return CUDA_ERROR_INVALID_VALUE;
	return copy(dst, (uintptr_t)src, bytes);
}

CUresult cuMemcpyDtoHAsync_v2(void *dst, CUdeviceptr src, size_t bytes, CUstream stream)
{
	CALL_BEGIN(call, NEED_CONTEXT);

	if (!stream_valid(call.context, stream))
		return CUDA_ERROR_INVALID_HANDLE;
	if (!on_device(src, bytes) || (bytes > 0 && !anywhere((uintptr_t)dst, bytes)))
		return CUDA_ERROR_INVALID_VALUE;
	output_flush();
	return copy((uintptr_t)dst, src, bytes);
}

CUresult cuMemcpyDtoDAsync_v2(CUdeviceptr dst, CUdeviceptr src, size_t bytes, CUstream stream)
{
	CALL_BEGIN(call, NEED_CONTEXT);

	if (!stream_valid(call.context, stream))
		return CUDA_ERROR_INVALID_HANDLE;
	if (!on_device(dst, bytes) || !on_device(src, bytes))
		return CUDA_ERROR_INVALID_VALUE;
	return copy(dst, src, bytes);
}

CUresult cuMemcpyAsync(CUdeviceptr dst, CUdeviceptr src, size_t bytes, CUstream stream)
{
	CALL_BEGIN(call, NEED_CONTEXT);

	if (!stream_valid(call.context, stream))
		return CUDA_ERROR_INVALID_HANDLE;
	if (bytes > 0 && (!anywhere(dst, bytes) || !anywhere(src, bytes)))
		return CUDA_ERROR_INVALID_VALUE;
	output_flush();
	return copy(dst, src, bytes);
}

CUresult cuMemcpyHtoD_v2(CUdeviceptr dst, const void *src, size_t bytes)
{
	return cuMemcpyHtoDAsync_v2(dst, src, bytes, NULL);
}

CUresult cuMemcpyDtoH_v2(void *dst, CUdeviceptr src, size_t bytes)
{
	return cuMemcpyDtoHAsync_v2(dst, src, bytes, NULL);
}

CUresult cuMemcpyDtoD_v2(CUdeviceptr dst, CUdeviceptr src, size_t bytes)
{
	return cuMemcpyDtoDAsync_v2(dst, src, bytes, NULL);
}

CUresult cuMemcpy(CUdeviceptr dst, CUdeviceptr src, size_t bytes)
{
	return cuMemcpyAsync(dst, src, bytes, NULL);
}

/* One side of a copy of boxes. */
struct side {
	uint64_t base;
	uint64_t pitch;	      /* bytes from line to line */
	uint64_t slice_lines; /* lines from slice to slice */
};

struct box {
	size_t x_bytes, y, z;
	CUmemorytype type;
	const void *host;
	CUdeviceptr device;
	size_t pitch, height;
};

/* Finds where a side begins and checks all of its lines. */
static CUresult side_make(const struct box *box, size_t width, size_t height, size_t depth, struct side *ret_side)
{
	struct side side = {0, box->pitch ? box->pitch : box->x_bytes + width,
			    box->height ? box->height : box->y + height};
	uint64_t first, last, lines, end;
	bool fits;

	if (box->type != CU_MEMORYTYPE_HOST && box->type != CU_MEMORYTYPE_DEVICE && box->type != CU_MEMORYTYPE_UNIFIED)
		return box->type == CU_MEMORYTYPE_ARRAY ? CUDA_ERROR_NOT_SUPPORTED : CUDA_ERROR_INVALID_VALUE;
	side.base = box->type == CU_MEMORYTYPE_HOST ? (uintptr_t)box->host : box->device;
	if (__builtin_add_overflow(box->x_bytes, width, &end) || side.pitch < end ||
	    __builtin_add_overflow(box->y, height, &end) || (depth > 1 && side.slice_lines < end))
		return CUDA_ERROR_INVALID_VALUE;
	/* first = x + pitch * (y + slice_lines * z); last = the same for the last line, end = behind it */
	if (__builtin_mul_overflow(side.slice_lines, box->z, &lines) || __builtin_add_overflow(lines, box->y, &lines) ||
	    __builtin_mul_overflow(side.pitch, lines, &first) || __builtin_add_overflow(first, box->x_bytes, &first) ||
	    __builtin_mul_overflow(side.slice_lines, depth - 1, &lines) ||
	    __builtin_add_overflow(lines, height - 1, &lines) || __builtin_mul_overflow(side.pitch, lines, &last) ||
	    __builtin_add_overflow(last, width, &last) || __builtin_add_overflow(side.base, first, &side.base) ||
	    __builtin_add_overflow(side.base, last, &end))
		return CUDA_ERROR_INVALID_VALUE;
	fits = box->type == CU_MEMORYTYPE_DEVICE ? on_device(side.base, last) : anywhere(side.base, last);
	if (!fits)
		return CUDA_ERROR_INVALID_VALUE;
	*ret_side = side;
	return CUDA_SUCCESS;
}

static CUresult copy_box(const struct box *dst_box, const struct box *src_box, size_t width, size_t height,
			 size_t depth, CUstream stream)
{
	CALL_BEGIN(call, NEED_CONTEXT);
	struct side dst = {0}, src = {0};

	if (!stream_valid(call.context, stream))
		return CUDA_ERROR_INVALID_HANDLE;
	if (width == 0 || height == 0 || depth == 0)
		return CUDA_SUCCESS;
	call.result = side_make(dst_box, width, height, depth, &dst);
	if (call.result == CUDA_SUCCESS)
		call.result = side_make(src_box, width, height, depth, &src);
	if (call.result != CUDA_SUCCESS)
		return call.result;
	output_flush();
	for (size_t z = 0; z < depth; z++)
		for (size_t y = 0; y < height; y++)
			(void)copy(dst.base + dst.pitch * (dst.slice_lines * z + y),
				   src.base + src.pitch * (src.slice_lines * z + y), width);
	return CUDA_SUCCESS;
}

CUresult cuMemcpy2DAsync_v2(const CUDA_MEMCPY2D *copy_2d, CUstream stream)
{
	struct box dst, src;

	if (!copy_2d)
		return CUDA_ERROR_INVALID_VALUE;
	dst = (struct box){copy_2d->dstXInBytes, copy_2d->dstY,	    0, copy_2d->dstMemoryType, copy_2d->dstHost,
			   copy_2d->dstDevice,	 copy_2d->dstPitch, 0};
	src = (struct box){copy_2d->srcXInBytes, copy_2d->srcY,	    0, copy_2d->srcMemoryType, copy_2d->srcHost,
			   copy_2d->srcDevice,	 copy_2d->srcPitch, 0};
	return copy_box(&dst, &src, copy_2d->WidthInBytes, copy_2d->Height, 1, stream);
}

CUresult cuMemcpy2D_v2(const CUDA_MEMCPY2D *copy_2d)
{
	return cuMemcpy2DAsync_v2(copy_2d, NULL);
}

CUresult cuMemcpy2DUnaligned_v2(const CUDA_MEMCPY2D *copy_2d)
{
	return cuMemcpy2DAsync_v2(copy_2d, NULL);
}

CUresult cuMemcpy3DAsync_v2(const CUDA_MEMCPY3D *copy_3d, CUstream stream)
{
	struct box dst, src;

	if (!copy_3d || copy_3d->srcLOD != 0 || copy_3d->dstLOD != 0)
		return CUDA_ERROR_INVALID_VALUE;
	dst = (struct box){copy_3d->dstXInBytes, copy_3d->dstY,	     copy_3d->dstZ,	copy_3d->dstMemoryType,
			   copy_3d->dstHost,	 copy_3d->dstDevice, copy_3d->dstPitch, copy_3d->dstHeight};
	src = (struct box){copy_3d->srcXInBytes, copy_3d->srcY,	     copy_3d->srcZ,	copy_3d->srcMemoryType,
			   copy_3d->srcHost,	 copy_3d->srcDevice, copy_3d->srcPitch, copy_3d->srcHeight};
	return copy_box(&dst, &src, copy_3d->WidthInBytes, copy_3d->Height, copy_3d->Depth, stream);
}

CUresult cuMemcpy3D_v2(const CUDA_MEMCPY3D *copy_3d)
{
	return cuMemcpy3DAsync_v2(copy_3d, NULL);
}

/* Writes COUNT elements of SIZE bytes that hold VALUE. */
static void fill_line(uint64_t dst, unsigned value, size_t size, size_t count)
{
	if (size == 1) {
		memset(bytes_at(dst), (int)value, count);
	} else if (size == 2) {
		uint16_t *elements = bytes_at(dst);

		for (size_t i = 0; i < count; i++)
			elements[i] = (uint16_t)value;
	} else {
		uint32_t *elements = bytes_at(dst);

		for (size_t i = 0; i < count; i++)
			elements[i] = value;
	}
}

static CUresult fill(uint64_t dst, size_t pitch, unsigned value, size_t size, size_t width, size_t height,
		     CUstream stream)
{
	CALL_BEGIN(call, NEED_CONTEXT);
	size_t line, span;

	if (!stream_valid(call.context, stream))
		return CUDA_ERROR_INVALID_HANDLE;
	if (width == 0 || height == 0)
		return CUDA_SUCCESS;
	if (dst % size != 0 || __builtin_mul_overflow(width, size, &line) ||
	    (height > 1 && (pitch < line || pitch % size != 0)) || __builtin_mul_overflow(pitch, height - 1, &span) ||
	    __builtin_add_overflow(span, line, &span) || !on_device(dst, span))
		return CUDA_ERROR_INVALID_VALUE;
	for (size_t y = 0; y < height; y++)
		fill_line(dst + pitch * y, value, size, width);
	return CUDA_SUCCESS;
}

CUresult cuMemsetD8Async(CUdeviceptr dst, unsigned char value, size_t count, CUstream stream)
{
	return fill(dst, 0, value, 1, count, 1, stream);
}

CUresult cuMemsetD16Async(CUdeviceptr dst, unsigned short value, size_t count, CUstream stream)
{
	return fill(dst, 0, value, 2, count, 1, stream);
}

CUresult cuMemsetD32Async(CUdeviceptr dst, unsigned int value, size_t count, CUstream stream)
{
	return fill(dst, 0, value, 4, count, 1, stream);
}

CUresult cuMemsetD2D8Async(CUdeviceptr dst, size_t dst_pitch, unsigned char value, size_t width, size_t height,
			   CUstream stream)
{
	return fill(dst, dst_pitch, value, 1, width, height, stream);
}

CUresult cuMemsetD2D16Async(CUdeviceptr dst, size_t dst_pitch, unsigned short value, size_t width, size_t height,
			    CUstream stream)
{
	return fill(dst, dst_pitch, value, 2, width, height, stream);
}

CUresult cuMemsetD2D32Async(CUdeviceptr dst, size_t dst_pitch, unsigned int value, size_t width, size_t height,
			    CUstream stream)
{
	return fill(dst, dst_pitch, value, 4, width, height, stream);
}

CUresult cuMemsetD8_v2(CUdeviceptr dst, unsigned char value, size_t count)
{
	return fill(dst, 0, value, 1, count, 1, NULL);
}

CUresult cuMemsetD16_v2(CUdeviceptr dst, unsigned short value, size_t count)
{
	return fill(dst, 0, value, 2, count, 1, NULL);
}

CUresult cuMemsetD32_v2(CUdeviceptr dst, unsigned int value, size_t count)
{
	return fill(dst, 0, value, 4, count, 1, NULL);
}

CUresult cuMemsetD2D8_v2(CUdeviceptr dst, size_t dst_pitch, unsigned char value, size_t width, size_t height)
{
	return fill(dst, dst_pitch, value, 1, width, height, NULL);
}

CUresult cuMemsetD2D16_v2(CUdeviceptr dst, size_t dst_pitch, unsigned short value, size_t width, size_t height)
{
	return fill(dst, dst_pitch, value, 2, width, height, NULL);
}

CUresult cuMemsetD2D32_v2(CUdeviceptr dst, size_t dst_pitch, unsigned int value, size_t width, size_t height)
{
	return fill(dst, dst_pitch, value, 4, width, height, NULL);
}
