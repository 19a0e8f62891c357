/*
 * The server's state and its event loop: requests of ferrite-api in, replies out, long work in worker processes.
 *
 * Single-threaded. The api is treated as hostile: when it breaks a rule of messages.h it loses its channel and is
 * accused to ferrited, which kills it; everything that it can make the server hold is bounded.
 */
#ifndef FERRITE_ROOTFS_SERVICE_H
#define FERRITE_ROOTFS_SERVICE_H

#include "rootfs/hostbase.h"
#include "rootfs/jobs.h"
#include "rootfs/runnable.h"
#include "rootfs/store.h"
#include "supervisor/err.h"
#include "supervisor/loop.h"
#include "supervisor/server.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	SERVICE_IMPORTS_MAX = 3,    /* at work at the same time; others wait */
	SERVICE_PREPARES_MAX = 4,   /* the same for images before their first use */
	SERVICE_JOBS_MAX = 64,	    /* at work and waiting */
	SERVICE_WAITING_MAX = 4096, /* RFS_OPEN requests that wait for an image's first use */
	SERVICE_IMAGES_MAX = 256,   /* images whose layers and configuration are kept in memory */
};

struct service_image {
	struct runnable runnable;
	struct hostbase host;
	bool has_host;
	uint64_t host_checked_us, used;
};

struct service_waiting {
	uint64_t id;
	char digest[DIGEST_TEXT_LENGTH + 1];
};

enum job_kind { JOB_KIND_IMPORT, JOB_KIND_PREPARE, JOB_KIND_DELETE, JOB_KIND_MAX };

struct service;

struct service_job {
	struct service *service;
	enum job_kind kind;
	bool started;
	struct child child;
	struct loop_watch watch;
	char phase[REPORT_PHASE_MAX];
	uint64_t id; /* of the request */
	/* Imports: */
	int archive_fd;
	uint64_t archive_size;
	char *name;
	char work[40]; /* directory in tmp/; of deletions, what to delete */
	char *names[IMPORT_NAMES_MAX];
	size_t n_names;
	struct store_name imported;
	/* Preparations: */
	char digest[DIGEST_TEXT_LENGTH + 1];
	struct hostbase host;
};

struct service {
	struct loop loop;
	struct server server;
	struct loop_watch control_watch, api_watch, timer_watch;
	struct store store;
	int api_fd, timer_fd;
	bool draining;
	bool used_images; /* an image was opened since the start */
	char *state_dir, *libexec_dir, *runner;
	struct unpack_limits unpack_limits;
	struct ipc_message *message;
	struct service_image *images[SERVICE_IMAGES_MAX];
	struct service_job *jobs[SERVICE_JOBS_MAX];
	struct service_waiting *waiting;
	size_t n_waiting;
	int failure; /* why the loop ended, 0: as asked */
	struct err err;
};

/* Opens the store and begins to serve; to be called after server_open(). */
int service_start(struct service *service, struct err *err);

/* Runs until ferrited is gone, orders to end, or something fails. */
int service_run(struct service *service, struct err *err);

/* Kills the workers and releases everything. */
void service_stop(struct service *service);

/* Takes a fresh channel to the api; imports that the old one asked for are ended. */
int service_set_api(struct service *service, int fd, struct err *err);

void service_drain(struct service *service, uint64_t deadline_us);

/* --- between the parts of the server (requests.c, work.c, service.c) ---------------------------------------------- */

/* Handles one message of the api that keeps the rules. */
void service_request(struct service *service, struct ipc_message *message);

/* Sends a reply or an event; an api that lives and does not take it ends this process. */
void service_send(struct service *service, const struct ipc_out *out);
void service_fail(struct service *service, uint64_t id, const char *phase, const struct err *why);
void service_close_api(struct service *service);

/* Answers an RFS_OPEN when the image is ready; else begins to make it ready and keeps the request. */
void service_open_image(struct service *service, uint64_t id, const char *digest);

int service_add_import(struct service *service, uint64_t id, int archive_fd, uint64_t size, const char *name,
		       struct err *err);

/* Sweeps the store and tells how much; rubbish is deleted by a worker. */
int service_sweep(struct service *service, struct rfs_removed *ret, struct err *err);

/* Tells the api that a name means something else now. */
void service_changed(struct service *service, const char *name);

/* Ends the loop when the service is draining and the last job that matters is done. */
void service_end_if_drained(struct service *service);

/* Ends imports whose asker is gone. */
void service_end_imports(struct service *service);

#endif
