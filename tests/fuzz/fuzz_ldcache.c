/* The parser of ld.so.cache. */
#include "cudaexec/gpu/ldcache.h"

#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Reads both texts to their ends. */
static bool visit(void *context, const char *soname, const char *path)
{
	*(size_t *)context += strlen(soname) + strlen(path);
	return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t total = 0;

	(void)ldcache_each(data, size, visit, &total, NULL);
	return 0;
}
