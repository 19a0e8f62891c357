/*
 * The settings of ferrite: one table that says for each its name, type, bounds, default, and which servers receive it.
 *
 * Sources, the later wins: default, configuration file, environment, command line. The file has `key = value` lines; a
 * line that begins with # is a comment; every other line must be right. In the environment a setting is FERRITE_KEY in
 * upper case; IronFunctions' own variables (PORT, DB_URL, MQ_URL, API_URL, LOG_LEVEL, JWT_AUTH_KEY) count too, ours
 *win.
 *
 * Values are kept as normalised text, and travel so to the servers in CTL_CONFIG ("key=value"):
 *	NUMBER	decimal; empty where the default is empty (the server's own default; not sent)
 *	BYTES	written with an optional suffix KiB, MiB, GiB; travels in bytes
 *	MIB	the same, a plain number counts MiB; travels as a number and "MiB"
 *	TIME	written with an optional suffix ms, s, min, h, a plain number counts seconds; travels in seconds, with
 *		three decimals when it is not whole
 *	PATH	absolute, or empty where the default is empty
 *	PATHS	absolute ones, separated by colons, or empty
 *	CHOICE	one of some words
 *	TEXT	anything without control bytes
 *	LISTEN	see listen.h; several separated by blanks, or "none"
 *
 * Beside settings from this table ferrited sends computed ones, see settings_pack().
 *
 * Fixed size, no allocation; errors name the source (file and line, variable, option) and what is accepted.
 */
#ifndef FERRITE_SETTINGS_H
#define FERRITE_SETTINGS_H

#include "supervisor/err.h"
#include "supervisor/messages.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define SETTING_VALUE_MAX	  1024
#define SETTINGS_FILE_MAX	  (64 * 1024)
#define SETTING_RESTART_LIMIT_MAX 1000

enum setting {
	SETTING_LISTEN,
	SETTING_STATE_DIR,
	SETTING_RUN_DIR,
	SETTING_SOCKET_GROUP,
	SETTING_UID_BASE,
	SETTING_LIBEXEC_DIR,
	SETTING_DRAIN_TIMEOUT,
	SETTING_HEARTBEAT_INTERVAL,
	SETTING_HEARTBEAT_DEADLINE,
	SETTING_START_DEADLINE,
	SETTING_RESTART_DELAY,
	SETTING_RESTART_LIMIT,
	SETTING_RESTART_WINDOW,
	SETTING_LOG_LEVEL,
	SETTING_DB_URL,
	SETTING_MQ_URL,
	SETTING_API_URL,
	SETTING_ASYNC_WORKERS,
	SETTING_MAX_TASKS,
	SETTING_MAX_TASK_BYTES,
	SETTING_MAX_QUEUE_BYTES,
	SETTING_TASK_ATTEMPTS,
	SETTING_JWT_AUTH_KEY,
	SETTING_API_THREADS,
	SETTING_MEMORY_TOTAL,
	SETTING_MAX_WAITING,
	SETTING_MAX_CONNECTIONS,
	SETTING_MAX_HEADER_BYTES,
	SETTING_MAX_BODY_BYTES,
	SETTING_MAX_SPOOL_BYTES,
	SETTING_MAX_OUTPUT_BYTES,
	SETTING_MAX_BUFFERED_BYTES,
	SETTING_MEMORY_BYTES,
	SETTING_DISK_BYTES,
	SETTING_SHM_BYTES,
	SETTING_PIDS_MAX,
	SETTING_POOL_MAX,
	SETTING_MAX_DISK_BYTES,
	SETTING_MAX_PIDS,
	SETTING_MAX_CPU_PERCENT,
	SETTING_HISTORY_CALLS,
	SETTING_HISTORY_AGE,
	SETTING_HISTORY_BYTES,
	SETTING_HISTORY_LOG_BYTES,
	SETTING_NETWORK_DEFAULT,
	SETTING_NETWORK_HOST,
	SETTING_NETWORK_ALLOW,
	SETTING_RESOLVERS,
	SETTING_CONNECTIONS_MAX,
	SETTING_MAX_IMAGE_BYTES,
	SETTING_MAX_ENTRIES,
	SETTING_GPU,
	SETTING_DRIVER_ROOT,
	SETTING_LIBRARY_DIRS,
	SETTING_SOFTWARE_DEVICE_DIR,
	SETTING_CUDAEXEC,
	SETTING_CDI_DIRS,
	SETTING_GPU_MEMORY_DEFAULT,
	SETTING_MAX,
};

struct settings {
	bool given[SETTING_MAX]; /* by any source but the default */
	char value[SETTING_MAX][SETTING_VALUE_MAX];
};

/* Fills in the defaults. memory_total becomes what the machine has available now. */
void settings_default(struct settings *settings);

/*
 * Sets KEY from TEXT. SOURCE ("--gpu", "PORT", "ferrited.conf:3") begins the error. -ENOENT: no such setting (the text
 * names the nearest one); -EINVAL: the value does not fit (the text says what does).
 */
int settings_set(struct settings *settings, const char *source, const char *key, const char *text, struct err *err);

/* Reads the TEXT of a configuration file; NAME is for messages. A key given twice is an error, but for listen. */
int settings_parse(struct settings *settings, const char *name, const char *text, struct err *err);

/*
 * Takes settings from environment variables. An unknown FERRITE_… is left to the caller to warn about: the first one
 * is put into RET_UNKNOWN (empty when there is none).
 */
int settings_environment(struct settings *settings, char *const *environment, char *ret_unknown, size_t size,
			 struct err *err);

const char *settings_get(const struct settings *settings, enum setting setting);

/* NUMBER, BYTES, MIB. */
uint64_t settings_number(const struct settings *settings, enum setting setting);

/* TIME, in microseconds. */
uint64_t settings_time_us(const struct settings *settings, enum setting setting);

const char *settings_key(enum setting setting);

/* Whether a changed value takes effect by SIGHUP; the others need a restart of ferrited. */
bool settings_reloadable(enum setting setting);

/* Appends "key=value" of everything server PEER receives to a packed list; false when it does not fit. */
bool settings_pack(const struct settings *settings, enum peer peer, char *buffer, size_t size, size_t *used,
		   uint32_t *n_entries);

/* Prints the table for people: key, default, what it means. */
void settings_print(FILE *out);

#endif
