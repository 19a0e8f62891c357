/* The service manager's notification protocol: datagrams to the socket in NOTIFY_SOCKET. Without it all do nothing. */
#ifndef FERRITE_NOTIFY_H
#define FERRITE_NOTIFY_H

#include "supervisor/err.h"

#include <stdint.h>

struct notify {
	int fd;		      /* -1: no service manager listens */
	uint64_t watchdog_us; /* WATCHDOG_USEC for us; 0: none */
};

/* Reads NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID and removes them from the environment. */
int notify_open(struct notify *notify, struct err *err);
void notify_close(struct notify *notify);

/* Sends lines such as "READY=1\nSTATUS=…". A manager that does not listen is no error. */
void notify_send(const struct notify *notify, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
