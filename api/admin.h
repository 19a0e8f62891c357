/*
 * The /v1 handlers of apps and routes. Reads are answered from the loop's own store connection; changes travel to the
 * writer thread as one job and come back as an answer.
 */
#ifndef FERRITE_API_ADMIN_H
#define FERRITE_API_ADMIN_H

#include "api/api.h"

api_handler apps_list, apps_create, apps_get, apps_update, apps_delete;
api_handler routes_list, routes_list_all, routes_create, routes_get, routes_update, routes_delete;

#endif
