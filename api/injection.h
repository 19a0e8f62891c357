/* /v1/gpus/injection: what a route or an image would get of the GPUs, and why. */
#ifndef FERRITE_API_INJECTION_H
#define FERRITE_API_INJECTION_H

#include "api/instance.h"

api_handler injection_get;

#endif
