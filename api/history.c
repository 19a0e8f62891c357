#include "api/history.h"

#include "api/database.h"
#include "api/timestamp.h"
#include "supervisor/util.h"

#include <sqlite3.h>
#include <string.h>

#define BUSY_TIMEOUT_MS	 5000 /* a predecessor that was killed may still write */
#define SCHEMA_VERSION	 1
#define RECORD_OVERHEAD	 512 /* of a row and its places in the indices, generously */
#define TRIM_AT_ONCE_MAX 100000

static const char schema[] =
	"CREATE TABLE calls(number INTEGER PRIMARY KEY, app TEXT NOT NULL, id TEXT NOT NULL, path TEXT NOT NULL,"
	" image TEXT NOT NULL, async INTEGER NOT NULL, outcome INTEGER NOT NULL, start INTEGER, status INTEGER,"
	" exit_code INTEGER, signal INTEGER, message TEXT, created_us INTEGER NOT NULL, completed_us INTEGER NOT NULL,"
	" queue_us INTEGER, start_us INTEGER, gpu_us INTEGER, run_us INTEGER, cpu_us INTEGER, memory_peak INTEGER,"
	" bytes_in INTEGER NOT NULL, bytes_out INTEGER NOT NULL, log_bytes INTEGER NOT NULL,"
	" log_truncated INTEGER NOT NULL, bytes INTEGER NOT NULL, log BLOB) STRICT;"
	"CREATE INDEX calls_of_app ON calls(app, number, bytes);"
	"CREATE INDEX calls_by_id ON calls(id);"
	"PRAGMA user_version = 1;";

#define COLUMNS \
	"number, app, id, path, image, async, outcome, start, status, exit_code, signal, message, created_us," \
	" completed_us, queue_us, start_us, gpu_us, run_us, cpu_us, memory_peak, bytes_in, bytes_out, log_bytes," \
	" log_truncated"
/* ?1 is the app, where there is one. */
#define FILTERS \
	" number < ?2 AND number > ?3 AND (?4 IS NULL OR path = ?4) AND (?5 & (1 << outcome)) <> 0" \
	" AND created_us >= ?6 AND (?8 = 0 OR status BETWEEN ?7 AND ?8) ORDER BY number DESC LIMIT ?9"
#define OF_ID "number = (SELECT max(number) FROM calls WHERE id = ?2 AND app = ?1)"

/* The order of COLUMNS, and then what only INSERT has. */
enum {
	NUMBER,
	APP,
	ID,
	PATH,
	IMAGE,
	ASYNC,
	OUTCOME,
	START,
	STATUS,
	EXIT_CODE,
	SIGNAL,
	MESSAGE,
	CREATED_US,
	COMPLETED_US,
	QUEUE_US,
	START_US,
	GPU_US,
	RUN_US,
	CPU_US,
	MEMORY_PEAK,
	BYTES_IN,
	BYTES_OUT,
	LOG_BYTES,
	LOG_TRUNCATED,
	BYTES,
	LOG,
};

enum statement {
	INSERT,
	ADD,
	SIZE_OF,
	LIST_APP,
	LIST_ALL,
	GET,
	GET_LOG,
	COUNTS,
	OLDEST,
	OLDEST_OF_APP,
	DELETE,
	STATEMENTS,
};

static const char *const sql[STATEMENTS] = {
	[INSERT] =
		"INSERT INTO calls(" COLUMNS ", bytes, log) VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12,"
		" ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22, ?23, ?24, ?25, ?26)",
	[ADD] = "UPDATE calls SET exit_code = ?3, signal = ?4, cpu_us = ?5, memory_peak = ?6, log = ?7, log_bytes = ?8,"
		" log_truncated = ?9, bytes = bytes - log_bytes + ?8 WHERE " OF_ID,
	[SIZE_OF] = "SELECT log_bytes FROM calls WHERE " OF_ID,
	[LIST_APP] = "SELECT " COLUMNS " FROM calls WHERE app = ?1 AND" FILTERS,
	[LIST_ALL] = "SELECT " COLUMNS " FROM calls WHERE" FILTERS,
	[GET] = "SELECT " COLUMNS " FROM calls WHERE " OF_ID,
	[GET_LOG] = "SELECT log, log_truncated FROM calls WHERE " OF_ID,
	[COUNTS] = "SELECT app, count(*), sum(bytes), max(number) FROM calls GROUP BY app",
	[OLDEST] = "SELECT number, app, bytes, completed_us FROM calls ORDER BY number LIMIT 1",
	[OLDEST_OF_APP] = "SELECT number, app, bytes, completed_us FROM calls WHERE app = ?1 ORDER BY number LIMIT 1",
	[DELETE] = "DELETE FROM calls WHERE number = ?1",
};

/* How many calls of an app there are: in the file, and in the batch that is being written. */
struct tally {
	struct table_node node;
	unsigned kept, in_batch;
	char app[];
};

struct history {
	char *path;
	struct history_limits limits;
	sqlite3 *db;
	sqlite3_stmt *statements[STATEMENTS];
	struct table tallies;
	uint64_t bytes;
	int64_t last_number;
	bool lowered; /* the number of calls: apps without new ones have to be looked at too */
};

static int fail(struct history *history, int sqlite_code, const char *what, struct err *err)
{
	return err_set(err, database_errno(sqlite_code), "call history %s: %s: %s", history->path, what,
		       history->db ? sqlite3_errmsg(history->db) : sqlite3_errstr(sqlite_code));
}

static int execute(struct history *history, const char *text, const char *what, struct err *err)
{
	int code = sqlite3_exec(history->db, text, NULL, NULL, NULL);

	return code == SQLITE_OK ? 0 : fail(history, code, what, err);
}

/* --- tallies ------------------------------------------------------------------------------------------------------ */

static struct tally *find_tally(struct history *history, const char *app)
{
	uint64_t hash = table_hash(app, strlen(app));

	for (struct table_node *node = table_first(&history->tallies, hash); node; node = table_next(node, hash)) {
		struct tally *tally = TABLE_OWNER(node, struct tally, node);

		if (strcmp(tally->app, app) == 0)
			return tally;
	}
	return NULL;
}

static struct tally *get_tally(struct history *history, const char *app)
{
	struct tally *tally = find_tally(history, app);
	size_t length = strlen(app);

	if (tally)
		return tally;
	tally = calloc(1, sizeof(*tally) + length + 1);
	if (!tally)
		return NULL;
	memcpy(tally->app, app, length);
	table_insert(&history->tallies, &tally->node, table_hash(app, length));
	return tally;
}

static void drop_tally(struct history *history, struct tally *tally)
{
	table_remove(&history->tallies, &tally->node);
	free(tally);
}

static void drop_tallies(struct history *history)
{
	struct table_node *node;

	while (history->tallies.buckets && (node = table_any(&history->tallies)) != NULL)
		drop_tally(history, TABLE_OWNER(node, struct tally, node));
	history->bytes = 0;
}

static int count(struct history *history, struct err *err)
{
	sqlite3_stmt *query = history->statements[COUNTS];
	int code, r = 0;

	drop_tallies(history);
	while (r == 0 && (code = sqlite3_step(query)) == SQLITE_ROW) {
		struct tally *tally = get_tally(history, (const char *)sqlite3_column_text(query, 0));

		if (!tally)
			r = err_sys(err, ENOMEM, "call history %s", history->path);
		else
			tally->kept = (unsigned)sqlite3_column_int64(query, 1);
		history->bytes += (uint64_t)sqlite3_column_int64(query, 2);
		history->last_number = MAX(history->last_number, sqlite3_column_int64(query, 3));
	}
	if (r == 0 && code != SQLITE_DONE)
		r = fail(history, code, "count", err);
	(void)sqlite3_reset(query);
	return r;
}

/* --- opening ------------------------------------------------------------------------------------------------------ */

static int read_version(struct history *history, int *ret_version, struct err *err)
{
	int code = database_version(history->db, ret_version);

	return code == SQLITE_OK ? 0 : fail(history, code, "read its version", err);
}

static int prepare(struct history *history, struct err *err)
{
	for (int i = 0; i < STATEMENTS; i++) {
		int code = sqlite3_prepare_v3(history->db, sql[i], -1, SQLITE_PREPARE_PERSISTENT,
					      &history->statements[i], NULL);

		if (code != SQLITE_OK) {
			(void)fail(history, code, "prepare", err);
			return err->code = -EUCLEAN;
		}
	}
	return 0;
}

static int open_connection(struct history *history, struct err *err)
{
	int version = 0, r;
	int code = sqlite3_open_v2(history->path, &history->db,
				   SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, NULL);

	if (code != SQLITE_OK)
		return fail(history, code, "open", err);
	(void)sqlite3_extended_result_codes(history->db, 1);
	(void)sqlite3_busy_timeout(history->db, BUSY_TIMEOUT_MS);
	(void)sqlite3_limit(history->db, SQLITE_LIMIT_ATTACHED, 0);
	r = execute(history, "PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF;", "open", err);
	if (r == 0)
		r = read_version(history, &version, err);
	if (r == 0 && version == 0) {
		r = execute(history, schema, "begin", err);
		/* Somebody else's tables are in the way. */
		r = r == -EIO ? err->code = -EUCLEAN : r;
	} else if (r == 0 && version != SCHEMA_VERSION)
		r = err_set(err, EUCLEAN, "call history %s: it was written by another version (schema %d, not %d)",
			    history->path, version, SCHEMA_VERSION);
	if (r == 0)
		r = prepare(history, err);
	return r < 0 ? r : count(history, err);
}

static void close_connection(struct history *history)
{
	for (int i = 0; i < STATEMENTS; i++) {
		(void)sqlite3_finalize(history->statements[i]);
		history->statements[i] = NULL;
	}
	(void)sqlite3_close_v2(history->db);
	history->db = NULL;
}

static int set_aside(struct history *history, struct err *err)
{
	static const char *const parts[] = {"", "-wal", "-shm"};
	_cleanup_(text_done) struct text from = {0}, to = {0};

	close_connection(history);
	for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
		text_clear(&from);
		text_clear(&to);
		text_printf(&from, "%s%s", history->path, parts[i]);
		text_printf(&to, "%s.unusable%s", history->path, parts[i]);
		if (from.failed || to.failed)
			return err_sys(err, ENOMEM, "call history %s", history->path);
		if (rename(from.data, to.data) < 0 && errno != ENOENT)
			return err_sys(err, errno, "call history: set %s aside", from.data);
	}
	return open_connection(history, err);
}

int history_recover(struct history *history, struct err *err)
{
	int r;

	drop_tallies(history);
	r = set_aside(history, err);
	/* Half open it would be neither; closed, the next use tries again. */
	if (r < 0)
		close_connection(history);
	return r;
}

int history_open(const char *path, struct history **ret_history, struct err *err)
{
	struct history *history = calloc(1, sizeof(*history));
	struct err second = ERR_INIT;
	int r;

	if (!history)
		return err_sys(err, ENOMEM, "call history");
	history->path = strdup(path);
	r = history->path ? table_open(&history->tallies, err) : err_sys(err, ENOMEM, "call history");
	if (r == 0)
		r = open_connection(history, err);
	if (r == -EUCLEAN) {
		r = set_aside(history, &second) < 0 ? second.code : 1;
		if (r < 0)
			*err = second;
	}
	if (r < 0) {
		history_close(history);
		return r;
	}
	*ret_history = history;
	return r;
}

void history_close(struct history *history)
{
	if (!history)
		return;
	close_connection(history);
	drop_tallies(history);
	table_close(&history->tallies);
	free(history->path);
	free(history);
}

void history_limit(struct history *history, const struct history_limits *limits)
{
	history->lowered |= limits->calls < history->limits.calls;
	history->limits = *limits;
}

/* --- writing ------------------------------------------------------------------------------------------------------ */

static void bind_text(sqlite3_stmt *statement, int at, const char *text)
{
	(void)sqlite3_bind_text(statement, at, text, -1, SQLITE_STATIC);
}

/* What is unknown stays NULL. */
static void bind_known(sqlite3_stmt *statement, int at, int64_t number)
{
	if (number >= 0)
		(void)sqlite3_bind_int64(statement, at, number);
	else
		(void)sqlite3_bind_null(statement, at);
}

static int step(struct history *history, sqlite3_stmt *statement, const char *what, struct err *err)
{
	int code = sqlite3_step(statement);

	(void)sqlite3_reset(statement);
	return code == SQLITE_DONE || code == SQLITE_ROW ? 0 : fail(history, code, what, err);
}

static void bind_times(sqlite3_stmt *s, const struct record *record)
{
	(void)sqlite3_bind_int64(s, CREATED_US + 1, record->created_us);
	(void)sqlite3_bind_int64(s, COMPLETED_US + 1, record->completed_us);
	bind_known(s, QUEUE_US + 1, record->queue_us);
	bind_known(s, START_US + 1, record->start_us);
	bind_known(s, GPU_US + 1, record->gpu_us);
	bind_known(s, RUN_US + 1, record->run_us);
	bind_known(s, CPU_US + 1, record->cpu_us);
}

static int insert(struct history *history, struct tally *tally, const struct record *record, struct err *err)
{
	const struct function *f = record->function;
	sqlite3_stmt *s = history->statements[INSERT];
	size_t bytes = RECORD_OVERHEAD + strlen(f->path) + strlen(f->image) + record->log.length +
		       (record->message ? strlen(record->message) : 0);
	int r;

	history->last_number = MAX(history->last_number + 1, record->completed_us);
	(void)sqlite3_bind_int64(s, NUMBER + 1, history->last_number);
	bind_text(s, APP + 1, f->app);
	bind_text(s, ID + 1, record->id);
	bind_text(s, PATH + 1, f->path);
	bind_text(s, IMAGE + 1, f->image);
	(void)sqlite3_bind_int(s, ASYNC + 1, record->async);
	(void)sqlite3_bind_int(s, OUTCOME + 1, (int)record->outcome);
	bind_known(s, START + 1, record->start);
	bind_known(s, STATUS + 1, record->status);
	bind_known(s, EXIT_CODE + 1, record->exit_code);
	bind_known(s, SIGNAL + 1, record->signal);
	bind_text(s, MESSAGE + 1, record->message);
	bind_times(s, record);
	bind_known(s, MEMORY_PEAK + 1, record->memory_peak);
	(void)sqlite3_bind_int64(s, BYTES_IN + 1, record->bytes_in);
	(void)sqlite3_bind_int64(s, BYTES_OUT + 1, record->bytes_out);
	(void)sqlite3_bind_int64(s, LOG_BYTES + 1, (int64_t)record->log.length);
	(void)sqlite3_bind_int(s, LOG_TRUNCATED + 1, record->log_truncated);
	(void)sqlite3_bind_int64(s, BYTES + 1, (int64_t)bytes);
	(void)sqlite3_bind_blob64(s, LOG + 1, record->log.data, record->log.length, SQLITE_STATIC);
	r = step(history, s, "write", err);
	if (r == 0) {
		tally->kept++;
		history->bytes += bytes;
	}
	return r;
}

/* What was learnt of a call whose record is written already, if it is still there. */
static int add(struct history *history, const struct record *record, struct err *err)
{
	sqlite3_stmt *size = history->statements[SIZE_OF], *s = history->statements[ADD];
	int64_t old = 0;
	int code, r;

	bind_text(size, 1, record->function->app);
	bind_text(size, 2, record->id);
	code = sqlite3_step(size);
	if (code == SQLITE_ROW)
		old = sqlite3_column_int64(size, 0);
	(void)sqlite3_reset(size);
	if (code != SQLITE_ROW)
		return code == SQLITE_DONE ? 0 : fail(history, code, "write", err);
	bind_text(s, 1, record->function->app);
	bind_text(s, 2, record->id);
	bind_known(s, 3, record->exit_code);
	bind_known(s, 4, record->signal);
	bind_known(s, 5, record->cpu_us);
	bind_known(s, 6, record->memory_peak);
	(void)sqlite3_bind_blob64(s, 7, record->log.data, record->log.length, SQLITE_STATIC);
	(void)sqlite3_bind_int64(s, 8, (int64_t)record->log.length);
	(void)sqlite3_bind_int(s, 9, record->log_truncated);
	r = step(history, s, "write", err);
	if (r == 0)
		history->bytes += (uint64_t)((int64_t)record->log.length - old);
	return r;
}

struct oldest {
	int64_t number, bytes, completed_us;
	struct tally *tally;
};

/* Of APP, or of all; -ENOENT when there is none. */
static int find_oldest(struct history *history, const char *app, struct oldest *ret_oldest, struct err *err)
{
	sqlite3_stmt *query = history->statements[app ? OLDEST_OF_APP : OLDEST];
	int code;

	if (app)
		bind_text(query, 1, app);
	code = sqlite3_step(query);
	if (code == SQLITE_ROW)
		*ret_oldest = (struct oldest){
			.number = sqlite3_column_int64(query, 0),
			.bytes = sqlite3_column_int64(query, 2),
			.completed_us = sqlite3_column_int64(query, 3),
			.tally = find_tally(history, (const char *)sqlite3_column_text(query, 1)),
		};
	(void)sqlite3_reset(query);
	if (code == SQLITE_ROW)
		return 0;
	return code == SQLITE_DONE ? -ENOENT : fail(history, code, "trim", err);
}

static int drop(struct history *history, const struct oldest *oldest, struct err *err)
{
	sqlite3_stmt *s = history->statements[DELETE];
	int r;

	(void)sqlite3_bind_int64(s, 1, oldest->number);
	r = step(history, s, "trim", err);
	if (r < 0)
		return r;
	history->bytes -= MIN(history->bytes, (uint64_t)oldest->bytes);
	if (oldest->tally && --oldest->tally->kept == 0 && oldest->tally->in_batch == 0)
		drop_tally(history, oldest->tally);
	return 0;
}

/* Of one app: the oldest beyond its number. */
static int trim_app(struct history *history, struct tally *tally, struct err *err)
{
	struct oldest oldest;
	int r = 0;

	for (unsigned i = 0; r == 0 && tally->kept > history->limits.calls && i < TRIM_AT_ONCE_MAX; i++) {
		bool last = tally->kept == 1;

		r = find_oldest(history, tally->app, &oldest, err);
		if (r == 0)
			r = drop(history, &oldest, err);
		if (last)
			break;
	}
	return r == -ENOENT ? 0 : r;
}

static int trim_apps(struct history *history, struct err *err)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < history->tallies.n_buckets; i++)
		for (struct table_node *next, *node = history->tallies.buckets[i]; r == 0 && node; node = next) {
			next = node->next;
			r = trim_app(history, TABLE_OWNER(node, struct tally, node), err);
		}
	history->lowered = r < 0;
	return r;
}

/* Of all: what is too old, and the oldest as long as there are too many bytes. */
static int trim_all(struct history *history, uint64_t now_us, struct err *err)
{
	struct oldest oldest;
	int r = 0;

	for (unsigned i = 0; r == 0 && i < TRIM_AT_ONCE_MAX; i++) {
		r = find_oldest(history, NULL, &oldest, err);
		if (r < 0)
			break;
		if (history->bytes <= history->limits.bytes &&
		    (uint64_t)oldest.completed_us + history->limits.age_us >= now_us)
			break;
		r = drop(history, &oldest, err);
	}
	return r == -ENOENT ? 0 : r;
}

static int finish(struct history *history, int r, struct err *err)
{
	if (r == 0)
		r = execute(history, "COMMIT", "write", err);
	if (r < 0) {
		struct err ignored = ERR_INIT;

		(void)sqlite3_exec(history->db, "ROLLBACK", NULL, NULL, NULL);
		/* What was counted on the way did not happen. */
		(void)count(history, &ignored);
	}
	return r;
}

/* From the newest back: how many of each app count. The others become NULL; returns -ENOMEM or 0. */
static int choose(struct history *history, const struct record **records, size_t n)
{
	for (size_t i = n; i-- > 0;) {
		struct tally *tally;

		if (records[i]->addition)
			continue;
		tally = get_tally(history, records[i]->function->app);
		if (!tally)
			return -ENOMEM;
		if (tally->in_batch < history->limits.calls)
			tally->in_batch++;
		else
			records[i] = NULL;
	}
	return 0;
}

static int write_chosen(struct history *history, const struct record **records, size_t n, struct err *err)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < n; i++) {
		if (!records[i])
			continue;
		if (records[i]->addition)
			r = add(history, records[i], err);
		else
			r = insert(history, find_tally(history, records[i]->function->app), records[i], err);
	}
	return r;
}

/* Each app of the batch, once; its tally may go with its last row. */
static int trim_chosen(struct history *history, const struct record **records, size_t n, struct err *err)
{
	int r = 0;

	for (size_t i = 0; i < n; i++) {
		struct tally *tally =
			records[i] && !records[i]->addition ? find_tally(history, records[i]->function->app) : NULL;

		if (!tally || tally->in_batch == 0)
			continue;
		tally->in_batch = 0;
		if (r == 0)
			r = trim_app(history, tally, err);
	}
	return r;
}

int history_write(struct history *history, struct record *const *records, size_t n, uint64_t now_us, struct err *err)
{
	_cleanup_free_ const struct record **chosen = malloc(MAX(n, 1) * sizeof(*chosen));
	int r;

	if (!history->db)
		return err_set(err, EUCLEAN, "call history %s: it is not open", history->path);
	if (!chosen)
		return err_sys(err, ENOMEM, "call history %s", history->path);
	for (size_t i = 0; i < n; i++)
		chosen[i] = records[i];
	r = execute(history, "BEGIN IMMEDIATE", "write", err);
	if (r < 0)
		return r;
	r = choose(history, chosen, n) < 0 ? err_sys(err, ENOMEM, "call history %s", history->path) : 0;
	if (r == 0)
		r = write_chosen(history, chosen, n, err);
	if (r == 0)
		r = trim_chosen(history, chosen, n, err);
	if (r == 0 && history->lowered)
		r = trim_apps(history, err);
	if (r == 0)
		r = trim_all(history, now_us, err);
	return finish(history, r, err);
}

int history_trim(struct history *history, uint64_t now_us, struct err *err)
{
	return history_write(history, NULL, 0, now_us, err);
}

/* --- reading ------------------------------------------------------------------------------------------------------ */

static void put_text(sqlite3_stmt *row, int column, const char *key, struct text *out)
{
	const char *text = (const char *)sqlite3_column_text(row, column);

	text_printf(out, ",\"%s\":", key);
	if (text)
		text_json(out, text);
	else
		text_puts(out, "null");
}

static void put_number(sqlite3_stmt *row, int column, const char *key, struct text *out)
{
	if (sqlite3_column_type(row, column) == SQLITE_NULL)
		text_printf(out, ",\"%s\":null", key);
	else
		text_printf(out, ",\"%s\":%lld", key, (long long)sqlite3_column_int64(row, column));
}

static void put_time(const char *key, int64_t us, struct text *out)
{
	char text[TIMESTAMP_SIZE];

	text_printf(out, ",\"%s\":\"%s\"", key, timestamp_write(text, us));
}

static const char *name_of(sqlite3_stmt *row, int column, unsigned max, const char *(*name)(unsigned))
{
	int64_t number = sqlite3_column_int64(row, column);

	return number >= 0 && number < (int64_t)max ? name((unsigned)number) : "unknown";
}

static const char *outcome_name(unsigned number)
{
	return record_outcome_name((enum record_outcome)number);
}

static const char *start_name(unsigned number)
{
	return record_start_name((enum record_start)number);
}

static void put_when(sqlite3_stmt *row, struct text *out)
{
	int64_t created = sqlite3_column_int64(row, CREATED_US);

	put_time("created_at", created, out);
	if (sqlite3_column_type(row, RUN_US) == SQLITE_NULL)
		text_puts(out, ",\"started_at\":null");
	else
		put_time("started_at", sqlite3_column_int64(row, COMPLETED_US) - sqlite3_column_int64(row, RUN_US),
			 out);
	put_time("completed_at", sqlite3_column_int64(row, COMPLETED_US), out);
}

static void write_row(sqlite3_stmt *row, struct text *out)
{
	text_puts(out, "{\"id\":");
	text_json(out, (const char *)sqlite3_column_text(row, ID));
	put_text(row, APP, "app", out);
	put_text(row, PATH, "path", out);
	put_text(row, IMAGE, "image", out);
	text_printf(out, ",\"type\":\"%s\"", sqlite3_column_int(row, ASYNC) ? "async" : "sync");
	text_printf(out, ",\"outcome\":\"%s\"", name_of(row, OUTCOME, RECORD_OUTCOME_MAX, outcome_name));
	put_number(row, STATUS, "status", out);
	put_number(row, EXIT_CODE, "exit_code", out);
	put_number(row, SIGNAL, "signal", out);
	put_text(row, MESSAGE, "error", out);
	if (sqlite3_column_type(row, START) == SQLITE_NULL)
		text_puts(out, ",\"start\":null");
	else
		text_printf(out, ",\"start\":\"%s\"", name_of(row, START, RECORD_START_MAX, start_name));
	put_when(row, out);
	put_number(row, QUEUE_US, "queue_us", out);
	put_number(row, START_US, "start_us", out);
	put_number(row, GPU_US, "gpu_us", out);
	put_number(row, RUN_US, "run_us", out);
	put_number(row, CPU_US, "cpu_us", out);
	put_number(row, MEMORY_PEAK, "memory_peak", out);
	put_number(row, BYTES_IN, "bytes_in", out);
	put_number(row, BYTES_OUT, "bytes_out", out);
	put_number(row, LOG_BYTES, "log_bytes", out);
	text_printf(out, ",\"log_truncated\":%s", sqlite3_column_int(row, LOG_TRUNCATED) ? "true" : "false");
	put_number(row, NUMBER, "cursor", out);
	text_puts(out, "}");
}

/* Appends a document for each row; -ENOENT when there was none. */
static int read_rows(struct history *history, sqlite3_stmt *query, struct text *out, struct err *err)
{
	unsigned rows = 0;
	int code, r;

	while ((code = sqlite3_step(query)) == SQLITE_ROW) {
		if (rows++ > 0)
			text_puts(out, ",");
		write_row(query, out);
	}
	r = code == SQLITE_DONE ? 0 : fail(history, code, "read", err);
	(void)sqlite3_reset(query);
	(void)sqlite3_clear_bindings(query);
	if (r == 0 && out->failed)
		r = err_sys(err, ENOMEM, "call history %s", history->path);
	return r == 0 && rows == 0 ? -ENOENT : r;
}

int history_list(struct history *history, const struct history_filter *filter, struct text *out, struct err *err)
{
	sqlite3_stmt *query = history->statements[filter->app ? LIST_APP : LIST_ALL];
	int r;

	if (!query)
		return err_set(err, EUCLEAN, "call history %s: it is not open", history->path);
	bind_text(query, 1, filter->app);
	(void)sqlite3_bind_int64(query, 2, filter->before > 0 ? filter->before : INT64_MAX);
	(void)sqlite3_bind_int64(query, 3, filter->after);
	bind_text(query, 4, filter->path);
	(void)sqlite3_bind_int(query, 5, (int)filter->outcomes);
	(void)sqlite3_bind_int64(query, 6, filter->since_us);
	(void)sqlite3_bind_int(query, 7, filter->min_status);
	(void)sqlite3_bind_int(query, 8, filter->max_status);
	(void)sqlite3_bind_int(query, 9, (int)MIN(filter->limit, (unsigned)HISTORY_LIST_MAX));
	r = read_rows(history, query, out, err);
	return r == -ENOENT ? 0 : r;
}

static sqlite3_stmt *query_of_id(struct history *history, enum statement which, const char *app, const char *id)
{
	sqlite3_stmt *query = history->statements[which];

	bind_text(query, 1, app);
	bind_text(query, 2, id);
	return query;
}

int history_get(struct history *history, const char *app, const char *id, struct text *out, struct err *err)
{
	if (!history->db)
		return err_set(err, EUCLEAN, "call history %s: it is not open", history->path);
	return read_rows(history, query_of_id(history, GET, app, id), out, err);
}

int history_log(struct history *history, const char *app, const char *id, struct text *out, bool *ret_truncated,
		struct err *err)
{
	sqlite3_stmt *query;
	int code, r;

	if (!history->db)
		return err_set(err, EUCLEAN, "call history %s: it is not open", history->path);
	query = query_of_id(history, GET_LOG, app, id);
	code = sqlite3_step(query);
	if (code == SQLITE_ROW) {
		text_add(out, sqlite3_column_blob(query, 0), (size_t)sqlite3_column_bytes(query, 0));
		*ret_truncated = sqlite3_column_int(query, 1) != 0;
	}
	r = code == SQLITE_ROW ? 0 : code == SQLITE_DONE ? -ENOENT : fail(history, code, "read", err);
	(void)sqlite3_reset(query);
	(void)sqlite3_clear_bindings(query);
	return r == 0 && out->failed ? err_sys(err, ENOMEM, "call history %s", history->path) : r;
}
