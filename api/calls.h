/* The call history over HTTP. */
#ifndef FERRITE_API_CALLS_H
#define FERRITE_API_CALLS_H

#include "api/api.h"

/* GET /v1/apps/:app/calls and /v1/calls, with limit, path, status, since, before, after. */
api_handler calls_list, calls_list_all;
/* GET /v1/apps/:app/calls/ID and …/ID/log. */
api_handler calls_get;

#endif
