/* The call of a route of type async: contract section 9.1. It is answered when its task is on the disk. */
#ifndef FERRITE_API_ASYNC_H
#define FERRITE_API_ASYNC_H

#include "api/api.h"
#include "api/function.h"

/* Takes over the reference to FUNCTION. */
void async_call(struct http_request *request, struct function *function);

#endif
