/*
 * The image store: an OCI layout with unpacked layers beside it.
 *
 *   oci-layout, index.json      names (annotation org.opencontainers.image.ref.name) and manifest digests
 *   blobs/sha256/HEX            manifests, configurations, layer archives
 *   layers/HEX/                 an unpacked layer, by its diff id; layers/HEX.json is its record
 *   layers/host-HEX/            a layer made of the host's libraries
 *   tmp/                        work in progress and rubbish; emptied when a store is opened by its server
 *   lock                        held while references are taken (import) or what has none is moved away (gc)
 *   verified                    the boot id and the layers whose contents were checked since
 *
 * Everything appears by rename of what was synced before; index.json is replaced as a whole. A crash leaves at worst
 * unreferenced blobs and rubbish in tmp/, which the next sweep takes.
 *
 * One process serves a store. Its forked workers share the structure as it was when they were forked: they add blobs
 * and layers; names, verified layers and sweeping belong to the server.
 */
#ifndef FERRITE_ROOTFS_STORE_H
#define FERRITE_ROOTFS_STORE_H

#include "rootfs/digest.h"
#include "rootfs/reference.h"
#include "supervisor/err.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define STORE_NAMES_MAX	   4096
#define STORE_LAYER_ID_MAX 80 /* "HEX" or "host-HEX" with terminator */

struct store_name {
	char *name; /* normal form */
	char digest[DIGEST_TEXT_LENGTH + 1];
	uint64_t manifest_size;
	uint64_t size; /* of manifest, configuration and layer archives together */
	uint64_t imported_us;
};

struct store {
	int dir_fd, blobs_fd, layers_fd, tmp_fd;
	struct store_name *names; /* sorted */
	size_t n_names;
	json_t *verified; /* object used as a set of layer ids */
	char boot_id[40];
};

#define STORE_INIT ((struct store){.dir_fd = -1, .blobs_fd = -1, .layers_fd = -1, .tmp_fd = -1})

/* Opens the store in directory PATH, making it where it is missing, reads its names and empties tmp/. */
int store_open(const char *path, struct store *ret_store, struct err *err);
void store_close(struct store *store);

/* --- names --- */

/* The entry that a reference names (by digest when it has one), or NULL. */
const struct store_name *store_find(const struct store *store, const struct reference *reference);

/* Lets names mean an image (VALUE, its name is not used), and writes the index to disk. All or none. */
int store_set_names(struct store *store, char *const *names, size_t n_names, const struct store_name *value,
		    struct err *err);

/* Forgets a name. -ENOENT when there is none of that name. */
int store_remove_name(struct store *store, const char *name, struct err *err);

/* --- blobs --- */

/* "HEX" of "sha256:HEX". */
const char *store_hex(const char *digest);

/*
 * Reads a blob of at most MAX bytes and checks its digest. The caller frees the text, which is terminated. Returns its
 * length; -ENOENT when it is missing, -EUCLEAN when its bytes have changed.
 */
ssize_t store_blob_read(const struct store *store, const char *digest, size_t max, char **ret_text, struct err *err);
bool store_blob_exists(const struct store *store, const char *digest);

/* --- layers --- */

struct store_layer {
	char tree[DIGEST_TEXT_LENGTH + 1];
	uint64_t bytes, entries;
	bool opaque;
	json_t *needed, *provided; /* lists of library names; owned */
};

/* Reads the record of a layer; -ENOENT when the layer is not unpacked. */
int store_layer_read(const struct store *store, const char *id, struct store_layer *ret, struct err *err);
void store_layer_clear(struct store_layer *layer);

/* Opens the directory of a layer and takes a shared lock on it that lasts as long as any copy of the descriptor. */
int store_layer_open(const struct store *store, const char *id, struct err *err);

/*
 * Moves the directory NAME of WORK_FD to its place as layer ID with its record. A layer that is there already is moved
 * to WORK_FD first when REPLACE says so, else it stays. The caller holds the lock.
 */
int store_layer_put(const struct store *store, const char *id, int work_fd, const char *name,
		    const struct store_layer *layer, bool replace, struct err *err);

bool store_is_verified(const struct store *store, const char *id);
void store_mark_verified(struct store *store, const char *id);

/* --- shared steps --- */

/* Takes the store's lock until the descriptor is closed. */
int store_lock(const struct store *store, struct err *err);

/* Writes a file as a whole: new file in tmp/, sync, rename, sync of the directory. */
int store_write_file(const struct store *store, int dir_fd, const char *name, const char *text, size_t length,
		     struct err *err);

/*
 * Removing needs space, for the new index, when there may be none: a spare file holds enough of it. store_spare_use()
 * gives it up; true when it was there, and what failed for lack of space may be tried again. store_spare_keep() makes
 * it again as soon as there is room.
 */
bool store_spare_use(const struct store *store);
void store_spare_keep(const struct store *store);

/* Makes a fresh directory in tmp/ whose name begins with PREFIX; NAME (40 bytes) gets it. */
int store_make_work(const struct store *store, const char *prefix, char name[40], struct err *err);

/* Deletes NAME below DIR_FD with all it holds; a name that is not there is no error. */
int store_delete_tree(int dir_fd, const char *name, struct err *err);

#endif
