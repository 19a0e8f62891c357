#include "sandbox/cgroup.h"

#include "sandbox/device_policy.h"
#include "supervisor/util.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <time.h>

#define NAME_PREFIX  "fi-"
#define SWEEP_NAP_NS 2000000
#define FILE_MAX     4096

uint64_t cgroup_number(int group_fd, const char *file, const char *key)
{
	_cleanup_fd_ int fd = openat(group_fd, file, O_RDONLY | O_CLOEXEC);
	char text[FILE_MAX];
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	const char *at = text;

	if (n <= 0)
		return 0;
	text[n] = '\0';
	if (!key)
		return strtoull(text, NULL, 10);
	for (size_t length = strlen(key); *at; at++) {
		if (strncmp(at, key, length) == 0 && at[length] == ' ')
			return strtoull(at + length, NULL, 10);
		at = strchr(at, '\n');
		if (!at)
			return 0;
	}
	return 0;
}

int cgroup_write(int group_fd, const char *file, uint64_t value, struct err *err)
{
	char text[24];

	(void)snprintf(text, sizeof(text), "%llu", (unsigned long long)value);
	return file_write(group_fd, file, text, err);
}

static int open_base(const char *path, long magic, struct err *err)
{
	_cleanup_fd_ int fd = -1;
	struct statfs fs;

	if (mkdir(path, 0755) < 0 && errno != EEXIST)
		return err_sys(err, errno, "make %s", path);
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || fstatfs(fd, &fs) < 0)
		return err_sys(err, errno, "open %s", path);
	if (fs.f_type != magic)
		return err_set(err, EINVAL, "%s is not on a cgroup %s file system", path,
			       magic == CGROUP2_SUPER_MAGIC ? "v2" : "v1");
	return take_fd(&fd);
}

/* What follows the mount point in an absolute path of a directory. */
static const char *below_mount(const char *path)
{
	struct stat top, here;
	char prefix[PATH_MAX];
	size_t n = 0;

	if (stat(path, &here) < 0)
		return path;
	/* The shortest prefix on the same file system is where it is mounted. */
	do {
		n += 1 + strcspn(path + n + 1, "/");
		memcpy(prefix, path, n);
		prefix[n] = '\0';
	} while (path[n] && (stat(prefix, &top) < 0 || top.st_dev != here.st_dev));
	return path + n + (path[n] == '/');
}

static int enable_v2_controllers(int fd, struct err *err)
{
	_cleanup_free_ char *have = NULL;
	int r = (int)file_read(fd, "cgroup.controllers", FILE_MAX, &have, err);

	if (r < 0)
		return r;
	if (!strstr(have, "memory") || !strstr(have, "pids") || !strstr(have, "cpu"))
		return err_set(err, ENOTSUP,
			       "the cgroup v2 directory has the controllers \"%.*s\"; memory, pids and cpu are needed",
			       (int)strcspn(have, "\n"), have);
	return file_write(fd, "cgroup.subtree_control", "+memory +pids +cpu", err);
}

int cgroups_open(struct cgroups *groups, const struct sandbox_config *config, struct err *err)
{
	const char *const v1[CGROUP_V1_MAX] = {config->cgroup_v1_memory, config->cgroup_v1_pids, config->cgroup_v1_cpu};
	int r;

	*groups = (struct cgroups){.backend = &cgroup_backend_v2,
				   .v2_fd = -1,
				   .v1_fds = {-1, -1, -1},
				   .program_fd = -1,
				   .next = clock_realtime_us()};
	groups->v2_fd = r = open_base(config->cgroup_v2, CGROUP2_SUPER_MAGIC, err);
	groups->below = below_mount(config->cgroup_v2);
	if (r >= 0 && !config->cgroup_v1_memory[0]) {
		r = enable_v2_controllers(groups->v2_fd, err);
	} else if (r >= 0) {
		groups->backend = &cgroup_backend_hybrid;
		for (unsigned i = 0; r >= 0 && i < CGROUP_V1_MAX; i++)
			groups->v1_fds[i] = r = open_base(v1[i], CGROUP_SUPER_MAGIC, err);
	}
	/* Without swap, or without its accounting, there is no such file and nothing to limit. */
	groups->swap_limit = groups->v1_fds[0] >= 0
				     ? faccessat(groups->v1_fds[0], "memory.memsw.limit_in_bytes", F_OK, 0) == 0
				     : groups->v2_fd >= 0 && faccessat(groups->v2_fd, "memory.swap.max", F_OK, 0) == 0;
	if (r < 0) {
		cgroups_close(groups);
		return r;
	}
	return 0;
}

void cgroups_close(struct cgroups *groups)
{
	while (groups->n_ready > 0)
		(void)cgroup_remove(groups, &groups->ready[--groups->n_ready]);
	fd_close(&groups->v2_fd);
	for (unsigned i = 0; i < CGROUP_V1_MAX; i++)
		fd_close(&groups->v1_fds[i]);
}

static int remove_by_name(const struct cgroups *groups, const char *name)
{
	if (unlinkat(groups->v2_fd, name, AT_REMOVEDIR) < 0 && errno != ENOENT)
		return -EBUSY;
	return groups->backend->remove(groups, name);
}

static int sweep_one(const struct cgroups *groups, const char *name, uint64_t end_us)
{
	_cleanup_fd_ int fd = openat(groups->v2_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	for (;;) {
		if (fd >= 0)
			(void)file_write(fd, "cgroup.kill", "1", NULL);
		if (remove_by_name(groups, name) == 0)
			return 0;
		if (clock_monotonic_us() >= end_us)
			return -EBUSY;
		(void)nanosleep(&(struct timespec){.tv_nsec = SWEEP_NAP_NS}, NULL);
	}
}

static int sweep_directory(const struct cgroups *groups, int base_fd, uint64_t end_us, struct err *err)
{
	int dir_fd = openat(base_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	_cleanup_dir_ DIR *dir = dir_fd < 0 ? NULL : fdopendir(dir_fd);
	int swept = 0;

	if (!dir)
		return err_sys(err, errno, "read a cgroup directory");
	for (struct dirent *entry = readdir(dir); entry; entry = readdir(dir)) {
		if (entry->d_type != DT_DIR || strncmp(entry->d_name, NAME_PREFIX, strlen(NAME_PREFIX)) != 0)
			continue;
		if (sweep_one(groups, entry->d_name, end_us) < 0)
			return err_set(err, EBUSY, "the old group %s does not become empty", entry->d_name);
		swept++;
	}
	return swept;
}

int cgroups_sweep(const struct cgroups *groups, uint64_t wait_us, struct err *err)
{
	uint64_t end_us = clock_monotonic_us() + wait_us;
	int total = sweep_directory(groups, groups->v2_fd, end_us, err);

	for (unsigned i = 0; total >= 0 && i < CGROUP_V1_MAX && groups->v1_fds[i] >= 0; i++) {
		int r = sweep_directory(groups, groups->v1_fds[i], end_us, err);

		total = r < 0 ? r : total + r;
	}
	return total;
}

static int make_group(struct cgroups *groups, struct cgroup *group, struct err *err)
{
	int r;

	*group = (struct cgroup){.v2_fd = -1, .freeze_fd = -1, .v1_fds = {-1, -1, -1}};
	(void)snprintf(group->name, sizeof(group->name), NAME_PREFIX "%llx", (unsigned long long)++groups->next);
	if (mkdirat(groups->v2_fd, group->name, 0755) < 0) {
		r = err_sys(err, errno, "make control group %s", group->name);
		group->name[0] = '\0';
		return r;
	}
	group->v2_fd = openat(groups->v2_fd, group->name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	r = group->v2_fd < 0 ? err_sys(err, errno, "open control group %s", group->name)
			     : groups->backend->make(groups, group, err);
	if (r == 0)
		r = device_policy_attach(groups->program_fd, -1, group->v2_fd, err);
	if (r == 0) {
		group->freeze_fd = openat(group->v2_fd, "cgroup.freeze", O_WRONLY | O_CLOEXEC);
		if (group->freeze_fd < 0)
			r = err_sys(err, errno, "open the freezer of %s", group->name);
	}
	if (r < 0) {
		(void)cgroup_remove(groups, group);
		group->name[0] = '\0';
	}
	return r;
}

int cgroup_take(struct cgroups *groups, struct cgroup *group, struct err *err)
{
	if (groups->n_ready == 0)
		return make_group(groups, group, err);
	*group = groups->ready[--groups->n_ready];
	return 0;
}

void cgroups_refill(struct cgroups *groups, unsigned n)
{
	while (n-- > 0 && groups->n_ready < CGROUP_POOL &&
	       make_group(groups, &groups->ready[groups->n_ready], NULL) == 0)
		groups->n_ready++;
}

void cgroup_close_entries(struct cgroup *group)
{
	for (unsigned i = 0; i < group->n_entries; i++)
		fd_close(&group->entry_fds[i]);
	group->n_entries = 0;
}

int cgroup_limit(const struct cgroups *groups, const struct cgroup *group, const struct cgroup_limits *limits,
		 struct err *err)
{
	return groups->backend->limit(groups, group, limits, err);
}

void cgroup_kill(const struct cgroup *group)
{
	if (group->v2_fd >= 0)
		(void)file_write(group->v2_fd, "cgroup.kill", "1", NULL);
}

void cgroup_thaw(const struct cgroup *group)
{
	(void)file_write(group->v2_fd, "cgroup.freeze", "0", NULL);
}

void cgroup_read_state(const struct cgroups *groups, const struct cgroup *group, struct cgroup_state *ret_state)
{
	*ret_state = (struct cgroup_state){.cpu_us = cgroup_number(group->v2_fd, "cpu.stat", "usage_usec"),
					   .frozen = cgroup_number(group->v2_fd, "cgroup.events", "frozen") != 0};
	groups->backend->state(group, ret_state);
}

void cgroup_read_usage(const struct cgroups *groups, const struct cgroup *group, struct cgroup_usage *ret_usage)
{
	*ret_usage = (struct cgroup_usage){.cpu_us = cgroup_number(group->v2_fd, "cpu.stat", "usage_usec")};
	groups->backend->usage(group, ret_usage);
}

int cgroup_remove(const struct cgroups *groups, struct cgroup *group)
{
	cgroup_close_entries(group);
	fd_close(&group->freeze_fd);
	fd_close(&group->v2_fd);
	for (unsigned i = 0; i < CGROUP_V1_MAX; i++)
		fd_close(&group->v1_fds[i]);
	return remove_by_name(groups, group->name);
}
