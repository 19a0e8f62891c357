/*
 * The JSON document of /v1/gpus/injection: what an attach would put into an instance, and why, without doing it.
 */
#ifndef FERRITE_CUDAEXEC_GPU_EXPLAIN_H
#define FERRITE_CUDAEXEC_GPU_EXPLAIN_H

#include "cudaexec/gpu/wish.h"

/* Everything is borrowed. */
struct explain_state {
	const struct backend *backend;
	const struct grants *grants;
	uint64_t memory_default;
};

/*
 * A fresh terminated text that the caller frees; docs/http-api.md describes it. A wish that only has to wait for others
 * is explained as on an idle machine, and says so. Errors are those of an attach.
 */
int explain_make(const struct explain_state *state, const struct wish *wish, char **ret_text, struct err *err);

#endif
