#include "sandbox/inject.h"

#include "sandbox/mounts.h"
#include "sandbox/profile.h"
#include "sandbox/root.h"
#include "supervisor/str.h"
#include "supervisor/util.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#define DRIVER_PROC	  "/proc/driver/nvidia"
#define DRIVER_PROC_BYTES (256 * KIB)
#define DRIVER_PROC_FILES 256

struct injection {
	int root_fd;
	int driver_fd; /* tmpfs over DRIVER_PROC, sealed at the end; -1: none */
	int parent_fd; /* directory of the last item: most items share one */
	char parent[ROOT_PATH_MAX];
};

/* The driver's proc tree cannot be written to: cover it, so that only what the profile brings is visible. */
static int cover_driver_proc(struct injection *in, struct err *err)
{
	_cleanup_fd_ int point_fd = -1;

	if (in->driver_fd >= 0)
		return 0;
	point_fd = root_open_directory(in->root_fd, DRIVER_PROC, err);
	if (point_fd < 0)
		return point_fd;
	in->driver_fd = mount_new_tmpfs(DRIVER_PROC_BYTES, DRIVER_PROC_FILES, "0555",
					MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC, err);
	return in->driver_fd < 0 ? in->driver_fd : mount_place(in->driver_fd, point_fd, err);
}

/* Opens the directory that PATH is to be placed in, kept until the next item. */
static int open_parent(struct injection *in, const char *path, struct err *err)
{
	size_t length = (size_t)(strrchr(path, '/') - path);

	if (strncmp(path, DRIVER_PROC "/", strlen(DRIVER_PROC) + 1) == 0) {
		int r = cover_driver_proc(in, err);

		if (r < 0)
			return r;
	}
	if (in->parent_fd >= 0 && strncmp(in->parent, path, length) == 0 && in->parent[length] == '\0')
		return 0;
	fd_close(&in->parent_fd);
	memcpy(in->parent, path, length);
	in->parent[length] = '\0';
	in->parent_fd = root_open_directory(in->root_fd, length ? in->parent : "/", err);
	return in->parent_fd < 0 ? in->parent_fd : 0;
}

static int place_mount(struct injection *in, const char *name, int mount_fd, struct err *err)
{
	_cleanup_fd_ int target_fd = -1, check_fd = -1;
	struct stat source, placed;
	int r = root_put_file(in->parent_fd, name, "", 0, 0444, err);

	if (r < 0)
		return r;
	target_fd = openat(in->parent_fd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (target_fd < 0)
		return err_sys(err, errno, "open its place");
	r = mount_place(mount_fd, target_fd, err);
	if (r < 0)
		return r;
	check_fd = openat(in->parent_fd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (check_fd < 0 || fstat(check_fd, &placed) < 0 || fstat(mount_fd, &source) < 0 ||
	    source.st_dev != placed.st_dev || source.st_ino != placed.st_ino)
		return err_set(err, EIO, "another file is in its place");
	return 0;
}

static int inject_one(struct injection *in, const struct profile_record *record, int mount_fd, struct err *err)
{
	const char *name = strrchr(record->destination, '/') + 1;
	int r = open_parent(in, record->destination, err);

	if (r < 0)
		return r;
	switch (record->kind) {
	case SBX_ITEM_FILE:
	case SBX_ITEM_DEVICE:
		return place_mount(in, name, mount_fd, err);
	case SBX_ITEM_LINK:
		return root_put_link(in->parent_fd, name, record->content, err);
	default:
		return root_put_file(in->parent_fd, name, record->content, strlen(record->content), 0444, err);
	}
}

int inject_items(int root_fd, char *records, size_t length, const int *mount_fds, unsigned n_mounts, struct err *err)
{
	struct injection in = {.root_fd = root_fd, .driver_fd = -1, .parent_fd = -1};
	unsigned used = 0;
	size_t at = 0;
	int r = 0;

	while (r == 0 && at < length) {
		struct profile_record record;
		long n = profile_next_record(records + at, length - at, &record);
		int mount_fd = -1;

		if (n < 0)
			return err_set(err, EBADMSG, "malformed profile record");
		at += (size_t)n;
		if (profile_record_has_fd(&record))
			mount_fd = used < n_mounts ? mount_fds[used++] : -1;
		r = inject_one(&in, &record, mount_fd, err);
		if (r < 0)
			err_wrap(err, "%s", record.destination);
	}
	if (r == 0 && in.driver_fd >= 0)
		r = mount_set_attributes(in.driver_fd, MOUNT_ATTR_RDONLY, err);
	fd_close(&in.parent_fd);
	fd_close(&in.driver_fd);
	return r;
}
