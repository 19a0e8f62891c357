/* Network of an instance. Network "none" is its own namespace with nothing but a loopback device. */
#ifndef FERRITE_SANDBOX_NET_H
#define FERRITE_SANDBOX_NET_H

#include "supervisor/err.h"

/* Brings up the loopback device of the caller's network namespace. */
int net_up_loopback(struct err *err);

#endif
