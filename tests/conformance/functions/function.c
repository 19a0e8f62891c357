/*
 * The functions of the conformance suite.
 *
 *	function echo			standard input to standard output
 *	function env			the environment, each variable ended by a zero byte
 *	function act [COMMAND]...	runs commands: its arguments, else the lines of its input
 *	function hot [early]		serves HTTP requests from standard input; the body of each is commands, a line
 *each; with "early" it writes an answer before it is asked
 *
 * Commands: out TEXT, bytes N, flush (writes what is there), flood, err TEXT, sleep MILLISECONDS, exit CODE, kill
 *SIGNAL, alloc MIB, args, cwd, ids, env, interfaces, id (a name of this process, and its calls so far). Only hot: raw
 *(the request as it came), status LINE, header LINE, chunked, slow (a byte at a time), until-close (no length, ends
 *afterwards), twice (a second answer nobody asked for), last (ends after the answer), interim (100 Continue comes
 *first), garbage (no HTTP).
 */
#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

struct text {
	char *data;
	size_t length;
};

/* What the commands of one call gathered. */
struct answer {
	struct text body, headers;
	char status[128];
	bool chunked, slow, until_close, twice, last, interim, garbage;
};

static unsigned long long self;
static unsigned calls;

static void die(const char *what)
{
	perror(what);
	exit(99);
}

static void add(struct text *text, const void *data, size_t length)
{
	text->data = realloc(text->data, text->length + length + 1);
	if (!text->data)
		die("realloc");
	memcpy(text->data + text->length, data, length);
	text->length += length;
	text->data[text->length] = 0;
}

static void add_line(struct text *text, const char *line, const char *end)
{
	add(text, line, strlen(line));
	add(text, end, strlen(end));
}

static void put(const char *data, size_t length)
{
	while (length > 0) {
		ssize_t n = write(1, data, length);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			exit(98);
		data += n;
		length -= (size_t)n;
	}
}

static void milliseconds(long ms)
{
	struct timespec left = {ms / 1000, ms % 1000 * 1000000};

	while (nanosleep(&left, &left) < 0 && errno == EINTR)
		;
}

static void add_environment(struct text *text)
{
	for (char **variable = environ; *variable; variable++)
		add(text, *variable, strlen(*variable) + 1);
}

static void add_interfaces(struct text *text)
{
	DIR *folder = opendir("/sys/class/net");
	struct dirent *entry;

	while (folder && (entry = readdir(folder)))
		if (entry->d_name[0] != '.')
			add_line(text, entry->d_name, "\n");
	if (folder)
		closedir(folder);
}

static void flood(void)
{
	static char block[65536];

	memset(block, 'x', sizeof(block));
	for (;;)
		put(block, sizeof(block));
}

/* Touches the memory, so that it counts. */
static void allocate(size_t mib)
{
	char *data = malloc(mib << 20);

	if (!data)
		die("malloc");
	for (size_t at = 0; at < mib << 20; at += 4096)
		((volatile char *)data)[at] = 1;
}

static void add_bytes(struct text *text, size_t count)
{
	char *data = malloc(count ? count : 1);

	if (!data)
		die("malloc");
	memset(data, 'x', count);
	add(text, data, count);
	free(data);
}

static void answer_flags(struct answer *answer, const char *word)
{
	struct {
		const char *word;
		bool *flag;
	} flags[] = {{"chunked", &answer->chunked}, {"slow", &answer->slow}, {"until-close", &answer->until_close},
		     {"twice", &answer->twice},	    {"last", &answer->last}, {"interim", &answer->interim},
		     {"garbage", &answer->garbage}};

	for (size_t i = 0; i < sizeof(flags) / sizeof(*flags); i++)
		if (strcmp(word, flags[i].word) == 0)
			*flags[i].flag = true;
}

static void act(char *line, int argc, char **argv, const struct text *request, struct answer *answer)
{
	char *rest = strchr(line, ' ');
	char buffer[4096];

	if (rest)
		*rest++ = 0;
	else
		rest = line + strlen(line);
	if (strcmp(line, "out") == 0) {
		add_line(&answer->body, rest, "\n");
	} else if (strcmp(line, "err") == 0) {
		dprintf(2, "%s\n", rest);
	} else if (strcmp(line, "bytes") == 0) {
		add_bytes(&answer->body, strtoul(rest, NULL, 10));
	} else if (strcmp(line, "flush") == 0) {
		put(answer->body.data, answer->body.length);
		answer->body.length = 0;
	} else if (strcmp(line, "flood") == 0) {
		flood();
	} else if (strcmp(line, "sleep") == 0) {
		milliseconds(strtol(rest, NULL, 10));
	} else if (strcmp(line, "exit") == 0) {
		put(answer->body.data, answer->body.length);
		exit(atoi(rest));
	} else if (strcmp(line, "kill") == 0) {
		raise(atoi(rest));
	} else if (strcmp(line, "alloc") == 0) {
		allocate(strtoul(rest, NULL, 10));
	} else if (strcmp(line, "args") == 0) {
		for (int i = 0; i < argc; i++)
			add_line(&answer->body, argv[i], i + 1 < argc ? "," : "\n");
	} else if (strcmp(line, "cwd") == 0) {
		add_line(&answer->body, getcwd(buffer, sizeof(buffer)) ? buffer : "?", "\n");
	} else if (strcmp(line, "ids") == 0) {
		(void)snprintf(buffer, sizeof(buffer), "%u:%u\n", getuid(), getgid());
		add_line(&answer->body, buffer, "");
	} else if (strcmp(line, "id") == 0) {
		(void)snprintf(buffer, sizeof(buffer), "%016llx %u\n", self, calls);
		add_line(&answer->body, buffer, "");
	} else if (strcmp(line, "env") == 0) {
		add_environment(&answer->body);
	} else if (strcmp(line, "interfaces") == 0) {
		add_interfaces(&answer->body);
	} else if (strcmp(line, "raw") == 0) {
		add(&answer->body, request->data, request->length);
	} else if (strcmp(line, "status") == 0) {
		(void)snprintf(answer->status, sizeof(answer->status), "%s", rest);
	} else if (strcmp(line, "header") == 0) {
		add_line(&answer->headers, rest, "\r\n");
	} else {
		answer_flags(answer, line);
	}
}

/* Every line of TEXT; changes it. */
static void act_all(char *text, int argc, char **argv, const struct text *request, struct answer *answer)
{
	char *rest;

	for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest))
		act(line, argc, argv, request, answer);
}

static struct text read_all(void)
{
	struct text text = {0};
	char buffer[65536];
	ssize_t n;

	add(&text, "", 0);
	while ((n = read(0, buffer, sizeof(buffer))) > 0)
		add(&text, buffer, (size_t)n);
	return text;
}

/* One request with its body; false at the end of the input. The head is read byte by byte: what follows is not ours. */
static bool read_request(struct text *request, struct text *body)
{
	char block[65536];
	size_t head = 0, wanted = 1;

	while (head == 0 || request->length < head + wanted) {
		size_t left = head == 0 ? 1 : head + wanted - request->length;
		ssize_t n = read(0, block, left < sizeof(block) ? left : sizeof(block));

		if (n <= 0)
			return false;
		add(request, block, (size_t)n);
		if (head == 0 && request->length >= 4 &&
		    memcmp(request->data + request->length - 4, "\r\n\r\n", 4) == 0) {
			const char *length = strcasestr(request->data, "\r\nContent-Length:");

			head = request->length;
			wanted = length ? strtoul(length + 17, NULL, 10) : 0;
		}
	}
	add(body, request->data + head, wanted);
	return true;
}

static void put_chunks(struct text *out, const struct text *body)
{
	char size[32];

	for (size_t at = 0; at < body->length; at += 1000) {
		size_t part = body->length - at < 1000 ? body->length - at : 1000;

		(void)snprintf(size, sizeof(size), "%zx\r\n", part);
		add_line(out, size, "");
		add(out, body->data + at, part);
		add_line(out, "\r\n", "");
	}
	add_line(out, "0\r\n\r\n", "");
}

static void reply(const struct answer *answer)
{
	struct text out = {0};
	char length[64];

	add_line(&out, answer->interim ? "HTTP/1.1 100 Continue\r\n\r\n" : "", "");
	add_line(&out, "HTTP/1.1 ", answer->status[0] ? answer->status : "200 OK");
	add_line(&out, "\r\n", answer->headers.data ? answer->headers.data : "");
	(void)snprintf(length, sizeof(length), "Content-Length: %zu\r\n\r\n", answer->body.length);
	add_line(&out,
		 answer->chunked       ? "Transfer-Encoding: chunked\r\n\r\n"
		 : answer->until_close ? "\r\n"
				       : length,
		 "");
	if (answer->chunked)
		put_chunks(&out, &answer->body);
	else
		add(&out, answer->body.data, answer->body.length);
	if (answer->twice)
		add_line(&out, "HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n", "unwanted");
	for (size_t at = 0, part; at < out.length; at += part) {
		part = answer->slow ? 1 : out.length;
		put(out.data + at, part);
		if (answer->slow)
			milliseconds(1);
	}
	free(out.data);
}

static int hot(int argc, char **argv)
{
	const char *habit = argc > 2 ? argv[2] : "";

	if (strcmp(habit, "early") == 0)
		put("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nearly", 43);
	for (;;) {
		struct text request = {0}, body = {0};
		struct answer answer = {0};

		if (!read_request(&request, &body))
			return 0;
		calls++;
		add(&answer.body, "", 0);
		if (strcmp(habit, "echo") == 0)
			add(&answer.body, body.data, body.length);
		else if (body.length == 0)
			add(&answer.body, request.data, request.length);
		else
			act_all(body.data, argc, argv, &request, &answer);
		if (answer.garbage)
			put("this is no HTTP\r\n\r\n", 19);
		else
			reply(&answer);
		if (answer.until_close || answer.last)
			return 0;
		free(body.data);
		free(request.data);
		free(answer.body.data);
		free(answer.headers.data);
	}
}

int main(int argc, char **argv)
{
	const char *mode = argc > 1 ? argv[1] : "";
	struct answer answer = {0};
	struct text input;

	if (getrandom(&self, sizeof(self), 0) != (ssize_t)sizeof(self))
		die("getrandom");
	if (strcmp(mode, "hot") == 0)
		return hot(argc, argv);
	add(&answer.body, "", 0);
	if (strcmp(mode, "act") == 0 && argc > 2) {
		for (int i = 2; i < argc; i++)
			act(strdup(argv[i]), argc, argv, &answer.body, &answer);
		put(answer.body.data, answer.body.length);
		return 0;
	}
	if (strcmp(mode, "env") == 0) {
		add_environment(&answer.body);
		put(answer.body.data, answer.body.length);
		return 0;
	}
	input = read_all();
	if (strcmp(mode, "echo") == 0) {
		put(input.data, input.length);
		return 0;
	}
	if (strcmp(mode, "act") != 0)
		return 97;
	act_all(input.data, argc, argv, &input, &answer);
	put(answer.body.data, answer.body.length);
	return 0;
}
