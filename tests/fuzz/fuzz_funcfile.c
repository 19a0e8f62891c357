/* Function files, as YAML and as JSON: a file that is accepted is whole, one that is not says where and why. */
#include "rootfs/bundle.h"
#include "rootfs/funcfile.h"
#include "rootfs/reference.h"
#include "supervisor/util.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void use(const struct function_file *file)
{
	_cleanup_free_ char *gpu = bundle_gpu_json(&file->gpu);
	char name[REFERENCE_TEXT_MAX];

	if (!gpu || (file->runtime == FUNCTION_RUNTIME_CUDA) != (file->cuda != NULL))
		abort();
	for (size_t i = 0; i < file->n_files; i++)
		if (!file->files[i].from)
			abort();
	(void)bundle_image_name(file, NULL, name, sizeof(name), NULL);
}

/* A raised version is found again, and nothing else has become of the file. */
static void bump(const char *name, const char *text, size_t length, const struct function_file *before)
{
	_cleanup_(function_file_release) struct function_file *file = NULL;
	_cleanup_free_ char *changed = NULL, *version = NULL;

	if (function_file_bump(name, text, length, &changed, &version, NULL) < 0)
		return;
	if (function_file_parse(name, changed, strlen(changed), &file, NULL) < 0 || !file->version ||
	    strcmp(file->version, version) != 0 || (file->name && strcmp(file->name, before->name) != 0) ||
	    file->n_tests != before->n_tests || file->n_files != before->n_files)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const names[] = {"func.yaml", "func.json"};

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		_cleanup_free_ char *text = strndup((const char *)data, size);
		struct function_file *file = NULL;
		struct err err = ERR_INIT;
		int r = function_file_parse(names[i], (const char *)data, size, &file, &err);

		if (r == 0)
			use(file);
		if (r == 0 && strlen(text) == size)
			bump(names[i], text, size, file);
		else if (r < 0 && (file || err.code >= 0 || strncmp(err.text, "func.", 5) != 0))
			abort();
		(void)function_file_free(file);
	}
	return 0;
}
