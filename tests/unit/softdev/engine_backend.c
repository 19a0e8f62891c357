#include "tests/unit/softdev/engine_backend.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void unload(struct engine *engine)
{
	ptx_module_unload(engine->module);
	ptx_program_free(engine->program);
	engine->module = NULL;
	engine->program = NULL;
}

static bool load(struct backend *backend, const char *ptx, size_t size)
{
	struct engine *engine = backend->state;

	unload(engine);
	engine->log = PTX_LOG_INIT;
	engine->status = ptx_parse(ptx, size, &engine->program, &engine->log);
	if (engine->status == PTX_OK)
		engine->status = ptx_module_load(engine->device, engine->program, &engine->module, &engine->log);
	return engine->status == PTX_OK || case_fail(backend, "load: %d: %s", engine->status, engine->log.text);
}

static uint64_t alloc(struct backend *backend, size_t size)
{
	struct engine *engine = backend->state;
	uint64_t address = device_memory_alloc(engine->memory, size, 256);

	if (!address)
		(void)case_fail(backend, "no device memory");
	return address;
}

static void release(struct backend *backend, uint64_t address)
{
	struct engine *engine = backend->state;

	(void)device_memory_release(engine->memory, address);
}

static bool put(struct backend *backend, uint64_t to, const void *from, size_t size)
{
	struct engine *engine = backend->state;

	if (!device_memory_check(engine->memory, to, size))
		return case_fail(backend, "copy to bad memory");
	memcpy((void *)to, from, size);
	return true;
}

static bool get(struct backend *backend, void *to, uint64_t from, size_t size)
{
	struct engine *engine = backend->state;

	if (!device_memory_check(engine->memory, from, size))
		return case_fail(backend, "copy from bad memory");
	memcpy(to, (const void *)from, size);
	return true;
}

static bool variable(struct backend *backend, const char *name, uint64_t *ret_address)
{
	struct engine *engine = backend->state;
	uint64_t size = 0;

	return ptx_module_global(engine->module, name, ret_address, &size) ||
	       case_fail(backend, "no variable %s", name);
}

static bool launch(struct backend *backend, const char *kernel, const unsigned grid[3], const unsigned block[3],
		   unsigned shared, const struct kernel_arg *args, unsigned count)
{
	struct engine *engine = backend->state;
	const struct ptx_kernel *k = ptx_program_find_kernel(engine->program, kernel);
	uint8_t params[PTX_PARAM_BYTES_MAX] = {0};
	struct ptx_launch request = {.grid = {grid[0], grid[1], grid[2]},
				     .block = {block[0], block[1], block[2]},
				     .shared_bytes = shared,
				     .params = params,
				     .instruction_budget = engine->budget,
				     .cooperative = engine->cooperative};

	if (!k || k->param_count != count)
		return case_fail(backend, "no kernel %s with %u parameters", kernel, count);
	for (unsigned i = 0; i < count; i++) {
		if (args[i].size != k->params[i].size)
			return case_fail(backend, "parameter %u has %zu bytes instead of %u", i, args[i].size,
					 k->params[i].size);
		memcpy(params + k->params[i].offset, args[i].value, args[i].size);
	}
	request.param_bytes = k->param_bytes;
	engine->log = PTX_LOG_INIT;
	engine->status = ptx_launch(engine->module, k, &request, NULL, &engine->log);
	return engine->status == PTX_OK || case_fail(backend, "launch: %d: %s", engine->status, engine->log.text);
}

void engine_start(struct engine *engine, uint64_t capacity, uint32_t workers)
{
	struct err err = ERR_INIT;

	*engine = (struct engine){.backend = {.load = load,
					      .alloc = alloc,
					      .release = release,
					      .put = put,
					      .get = get,
					      .variable = variable,
					      .launch = launch,
					      .state = engine}};
	if (device_memory_new(capacity, &engine->memory, &err) < 0 ||
	    ptx_device_new(engine->memory, workers, &engine->device) != PTX_OK) {
		fprintf(stderr, "no device: %s\n", err.text);
		exit(2);
	}
}

void engine_stop(struct engine *engine)
{
	unload(engine);
	ptx_device_free(engine->device);
	device_memory_free(engine->memory);
}
