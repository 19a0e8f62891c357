/*
 * The function behind the hot calls of tests/bench/run: reads requests of the format "http" on standard input, answers
 * each with its body. As little as such a function can do.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char input[1 << 20], output[(1 << 20) + 128];

/* The length of the whole request at the start of the input, 0: more is needed. */
static size_t request_length(size_t n, size_t *ret_body)
{
	const char *end = memmem(input, n, "\r\n\r\n", 4);
	const char *length = end ? memmem(input, (size_t)(end - input), "\r\nContent-Length: ", 18) : NULL;
	size_t head;

	if (!end)
		return 0;
	head = (size_t)(end - input) + 4;
	*ret_body = length ? strtoul(length + 18, NULL, 10) : 0;
	if (head + *ret_body > sizeof(input))
		exit(2);
	return n >= head + *ret_body ? head + *ret_body : 0;
}

int main(void)
{
	size_t n = 0, whole, body;

	for (;;) {
		ssize_t got = read(STDIN_FILENO, input + n, sizeof(input) - n);

		if (got <= 0)
			return 0;
		n += (size_t)got;
		while ((whole = request_length(n, &body)) > 0) {
			int head = sprintf(output, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n", body);

			memcpy(output + head, input + whole - body, body);
			if (write(STDOUT_FILENO, output, (size_t)head + body) != (ssize_t)((size_t)head + body))
				return 1;
			memmove(input, input + whole, n - whole);
			n -= whole;
		}
	}
}
