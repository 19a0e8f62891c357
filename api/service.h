/* The service: from the control channel to running loops and back down. */
#ifndef FERRITE_API_SERVICE_H
#define FERRITE_API_SERVICE_H

#include "supervisor/err.h"

/* Serves until ferrited says to drain, or is gone. 0: an orderly end. */
int service_run(struct err *err);

#endif
