/* Names and texts of errors, and the search for entry points by base name and version. */
#include "cudaexec/softdev/api.h"

#include "cudaexec/cuda_result.h"

#include <string.h>

struct entry {
	const char *base;
	int since;
	bool per_thread; /* variant for the per-thread default stream */
	void *address;
};

static const struct entry entries[] = {
#include "cuda_entries.h"
};

CUresult cuGetErrorName(CUresult error, const char **text)
{
	const char *name, *description;

	if (!text)
		return CUDA_ERROR_INVALID_VALUE;
	if (!cuda_result_find(error, &name, &description)) {
		*text = NULL;
		return CUDA_ERROR_INVALID_VALUE;
	}
	*text = name;
	return CUDA_SUCCESS;
}

CUresult cuGetErrorString(CUresult error, const char **text)
{
	const char *name, *description;

	if (!text)
		return CUDA_ERROR_INVALID_VALUE;
	if (!cuda_result_find(error, &name, &description)) {
		*text = NULL;
		return CUDA_ERROR_INVALID_VALUE;
	}
	*text = description;
	return CUDA_SUCCESS;
}

/* The newest variant that is not newer than VERSION; *ret_known tells whether the base name exists at all. */
static const struct entry *entry_find(const char *base, int version, bool per_thread, bool *ret_known)
{
	const struct entry *best = NULL;

	for (size_t i = 0; i < ARRAY_LEN(entries); i++) {
		if (entries[i].per_thread != per_thread || strcmp(entries[i].base, base) != 0)
			continue;
		*ret_known = true;
		if (entries[i].since <= version && (!best || best->since < entries[i].since))
			best = &entries[i];
	}
	return best;
}

CUresult cuGetProcAddress_v2(const char *symbol, void **address, int version, cuuint64_t flags,
			     CUdriverProcAddressQueryResult *status)
{
	const struct entry *entry = NULL;
	bool known = false;

	if (!symbol || !address || flags > CU_GET_PROC_ADDRESS_PER_THREAD_DEFAULT_STREAM)
		return CUDA_ERROR_INVALID_VALUE;
	*address = NULL;
	if (symbol[0] == '\0') {
		if (status)
			*status = CU_GET_PROC_ADDRESS_SUCCESS;
		return CUDA_SUCCESS;
	}
	if (flags == CU_GET_PROC_ADDRESS_PER_THREAD_DEFAULT_STREAM)
		entry = entry_find(symbol, version, true, &known);
	if (!entry)
		entry = entry_find(symbol, version, false, &known);
	if (entry)
		*address = entry->address;
	if (status)
		*status = entry	  ? CU_GET_PROC_ADDRESS_SUCCESS
			  : known ? CU_GET_PROC_ADDRESS_VERSION_NOT_SUFFICIENT
				  : CU_GET_PROC_ADDRESS_SYMBOL_NOT_FOUND;
	return entry || status ? CUDA_SUCCESS : CUDA_ERROR_NOT_FOUND;
}

CUresult cuGetProcAddress(const char *symbol, void **address, int version, cuuint64_t flags)
{
	return cuGetProcAddress_v2(symbol, address, version, flags, NULL);
}

CUresult cuGetExportTable(const void **table, const CUuuid *id)
{
	if (!table || !id)
		return CUDA_ERROR_INVALID_VALUE;
	*table = NULL;
	return CUDA_ERROR_NOT_FOUND;
}
