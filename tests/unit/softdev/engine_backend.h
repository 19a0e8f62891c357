/* A backend of the kernel cases that runs them straight on the engine, without the driver API. */
#ifndef FERRITE_TESTS_UNIT_SOFTDEV_ENGINE_BACKEND_H
#define FERRITE_TESTS_UNIT_SOFTDEV_ENGINE_BACKEND_H

#include "cudaexec/softdev/engine.h"
#include "tests/gpu/kernels/cases.h"

struct engine {
	struct backend backend; /* state points here */
	struct device_memory *memory;
	struct ptx_device *device;
	struct ptx_program *program;
	struct ptx_module *module;
	struct ptx_log log;
	enum ptx_status status; /* of the last load or launch */
	uint64_t budget;	/* of launches */
	bool cooperative;
};

/* CAPACITY bytes, WORKERS threads (0: as many as there are CPUs). Ends the program when there is no memory. */
void engine_start(struct engine *engine, uint64_t capacity, uint32_t workers);
void engine_stop(struct engine *engine);

#endif
