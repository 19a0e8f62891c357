/* The JSON document of /v1/gpus. */
#ifndef FERRITE_CUDAEXEC_GPU_DOCUMENT_H
#define FERRITE_CUDAEXEC_GPU_DOCUMENT_H

#include "cudaexec/gpu/backend.h"
#include "cudaexec/gpu/grants.h"

/*
 * A fresh terminated text that the caller frees, or NULL when memory is short:
 *	{"mode", "kind": nvidia|software|none, "driver", "cuda_version", "reason", "gpus": [
 *	  {"index", "uuid", "name", "kind", "memory_total", "memory_declared", "memory_free", "compute_capability",
 *	   "driver_version", "holders": [{"grant", "label", "memory", "since_us"}]}]}
 * Memory is in bytes; memory_total and memory_free are null when the driver does not say.
 */
char *document_make(const struct backend *backend, const struct grants *grants);

#endif
