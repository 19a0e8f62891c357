#include "sandbox/create.h"

#include "sandbox/root.h"
#include "supervisor/allow.h"
#include "supervisor/str.h"
#include "supervisor/util.h"

#include <arpa/inet.h>
#include <signal.h>
#include <string.h>

#define ID_MAX	      65534 /* the next one is the init's */
#define HOSTNAME_MAX  64
#define HOSTNAME_OWN  "ferrite"
#define MEMORY_MIN    (4 * MIB)
#define DISK_MIN      MIB
#define TASKS_MAX     65536u
#define CPU_MAX	      100000u /* percent */
#define TIMEOUT_MAX   ((uint64_t)366 * 86400 * 1000000)
#define INIT_AND_MAIN 1 /* the init counts, too */

static bool hostname_valid(const char *name)
{
	size_t n = strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-");

	return n > 0 && n <= HOSTNAME_MAX && name[n] == '\0';
}

/* The api asks; what the operator lets routes have is decided here. */
static int judge_network(const struct sandbox_config *config, const struct sbx_create *c, struct err *err)
{
	if (c->network == SBX_NETWORK_HOST && strcmp(config->network_host, "yes") != 0)
		return err_set(err, EPERM,
			       "the network of the host is not given to functions: that needs network_host = yes in "
			       "ferrited.conf");
	if (c->n_allow > 0 && c->network != SBX_NETWORK_BRIDGE)
		return err_set(err, EINVAL, "only the bridge has ranges to open");
	for (unsigned i = 0; i < c->n_allow; i++) {
		char address[INET_ADDRSTRLEN];

		if (c->allow[i].prefix > 32)
			return err_set(err, EINVAL, "a prefix of %u bits", c->allow[i].prefix);
		if (!allow_within_list(&c->allow[i], config->network_allow))
			return err_set(err, EPERM,
				       "%s/%u is closed, and not among what routes may open: network_allow in "
				       "ferrited.conf lists that",
				       inet_ntop(AF_INET, &c->allow[i].address, address, sizeof(address)),
				       c->allow[i].prefix);
	}
	return 0;
}

static int judge_numbers(const struct sbx_create *c, const char **ret_phase, struct err *err)
{
	*ret_phase = "user";
	if (c->uid > ID_MAX || c->gid > ID_MAX)
		return err_set(err, EINVAL, "user %u:%u: ids go from 0 to %d", c->uid, c->gid, ID_MAX);
	*ret_phase = "limits";
	if (c->memory_bytes && c->memory_bytes < MEMORY_MIN)
		return err_set(err, EINVAL, "memory of %llu bytes is less than the least, 4 MiB",
			       (unsigned long long)c->memory_bytes);
	if (c->disk_bytes && c->disk_bytes < DISK_MIN)
		return err_set(err, EINVAL, "disk of %llu bytes is less than the least, 1 MiB",
			       (unsigned long long)c->disk_bytes);
	if (c->memory_bytes > INT64_MAX || c->disk_bytes > INT64_MAX || c->pids_max > TASKS_MAX ||
	    c->cpu_percent > CPU_MAX || c->timeout_us > TIMEOUT_MAX)
		return err_set(err, ERANGE, "a limit is too large");
	if (c->stop_signal > (uint32_t)SIGRTMAX || c->stop_signal == SIGCHLD)
		return err_set(err, EINVAL, "signal %u cannot be the stop signal", c->stop_signal);
	return 0;
}

static int judge_texts(struct spawn_command *what, char *cwd, const char **ret_phase, struct err *err)
{
	size_t n = strlen(cwd);

	*ret_phase = "cwd";
	while (n > 1 && cwd[n - 1] == '/')
		cwd[--n] = '\0';
	if (n > 0 && strcmp(cwd, "/") != 0 && !root_path_valid(cwd))
		return err_set(err, EINVAL, "the working directory is no plain absolute path");
	what->cwd = n > 0 ? cwd : "/";
	*ret_phase = "hostname";
	if (!what->hostname[0])
		what->hostname = HOSTNAME_OWN;
	if (!hostname_valid(what->hostname))
		return err_set(err, EINVAL, "the host name is not of 1 to %d letters, digits, dots, hyphens",
			       HOSTNAME_MAX);
	*ret_phase = "command";
	if (what->command.n_args == 0 || !what->arguments[0][0])
		return err_set(err, EINVAL, "there is no command");
	*ret_phase = "layers";
	if (what->n_layers == 0)
		return err_set(err, EINVAL, "an instance needs at least one layer");
	return 0;
}

/* MAXIMUM 0: none. No VALUE is more than any. */
static uint64_t at_most(uint64_t value, uint64_t maximum)
{
	return maximum && (value == 0 || value > maximum) ? maximum : value;
}

int create_parse(const struct sandbox_config *config, struct ipc_message *message, struct create_request *ret_request,
		 const char **ret_phase, struct err *err)
{
	struct create_request *request = ret_request;
	struct sbx_create c;
	size_t length;
	char *tail = ipc_tail(message, sizeof(c), &length);
	uint64_t disk_bytes;
	int r;

	memcpy(&c, message->payload, sizeof(c));
	if (c.n_layers != message->n_fds || c.n_args > SBX_ARGS_MAX || c.n_env > SBX_ENV_MAX ||
	    c.network >= SBX_NETWORK_MAX || c.n_allow > SBX_ALLOW_MAX)
		return err_set(err, EPROTO, "create with impossible counts");
	if (str_unpack(tail, length, 3 + c.n_args + c.n_env, request->texts) != (long)length)
		return err_set(err, EPROTO, "create with a malformed list");
	*ret_phase = "network";
	r = judge_network(config, &c, err);
	if (r == 0)
		r = judge_numbers(&c, ret_phase, err);
	if (r < 0)
		return r;
	disk_bytes = at_most(c.disk_bytes ? c.disk_bytes : config->disk_bytes, config->max_disk_bytes);
	request->limits = (struct cgroup_limits){
		.memory_bytes = c.memory_bytes ? c.memory_bytes : config->memory_bytes,
		.tasks =
			(uint32_t)at_most(c.pids_max ? c.pids_max : config->pids_max, config->max_pids) + INIT_AND_MAIN,
		.cpu_percent = (uint32_t)at_most(c.cpu_percent, config->max_cpu_percent),
	};
	request->what = (struct spawn_command){
		.command = {.n_args = c.n_args,
			    .n_env = c.n_env,
			    .uid = c.uid,
			    .gid = c.gid,
			    .file_bytes = MAX(request->limits.memory_bytes, disk_bytes),
			    .tasks = request->limits.tasks + INIT_AND_MAIN},
		.root = {.disk_bytes = disk_bytes, .shm_bytes = config->shm_bytes},
		.layer_fds = message->fds,
		.n_layers = message->n_fds,
		.n_allow = c.n_allow,
		.hostname = request->texts[1],
		.arguments = request->texts + 3,
	};
	memcpy(request->what.allow, c.allow, sizeof(c.allow));
	request->network = (enum sbx_network)c.network;
	request->profile = c.profile;
	request->timeout_us = c.timeout_us;
	request->stop_signal = c.stop_signal ? c.stop_signal : SIGTERM;
	return judge_texts(&request->what, request->texts[0], ret_phase, err);
}
