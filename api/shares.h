/*
 * The shares of GPUs that calls and instances hold.
 *
 * ferrite-gpu keeps the account, but not over its own end: its successor is told here what is still held, before it
 * hears any request, or it would promise the same memory twice. A share is made before the request for it is sent, so
 * that nothing can fail when it is granted. Any thread, except as said.
 */
#ifndef FERRITE_API_SHARES_H
#define FERRITE_API_SHARES_H

#include "api/peers.h"
#include "api/table.h"

#include <pthread.h>

struct share;

struct shares {
	pthread_mutex_t lock;
	struct table held; /* by grant */
};

int shares_open(struct shares *shares, struct err *err);
void shares_close(struct shares *shares);

/* For an instance of a route. NULL: no memory. */
struct share *share_new(const char *app, const char *path);
void share_free(struct share *share);

/* Control thread: ferrite-gpu granted SHARE, which belongs to SHARES from here on. */
void shares_hold(struct shares *shares, struct share *share, const struct gpu_attached *attached);
/* Gives a grant back to ferrite-gpu. */
void shares_release(struct shares *shares, struct peers *peers, uint64_t grant);
/* Control thread: tells a ferrite-gpu what is held. */
void shares_announce(struct shares *shares, struct peers *peers);

#endif
