/* A handler that lacks cudaexec_function_call(). */
#include "cudaexec/cudaexec.h"

int cudaexec_function_init(const struct cudaexec_host *host)
{
	(void)host;
	return 0;
}

void cudaexec_function_fini(void)
{
}
