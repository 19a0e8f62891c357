/*
 * Calls of functions of the format "http": each waits for its turn at an instance of the function's pool, and gives the
 * instance back when it was in step to the last byte. One that was not is ended and serves nobody again.
 */
#ifndef FERRITE_API_HOT_H
#define FERRITE_API_HOT_H

#include "api/call.h"

/* What a member of a pool is: an instance. */
extern const struct pool_operations hot_operations;

/* The call waits for its turn; then it runs, or starts an instance by call_reserve(). */
void hot_enter(struct call *call);
/* The call that may start an instance waits for memory. */
void hot_wait_for_memory(struct call *call);
/* The instance that the call has is to become a member. */
void hot_prepare(struct call *call);
/* It exists. */
void hot_started(struct call *call);
/* The call gives up its right to start one. */
void hot_not_started(struct call *call);

/* An instance that can go on is given back; the call's own use of it is over. */
void hot_give_back(struct call *call);
/* Whether the instance has read nothing of the call, of which it has not read UNREAD bytes (-1: nobody knows). */
bool hot_is_untouched(const struct call *call, int unread);
/*
 * The instance of the call is gone, or is no good. True: it cannot have seen anything of it, and the call goes on with
 * another. That happens once to a call.
 */
bool hot_retry(struct call *call);

/* Ends idle instances when they keep tasks from their half of the memory. Any thread. */
void hot_make_half(struct dispatcher *dispatcher);
/* Ends idle instances when the first call that waits for memory needs theirs. Any thread. */
void hot_make_room(struct dispatcher *dispatcher);

#endif
