/*
 * A change of the store on its way: made in the loop of its request, run in the writer thread, answered in the loop. A
 * client that goes away meanwhile loses only the answer.
 */
#ifndef FERRITE_API_CHANGE_H
#define FERRITE_API_CHANGE_H

#include "api/api.h"
#include "api/model.h"

struct change;

/* Runs in the writer thread: makes the change, sets status and body. */
typedef void change_function(struct change *change, struct store *store);
/* Runs in the loop when the whole body is there: fills in app or route, false when it has replied. */
typedef bool change_parse(struct change *change, const json_t *body);

struct change {
	struct worker_task task;
	struct api_loop *loop;
	struct http_request *request; /* NULL: gone */
	change_parse *parse;
	change_function *run;
	char *app_name, *path;
	bool of_route; /* PATH came with the request; else it is about the app, or something new */
	struct app app;
	struct route route;
	unsigned status;
	struct text body;
	bool changed; /* set by run: what the function table knows is old */
};

/* Begins a change of MATCH's app and route. PARSE NULL: it needs no body. */
void change_begin(struct http_request *request, const struct path_match *match, change_parse *parse,
		  change_function *run);

/* For change_function: sets the answer. */
void change_error(struct change *change, unsigned status, const char *message);
/* A failure of the store itself. */
void change_failed(struct change *change, const struct err *err);

#endif
