/*
 * What a function is told about a call: contract section 7.3. METHOD, ROUTE and REQUEST_URL, then the configuration of
 * the app and the route, then PARAM_NAME of a path that ends in "*name", then the request's headers; a later one
 * replaces an earlier one of the same name.
 */
#ifndef FERRITE_API_VARIABLES_H
#define FERRITE_API_VARIABLES_H

#include "api/env.h"
#include "api/function.h"

/* Adds the variables of REQUEST; what does not fit is noted in env->overflow. */
void variables_of_request(struct env *env, const struct http_request *request, const struct function *function);
/* Adds the configuration alone: what all calls of a function have in common. */
void variables_of_config(struct env *env, const struct function *function);

#endif
