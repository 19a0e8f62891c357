/* What the users of SQLite have in common. */
#ifndef FERRITE_API_DATABASE_H
#define FERRITE_API_DATABASE_H

/* The errno value for a result code of SQLite; EUCLEAN: the file is damaged, or no database. */
int database_errno(int sqlite_code);

#endif
