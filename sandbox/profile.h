/*
 * Profiles: sets of host objects that ferrite-gpu stores here and that instances get mounted. A profile is checked
 * once, when it comes; an instance then only names its number. Sources are descriptors, never paths: a file must be
 * regular, root's and writable by nobody else, a device must belong to a driver that the configuration allows.
 */
#ifndef FERRITE_SANDBOX_PROFILE_H
#define FERRITE_SANDBOX_PROFILE_H

#include "supervisor/err.h"
#include "supervisor/messages.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* One record of a profile message: struct sbx_item and its list. Texts point into the message. */
struct profile_record {
	uint32_t kind; /* enum sbx_item_kind */
	const char *destination;
	const char *content; /* link target or text; NULL for files and devices */
};

/* Reads the record at BYTES; returns its length, or -EBADMSG when it is malformed. Alignment does not matter. */
long profile_next_record(char *bytes, size_t length, struct profile_record *ret_record);

static inline bool profile_record_has_fd(const struct profile_record *record)
{
	return record->kind == SBX_ITEM_FILE || record->kind == SBX_ITEM_DEVICE;
}

/* True when MAJOR of character devices belongs in DEVICES (text of /proc/devices) to a driver whose name begins with
 * one of the comma-separated PREFIXES. */
bool profile_major_allowed(const char *devices, unsigned major, const char *prefixes);

struct profile {
	uint32_t number; /* 0: free */
	char *records;	 /* owned */
	size_t length;
	int *source_fds; /* O_PATH, owned, one per file and device record */
	unsigned n_sources;
	unsigned n_devices;
	uint64_t *devices; /* dev_t, owned */
	int program_fd;	   /* device policy; the default devices and these; -1: no devices */
};

/*
 * Builds a profile from a message's tail and descriptors (taken from SOURCE_FDS on success). PROC_FD is /proc of the
 * host, PREFIXES the drivers allowed.
 */
int profile_build(struct profile *profile, const struct sbx_profile *message, char *tail, size_t length,
		  int *source_fds, unsigned n_sources, int proc_fd, const char *prefixes, struct err *err);

/* Detached mounts of all sources, for one instance; RET_FDS has room for SBX_ITEMS_MAX. */
int profile_clone_mounts(const struct profile *profile, int *ret_fds, struct err *err);

void profile_done(struct profile *profile);

#endif
