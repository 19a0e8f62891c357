/* The pure v2 back end: everything is in the one group. */
#include "sandbox/cgroup.h"
#include "supervisor/util.h"

#define PERIOD_US	     100000
#define QUOTA_US_PER_PERCENT (PERIOD_US / 100)

static int make(const struct cgroups *groups, struct cgroup *group, struct err *err)
{
	(void)groups;
	(void)group;
	(void)err;
	return 0;
}

static int limit(const struct cgroups *groups, const struct cgroup *group, const struct cgroup_limits *limits,
		 struct err *err)
{
	char quota[48];
	int r = cgroup_write(group->v2_fd, "memory.max", limits->memory_bytes, err);

	if (r == 0 && groups->swap_limit)
		r = cgroup_write(group->v2_fd, "memory.swap.max", 0, err);
	if (r == 0)
		r = cgroup_write(group->v2_fd, "memory.oom.group", 1, err);
	if (r == 0)
		r = cgroup_write(group->v2_fd, "pids.max", limits->tasks, err);
	if (r < 0 || limits->cpu_percent == 0)
		return r;
	(void)snprintf(quota, sizeof(quota), "%llu %d", (unsigned long long)limits->cpu_percent * QUOTA_US_PER_PERCENT,
		       PERIOD_US);
	return file_write(group->v2_fd, "cpu.max", quota, err);
}

static void state(const struct cgroup *group, struct cgroup_state *s)
{
	s->memory_bytes = cgroup_number(group->v2_fd, "memory.current", NULL);
	s->tasks = (uint32_t)cgroup_number(group->v2_fd, "pids.current", NULL);
}

static void usage(const struct cgroup *group, struct cgroup_usage *u)
{
	u->memory_peak_bytes = cgroup_number(group->v2_fd, "memory.peak", NULL);
	u->oom_kills = cgroup_number(group->v2_fd, "memory.events", "oom_kill");
}

static int remove_rest(const struct cgroups *groups, const char *name)
{
	(void)groups;
	(void)name;
	return 0;
}

const struct cgroup_backend cgroup_backend_v2 = {"v2", make, limit, state, usage, remove_rest};
