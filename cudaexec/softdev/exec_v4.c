/* The lane operations for CPUs of level x86-64-v4, see module.mk for the flags. */
#define EXEC_HANDLERS exec_handlers_v4
#include "cudaexec/softdev/lanes_all.h"
