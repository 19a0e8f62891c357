#include "tests/unit/cudaexec/runner_help.h"

#include "supervisor/util.h"

#include <check.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <signal.h>
#include <string.h>
#include <strings.h>
#include <sys/mman.h>
#include <sys/wait.h>

#define HEAD_MAX 65536
#define CHUNK	 65536

const char *help_build(void)
{
	static char path[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - 1);

	ck_assert_int_gt(n, 0);
	path[n] = '\0';
	/* BUILD/tests/unit/NAME */
	for (int i = 0; i < 3; i++)
		*strrchr(path, '/') = '\0';
	return path;
}

char *help_folder(void)
{
	char *folder = strdup("/tmp/cudaexec-test-XXXXXX");

	ck_assert_ptr_nonnull(mkdtemp(folder));
	return folder;
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *where)
{
	(void)st;
	(void)kind;
	(void)where;
	return remove(path);
}

void help_folder_remove(char *folder)
{
	(void)nftw(folder, remove_one, 8, FTW_DEPTH | FTW_PHYS);
	free(folder);
}

void help_file(const char *folder, const char *name, const void *bytes, size_t length)
{
	char path[PATH_MAX];
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	file = fopen(path, "we");
	ck_assert_ptr_nonnull(file);
	ck_assert_uint_eq(fwrite(bytes, 1, length, file), length);
	ck_assert_int_eq(fclose(file), 0);
}

/* In the child: never returns. */
static void run(const char *folder, const char *section, const char *const *environment, int in_fd, int out_fd,
		int log_fd)
{
	char program[PATH_MAX], library[PATH_MAX];

	snprintf(program, sizeof(program), "%s/libexec/cudaexec", help_build());
	snprintf(library, sizeof(library), "%s/lib/ferrite/software-device", help_build());
	setenv("LD_LIBRARY_PATH", library, 1);
	setenv("FERRITE_CUDA", section, 1);
	setenv("FERRITE_IMAGE", "test/function:1.0", 1);
	for (; *environment; environment++)
		putenv((char *)*environment);
	if (chdir(folder) < 0 || dup2(in_fd, 0) < 0 || dup2(out_fd, 1) < 0 || dup2(log_fd, 2) < 0)
		_exit(126);
	execl(program, "cudaexec", NULL);
	_exit(127);
}

void instance_start(struct instance *x, const char *folder, const char *section, const char *const *environment)
{
	_cleanup_free_ char *json = strdup(section);
	static const char *const none[] = {NULL};
	int in[2], out[2];

	for (char *at = json; *at; at++)
		if (*at == '\'')
			*at = '"';
	*x = (struct instance){.log_fd = memfd_create("log", MFD_CLOEXEC)};
	ck_assert_int_eq(pipe2(in, O_CLOEXEC), 0);
	ck_assert_int_eq(pipe2(out, O_CLOEXEC), 0);
	(void)signal(SIGPIPE, SIG_IGN);
	x->pid = fork();
	ck_assert_int_ge(x->pid, 0);
	if (x->pid == 0)
		run(folder, json, environment ? environment : none, in[0], out[1], x->log_fd);
	(void)close(in[0]);
	(void)close(out[1]);
	x->in_fd = in[1];
	x->out_fd = out[0];
}

/*
 * The answer may be on its way before all of the body is taken, and both pipes are small: a child does the writing.
 */
void instance_send(struct instance *x, const void *bytes, size_t length)
{
	pid_t child;

	if (length <= 4096) {
		(void)fd_write_all(x->in_fd, bytes, length);
		return;
	}
	child = fork();
	ck_assert_int_ge(child, 0);
	if (child == 0)
		_exit(fd_write_all(x->in_fd, bytes, length) == 0 ? 0 : 1);
}

void instance_call(struct instance *x, const char *headers, const void *body, size_t length)
{
	_cleanup_(buffer_release) struct buffer b = BUFFER_INIT;

	buffer_append_format(&b, "GET / HTTP/1.1\r\nContent-Length: %zu\r\n%sTask-Id: t-1\r\n\r\n", length, headers);
	buffer_append(&b, body, length);
	instance_send(x, b.bytes, b.length);
}

/* Reads more; false at the end. */
static bool more(struct instance *x)
{
	char *at = buffer_reserve(&x->out, CHUNK);
	ssize_t n = read(x->out_fd, at, CHUNK);

	if (n <= 0)
		return false;
	buffer_commit(&x->out, (size_t)n);
	return true;
}

/* Takes LENGTH bytes off the front into a buffer (NULL: throws them away). */
static bool take(struct instance *x, size_t length, struct buffer *to)
{
	while (x->out.length < length)
		if (!more(x))
			return false;
	if (to)
		buffer_append(to, x->out.bytes, length);
	memmove(x->out.bytes, x->out.bytes + length, x->out.length - length);
	x->out.length -= length;
	return true;
}

/* Length up to and with the mark, reading as needed; 0 at the end. */
static size_t find(struct instance *x, const char *mark)
{
	for (;;) {
		const char *at = x->out.length ? memmem(x->out.bytes, x->out.length, mark, strlen(mark)) : NULL;

		if (at)
			return (size_t)(at - x->out.bytes) + strlen(mark);
		if (x->out.length > HEAD_MAX || !more(x))
			return 0;
	}
}

static bool take_chunks(struct instance *x, struct buffer *body)
{
	for (;;) {
		size_t line = find(x, "\r\n"), length;

		if (line == 0)
			return false;
		length = strtoul(x->out.bytes, NULL, 16);
		if (!take(x, line, NULL) || !take(x, length, body) || !take(x, 2, NULL))
			return false;
		if (length == 0)
			return true;
	}
}

bool instance_reply(struct instance *x, struct reply *ret_reply)
{
	struct reply r = {.body = BUFFER_INIT};
	size_t length = find(x, "\r\n\r\n");
	const char *value;
	bool complete;

	*ret_reply = r;
	if (length == 0)
		return false;
	r.head = strndup(x->out.bytes, length - 2);
	ck_assert_int_eq(sscanf(r.head, "HTTP/1.1 %u ", &r.status), 1);
	(void)take(x, length, NULL);
	value = reply_header(&r, "Content-Length");
	complete = value ? take(x, strtoul(value, NULL, 10), &r.body) : take_chunks(x, &r.body);
	/* A terminator for the test's convenience; it does not count. */
	buffer_append(&r.body, "", 1);
	r.body.length--;
	*ret_reply = r;
	return complete;
}

const char *reply_header(const struct reply *reply, const char *name)
{
	static char value[1024];
	const char *at = strstr(reply->head, "\r\n");

	for (; at && at[2]; at = strstr(at + 2, "\r\n")) {
		const char *line = at + 2;

		if (strncasecmp(line, name, strlen(name)) != 0 || line[strlen(name)] != ':')
			continue;
		line += strlen(name) + 1;
		line += strspn(line, " ");
		snprintf(value, sizeof(value), "%.*s", (int)strcspn(line, "\r\n"), line);
		return value;
	}
	return NULL;
}

void reply_release(struct reply *reply)
{
	free(reply->head);
	buffer_release(&reply->body);
	*reply = (struct reply){.body = BUFFER_INIT};
}

void instance_ask(struct instance *x, const char *headers, const void *body, size_t length, struct reply *ret_reply)
{
	instance_call(x, headers, body, length);
	ck_assert_msg(instance_reply(x, ret_reply), "no complete answer");
}

int instance_end(struct instance *x, char **ret_log)
{
	struct buffer log = BUFFER_INIT;
	off_t at = 0;
	ssize_t n;
	int status;

	if (x->in_fd >= 0)
		(void)close(x->in_fd);
	ck_assert_int_eq(waitpid(x->pid, &status, 0), x->pid);
	while ((n = pread(x->log_fd, buffer_reserve(&log, CHUNK), CHUNK, at)) > 0) {
		buffer_commit(&log, (size_t)n);
		at += n;
	}
	buffer_append(&log, "", 1);
	(void)close(x->out_fd);
	(void)close(x->log_fd);
	buffer_release(&x->out);
	if (ret_log)
		*ret_log = log.bytes;
	else
		buffer_release(&log);
	return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}
