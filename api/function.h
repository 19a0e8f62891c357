/*
 * The function table: (app, path) to the settings a call needs, read from the store once and kept until an app or route
 * changes. A struct function is one immutable state of a route and its app's configuration; it is counted, and whoever
 * runs with it keeps it. What belongs to a state of a route (a pool of hot instances, its limits) hangs on it.
 */
#ifndef FERRITE_API_FUNCTION_H
#define FERRITE_API_FUNCTION_H

#include "api/gpuwish.h"
#include "api/networkwish.h"
#include "api/pool.h"
#include "api/store.h"
#include "api/table.h"

#include <pthread.h>
#include <stdatomic.h>

struct function_pair {
	char *name, *value;
};

struct function {
	_Atomic unsigned references;
	struct table_node node;
	_Atomic uint64_t generation; /* of the store when it was last known to be right */
	char *documents;	     /* of the app and the route: what this state was made from */
	char *app, *path, *image;
	unsigned metrics_app; /* the app's place among the counters */
	bool async, http_format;
	char *jwt_key; /* NULL: calls need no token */
	uint64_t memory_bytes, timeout_us;
	bool has_network, has_gpu;
	struct network_wish network;
	struct gpu_wish gpu;
	unsigned n_config, n_headers;
	struct function_pair *config;  /* of the app, then of the route */
	struct function_pair *headers; /* of the answer: name and first value */
	struct pool *pool;	       /* of its hot instances; NULL: every call has an instance of its own */
};

struct functions {
	pthread_mutex_t lock;
	struct table table;
};

enum function_missing { FUNCTION_FOUND, FUNCTION_NO_APP, FUNCTION_NO_ROUTE };

int functions_open(struct functions *functions, struct err *err);
void functions_close(struct functions *functions);

/*
 * Finds the function of a cleaned path. GENERATION is that of the store, read before the call. 0: *RET_MISSING says
 * whether *RET_FUNCTION (a reference) was found.
 */
int functions_find(struct functions *functions, struct store *store, uint64_t generation, const char *app,
		   const char *path, struct function **ret_function, enum function_missing *ret_missing,
		   struct err *err);

/*
 * Reads again what is known of an app, or (PATH not NULL) of one route of it, after a change: states that count no more
 * give up their hot instances now, not at the next call.
 */
void functions_refresh(struct functions *functions, struct store *store, uint64_t generation, const char *app,
		       const char *path);

/* Makes a function from the documents of an app and a route. */
int function_make(const char *app_document, const char *route_document, struct function **ret_function,
		  struct err *err);
struct function *function_ref(struct function *function);
void function_unref(struct function *function);

#endif
