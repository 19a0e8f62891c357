/*
 * What an instance asks of the GPUs, as ferrite-api says it in GPU_ATTACH and GPU_EXPLAIN, held against what this
 * machine has. Texts point into the message. One thread.
 */
#ifndef FERRITE_CUDAEXEC_GPU_WISH_H
#define FERRITE_CUDAEXEC_GPU_WISH_H

#include "cudaexec/gpu/backend.h"
#include "cudaexec/gpu/grants.h"
#include "supervisor/ipc.h"

#define WISH_FIXED_TEXTS 3 /* devices, capabilities, label */
#define WISH_TEXTS_MAX	 (WISH_FIXED_TEXTS + GPU_REQUIRES_MAX)

struct wish {
	const struct gpu_attach *body;
	const char *devices, *capabilities, *label;
	char **requires; /* body->n_requires of them */
};

/* Reads a message whose sizes were checked; LIST has room for WISH_TEXTS_MAX texts. -EPROTO. */
int wish_read(struct ipc_message *message, char **list, struct wish *ret_wish, struct err *err);

/* The devices that the wish names; an empty wish means "COUNT of them, whichever". Errors as visible_parse(). */
int wish_devices(const struct wish *wish, const struct backend *backend, struct grant_request *request,
		 struct err *err);

/*
 * Every GPU of MASK must satisfy every requirement: -EOPNOTSUPP names the first that one does not, -EINVAL one that is
 * malformed. NOTICE (may be NULL) hears of those with a property that nobody knows.
 */
int wish_check(const struct wish *wish, const struct backend *backend, uint64_t mask,
	       void (*notice)(const char *text, const char *detail), struct err *err);

/* Whether the wish is one for CDI devices; the driver found without CDI has no part in it then. */
bool wish_by_cdi(const struct wish *wish, const struct backend *backend);

/*
 * The list of what is injected for a grant with these GPUs: that of the CDI devices of WISH_CDI, or (NULL) of the
 * driver. Errors as cdi_select() and cdi_inject(), or injection_build().
 */
int wish_injection(const struct backend *backend, const char *wish_cdi, uint64_t mask, unsigned capabilities,
		   struct injection *ret_injection, struct err *err);

/* What an instance with this grant and injection gets in its environment, as a packed list behind *USED; *RET_COUNT of
 * them. -EMSGSIZE. */
int wish_environment(const struct backend *backend, const struct grant *grant, const struct injection *injection,
		     char *buffer, size_t size, size_t *ret_used, uint32_t *ret_count, struct err *err);

#endif
