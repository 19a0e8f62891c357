#include "api/path.h"

#include "supervisor/util.h"

#include <string.h>

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The byte an escape at AT stands for, or -1. */
static int escape_value(const char *at)
{
	int high = hex_digit(at[1]), low = high < 0 ? -1 : hex_digit(at[2]);

	return low < 0 ? -1 : high * 16 + low;
}

int path_decode(const char *target, char *buffer)
{
	char *out = buffer;

	if (*target != '/') {
		const char *host = strstr(target, "://");

		target = host ? host + 3 + strcspn(host + 3, "/?") : target;
		if (host && *target != '/')
			*out++ = '/';
		else if (!host)
			return -EINVAL;
	}
	for (; *target && *target != '?' && *target != '#'; target++) {
		int value = (unsigned char)*target;

		if (*target == '%') {
			value = escape_value(target);
			target += 2;
		}
		if (value <= 0)
			return -EINVAL;
		*out++ = (char)value;
	}
	*out = '\0';
	return 0;
}

bool path_is_url(const char *text)
{
	for (; *text; text++) {
		if ((unsigned char)*text < 0x20 || *text == 0x7f)
			return false;
		if (*text == '%' && escape_value(text) < 0)
			return false;
	}
	return true;
}

void path_clean(char *path)
{
	char *in = path, *out = path;

	while (*in) {
		size_t n;

		in += strspn(in, "/");
		n = strcspn(in, "/");
		if (n == 2 && in[0] == '.' && in[1] == '.') {
			while (out > path && *--out != '/')
				;
		} else if (n > 0 && !(n == 1 && in[0] == '.')) {
			*out++ = '/';
			memmove(out, in, n);
			out += n;
		}
		in += n;
	}
	if (out == path)
		*out++ = '/';
	*out = '\0';
}

static bool decode_query(const char *from, size_t length, struct text *out)
{
	for (size_t i = 0; i < length; i++) {
		int value = (unsigned char)from[i];
		char byte;

		if (from[i] == '%') {
			if (i + 2 >= length)
				return false;
			value = escape_value(from + i);
			i += 2;
		} else if (from[i] == '+') {
			value = ' ';
		}
		if (value < 0)
			return false;
		byte = (char)value;
		text_add(out, &byte, 1);
	}
	return !out->failed;
}

bool path_query(const char *target, const char *name, struct text *ret_value)
{
	const char *at = strchr(target, '?');
	bool found = false;

	while (at && *at && !found) {
		_cleanup_(text_done) struct text key = {0};
		size_t length = strcspn(++at, "&"), key_length = strcspn(at, "=&");

		if (decode_query(at, key_length, &key) && key.data && strcmp(key.data, name) == 0) {
			struct text value = {0};

			text_add(&value, "", 0);
			found = decode_query(at + MIN(key_length + 1, length), length - MIN(key_length + 1, length),
					     &value);
			if (found)
				*ret_value = value;
			else
				text_done(&value);
		}
		at += length;
	}
	return found;
}

bool path_match(const char *pattern, char *path, struct path_match *ret_match)
{
	struct path_match match = {0};
	char *cut = NULL, *at = path;

	for (; *pattern; pattern++) {
		if (*pattern == ':') {
			match.app = at;
			at += strcspn(at, "/");
			if (at == match.app)
				return false;
			cut = at;
		} else if (*pattern == '*') {
			/* The pattern's slash was matched already: the rest begins with it. */
			match.rest = at - 1;
			at += strlen(at);
		} else if (*pattern == *at) {
			at++;
		} else {
			return false;
		}
	}
	if (*at == '/' && !at[1] && !match.rest && at > path)
		cut = cut ? cut : at;
	else if (*at)
		return false;
	if (match.app && match.rest) {
		/* The segment's end and the beginning of the rest may share their slash: keep the rest's. */
		if (cut == match.rest) {
			memmove(match.app - 1, match.app, (size_t)(cut - match.app));
			match.app--;
			cut--;
		}
	}
	if (cut)
		*cut = '\0';
	*ret_match = match;
	return true;
}
