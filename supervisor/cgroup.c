#include "supervisor/cgroup.h"

#include "supervisor/str.h"
#include "supervisor/util.h"

#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>

/* Deeper trees are not ours. */
#define DEPTH_MAX     8
#define FILE_MAX      (256 * 1024)
#define RETRY_MS      5
#define KILL_MS	      2000
#define WEIGHT_V2     "400"
#define WEIGHT_V1     "4096"
#define V2_WANTED_MAX 5

static const char *const controllers[CGROUP_CONTROLLER_MAX] = {"memory", "cpu", "cpuacct", "pids"};

/* Switched on for instances where the v2 hierarchy has them. */
static const char *const v2_wanted[V2_WANTED_MAX] = {"memory", "cpu", "pids", "io", "cpuset"};

const char *cgroup_controller_name(enum cgroup_controller controller)
{
	return controllers[controller];
}

static bool has_word(const char *list, const char *word, const char *separators)
{
	size_t length = strlen(word);

	while (*list) {
		size_t n = strcspn(list, separators);

		if (n == length && memcmp(list, word, n) == 0)
			return true;
		list += n + (list[n] != '\0');
	}
	return false;
}

__attribute__((format(printf, 2, 3))) static bool path_print(char *path, const char *format, ...)
{
	va_list args;
	int n;

	va_start(args, format);
	n = vsnprintf(path, CGROUP_PATH_MAX, format, args);
	va_end(args);
	return n >= 0 && n < CGROUP_PATH_MAX;
}

/* --- what is mounted ---------------------------------------------------------------------------------------------- */

struct mounts {
	char v2[CGROUP_PATH_MAX];
	char v1[CGROUP_CONTROLLER_MAX][CGROUP_PATH_MAX];
};

/* A line of /proc/self/mountinfo: id parent dev root point options [tags…] - type source superoptions */
static void look_at_mount(struct mounts *mounts, char *line)
{
	char *fields[5], *rest = NULL, *type, *options;
	char *dash = strstr(line, " - ");

	if (!dash)
		return;
	*dash = '\0';
	for (unsigned i = 0; i < ARRAY_LEN(fields); i++) {
		fields[i] = strtok_r(i == 0 ? line : NULL, " ", &rest);
		if (!fields[i])
			return;
	}
	type = strtok_r(dash + 3, " ", &rest);
	(void)strtok_r(NULL, " ", &rest);
	options = strtok_r(NULL, " ", &rest);
	if (!type || !options || strcmp(fields[3], "/") != 0)
		return;
	if (strcmp(type, "cgroup2") == 0 && !mounts->v2[0])
		(void)str_copy(mounts->v2, sizeof(mounts->v2), fields[4]);
	for (int i = 0; strcmp(type, "cgroup") == 0 && i < CGROUP_CONTROLLER_MAX; i++)
		if (!mounts->v1[i][0] && has_word(options, controllers[i], ","))
			(void)str_copy(mounts->v1[i], sizeof(mounts->v1[i]), fields[4]);
}

static int find_mounts(struct mounts *mounts, struct err *err)
{
	_cleanup_free_ char *text = NULL;
	char *rest = NULL;

	if (file_read(AT_FDCWD, "/proc/self/mountinfo", 4 * MIB, &text, err) < 0)
		return err->code;
	for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest))
		look_at_mount(mounts, line);
	if (!mounts->v2[0])
		return err_set(err, ENOENT,
			       "cgroup v2 is not mounted: boot with it, or mount it beside v1 (mkdir "
			       "/sys/fs/cgroup/unified; mount -t cgroup2 none /sys/fs/cgroup/unified)");
	return 0;
}

/* Our own v2 group, relative to the mount: "/" or "/a/b". */
static int own_group(char *path, struct err *err)
{
	_cleanup_free_ char *text = NULL;
	const char *line;
	size_t length;

	if (file_read(AT_FDCWD, "/proc/self/cgroup", FILE_MAX, &text, err) < 0)
		return err->code;
	line = strncmp(text, "0::", 3) == 0 ? text : strstr(text, "\n0::");
	if (!line)
		return err_set(err, ENOENT, "the process is in no cgroup v2 group");
	line += *line == '\n' ? 4 : 3;
	length = strcspn(line, "\n");
	if (length >= CGROUP_PATH_MAX)
		return err_set(err, ENAMETOOLONG, "the own cgroup's path is too long");
	memcpy(path, line, length);
	path[length] = '\0';
	return 0;
}

static bool alone_in(const char *group)
{
	_cleanup_free_ char *text = NULL;
	char path[CGROUP_PATH_MAX];
	char own[24];

	(void)snprintf(own, sizeof(own), "%d\n", getpid());
	return path_print(path, "%s/cgroup.procs", group) && file_read(AT_FDCWD, path, FILE_MAX, &text, NULL) >= 0 &&
	       strcmp(text, own) == 0;
}

int cgroup_tree_find(struct cgroup_tree *ret_tree, const char *name, struct err *err)
{
	struct mounts mounts = {0};
	_cleanup_free_ char *on_v2 = NULL;
	char own[CGROUP_PATH_MAX], path[CGROUP_PATH_MAX];
	bool fits = true;

	memset(ret_tree, 0, sizeof(*ret_tree));
	if (find_mounts(&mounts, err) < 0 || own_group(own, err) < 0)
		return err->code;
	(void)path_print(path, "%s/cgroup.controllers", mounts.v2);
	if (file_read(AT_FDCWD, path, FILE_MAX, &on_v2, err) < 0)
		return err->code;
	for (int i = 0; i < CGROUP_CONTROLLER_MAX; i++) {
		/* cpuacct has no name on v2: every group counts. */
		bool v2 = has_word(on_v2, controllers[i == CGROUP_CPUACCT ? CGROUP_CPU : i], " \n");

		if (v2)
			continue;
		if (!mounts.v1[i][0] && (i == CGROUP_MEMORY || i == CGROUP_PIDS))
			return err_set(
				err, ENOENT,
				"this kernel offers no %s controller, neither on cgroup v2 nor on v1: containers "
				"cannot be limited (check cgroup_disable= and cgroup_enable= of the boot line)",
				controllers[i]);
		if (mounts.v1[i][0])
			fits &= path_print(ret_tree->v1[i], "%s/%s", mounts.v1[i], name);
	}
	fits &= path_print(path, "%s%s", mounts.v2, own);
	if (strcmp(own, "/") != 0 && alone_in(path)) {
		fits &= path_print(ret_tree->leaf, "%s/ferrited", path);
		fits &= path_print(ret_tree->v2, "%s/%s", path, name);
	} else if (fits) {
		fits &= path_print(ret_tree->v2, "%s/%s", mounts.v2, name);
	}
	return fits ? 0 : err_set(err, ENAMETOOLONG, "the path of the cgroup %s is too long", name);
}

/* --- making ------------------------------------------------------------------------------------------------------- */

static int make_group(const char *path, struct err *err)
{
	if (mkdir(path, 0755) < 0 && errno != EEXIST)
		return err_sys(err, errno, "make the cgroup %s", path);
	return 0;
}

/* Switches the wanted controllers on for the children of GROUP, one by one: some may not be delegated to us. */
static void enable_controllers(const char *group)
{
	_cleanup_free_ char *offered = NULL, *on = NULL;
	char path[CGROUP_PATH_MAX + 32], word[16];

	(void)snprintf(path, sizeof(path), "%s/cgroup.controllers", group);
	if (file_read(AT_FDCWD, path, FILE_MAX, &offered, NULL) < 0)
		return;
	(void)snprintf(path, sizeof(path), "%s/cgroup.subtree_control", group);
	if (file_read(AT_FDCWD, path, FILE_MAX, &on, NULL) < 0)
		return;
	for (unsigned i = 0; i < V2_WANTED_MAX; i++) {
		if (!has_word(offered, v2_wanted[i], " \n") || has_word(on, v2_wanted[i], " \n"))
			continue;
		(void)snprintf(word, sizeof(word), "+%s", v2_wanted[i]);
		(void)file_write(AT_FDCWD, path, word, NULL);
	}
}

static int attach(const char *group, pid_t pid, struct err *err)
{
	char path[CGROUP_PATH_MAX + 32], text[24];

	(void)snprintf(path, sizeof(path), "%s/cgroup.procs", group);
	(void)snprintf(text, sizeof(text), "%d", pid);
	return file_write(AT_FDCWD, path, text, err);
}

/* The Nth of the distinct paths of a tree, NULL after the last. Co-mounted controllers share one. */
static const char *tree_path(const struct cgroup_tree *tree, unsigned n)
{
	if (n == 0)
		return tree->v2;
	for (unsigned i = 0; i < CGROUP_CONTROLLER_MAX; i++) {
		bool seen = !tree->v1[i][0];

		for (unsigned k = 0; k < i && !seen; k++)
			seen = strcmp(tree->v1[k], tree->v1[i]) == 0;
		if (!seen && --n == 0)
			return tree->v1[i];
	}
	return NULL;
}

static int sub_path(char *path, const char *group, const char *sub, struct err *err)
{
	if (!path_print(path, "%s%s%s", group, sub ? "/" : "", sub ? sub : ""))
		return err_set(err, ENAMETOOLONG, "the path of a cgroup below %s is too long", group);
	return 0;
}

int cgroup_tree_add(const struct cgroup_tree *tree, const char *sub, struct err *err)
{
	char path[CGROUP_PATH_MAX];
	const char *group;

	for (unsigned i = 0; (group = tree_path(tree, i)) != NULL; i++) {
		int r = sub_path(path, group, sub, err);

		if (r == 0)
			r = make_group(path, err);
		if (r < 0)
			return r;
	}
	return 0;
}

/* Our servers get CPU before functions do. Best effort: the cpu controller may be missing. */
static void prefer_servers(const struct cgroup_tree *tree)
{
	char path[CGROUP_PATH_MAX];

	if (tree->v1[CGROUP_CPU][0] && path_print(path, "%s/servers/cpu.shares", tree->v1[CGROUP_CPU]))
		(void)file_write(AT_FDCWD, path, WEIGHT_V1, NULL);
	else if (path_print(path, "%s/servers/cpu.weight", tree->v2))
		(void)file_write(AT_FDCWD, path, WEIGHT_V2, NULL);
}

int cgroup_tree_make(struct cgroup_tree *tree, struct err *err)
{
	char parent[CGROUP_PATH_MAX], path[CGROUP_PATH_MAX];
	int r = cgroup_tree_kill(tree, NULL, KILL_MS, err);

	if (r == 0)
		r = cgroup_tree_remove(tree, NULL, KILL_MS, err);
	if (r < 0) {
		err_wrap(err, "clean up after an earlier ferrited");
		return r;
	}
	if (tree->leaf[0]) {
		/* A group with controllers for its children may hold no process itself. */
		r = make_group(tree->leaf, err);
		if (r == 0)
			r = attach(tree->leaf, 0, err);
		if (r < 0)
			return r;
	}
	for (unsigned i = 0; tree_path(tree, i); i++) {
		r = make_group(tree_path(tree, i), err);
		if (r < 0)
			return r;
	}
	memcpy(parent, tree->v2, sizeof(parent));
	*strrchr(parent, '/') = '\0';
	enable_controllers(parent);
	enable_controllers(tree->v2);
	r = cgroup_tree_add(tree, "servers", err);
	if (r == 0)
		r = cgroup_tree_add(tree, "instances", err);
	if (r == 0 && path_print(path, "%s/instances", tree->v2))
		enable_controllers(path);
	prefer_servers(tree);
	return r;
}

int cgroup_tree_attach(const struct cgroup_tree *tree, const char *sub, pid_t pid, struct err *err)
{
	char path[CGROUP_PATH_MAX];
	const char *group;

	for (unsigned i = 0; (group = tree_path(tree, i)) != NULL; i++) {
		int r = sub_path(path, group, sub, err);

		if (r == 0)
			r = attach(path, pid, err);
		if (r < 0)
			return r;
	}
	return 0;
}

/* --- killing and removing ----------------------------------------------------------------------------------------- */

/* Sends SIGKILL to what is in the group itself; the number of processes seen. */
static unsigned kill_members(int group_fd)
{
	_cleanup_free_ char *text = NULL;
	unsigned n = 0;
	char *rest = NULL;

	if (file_read(group_fd, "cgroup.procs", FILE_MAX, &text, NULL) < 0)
		return 0;
	for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
		uint64_t pid = 0;

		/* 0 is a process outside our pid namespace. */
		if (str_u64(line, &pid) && pid > 0 && pid <= INT32_MAX) {
			(void)kill((pid_t)pid, SIGKILL);
			n++;
		}
	}
	return n;
}

static DIR *open_children(int group_fd)
{
	int fd = openat(group_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);

	if (!dir && fd >= 0)
		(void)close(fd);
	return dir;
}

static int next_child(DIR *dir, const char **ret_name)
{
	struct dirent *entry;

	while ((entry = readdir(dir)) != NULL)
		if (entry->d_type == DT_DIR && entry->d_name[0] != '.') {
			*ret_name = entry->d_name;
			return openat(dirfd(dir), entry->d_name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		}
	*ret_name = NULL;
	return -1;
}

/* Kills members of the whole subtree; how many processes it still saw. */
static unsigned kill_subtree(int group_fd, unsigned depth)
{
	_cleanup_dir_ DIR *dir = NULL;
	const char *name = NULL;
	unsigned n;

	/* With cgroup.kill no fork escapes; without it the caller's repetition catches up. */
	if (depth == 0)
		(void)file_write(group_fd, "cgroup.kill", "1", NULL);
	n = kill_members(group_fd);
	dir = depth < DEPTH_MAX ? open_children(group_fd) : NULL;
	while (dir) {
		_cleanup_fd_ int child_fd = next_child(dir, &name);

		if (!name)
			break;
		if (child_fd >= 0)
			n += kill_subtree(child_fd, depth + 1);
	}
	return n;
}

int cgroup_path_kill(const char *path, int timeout_ms, struct err *err)
{
	uint64_t end = clock_monotonic_us() + (uint64_t)timeout_ms * 1000;
	_cleanup_fd_ int fd = open(path, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0)
		return errno == ENOENT ? 0 : err_sys(err, errno, "open the cgroup %s", path);
	for (;;) {
		unsigned n = kill_subtree(fd, 0);

		if (n == 0)
			return 0;
		if (clock_monotonic_us() >= end)
			return err_set(err, EBUSY, "%u processes in the cgroup %s do not die", n, path);
		(void)poll(NULL, 0, RETRY_MS);
	}
}

static void remove_children(int group_fd, unsigned depth)
{
	_cleanup_dir_ DIR *dir = depth < DEPTH_MAX ? open_children(group_fd) : NULL;
	const char *name = NULL;

	while (dir) {
		_cleanup_fd_ int child_fd = next_child(dir, &name);

		if (!name)
			break;
		if (child_fd >= 0)
			remove_children(child_fd, depth + 1);
		(void)unlinkat(dirfd(dir), name, AT_REMOVEDIR);
	}
}

int cgroup_path_remove(const char *path, int timeout_ms, struct err *err)
{
	uint64_t end = clock_monotonic_us() + (uint64_t)timeout_ms * 1000;

	for (;;) {
		_cleanup_fd_ int fd = open(path, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

		if (fd < 0 && errno == ENOENT)
			return 0;
		if (fd < 0)
			return err_sys(err, errno, "open the cgroup %s", path);
		remove_children(fd, 0);
		if (rmdir(path) == 0 || errno == ENOENT)
			return 0;
		/* A process that was killed keeps its group until it is reaped. */
		if (errno != EBUSY || clock_monotonic_us() >= end)
			return err_sys(err, errno, "remove the cgroup %s", path);
		(void)poll(NULL, 0, RETRY_MS);
	}
}

typedef int path_function(const char *path, int timeout_ms, struct err *err);

static int each_path(const struct cgroup_tree *tree, const char *sub, int timeout_ms, path_function *function,
		     struct err *err)
{
	char path[CGROUP_PATH_MAX];
	const char *group;
	int result = 0;

	for (unsigned i = 0; (group = tree_path(tree, i)) != NULL; i++) {
		int r = sub_path(path, group, sub, err);

		if (r == 0)
			r = function(path, timeout_ms, err);
		if (r < 0)
			result = r;
	}
	return result;
}

int cgroup_tree_kill(const struct cgroup_tree *tree, const char *sub, int timeout_ms, struct err *err)
{
	return each_path(tree, sub, timeout_ms, cgroup_path_kill, err);
}

int cgroup_tree_remove(const struct cgroup_tree *tree, const char *sub, int timeout_ms, struct err *err)
{
	return each_path(tree, sub, timeout_ms, cgroup_path_remove, err);
}
