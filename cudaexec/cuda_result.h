/* Names and texts of CUresult values, as the software device's cuGetErrorName and cuGetErrorString need them. */
#ifndef FERRITE_CUDAEXEC_CUDA_RESULT_H
#define FERRITE_CUDAEXEC_CUDA_RESULT_H

#include "cuda_api.h"

#include <stdbool.h>

/* Constant texts; false (outputs untouched) when the number is not in the table. Any thread. */
bool cuda_result_find(CUresult result, const char **ret_name, const char **ret_text);

#endif
