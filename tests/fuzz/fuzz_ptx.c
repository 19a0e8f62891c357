/*
 * PTX from anywhere: parsing, loading, and running every kernel for a few instructions. Kernels get a parameter buffer
 * whose words point into a small allocation, so that accesses are possible.
 */
#include "cudaexec/softdev/engine.h"
#include "supervisor/util.h"

#define KERNELS_MAX 4
#define BUDGET	    3000

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void run_kernels(struct device_memory *memory, struct ptx_device *device, const struct ptx_program *program)
{
	uint64_t params[PTX_PARAM_BYTES_MAX / sizeof(uint64_t)], address = device_memory_alloc(memory, 8192, 256);
	struct ptx_log log = PTX_LOG_INIT;
	struct ptx_module *module = NULL;

	for (size_t i = 0; i < ARRAY_LEN(params); i++)
		params[i] = address;
	if (ptx_module_load(device, program, &module, &log) != PTX_OK)
		return;
	for (uint32_t i = 0; i < MIN(ptx_program_kernel_count(program), (uint32_t)KERNELS_MAX); i++) {
		const struct ptx_kernel *kernel = ptx_program_kernel(program, i);
		const struct ptx_launch launch = {.grid = {2, 1, 1},
						  .block = {MIN(40u, kernel->threads_max), 1, 1},
						  .shared_bytes = 1024,
						  .params = params,
						  .param_bytes = sizeof(params),
						  .instruction_budget = BUDGET,
						  .workers = 1};

		(void)ptx_launch(module, kernel, &launch, NULL, &log);
	}
	ptx_module_unload(module);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct device_memory *memory = NULL;
	struct ptx_program *program = NULL;
	struct ptx_device *device = NULL;
	struct ptx_log log = PTX_LOG_INIT;
	struct err err = ERR_INIT;
	size_t length = 0;

	if (ptx_parse((const char *)data, size, &program, &log) != PTX_OK)
		return 0;
	if (device_memory_new(1 * MIB, &memory, &err) == 0 && ptx_device_new(memory, 1, &device) == PTX_OK) {
		(void)ptx_device_set_heap(device, 65536);
		run_kernels(memory, device, program);
		free(ptx_device_take_output(device, &length));
	}
	ptx_device_free(device);
	device_memory_free(memory);
	ptx_program_free(program);
	return 0;
}
