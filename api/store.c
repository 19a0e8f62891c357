#include "api/store.h"

#include "api/database.h"
#include "supervisor/util.h"

#include <sqlite3.h>
#include <string.h>

/* How long a reader waits while the schema is being changed. */
#define BUSY_TIMEOUT_MS 5000

static const char schema_1[] =
	"CREATE TABLE apps(name TEXT PRIMARY KEY, document TEXT NOT NULL) WITHOUT ROWID, STRICT;"
	"CREATE TABLE routes(app TEXT NOT NULL REFERENCES apps(name), path TEXT NOT NULL, image TEXT NOT NULL,"
	" document TEXT NOT NULL, PRIMARY KEY(app, path)) WITHOUT ROWID, STRICT;";

/* Each entry raises the schema by one version; entries are never edited once released. */
static const char *const migrations[] = {schema_1};

enum statement {
	APP_GET,
	APP_LIST,
	APP_CREATE,
	APP_UPDATE,
	APP_DELETE,
	ROUTE_GET,
	ROUTE_LIST,
	ROUTE_CREATE,
	ROUTE_UPDATE,
	ROUTE_DELETE,
	STATEMENTS,
};

static const char *const sql[STATEMENTS] = {
	[APP_GET] = "SELECT document FROM apps WHERE name = ?1",
	[APP_LIST] = "SELECT document FROM apps ORDER BY name",
	[APP_CREATE] = "INSERT INTO apps(name, document) VALUES(?1, ?2)",
	[APP_UPDATE] = "UPDATE apps SET document = ?2 WHERE name = ?1",
	[APP_DELETE] = "DELETE FROM apps WHERE name = ?1",
	[ROUTE_GET] = "SELECT document FROM routes WHERE app = ?1 AND path = ?2",
	/* Whoever may list routes need not be able to call them: keys are not shown. */
	[ROUTE_LIST] = ("SELECT json_replace(document, '$.jwt_key', '') FROM routes WHERE (?1 IS NULL OR app = ?1) AND "
			"(?2 IS NULL OR image = ?2)"
			" ORDER BY app, path DESC"),
	[ROUTE_CREATE] = "INSERT INTO routes(app, path, image, document) VALUES(?1, ?2, ?3, ?4)",
	[ROUTE_UPDATE] = "UPDATE routes SET image = ?3, document = ?4 WHERE app = ?1 AND path = ?2",
	[ROUTE_DELETE] = "DELETE FROM routes WHERE app = ?1 AND path = ?2",
};

struct store {
	sqlite3 *db;
	sqlite3_stmt *statements[STATEMENTS];
};

int store_schema_version(void)
{
	return (int)ARRAY_LEN(migrations);
}

static int fail(struct store *store, int sqlite_code, const char *what, struct err *err)
{
	return err_set(err, database_errno(sqlite_code), "%s: %s", what,
		       store->db ? sqlite3_errmsg(store->db) : sqlite3_errstr(sqlite_code));
}

static int execute(struct store *store, const char *text, const char *what, struct err *err)
{
	int code = sqlite3_exec(store->db, text, NULL, NULL, NULL);

	return code == SQLITE_OK ? 0 : fail(store, code, what, err);
}

static int schema_version(struct store *store, int *ret_version, struct err *err)
{
	int code = database_version(store->db, ret_version);

	return code == SQLITE_OK ? 0 : fail(store, code, "read the schema's version", err);
}

static int migrate(struct store *store, struct err *err)
{
	int version = 0, r = schema_version(store, &version, err);

	if (r == 0 && version > store_schema_version())
		return err_set(err, ENOTSUP, "it was written by a newer version (schema %d, this program knows %d)",
			       version, store_schema_version());
	for (; r == 0 && version < store_schema_version(); version++) {
		char mark[64];

		(void)snprintf(mark, sizeof(mark), "PRAGMA user_version = %d; COMMIT", version + 1);
		r = execute(store, "BEGIN IMMEDIATE", "migrate", err);
		if (r == 0)
			r = execute(store, migrations[version], "migrate", err);
		if (r == 0)
			r = execute(store, mark, "migrate", err);
	}
	return r;
}

static int open_connection(struct store *store, const char *path, bool writer, struct err *err)
{
	int flags = SQLITE_OPEN_NOMUTEX | (writer ? SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE : SQLITE_OPEN_READWRITE);
	int code = sqlite3_open_v2(path, &store->db, flags, NULL);
	int r;

	if (code != SQLITE_OK)
		return fail(store, code, "open", err);
	(void)sqlite3_extended_result_codes(store->db, 1);
	(void)sqlite3_busy_timeout(store->db, BUSY_TIMEOUT_MS);
	(void)sqlite3_limit(store->db, SQLITE_LIMIT_ATTACHED, 0);
	r = execute(store, "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;", "open",
		    err);
	if (r == 0 && writer)
		r = migrate(store, err);
	if (r == 0 && !writer)
		r = execute(store, "PRAGMA query_only = ON", "open", err);
	for (int i = 0; r == 0 && i < STATEMENTS; i++) {
		code = sqlite3_prepare_v3(store->db, sql[i], -1, SQLITE_PREPARE_PERSISTENT, &store->statements[i],
					  NULL);
		if (code != SQLITE_OK)
			r = fail(store, code, "prepare", err);
	}
	return r;
}

int store_open(const char *path, bool writer, struct store **ret_store, struct err *err)
{
	_cleanup_(store_closep) struct store *store = calloc(1, sizeof(*store));

	if (!store)
		return err_sys(err, ENOMEM, "store");
	if (open_connection(store, path, writer, err) < 0)
		return err_wrap(err, "store %s", path);
	*ret_store = take_ptr(store);
	return 0;
}

void store_close(struct store *store)
{
	if (!store)
		return;
	for (int i = 0; i < STATEMENTS; i++)
		(void)sqlite3_finalize(store->statements[i]);
	(void)sqlite3_close_v2(store->db);
	free(store);
}

/* Binds the parameters (a NULL stays SQL's NULL) and leaves the statement ready to step. */
static sqlite3_stmt *bind(struct store *store, enum statement which, const char *const *values, int n)
{
	sqlite3_stmt *statement = store->statements[which];

	for (int i = 0; i < n; i++)
		(void)sqlite3_bind_text(statement, i + 1, values[i], -1, SQLITE_STATIC);
	return statement;
}

static void unbind(sqlite3_stmt *statement)
{
	(void)sqlite3_reset(statement);
	(void)sqlite3_clear_bindings(statement);
}

/* Appends the first column of each row; -ENOENT when there was none. */
static int query(struct store *store, enum statement which, const char *const *values, int n, struct text *out,
		 struct err *err)
{
	sqlite3_stmt *statement = bind(store, which, values, n);
	int rows = 0, code;
	int r;

	while ((code = sqlite3_step(statement)) == SQLITE_ROW) {
		if (rows++ > 0)
			text_puts(out, ",");
		text_add(out, sqlite3_column_text(statement, 0), (size_t)sqlite3_column_bytes(statement, 0));
	}
	r = code == SQLITE_DONE ? 0 : fail(store, code, "read", err);
	unbind(statement);
	if (r == 0 && out->failed)
		r = err_sys(err, ENOMEM, "read");
	return r == 0 && rows == 0 ? -ENOENT : r;
}

/* Runs one statement that changes something; -ENOENT when it changed no row. */
static int change(struct store *store, enum statement which, const char *const *values, int n, struct err *err)
{
	sqlite3_stmt *statement = bind(store, which, values, n);
	int code = sqlite3_step(statement);
	int r = code == SQLITE_DONE ? 0 : fail(store, code, "write", err);

	unbind(statement);
	return r == 0 && sqlite3_changes(store->db) == 0 ? -ENOENT : r;
}

int store_app_get(struct store *store, const char *name, struct text *out, struct err *err)
{
	return query(store, APP_GET, (const char *const[]){name}, 1, out, err);
}

int store_route_get(struct store *store, const char *app, const char *path, struct text *out, struct err *err)
{
	return query(store, ROUTE_GET, (const char *const[]){app, path}, 2, out, err);
}

int store_app_list(struct store *store, struct text *out, struct err *err)
{
	int r = query(store, APP_LIST, NULL, 0, out, err);

	return r == -ENOENT ? 0 : r;
}

int store_route_list(struct store *store, const char *app, const char *image, struct text *out, struct err *err)
{
	int r = query(store, ROUTE_LIST, (const char *const[]){app, image}, 2, out, err);

	return r == -ENOENT ? 0 : r;
}

int store_app_create(struct store *store, const char *name, const char *document, struct err *err)
{
	return change(store, APP_CREATE, (const char *const[]){name, document}, 2, err);
}

int store_app_update(struct store *store, const char *name, const char *document, struct err *err)
{
	return change(store, APP_UPDATE, (const char *const[]){name, document}, 2, err);
}

int store_app_delete(struct store *store, const char *name, struct err *err)
{
	int r = change(store, APP_DELETE, (const char *const[]){name}, 1, err);

	/* The only constraint on a deletion is the one of its routes. */
	return r == -EEXIST ? -ENOTEMPTY : r;
}

int store_route_create(struct store *store, const char *app, const char *app_document, const char *path,
		       const char *image, const char *document, struct err *err)
{
	int r = execute(store, "BEGIN IMMEDIATE", "write", err);

	if (r < 0)
		return r;
	r = store_app_create(store, app, app_document, err);
	if (r == 0 || r == -EEXIST)
		r = change(store, ROUTE_CREATE, (const char *const[]){app, path, image, document}, 4, err);
	if (r == 0)
		r = execute(store, "COMMIT", "write", err);
	if (r < 0)
		(void)sqlite3_exec(store->db, "ROLLBACK", NULL, NULL, NULL);
	return r;
}

int store_route_update(struct store *store, const char *app, const char *path, const char *image, const char *document,
		       struct err *err)
{
	return change(store, ROUTE_UPDATE, (const char *const[]){app, path, image, document}, 4, err);
}

int store_route_delete(struct store *store, const char *app, const char *path, struct err *err)
{
	return change(store, ROUTE_DELETE, (const char *const[]){app, path}, 2, err);
}
