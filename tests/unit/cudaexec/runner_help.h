/*
 * Runs the real cudaexec over pipes, with the software device as its driver, for tests. Failures of the fixture itself
 * end the test.
 */
#ifndef FERRITE_TESTS_UNIT_CUDAEXEC_RUNNER_HELP_H
#define FERRITE_TESTS_UNIT_CUDAEXEC_RUNNER_HELP_H

#include "cudaexec/runner/buffer.h"

#include <stddef.h>
#include <sys/types.h>

struct instance {
	pid_t pid;
	int in_fd;	   /* its standard input; -1 when closed */
	int out_fd;	   /* its standard output */
	int log_fd;	   /* what it logs goes into this file */
	struct buffer out; /* read and not used yet */
};

struct reply {
	unsigned status;
	char *head; /* status line and headers, terminated */
	struct buffer body;
};

/* The build directory this test belongs to. */
const char *help_build(void);

/* A fresh folder that help_folder_remove() deletes with everything in it. */
char *help_folder(void);
void help_folder_remove(char *folder);
void help_file(const char *folder, const char *name, const void *bytes, size_t length);

/*
 * Starts cudaexec in FOLDER with the cuda section SECTION (single quotes stand for double ones) and more environment,
 * "NAME=VALUE", ended by NULL. It has the software device.
 */
void instance_start(struct instance *x, const char *folder, const char *section, const char *const *environment);

/* Sends bytes as they are. */
void instance_send(struct instance *x, const void *bytes, size_t length);

/* Sends a call in the hot format; HEADERS are complete lines ("Header_accept: *" "/" "*\r\n") or "". */
void instance_call(struct instance *x, const char *headers, const void *body, size_t length);

/* Reads one answer. False when the output ended before it was complete. */
bool instance_reply(struct instance *x, struct reply *ret_reply);

/* The value of a header of the answer, in a static buffer, or NULL. */
const char *reply_header(const struct reply *reply, const char *name);
void reply_release(struct reply *reply);

/* Call and answer at once; the body is terminated (behind its length). */
void instance_ask(struct instance *x, const char *headers, const void *body, size_t length, struct reply *ret_reply);

/* Closes the input, reads the log, waits. Returns the exit status, or -signal; RET_LOG (may be NULL) is the caller's.
 */
int instance_end(struct instance *x, char **ret_log);

#endif
