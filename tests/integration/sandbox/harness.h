/*
 * A private ferrite-sandbox for tests and benchmarks: plays ferrited, ferrite-api and ferrite-gpu on its channels.
 * One thread; errors as in supervisor/err.h.
 */
#ifndef FERRITE_TESTS_SANDBOX_HARNESS_H
#define FERRITE_TESTS_SANDBOX_HARNESS_H

#include "supervisor/err.h"
#include "supervisor/ipc.h"
#include "supervisor/messages.h"

#include <sys/types.h>

struct harness {
	pid_t pid;
	int control_fd, api_fd, gpu_fd;
	uint64_t next_id;
	struct ipc_message *message;
};

/* Starts PROGRAM with the configuration ("key=value", N of them) and both channels; returns when it is ready. */
int harness_start(struct harness *harness, const char *program, const char *const *config, unsigned n_config,
		  struct err *err);

/* Gives the server a fresh channel in place of the old one, which stays open for the caller in RET_OLD_FD. */
int harness_new_channel(struct harness *harness, enum peer peer, int *ret_old_fd, struct err *err);

/* What SBX_CREATE carries as text, NULL-terminated lists; NULL texts are empty. */
struct harness_texts {
	const char *cwd, *hostname, *label;
	const char *const *arguments, *const *variables;
};

/* Sends SBX_CREATE; RET_ID is the request's id. Fills n_args and n_env of BODY. */
int harness_create(struct harness *harness, struct sbx_create *body, const struct harness_texts *texts,
		   const int *layer_fds, unsigned n_layers, uint64_t *ret_id, struct err *err);

/* Waits up to TIMEOUT_MS for the next message on FD: 1 received (in harness->message), 0 closed, -ETIMEDOUT. */
int harness_receive(struct harness *harness, int fd, int timeout_ms, struct err *err);

/* Closes the control channel and waits for the server's end; returns its wait status. */
int harness_stop(struct harness *harness);

#endif
