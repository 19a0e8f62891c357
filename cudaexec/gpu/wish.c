#include "cudaexec/gpu/wish.h"

#include "cudaexec/gpu/cdi_inject.h"
#include "cudaexec/gpu/requirement.h"
#include "supervisor/str.h"
#include "supervisor/util.h"

#include <string.h>

int wish_read(struct ipc_message *message, char **list, struct wish *ret_wish, struct err *err)
{
	const struct gpu_attach *body = (const void *)message->payload;
	size_t length;
	char *tail = ipc_tail(message, sizeof(*body), &length);

	if (body->n_requires > GPU_REQUIRES_MAX ||
	    str_unpack(tail, length, WISH_FIXED_TEXTS + body->n_requires, list) != (long)length)
		return err_set(err, -EPROTO, "gpu wish: the texts do not agree with their number");
	*ret_wish = (struct wish){body, list[0], list[1], list[2], list + WISH_FIXED_TEXTS};
	return 0;
}

int wish_devices(const struct wish *wish, const struct backend *backend, struct grant_request *request, struct err *err)
{
	struct cdi_selection selection;
	const char *uuids[GPUS_MAX];
	unsigned count = backend->inventory.count;
	int code;

	for (unsigned i = 0; i < count; i++)
		uuids[i] = backend->inventory.gpus[i].uuid;
	request->count = wish->body->count;
	if (wish_by_cdi(wish, backend)) {
		code = cdi_select(&backend->cdi, wish->devices, &selection, err);
		if (code == 0)
			request->visible = (struct visible){VISIBLE_LIST, cdi_mask(&selection, &backend->inventory)};
		return code;
	}
	if (wish->devices[0] == '\0') {
		request->visible = (struct visible){.kind = VISIBLE_ALL};
		return request->count > 0 ? 0 : err_set(err, -EINVAL, "a share of 0 GPUs is asked for");
	}
	code = visible_parse(wish->devices, uuids, count, &request->visible, err);
	if (code == 0 && request->visible.kind == VISIBLE_ALL)
		request->count = count;
	return code;
}

int wish_check(const struct wish *wish, const struct backend *backend, uint64_t mask,
	       void (*notice)(const char *text, const char *detail), struct err *err)
{
	const struct inventory *inventory = &backend->inventory;

	for (unsigned i = 0; i < inventory->count; i++) {
		struct requirement_facts facts = {inventory->cuda_version, inventory->driver_version,
						  inventory->gpus[i].arch, inventory->gpus[i].brand};

		/* Images ask for versions of NVIDIA's driver; the software device has another count. */
		if (backend->kind == GPU_KIND_SOFTWARE)
			facts.driver = facts.brand = NULL;
		for (unsigned k = 0; (mask >> i & 1) && k < wish->body->n_requires; k++) {
			bool ignored;
			int holds = requirement_check(wish->requires[k], &facts, &ignored, err);

			if (holds < 0)
				return holds;
			if (ignored && notice)
				notice("a requirement has an unknown property, which is skipped", wish->requires[k]);
			if (!holds)
				return err_set(err, -EOPNOTSUPP,
					       "GPU %u does not satisfy '%.200s' (cuda %s, driver %s, arch %s)", i,
					       wish->requires[k], facts.cuda, inventory->driver_version, facts.arch);
		}
	}
	return 0;
}

bool wish_by_cdi(const struct wish *wish, const struct backend *backend)
{
	return cdi_wanted(&backend->cdi, wish->devices);
}

int wish_injection(const struct backend *backend, const char *wish_cdi, uint64_t mask, unsigned capabilities,
		   struct injection *ret_injection, struct err *err)
{
	struct injection_source source = backend_source(backend);
	struct cdi_selection selection;
	int code;

	if (!wish_cdi)
		return injection_build(&source, mask, capabilities, ret_injection, err);
	code = cdi_select(&backend->cdi, wish_cdi, &selection, err);
	return code < 0 ? code : cdi_inject(&selection, &source, ret_injection, err);
}

/* --- the environment ---------------------------------------------------------------------------------------------- */

static bool pack(char *buffer, size_t size, size_t *used, uint32_t *count, const char *variable)
{
	if (!str_pack(buffer, size, used, variable))
		return false;
	(*count)++;
	return true;
}

/* CUDA_VISIBLE_DEVICES by UUID: numbers would be relative to what the container can open. */
static bool pack_visible(const struct inventory *inventory, uint64_t mask, char *buffer, size_t size, size_t *used,
			 uint32_t *count)
{
	char variable[GPUS_MAX * (NVML_UUID_MAX + 1) / 4] = "CUDA_VISIBLE_DEVICES=";
	bool first = true;

	for (unsigned i = 0; i < inventory->count; i++) {
		const char *uuid = inventory->gpus[i].uuid;
		size_t length = strlen(variable);

		if (!(mask >> i & 1))
			continue;
		if (length + strlen(uuid) + 2 > sizeof(variable))
			return false;
		(void)snprintf(variable + length, sizeof(variable) - length, "%s%s", first ? "" : ",", uuid);
		first = false;
	}
	return pack(buffer, size, used, count, variable);
}

int wish_environment(const struct backend *backend, const struct grant *grant, const struct injection *injection,
		     char *buffer, size_t size, size_t *ret_used, uint32_t *ret_count, struct err *err)
{
	size_t used = 0;
	uint32_t count = 0;
	char memory[64];
	bool fits = true;

	for (unsigned i = 0; i < injection->n_env && fits; i++)
		fits = pack(buffer, size, &used, &count, injection->env[i]);
	if (fits && !injection->by_cdi)
		fits = pack(buffer, size, &used, &count, "LD_LIBRARY_PATH=" INJECTION_LIBRARIES) &&
		       pack(buffer, size, &used, &count, "NVIDIA_CTK_LIBCUDA_DIR=" INJECTION_LIBRARIES);
	(void)snprintf(memory, sizeof(memory), "FERRITE_SOFTWARE_DEVICE_MEMORY=%llu",
		       (unsigned long long)grant->memory_bytes);
	if (fits && backend->kind == GPU_KIND_NVIDIA && (grant->mask || !injection->by_cdi))
		fits = pack_visible(&backend->inventory, grant->mask, buffer, size, &used, &count);
	else if (fits && !injection->by_cdi)
		fits = pack(buffer, size, &used, &count, memory);
	if (!fits)
		return err_set(err, -EMSGSIZE, "the environment of a GPU instance does not fit a message");
	*ret_used = used;
	*ret_count = count;
	return 0;
}
