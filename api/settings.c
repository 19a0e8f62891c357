#include "api/settings.h"

#include "supervisor/str.h"
#include "supervisor/util.h"

#include <limits.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/sysinfo.h>

#define OUTPUT_BYTES	      (64 * MIB)
#define BODY_BYTES	      (4 * GIB)
#define SPOOL_BYTES	      (32 * GIB)
#define IMAGE_BYTES	      (16 * GIB)
#define WAITING_MAX	      100
#define WAIT_US		      10000000
#define HISTORY_CALLS	      1000
#define HISTORY_CALLS_MAX     100000
#define HISTORY_AGE_US	      ((uint64_t)7 * 86400 * 1000000)
#define HISTORY_BYTES	      (64 * MIB)
#define HISTORY_LOG_BYTES     (64 * KIB)
#define HISTORY_LOG_BYTES_MAX (4 * MIB)
#define RESERVED_PERCENT      10 /* of the machine's memory, for everything that is no function */
#define ASYNC_WORKERS	      16
#define TASK_BYTES	      (64 * MIB)
#define TASKS_MAX	      100000
#define QUEUE_BYTES	      GIB
#define TASK_ATTEMPTS	      10

/*
 * Connections get no more than half of the descriptors, their bodies in files no more than an eighth. Where clients
 * took the last one, a message of another server would lose its descriptors, and the server its channel.
 */
static unsigned part_of_files(uint64_t wanted, unsigned divisor)
{
	struct rlimit files = {0};

	if (getrlimit(RLIMIT_NOFILE, &files) < 0)
		return (unsigned)wanted;
	return (unsigned)MIN(wanted, MAX((uint64_t)files.rlim_cur / divisor, (uint64_t)1));
}

static unsigned cap_connections(uint64_t wanted)
{
	return part_of_files(wanted, 2);
}

void settings_default(struct settings *settings)
{
	struct sysinfo info = {0};
	long n = sysconf(_SC_NPROCESSORS_ONLN);

	(void)sysinfo(&info);
	*settings = (struct settings){
		.memory_bytes = (uint64_t)info.totalram * info.mem_unit / 100 * (100 - RESERVED_PERCENT),
		.max_body_bytes = BODY_BYTES,
		.max_spool_bytes = SPOOL_BYTES,
		.max_spools = part_of_files(UINT_MAX, 8),
		.max_output_bytes = OUTPUT_BYTES,
		.max_image_bytes = IMAGE_BYTES,
		.network = SBX_NETWORK_BRIDGE,
		.max_waiting = WAITING_MAX,
		.max_wait_us = WAIT_US,
		.history = {.calls = HISTORY_CALLS, .age_us = HISTORY_AGE_US, .bytes = HISTORY_BYTES},
		.log_bytes = HISTORY_LOG_BYTES,
		.n_loops = (unsigned)MIN(MAX(n, 1), LOOPS_MAX),
		.async_workers = ASYNC_WORKERS,
		.max_task_bytes = TASK_BYTES,
		.queue = {.tasks = TASKS_MAX, .bytes = QUEUE_BYTES, .attempts = TASK_ATTEMPTS},
		.http = HTTP_LIMITS_DEFAULT,
	};
	settings->http.connections = cap_connections(settings->http.connections);
	settings->http.buffered_bytes =
		(size_t)MIN((uint64_t)settings->http.buffered_bytes, (uint64_t)info.totalram * info.mem_unit / 8);
}

static int set_path(char *buffer, size_t size, const char *folder, const char *name, struct err *err)
{
	int n = snprintf(buffer, size, "%s%s", folder, name);

	return n > 0 && (size_t)n < size ? 0 : err_set(err, ENAMETOOLONG, "the path is too long");
}

/* sqlite:PATH, sqlite://PATH, or nothing. WHAT: "db" or "mq", as the original says it. */
static int set_database(char *path, size_t size, const char *what, const char *url, struct err *err)
{
	size_t scheme = strcspn(url, ":");

	if (!*url)
		return 0;
	if (strncmp(url, "sqlite:", 7) != 0)
		return err_set(err, EINVAL, "%s type not supported %.*s (sqlite:PATH is)", what,
			       (int)MIN(scheme, (size_t)64), url);
	url += strncmp(url + 7, "//", 2) == 0 ? 9 : 7;
	return set_path(path, size, url, "", err);
}

static int set_size(uint64_t *bytes, const char *value, struct err *err)
{
	uint64_t size;

	if (str_size(value, 1, &size) < 0 || size == 0)
		return err_set(err, EINVAL, "\"%.64s\" is no size (a number of bytes, or with KiB, MiB, GiB)", value);
	*bytes = size;
	return 0;
}

static int set_number(uint64_t minimum, uint64_t maximum, uint64_t *number, const char *value, struct err *err)
{
	uint64_t read;

	if (!str_u64(value, &read) || read < minimum || read > maximum)
		return err_set(err, EINVAL, "\"%.64s\" is no number from %llu to %llu", value,
			       (unsigned long long)minimum, (unsigned long long)maximum);
	*number = read;
	return 0;
}

/* Seconds, with three decimals when they are not whole; an age needs no more than the whole ones. */
static int set_seconds(uint64_t *us, const char *value, struct err *err)
{
	char whole[32];
	size_t digits = strcspn(value, ".");
	uint64_t seconds;

	(void)snprintf(whole, sizeof(whole), "%.*s", (int)MIN(digits, sizeof(whole)), value);
	if (!str_u64(whole, &seconds) || seconds > UINT32_MAX)
		return err_set(err, EINVAL, "\"%.64s\" is no number of seconds", value);
	*us = seconds * 1000000;
	return 0;
}

static int set_state_dir(struct settings *settings, const char *folder, struct err *err)
{
	int r = set_path(settings->spool_dir, sizeof(settings->spool_dir), folder, "", err);

	if (r == 0 && !*settings->store_path)
		r = set_path(settings->store_path, sizeof(settings->store_path), folder, "/ferrite.db", err);
	if (r == 0 && !*settings->queue_path)
		r = set_path(settings->queue_path, sizeof(settings->queue_path), folder, "/queue.db", err);
	if (r == 0)
		r = set_path(settings->history_path, sizeof(settings->history_path), folder, "/calls.db", err);
	return r;
}

static int set_task_limit(struct settings *settings, const char *key, const char *value, struct err *err)
{
	uint64_t number = 0;
	int r = 0;

	if (strcmp(key, "max_task_bytes") == 0)
		return set_size(&settings->max_task_bytes, value, err);
	if (strcmp(key, "max_queue_bytes") == 0)
		return set_size(&settings->queue.bytes, value, err);
	if (strcmp(key, "max_tasks") == 0)
		return set_number(1, 100000000, &settings->queue.tasks, value, err);
	if (strcmp(key, "task_attempts") == 0) {
		r = set_number(1, 1000, &number, value, err);
		settings->queue.attempts = r < 0 ? settings->queue.attempts : (unsigned)number;
	} else if (strcmp(key, "async_workers") == 0) {
		r = set_number(0, 1024, &number, value, err);
		settings->async_workers = r < 0 ? settings->async_workers : (unsigned)number;
	}
	return r;
}

static int set_limit(struct settings *settings, const char *key, const char *value, struct err *err)
{
	uint64_t number = 0;
	int r = 0;

	if (strcmp(key, "max_body_bytes") == 0) {
		r = set_size(&settings->max_body_bytes, value, err);
	} else if (strcmp(key, "max_spool_bytes") == 0) {
		r = set_size(&settings->max_spool_bytes, value, err);
	} else if (strcmp(key, "max_header_bytes") == 0) {
		r = set_size(&number, value, err);
		settings->http.header_bytes = r < 0 ? settings->http.header_bytes : MIN(number, 64 * KIB);
	} else if (strcmp(key, "max_connections") == 0) {
		r = set_number(1, 1000000, &number, value, err);
		settings->http.connections = r < 0 ? settings->http.connections : cap_connections(number);
	} else if (strcmp(key, "max_waiting") == 0) {
		r = set_number(0, 100000, &number, value, err);
		settings->max_waiting = r < 0 ? settings->max_waiting : (unsigned)number;
	} else if (strcmp(key, "network_default") == 0) {
		settings->network = strcmp(value, "none") == 0 ? SBX_NETWORK_NONE : SBX_NETWORK_BRIDGE;
	} else if (strcmp(key, "max_buffered_bytes") == 0) {
		r = set_size(&number, value, err);
		settings->http.buffered_bytes = r < 0 ? settings->http.buffered_bytes : (size_t)number;
	} else if (strcmp(key, "max_output_bytes") == 0) {
		r = set_size(&settings->max_output_bytes, value, err);
	} else if (strcmp(key, "max_image_bytes") == 0) {
		r = set_size(&settings->max_image_bytes, value, err);
	} else if (strcmp(key, "history_calls") == 0) {
		r = set_number(0, HISTORY_CALLS_MAX, &number, value, err);
		settings->history.calls = r < 0 ? settings->history.calls : (unsigned)number;
	} else if (strcmp(key, "history_bytes") == 0) {
		r = set_size(&settings->history.bytes, value, err);
	} else if (strcmp(key, "history_age") == 0) {
		r = set_seconds(&settings->history.age_us, value, err);
	} else if (strcmp(key, "history_log_bytes") == 0) {
		r = set_number(0, HISTORY_LOG_BYTES_MAX, &settings->log_bytes, value, err);
	} else if (strcmp(key, "memory_total") == 0) {
		r = set_size(&settings->memory_bytes, value, err);
	} else {
		r = set_task_limit(settings, key, value, err);
	}
	return r;
}

int settings_set(struct settings *settings, const char *key, const char *value, bool reload, struct err *err)
{
	uint64_t number = 0;

	if (strcmp(key, "jwt_auth_key") == 0)
		return str_copy(settings->jwt_auth_key, sizeof(settings->jwt_auth_key), value)
			       ? 0
			       : err_set(err, EINVAL, "longer than %zu bytes", sizeof(settings->jwt_auth_key) - 1);
	if (!reload && strcmp(key, "db_url") == 0)
		return set_database(settings->store_path, sizeof(settings->store_path), "db", value, err);
	if (!reload && strcmp(key, "mq_url") == 0)
		return set_database(settings->queue_path, sizeof(settings->queue_path), "mq", value, err);
	if (!reload && strcmp(key, "api_url") == 0)
		return str_copy(settings->api_url, sizeof(settings->api_url), value)
			       ? 0
			       : err_set(err, EINVAL, "longer than %zu bytes", sizeof(settings->api_url) - 1);
	if (!reload && strcmp(key, "state_dir") == 0)
		return set_state_dir(settings, value, err);
	if (!reload && strcmp(key, "api_threads") == 0) {
		int r = set_number(1, LOOPS_MAX, &number, value, err);

		settings->n_loops = r < 0 ? settings->n_loops : (unsigned)number;
		return r;
	}
	return set_limit(settings, key, value, err);
}
