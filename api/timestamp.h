/* Points in time in JSON and in query parameters: RFC 3339 in UTC. */
#ifndef FERRITE_API_TIMESTAMP_H
#define FERRITE_API_TIMESTAMP_H

#include <stdbool.h>
#include <stdint.h>

#define TIMESTAMP_SIZE 40

/* "2026-11-22T06:02:43.123456Z" of microseconds since 1970; returns the buffer of TIMESTAMP_SIZE bytes. */
const char *timestamp_write(char *buffer, int64_t us);
/* The same with or without a fraction, or a plain number of seconds since 1970; false for anything else. */
bool timestamp_read(const char *text, int64_t *ret_us);

#endif
