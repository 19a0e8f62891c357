/* The lane operations for CPUs of level x86-64-v3, see module.mk for the flags. */
#define EXEC_HANDLERS exec_handlers_v3
#include "cudaexec/softdev/lanes_all.h"
