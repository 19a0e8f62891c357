#include "api/database.h"

#include <errno.h>
#include <stddef.h>

int database_errno(int sqlite_code)
{
	switch (sqlite_code & 0xff) {
	case SQLITE_FULL:
		return ENOSPC;
	case SQLITE_NOMEM:
		return ENOMEM;
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return EBUSY;
	case SQLITE_READONLY:
	case SQLITE_CANTOPEN:
	case SQLITE_PERM:
		return EACCES;
	case SQLITE_CONSTRAINT:
		return EEXIST;
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
		return EUCLEAN;
	default:
		return EIO;
	}
}

int database_version(sqlite3 *db, int *ret_version)
{
	sqlite3_stmt *query = NULL;
	int code = sqlite3_prepare_v2(db, "PRAGMA user_version", -1, &query, NULL);

	if (code == SQLITE_OK)
		code = sqlite3_step(query);
	if (code == SQLITE_ROW)
		*ret_version = sqlite3_column_int(query, 0);
	(void)sqlite3_finalize(query);
	return code == SQLITE_ROW ? SQLITE_OK : code;
}
