/*
 * What a function wrote on its standard error, as far as it is kept with the call: up to a limit all of it, beyond that
 * its first half and its last half, because the first lines say how it began and the last ones why it ended. Bytes are
 * kept as they came. Memory grows with what is written, never beyond the limit. Plain values; one thread.
 */
#ifndef FERRITE_API_CAPTURE_H
#define FERRITE_API_CAPTURE_H

#include "api/text.h"

#include <stdint.h>

/* Begins as zeros. */
struct capture {
	char *data;
	size_t room;
	size_t limit;	/* of the bytes that are kept; that of the moment when the first came */
	uint64_t total; /* bytes that came */
};

/* Adds bytes; LIMIT counts when they are the first. Where there is no memory, what is there stays, and it is cut. */
void capture_add(struct capture *capture, size_t limit, const void *bytes, size_t length);
/* Whether some of what came is not kept. */
bool capture_truncated(const struct capture *capture);
/* Appends what is kept; where something was left out, a line between the halves says how much. */
void capture_copy(const struct capture *capture, struct text *out);
/* Forgets everything and frees. */
void capture_done(struct capture *capture);

#endif
