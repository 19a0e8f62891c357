/*
 * Handler bundles: a shared object of the function's author, written against cudaexec.h. Loaded into this process,
 * which runs inside the function's container; nothing here defends the process against it.
 */
#ifndef FERRITE_CUDAEXEC_HANDLER_H
#define FERRITE_CUDAEXEC_HANDLER_H

#include "cudaexec/runner/device.h"
#include "cudaexec/runner/http.h"
#include "supervisor/err.h"

#include <stdbool.h>

struct handler;

/*
 * Loads the library at PATH, checks architecture, version and symbols, and calls its init with the device's context
 * current. The device and the library stay in use until handler_close(). Returns 0 or a negative errno with the cause.
 */
int handler_open(const char *path, struct device *device, struct handler **ret_handler, struct err *err);

/* Calls fini. Accepts NULL; returns NULL. */
struct handler *handler_close(struct handler *handler);

/*
 * Answers one call on FD. Returns 0 when a complete answer was written, -EPROTO when a response had begun and could not
 * be finished (the stream is unusable), or what writing said. RET_LOST: the CUDA context is broken.
 */
int handler_call(struct handler *handler, const struct http_call *call, int fd, bool *ret_lost, struct err *err);

#endif
