/*
 * ferrite-gpu's conversation: answers the api (inventory, attach, release) and puts profiles into ferrite-sandbox.
 *
 * A profile is the list of mounts for one set of GPUs and driver capabilities; it is sent once, and an attach is
 * answered only after the sandbox has it. When the sandbox was restarted all profiles are sent again. When the api was
 * restarted its grants are forgotten: its instances end with it. When ferrite-gpu was restarted the api says first what
 * its instances hold.
 *
 * The owner calls service_receive() when a channel is readable; one thread. The library never logs: what an operator
 * should know goes through the `notice` callback.
 */
#ifndef FERRITE_CUDAEXEC_GPU_SERVICE_H
#define FERRITE_CUDAEXEC_GPU_SERVICE_H

#include "cudaexec/gpu/backend.h"
#include "cudaexec/gpu/grants.h"
#include "supervisor/ipc.h"

#include <stdbool.h>

#define SERVICE_PENDING_MAX 256

struct service_profile {
	uint64_t mask;
	unsigned capabilities;
	char *cdi;  /* the wish for CDI devices that it fulfils; NULL: found without CDI */
	bool sent;  /* over the present channel */
	bool ready; /* the sandbox has it */
	struct injection injection;
};

/* An attach that waits for its profile. */
struct service_pending {
	uint64_t request;
	uint64_t grant;
	unsigned profile; /* index */
};

struct service {
	struct backend backend;
	struct grants grants;
	uint64_t memory_default;
	struct service_profile *profiles[SBX_PROFILES_MAX]; /* number is index + 1 */
	unsigned n_profiles;
	struct service_pending pending[SERVICE_PENDING_MAX];
	unsigned n_pending;
	int api_fd, sandbox_fd; /* -1: not there */
	struct err api_failure; /* the api does not take an answer; the owner ends its watch and calls service_lost() */
	bool api_asked;		/* the api made a request on its present channel */
	bool draining;
	void (*notice)(const char *text, const char *detail);
	struct ipc_message *message; /* receive buffer, owned */
};

int service_open(struct service *service, const struct backend_config *config, uint64_t memory_default,
		 void (*notice)(const char *text, const char *detail), struct err *err);

/* Takes a fresh channel to PEER_API or PEER_SANDBOX in place of the old one; other peers are refused. */
int service_channel(struct service *service, enum peer peer, int fd, struct err *err);

/*
 * Handles all messages that are there. 1: go on; 0: the peer closed the channel; negative: protocol violation. In the
 * last two cases the owner ends its watch and calls service_lost().
 */
int service_receive(struct service *service, enum peer peer, struct err *err);

/* Closes the channel to a peer. */
void service_lost(struct service *service, enum peer peer);

void service_close(struct service *service);

#endif
