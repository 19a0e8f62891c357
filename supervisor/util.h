/*
 * Ownership helpers and small safe wrappers used by every ferrite program.
 *
 * Cleanup attributes release a local when its scope ends; ownership leaves a scope with take_fd() or take_ptr().
 * All cleanup functions keep errno.
 */
#ifndef FERRITE_UTIL_H
#define FERRITE_UTIL_H

#include "supervisor/err.h"

#include <dirent.h>
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/types.h>
#include <unistd.h>

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))
#define MIN(a, b)    ((a) < (b) ? (a) : (b))
#define MAX(a, b)    ((a) > (b) ? (a) : (b))

#define KIB ((uint64_t)1024)
#define MIB (1024 * KIB)
#define GIB (1024 * MIB)

/* Closes *fd when it is a descriptor, and forgets it. Keeps errno. */
static inline void fd_close(int *fd)
{
	if (*fd >= 0) {
		int saved = errno;

		(void)close(*fd);
		errno = saved;
		*fd = -1;
	}
}

static inline int take_fd(int *fd)
{
	int taken = *fd;

	*fd = -1;
	return taken;
}

static inline void free_ptr(void *p)
{
	int saved = errno;

	free(*(void **)p);
	*(void **)p = NULL;
	errno = saved;
}

static inline void file_close(FILE **f)
{
	if (*f) {
		int saved = errno;

		(void)fclose(*f);
		errno = saved;
		*f = NULL;
	}
}

static inline void dir_close(DIR **d)
{
	if (*d) {
		int saved = errno;

		(void)closedir(*d);
		errno = saved;
		*d = NULL;
	}
}

#define _cleanup_(f)   __attribute__((cleanup(f)))
#define _cleanup_fd_   _cleanup_(fd_close)
#define _cleanup_free_ _cleanup_(free_ptr)
#define _cleanup_file_ _cleanup_(file_close)
#define _cleanup_dir_  _cleanup_(dir_close)

/* Moves a pointer out of its variable. */
#define take_ptr(p) \
	({ \
		__typeof__(p) taken_ = (p); \
		(p) = NULL; \
		taken_; \
	})

/* CLOCK_MONOTONIC and CLOCK_REALTIME in microseconds. */
uint64_t clock_monotonic_us(void);
uint64_t clock_realtime_us(void);

/*
 * Reads a whole file below DIRFD (AT_FDCWD allowed) of at most MAX bytes into a fresh terminated buffer that the
 * caller frees. Returns its length, or a negative errno; -EFBIG when it is larger.
 */
ssize_t file_read(int dirfd, const char *path, size_t max, char **ret_text, struct err *err);

/* Writes TEXT to an existing file in one write (cgroup and proc files). */
int file_write(int dirfd, const char *path, const char *text, struct err *err);

/* Writes all LENGTH bytes, retrying short writes and EINTR. */
int fd_write_all(int fd, const void *data, size_t length);

/* Fills BUFFER with LENGTH random bytes; never fails once the kernel's pool is ready. */
void random_bytes(void *buffer, size_t length);

#endif
