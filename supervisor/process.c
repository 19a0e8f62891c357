#include "supervisor/process.h"

#include "supervisor/ipc.h"
#include "supervisor/util.h"

#include "policy_api.h"
#include "policy_gpu.h"
#include "policy_rootfs.h"
#include "policy_sandbox.h"

#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/capability.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

/* A child needs milliseconds; one that does not get there is stuck in the kernel. */
#define CHILD_MS  10000
#define REMOVE_MS 1000

#define CAP(name) (1ull << (name))
#define TO(peer)  (1u << (peer))

/*
 * ferrite-sandbox: mounts, namespaces, BPF device programs (SYS_ADMIN), id maps and identities of its children (SETUID,
 * SETGID), pipes for functions (CHOWN), files of any mode (DAC_OVERRIDE), limits above its own (SYS_RESOURCE), ending
 * what it started (KILL), the bridge with its ports and rules (NET_ADMIN). It has them over the user namespaces
 * of its containers, too; over those that only hold the id maps of layers, all, as their maker.
 */
#define SANDBOX_CAPABILITIES \
	(CAP(CAP_SYS_ADMIN) | CAP(CAP_SETUID) | CAP(CAP_SETGID) | CAP(CAP_CHOWN) | CAP(CAP_DAC_OVERRIDE) | \
	 CAP(CAP_SYS_RESOURCE) | CAP(CAP_KILL) | CAP(CAP_NET_ADMIN))

/* ferrite-rootfs, over its own user namespace only: files of every owner and mode, and locking its unpackers in. */
#define ROOTFS_CAPABILITIES \
	(CAP(CAP_CHOWN) | CAP(CAP_DAC_OVERRIDE) | CAP(CAP_FOWNER) | CAP(CAP_FSETID) | CAP(CAP_SETUID) | \
	 CAP(CAP_SETGID) | CAP(CAP_SETPCAP) | CAP(CAP_SETFCAP) | CAP(CAP_SYS_CHROOT) | CAP(CAP_MKNOD))

/* ferrited: what it hands on. Folders, mounts and low ports were its business before. */
#define OWN_CAPABILITIES (SANDBOX_CAPABILITIES | ROOTFS_CAPABILITIES)

#define POLICY(name) .policy = policy_##name, .n_policy = ARRAY_LEN(policy_##name)

const struct process_row process_rows[PEER_MAX] = {
	[PEER_SUPERVISOR] = {.program = "ferrited", .name = "ferrited", .peer = PEER_SUPERVISOR},
	[PEER_API] = {.program = "ferrite-api",
		      .name = "api",
		      .peer = PEER_API,
		      .peers = TO(PEER_SANDBOX) | TO(PEER_ROOTFS) | TO(PEER_GPU),
		      .after = TO(PEER_SANDBOX) | TO(PEER_ROOTFS) | TO(PEER_GPU),
		      .critical = true,
		      .listens = true,
		      .id = 1,
		      .files_max = 65536,
		      POLICY(api)},
	[PEER_SANDBOX] = {.program = "ferrite-sandbox",
			  .name = "sandbox",
			  .peer = PEER_SANDBOX,
			  .peers = TO(PEER_API) | TO(PEER_GPU),
			  .critical = true,
			  .capabilities = SANDBOX_CAPABILITIES,
			  .files_max = 65536,
			  POLICY(sandbox)},
	[PEER_ROOTFS] = {.program = "ferrite-rootfs",
			 .name = "rootfs",
			 .peer = PEER_ROOTFS,
			 .peers = TO(PEER_API),
			 .critical = true,
			 .store_ids = true,
			 .capabilities = ROOTFS_CAPABILITIES,
			 .files_max = 4096,
			 POLICY(rootfs)},
	[PEER_GPU] = {.program = "ferrite-gpu",
		      .name = "gpu",
		      .peer = PEER_GPU,
		      .peers = TO(PEER_API) | TO(PEER_SANDBOX),
		      .id = 3,
		      .files_max = 4096,
		      POLICY(gpu)},
};

uid_t process_uid(const struct process_row *row, uint32_t uid_base)
{
	if (row->store_ids)
		return uid_base + PROCESS_IDS_PER_BLOCK;
	return row->id ? uid_base + row->id : 0;
}

/* One byte from the child; anything longer is its error. */
static int wait_child(int sync_fd, bool last, struct err *err)
{
	struct pollfd p = {.fd = sync_fd, .events = POLLIN};
	struct err failure = ERR_INIT;
	ssize_t n = -1;

	if (poll(&p, 1, CHILD_MS) <= 0)
		return err_set(err, ETIMEDOUT, "the new process does not come to its start");
	n = recv(sync_fd, &failure, sizeof(failure), 0);
	if (n == (ssize_t)sizeof(failure)) {
		failure.text[ERR_TEXT_MAX - 1] = '\0';
		return err_set(err, failure.code, "%s", failure.text);
	}
	/* The last wait ends when execveat closes the child's end. */
	if (n == (last ? 0 : 1))
		return 0;
	return err_set(err, ECHILD, "the new process ended before it was executed");
}

static int go_on(int sync_fd, struct err *err)
{
	return send(sync_fd, "", 1, MSG_NOSIGNAL) == 1 ? 0 : err_sys(err, errno, "talk to the new process");
}

static int write_map(pid_t pid, const char *file, uint32_t first, struct err *err)
{
	char path[64], text[64];

	(void)snprintf(path, sizeof(path), "/proc/%d/%s", pid, file);
	(void)snprintf(text, sizeof(text), "0 %u %u\n", first, PROCESS_IDS_PER_BLOCK);
	return file_write(AT_FDCWD, path, text, err);
}

static int lead_child(const struct process_row *row, const struct process_place *place, pid_t pid, int sync_fd,
		      struct err *err)
{
	char group[64];
	int r;

	(void)snprintf(group, sizeof(group), "servers/%s", row->name);
	/*
	 * A fresh group each time: Linux 6.18 kills what a process clones into another group when its own group was
	 * ever killed by cgroup.kill and that one was not, and ferrite-sandbox lives by such clones.
	 */
	r = cgroup_tree_remove(place->cgroups, group, REMOVE_MS, err);
	if (r == 0)
		r = cgroup_tree_add(place->cgroups, group, err);
	if (r == 0)
		r = cgroup_tree_attach(place->cgroups, group, pid, err);
	if (r == 0)
		r = go_on(sync_fd, err);
	if (r == 0 && row->store_ids) {
		uint32_t first = process_uid(row, place->uid_base);

		r = wait_child(sync_fd, false, err);
		if (r == 0)
			r = write_map(pid, "uid_map", first, err);
		if (r == 0)
			r = write_map(pid, "gid_map", first, err);
		if (r == 0)
			r = go_on(sync_fd, err);
	}
	return r < 0 ? r : wait_child(sync_fd, true, err);
}

static int open_program(const struct process_row *row, const char *libexec_dir, struct err *err)
{
	char path[PATH_MAX];
	int fd;

	if ((size_t)snprintf(path, sizeof(path), "%s/%s", libexec_dir, row->program) >= sizeof(path))
		return err_set(err, ENAMETOOLONG, "the path of %s is too long", row->program);
	/* By descriptor: folders above may be closed to the server's user. */
	fd = open(path, O_PATH | O_CLOEXEC);
	return fd < 0 ? err_sys(err, errno, "open %s", path) : fd;
}

int process_start(const struct process_row *row, const struct process_place *place, struct process *ret_process,
		  struct err *err)
{
	_cleanup_fd_ int program_fd = open_program(row, place->libexec_dir, err);
	_cleanup_fd_ int control_fd = -1, peer_fd = -1, sync_fd = -1, child_sync_fd = -1;
	pid_t parent = getpid(), pid;
	int pair[2], r, pidfd;

	if (program_fd < 0)
		return program_fd;
	r = ipc_pair(pair, err);
	if (r < 0)
		return r;
	control_fd = pair[0];
	peer_fd = pair[1];
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return err_sys(err, errno, "make a socket pair");
	sync_fd = pair[0];
	child_sync_fd = pair[1];
	pid = fork();
	if (pid < 0)
		return err_sys(err, errno, "fork");
	if (pid == 0) {
		(void)close(sync_fd);
		process_child(row, place->uid_base, program_fd, peer_fd, child_sync_fd, parent);
	}
	fd_close(&child_sync_fd);
	r = lead_child(row, place, pid, sync_fd, err);
	pidfd = r < 0 ? -1 : (int)syscall(SYS_pidfd_open, pid, 0);
	if (r == 0 && pidfd < 0)
		r = err_sys(err, errno, "open a pidfd");
	if (r < 0) {
		(void)kill(pid, SIGKILL);
		(void)waitpid(pid, NULL, 0);
		return r;
	}
	*ret_process = (struct process){pid, pidfd, take_fd(&control_fd)};
	return 0;
}

int process_confine_self(struct err *err)
{
	cap_t caps = cap_get_proc();
	int r = caps ? 0 : -errno;

	for (cap_value_t cap = 0; r == 0 && cap <= cap_max_bits() - 1; cap++) {
		if (OWN_CAPABILITIES & CAP(cap))
			continue;
		/* A kernel with fewer capabilities says EINVAL for those that libcap knows beyond. */
		if (cap_get_bound(cap) == 1 && cap_drop_bound(cap) < 0)
			r = -errno;
		if (r == 0 && (cap_set_flag(caps, CAP_PERMITTED, 1, &cap, CAP_CLEAR) < 0 ||
			       cap_set_flag(caps, CAP_EFFECTIVE, 1, &cap, CAP_CLEAR) < 0))
			r = -errno;
	}
	if (r == 0 && cap_clear_flag(caps, CAP_INHERITABLE) < 0)
		r = -errno;
	if (r == 0 && cap_set_proc(caps) < 0)
		r = -errno;
	(void)cap_free(caps);
	if (r == 0 && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		r = -errno;
	return r < 0 ? err_sys(err, r, "give up capabilities") : 0;
}
