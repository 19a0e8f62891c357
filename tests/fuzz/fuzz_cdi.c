/* The parser of CDI files, and the selection of a device from what it took. */
#include "cudaexec/gpu/cdi.h"

#include <stdio.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cdi cdi = {.n_specs = 1};
	struct cdi_selection selection;
	char name[CDI_NAME_MAX];

	if (cdi_parse("fuzz", (const char *)data, size, &cdi.specs[0], NULL) < 0)
		return 0;
	(void)snprintf(name, sizeof(name), "%s=%s", cdi.specs[0]->kind,
		       source_member(source_member(cdi.specs[0]->tree, "devices")->children, "name")->text);
	if (!cdi_wanted(&cdi, name) || cdi_select(&cdi, name, &selection, NULL) < 0 || selection.count != 1)
		__builtin_trap(); /* what was taken can be asked for */
	cdi_done(&cdi);
	return 0;
}
