/* The `cuda:` section: whatever is accepted has a canonical form that is accepted again and stays the same. */
#include "cudaexec/runner/manifest.h"
#include "supervisor/util.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_(manifest_release) struct manifest *m = NULL, *again = NULL;
	struct err err = ERR_INIT;
	char place[256];

	if (manifest_parse_text((const char *)data, size, &m, &err) < 0) {
		if (err.code == 0 || !manifest_error_place(&err, place, sizeof(place))[0])
			abort();
		return 0;
	}
	if (manifest_parse_text(manifest_canonical(m), strlen(manifest_canonical(m)), &again, &err) < 0 ||
	    strcmp(manifest_canonical(m), manifest_canonical(again)) != 0)
		abort();
	return 0;
}
