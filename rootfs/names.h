/* The names of a store, as index.json keeps them. Inside of the store only; others use store.h. */
#ifndef FERRITE_ROOTFS_NAMES_H
#define FERRITE_ROOTFS_NAMES_H

#include "rootfs/store.h"

/* Reads index.json; a store without one has no names. */
int store_names_load(struct store *store, struct err *err);
void store_names_free(struct store *store);

#endif
