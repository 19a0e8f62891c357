#include "cudaexec/driver.h"

#include "cudaexec/cuda_result.h"
#include "supervisor/util.h"

static const struct {
	int number;
	const char *name;
	const char *text;
} results[] = {
#include "cuda_errors.h"
};

bool cuda_result_find(CUresult result, const char **ret_name, const char **ret_text)
{
	for (size_t i = 0; i < ARRAY_LEN(results); i++) {
		if (results[i].number == (int)result) {
			*ret_name = results[i].name;
			*ret_text = results[i].text;
			return true;
		}
	}
	return false;
}

const char *cuda_result_name(CUresult result)
{
	const char *name = "unknown CUDA error", *text = "";

	(void)cuda_result_find(result, &name, &text);
	return name;
}

const char *cuda_result_text(CUresult result)
{
	const char *name = "", *text = "an error number that this version does not know";

	(void)cuda_result_find(result, &name, &text);
	return text;
}

int cuda_result_errno(CUresult result)
{
	switch (result) {
	case CUDA_SUCCESS:
		return 0;
	case CUDA_ERROR_OUT_OF_MEMORY:
	case CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES:
		return -ENOMEM;
	case CUDA_ERROR_INVALID_VALUE:
	case CUDA_ERROR_INVALID_HANDLE:
		return -EINVAL;
	case CUDA_ERROR_NO_DEVICE:
	case CUDA_ERROR_INVALID_DEVICE:
	case CUDA_ERROR_DEVICE_UNAVAILABLE:
		return -ENODEV;
	case CUDA_ERROR_INVALID_IMAGE:
	case CUDA_ERROR_INVALID_PTX:
	case CUDA_ERROR_UNSUPPORTED_PTX_VERSION:
	case CUDA_ERROR_NO_BINARY_FOR_GPU:
		return -ENOEXEC;
	case CUDA_ERROR_NOT_FOUND:
	case CUDA_ERROR_FILE_NOT_FOUND:
		return -ENOENT;
	case CUDA_ERROR_ILLEGAL_ADDRESS:
	case CUDA_ERROR_MISALIGNED_ADDRESS:
		return -EFAULT;
	case CUDA_ERROR_LAUNCH_TIMEOUT:
	case CUDA_ERROR_TIMEOUT:
		return -ETIMEDOUT;
	case CUDA_ERROR_NOT_SUPPORTED:
		return -EOPNOTSUPP;
	case CUDA_ERROR_NOT_PERMITTED:
		return -EPERM;
	default:
		return -EIO;
	}
}

int cuda_result_check(CUresult result, const char *call, struct err *err)
{
	if (result == CUDA_SUCCESS)
		return 0;
	return err_set(err, cuda_result_errno(result), "%s: %s (%d): %s", call, cuda_result_name(result), (int)result,
		       cuda_result_text(result));
}
