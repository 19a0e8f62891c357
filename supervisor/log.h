/*
 * Log lines on standard error: one line, key=value, made for journald and for people.
 *
 *   <6>time=2026-11-22T06:02:43.123Z level=info from=ferrite-api msg="route created" app=demo route=/hello
 *
 * The "<N>" priority is written only when standard error is the journal (JOURNAL_STREAM is set). Only program code
 * logs; libraries return errors. Untrusted bytes go through LOG_STR, which escapes them. Never log secrets or
 * environment values. All functions may be called from any thread; a line is one write, and is
 * dropped when nobody reads standard error.
 */
#ifndef FERRITE_LOG_H
#define FERRITE_LOG_H

#include <stdbool.h>
#include <stdint.h>

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARN, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

struct log_field {
	const char *key;
	const char *text; /* NULL: number */
	int64_t number;
};

/* Field makers. Values are escaped on output. */
#define LOG_STR(k, v) ((struct log_field){(k), (v), 0})
#define LOG_INT(k, v) ((struct log_field){(k), (const char *)0, (int64_t)(v)})

/* NAME is the program's name and must live on; call once before anything is logged. */
void log_open(const char *name);

/* Sets the level from a name (debug info warn error fatal panic, as IronFunctions had them); false if unknown. */
bool log_level_set(const char *name);
bool log_enabled(enum log_level level);

void log_write(enum log_level level, const char *message, const struct log_field *fields, unsigned n_fields);

#define log_line(level, message, ...) \
	do { \
		if (log_enabled(level)) \
			log_write(level, message, (const struct log_field[]){{0}, ##__VA_ARGS__} + 1, \
				  sizeof((const struct log_field[]){{0}, ##__VA_ARGS__}) / sizeof(struct log_field) - \
					  1); \
	} while (0)

#define log_error(message, ...) log_line(LOG_LEVEL_ERROR, message, ##__VA_ARGS__)
#define log_warn(message, ...)	log_line(LOG_LEVEL_WARN, message, ##__VA_ARGS__)
#define log_info(message, ...)	log_line(LOG_LEVEL_INFO, message, ##__VA_ARGS__)
#define log_debug(message, ...) log_line(LOG_LEVEL_DEBUG, message, ##__VA_ARGS__)

#endif
