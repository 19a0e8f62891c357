/* GET /metrics: everything that can be counted, in Prometheus' text format 0.0.4. */
#ifndef FERRITE_API_SCRAPE_H
#define FERRITE_API_SCRAPE_H

#include "api/api.h"

api_handler scrape_metrics;

#endif
