/*
 * The folders of ferrited and its servers.
 *
 *	STATE_DIR/NAME	what server NAME keeps for ever
 *	RUN_DIR/lock	held by the one ferrited of this folder, with its pid inside
 *	RUN_DIR/api.sock
 *	RUN_DIR/NAME	what server NAME needs while it runs; emptied at each start
 *
 * STATE_DIR and RUN_DIR are made with mode 0711, the servers' folders 0700 and their own. An owner that differs (the
 *user ids were moved, or a copy was restored as root) is set right, with everything below.
 *
 * Servers run as users of their own, so a folder below one that is closed to others (a private temporary folder, /root)
 * would be out of their reach. Such folders are shown to them in ferrited's own mount namespace below a small tmpfs on
 * a folder that is not otherwise needed; nothing of it exists outside that namespace.
 *
 * Runs as root before any server is started; paths are absolute.
 */
#ifndef FERRITE_FOLDERS_H
#define FERRITE_FOLDERS_H

#include "supervisor/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#define FOLDERS_SHOWN_MAX 16

/* Makes PATH with MODE and what is missing above it. */
int folders_make(const char *path, mode_t mode, struct err *err);

/*
 * Takes the lock of RUN_DIR for as long as the returned descriptor is open. -EEXIST names the process that holds it.
 */
int folders_lock(const char *run_dir, struct err *err);

/* Removes the lock file; the descriptor is closed by the caller after that. */
void folders_unlock(const char *run_dir);

/* Makes PARENT/NAME with mode 0700 and owner UID (group the same number). */
int folders_own(const char *parent, const char *name, uid_t uid, struct err *err);

/* Removes what is below PATH; PATH stays. Does not follow links, stays on the file system. */
int folders_empty(const char *path, struct err *err);

/* Gives the process a mount namespace that gets the host's mounts and gives none back. */
int folders_leave_mounts(struct err *err);

struct folders_view {
	char point[64]; /* where the tmpfs is; empty: not needed so far */
	unsigned n;
	char from[FOLDERS_SHOWN_MAX][4096];
	char to[FOLDERS_SHOWN_MAX][96];
};

/*
 * A path under which others than root reach PATH: PATH itself when all folders above let them through, else a place in
 * the view. AVOID ends with NULL: paths that the view must not hide.
 */
int folders_reach(struct folders_view *view, const char *path, const char *const *avoid, char *ret_path, size_t size,
		  struct err *err);

#endif
