/* What ferrite needs of the kernel. Facts are looked at, not derived from its version, where that can be done. */
#include "supervisor/util.h"
#include "tools/ferrite/doctor.h"

#include <fcntl.h>
#include <linux/mount.h>
#include <sched.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/vfs.h>
#include <sys/wait.h>

#define TEXT_MAX (1024 * 1024)

/* The oldest that is tested. Overlayfs over idmapped layers (5.19) is the youngest thing needed. */
#define KERNEL_MAJOR 6
#define KERNEL_MINOR 1

struct doctor_finding doctor_kernel(const struct doctor_subject *subject)
{
	struct utsname name;
	unsigned major = 0, minor = 0;

	(void)subject;
	if (uname(&name) < 0)
		return doctor_found(DOCTOR_PROBLEM, NULL, "uname: %s", strerror(errno));

	char *end = NULL;

	major = (unsigned)strtoul(name.release, &end, 10);
	if (*end == '.')
		minor = (unsigned)strtoul(end + 1, NULL, 10);
	if (major < KERNEL_MAJOR || (major == KERNEL_MAJOR && minor < KERNEL_MINOR))
		return doctor_found(DOCTOR_PROBLEM, "boot Linux 6.1 or later; Debian 12 has 6.1",
				    "Linux %s is older than what ferrite supports", name.release);
	return doctor_found(DOCTOR_OK, NULL, "Linux %s, %s", name.release, name.machine);
}

struct doctor_finding doctor_namespaces(const struct doctor_subject *subject)
{
	static const char *const names[] = {"user", "mnt", "pid", "net", "ipc", "uts", "cgroup"};
	_cleanup_free_ char *limit = NULL;
	char path[64];

	(void)subject;
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		(void)snprintf(path, sizeof(path), "/proc/self/ns/%s", names[i]);
		if (access(path, F_OK) < 0)
			return doctor_found(DOCTOR_PROBLEM, "use a kernel that was built with all namespaces",
					    "this kernel has no %s namespaces", names[i]);
	}
	if (file_read(AT_FDCWD, "/proc/sys/user/max_user_namespaces", 64, &limit, NULL) > 0 &&
	    strtol(limit, NULL, 10) < 64)
		return doctor_found(DOCTOR_PROBLEM, "sysctl -w user.max_user_namespaces=65536",
				    "at most %ld user namespaces are allowed; every instance needs one",
				    strtol(limit, NULL, 10));
	return doctor_found(DOCTOR_OK, NULL, "user, mount, pid, network, ipc, uts and cgroup");
}

/* Finds the mount of a file system type in /proc/self/mounts with OPTION among its options; its path in ret_path. */
static bool find_mount(const char *mounts, const char *type, const char *option, char *ret_path, size_t size)
{
	for (const char *line = mounts; *line; line = strchr(line, '\n') + 1) {
		char path[256], kind[64], options[512];
		const char *end = strchr(line, '\n');

		if (sscanf(line, "%*s %255s %63s %511s", path, kind, options) == 3 && strcmp(kind, type) == 0) {
			_cleanup_free_ char *padded = NULL, *wanted = NULL;

			if (asprintf(&padded, ",%s,", options) > 0 && asprintf(&wanted, ",%s,", option) > 0 &&
			    (!*option || strstr(padded, wanted))) {
				(void)snprintf(ret_path, size, "%s", path);
				return true;
			}
		}
		if (!end)
			break;
	}
	return false;
}

struct doctor_finding doctor_cgroups(const struct doctor_subject *subject)
{
	static const char *const needed[] = {"memory", "pids", "cpu"};
	_cleanup_free_ char *mounts = NULL, *controllers = NULL;
	char path[256], file[300];
	bool all_v2 = true;

	(void)subject;
	if (file_read(AT_FDCWD, "/proc/self/mounts", TEXT_MAX, &mounts, NULL) < 0)
		return doctor_found(DOCTOR_PROBLEM, "mount /proc", "/proc/self/mounts cannot be read");
	if (!find_mount(mounts, "cgroup2", "", path, sizeof(path)))
		return doctor_found(DOCTOR_PROBLEM, "mount -t cgroup2 none /sys/fs/cgroup, or boot with systemd",
				    "no cgroup v2 hierarchy is mounted");
	(void)snprintf(file, sizeof(file), "%s/cgroup.controllers", path);
	if (file_read(AT_FDCWD, file, 4096, &controllers, NULL) < 0)
		return doctor_found(DOCTOR_PROBLEM, NULL, "%s cannot be read", file);
	for (size_t i = 0; i < ARRAY_LEN(needed); i++) {
		char v1_path[256];

		if (strstr(controllers, needed[i]))
			continue;
		all_v2 = false;
		if (!find_mount(mounts, "cgroup", needed[i], v1_path, sizeof(v1_path)))
			return doctor_found(
				DOCTOR_PROBLEM, "boot with cgroup_enable=memory systemd.unified_cgroup_hierarchy=1",
				"there is no %s controller, neither v2 nor v1: limits cannot be enforced", needed[i]);
	}
	return doctor_found(DOCTOR_OK, NULL, "%s at %s", all_v2 ? "v2" : "hybrid: v1 limits beside v2", path);
}

struct doctor_finding doctor_overlay(const struct doctor_subject *subject)
{
	_cleanup_free_ char *text = NULL;

	(void)subject;
	if (file_read(AT_FDCWD, "/proc/filesystems", TEXT_MAX, &text, NULL) > 0 && strstr(text, "\toverlay\n"))
		return doctor_found(DOCTOR_OK, NULL, "in the kernel");
	return doctor_found(DOCTOR_PROBLEM, "modprobe overlay (and list it in /etc/modules-load.d/ferrite.conf)",
			    "the overlay file system is not loaded");
}

/* The folder itself, or the nearest one above it that exists. */
static void existing_folder(const char *path, char *buffer, size_t size)
{
	(void)snprintf(buffer, size, "%s", path);
	while (access(buffer, F_OK) < 0 && strrchr(buffer, '/') > buffer)
		*strrchr(buffer, '/') = '\0';
	if (access(buffer, F_OK) < 0)
		(void)snprintf(buffer, size, "/");
}

/* Maps a detached copy of the folder through the user namespace of process PID, which nobody ever sees mounted. */
static int try_idmap(const char *folder, pid_t pid)
{
	char path[64];
	int r;

	(void)snprintf(path, sizeof(path), "/proc/%d/uid_map", (int)pid);
	r = file_write(AT_FDCWD, path, "0 1879113728 65536", NULL);
	(void)snprintf(path, sizeof(path), "/proc/%d/gid_map", (int)pid);
	if (r == 0)
		r = file_write(AT_FDCWD, path, "0 1879113728 65536", NULL);
	if (r < 0)
		return r;
	(void)snprintf(path, sizeof(path), "/proc/%d/ns/user", (int)pid);

	_cleanup_fd_ int user_fd = open(path, O_RDONLY | O_CLOEXEC);
	_cleanup_fd_ int tree_fd =
		(int)syscall(SYS_open_tree, AT_FDCWD, folder, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE);
	struct mount_attr attributes = {.attr_set = MOUNT_ATTR_IDMAP, .userns_fd = (unsigned)user_fd};

	if (user_fd < 0 || tree_fd < 0)
		return -errno;
	if (syscall(SYS_mount_setattr, tree_fd, "", AT_EMPTY_PATH, &attributes, sizeof(attributes)) < 0)
		return -errno;
	return 0;
}

/* Runs try_idmap() against a child that has made a user namespace and waits to be released. */
static int probe_idmap(const char *folder)
{
	int pair[2] = {-1, -1};
	char byte = 0;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;

	_cleanup_fd_ int own_fd = pair[0];
	_cleanup_fd_ int child_fd = pair[1];
	pid_t pid = fork();

	if (pid < 0)
		return -errno;
	if (pid == 0) {
		(void)close(own_fd);
		byte = unshare(CLONE_NEWUSER) < 0 ? (char)errno : 0;
		_exit(write(child_fd, &byte, 1) == 1 && read(child_fd, &byte, 1) >= 0 ? 0 : 1);
	}
	fd_close(&child_fd);

	int r = read(own_fd, &byte, 1) != 1 ? -EIO : byte ? -byte : try_idmap(folder, pid);

	fd_close(&own_fd);
	(void)waitpid(pid, NULL, 0);
	return r;
}

struct doctor_finding doctor_idmap(const struct doctor_subject *subject)
{
	char folder[512];

	existing_folder(subject->state_dir, folder, sizeof(folder));
	if (geteuid() != 0)
		return doctor_found(DOCTOR_WARNING, "run it as root", "only root can try idmapped mounts out");

	int r = probe_idmap(folder);

	if (r < 0)
		return doctor_found(DOCTOR_PROBLEM, "put the state directory on ext4, xfs, btrfs or tmpfs",
				    "the file system of %s does not take them: %s", folder, strerror(-r));
	return doctor_found(DOCTOR_OK, NULL, "the file system of %s takes them", folder);
}

struct doctor_finding doctor_seccomp(const struct doctor_subject *subject)
{
	static const char *const needed[] = {"kill_process", "errno", "allow"};
	_cleanup_free_ char *actions = NULL;

	(void)subject;
	if (prctl(PR_GET_SECCOMP, 0, 0, 0, 0) < 0 ||
	    file_read(AT_FDCWD, "/proc/sys/kernel/seccomp/actions_avail", 4096, &actions, NULL) < 0)
		return doctor_found(DOCTOR_PROBLEM, "use a kernel with CONFIG_SECCOMP_FILTER",
				    "this kernel cannot filter system calls");
	for (size_t i = 0; i < ARRAY_LEN(needed); i++)
		if (!strstr(actions, needed[i]))
			return doctor_found(DOCTOR_PROBLEM, "use a kernel of at least 4.14",
					    "the seccomp action %s is missing", needed[i]);
	return doctor_found(DOCTOR_OK, NULL, "filters of system calls work");
}
