/* /v1/gpus and /v1/instances. */
#ifndef FERRITE_API_INVENTORY_H
#define FERRITE_API_INVENTORY_H

#include "api/api.h"

api_handler inventory_gpus, inventory_instances;

#endif
