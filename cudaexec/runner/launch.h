/* The numbers of a launch for one call: evaluated and checked before anything happens on the device. */
#ifndef FERRITE_CUDAEXEC_LAUNCH_H
#define FERRITE_CUDAEXEC_LAUNCH_H

#include "cudaexec/runner/request.h"
#include "supervisor/err.h"

#include <stdbool.h>
#include <stdint.h>

struct launch_plan {
	unsigned grid[3];
	unsigned block[3];
	unsigned shared;
	bool skip; /* the grid is empty, because a tensor is */
	/* One word for each argument. Device pointers are filled in by whoever knows them (MANIFEST_ARG_TENSOR). */
	uint64_t args[MANIFEST_ARGS_MAX];
};

/*
 * Evaluates launch number INDEX of the request's manifest. Returns 0 or -EINVAL naming the launch and the value that is
 * out of range.
 */
int launch_plan(const struct request *r, size_t index, struct launch_plan *ret_plan, struct err *err);

#endif
