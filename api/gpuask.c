#include "api/gpuask.h"

#include "supervisor/util.h"

#include <string.h>

#define REQUIRE	    "NVIDIA_REQUIRE_"
#define REQUIRE_LEN (sizeof(REQUIRE) - 1)

struct gpu_wish gpu_ask_wish(const struct function *function, const struct image *image)
{
	struct gpu_wish wish = function && function->has_gpu ? function->gpu : image->gpu;

	if (image->cuda)
		wish.count = MAX(wish.count, 1u);
	return wish;
}

static void pack(struct text *list, const char *text)
{
	text_add(list, text, strlen(text) + 1);
}

static const char *variable(const struct image *image, const char *name)
{
	size_t length = strlen(name);

	for (unsigned i = 0; i < image->n_env; i++)
		if (strncmp(image->env[i], name, length) == 0 && image->env[i][length] == '=')
			return image->env[i] + length + 1;
	return NULL;
}

/* As Go reads truth values, in which the toolkit is written. */
static bool is_true(const char *value)
{
	static const char *const words[] = {"1", "t", "T", "true", "TRUE", "True"};

	for (size_t i = 0; value && i < ARRAY_LEN(words); i++)
		if (strcmp(value, words[i]) == 0)
			return true;
	return false;
}

/* Images from before NVIDIA_REQUIRE_CUDA say only which CUDA they were made for. */
static const char *legacy_cuda(const struct image *image)
{
	const char *version = variable(image, "CUDA_VERSION");

	return version && *version && !variable(image, REQUIRE "CUDA") ? version : NULL;
}

static void pack_requirement(struct text *tail, const char *text, struct gpu_attach *body)
{
	pack(tail, text);
	body->n_requires++;
}

static void pack_requirements(const struct image *image, struct gpu_attach *body, struct text *tail)
{
	const char *legacy = legacy_cuda(image);

	if (is_true(variable(image, "NVIDIA_DISABLE_REQUIRE")))
		return;
	for (unsigned i = 0; i < image->n_env; i++) {
		const char *text = image->env[i];

		if (strncmp(text, REQUIRE, REQUIRE_LEN) == 0 && strncmp(text, REQUIRE "JETPACK", REQUIRE_LEN + 7) != 0)
			pack_requirement(tail, text + strcspn(text, "=") + 1, body);
	}
	if (legacy) {
		char text[64];
		size_t major = strcspn(legacy, "."), minor = legacy[major] ? strcspn(legacy + major + 1, ".") + 1 : 0;

		(void)snprintf(text, sizeof(text), "cuda>=%.*s", (int)MIN(major + minor, (size_t)32), legacy);
		pack_requirement(tail, text, body);
	}
}

int gpu_ask(const struct image *image, const struct gpu_wish *wish, const char *label, struct gpu_attach *ret_body,
	    struct text *tail, struct err *err)
{
	const char *devices = variable(image, "NVIDIA_VISIBLE_DEVICES");
	const char *capabilities = variable(image, "NVIDIA_DRIVER_CAPABILITIES");
	struct gpu_attach body = {.count = wish->count, .memory_bytes = wish->memory_bytes};

	/* What the image does not say the number of the wish decides; an empty variable means that nothing is wanted.
	 */
	pack(tail, !devices ? "" : *devices ? devices : "void");
	if (*wish->capabilities)
		capabilities = wish->capabilities;
	else if (!capabilities)
		capabilities = legacy_cuda(image) ? "all" : "";
	pack(tail, capabilities);
	pack(tail, label);
	pack_requirements(image, &body, tail);
	if (body.n_requires > GPU_REQUIRES_MAX)
		return err_set(err, -E2BIG, "the image has more than %d variables " REQUIRE "…", GPU_REQUIRES_MAX);
	if (tail->failed)
		return err_set(err, -ENOMEM, "ferrite is out of memory");
	*ret_body = body;
	return 0;
}
