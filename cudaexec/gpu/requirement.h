/*
 * NVIDIA_REQUIRE_*: what an image demands of the driver and the GPU.
 *
 *	requirement := clause (' ' clause)*		one of them must hold
 *	clause      := term (',' term)*			all of them must hold
 *	term        := property ('=' | '!=' | '<' | '<=' | '>' | '>=') value
 *
 * cuda, driver and arch compare as dotted versions (missing parts count as 0), brand without regard to case and with =
 * and != only. A property whose value is unknown, and a property that is not one of these, holds. Pure functions.
 */
#ifndef FERRITE_CUDAEXEC_GPU_REQUIREMENT_H
#define FERRITE_CUDAEXEC_GPU_REQUIREMENT_H

#include "supervisor/err.h"

#include <stdbool.h>

/* The facts about one GPU; NULL or "": unknown. */
struct requirement_facts {
	const char *cuda;   /* of the driver, "12.4" */
	const char *driver; /* "550.54.15" */
	const char *arch;   /* compute capability, "7.5" */
	const char *brand;
};

/*
 * Whether the requirement holds; empty text holds. Returns 1 or 0, or -EINVAL when it is malformed. *ret_ignored is set
 * when a term was skipped because its property is unknown (for a warning); it may be NULL.
 */
int requirement_check(const char *text, const struct requirement_facts *facts, bool *ret_ignored, struct err *err);

/* Dotted versions: below, at or above 0 as strcmp(). Text that is no number counts as 0 from there on. */
int version_compare(const char *a, const char *b);

#endif
