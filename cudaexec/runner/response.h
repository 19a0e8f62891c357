/* The response of a handler while it is made: collected, or streamed once it is large or flushed. */
#ifndef FERRITE_CUDAEXEC_RESPONSE_H
#define FERRITE_CUDAEXEC_RESPONSE_H

#include "cudaexec/runner/buffer.h"
#include "cudaexec/runner/http.h"

#include <stdbool.h>
#include <stddef.h>

enum {
	RESPONSE_FIELDS_MAX = 64,
	RESPONSE_COLLECT_MAX = 64 * 1024, /* bytes of a body that are sent with their length */
};

struct cudaexec_response {
	int fd;
	unsigned status;
	struct http_field fields[RESPONSE_FIELDS_MAX]; /* own their texts */
	size_t n_fields;
	struct buffer body;
	bool begun; /* the head is out */
	int error;  /* of the first write that failed, else 0 */
};

/* All return 0 or a negative errno, as cudaexec.h says. */
int response_set_status(struct cudaexec_response *response, unsigned status);
int response_add_header(struct cudaexec_response *response, const char *name, const char *value);
int response_write(struct cudaexec_response *response, const void *data, size_t length);
int response_flush(struct cudaexec_response *response);

/* Sends what is left. EXTRA fields are added when the head is not out yet. */
int response_finish(struct cudaexec_response *response, const struct http_field *extra, size_t n_extra);

void response_clear(struct cudaexec_response *response);

#endif
