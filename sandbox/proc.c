#include "sandbox/proc.h"

#include "sandbox/devices.h"
#include "sandbox/mounts.h"
#include "sandbox/root.h"
#include "supervisor/util.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/statfs.h>

#define PROC_ATTRIBUTES (MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC)

/* Leaks of the host, or ways to steer it. Missing ones are skipped. */
static const char *const proc_masked[] = {
	"acpi",	       "asound",      "kallsyms",   "kcore",	   "keys",	    "key-users",
	"kmsg",	       "kpagecount",  "kpageflags", "kpagecgroup", "latency_stats", "interrupts",
	"sched_debug", "scsi",	      "slabinfo",   "softirqs",	   "sysvipc",	    "timer_list",
	"timer_stats", "vmallocinfo", "zoneinfo",   NULL,
};
static const char *const proc_read_only[] = {"bus", "fs", "irq", "pressure", "sys", "sysrq-trigger", NULL};
static const char *const sys_masked[] = {
	"firmware", "fs", "hypervisor", "kernel", "power", "devices/virtual/powercap", "devices/virtual/dmi", NULL,
};

static int mask(int base_fd, const char *name, struct err *err)
{
	_cleanup_fd_ int target_fd = openat(base_fd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	_cleanup_fd_ int cover_fd = -1;
	struct stat before, after;
	_cleanup_fd_ int check_fd = -1;

	if (target_fd < 0)
		return errno == ENOENT ? 0 : err_sys(err, errno, "open %s", name);
	if (fstat(target_fd, &before) < 0)
		return err_sys(err, errno, "look at %s", name);
	cover_fd = S_ISDIR(before.st_mode)
			   ? mount_new_tmpfs(4 * KIB, 1, "0555", PROC_ATTRIBUTES | MOUNT_ATTR_RDONLY, err)
			   : device_clone_node(&device_nodes[0], err);
	if (cover_fd < 0)
		return cover_fd;
	if (mount_place(cover_fd, target_fd, err) < 0)
		return err_wrap(err, "mask %s", name);
	check_fd = openat(base_fd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (check_fd < 0 || fstat(check_fd, &after) < 0 || fstat(cover_fd, &before) < 0 ||
	    before.st_dev != after.st_dev || before.st_ino != after.st_ino)
		return err_set(err, EIO, "the mask of %s did not hold", name);
	return 0;
}

static int make_read_only(int base_fd, const char *name, struct err *err)
{
	_cleanup_fd_ int target_fd = openat(base_fd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	_cleanup_fd_ int copy_fd = -1;
	int r;

	if (target_fd < 0)
		return errno == ENOENT ? 0 : err_sys(err, errno, "open %s", name);
	copy_fd = mount_clone(target_fd, "", err);
	r = copy_fd < 0 ? copy_fd : mount_set_attributes(copy_fd, PROC_ATTRIBUTES | MOUNT_ATTR_RDONLY, err);
	if (r == 0)
		r = mount_place(copy_fd, target_fd, err);
	return r < 0 ? err_wrap(err, "make %s read-only", name) : 0;
}

static int mount_sys(int root_fd, struct err *err)
{
	_cleanup_fd_ int point_fd = root_open_mount_point(root_fd, "sys", err);
	_cleanup_fd_ int sys_fd = -1;
	int r = point_fd;

	if (r < 0)
		return r;
	sys_fd = mount_new("sysfs", NULL, PROC_ATTRIBUTES | MOUNT_ATTR_RDONLY, err);
	if (sys_fd < 0)
		return sys_fd;
	r = mount_place(sys_fd, point_fd, err);
	for (const char *const *name = sys_masked; r == 0 && *name; name++)
		r = mask(sys_fd, *name, err);
	return r;
}

int proc_new(bool full, struct err *err)
{
	const struct mount_option options[] = {
		{"hidepid", "invisible"}, {full ? NULL : "subset", full ? NULL : "pid"}, {NULL, NULL}};
	_cleanup_fd_ int proc_fd = mount_new("proc", options, PROC_ATTRIBUTES, err);
	struct statfs fs;

	if (proc_fd < 0)
		return proc_fd;
	if (fstatfs(proc_fd, &fs) < 0 || fs.f_type != PROC_SUPER_MAGIC)
		return err_set(err, EIO, "the fresh /proc is no proc file system");
	return take_fd(&proc_fd);
}

int proc_place(int root_fd, int proc_fd, bool full, struct err *err)
{
	_cleanup_fd_ int point_fd = root_open_mount_point(root_fd, "proc", err);
	int r = point_fd;

	if (r < 0)
		return r;
	r = mount_place(proc_fd, point_fd, err);
	if (!full)
		return r;
	for (const char *const *name = proc_masked; r == 0 && *name; name++)
		r = mask(proc_fd, *name, err);
	for (const char *const *name = proc_read_only; r == 0 && *name; name++)
		r = make_read_only(proc_fd, *name, err);
	return r == 0 ? mount_sys(root_fd, err) : r;
}
