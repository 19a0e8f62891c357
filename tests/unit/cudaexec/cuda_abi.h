/* Facts about the CUDA interface, once from our declarations and once from NVIDIA's header, for test_cuda_abi.c. */
#ifndef FERRITE_TESTS_CUDA_ABI_H
#define FERRITE_TESTS_CUDA_ABI_H

#include <stddef.h>

struct abi_fact {
	const char *name;
	unsigned long long value;
};

/* Both lists are made from the same rows, so entry I of one is entry I of the other. */
extern const struct abi_fact our_facts[], toolkit_facts[];
extern const size_t our_fact_count, toolkit_fact_count;

#endif
