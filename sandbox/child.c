#include "sandbox/child.h"

#include "sandbox/birth.h"
#include "sandbox/devices.h"
#include "sandbox/generated.h"
#include "sandbox/inject.h"
#include "sandbox/mounts.h"
#include "sandbox/net.h"
#include "sandbox/privileges.h"
#include "sandbox/proc.h"
#include "sandbox/root.h"
#include "sandbox/seccomp.h"
#include "supervisor/messages.h"
#include "supervisor/str.h"
#include "supervisor/util.h"

#include <fcntl.h>
#include <grp.h>
#include <linux/keyctl.h>
#include <linux/magic.h>
#include <linux/sched.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#define BYTES_PER_INODE 8192
#define INODES_MIN	1024

/*
 * What is counted per user: without a limit of its own, a namespace would have what the host gives to each of its
 * users.
 */
static const struct {
	const char *path, *value;
} namespace_limits[] = {
	{"/proc/sys/user/max_user_namespaces", "0"},
	{"/proc/sys/user/max_inotify_instances", "8"},
	{"/proc/sys/user/max_inotify_watches", "1024"},
};

struct child {
	struct child_start start;
	/* The builder's own: */
	int stage_fd, dev_fd, shm_fd, proc_fd, root_fd;
	struct birth_root root;
	char *cwd, *hostname;
	int layer_fds[SBX_LAYERS_MAX];
	unsigned n_layers;
	char *records; /* of the profile, owned */
	size_t records_length;
	int item_fds[SBX_ITEMS_MAX];
	unsigned n_items;
};

struct step {
	const char *phase;
	int (*run)(struct child *, struct err *);
};

static int enter_groups(struct child *child, struct err *err)
{
	for (unsigned i = 0; i < child->start.n_groups; i++) {
		if (write(child->start.group_fds[i], "0", 1) != 1)
			return err_sys(err, errno, "enter control group %u", i);
		fd_close(&child->start.group_fds[i]);
	}
	/* Only now: the namespace's root is what the process is in when it is made. */
	if (unshare(CLONE_NEWCGROUP) < 0)
		return err_sys(err, errno, "make a cgroup namespace");
	return 0;
}

static int become_root_inside(struct child *child, struct err *err)
{
	(void)child;
	if (setgroups(0, NULL) < 0 || setresgid(0, 0, 0) < 0 || setresuid(0, 0, 0) < 0)
		return err_sys(err, errno, "become root of the user namespace");
	/* Changing ids cleared it. */
	if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0)
		return err_sys(err, errno, "ask for the parent-death signal");
	return 0;
}

static int limit_namespace(struct child *child, struct err *err)
{
	int r = 0;

	(void)child;
	for (unsigned i = 0; r == 0 && i < ARRAY_LEN(namespace_limits); i++) {
		r = file_write(AT_FDCWD, namespace_limits[i].path, namespace_limits[i].value, err);
		/* A kernel built without what would be limited has no such file. */
		if (r == -ENOENT)
			r = 0;
	}
	return r;
}

/*
 * Nothing of ours goes out, but what the host unmounts goes away here, too: a container may wait for long, and would
 * keep the host's disks in use.
 */
static int follow_host(struct child *child, struct err *err)
{
	(void)child;
	if (mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) < 0)
		return err_sys(err, errno, "make all mounts followers");
	return 0;
}

static int join_new_session(struct child *child, struct err *err)
{
	(void)child;
	/* ENOSYS: a kernel without keys. */
	if (syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL, 0, 0, 0) < 0 && errno != ENOSYS)
		return err_sys(err, errno, "join an empty keyring");
	if (setsid() < 0)
		return err_sys(err, errno, "make a session");
	return 0;
}

/* --- the init ----------------------------------------------------------------------------------------------------- */

static int set_limits(struct child *child, struct err *err)
{
	(void)child;
	return limits_set(err);
}

static int drop_privileges(struct child *child, struct err *err)
{
	(void)child;
	return privileges_drop(BIRTH_INIT_ID, err);
}

static int keep_socket(struct child *child, struct err *err)
{
	(void)child;
	/* Nothing below the socket: the command's descriptors become 0, 1 and 2 by being received. */
	if (close_range(0, BIRTH_SOCKET_FD - 1, 0) < 0 || close_range(BIRTH_INIT_FD + 1, ~0u, 0) < 0 ||
	    fcntl(BIRTH_SOCKET_FD, F_SETFD, 0) < 0)
		return err_sys(err, errno, "close descriptors");
	return 0;
}

static int load_policy(struct child *child, struct err *err)
{
	(void)child;
	return seccomp_load_function_policy(err);
}

static int execute_init(struct child *child, struct err *err)
{
	char name[] = "ferrite-init";
	char *arguments[] = {name, NULL}, *variables[] = {NULL};

	(void)child;
	(void)execveat(BIRTH_INIT_FD, "", arguments, variables, AT_EMPTY_PATH);
	return err_sys(err, errno, "execute the init");
}

/* --- the builder: what needs neither root nor command ------------------------------------------------------------- */

static int bring_up_loopback(struct child *child, struct err *err)
{
	return child->start.own_network ? net_up_loopback(err) : 0;
}

static uint64_t disk_inodes(uint64_t bytes)
{
	/* What is ours on it does not count: a mount point per layer. */
	return MAX(bytes / BYTES_PER_INODE, (uint64_t)INODES_MIN) + SBX_LAYERS_MAX;
}

/* All of the instance's own files live on one tmpfs, placed on the server's empty working directory. */
static int open_stage(struct child *child, struct err *err)
{
	child->stage_fd = mount_new_tmpfs(child->start.disk_bytes, disk_inodes(child->start.disk_bytes), "0755",
					  MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV, err);
	if (child->stage_fd < 0)
		return child->stage_fd;
	if (mount_place(child->stage_fd, AT_FDCWD, err) < 0)
		return err_wrap(err, "writable layer");
	if (fchdir(child->stage_fd) < 0 || mkdir("upper", 0755) < 0 || mkdir("work", 0755) < 0 ||
	    mkdir("root", 0755) < 0 || mkdir("dev", 0755) < 0)
		return err_sys(err, errno, "prepare the writable layer");
	return 0;
}

static int make_dev(struct child *child, struct err *err)
{
	_cleanup_fd_ int point_fd = open("dev", O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (point_fd < 0)
		return err_sys(err, errno, "open the place of /dev");
	child->dev_fd = devices_mount(point_fd, child->start.shm_bytes, &child->shm_fd, err);
	return MIN(child->dev_fd, 0);
}

static int make_proc(struct child *child, struct err *err)
{
	child->proc_fd = proc_new(false, err);
	return MIN(child->proc_fd, 0);
}

/* --- the builder: the root ---------------------------------------------------------------------------------------- */

static int resize_stage(struct child *child, struct err *err)
{
	const struct birth_root *root = &child->root;
	int r = 0;

	if (root->disk_bytes != child->start.disk_bytes)
		r = mount_resize_tmpfs(child->stage_fd, root->disk_bytes, disk_inodes(root->disk_bytes), err);
	if (r == 0 && root->shm_bytes != child->start.shm_bytes)
		r = mount_resize_tmpfs(child->shm_fd, root->shm_bytes, DEVICES_SHM_INODES, err);
	return r;
}

/* Names of one's own below the stage, so that no path of anybody else is in the option string. */
static int mount_root(struct child *child, struct err *err)
{
	char options[SBX_LAYERS_MAX * 4 + 64] = "lowerdir=";
	size_t used = strlen(options);

	for (unsigned i = child->n_layers; i-- > 0;) {
		char name[12];
		int r;

		(void)snprintf(name, sizeof(name), "%u", i);
		if (mkdir(name, 0755) < 0)
			return err_sys(err, errno, "make the place of layer %u", i);
		if (move_mount(child->layer_fds[i], "", AT_FDCWD, name, MOVE_MOUNT_F_EMPTY_PATH) < 0)
			return err_sys(err, errno, "place layer %u", i);
		fd_close(&child->layer_fds[i]);
		r = snprintf(options + used, sizeof(options) - used, "%s%s", name, i > 0 ? ":" : "");
		used += (size_t)r;
	}
	(void)snprintf(options + used, sizeof(options) - used, ",upperdir=upper,workdir=work,userxattr");
	if (mount("overlay", "root", "overlay", MS_NOSUID | MS_NODEV, options) < 0)
		return err_sys(err, errno, "mount %u layers", child->n_layers);
	child->root_fd = open("root", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (child->root_fd < 0)
		return err_sys(err, errno, "open the root");
	return 0;
}

static int place_dev(struct child *child, struct err *err)
{
	_cleanup_fd_ int point_fd = root_open_mount_point(child->root_fd, "dev", err);

	return point_fd < 0 ? point_fd : mount_place(child->dev_fd, point_fd, err);
}

static int place_proc(struct child *child, struct err *err)
{
	bool full = child->root.flags & BIRTH_FULL_PROC;

	if (full) {
		fd_close(&child->proc_fd);
		child->proc_fd = proc_new(true, err);
	}
	return child->proc_fd < 0 ? child->proc_fd : proc_place(child->root_fd, child->proc_fd, full, err);
}

static int put_generated(struct child *child, struct err *err)
{
	const struct birth_root *root = &child->root;

	return generated_put(child->root_fd, child->hostname, root->address, root->resolvers,
			     MIN(root->n_resolvers, (uint32_t)BIRTH_RESOLVERS_MAX), err);
}

static int join_bridge(struct child *child, struct err *err)
{
	const struct birth_root *root = &child->root;

	return root->address ? net_up_bridge((struct in_addr){root->address}, (struct in_addr){root->gateway}, err) : 0;
}

static int inject_profile(struct child *child, struct err *err)
{
	if (child->records_length == 0)
		return 0;
	return inject_items(child->root_fd, child->records, child->records_length, child->item_fds, child->n_items,
			    err);
}

static int pivot(struct child *child, struct err *err)
{
	struct statfs fs;
	struct stat root, above;
	int r = devices_seal(child->dev_fd, err);

	if (r < 0)
		return r;
	if (fchdir(child->root_fd) < 0 || syscall(SYS_pivot_root, ".", ".") < 0)
		return err_sys(err, errno, "change the root");
	if (umount2(".", MNT_DETACH) < 0 || chdir("/") < 0)
		return err_sys(err, errno, "detach the old root");
	/* Copies of the host's nodes and of a profile's files were followers like what they were copied from. */
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return err_sys(err, errno, "make all mounts private");
	if (statfs("/", &fs) < 0 || fs.f_type != OVERLAYFS_SUPER_MAGIC || stat("/", &root) < 0 ||
	    stat("/..", &above) < 0 || root.st_ino != above.st_ino || root.st_dev != above.st_dev)
		return err_set(err, EIO, "the new root is not the root");
	return 0;
}

static int set_hostname(struct child *child, struct err *err)
{
	if (sethostname(child->hostname, strlen(child->hostname)) < 0)
		return err_sys(err, errno, "set the host name");
	return 0;
}

/*
 * By a descriptor resolved inside the root, so that no /proc/self/fd trick in an image's WORKDIR leads out. The init
 * shares the directory.
 */
static int change_directory(struct child *child, struct err *err)
{
	_cleanup_fd_ int cwd_fd = -1;
	char path[ROOT_PATH_MAX];

	if (strcmp(child->cwd, "/") == 0)
		return 0;
	cwd_fd = root_open_directory(child->root_fd, child->cwd, err);
	if (cwd_fd < 0)
		return cwd_fd;
	if (fchdir(cwd_fd) < 0)
		return err_sys(err, errno, "change to %s", child->cwd);
	if (!getcwd(path, sizeof(path)) || path[0] != '/')
		return err_set(err, EPERM, "%s is outside the root", child->cwd);
	return 0;
}

/* --- the processes ------------------------------------------------------------------------------------------------ */

/* Of the first process. What may be charged to an instance comes after its groups. */
static const struct step beginning[] = {
	{"cgroup", enter_groups}, {"identity", become_root_inside}, {"quotas", limit_namespace},
	{"mounts", follow_host},  {"keyring", join_new_session},
};

/* Of the init, beside the builder. */
static const struct step surrender[] = {
	{"limits", set_limits},	  {"privileges", drop_privileges}, {"stdio", keep_socket},
	{"seccomp", load_policy}, {"init", execute_init},
};

static const struct step preparation[] = {
	{"network", bring_up_loopback},
	{"upper", open_stage},
	{"dev", make_dev},
	{"proc", make_proc},
};

static const struct step completion[] = {
	{"network", join_bridge},   {"upper", resize_stage},   {"overlay", mount_root},	    {"dev", place_dev},
	{"proc", place_proc},	    {"etc", put_generated},    {"profile", inject_profile}, {"pivot", pivot},
	{"hostname", set_hostname}, {"cwd", change_directory},
};

static _Noreturn void fail(const char *phase, const struct err *err)
{
	struct birth_report report = {.kind = BIRTH_FAILED, .code = err->code, .time_us = clock_monotonic_us()};

	(void)snprintf(report.phase, sizeof(report.phase), "%s", phase);
	(void)snprintf(report.text, sizeof(report.text), "%s", err->text);
	(void)send(BIRTH_SOCKET_FD, &report, sizeof(report), MSG_NOSIGNAL);
	_exit(1);
}

static void run_steps(struct child *child, const struct step *steps, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		struct err err = ERR_INIT;

		if (steps[i].run(child, &err) < 0)
			fail(steps[i].phase, &err);
	}
}

/* The next message, waited for; the server's end is the last word. */
static struct ipc_message *receive(struct child *child)
{
	for (;;) {
		struct pollfd p = {.fd = BIRTH_SOCKET_FD, .events = POLLIN};
		struct err err = ERR_INIT;
		int r = ipc_receive(BIRTH_SOCKET_FD, child->start.message, &err);

		if (r > 0)
			return child->start.message;
		if (r == 0)
			_exit(1);
		if (r != -EAGAIN)
			fail("command", &err);
		(void)poll(&p, 1, -1);
	}
}

static void keep_items(struct child *child, struct ipc_message *m)
{
	size_t length;
	char *tail = ipc_tail(m, 0, &length);

	child->records = malloc(length + 1);
	if (!child->records)
		fail("profile", &(struct err){-ENOMEM, "no memory for the profile"});
	memcpy(child->records, tail, length);
	child->records_length = length;
	child->n_items = MIN(m->n_fds, (unsigned)SBX_ITEMS_MAX);
	for (unsigned i = 0; i < child->n_items; i++)
		child->item_fds[i] = ipc_message_take_fd(m, i);
}

/* The texts stay in the message's buffer, which is not used again. */
static void keep_root(struct child *child, struct ipc_message *m)
{
	char *texts[3];
	size_t length;
	char *tail = ipc_tail(m, sizeof(child->root), &length);

	memcpy(&child->root, m->payload, sizeof(child->root));
	if (str_unpack(tail, length, 2, texts) != (long)length)
		fail("root", &(struct err){-EBADMSG, "malformed message"});
	child->cwd = texts[0];
	child->hostname = texts[1];
	child->n_layers = MIN(m->n_fds, (unsigned)SBX_LAYERS_MAX);
	for (unsigned i = 0; i < child->n_layers; i++)
		child->layer_fds[i] = ipc_message_take_fd(m, i);
}

static void receive_root(struct child *child)
{
	for (;;) {
		struct ipc_message *m = receive(child);

		if (m->header.type == BIRTH_ITEMS) {
			keep_items(child, m);
		} else if (m->header.type == BIRTH_ROOT) {
			keep_root(child, m);
			return;
		} else {
			fail("root", &(struct err){-EPROTO, "unexpected message"});
		}
	}
}

/* Ends when the root is there: that lets the init go on. */
static _Noreturn void build(struct child *child)
{
	run_steps(child, preparation, ARRAY_LEN(preparation));
	receive_root(child);
	run_steps(child, completion, ARRAY_LEN(completion));
	_exit(0);
}

/* A process that shares root and working directory with the init, so that the init is where the builder leads. */
static void fork_builder(struct child *child)
{
	struct clone_args arguments = {.flags = CLONE_FS, .exit_signal = SIGCHLD};
	pid_t pid = (pid_t)syscall(SYS_clone3, &arguments, sizeof(arguments));

	if (pid < 0)
		fail("builder", &(struct err){-errno, "fork the builder"});
	if (pid == 0)
		build(child);
}

/* Moves what is needed to the lowest descriptors and closes everything of the server's. */
static void keep_own_descriptors(struct child *child)
{
	int keep[2 + CGROUP_V1_MAX] = {child->start.socket_fd, child->start.init_fd};
	unsigned n = 2;

	for (unsigned i = 0; i < child->start.n_groups; i++)
		keep[n++] = child->start.group_fds[i];
	/* Out of the way first, so that no dup3() below overwrites one that is still needed. */
	for (unsigned i = 0; i < n; i++)
		keep[i] = fcntl(keep[i], F_DUPFD_CLOEXEC, 3 + (int)ARRAY_LEN(keep));
	for (unsigned i = 0; i < n; i++)
		if (keep[i] < 0 || dup3(keep[i], 3 + (int)i, O_CLOEXEC) < 0)
			_exit(1);
	(void)close_range(3 + n, ~0u, 0);
	for (unsigned i = 0; i < child->start.n_groups; i++)
		child->start.group_fds[i] = 5 + (int)i;
}

_Noreturn void child_run(const struct child_start *start)
{
	struct child child = {.start = *start};

	(void)prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
	(void)prctl(PR_SET_NAME, "ferrite-birth", 0, 0, 0);
	(void)umask(022);
	keep_own_descriptors(&child);
	if (receive(&child)->header.type != BIRTH_MAPPED)
		fail("mapping", &(struct err){-EPROTO, "unexpected message"});
	run_steps(&child, beginning, ARRAY_LEN(beginning));
	fork_builder(&child);
	run_steps(&child, surrender, ARRAY_LEN(surrender));
	_exit(1);
}
