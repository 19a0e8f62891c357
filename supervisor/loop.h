/*
 * The event loop of the privileged programs: epoll over descriptors, pidfds and timerfds, nothing else.
 *
 * A watch is embedded in its owner's structure and lives as long as it is registered. Callbacks may remove any watch,
 * their own too: removed watches get no further call in the same round. One thread per loop.
 */
#ifndef FERRITE_LOOP_H
#define FERRITE_LOOP_H

#include "supervisor/err.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>

struct loop;
struct loop_watch;

/* EVENTS are EPOLL… bits. */
typedef void loop_callback(struct loop *loop, struct loop_watch *watch, uint32_t events);

struct loop_watch {
	int fd; /* -1 when not registered; not owned */
	loop_callback *callback;
	void *context;
};

struct loop {
	int epoll_fd;
	bool stop;
	/* Private: the events of this round that are not delivered yet; loop_remove() strikes a watch from them. */
	struct epoll_event *pending;
	int n_pending;
};

int loop_open(struct loop *loop, struct err *err);
void loop_close(struct loop *loop);

/* Watches FD for EVENTS (EPOLLIN, …; level-triggered). */
int loop_add(struct loop *loop, struct loop_watch *watch, int fd, uint32_t events, loop_callback *callback,
	     void *context, struct err *err);
int loop_modify(struct loop *loop, struct loop_watch *watch, uint32_t events, struct err *err);

/* Stops watching; does nothing when the watch is not registered. Call before closing the descriptor. */
void loop_remove(struct loop *loop, struct loop_watch *watch);

/* Runs until loop->stop is set by a callback. */
int loop_run(struct loop *loop, struct err *err);

/* A one-shot timer descriptor that becomes readable at CLOCK_MONOTONIC WHEN_US; WHEN_US 0 disarms it. */
int loop_timer(struct err *err);
int loop_timer_set(int timer_fd, uint64_t when_us, struct err *err);

#endif
