/* The parts of the manifest's parser; internal to manifest*.c. Failures have the place in front (section.h). */
#ifndef FERRITE_CUDAEXEC_MANIFEST_PARTS_H
#define FERRITE_CUDAEXEC_MANIFEST_PARTS_H

#include "cudaexec/runner/manifest.h"
#include "cudaexec/runner/section.h"

/* Index of a tensor, or -1. */
int manifest_find_tensor(const struct manifest *m, const char *name);

/* Slot of a symbol, or -1. */
int manifest_find_symbol(const struct manifest *m, const char *name);

/*
 * Compiles an integer or a string (the expression's source) at the current place. Every name must be a symbol; the
 * error for an unknown one suggests the nearest.
 */
int manifest_parse_expr(struct section *s, struct manifest *m, const json_t *value, struct expr **ret_expr);

/* inputs, outputs, scratch: manifest_tensors.c */
int manifest_parse_tensors(struct section *s, struct manifest *m, const json_t *section);

/* launch: manifest_launch.c */
int manifest_parse_launches(struct section *s, struct manifest *m, const json_t *section);
void manifest_launches_free(struct manifest *m);

#endif
