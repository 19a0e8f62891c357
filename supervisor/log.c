#include "supervisor/log.h"

#include "supervisor/str.h"
#include "supervisor/util.h"

#include <inttypes.h>
#include <poll.h>
#include <stdarg.h>
#include <string.h>
#include <time.h>

/* A longer line is cut; journald's own limit is 48 KiB, people's is lower. */
#define LINE_MAX_BYTES	4096
#define VALUE_MAX_BYTES 1024
/* A line that nobody takes for so long is dropped. */
#define READER_MS 100

static const char *program = "ferrite";
static _Atomic int threshold = LOG_LEVEL_INFO;
static bool journal;

void log_open(const char *name)
{
	program = name;
	journal = getenv("JOURNAL_STREAM") != NULL;
}

bool log_level_set(const char *name)
{
	static const struct {
		const char *name;
		enum log_level level;
	} levels[] = {
		{"debug", LOG_LEVEL_DEBUG}, {"info", LOG_LEVEL_INFO},	{"warn", LOG_LEVEL_WARN},
		{"error", LOG_LEVEL_ERROR}, {"fatal", LOG_LEVEL_ERROR}, {"panic", LOG_LEVEL_ERROR},
	};

	for (size_t i = 0; i < ARRAY_LEN(levels); i++)
		if (strcmp(name, levels[i].name) == 0) {
			threshold = levels[i].level;
			return true;
		}
	return false;
}

bool log_enabled(enum log_level level)
{
	return (int)level <= threshold;
}

static bool needs_quotes(const char *text)
{
	if (!*text)
		return true;
	for (; *text; text++)
		if ((unsigned char)*text <= ' ' || *text == '"' || *text == '=' || *text == '\\' ||
		    (unsigned char)*text >= 0x7f)
			return true;
	return false;
}

static size_t put(char *line, size_t at, const char *format, ...) __attribute__((format(printf, 3, 4)));
static size_t put(char *line, size_t at, const char *format, ...)
{
	va_list args;
	int n;

	va_start(args, format);
	n = vsnprintf(line + at, LINE_MAX_BYTES - at, format, args);
	va_end(args);
	return n < 0 ? at : MIN(at + (size_t)n, (size_t)LINE_MAX_BYTES - 1);
}

static size_t put_text(char *line, size_t at, const char *key, const char *text)
{
	char escaped[VALUE_MAX_BYTES];

	str_escape(escaped, sizeof(escaped), text, strlen(text));
	return put(line, at, needs_quotes(text) ? " %s=\"%s\"" : " %s=%s", key, escaped);
}

/* Whoever reads the lines may end, or stop reading: neither may end us by SIGPIPE or stop us for long. */
static bool somebody_reads(void)
{
	struct pollfd p = {.fd = STDERR_FILENO, .events = POLLOUT};

	return poll(&p, 1, READER_MS) == 1 && !(p.revents & (POLLERR | POLLHUP | POLLNVAL));
}

void log_write(enum log_level level, const char *message, const struct log_field *fields, unsigned n_fields)
{
	static const char *const names[] = {"error", "warn", "info", "debug"};
	static const int priorities[] = {3, 4, 6, 7};
	char line[LINE_MAX_BYTES + 1];
	struct timespec now;
	struct tm utc;
	size_t at = 0;

	(void)clock_gettime(CLOCK_REALTIME, &now);
	(void)gmtime_r(&now.tv_sec, &utc);
	if (journal)
		at = put(line, at, "<%d>", priorities[level]);
	at = put(line, at, "time=%04d-%02d-%02dT%02d:%02d:%02d.%03ldZ level=%s from=%s", utc.tm_year + 1900,
		 utc.tm_mon + 1, utc.tm_mday, utc.tm_hour, utc.tm_min, utc.tm_sec, now.tv_nsec / 1000000, names[level],
		 program);
	at = put_text(line, at, "msg", message);
	for (unsigned i = 0; i < n_fields; i++) {
		if (fields[i].text)
			at = put_text(line, at, fields[i].key, fields[i].text);
		else
			at = put(line, at, " %s=%" PRId64, fields[i].key, fields[i].number);
	}
	line[at++] = '\n';
	if (somebody_reads())
		(void)fd_write_all(STDERR_FILENO, line, at);
}
