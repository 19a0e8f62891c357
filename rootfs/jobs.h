/*
 * The work of the server that takes long, each piece in a worker process of its own: imports, checking layers before
 * their first use, deleting what was swept. The server reads their reports in its event loop.
 */
#ifndef FERRITE_ROOTFS_JOBS_H
#define FERRITE_ROOTFS_JOBS_H

#include "rootfs/child.h"
#include "rootfs/hostbase.h"
#include "rootfs/import.h"
#include "rootfs/runnable.h"
#include "rootfs/store.h"
#include "supervisor/err.h"

/* Reports of workers. */
enum {
	JOB_PROGRESS = 1, /* a: done, b: total, phase */
	JOB_VERIFIED,	  /* text: layer id */
	JOB_NAME,	  /* text: a name that the import gives */
	JOB_IMPORTED,	  /* digest, a: size, b: size of the manifest */
	JOB_HOST_LAYER,	  /* text: layer id */
	JOB_HOST_SOURCE,  /* a: number of the source, code: which of its values, b: the value; text: path */
};

/* Starts an import. The request's store, archive and names are used in the worker only; they may go after the call. */
int job_start_import(const struct import_request *request, struct child *ret_child, struct err *err);

/* Starts checking the layers of an image that were not verified yet, and making its host layers. */
int job_start_prepare(const struct store *store, const struct runnable *runnable, const char *runner,
		      struct child *ret_child, struct err *err);

/* Starts deleting NAME in tmp/. */
int job_start_delete(const struct store *store, const char *name, struct child *ret_child, struct err *err);

/* Adds a JOB_HOST_LAYER or JOB_HOST_SOURCE report to what the server knows of the host's layers. */
int job_take_host(const struct report *report, struct hostbase *base, struct err *err);

#endif
