#include "api/timestamp.h"

#include "supervisor/str.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

/* Of the year 9999, so that everything fits its place. */
#define SECONDS_MAX 253402300799

const char *timestamp_write(char *buffer, int64_t us)
{
	time_t seconds = (time_t)(us / 1000000);
	struct tm utc;

	if (us < 0 || seconds > SECONDS_MAX)
		seconds = us = 0;
	(void)gmtime_r(&seconds, &utc);
	(void)snprintf(buffer, TIMESTAMP_SIZE, "%04d-%02d-%02dT%02d:%02d:%02d.%06dZ", utc.tm_year % 10000 + 1900,
		       utc.tm_mon + 1, utc.tm_mday, utc.tm_hour, utc.tm_min, utc.tm_sec, (int)(us % 1000000));
	return buffer;
}

/* ".123456789" in microseconds; returns what follows, or NULL. */
static const char *read_fraction(const char *text, int64_t *us)
{
	int64_t unit = 100000;

	*us = 0;
	if (*text != '.')
		return text;
	if (text[1] < '0' || text[1] > '9')
		return NULL;
	for (text++; *text >= '0' && *text <= '9'; text++, unit /= 10)
		*us += (*text - '0') * unit;
	return text;
}

bool timestamp_read(const char *text, int64_t *ret_us)
{
	struct tm utc = {0};
	const char *end;
	uint64_t seconds;
	int64_t fraction;
	time_t since;

	if (str_u64(text, &seconds)) {
		if (seconds > SECONDS_MAX)
			return false;
		*ret_us = (int64_t)seconds * 1000000;
		return true;
	}
	end = strptime(text, "%Y-%m-%dT%H:%M:%S", &utc);
	end = end ? read_fraction(end, &fraction) : NULL;
	if (!end || (strcmp(end, "Z") != 0 && strcmp(end, "z") != 0))
		return false;
	/* A leap second, or the 31st of a shorter month, is the moment after. */
	since = timegm(&utc);
	if (since < 0 || since > SECONDS_MAX)
		return false;
	*ret_us = (int64_t)since * 1000000 + fraction;
	return true;
}
