/* How many lines may be logged on behalf of somebody outside. Plain values; one thread each. */
#ifndef FERRITE_API_LOGLIMIT_H
#define FERRITE_API_LOGLIMIT_H

#include <stdbool.h>
#include <stdint.h>

#define LOGLIMIT_BURST	 200
#define LOGLIMIT_PER_SEC 50

/* Begins as zeros. */
struct loglimit {
	unsigned used; /* of the burst */
	uint64_t refilled_us;
	uint64_t dropped; /* lines that were not allowed */
};

/* Whether one more line may be logged at NOW (CLOCK_MONOTONIC). */
bool loglimit_allows(struct loglimit *limit, uint64_t now_us);

#endif
