/* The lane operations for every x86-64 CPU. */
#define EXEC_HANDLERS exec_handlers_base
#include "cudaexec/softdev/lanes_all.h"
