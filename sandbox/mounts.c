#include "sandbox/mounts.h"

#include "supervisor/util.h"

#include <fcntl.h>
#include <string.h>

int mount_new(const char *type, const struct mount_option *options, uint64_t attributes, struct err *err)
{
	_cleanup_fd_ int context_fd = fsopen(type, FSOPEN_CLOEXEC);
	int mount_fd;

	if (context_fd < 0)
		return err_sys(err, errno, "open file system %s", type);
	for (const struct mount_option *o = options; o && o->key; o++)
		if (fsconfig(context_fd, o->value ? FSCONFIG_SET_STRING : FSCONFIG_SET_FLAG, o->key, o->value, 0) < 0)
			return err_sys(err, errno, "option %s of %s", o->key, type);
	if (fsconfig(context_fd, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		return err_sys(err, errno, "make a %s", type);
	mount_fd = fsmount(context_fd, FSMOUNT_CLOEXEC, (unsigned)attributes);
	if (mount_fd < 0)
		return err_sys(err, errno, "mount a %s", type);
	return mount_fd;
}

int mount_new_tmpfs(uint64_t size, uint64_t inodes, const char *mode, uint64_t attributes, struct err *err)
{
	char size_text[24], inodes_text[24];
	const struct mount_option options[] = {
		{"size", size_text}, {"nr_inodes", inodes_text}, {"mode", mode}, {NULL, NULL}};

	(void)snprintf(size_text, sizeof(size_text), "%llu", (unsigned long long)size);
	(void)snprintf(inodes_text, sizeof(inodes_text), "%llu", (unsigned long long)inodes);
	return mount_new("tmpfs", options, attributes, err);
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
