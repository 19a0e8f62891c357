#include "api/queue_store.h"

#include "api/database.h"
#include "supervisor/str.h"
#include "supervisor/util.h"

#include <sqlite3.h>
#include <string.h>

/* A file that another process holds may be on its way to be closed. */
#define BUSY_TIMEOUT_MS	 1000
#define WAL_BYTES	 67108864 /* kept of a journal that had to be larger */
#define ROW_BYTES	 512	  /* what a task takes beside what it carries */
#define CRASH_DELAY_US	 250000u
#define CRASH_DOUBLINGS	 7 /* of the pause; the longest is 32 s */
#define TEXT_OF_(number) #number
#define TEXT_OF(number)	 TEXT_OF_(number)

static const char schema_1[] =
	"CREATE TABLE tasks(sequence INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, priority INTEGER NOT NULL,"
	" state INTEGER NOT NULL, until_us INTEGER NOT NULL, created_us INTEGER NOT NULL, bytes INTEGER NOT NULL,"
	" crashes INTEGER NOT NULL, app TEXT NOT NULL, path TEXT NOT NULL, image TEXT NOT NULL) STRICT;"
	"CREATE INDEX tasks_ready ON tasks(priority DESC, sequence) WHERE state = 0;"
	"CREATE INDEX tasks_delayed ON tasks(until_us) WHERE state = 1;"
	"CREATE INDEX tasks_reserved ON tasks(until_us) WHERE state = 2;"
	"CREATE INDEX tasks_running ON tasks(sequence) WHERE state = 3;"
	"CREATE INDEX tasks_dead ON tasks(sequence) WHERE state = 4;"
	"CREATE TABLE bodies(sequence INTEGER PRIMARY KEY, variables BLOB NOT NULL, payload BLOB NOT NULL) STRICT;";

/* Each entry raises the schema by one version; entries are never edited once released. */
static const char *const migrations[] = {schema_1};

enum statement {
	COUNT,
	PUT,
	PUT_BODY,
	NEXT,
	BODY,
	OLDEST,
	HOLD,
	EXPIRE_DELAYED,
	EXPIRE_RESERVED,
	FIND,
	FIND_DEAD,
	DELETE,
	DELETE_BODY,
	LEAVE,
	RELEASE,
	NEXT_RUNNING,
	LIST_DEAD,
	STATEMENTS,
};

/* The numbers of the states stand here as they are: only so is a partial index found. */
_Static_assert(TASK_READY == 0 && TASK_DELAYED == 1 && TASK_RESERVED == 2 && TASK_RUNNING == 3 && TASK_DEAD == 4,
	       "the states are kept in the file");

static const char *const sql[STATEMENTS] = {
	[COUNT] = "SELECT state, count(*), sum(bytes) FROM tasks GROUP BY state",
	[PUT] = ("INSERT INTO tasks(id, priority, state, until_us, created_us, bytes, crashes, app, path, image)"
		 " VALUES(?1, ?2, 0, 0, ?3, ?4, 0, ?5, ?6, ?7)"),
	[PUT_BODY] = "INSERT INTO bodies(sequence, variables, payload) VALUES(?1, ?2, ?3)",
	[NEXT] = ("SELECT sequence, id, priority, created_us, crashes, app, path, image FROM tasks WHERE state = 0"
		  " ORDER BY priority DESC, sequence LIMIT 1"),
	[BODY] = "SELECT variables, payload FROM bodies WHERE sequence = ?1",
	[OLDEST] = ("SELECT created_us FROM tasks WHERE state = 0 AND priority = ?1 ORDER BY sequence LIMIT 1"),
	[HOLD] = "UPDATE tasks SET state = ?2, until_us = ?3 WHERE sequence = ?1",
	/* A time too far ahead is one of a clock that was set back since. */
	[EXPIRE_DELAYED] = "UPDATE tasks SET state = 0 WHERE state = 1 AND (until_us <= ?1 OR until_us > ?2)",
	[EXPIRE_RESERVED] = "UPDATE tasks SET state = 0 WHERE state = 2 AND (until_us <= ?1 OR until_us > ?2)",
	[FIND] = "SELECT sequence, state, priority, bytes, crashes FROM tasks WHERE id = ?1",
	[FIND_DEAD] = "SELECT sequence, bytes FROM tasks WHERE state = 4 ORDER BY sequence LIMIT 1",
	[DELETE] = "DELETE FROM tasks WHERE sequence = ?1",
	[DELETE_BODY] = "DELETE FROM bodies WHERE sequence = ?1",
	[LEAVE] = "UPDATE tasks SET state = ?2, until_us = ?3, crashes = ?4 WHERE sequence = ?1",
	[RELEASE] = "UPDATE tasks SET state = 0 WHERE state = 3",
	[LIST_DEAD] = ("SELECT id, priority, created_us, crashes, app, path, image, until_us, (SELECT length(payload)"
		       " FROM bodies WHERE bodies.sequence = tasks.sequence) FROM tasks WHERE state = 4"
		       " ORDER BY sequence"),
	[NEXT_RUNNING] = "SELECT id FROM tasks WHERE state = 3 ORDER BY sequence LIMIT 1",
};

struct queue_store {
	sqlite3 *db;
	sqlite3_stmt *statements[STATEMENTS];
	struct queue_limits limits;
	struct queue_counts counts, before; /* before: those to go back to */
	bool durable;
};

struct found {
	sqlite3_int64 sequence;
	enum task_state state;
	unsigned priority, crashes;
	uint64_t bytes;
};

void task_done(struct task *task)
{
	free(task->app);
	free(task->path);
	free(task->image);
	free(task->variables);
	free(task->payload);
	*task = (struct task){0};
}

static int fail(struct queue_store *store, int sqlite_code, const char *what, struct err *err)
{
	return err_set(err, database_errno(sqlite_code), "%s: %s", what,
		       store->db ? sqlite3_errmsg(store->db) : sqlite3_errstr(sqlite_code));
}

static int execute(struct queue_store *store, const char *text, const char *what, struct err *err)
{
	int code = sqlite3_exec(store->db, text, NULL, NULL, NULL);

	return code == SQLITE_OK ? 0 : fail(store, code, what, err);
}

/* --- statements --------------------------------------------------------------------------------------------------- */

static sqlite3_stmt *bind(struct queue_store *store, enum statement which, const sqlite3_int64 *values, int n)
{
	sqlite3_stmt *statement = store->statements[which];

	for (int i = 0; i < n; i++)
		(void)sqlite3_bind_int64(statement, i + 1, values[i]);
	return statement;
}
#define BIND(store, which, ...) \
	bind(store, which, (const sqlite3_int64[]){__VA_ARGS__}, \
	     (int)(sizeof((const sqlite3_int64[]){__VA_ARGS__}) / sizeof(sqlite3_int64)))

static void unbind(sqlite3_stmt *statement)
{
	(void)sqlite3_reset(statement);
	(void)sqlite3_clear_bindings(statement);
}

/* Runs a statement to its end; the number of rows it changed. */
static int change(struct queue_store *store, sqlite3_stmt *statement, const char *what, struct err *err)
{
	int code = sqlite3_step(statement);
	int r = code == SQLITE_DONE ? sqlite3_changes(store->db) : fail(store, code, what, err);

	unbind(statement);
	return r;
}

/* The first row of a statement: 0, and the statement must be unbound after it was read; -ENOENT. */
static int first(struct queue_store *store, sqlite3_stmt *statement, struct err *err)
{
	int code = sqlite3_step(statement);
	int r = code == SQLITE_ROW ? 0 : code == SQLITE_DONE ? -ENOENT : fail(store, code, "read", err);

	if (r < 0)
		unbind(statement);
	return r;
}

static uint64_t column(sqlite3_stmt *statement, int i)
{
	return (uint64_t)sqlite3_column_int64(statement, i);
}

/* A fresh copy of a column, with a terminator behind it; NULL: no memory. */
static void *copy(sqlite3_stmt *statement, int i, size_t *ret_size)
{
	/* In this order: asking for the size first may convert what is asked for next. */
	const void *bytes = sqlite3_column_blob(statement, i);
	size_t size = (size_t)sqlite3_column_bytes(statement, i);
	char *text = malloc(size + 1);

	if (!text)
		return NULL;
	if (size > 0)
		memcpy(text, bytes, size);
	text[size] = '\0';
	if (ret_size)
		*ret_size = size;
	return text;
}

/* --- opening ------------------------------------------------------------------------------------------------------ */

static int schema_version(struct queue_store *store, int *ret_version, struct err *err)
{
	int code = database_version(store->db, ret_version);

	return code == SQLITE_OK ? 0 : fail(store, code, "read the schema's version", err);
}

static int migrate(struct queue_store *store, struct err *err)
{
	int newest = (int)ARRAY_LEN(migrations), version = 0, r = schema_version(store, &version, err);

	if (r == 0 && version > newest)
		return err_set(err, ENOTSUP,
			       "it was written by a newer version of ferrite (schema %d, this one knows %d)", version,
			       newest);
	for (; r == 0 && version < newest; version++) {
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

static int count_all(struct queue_store *store, struct err *err)
{
	sqlite3_stmt *query = store->statements[COUNT];
	int code;

	while ((code = sqlite3_step(query)) == SQLITE_ROW) {
		uint64_t state = column(query, 0);

		if (state < TASK_STATE_MAX)
			store->counts.tasks[state] = column(query, 1);
		store->counts.bytes += column(query, 2);
	}
	unbind(query);
	return code == SQLITE_DONE ? 0 : fail(store, code, "count the tasks", err);
}

static int connect_file(struct queue_store *store, const char *path, struct err *err)
{
	int flags = SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE;
	int code = sqlite3_open_v2(path, &store->db, flags, NULL);
	int r;

	if (code != SQLITE_OK)
		return fail(store, code, "open", err);
	(void)sqlite3_extended_result_codes(store->db, 1);
	(void)sqlite3_busy_timeout(store->db, BUSY_TIMEOUT_MS);
	(void)sqlite3_limit(store->db, SQLITE_LIMIT_ATTACHED, 0);
	/* The exclusive lock is taken by the first access and kept. */
	r = execute(store,
		    "PRAGMA locking_mode = EXCLUSIVE; PRAGMA auto_vacuum = INCREMENTAL; PRAGMA journal_mode = WAL;"
		    "PRAGMA synchronous = FULL; PRAGMA journal_size_limit = " TEXT_OF(
			    WAL_BYTES) ";"
				       "PRAGMA incremental_vacuum",
		    "open", err);
	store->durable = true;
	if (r == 0)
		r = migrate(store, err);
	for (int i = 0; r == 0 && i < STATEMENTS; i++) {
		code = sqlite3_prepare_v3(store->db, sql[i], -1, SQLITE_PREPARE_PERSISTENT, &store->statements[i],
					  NULL);
		if (code != SQLITE_OK)
			r = fail(store, code, "prepare", err);
	}
	return r == 0 ? count_all(store, err) : r;
}

/* What was running when its holder ended without closing the file. */
static int recover(struct queue_store *store, uint64_t now_us, struct err *err)
{
	int r = queue_store_begin(store, true, err);

	while (r == 0) {
		sqlite3_stmt *next = store->statements[NEXT_RUNNING];
		char id[TASK_ID_MAX + 1];
		bool dead;

		r = first(store, next, err);
		if (r < 0)
			break;
		(void)str_copy(id, sizeof(id), (const char *)sqlite3_column_text(next, 0));
		unbind(next);
		r = queue_store_crashed(store, id, now_us, &dead, err);
		if (r == -ENOENT)
			r = err_set(err, EUCLEAN, "an index is damaged");
	}
	if (r == -ENOENT)
		return queue_store_commit(store, err);
	queue_store_rollback(store);
	return r;
}

static const char *cure(int code)
{
	switch (-code) {
	case EUCLEAN:
		return ": nothing was changed; move the file away to begin with an empty queue, and save its tasks "
		       "with "
		       "sqlite3's .recover";
	case ENOTSUP:
		return ": nothing was changed; install that version again, or move the file away";
	case EBUSY:
		return ": another process has it open";
	case EACCES:
		return ": the user of ferrite-api must be able to write the file and its folder";
	default:
		return "";
	}
}

int queue_store_open(const char *path, const struct queue_limits *limits, uint64_t now_us,
		     struct queue_store **ret_store, struct err *err)
{
	_cleanup_(queue_store_closep) struct queue_store *store = calloc(1, sizeof(*store));
	struct err cause = ERR_INIT;
	int r;

	if (!store)
		return err_sys(err, ENOMEM, "queue");
	store->limits = *limits;
	r = connect_file(store, path, &cause);
	if (r == 0)
		r = recover(store, now_us, &cause);
	if (r < 0) {
		/* What it holds is not ours to change. */
		store->counts.tasks[TASK_RUNNING] = 0;
		if (store->db)
			(void)sqlite3_db_config(store->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
		return err_set(err, r, "queue %s: %s%s", path, cause.text, cure(r));
	}
	*ret_store = take_ptr(store);
	return 0;
}

void queue_store_close(struct queue_store *store)
{
	if (!store)
		return;
	if (store->statements[STATEMENTS - 1] && store->counts.tasks[TASK_RUNNING] > 0)
		(void)change(store, store->statements[RELEASE], "release", NULL);
	for (int i = 0; i < STATEMENTS; i++)
		(void)sqlite3_finalize(store->statements[i]);
	(void)sqlite3_close_v2(store->db);
	free(store);
}

void queue_store_limit(struct queue_store *store, const struct queue_limits *limits)
{
	store->limits = *limits;
}

const struct queue_counts *queue_store_counts(const struct queue_store *store)
{
	return &store->counts;
}

/* --- transactions ------------------------------------------------------------------------------------------------- */

int queue_store_begin(struct queue_store *store, bool durable, struct err *err)
{
	int r = 0;

	store->before = store->counts;
	if (durable != store->durable)
		r = execute(store, durable ? "PRAGMA synchronous = FULL" : "PRAGMA synchronous = NORMAL", "begin", err);
	if (r < 0)
		return r;
	store->durable = durable;
	return execute(store, "BEGIN IMMEDIATE", "begin", err);
}

int queue_store_commit(struct queue_store *store, struct err *err)
{
	return execute(store, "COMMIT", "write", err);
}

void queue_store_rollback(struct queue_store *store)
{
	/* A full disk may have rolled back already. */
	if (!sqlite3_get_autocommit(store->db))
		(void)sqlite3_exec(store->db, "ROLLBACK", NULL, NULL, NULL);
	store->counts = store->before;
}

/* --- tasks -------------------------------------------------------------------------------------------------------- */

static void moved(struct queue_store *store, enum task_state from, enum task_state to, uint64_t n)
{
	store->counts.tasks[from] -= MIN(n, store->counts.tasks[from]);
	store->counts.tasks[to] += n;
}

static int erase(struct queue_store *store, sqlite3_int64 sequence, enum task_state state, uint64_t bytes,
		 struct err *err)
{
	int r = change(store, BIND(store, DELETE, sequence), "delete", err);

	if (r >= 0)
		r = change(store, BIND(store, DELETE_BODY, sequence), "delete", err);
	if (r < 0)
		return r;
	store->counts.tasks[state] -= MIN((uint64_t)1, store->counts.tasks[state]);
	store->counts.bytes -= MIN(bytes, store->counts.bytes);
	return 0;
}

static int erase_oldest_dead(struct queue_store *store, struct err *err)
{
	sqlite3_stmt *dead = store->statements[FIND_DEAD];
	int r = first(store, dead, err);
	sqlite3_int64 sequence;
	uint64_t bytes;

	if (r < 0)
		return r;
	sequence = sqlite3_column_int64(dead, 0);
	bytes = column(dead, 1);
	unbind(dead);
	return erase(store, sequence, TASK_DEAD, bytes, err);
}

static bool has_room(const struct queue_store *store, uint64_t bytes)
{
	uint64_t tasks = 0;

	for (int i = 0; i < TASK_STATE_MAX; i++)
		tasks += store->counts.tasks[i];
	return tasks < store->limits.tasks && store->counts.bytes <= store->limits.bytes &&
	       bytes <= store->limits.bytes - store->counts.bytes;
}

static int put_row(struct queue_store *store, const struct task *task, uint64_t bytes, struct err *err)
{
	sqlite3_stmt *put = store->statements[PUT];
	const char *const texts[] = {task->app, task->path, task->image};

	(void)sqlite3_bind_text(put, 1, task->id, -1, SQLITE_STATIC);
	(void)sqlite3_bind_int64(put, 2, task->priority);
	(void)sqlite3_bind_int64(put, 3, (sqlite3_int64)task->created_us);
	(void)sqlite3_bind_int64(put, 4, (sqlite3_int64)bytes);
	for (int i = 0; i < 3; i++)
		(void)sqlite3_bind_text(put, 5 + i, texts[i], -1, SQLITE_STATIC);
	return change(store, put, "write", err);
}

/* An empty BLOB is none that is NULL. */
static void bind_bytes(sqlite3_stmt *statement, int i, const void *bytes, size_t size)
{
	(void)sqlite3_bind_blob64(statement, i, size > 0 ? bytes : "", size, SQLITE_STATIC);
}

int queue_store_put(struct queue_store *store, const struct task *task, struct err *err)
{
	uint64_t bytes = ROW_BYTES + task->payload_size + task->variables_size + strlen(task->app) +
			 strlen(task->path) + strlen(task->image);
	sqlite3_stmt *body;
	int r = 0;

	while (r == 0 && !has_room(store, bytes))
		r = erase_oldest_dead(store, err);
	if (r == -ENOENT)
		return -ENOBUFS;
	if (r == 0)
		r = put_row(store, task, bytes, err);
	if (r < 0)
		return r;
	body = BIND(store, PUT_BODY, sqlite3_last_insert_rowid(store->db));
	bind_bytes(body, 2, task->variables, task->variables_size);
	bind_bytes(body, 3, task->payload, task->payload_size);
	r = change(store, body, "write", err);
	if (r < 0)
		return r;
	store->counts.tasks[TASK_READY]++;
	store->counts.bytes += bytes;
	return 0;
}

static int expire(struct queue_store *store, uint64_t now_us, struct err *err)
{
	static const struct {
		enum task_state state;
		enum statement statement;
	} hidden[] = {{TASK_DELAYED, EXPIRE_DELAYED}, {TASK_RESERVED, EXPIRE_RESERVED}};

	for (size_t i = 0; i < ARRAY_LEN(hidden); i++) {
		int n;

		if (store->counts.tasks[hidden[i].state] == 0)
			continue;
		n = change(store,
			   BIND(store, hidden[i].statement, (sqlite3_int64)now_us,
				(sqlite3_int64)(now_us + TASK_RESERVE_US)),
			   "expire", err);
		if (n < 0)
			return n;
		moved(store, hidden[i].state, TASK_READY, (uint64_t)n);
	}
	return 0;
}

static int read_body(struct queue_store *store, sqlite3_int64 sequence, struct task *task, struct err *err)
{
	sqlite3_stmt *body = BIND(store, BODY, sequence);
	int r = first(store, body, err);

	if (r == -ENOENT)
		return err_set(err, EUCLEAN, "task %s has no body", task->id);
	if (r < 0)
		return r;
	task->variables = copy(body, 0, &task->variables_size);
	task->payload = copy(body, 1, &task->payload_size);
	unbind(body);
	return task->variables && task->payload ? 0 : err_sys(err, ENOMEM, "task %s", task->id);
}

static int read_next(struct queue_store *store, sqlite3_int64 *ret_sequence, struct task *task, struct err *err)
{
	sqlite3_stmt *next = store->statements[NEXT];
	int r = first(store, next, err);

	if (r < 0)
		return r;
	*ret_sequence = sqlite3_column_int64(next, 0);
	(void)str_copy(task->id, sizeof(task->id), (const char *)sqlite3_column_text(next, 1));
	task->priority = (unsigned)column(next, 2);
	task->created_us = column(next, 3);
	task->crashes = (unsigned)column(next, 4);
	task->app = copy(next, 5, NULL);
	task->path = copy(next, 6, NULL);
	task->image = copy(next, 7, NULL);
	unbind(next);
	return task->app && task->path && task->image ? 0 : err_sys(err, ENOMEM, "task %s", task->id);
}

int queue_store_take(struct queue_store *store, enum task_state as, uint64_t now_us, struct task *ret_task,
		     struct err *err)
{
	_cleanup_(task_done) struct task task = {0};
	sqlite3_int64 sequence = 0;
	uint64_t until_us = as == TASK_RESERVED ? now_us + TASK_RESERVE_US : 0;
	int r = expire(store, now_us, err);

	if (r == 0)
		r = read_next(store, &sequence, &task, err);
	if (r == 0)
		r = read_body(store, sequence, &task, err);
	if (r < 0)
		return r;
	r = change(store, BIND(store, HOLD, sequence, (sqlite3_int64)as, (sqlite3_int64)until_us), "reserve", err);
	if (r < 0)
		return r;
	moved(store, TASK_READY, as, 1);
	*ret_task = task;
	task = (struct task){0};
	return 0;
}

static int find(struct queue_store *store, const char *id, enum task_state state, struct found *ret_found,
		struct err *err)
{
	sqlite3_stmt *statement = store->statements[FIND];
	int r;

	(void)sqlite3_bind_text(statement, 1, id, -1, SQLITE_STATIC);
	r = first(store, statement, err);
	if (r < 0)
		return r;
	*ret_found = (struct found){.sequence = sqlite3_column_int64(statement, 0),
				    .state = (enum task_state)column(statement, 1),
				    .priority = (unsigned)column(statement, 2),
				    .bytes = column(statement, 3),
				    .crashes = (unsigned)column(statement, 4)};
	unbind(statement);
	return ret_found->state == state ? 0 : -ENOENT;
}

int queue_store_acknowledge(struct queue_store *store, const char *id, enum task_state as, unsigned priority,
			    uint64_t now_us, struct err *err)
{
	struct found found = {0};
	int r = expire(store, now_us, err);

	if (r == 0)
		r = find(store, id, as, &found, err);
	if (r == 0 && found.priority != priority)
		r = -ENOENT;
	return r < 0 ? r : erase(store, found.sequence, found.state, found.bytes, err);
}

static int leave(struct queue_store *store, const struct found *found, enum task_state to, uint64_t until_us,
		 struct err *err)
{
	int r = change(store,
		       BIND(store, LEAVE, found->sequence, (sqlite3_int64)to, (sqlite3_int64)until_us, found->crashes),
		       "write", err);

	if (r < 0)
		return r;
	moved(store, found->state, to, 1);
	return 0;
}

int queue_store_put_back(struct queue_store *store, const char *id, enum task_state as, uint64_t until_us,
			 struct err *err)
{
	struct found found = {0};
	int r = find(store, id, as, &found, err);

	return r < 0 ? r : leave(store, &found, until_us > 0 ? TASK_DELAYED : TASK_READY, until_us, err);
}

int queue_store_crashed(struct queue_store *store, const char *id, uint64_t now_us, bool *ret_dead, struct err *err)
{
	struct found found = {0};
	enum task_state to;
	uint64_t pause_us, until_us;
	int r = find(store, id, TASK_RUNNING, &found, err);

	if (r < 0)
		return r;
	found.crashes++;
	to = found.crashes >= store->limits.attempts ? TASK_DEAD : found.crashes > 1 ? TASK_DELAYED : TASK_READY;
	pause_us = (uint64_t)CRASH_DELAY_US << MIN(found.crashes, (unsigned)CRASH_DOUBLINGS);
	until_us = to == TASK_DELAYED ? now_us + pause_us : to == TASK_DEAD ? now_us : 0;
	r = leave(store, &found, to, until_us, err);
	if (r < 0)
		return r;
	*ret_dead = to == TASK_DEAD;
	return to == TASK_DEAD && store->counts.tasks[TASK_DEAD] > TASK_DEAD_MAX ? erase_oldest_dead(store, err) : 0;
}

int queue_store_oldest(struct queue_store *store, uint64_t *ret_created_us, struct err *err)
{
	uint64_t oldest = 0;

	for (sqlite3_int64 priority = 0; priority <= TASK_PRIORITY_MAX; priority++) {
		sqlite3_stmt *statement = BIND(store, OLDEST, priority);
		int r = first(store, statement, err);

		if (r == -ENOENT)
			continue;
		if (r < 0)
			return r;
		if (oldest == 0 || column(statement, 0) < oldest)
			oldest = column(statement, 0);
		unbind(statement);
	}
	*ret_created_us = oldest;
	return 0;
}

int queue_store_dead(struct queue_store *store, void (*visit)(void *context, const struct task *task), void *context,
		     struct err *err)
{
	sqlite3_stmt *list = store->statements[LIST_DEAD];
	int code;

	while ((code = sqlite3_step(list)) == SQLITE_ROW) {
		_cleanup_(task_done) struct task task = {.priority = (unsigned)column(list, 1),
							 .created_us = column(list, 2),
							 .crashes = (unsigned)column(list, 3),
							 .died_us = column(list, 7),
							 .payload_size = (size_t)column(list, 8)};

		(void)str_copy(task.id, sizeof(task.id), (const char *)sqlite3_column_text(list, 0));
		task.app = copy(list, 4, NULL);
		task.path = copy(list, 5, NULL);
		task.image = copy(list, 6, NULL);
		if (task.app && task.path && task.image)
			visit(context, &task);
	}
	unbind(list);
	return code == SQLITE_DONE ? 0 : fail(store, code, "read", err);
}
