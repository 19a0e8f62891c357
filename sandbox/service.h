/*
 * ferrite-sandbox's messages: what the api and ferrite-gpu ask, and what they are told. One request table per peer;
 * a message that breaks a rule closes that peer's channel, and with it all that was made for it.
 */
#ifndef FERRITE_SANDBOX_SERVICE_H
#define FERRITE_SANDBOX_SERVICE_H

#include "sandbox/channel.h"
#include "sandbox/config.h"
#include "sandbox/instance.h"
#include "sandbox/pool.h"
#include "sandbox/profile.h"
#include "sandbox/spawn.h"
#include "supervisor/loop.h"

#include <stdbool.h>

struct service {
	struct sandbox_config config;
	struct loop loop;
	struct cgroups groups;
	struct ids ids;
	struct bridge bridge;
	struct instances instances;
	struct spawn spawn;
	struct pool pool;
	struct profile profiles[SBX_PROFILES_MAX];
	struct channel api, gpu;
	uint64_t api_generation; /* of the present api channel */
	struct ipc_message *message;
	bool draining;
	uint64_t drain_deadline_us;
	int drain_timer_fd;
	struct loop_watch drain_watch;
};

/* Opens everything the configuration names, sweeps what a predecessor left. RET_SWEPT: groups removed. */
int service_open(struct service *service, int *ret_swept, struct err *err);
void service_close(struct service *service);

/* Takes over a channel (owned); what was made for an older one is killed. */
int service_set_channel(struct service *service, enum peer peer, int fd, struct err *err);

/* Makes nothing new; the loop stops when the last instance is removed. At the deadline all are killed. */
void service_drain(struct service *service, uint64_t deadline_us);

#endif
