/*
 * The instance's /dev: a small tmpfs with the host's harmless nodes bound into it one by one, the links every program
 * expects, and a shared memory directory.
 */
#ifndef FERRITE_SANDBOX_DEVICES_H
#define FERRITE_SANDBOX_DEVICES_H

#include "supervisor/err.h"

#include <stdint.h>

/* The character devices of every instance. */
struct device_node {
	const char *name;
	uint32_t major, minor;
};

extern const struct device_node device_nodes[];
extern const unsigned device_nodes_count;

/* A detached copy of the host's node, checked to be what it is called. In the mount namespace of the caller. */
int device_clone_node(const struct device_node *node, struct err *err);

#define DEVICES_SHM_INODES 16384

/*
 * Mounts a /dev on POINT_FD, to be moved where it belongs; returns its descriptor, and that of its /dev/shm. Call
 * devices_seal() when everything is in it.
 */
int devices_mount(int point_fd, uint64_t shm_bytes, int *ret_shm_fd, struct err *err);
int devices_seal(int dev_fd, struct err *err);

#endif
