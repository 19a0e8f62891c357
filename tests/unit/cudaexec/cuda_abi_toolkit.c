/*
 * NVIDIA's side of the comparison: compiled only where a toolkit is installed. The signatures of all entry points are
 * compared here by the compiler, against the types as driver_api.txt names them.
 */
#define __CUDA_API_VERSION_INTERNAL
#include <cuda.h>

#include "tests/unit/cudaexec/cuda_abi.h"

#define FACT(expression) {#expression, (unsigned long long)(expression)},

const struct abi_fact toolkit_facts[] = {
#include "cuda_abi_facts.h"
};
const size_t toolkit_fact_count = sizeof(toolkit_facts) / sizeof(toolkit_facts[0]);

#define SIGNATURE(name, type) \
	_Static_assert(__builtin_types_compatible_p(__typeof__(&name), type), #name " differs from NVIDIA's header");
#include "cuda_abi_signatures.h"
