/* Module images: any bytes are refused with a text, or listed. (PTX and fat binaries have targets of their own.) */
#include "cudaexec/runner/manifest.h"
#include "supervisor/util.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_(kernel_list_release) struct kernel_list *list = NULL;
	struct err err = ERR_INIT;

	if (kernel_list_read(data, size, &list, &err) < 0) {
		if (err.code == 0 || err.text[0] == '\0')
			abort();
		return 0;
	}
	for (size_t i = 0; i < list->count; i++)
		for (size_t p = 0; p < list->kernels[i].n_params; p++)
			if (list->kernels[i].param_sizes[p] == 0)
				abort();
	return 0;
}
