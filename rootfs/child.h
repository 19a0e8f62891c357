/*
 * Child processes for work on hostile bytes.
 *
 * A child is forked (not executed) from a single-threaded process, keeps only the descriptors it is given, and reports
 * through a socket in messages of one fixed structure. A confined child besides loses its root directory, every
 * capability that unpacking does not need, and every system call that it does not need; its memory, output and CPU time
 * are limited. Nothing is loaded after that: no NSS, no locale, no plug-ins.
 *
 * The parent reads reports until the child has ended, with a deadline after which the child is killed. A child dies
 * with its parent.
 */
#ifndef FERRITE_ROOTFS_CHILD_H
#define FERRITE_ROOTFS_CHILD_H

#include "supervisor/err.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define CHILD_FD_FIRST	 4 /* number of the first descriptor given to a child; CHILD_REPORT_FD is below it */
#define CHILD_REPORT_FD	 3
#define CHILD_FDS_MAX	 6
#define REPORT_TEXT_MAX	 1024
#define REPORT_PHASE_MAX 24

/* Types from 1 up belong to the work; a child's function sends them, the parent's loop gets them. */
enum { REPORT_FAILED = -1, REPORT_DONE = -2 };

struct report {
	int32_t type;
	int32_t code;
	uint64_t a, b;
	char phase[REPORT_PHASE_MAX];
	char digest[72];
	char text[REPORT_TEXT_MAX];
};

struct child_plan {
	/* Runs in the child. A negative result is reported with err as the failure of the whole child. */
	int (*run)(void *context, struct err *err);
	void *context;
	const char *name; /* "unpack", for error texts and the phase of a failure */
	const int *fds;	  /* become CHILD_FD_FIRST and following */
	unsigned n_fds;
	/* Confinement: fds[0] is the directory that becomes the root. */
	bool confined;
	uint64_t file_bytes_max; /* largest file it may write, 0: no limit */
	uint64_t time_max_us;	 /* 0: no limit */
};

struct child {
	pid_t pid; /* 0: none */
	int fd;
	const char *name;
	uint64_t deadline_us; /* CLOCK_MONOTONIC */
};

#define CHILD_INIT ((struct child){.fd = -1})

int child_start(const struct child_plan *plan, struct child *ret_child, struct err *err);

/*
 * Waits for the next report. 1: *ret is a report of the work; 0: the child ended with success; negative: it failed,
 * died (-EIO), or passed its deadline (-ETIMEDOUT), and err says so; PHASE (REPORT_PHASE_MAX bytes, may be NULL) gets
 * the phase that the child named. The child is reaped unless 1 is returned.
 */
int child_next(struct child *child, struct report *ret, char *phase, struct err *err);

/*
 * The same for event loops: reads one report without waiting. -EAGAIN: nothing is there.
 */
int child_poll(struct child *child, struct report *ret, char *phase, struct err *err);

/* Kills and reaps the child when there is one. */
void child_stop(struct child *child);

/* For _cleanup_(). */
#define _cleanup_child_ __attribute__((cleanup(child_stop)))

/* --- in the child ------------------------------------------------------------------------------------------------- */

/* Sends one report to the parent; a parent that is gone ends the child. */
void report_send(const struct report *report);

/* A report with text; longer texts are cut. */
void report_text(int32_t type, uint64_t a, uint64_t b, const char *text);

#endif
