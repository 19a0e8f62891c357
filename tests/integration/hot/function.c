/*
 * A function of the format "http" that behaves as it is told: by the caller's header X-Do, and before its first request
 * by the variable AT_START. Without either it answers with the body of the request. Static: it is alone in its image.
 */
#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

#define HEAD_MAX 200000

extern char **environ;

static char head[HEAD_MAX + 1];
static size_t head_length, buffered; /* buffered: bytes in `input` that were not used */
static char input[65536];
static char *input_at = input;
static size_t at_once = sizeof(input);
static char command[64];
static long argument;
static uint64_t content_length;
static unsigned n_served;
static char name[32];

static void put_bytes(const void *bytes, size_t length)
{
	const char *at = bytes;

	while (length > 0) {
		ssize_t n = write(STDOUT_FILENO, at, length);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			_exit(99);
		at += n;
		length -= (size_t)n;
	}
}

static void put(const char *format, ...) __attribute__((format(printf, 1, 2)));
static void put(const char *format, ...)
{
	char text[4096];
	va_list args;
	int n;

	va_start(args, format);
	n = vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	put_bytes(text, (size_t)n);
}

static void answer(const void *body, size_t length)
{
	put("HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n", length);
	put_bytes(body, length);
}

static void answer_text(const char *text)
{
	answer(text, strlen(text));
}

static void sleep_ms(long ms)
{
	const struct timespec time = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};

	(void)nanosleep(&time, NULL);
}

/* Bytes of the input, as many as are there, or as READS says; exits at its end. */
static size_t more(void)
{
	while (buffered == 0) {
		ssize_t n = read(STDIN_FILENO, input, at_once);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			_exit(0);
		input_at = input;
		buffered = (size_t)n;
	}
	return buffered;
}

static void use(size_t n)
{
	input_at += n;
	buffered -= n;
}

static const char *field(const char *key)
{
	size_t length = strlen(key);

	for (char *line = strstr(head, "\r\n"); line; line = strstr(line + 2, "\r\n"))
		if (strncasecmp(line + 2, key, length) == 0 && line[2 + length] == ':')
			return line + 2 + length + 2;
	return NULL;
}

static void read_head(void)
{
	const char *value;

	head_length = 0;
	do {
		(void)more();
		head[head_length++] = *input_at;
		head[head_length] = '\0';
		use(1);
	} while (head_length < HEAD_MAX && (head_length < 4 || memcmp(head + head_length - 4, "\r\n\r\n", 4) != 0));
	value = field("Content-Length");
	content_length = value ? strtoull(value, NULL, 10) : 0;
	*command = '\0';
	argument = 0;
	value = field("Header_x_do");
	if (value)
		(void)sscanf(value, "%63s %ld", command, &argument);
}

static char *read_body(void)
{
	char *body = malloc(content_length + 1);
	uint64_t got = 0;

	if (!body)
		_exit(98);
	while (got < content_length) {
		size_t n = more();

		n = n < content_length - got ? n : content_length - got;
		memcpy(body + got, input_at, n);
		got += n;
		use(n);
	}
	body[got] = '\0';
	return body;
}

static void read_part(size_t length)
{
	for (size_t got = 0; got < length; got++) {
		(void)more();
		use(1);
	}
}

/* Length and FNV-1a of a body of any size; with a pause before it, so that the pipe is full. */
static void sum(void)
{
	uint64_t hash = 14695981039346656037u;
	char text[64];

	sleep_ms(argument);
	for (uint64_t got = 0; got < content_length;) {
		size_t n = more();

		n = n < content_length - got ? n : content_length - got;
		for (size_t i = 0; i < n; i++)
			hash = (hash ^ (unsigned char)input_at[i]) * 1099511628211u;
		got += n;
		use(n);
	}
	(void)snprintf(text, sizeof(text), "%llu %016llx", (unsigned long long)content_length,
		       (unsigned long long)hash);
	answer_text(text);
}

static void big(void)
{
	char part[65536];

	memset(part, 'x', sizeof(part));
	put("HTTP/1.1 200 OK\r\nContent-Length: %ld\r\n\r\n", argument);
	for (long left = argument; left > 0; left -= (long)sizeof(part))
		put_bytes(part, left < (long)sizeof(part) ? (size_t)left : sizeof(part));
}

static void environment(void)
{
	char text[65536];
	size_t length = 0;

	for (char **at = environ; *at; at++)
		length += (size_t)snprintf(text + length, sizeof(text) - length, "%s\n", *at);
	answer(text, length);
}

/* The request as it came, head and body. */
static void request(const char *body)
{
	put("HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n", head_length + (size_t)content_length);
	put_bytes(head, head_length);
	put_bytes(body, content_length);
}

static void who(void)
{
	char text[64];

	(void)snprintf(text, sizeof(text), "%s %u", name, n_served);
	answer_text(text);
}

static void headers(void)
{
	put("HTTP/1.1 %ld Whatever\r\nContent-Type: text/x-own\r\nX-Function: yes\r\nX-Route: function\r\n"
	    "Connection: keep-alive, X-Hop\r\nKeep-Alive: timeout=5\r\nX-Hop: 1\r\nTransfer-Encoding: chunked\r\n\r\n"
	    "3\r\nabc\r\n4;x=y\r\ndefg\r\n0\r\nX-Trailer: no\r\n\r\n",
	    argument);
}

/* What is wrong before, during or instead of an answer; false: nothing of that kind was asked for. */
static bool misbehave(void)
{
	if (strcmp(command, "exit") == 0)
		_exit((int)argument);
	if (strcmp(command, "exit-mid") == 0) {
		put("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf");
		_exit((int)argument);
	}
	if (strcmp(command, "garbage") == 0)
		put("this is no HTTP\n");
	else if (strcmp(command, "long") == 0)
		put("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf");
	else if (strcmp(command, "short") == 0)
		put("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabcdef");
	else if (strcmp(command, "close-output") == 0)
		(void)close(STDOUT_FILENO);
	else if (strcmp(command, "silent") != 0)
		return false;
	return true;
}

/* Answers of every form, and what may follow a good one. */
static void behave(const char *body)
{
	if (strcmp(command, "request") == 0)
		request(body);
	else if (strcmp(command, "env") == 0)
		environment();
	else if (strcmp(command, "headers") == 0)
		headers();
	else if (strcmp(command, "big") == 0)
		big();
	else if (strcmp(command, "continue") == 0)
		put("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 Wait\r\nX: y\r\n\r\n"
		    "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
	else if (strcmp(command, "no-content") == 0)
		put("HTTP/1.1 %ld X\r\n\r\n", argument);
	else if (strcmp(command, "old") == 0)
		put("HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\nold");
	else if (strcmp(command, "until-close") == 0)
		put("HTTP/1.1 200 OK\r\n\r\nuntil the end");
	else if (strcmp(command, "echo") == 0 || !*command)
		answer(body, content_length);
	else
		who();
}

static void afterwards(void)
{
	struct pollfd next = {.fd = STDIN_FILENO, .events = POLLIN};

	if (strcmp(command, "until-close") == 0 || strcmp(command, "exit-after") == 0)
		_exit((int)argument);
	if (strcmp(command, "murmur") == 0)
		(void)!write(STDERR_FILENO, "after the answer\n", 17);
	if (strcmp(command, "late") == 0) {
		sleep_ms(argument);
		put("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison");
		sleep_ms(1000000);
	} else if (strcmp(command, "part") == 0) {
		sleep_ms(1000000);
	} else if (strcmp(command, "die-on-next") == 0) {
		(void)poll(&next, 1, -1);
		_exit(7);
	} else if (strcmp(command, "close-input") == 0) {
		(void)close(STDIN_FILENO);
		sleep_ms(1000000);
	}
}

static void serve(void)
{
	char *body = NULL;

	read_head();
	n_served++;
	if (strcmp(command, "sum") == 0) {
		sum();
		return;
	}
	if (strcmp(command, "part") == 0)
		read_part((size_t)argument);
	else if (strcmp(command, "unread") != 0)
		body = read_body();
	if (strcmp(command, "sleep") == 0)
		sleep_ms(argument);
	if (strcmp(command, "stderr") == 0)
		(void)!write(STDERR_FILENO, "a line of the function\n", 23);
	if (misbehave())
		sleep_ms(strcmp(command, "short") == 0 ? 0 : 1000000);
	else
		behave(body);
	free(body);
	afterwards();
}

int main(void)
{
	const char *start = getenv("AT_START"), *reads = getenv("READS");
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	(void)snprintf(name, sizeof(name), "%lld.%09ld", (long long)now.tv_sec, now.tv_nsec);
	if (reads)
		at_once = strtoul(reads, NULL, 10);
	if (start && strcmp(start, "exit") == 0)
		_exit(5);
	if (start && strcmp(start, "speak") == 0) {
		put("hello, I am here\n");
		sleep_ms(1000000);
	}
	for (;;)
		serve();
}
