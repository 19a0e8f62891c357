#include "cudaexec/runner/query.h"

#include "supervisor/util.h"

#include <string.h>

static int hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

int query_next(const char **at, char *buffer, size_t size, const char **ret_name, const char **ret_value,
	       struct err *err)
{
	const char *in = *at;
	char *value = NULL;
	size_t used = 0;

	while (*in == '&')
		in++;
	if (!*in)
		return 0;
	for (; *in && *in != '&'; in++) {
		char c = *in == '+' ? ' ' : *in;

		if (used + 2 > size)
			return err_set(err, EINVAL, "query: a parameter of more than %zu bytes", size - 2);
		if (c == '%') {
			int high = hex_value(in[1]), low = high < 0 ? -1 : hex_value(in[2]);

			if (low < 0 || (high == 0 && low == 0))
				return err_set(err, EINVAL,
					       "query: a '%%' that is not followed by two hex digits of a "
					       "byte above 00");
			c = (char)(high * 16 + low);
			in += 2;
		} else if (c == '=' && !value) {
			c = '\0';
			value = buffer + used + 1;
		}
		buffer[used++] = c;
	}
	buffer[used] = '\0';
	*at = in;
	*ret_name = buffer;
	*ret_value = value ? value : buffer + used;
	return 1;
}
