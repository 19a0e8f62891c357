/*
 * NVIDIA_VISIBLE_DEVICES: which GPUs a container asks for. Pure functions, any thread.
 *
 * "", "void": nothing is injected. "none": driver files without GPUs. "all": every GPU. Else a comma list of indexes,
 * GPU-<uuid> (a beginning of it that fits one GPU will do), nvidia.com/gpu=<index, uuid or all>; the words all, none
 * and void win over the rest of the list, in the order void, none, all. MIG devices are refused with a text that says
 * so.
 */
#ifndef FERRITE_CUDAEXEC_GPU_VISIBLE_H
#define FERRITE_CUDAEXEC_GPU_VISIBLE_H

#include "supervisor/err.h"

#include <stdint.h>

#define GPUS_MAX 64 /* a selection is a bit mask */

enum visible_kind { VISIBLE_VOID, VISIBLE_NONE, VISIBLE_ALL, VISIBLE_LIST };

struct visible {
	enum visible_kind kind;
	uint64_t mask; /* VISIBLE_LIST and VISIBLE_ALL: bit I stands for GPU I */
};

/*
 * Reads TEXT against the GPUs that are there (UUIDS[0..count-1], by index). -EINVAL: malformed word; -ENODEV: no such
 * GPU, the text says which there are; -EOPNOTSUPP: MIG.
 */
int visible_parse(const char *text, const char *const *uuids, unsigned count, struct visible *ret_visible,
		  struct err *err);

#endif
