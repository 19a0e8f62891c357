#include "sandbox/mounts.h"

#include "supervisor/util.h"

#include <fcntl.h>
#include <string.h>

static int configure(int context_fd, const char *type, const struct mount_option *options, struct err *err)
{
	for (const struct mount_option *o = options; o && o->key; o++)
		if (fsconfig(context_fd, o->value ? FSCONFIG_SET_STRING : FSCONFIG_SET_FLAG, o->key, o->value, 0) < 0)
			return err_sys(err, errno, "option %s of %s", o->key, type);
	return 0;
}

int mount_new(const char *type, const struct mount_option *options, uint64_t attributes, struct err *err)
{
	_cleanup_fd_ int context_fd = fsopen(type, FSOPEN_CLOEXEC);
	int mount_fd, r;

	if (context_fd < 0)
		return err_sys(err, errno, "open file system %s", type);
	r = configure(context_fd, type, options, err);
	if (r < 0)
		return r;
	if (fsconfig(context_fd, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		return err_sys(err, errno, "make a %s", type);
	mount_fd = fsmount(context_fd, FSMOUNT_CLOEXEC, (unsigned)attributes);
	if (mount_fd < 0)
		return err_sys(err, errno, "mount a %s", type);
	return mount_fd;
}

struct tmpfs_numbers {
	char size[24], inodes[24];
};

static void write_numbers(struct tmpfs_numbers *numbers, uint64_t size, uint64_t inodes)
{
	(void)snprintf(numbers->size, sizeof(numbers->size), "%llu", (unsigned long long)size);
	(void)snprintf(numbers->inodes, sizeof(numbers->inodes), "%llu", (unsigned long long)inodes);
}

int mount_new_tmpfs(uint64_t size, uint64_t inodes, const char *mode, uint64_t attributes, struct err *err)
{
	struct tmpfs_numbers numbers;
	const struct mount_option options[] = {
		{"size", numbers.size}, {"nr_inodes", numbers.inodes}, {"mode", mode}, {NULL, NULL}};

	write_numbers(&numbers, size, inodes);
	return mount_new("tmpfs", options, attributes, err);
}

int mount_resize_tmpfs(int mount_fd, uint64_t size, uint64_t inodes, struct err *err)
{
	_cleanup_fd_ int context_fd = fspick(mount_fd, "", FSPICK_CLOEXEC | FSPICK_EMPTY_PATH);
	struct tmpfs_numbers numbers;
	const struct mount_option options[] = {{"size", numbers.size}, {"nr_inodes", numbers.inodes}, {NULL, NULL}};
	int r;

	if (context_fd < 0)
		return err_sys(err, errno, "pick a tmpfs");
	write_numbers(&numbers, size, inodes);
	r = configure(context_fd, "tmpfs", options, err);
	if (r == 0 && fsconfig(context_fd, FSCONFIG_CMD_RECONFIGURE, NULL, NULL, 0) < 0)
		r = err_sys(err, errno, "resize a tmpfs");
	return r;
}

int mount_clone(int dirfd, const char *path, struct err *err)
{
	unsigned flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_SYMLINK_NOFOLLOW | (path[0] ? 0 : AT_EMPTY_PATH);
	int mount_fd = open_tree(dirfd, path, flags);

	if (mount_fd < 0)
		return err_sys(err, errno, "clone the mount of %s", path[0] ? path : "a descriptor");
	return mount_fd;
}

int mount_set_attributes(int mount_fd, uint64_t attributes, struct err *err)
{
	struct mount_attr change = {.attr_set = attributes};

	if (mount_setattr(mount_fd, "", AT_EMPTY_PATH, &change, sizeof(change)) < 0)
		return err_sys(err, errno, "change a mount");
	return 0;
}

int mount_set_idmap(int mount_fd, int userns_fd, uint64_t attributes, struct err *err)
{
	struct mount_attr change = {.attr_set = attributes | MOUNT_ATTR_IDMAP, .userns_fd = (unsigned)userns_fd};

	if (mount_setattr(mount_fd, "", AT_EMPTY_PATH, &change, sizeof(change)) < 0)
		return err_sys(err, errno, "map the ids of a mount");
	return 0;
}

int mount_place(int mount_fd, int target_fd, struct err *err)
{
	if (move_mount(mount_fd, "", target_fd, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) < 0)
		return err_sys(err, errno, "place a mount");
	return 0;
}
