#include "cudaexec/softdev/device.h"
#include "supervisor/util.h"

#include <sched.h>
#include <string.h>

/* CPUs that this process may use. */
static uint32_t allowed_cpus(void)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	if (sched_getaffinity(0, sizeof(set), &set) < 0)
		return 1;
	return MAX((uint32_t)CPU_COUNT(&set), 1u);
}

enum ptx_status ptx_device_new(struct device_memory *memory, uint32_t workers, struct ptx_device **ret_device)
{
	struct ptx_device *device = calloc(1, sizeof(*device));

	if (!device)
		return PTX_OUT_OF_MEMORY;
	device->memory = memory;
	device->workers = MIN(workers ? workers : allowed_cpus(), PTX_WORKERS_MAX);
	device->heap_bytes = PTX_HEAP_DEFAULT;
	pthread_mutex_init(&device->launch_lock, NULL);
	pthread_mutex_init(&device->pool_lock, NULL);
	pthread_mutex_init(&device->output_lock, NULL);
	pthread_mutex_init(&device->heap_lock, NULL);
	pthread_cond_init(&device->work_ready, NULL);
	pthread_cond_init(&device->work_done, NULL);
	*ret_device = device;
	return PTX_OK;
}

void ptx_device_free(struct ptx_device *device)
{
	if (!device)
		return;
	pool_stop(device);
	if (device->heap_address)
		(void)device_memory_release(device->memory, device->heap_address);
	heap_free(device->heap);
	free(device->output);
	pthread_mutex_destroy(&device->launch_lock);
	pthread_mutex_destroy(&device->pool_lock);
	pthread_mutex_destroy(&device->output_lock);
	pthread_mutex_destroy(&device->heap_lock);
	pthread_cond_destroy(&device->work_ready);
	pthread_cond_destroy(&device->work_done);
	free(device);
}

uint32_t ptx_device_workers(const struct ptx_device *device)
{
	return device->workers;
}

/* --- heap --------------------------------------------------------------------------------------------------------- */

enum ptx_status ptx_device_set_heap(struct ptx_device *device, uint64_t bytes)
{
	enum ptx_status status = PTX_OK;

	pthread_mutex_lock(&device->heap_lock);
	if (device->heap && bytes != device->heap_bytes)
		status = PTX_INVALID_VALUE;
	else
		device->heap_bytes = bytes;
	pthread_mutex_unlock(&device->heap_lock);
	return status;
}

uint64_t ptx_device_heap(const struct ptx_device *device)
{
	return device->heap_bytes;
}

static enum ptx_status make_heap(struct ptx_device *device)
{
	enum ptx_status status = PTX_OK;

	pthread_mutex_lock(&device->heap_lock);
	if (!device->heap) {
		device->heap_address = device_memory_alloc(device->memory, device->heap_bytes, DEVICE_MEMORY_PAGE);
		if (device->heap_address)
			device->heap = heap_new(device->heap_address, device->heap_bytes);
		if (!device->heap) {
			if (device->heap_address)
				(void)device_memory_release(device->memory, device->heap_address);
			device->heap_address = 0;
			status = PTX_OUT_OF_MEMORY;
		}
	}
	pthread_mutex_unlock(&device->heap_lock);
	return status;
}

uint64_t device_heap_alloc(struct ptx_device *device, uint64_t size)
{
	uint64_t address;

	pthread_mutex_lock(&device->heap_lock);
	address = heap_alloc(device->heap, size);
	pthread_mutex_unlock(&device->heap_lock);
	return address;
}

bool device_heap_release(struct ptx_device *device, uint64_t address)
{
	bool good;

	pthread_mutex_lock(&device->heap_lock);
	good = device->heap && heap_release(device->heap, address);
	pthread_mutex_unlock(&device->heap_lock);
	return good;
}

/* --- output ------------------------------------------------------------------------------------------------------- */

void device_print(struct ptx_device *device, const char *text, size_t length)
{
	pthread_mutex_lock(&device->output_lock);
	if (!device->output)
		device->output = malloc(PTX_PRINTF_BYTES + 1);
	if (device->output && length <= PTX_PRINTF_BYTES - device->output_used) {
		memcpy(device->output + device->output_used, text, length);
		device->output_used += length;
	}
	pthread_mutex_unlock(&device->output_lock);
}

char *ptx_device_take_output(struct ptx_device *device, size_t *ret_length)
{
	char *output;

	pthread_mutex_lock(&device->output_lock);
	output = take_ptr(device->output);
	if (output) {
		output[device->output_used] = '\0';
		*ret_length = device->output_used;
	}
	device->output_used = 0;
	pthread_mutex_unlock(&device->output_lock);
	return output;
}

/* --- modules ------------------------------------------------------------------------------------------------------ */

/* The value of a constant operand in this module. */
static uint64_t constant_value(const struct ptx_module *module, const struct ptx_constant *constant)
{
	const struct ptx_program *program = module->program;

	switch (constant->reloc) {
	case RELOC_SHARED_OWN:
		return program->module_shared_bytes + constant->value;
	case RELOC_SHARED_DYNAMIC:
		return program->dynamic_shared_offset + constant->value;
	case RELOC_VARIABLE:
		return module->image + program->variables[constant->index]->offset + constant->value;
	case RELOC_FUNCTION:
		return PTX_FUNCTION_ADDRESS(constant->index);
	default:
		return constant->value;
	}
}

/* Writes a constant as operand: the same in all 32 lanes. */
static void spread(uint8_t *area, const struct ptx_constant *constant, uint64_t value)
{
	uint8_t *at = area + constant->offset;
	uint32_t bytes = constant->class == CLASS_PRED ? 4 : 1u << constant->class;

	for (uint32_t i = 0; i < (constant->class == CLASS_PRED ? 1 : PTX_WARP); i++)
		memcpy(at + i * bytes, &value, bytes);
}

static bool make_constants(struct ptx_module *module)
{
	const struct ptx_program *program = module->program;

	module->constants = calloc(MAX(program->function_count, 1u), sizeof(*module->constants));
	for (uint32_t i = 0; module->constants && i < program->function_count; i++) {
		const struct ptx_function *function = program->functions[i];
		size_t bytes = (MAX(function->constant_bytes, 64u) + 63) & ~63ul;

		module->constants[i] = aligned_alloc(64, bytes);
		if (!module->constants[i])
			return false;
		for (uint32_t j = 0; j < function->constant_count; j++)
			spread(module->constants[i], &function->constants[j],
			       constant_value(module, &function->constants[j]));
	}
	return module->constants != NULL;
}

static void make_image(struct ptx_module *module)
{
	const struct ptx_program *program = module->program;

	for (uint32_t i = 0; i < program->variable_count; i++) {
		const struct ptx_variable *variable = program->variables[i];
		uint8_t *at = (uint8_t *)(module->image + variable->offset);

		if (variable->initial)
			memcpy(at, variable->initial, variable->initial_size);
		for (const struct ptx_fixup *fixup = variable->fixups; fixup; fixup = fixup->next) {
			uint64_t value = fixup->function ? PTX_FUNCTION_ADDRESS(fixup->index)
							 : module->image + program->variables[fixup->index]->offset;

			value += fixup->addend;
			memcpy(at + fixup->offset, &value, sizeof(value));
		}
	}
}

enum ptx_status ptx_module_load(struct ptx_device *device, const struct ptx_program *program,
				struct ptx_module **ret_module, struct ptx_log *log)
{
	struct ptx_module *module;

	if (program->uses_heap && make_heap(device) != PTX_OK) {
		ptx_log_add(log, "no device memory for the heap of malloc (%llu bytes)\n",
			    (unsigned long long)device->heap_bytes);
		return PTX_OUT_OF_MEMORY;
	}
	module = calloc(1, sizeof(*module));
	if (!module)
		return PTX_OUT_OF_MEMORY;
	module->device = device;
	module->program = program;
	if (program->image_bytes > 0) {
		module->image = device_memory_alloc(device->memory, program->image_bytes, DEVICE_MEMORY_PAGE);
		if (!module->image)
			ptx_log_add(log, "no device memory for the variables of the module (%llu bytes)\n",
				    (unsigned long long)program->image_bytes);
	}
	if ((program->image_bytes > 0 && !module->image) || !make_constants(module)) {
		ptx_module_unload(module);
		return PTX_OUT_OF_MEMORY;
	}
	if (module->image)
		make_image(module);
	*ret_module = module;
	return PTX_OK;
}

void ptx_module_unload(struct ptx_module *module)
{
	if (!module)
		return;
	if (module->image)
		(void)device_memory_release(module->device->memory, module->image);
	for (uint32_t i = 0; module->constants && i < module->program->function_count; i++)
		free(module->constants[i]);
	free(module->constants);
	free(module);
}

bool ptx_module_global(const struct ptx_module *module, const char *name, uint64_t *ret_address, uint64_t *ret_size)
{
	for (uint32_t i = 0; i < module->program->variable_count; i++) {
		const struct ptx_variable *variable = module->program->variables[i];

		if (strcmp(variable->name, name) == 0) {
			*ret_address = module->image + variable->offset;
			*ret_size = variable->size;
			return true;
		}
	}
	return false;
}
