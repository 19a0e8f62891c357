/* A handler for a version of the interface that does not exist yet. */
#define CUDAEXEC_HOST
#include "cudaexec/cudaexec.h"

CUDAEXEC_EXPORT extern const unsigned cudaexec_function_abi_version;
const unsigned cudaexec_function_abi_version = CUDAEXEC_ABI_VERSION + 1;

int cudaexec_function_init(const struct cudaexec_host *host)
{
	(void)host;
	return 0;
}

int cudaexec_function_call(const struct cudaexec_request *request, struct cudaexec_response *response)
{
	(void)request;
	(void)response;
	return 0;
}

void cudaexec_function_fini(void)
{
}
