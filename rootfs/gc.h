/*
 * Sweeping the store: blobs and layers that no name, no import at work and no caller refers to.
 *
 * A layer whose directory somebody still holds open with the lock of store_layer_open() stays until a later sweep.
 * Layers are only moved to a rubbish directory in tmp/, which is quick; deleting it is for somebody who may wait.
 */
#ifndef FERRITE_ROOTFS_GC_H
#define FERRITE_ROOTFS_GC_H

#include "rootfs/store.h"
#include "supervisor/err.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

struct gc_result {
	uint32_t blobs, layers, busy; /* busy: layers that are still in use */
	uint64_t bytes;
	char rubbish[40]; /* name in tmp/, empty when no layer was moved */
};

/* KEPT is an object whose keys are the ids of the host's layers that are in use; NULL: all of them are kept. */
int gc_sweep(struct store *store, const json_t *kept, struct gc_result *ret_result, struct err *err);

#endif
