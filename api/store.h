/*
 * The store of apps and routes: SQLite in WAL mode. A route is kept as the JSON document that is answered, beside the
 * columns it is found by; so reading one is one look-up and no conversion.
 *
 * A struct store is one connection and belongs to one thread at a time. Reading connections never wait for the writer;
 * only one connection of the program may write. Documents are appended to the caller's text.
 */
#ifndef FERRITE_API_STORE_H
#define FERRITE_API_STORE_H

#include "api/text.h"
#include "supervisor/err.h"

#include <stdbool.h>
#include <stdint.h>

struct store;

/* Opens PATH. A WRITER creates the file and migrates it to the newest schema; a reader finds it migrated. */
int store_open(const char *path, bool writer, struct store **ret_store, struct err *err);
void store_close(struct store *store);
static inline void store_closep(struct store **store)
{
	store_close(*store);
}

/* The version of the schema that this program writes. */
int store_schema_version(void);

/* Each -ENOENT when there is none. */
int store_app_get(struct store *store, const char *name, struct text *out, struct err *err);
int store_route_get(struct store *store, const char *app, const char *path, struct text *out, struct err *err);

/* Documents with commas between them, without brackets. Apps by name; routes of APP (NULL: of all) with IMAGE (NULL:
 * any), path descending, each with an empty jwt_key. */
int store_app_list(struct store *store, struct text *out, struct err *err);
int store_route_list(struct store *store, const char *app, const char *image, struct text *out, struct err *err);

/* -EEXIST; -ENOENT for what is not there; -ENOTEMPTY: an app that has routes. */
int store_app_create(struct store *store, const char *name, const char *document, struct err *err);
int store_app_update(struct store *store, const char *name, const char *document, struct err *err);
int store_app_delete(struct store *store, const char *name, struct err *err);
/* Creates the app with APP_DOCUMENT in the same transaction when it is not there. */
int store_route_create(struct store *store, const char *app, const char *app_document, const char *path,
		       const char *image, const char *document, struct err *err);
int store_route_update(struct store *store, const char *app, const char *path, const char *image, const char *document,
		       struct err *err);
int store_route_delete(struct store *store, const char *app, const char *path, struct err *err);

#endif
