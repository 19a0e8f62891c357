#include "cudaexec/gpu/document.h"

#include "supervisor/util.h"

#include <jansson.h>

static const char *kind_name(enum gpu_kind kind)
{
	static const char *const names[GPU_KIND_MAX] = {"none", "nvidia", "software"};

	return names[kind];
}

/* Driver texts may hold bytes that are no UTF-8. */
static json_t *text(const char *value)
{
	json_t *string = json_string(value);

	return string ? string : json_string("(not UTF-8)");
}

static json_t *number(uint64_t value)
{
	return json_integer((json_int_t)MIN(value, (uint64_t)INT64_MAX));
}

static json_t *holders_make(const struct grants *grants, unsigned index)
{
	json_t *holders = json_array();

	for (unsigned i = 0; i < grants->count; i++) {
		const struct grant *grant = &grants->list[i];

		if (grant->mask >> index & 1)
			(void)json_array_append_new(holders, json_pack("{s:o, s:o, s:o, s:o}", "grant",
								       number(grant->id), "label", text(grant->label),
								       "memory", number(grant->memory_bytes),
								       "since_us", number(grant->since_us)));
	}
	return holders;
}

static json_t *gpu_make(const struct backend *backend, const struct grants *grants, unsigned index)
{
	const struct gpu *gpu = &backend->inventory.gpus[index];
	uint64_t declared = grants_declared(grants, index);
	bool known = gpu->memory_bytes > 0;

	return json_pack("{s:i, s:o, s:o, s:s, s:o, s:o, s:o, s:o, s:o, s:o}", "index", (int)index, "uuid",
			 text(gpu->uuid), "name", text(gpu->name), "kind", kind_name(backend->kind), "memory_total",
			 known ? number(gpu->memory_bytes) : json_null(), "memory_declared", number(declared),
			 "memory_free",
			 known ? number(gpu->memory_bytes > declared ? gpu->memory_bytes - declared : 0) : json_null(),
			 "compute_capability", gpu->arch[0] ? text(gpu->arch) : json_null(), "driver_version",
			 text(backend->inventory.driver_version), "holders", holders_make(grants, index));
}

static json_t *driver_name(const struct backend *backend)
{
	char name[128];

	if (backend->kind == GPU_KIND_NONE)
		return json_null();
	(void)snprintf(name, sizeof(name), "%s %s",
		       backend->kind == GPU_KIND_SOFTWARE ? "ferrite software device" : "NVIDIA",
		       backend->inventory.driver_version);
	return text(name);
}

char *document_make(const struct backend *backend, const struct grants *grants)
{
	json_t *gpus = json_array(), *document;
	char *written = NULL;

	for (unsigned i = 0; i < backend->inventory.count; i++)
		(void)json_array_append_new(gpus, gpu_make(backend, grants, i));
	document = json_pack("{s:s, s:s, s:o, s:o, s:o, s:o}", "mode", gpu_mode_names[backend->mode], "kind",
			     kind_name(backend->kind), "driver", driver_name(backend), "cuda_version",
			     backend->inventory.cuda_version[0] ? text(backend->inventory.cuda_version) : json_null(),
			     "reason", text(backend->reason), "gpus", gpus);
	if (document)
		written = json_dumps(document, JSON_COMPACT);
	json_decref(document);
	return written;
}
