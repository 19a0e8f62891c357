/*
 * The worker of somebody else's queue: takes tasks from API_URL by GET /tasks, runs them here, and acknowledges each
 * with DELETE /tasks after its run. While there are tasks it asks without pause, else once a second. It shares the
 * slots with the workers of our own queue.
 *
 * That queue hides a task for 60 seconds. A task that runs longer shows up again meanwhile: here it is known and not
 * started twice, and so reserved once more; another node may run it a second time.
 *
 * What cannot be run here is left alone.
 *
 * A thread of its own, for it waits for answers.
 */
#ifndef FERRITE_API_REMOTE_H
#define FERRITE_API_REMOTE_H

#include "api/api.h"

struct remote;

/* URL: of the service, or of its tasks. -EINVAL: it is none. */
int remote_open(struct api *api, const char *url, struct remote **ret_remote, struct err *err);
int remote_start(struct remote *remote, struct err *err);
/* Any thread: takes no more; what runs goes on. */
void remote_stop(struct remote *remote);
/* Ends the thread. */
void remote_join(struct remote *remote);
/* When no thread runs any more. */
void remote_close(struct remote *remote);

/* Whether URL is one of the N sockets that we listen on. */
bool remote_is_us(const char *url, const int *listen_fds, unsigned n);

#endif
