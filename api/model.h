/*
 * Apps and routes as objects: read from request bodies and from the store's documents, checked, merged and written.
 * Plain values that belong to their holder; no state, no threads.
 */
#ifndef FERRITE_API_MODEL_H
#define FERRITE_API_MODEL_H

#include "api/json.h"
#include "api/text.h"

#include <stdint.h>

#define APP_NAME_MAX 30

struct app {
	char *name;
	json_t *config; /* object of strings, or NULL when none was ever given */
};

struct route {
	char *app_name, *path, *image, *type, *format, *jwt_key; /* NULL: not given */
	uint64_t memory;					 /* MiB */
	int64_t max_concurrency, timeout, idle_timeout;
	json_t *headers, *config;     /* objects; NULL: not given */
	json_t *gpu, *network, *warm; /* our extensions; NULL: not set */
};

void app_done(struct app *app);
void route_done(struct route *route);

/* From the object inside the wrapper. -EINVAL: a value of a wrong type. */
int app_read(const json_t *object, struct app *ret_app);
int route_read(const json_t *object, struct route *ret_route);

/* NULL when the name is good, else the message for it. */
const char *app_name_problem(const char *name);

/* Fills in what a create request left out, and cleans the path. */
int route_complete(struct route *route);

/*
 * Appends one line per problem to MESSAGES (each but the first after a newline). CREATING: a whole route after
 * route_complete(); else a patch, in which only what is given is checked.
 */
void route_check(const struct route *route, bool creating, struct text *messages);

/* Applies a patch: the rules of contract section 5 and 6.4. */
int app_merge(struct app *app, const struct app *patch);
int route_merge(struct route *route, const struct route *patch);

/* Appends the object's JSON. */
void app_write(const struct app *app, struct text *out);
void route_write(const struct route *route, struct text *out);

#endif
