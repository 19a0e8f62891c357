/* The fat binary reader and the LZ4 decoder. */
#include "cudaexec/softdev/fatbin.h"
#include "supervisor/util.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t output[4096];
	_cleanup_free_ char *text = NULL;
	size_t length;

	(void)image_recognise(data, size);
	(void)fatbin_extract_ptx(data, size, 75, &text, &length, NULL);
	(void)lz4_decode(data, size, output, sizeof(output));
	return 0;
}
