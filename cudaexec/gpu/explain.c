#include "cudaexec/gpu/explain.h"

#include "cudaexec/gpu/capabilities.h"
#include "supervisor/str.h"
#include "supervisor/util.h"

#include <jansson.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#define ENVIRONMENT_MAX 8192

/* Paths and texts of images may hold bytes that are no UTF-8. */
static json_t *text(const char *value)
{
	char shown[4 * PATH_MAX];
	json_t *string = json_string(value);

	return string ? string : json_string(str_escape(shown, sizeof(shown), value, strlen(value)));
}

/* --- what is injected --------------------------------------------------------------------------------------------- */

static json_t *mount_make(const struct injection_item *item)
{
	char link[64], path[PATH_MAX] = "";
	ssize_t length;

	(void)snprintf(link, sizeof(link), "/proc/self/fd/%d", item->fd);
	length = readlink(link, path, sizeof(path) - 1);
	path[MAX(length, 0)] = '\0';
	return json_pack("{s:o, s:o, s:[s, s, s], s:s}", "destination", text(item->destination), "source", text(path),
			 "options", "ro", "nosuid", "nodev", "why", item->why);
}

static json_t *device_make(const struct injection_item *item)
{
	struct stat st;

	if (fstat(item->fd, &st) < 0)
		return NULL;
	return json_pack("{s:o, s:i, s:i, s:s, s:[s, s], s:s}", "path", text(item->destination), "major",
			 (int)major(st.st_rdev), "minor", (int)minor(st.st_rdev), "access", "rw", "options", "nosuid",
			 "noexec", "why", item->why);
}

static json_t *item_make(const struct injection_item *item)
{
	switch (item->kind) {
	case SBX_ITEM_FILE:
		return mount_make(item);
	case SBX_ITEM_DEVICE:
		return device_make(item);
	case SBX_ITEM_LINK:
		return json_pack("{s:o, s:o, s:s}", "path", text(item->destination), "target", text(item->content),
				 "why", item->why);
	default:
		return json_pack("{s:o, s:o, s:s}", "path", text(item->destination), "content", text(item->content),
				 "why", item->why);
	}
}

static json_t *items_make(const struct injection *injection, enum sbx_item_kind kind)
{
	json_t *list = json_array();

	for (unsigned i = 0; i < injection->count; i++)
		if (injection->items[i].kind == kind)
			(void)json_array_append_new(list, item_make(&injection->items[i]));
	return list;
}

static const char *variable_why(const char *variable)
{
	if (strncmp(variable, "LD_LIBRARY_PATH=", 16) == 0)
		return "the driver's libraries; what the image has there follows";
	if (strncmp(variable, "CUDA_VISIBLE_DEVICES=", 21) == 0)
		return "by UUID: numbers would be relative to what the container can open";
	if (strncmp(variable, "FERRITE_SOFTWARE_DEVICE_MEMORY=", 31) == 0)
		return "the size of the software device";
	return "where programs look for the driver's libcuda";
}

static json_t *environment_make(const struct backend *backend, const struct grant *grant,
				const struct injection *injection, struct err *err)
{
	char buffer[ENVIRONMENT_MAX];
	const char *at = buffer;
	json_t *list = json_array();
	uint32_t count = 0;
	size_t used;

	if (wish_environment(backend, grant, injection, buffer, sizeof(buffer), &used, &count, err) < 0)
		count = 0;
	for (uint32_t i = 0; i < count; i++, at += strlen(at) + 1)
		(void)json_array_append_new(list,
					    json_pack("{s:o, s:s}", "variable", text(at), "why",
						      i < injection->n_env ? "of the CDI devices" : variable_why(at)));
	return list;
}

/* --- why ---------------------------------------------------------------------------------------------------------- */

static json_t *gpus_make(const struct inventory *inventory, uint64_t mask)
{
	json_t *list = json_array();

	for (unsigned i = 0; i < inventory->count; i++)
		if (mask >> i & 1)
			(void)json_array_append_new(list, json_pack("{s:i, s:o, s:o}", "index", (int)i, "uuid",
								    text(inventory->gpus[i].uuid), "name",
								    text(inventory->gpus[i].name)));
	return list;
}

static json_t *wish_make(const struct wish *wish, const char *capabilities, uint64_t memory_bytes)
{
	json_t *requires = json_array();

	for (unsigned i = 0; i < wish->body->n_requires; i++)
		(void)json_array_append_new(requires, text(wish->requires[i]));
	return json_pack("{s:o, s:i, s:s, s:I, s:o}", "devices", text(wish->devices), "count", (int)wish->body->count,
			 "capabilities", capabilities, "memory", (json_int_t)MIN(memory_bytes, (uint64_t)INT64_MAX),
			 "requirements", requires);
}

static int finish(json_t *document, char **ret_text, struct err *err)
{
	char *written = document ? json_dumps(document, JSON_COMPACT) : NULL;

	json_decref(document);
	if (!written)
		return err_set(err, -ENOMEM, "no memory for the explanation");
	*ret_text = written;
	return 0;
}

/* Chooses as an attach would; what others hold is left out of account when it is in the way, and *RET_WAITS says so. */
static int choose(const struct explain_state *state, const struct grant_request *request, struct grant *ret_grant,
		  struct err *ret_waits, struct err *err)
{
	const struct inventory *inventory = &state->backend->inventory;
	struct grants idle = {0}, copy = *state->grants;
	const struct grant *grant = NULL;
	int code;

	copy.list = calloc(copy.count + 1, sizeof(*copy.list));
	if (!copy.list)
		return err_set(err, -ENOMEM, "no memory for the explanation");
	if (copy.count > 0)
		memcpy(copy.list, state->grants->list, copy.count * sizeof(*copy.list));
	copy.room = copy.count + 1;
	code = grants_add(&copy, inventory, request, &grant, ret_waits);
	if (code == -EAGAIN || code == -ENOMEM)
		code = grants_add(&idle, inventory, request, &grant, err);
	else if (code < 0)
		(void)err_set(err, code, "%s", ret_waits->text);
	if (code == 0)
		*ret_grant = *grant;
	grants_clear(&copy);
	grants_clear(&idle);
	return code;
}

static int explain_grant(const struct explain_state *state, const struct wish *wish, const struct grant *grant,
			 const struct err *waits, char **ret_text, struct err *err)
{
	char names[CAPABILITIES_TEXT_MAX];
	struct injection injection;
	struct err failure = ERR_INIT;
	json_t *environment, *document;
	unsigned capabilities;
	int code = capabilities_parse(wish->capabilities, &capabilities, err);

	if (code == 0)
		code = wish_check(wish, state->backend, grant->mask, NULL, err);
	if (code == 0)
		code = wish_injection(state->backend, wish_by_cdi(wish, state->backend) ? wish->devices : NULL,
				      grant->mask, capabilities, &injection, err);
	if (code < 0)
		return code;
	capabilities_text(capabilities, names);
	environment = environment_make(state->backend, grant, &injection, &failure);
	document = json_pack(
		"{s:b, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "injected", 1, "reason",
		text(state->backend->reason), "waits_for", waits->code < 0 ? text(waits->text) : json_null(), "wish",
		wish_make(wish, names, grant->memory_bytes), "gpus", gpus_make(&state->backend->inventory, grant->mask),
		"mounts", items_make(&injection, SBX_ITEM_FILE), "devices", items_make(&injection, SBX_ITEM_DEVICE),
		"links", items_make(&injection, SBX_ITEM_LINK), "files", items_make(&injection, SBX_ITEM_TEXT),
		"environment", environment);
	injection_done(&injection);
	if (failure.code < 0) {
		json_decref(document);
		return err_set(err, failure.code, "%s", failure.text);
	}
	return finish(document, ret_text, err);
}

int explain_make(const struct explain_state *state, const struct wish *wish, char **ret_text, struct err *err)
{
	struct grant_request request = {
		.memory_bytes = wish->body->memory_bytes ? wish->body->memory_bytes : state->memory_default,
		.label = wish->label,
	};
	struct err waits = ERR_INIT;
	struct grant grant;
	int code = wish_devices(wish, state->backend, &request, err);

	if (code < 0)
		return code;
	if (request.visible.kind == VISIBLE_VOID)
		return finish(json_pack("{s:b, s:s}", "injected", 0, "reason",
					"the image's NVIDIA_VISIBLE_DEVICES says that nothing is to be injected"),
			      ret_text, err);
	if (state->backend->kind == GPU_KIND_NONE && !wish_by_cdi(wish, state->backend))
		return err_set(err, -ENODEV, "this service has no GPU: %s", state->backend->reason);
	code = choose(state, &request, &grant, &waits, err);
	return code < 0 ? code : explain_grant(state, wish, &grant, &waits, ret_text, err);
}
