/*
 * GET /healthz: that this process serves, and what ferrited says of all servers. The question travels over the control
 * channel; its answer comes in the control thread and goes to the loop that asked.
 */
#ifndef FERRITE_API_HEALTH_H
#define FERRITE_API_HEALTH_H

#include "api/api.h"

api_handler health_get;

/* Control thread: ferrited answered question ID. */
void health_answer(struct api *api, uint64_t id, const struct ctl_status_row *rows, unsigned n_rows);

#endif
