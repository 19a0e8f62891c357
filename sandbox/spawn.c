#include "sandbox/spawn.h"

#include "sandbox/child.h"
#include "sandbox/device_policy.h"
#include "sandbox/idmap.h"
#include "sandbox/mounts.h"
#include "supervisor/str.h"
#include "supervisor/util.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>

#define INIT_NAME	 "ferrite-init"
#define STAGE_NAME	 "stage"
#define OOM_SCORE_ADJUST "500"	/* when the machine runs out of memory, functions go first */
#define SOCKET_SEND_SIZE 212992 /* the kernel doubles it: room for the largest profile and the largest command */

/* The cgroup namespace is missing here: the process makes it once it is inside its groups. */
#define NAMESPACES (CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS)

static int open_init(struct err *err)
{
	char path[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - sizeof(INIT_NAME) - 1);
	struct stat st;
	_cleanup_fd_ int fd = -1;
	char *slash;

	if (n < 0)
		return err_sys(err, errno, "find the own program");
	path[n] = '\0';
	slash = strrchr(path, '/');
	strcpy(slash + 1, INIT_NAME);
	fd = open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0)
		return err_sys(err, errno, "open %s", path);
	if (!S_ISREG(st.st_mode) || st.st_uid != 0 || (st.st_mode & (S_IWGRP | S_IWOTH)))
		return err_set(err, EPERM, "%s can be changed by others than root", path);
	return take_fd(&fd);
}

static int open_proc(struct err *err)
{
	_cleanup_fd_ int fd = open("/proc", O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	struct statfs fs;

	if (fd < 0 || fstatfs(fd, &fs) < 0)
		return err_sys(err, errno, "open /proc");
	if (fs.f_type != PROC_SUPER_MAGIC)
		return err_set(err, EINVAL, "/proc is no proc file system");
	return take_fd(&fd);
}

/* New processes find the directory to build their root on as their working directory: it needs no path in theirs. */
static int enter_stage(int state_fd, struct err *err)
{
	_cleanup_fd_ int fd = -1;

	if (mkdirat(state_fd, STAGE_NAME, 0755) < 0 && errno != EEXIST)
		return err_sys(err, errno, "make the staging directory");
	fd = openat(state_fd, STAGE_NAME, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || fchdir(fd) < 0)
		return err_sys(err, errno, "enter the staging directory");
	return 0;
}

int spawn_open(struct spawn *spawn, const struct sandbox_config *config, struct cgroups *groups, struct bridge *bridge,
	       int state_fd, struct err *err)
{
	int r;

	*spawn = (struct spawn){
		.config = config, .groups = groups, .bridge = bridge, .proc_fd = -1, .init_fd = -1, .program_fd = -1};
	spawn->namespaces = NAMESPACES | (access("/proc/self/ns/time", F_OK) == 0 ? CLONE_NEWTIME : 0);
	if (prctl(PR_GET_PDEATHSIG, &spawn->death_signal, 0, 0, 0) < 0)
		return err_sys(err, errno, "read the parent-death signal");
	spawn->message = malloc(sizeof(*spawn->message));
	spawn->texts = malloc(IPC_PAYLOAD_MAX);
	spawn->idmap_fds = malloc(config->ids_blocks * sizeof(int));
	spawn->capabilities = cap_get_proc();
	if (!spawn->message || !spawn->texts || !spawn->idmap_fds || !spawn->capabilities)
		return err_sys(err, ENOMEM, "prepare births");
	for (unsigned i = 0; i < config->ids_blocks; i++)
		spawn->idmap_fds[i] = -1;
	spawn->proc_fd = r = open_proc(err);
	if (r >= 0)
		spawn->init_fd = r = open_init(err);
	if (r >= 0)
		groups->program_fd = spawn->program_fd = r = device_policy_load(NULL, 0, err);
	if (r >= 0)
		r = enter_stage(state_fd, err);
	return MIN(r, 0);
}

void spawn_close(struct spawn *spawn)
{
	for (unsigned i = 0; spawn->idmap_fds && i < spawn->config->ids_blocks; i++)
		fd_close(&spawn->idmap_fds[i]);
	free(spawn->idmap_fds);
	(void)cap_free(spawn->capabilities);
	free(spawn->message);
	free(spawn->texts);
	fd_close(&spawn->proc_fd);
	fd_close(&spawn->init_fd);
	fd_close(&spawn->program_fd);
}

/*
 * As the user that is root inside. Whoever makes a user namespace is charged for all that is used in it (message
 * queues, pending signals and timers, processes, inotify): were it the host's root, one function could use up what all
 * the others and the host's own services have.
 */
static pid_t clone_as(struct spawn *spawn, uid_t owner, struct clone_args *arguments)
{
	pid_t pid = -1;
	int error;

	if (setresuid((uid_t)-1, owner, (uid_t)-1) < 0)
		return -1;
	/* It took the effective ones away; the change back will return them. */
	if (cap_set_proc(spawn->capabilities) == 0)
		pid = (pid_t)syscall(SYS_clone3, arguments, sizeof(*arguments));
	if (pid == 0)
		return 0;
	error = errno;
	/* The change also cleared the signal that ferrited had asked for, and made our namespaces' files unreadable. */
	if (setresuid((uid_t)-1, 0, (uid_t)-1) < 0 || prctl(PR_SET_PDEATHSIG, spawn->death_signal, 0, 0, 0) < 0 ||
	    prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) < 0)
		abort();
	errno = error;
	return pid;
}

static int clone_process(struct spawn *spawn, struct instance *instance, struct err *err)
{
	bool own_network = instance->network != SBX_NETWORK_HOST;
	uint64_t namespaces = spawn->namespaces & ~(own_network ? 0ull : CLONE_NEWNET);
	struct child_start start = {
		.init_fd = spawn->init_fd,
		.own_network = own_network,
		.disk_bytes = spawn->config->disk_bytes,
		.shm_bytes = spawn->config->shm_bytes,
		.message = spawn->message,
	};
	struct clone_args arguments = {
		.flags = namespaces | CLONE_PIDFD | CLONE_INTO_CGROUP | CLONE_CLEAR_SIGHAND,
		.pidfd = (uintptr_t)&instance->pid_fd,
		.exit_signal = SIGCHLD,
		.cgroup = (unsigned)instance->group.v2_fd,
	};
	int pair[2];
	int size = SOCKET_SEND_SIZE;
	int r = ipc_pair(pair, err);

	if (r < 0)
		return r;
	(void)setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	instance->socket_fd = pair[0];
	start.socket_fd = pair[1];
	memcpy(start.group_fds, instance->group.entry_fds, sizeof(start.group_fds));
	start.n_groups = instance->group.n_entries;
	instance->pid = clone_as(spawn, instance->uid_base, &arguments);
	if (instance->pid == 0)
		child_run(&start);
	if (instance->pid < 0)
		r = err_sys(err, errno, "clone a process into new namespaces");
	fd_close(&pair[1]);
	cgroup_close_entries(&instance->group);
	return r;
}

/* At once where it is known that it will be wanted, else when it is. */
static int connect_bridge(struct spawn *spawn, struct instance *instance, struct err *err)
{
	if (instance->network != SBX_NETWORK_BRIDGE || instance->port.connected)
		return 0;
	return bridge_connect(spawn->bridge, instance->pid, &instance->port, err);
}

/* By us, not by the process itself: what the privileged set is the least that it can set later. */
static int go_first(const struct spawn *spawn, const struct instance *instance, struct err *err)
{
	char path[40];

	(void)snprintf(path, sizeof(path), "%d/oom_score_adj", instance->pid);
	return file_write(spawn->proc_fd, path, OOM_SCORE_ADJUST, err);
}

int spawn_begin(struct spawn *spawn, struct instance *instance, const char **ret_phase, struct err *err)
{
	int r;

	*ret_phase = "cgroup";
	r = cgroup_take(spawn->groups, &instance->group, err);
	if (r < 0)
		return r;
	*ret_phase = "clone";
	r = clone_process(spawn, instance, err);
	if (r < 0)
		return r;
	*ret_phase = "mapping";
	r = idmap_write(spawn->proc_fd, instance->pid, 0, instance->uid_base, err);
	if (r == 0)
		r = go_first(spawn, instance, err);
	if (r == 0)
		r = ipc_send(instance->socket_fd, &(struct ipc_out){.type = BIRTH_MAPPED}, err);
	if (r == 0) {
		*ret_phase = "network";
		r = connect_bridge(spawn, instance, err);
	}
	return r;
}

static int check_layer(const struct spawn *spawn, int fd, unsigned index, struct err *err)
{
	uint64_t first = spawn->config->store_base, end = first + IDS_PER_BLOCK;
	struct stat st;

	if (fstat(fd, &st) < 0)
		return err_sys(err, errno, "layer %u", index);
	if (!S_ISDIR(st.st_mode))
		return err_set(err, ENOTDIR, "layer %u is not a directory", index);
	if (st.st_uid < first || st.st_uid >= end || st.st_gid < first || st.st_gid >= end)
		return err_set(err, EPERM, "layer %u belongs to %u:%u, not to the store", index, st.st_uid, st.st_gid);
	return 0;
}

int spawn_check_layers(const struct spawn *spawn, const int *fds, unsigned n, struct err *err)
{
	int r = 0;

	for (unsigned i = 0; r == 0 && i < n; i++)
		r = check_layer(spawn, fds[i], i, err);
	return r;
}

/* The id map of an instance's range; made at the first use of the range and kept. */
static int range_idmap(struct spawn *spawn, const struct instance *instance, struct err *err)
{
	int *fd = &spawn->idmap_fds[instance->block - spawn->config->ids_first_block];

	if (*fd < 0)
		*fd = idmap_new(spawn->proc_fd, spawn->config->store_base, instance->uid_base, err);
	return *fd;
}

int spawn_prepare_layers(struct spawn *spawn, const struct instance *instance, struct err *err)
{
	int map_fd = range_idmap(spawn, instance, err);

	return MIN(map_fd, 0);
}

static int map_layers(struct spawn *spawn, const struct instance *instance, const struct spawn_command *what,
		      int *ret_fds, struct err *err)
{
	int map_fd = range_idmap(spawn, instance, err);
	int r = MIN(map_fd, 0);

	for (unsigned i = 0; r == 0 && i < what->n_layers; i++) {
		ret_fds[i] = mount_clone(what->layer_fds[i], "", err);
		r = ret_fds[i] < 0 ? ret_fds[i]
				   : mount_set_idmap(ret_fds[i], map_fd,
						     MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV, err);
		if (r < 0)
			err_wrap(err, "layer %u", i);
	}
	return r;
}

/* What the instance finds in /etc of its network. */
static void describe_network(const struct spawn *spawn, const struct instance *instance, struct birth_root *root)
{
	const char *at = spawn->config->resolvers;

	root->address = instance->port.address.s_addr;
	root->gateway = root->address ? spawn->bridge->gateway.s_addr : 0;
	root->n_resolvers = 0;
	while (instance->network != SBX_NETWORK_NONE && *(at += strspn(at, " ")) &&
	       root->n_resolvers < BIRTH_RESOLVERS_MAX) {
		char text[INET_ADDRSTRLEN];
		size_t length = strcspn(at, " ");

		(void)snprintf(text, sizeof(text), "%.*s", (int)length, at);
		if (inet_pton(AF_INET, text, &root->resolvers[root->n_resolvers]) == 1)
			root->n_resolvers++;
		at += length;
	}
}

static int send_root(struct spawn *spawn, struct instance *instance, const struct spawn_command *what, struct err *err)
{
	struct birth_root root = what->root;
	int fds[SBX_LAYERS_MAX];
	size_t used = 0;
	int r;

	describe_network(spawn, instance, &root);
	if (!str_pack(spawn->texts, IPC_PAYLOAD_MAX, &used, what->cwd) ||
	    !str_pack(spawn->texts, IPC_PAYLOAD_MAX - sizeof(root), &used, what->hostname))
		return err_set(err, E2BIG, "the working directory is too long");
	for (unsigned i = 0; i < what->n_layers; i++)
		fds[i] = -1;
	r = map_layers(spawn, instance, what, fds, err);
	if (r == 0)
		r = ipc_send(instance->socket_fd,
			     &(struct ipc_out){.type = BIRTH_ROOT,
					       .body = &root,
					       .body_size = sizeof(root),
					       .tail = spawn->texts,
					       .tail_size = used,
					       .fds = fds,
					       .n_fds = what->n_layers},
			     err);
	for (unsigned i = 0; i < what->n_layers; i++)
		fd_close(&fds[i]);
	return r;
}

static int send_items(struct instance *instance, const struct profile *profile, struct err *err)
{
	int fds[SBX_ITEMS_MAX];
	int n = profile_clone_mounts(profile, fds, err);
	int r = n;

	if (r >= 0)
		r = ipc_send(instance->socket_fd,
			     &(struct ipc_out){.type = BIRTH_ITEMS,
					       .tail = profile->records,
					       .tail_size = profile->length,
					       .fds = fds,
					       .n_fds = (unsigned)n},
			     err);
	while (n > 0)
		fd_close(&fds[--n]);
	return r;
}

/* Pipes whose inner ends belong to the function, so that it can open /dev/stdout again by name. */
static int make_stdio(struct instance *instance, const struct birth_command *command, int ret_inner_fds[3],
		      struct err *err)
{
	for (unsigned i = 0; i < 3; i++) {
		int ends[2];
		unsigned inner = i == 0 ? 0 : 1;

		if (pipe2(ends, O_CLOEXEC) < 0)
			return err_sys(err, errno, "make a pipe");
		ret_inner_fds[i] = ends[inner];
		instance->stdio_fds[i] = ends[1 - inner];
		if (fchown(ends[inner], instance->uid_base + command->uid, instance->uid_base + command->gid) < 0)
			return err_sys(err, errno, "give a pipe to the function");
	}
	return 0;
}

static int send_command(struct spawn *spawn, struct instance *instance, const struct spawn_command *what,
			struct err *err)
{
	int inner_fds[3] = {-1, -1, -1};
	unsigned n_texts = what->command.n_args + what->command.n_env;
	size_t used = 0, room = IPC_PAYLOAD_MAX - sizeof(what->command);
	bool fits = true;
	int r;

	for (unsigned i = 0; fits && i < n_texts; i++)
		fits = str_pack(spawn->texts, room, &used, what->arguments[i]);
	if (!fits)
		return err_set(err, E2BIG, "arguments and environment are too large");
	r = make_stdio(instance, &what->command, inner_fds, err);
	if (r == 0)
		r = ipc_send(instance->socket_fd,
			     &(struct ipc_out){.type = BIRTH_COMMAND,
					       .body = &what->command,
					       .body_size = sizeof(what->command),
					       .tail = spawn->texts,
					       .tail_size = used,
					       .fds = inner_fds,
					       .n_fds = 3},
			     err);
	for (unsigned i = 0; i < 3; i++)
		fd_close(&inner_fds[i]);
	return r;
}

static int limit(struct spawn *spawn, struct instance *instance, const struct cgroup_limits *limits,
		 const struct profile *profile, struct err *err)
{
	int r = cgroup_limit(spawn->groups, &instance->group, limits, err);

	if (r == 0 && profile && profile->program_fd >= 0)
		r = device_policy_attach(profile->program_fd, spawn->program_fd, instance->group.v2_fd, err);
	return r;
}

int spawn_finish(struct spawn *spawn, struct instance *instance, const struct cgroup_limits *limits,
		 const struct spawn_command *what, const struct profile *profile, const char **ret_phase,
		 struct err *err)
{
	int r;

	*ret_phase = "network";
	r = connect_bridge(spawn, instance, err);
	if (r == 0)
		r = bridge_allow(spawn->bridge, &instance->port, what->allow, what->n_allow, err);
	if (r == 0 && profile) {
		*ret_phase = "profile";
		r = send_items(instance, profile, err);
	}
	if (r == 0) {
		*ret_phase = "layers";
		r = send_root(spawn, instance, what, err);
	}
	/* While the root is built; what runs in it waits for the command. */
	if (r == 0) {
		*ret_phase = "cgroup";
		r = limit(spawn, instance, limits, profile, err);
	}
	if (r == 0) {
		*ret_phase = "command";
		r = send_command(spawn, instance, what, err);
	}
	return r;
}
