/*
 * Reads and judges an SBX_CREATE message. Counts that do not fit the message are a protocol violation (-EPROTO);
 * everything else that is wrong is refused with a reason.
 */
#ifndef FERRITE_SANDBOX_CREATE_H
#define FERRITE_SANDBOX_CREATE_H

#include "sandbox/cgroup.h"
#include "sandbox/config.h"
#include "sandbox/spawn.h"
#include "supervisor/messages.h"

struct create_request {
	uint64_t born_us; /* set by the caller */
	struct cgroup_limits limits;
	struct spawn_command what; /* points into the message and into this structure */
	enum sbx_network network;
	uint32_t profile;
	uint64_t timeout_us;
	uint32_t stop_signal;
	char *texts[3 + SBX_ARGS_MAX + SBX_ENV_MAX + 1];
};

/* RET_REQUEST is valid as long as MESSAGE. On refusal PHASE says what was refused. */
int create_parse(const struct sandbox_config *config, struct ipc_message *message, struct create_request *ret_request,
		 const char **ret_phase, struct err *err);

#endif
