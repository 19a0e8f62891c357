#include "sandbox/devices.h"

#include "sandbox/mounts.h"
#include "sandbox/root.h"
#include "supervisor/util.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#define DEV_BYTES  (64 * KIB)
#define DEV_INODES 512

const struct device_node device_nodes[] = {
	{"null", 1, 3}, {"zero", 1, 5}, {"full", 1, 7}, {"random", 1, 8}, {"urandom", 1, 9}, {"tty", 5, 0},
};
const unsigned device_nodes_count = ARRAY_LEN(device_nodes);

static const struct {
	const char *name, *target;
} links[] = {
	{"fd", "/proc/self/fd"},
	{"stdin", "/proc/self/fd/0"},
	{"stdout", "/proc/self/fd/1"},
	{"stderr", "/proc/self/fd/2"},
};

int device_clone_node(const struct device_node *node, struct err *err)
{
	char path[32];
	struct stat st;
	int fd;

	(void)snprintf(path, sizeof(path), "/dev/%s", node->name);
	fd = mount_clone(AT_FDCWD, path, err);
	if (fd < 0)
		return fd;
	if (fstat(fd, &st) < 0 || !S_ISCHR(st.st_mode) || st.st_rdev != makedev(node->major, node->minor)) {
		fd_close(&fd);
		return err_set(err, ENODEV, "%s of the host is not device %u:%u", path, node->major, node->minor);
	}
	return fd;
}

static int place_node(int dev_fd, const struct device_node *node, struct err *err)
{
	_cleanup_fd_ int node_fd = device_clone_node(node, err);

	if (node_fd < 0)
		return node_fd;
	if (mknodat(dev_fd, node->name, S_IFREG | 0666, 0) < 0)
		return err_sys(err, errno, "make /dev/%s", node->name);
	if (move_mount(node_fd, "", dev_fd, node->name, MOVE_MOUNT_F_EMPTY_PATH) < 0)
		return err_sys(err, errno, "place /dev/%s", node->name);
	return 0;
}

static int place_shm(int dev_fd, uint64_t bytes, struct err *err)
{
	_cleanup_fd_ int shm_fd = mount_new_tmpfs(bytes, DEVICES_SHM_INODES, "1777",
						  MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC, err);

	if (shm_fd < 0)
		return shm_fd;
	if (mkdirat(dev_fd, "shm", 01777) < 0)
		return err_sys(err, errno, "make /dev/shm");
	if (move_mount(shm_fd, "", dev_fd, "shm", MOVE_MOUNT_F_EMPTY_PATH) < 0)
		return err_sys(err, errno, "place /dev/shm");
	return take_fd(&shm_fd);
}

int devices_mount(int point_fd, uint64_t shm_bytes, int *ret_shm_fd, struct err *err)
{
	_cleanup_fd_ int dev_fd =
		mount_new_tmpfs(DEV_BYTES, DEV_INODES, "0755", MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC, err);
	int r;

	if (dev_fd < 0)
		return dev_fd;
	r = mount_place(dev_fd, point_fd, err);
	for (unsigned i = 0; r == 0 && i < device_nodes_count; i++)
		r = place_node(dev_fd, &device_nodes[i], err);
	for (unsigned i = 0; r == 0 && i < ARRAY_LEN(links); i++)
		r = root_put_link(dev_fd, links[i].name, links[i].target, err);
	if (r == 0)
		r = place_shm(dev_fd, shm_bytes, err);
	if (r < 0)
		return r;
	*ret_shm_fd = r;
	return take_fd(&dev_fd);
}

int devices_seal(int dev_fd, struct err *err)
{
	return mount_set_attributes(dev_fd, MOUNT_ATTR_RDONLY, err);
}
