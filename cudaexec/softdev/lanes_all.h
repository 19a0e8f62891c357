/*
 * All lane operations and their table. A file that includes this defines EXEC_HANDLERS as the name of the table and is
 * compiled for one instruction set.
 */
#include "cudaexec/softdev/lanes.h"

#include "cudaexec/softdev/lanes_float.h"
#include "cudaexec/softdev/lanes_int.h"
#include "cudaexec/softdev/lanes_memory.h"

const exec_handler EXEC_HANDLERS[OP_COUNT] = {
#define X(name) [OP_##name] = op_##name,
	PTX_LANE_OPS(X) PTX_COMMON_OPS(X)
#undef X
};
