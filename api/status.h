/* Answers about the service itself. */
#ifndef FERRITE_API_STATUS_H
#define FERRITE_API_STATUS_H

#include "api/api.h"

api_handler status_banner, status_version, status_stats, status_ready;

#endif
