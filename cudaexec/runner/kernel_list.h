/* Building the list of a module's kernels; internal to the readers of module images. */
#ifndef FERRITE_CUDAEXEC_KERNEL_LIST_H
#define FERRITE_CUDAEXEC_KERNEL_LIST_H

#include "cudaexec/runner/manifest.h"

enum {
	KERNEL_LIST_MAX = 1024,	  /* kernels of one module */
	KERNEL_PARAMS_MAX = 4096, /* parameters of one kernel */
};

/* Adds a kernel with N_PARAMS sizes of 0, to be filled in by the caller. NULL with ERR set when it cannot be. */
struct kernel_signature *kernel_list_add(struct kernel_list *list, const char *name, size_t n_params, struct err *err);

/* The kernels of a cubin (ELF for CUDA), from its symbol table and .nv.info sections. Every offset is checked. */
int cubin_read_kernels(const void *image, size_t length, struct kernel_list *list, struct err *err);

#endif
