/* The /r/ endpoint: contract section 7.1. */
#ifndef FERRITE_API_RUN_H
#define FERRITE_API_RUN_H

#include "api/api.h"

api_handler run_function;

#endif
