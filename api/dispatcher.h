/*
 * What the calls of all loops share: the function table, the images, the memory budget, the instances by number, and
 * the counters. The dispatcher also hears the events of the other servers and hands each to the loop it concerns.
 */
#ifndef FERRITE_API_DISPATCHER_H
#define FERRITE_API_DISPATCHER_H

#include "api/budget.h"
#include "api/function.h"
#include "api/image.h"
#include "api/peers.h"
#include "api/pool.h"
#include "api/shares.h"

struct instance;

struct dispatcher {
	struct functions functions;
	struct images images;
	struct budget budget;
	struct pools pools;	      /* of hot instances */
	_Atomic uint64_t room_coming; /* bytes of the budget that idle instances hold whose end was ordered */
	struct event *tick;
	/* Instances that the sandbox knows, by its number for them. */
	pthread_mutex_t lock;
	struct table instances;
	struct shares shares;
	_Atomic uint64_t queued, running, complete; /* calls */
	char host_name[65];
};

/* To be called in the control thread, as all events are. */
int dispatcher_open(struct worker *control, uint64_t memory_bytes, unsigned max_waiting, uint64_t max_wait_us,
		    struct dispatcher **ret_dispatcher, struct err *err);
void dispatcher_close(struct dispatcher *dispatcher);

/* The events for peers_open(); the context is the dispatcher. */
extern const struct peers_events dispatcher_events;

/* Control thread: from now on the end of this instance is awaited. */
void dispatcher_add_instance(struct dispatcher *dispatcher, struct instance *instance);

/* Any thread: how many instances there are now. */
size_t dispatcher_count(struct dispatcher *dispatcher);
/* Any thread: calls VISIT for each instance with the lock held; at most MAX. */
void dispatcher_visit(struct dispatcher *dispatcher, unsigned max, void (*visit)(void *context, struct instance *),
		      void *context);

#endif
