/*
 * Who holds which GPU: admission and bookkeeping of declared device memory. A grant is a share of one or more GPUs for
 * one instance; the sum of the declared memory on a GPU never exceeds what the GPU has. Pure bookkeeping, one thread.
 */
#ifndef FERRITE_CUDAEXEC_GPU_GRANTS_H
#define FERRITE_CUDAEXEC_GPU_GRANTS_H

#include "cudaexec/gpu/inventory.h"
#include "supervisor/err.h"
#include "supervisor/messages.h"

#define GRANTS_MAX 4096

struct grant {
	uint64_t id;	       /* never 0 */
	uint64_t mask;	       /* GPUs */
	uint64_t memory_bytes; /* on each of them */
	uint64_t since_us;     /* CLOCK_REALTIME */
	uint32_t profile;      /* number of the list of mounts that the instance was told; 0: of a predecessor */
	char label[GPU_LABEL_MAX];
};

struct grants {
	struct grant *list;
	unsigned count, room;
	uint64_t last_id;
};

struct grant_request {
	struct visible visible;
	unsigned count; /* GPUs wanted when visible.kind is VISIBLE_ALL: the ones with most room are taken */
	uint64_t memory_bytes;
	const char *label;
};

/*
 * Chooses the GPUs and enters the grant. *ret_grant points into the list until the next call. Errors, each with a text
 * that says how much is free and how much there is:
 * -ENODEV: fewer GPUs than asked for; -ENOSPC: more memory than the GPU has; -EAGAIN: not now, others hold it;
 * -ENOMEM: no place for another grant.
 */
int grants_add(struct grants *grants, const struct inventory *inventory, const struct grant_request *request,
	       const struct grant **ret_grant, struct err *err);

/*
 * Enters a grant of a predecessor; it is not asked again whether there is room. Later grants get higher ids. -EPROTO:
 * no id, or one that is entered already; -ENOMEM as above.
 */
int grants_restore(struct grants *grants, const struct inventory *inventory, const struct gpu_hold *hold,
		   const char *label, struct err *err);

/* Notes the number of a grant's list of mounts; unknown ids are ignored. */
void grants_set_profile(struct grants *grants, uint64_t id, uint32_t profile);

/* Whether a grant has it. */
bool grants_use_profile(const struct grants *grants, uint32_t profile);

/* Forgets a grant; unknown ids are ignored. */
void grants_remove(struct grants *grants, uint64_t id);

/* Forgets all of them. */
void grants_clear(struct grants *grants);

/* Declared memory on GPU INDEX. */
uint64_t grants_declared(const struct grants *grants, unsigned index);

#endif
