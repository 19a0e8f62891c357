/* /v1/gpus and /v1/instances. */
#ifndef FERRITE_API_INVENTORY_H
#define FERRITE_API_INVENTORY_H

#include "api/instance.h"

const char *inventory_state_name(enum instance_state state);

api_handler inventory_gpus, inventory_instances;

#endif
