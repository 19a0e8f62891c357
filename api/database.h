/* What the users of SQLite have in common. */
#ifndef FERRITE_API_DATABASE_H
#define FERRITE_API_DATABASE_H

#include <sqlite3.h>

/* The errno value for a result code of SQLite; EUCLEAN: the file is damaged, or no database. */
int database_errno(int sqlite_code);

/* Reads the schema's version (0: a new file). Returns SQLITE_OK or what failed. */
int database_version(sqlite3 *db, int *ret_version);

#endif
