/* A call of the hot format as cudaexec.h shows it: the caller's headers, the parameters, the deadline. */
#ifndef FERRITE_CUDAEXEC_CALL_FIELDS_H
#define FERRITE_CUDAEXEC_CALL_FIELDS_H

#ifndef CUDAEXEC_HOST
#define CUDAEXEC_HOST
#endif
#include "cudaexec/cudaexec.h"
#include "cudaexec/runner/http.h"

struct call_fields {
	struct cudaexec_request request; /* points into the call and into what follows */
	struct cudaexec_field *headers;
	struct cudaexec_field *parameters;
};

/* Returns 0, -EINVAL (bad query string), -ENOMEM. Valid as long as CALL is. */
int call_fields_read(struct call_fields *fields, const struct http_call *call, struct err *err);

void call_fields_clear(struct call_fields *fields);

/* The query of a URL, behind its '?', or NULL. */
const char *call_query(const struct http_call *call);

#endif
