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

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const names[] = {"func.yaml", "func.json"};

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		struct function_file *file = NULL;
		struct err err = ERR_INIT;
		int r = function_file_parse(names[i], (const char *)data, size, &file, &err);

		if (r == 0)
			use(file);
		else if (file || err.code >= 0 || strncmp(err.text, "func.", 5) != 0)
			abort();
		(void)function_file_free(file);
	}
	return 0;
}
