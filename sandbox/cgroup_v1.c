/* The hybrid back end: limits in v1 hierarchies, beside a v2 group. */
#include "sandbox/cgroup.h"
#include "supervisor/util.h"

#include <fcntl.h>
#include <sys/stat.h>

enum { MEMORY, PIDS, CPU };

#define PERIOD_US	     100000 /* the kernel's default */
#define QUOTA_US_PER_PERCENT (PERIOD_US / 100)
#define SOCKET_SHARE	     4 /* of the memory limit, on top of it */

static int make(const struct cgroups *groups, struct cgroup *group, struct err *err)
{
	for (unsigned i = 0; i < CGROUP_V1_MAX; i++) {
		if (mkdirat(groups->v1_fds[i], group->name, 0755) < 0)
			return err_sys(err, errno, "make v1 control group %s", group->name);
		group->v1_fds[i] =
			openat(groups->v1_fds[i], group->name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (group->v1_fds[i] < 0)
			return err_sys(err, errno, "open v1 control group %s", group->name);
		group->entry_fds[i] = openat(group->v1_fds[i], "cgroup.procs", O_WRONLY | O_CLOEXEC);
		if (group->entry_fds[i] < 0)
			return err_sys(err, errno, "open cgroup.procs of %s", group->name);
		group->n_entries = i + 1;
	}
	return 0;
}

/* Unless it has a limit of its own, v1 counts no socket buffer at all: a function could fill the host's tcp_mem. */
static int limit_sockets(int memory_fd, uint64_t memory_bytes, struct err *err)
{
	int r = cgroup_write(memory_fd, "memory.kmem.tcp.limit_in_bytes", memory_bytes / SOCKET_SHARE, NULL);

	return r < 0 && r != -ENOENT ? err_sys(err, r, "limit the memory of sockets") : 0;
}

static int limit(const struct cgroups *groups, const struct cgroup *group, const struct cgroup_limits *limits,
		 struct err *err)
{
	int memory_fd = group->v1_fds[MEMORY];
	int r = cgroup_write(memory_fd, "memory.limit_in_bytes", limits->memory_bytes, err);

	if (r == 0 && groups->swap_limit)
		r = cgroup_write(memory_fd, "memory.memsw.limit_in_bytes", limits->memory_bytes, err);
	if (r == 0)
		r = limit_sockets(memory_fd, limits->memory_bytes, err);
	if (r == 0)
		r = cgroup_write(group->v1_fds[PIDS], "pids.max", limits->tasks, err);
	if (r == 0 && limits->cpu_percent > 0)
		r = cgroup_write(group->v1_fds[CPU], "cpu.cfs_quota_us",
				 (uint64_t)limits->cpu_percent * QUOTA_US_PER_PERCENT, err);
	return r;
}

static void state(const struct cgroup *group, struct cgroup_state *s)
{
	s->memory_bytes = cgroup_number(group->v1_fds[MEMORY], "memory.usage_in_bytes", NULL);
	s->tasks = (uint32_t)cgroup_number(group->v1_fds[PIDS], "pids.current", NULL);
}

static void usage(const struct cgroup *group, struct cgroup_usage *u)
{
	u->memory_peak_bytes = cgroup_number(group->v1_fds[MEMORY], "memory.max_usage_in_bytes", NULL);
	u->oom_kills = cgroup_number(group->v1_fds[MEMORY], "memory.oom_control", "oom_kill");
}

static int remove_rest(const struct cgroups *groups, const char *name)
{
	int r = 0;

	for (unsigned i = 0; i < CGROUP_V1_MAX; i++)
		if (unlinkat(groups->v1_fds[i], name, AT_REMOVEDIR) < 0 && errno != ENOENT)
			r = -EBUSY;
	return r;
}

const struct cgroup_backend cgroup_backend_hybrid = {"hybrid", make, limit, state, usage, remove_rest};
