/* GET and DELETE /tasks: contract sections 9.2 and 9.3. */
#ifndef FERRITE_API_TASKS_H
#define FERRITE_API_TASKS_H

#include "api/api.h"

void tasks_reserve(struct http_request *request, const struct path_match *match);
void tasks_acknowledge(struct http_request *request, const struct path_match *match);

#endif
