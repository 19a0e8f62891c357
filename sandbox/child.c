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

#define BYTES_PER_INODE	 8192
#define INODES_MIN	 1024
#define OOM_SCORE_ADJUST "500" /* when the machine runs out of memory, functions go first */
#define TEXTS_MAX	 (SBX_ARGS_MAX + SBX_ENV_MAX + 4)

/*
 * What is counted against the maker of a user namespace, which is the host's root, beside whoever uses it: without a
 * limit of its own, one function could use up what all others and the host itself have.
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
	int root_fd;
	int dev_fd;
	int layer_fds[SBX_LAYERS_MAX];
	unsigned n_layers;
	struct birth_command command;
	char *records; /* of the profile, owned */
	size_t records_length;
	int item_fds[SBX_ITEMS_MAX];
	unsigned n_items;
	int stdio_fds[3];
	char *texts[TEXTS_MAX + 1]; /* cwd, host name, arguments, variables */
};

struct step {
	const char *phase;
	int (*run)(struct child *, struct err *);
};

static int enter_groups(struct child *child, struct err *err)
{
	int r = file_write(AT_FDCWD, "/proc/self/oom_score_adj", OOM_SCORE_ADJUST, err);

	if (r < 0)
		return r;
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

static int detach_propagation(struct child *child, struct err *err)
{
	(void)child;
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return err_sys(err, errno, "make all mounts private");
	return 0;
}

static int bring_up_loopback(struct child *child, struct err *err)
{
	(void)child;
	return net_up_loopback(err);
}

/* All of the instance's own files live on one tmpfs, placed on the server's empty working directory. */
static int open_stage(struct child *child, struct err *err)
{
	uint64_t inodes = MAX(child->command.disk_bytes / BYTES_PER_INODE, (uint64_t)INODES_MIN) + child->n_layers;
	_cleanup_fd_ int stage_fd =
		mount_new_tmpfs(child->command.disk_bytes, inodes, "0755", MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV, err);

	if (stage_fd < 0)
		return stage_fd;
	if (mount_place(stage_fd, AT_FDCWD, err) < 0)
		return err_wrap(err, "writable layer");
	if (fchdir(stage_fd) < 0 || mkdir("upper", 0755) < 0 || mkdir("work", 0755) < 0 || mkdir("root", 0755) < 0)
		return err_sys(err, errno, "prepare the writable layer");
	return 0;
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

static int mount_dev(struct child *child, struct err *err)
{
	child->dev_fd = devices_mount(child->root_fd, child->command.shm_bytes, err);
	return MIN(child->dev_fd, 0);
}

static int mount_proc(struct child *child, struct err *err)
{
	return proc_mount(child->root_fd, child->command.flags & BIRTH_FULL_PROC, err);
}

static int put_generated(struct child *child, struct err *err)
{
	return generated_put(child->root_fd, child->texts[1], err);
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
	if (statfs("/", &fs) < 0 || fs.f_type != OVERLAYFS_SUPER_MAGIC || stat("/", &root) < 0 ||
	    stat("/..", &above) < 0 || root.st_ino != above.st_ino || root.st_dev != above.st_dev)
		return err_set(err, EIO, "the new root is not the root");
	return 0;
}

static int set_hostname(struct child *child, struct err *err)
{
	if (sethostname(child->texts[1], strlen(child->texts[1])) < 0)
		return err_sys(err, errno, "set the host name");
	return 0;
}

/* A descriptor resolved inside the root, so that no /proc/self/fd trick in an image's WORKDIR leads out. */
static int change_directory(struct child *child, struct err *err)
{
	_cleanup_fd_ int cwd_fd = -1;
	char path[ROOT_PATH_MAX];

	if (strcmp(child->texts[0], "/") == 0)
		return 0;
	cwd_fd = root_open_directory(child->root_fd, child->texts[0], err);
	if (cwd_fd < 0)
		return cwd_fd;
	if (fchdir(cwd_fd) < 0)
		return err_sys(err, errno, "change to %s", child->texts[0]);
	if (!getcwd(path, sizeof(path)) || path[0] != '/')
		return err_set(err, EPERM, "%s is outside the root", child->texts[0]);
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

static int set_limits(struct child *child, struct err *err)
{
	return limits_set(MAX(child->command.memory_bytes, child->command.disk_bytes), child->command.pids_max + 1,
			  err);
}

static int take_stdio(struct child *child, struct err *err)
{
	for (int i = 0; i < 3; i++)
		if (dup2(child->stdio_fds[i], i) < 0)
			return err_sys(err, errno, "set descriptor %d", i);
	/* The socket stays open for the init. */
	if (fcntl(BIRTH_SOCKET_FD, F_SETFD, 0) < 0 || close_range(BIRTH_INIT_FD + 1, ~0u, 0) < 0)
		return err_sys(err, errno, "close descriptors");
	return 0;
}

static int drop_privileges(struct child *child, struct err *err)
{
	(void)child;
	return privileges_drop(BIRTH_INIT_ID, err);
}

static int load_policy(struct child *child, struct err *err)
{
	(void)child;
	return seccomp_load_function_policy(err);
}

static int execute_init(struct child *child, struct err *err)
{
	char uid[12], gid[12], name[] = "ferrite-init";
	char *arguments[SBX_ARGS_MAX + 4];
	unsigned n_args = child->command.n_args;

	(void)snprintf(uid, sizeof(uid), "%u", child->command.uid);
	(void)snprintf(gid, sizeof(gid), "%u", child->command.gid);
	arguments[0] = name;
	arguments[1] = uid;
	arguments[2] = gid;
	memcpy(arguments + 3, child->texts + 2, n_args * sizeof(char *));
	arguments[n_args + 3] = NULL;
	(void)execveat(BIRTH_INIT_FD, "", arguments, child->texts + 2 + n_args, AT_EMPTY_PATH);
	return err_sys(err, errno, "execute the init");
}

/* Before root and command are known. */
static const struct step preparation[] = {
	{"cgroup", enter_groups},	{"identity", become_root_inside}, {"quotas", limit_namespace},
	{"mounts", detach_propagation}, {"network", bring_up_loopback},
};

static const struct step completion[] = {
	{"upper", open_stage},
	{"overlay", mount_root},
	{"dev", mount_dev},
	{"proc", mount_proc},
	{"etc", put_generated},
	{"profile", inject_profile},
	{"pivot", pivot},
	{"hostname", set_hostname},
	{"cwd", change_directory},
	{"keyring", join_new_session},
	{"limits", set_limits},
	{"stdio", take_stdio},
	{"privileges", drop_privileges},
	{"seccomp", load_policy},
	{"init", execute_init},
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

static void keep_layers(struct child *child, struct ipc_message *m)
{
	child->n_layers = MIN(m->n_fds, (unsigned)SBX_LAYERS_MAX);
	for (unsigned i = 0; i < child->n_layers; i++)
		child->layer_fds[i] = ipc_message_take_fd(m, i);
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
static void keep_command(struct child *child, struct ipc_message *m)
{
	size_t length;
	char *tail = ipc_tail(m, sizeof(child->command), &length);
	size_t n;

	memcpy(&child->command, m->payload, sizeof(child->command));
	n = child->command.n_args + child->command.n_env + 2;
	if (m->n_fds != 3 || n > TEXTS_MAX || str_unpack(tail, length, n, child->texts) < 0)
		fail("command", &(struct err){-EBADMSG, "malformed command"});
	/* str_unpack() ends the list; the arguments are copied out before the variables follow directly. */
	for (unsigned i = 0; i < 3; i++)
		child->stdio_fds[i] = ipc_message_take_fd(m, i);
}

static void receive_command(struct child *child)
{
	for (;;) {
		struct ipc_message *m = receive(child);

		switch (m->header.type) {
		case BIRTH_LAYERS:
			keep_layers(child, m);
			break;
		case BIRTH_ITEMS:
			keep_items(child, m);
			break;
		case BIRTH_COMMAND:
			keep_command(child, m);
			return;
		default:
			fail("command", &(struct err){-EPROTO, "unexpected message"});
		}
	}
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
	struct child child = {.start = *start, .root_fd = -1, .dev_fd = -1};

	(void)prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
	(void)prctl(PR_SET_NAME, "ferrite-birth", 0, 0, 0);
	(void)umask(022);
	keep_own_descriptors(&child);
	if (receive(&child)->header.type != BIRTH_MAPPED)
		fail("mapping", &(struct err){-EPROTO, "unexpected message"});
	run_steps(&child, preparation, ARRAY_LEN(preparation));
	receive_command(&child);
	run_steps(&child, completion, ARRAY_LEN(completion));
	_exit(1);
}
