/* Which handler a request goes to. */
#ifndef FERRITE_API_ROUTER_H
#define FERRITE_API_ROUTER_H

#include "api/api.h"

/* The handler of all HTTP loops. */
http_handler router_handle;

#endif
