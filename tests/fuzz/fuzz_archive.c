/*
 * Layer archives: whatever the bytes say, files appear only below the target directory, within the limits, and the tree
 * that appears can be walked. The same code runs confined in the store; here it runs as it is.
 */
#include "rootfs/store.h"
#include "rootfs/tree.h"
#include "rootfs/unpack.h"
#include "supervisor/util.h"

#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>

#define LIMITS ((struct unpack_limits){.bytes = 8 * MIB, .entries = 512})

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char folder[] = "/tmp/ferrite-fuzz-archive-XXXXXX";
static int folder_fd = -1;

static void remove_folder(void)
{
	(void)store_delete_tree(folder_fd, "root", NULL);
	fd_close(&folder_fd);
	(void)umount2(folder, MNT_DETACH);
	(void)rmdir(folder);
}

/* Where root runs it the folder is a file system that nobody else sees: what appears and disappears there is ours. */
static void make_folder(void)
{
	if (!mkdtemp(folder))
		abort();
	if (unshare(CLONE_NEWNS) == 0 &&
	    (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	     mount("none", folder, "tmpfs", MS_NOSUID | MS_NODEV, "size=64m,mode=755") < 0))
		abort();
	folder_fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (folder_fd < 0)
		abort();
	(void)atexit(remove_folder);
}

/* Nothing but the target stands in the folder around it. */
static void check_folder(void)
{
	int fd = openat(folder_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	_cleanup_dir_ DIR *dir = fd < 0 ? NULL : fdopendir(fd);

	for (struct dirent *d = dir ? readdir(dir) : NULL; d; d = readdir(dir))
		if (strcmp(d->d_name, ".") != 0 && strcmp(d->d_name, "..") != 0 && strcmp(d->d_name, "root") != 0)
			abort();
}

static void ignore_name(void *context, const char *name)
{
	(void)context;
	(void)name;
}

static void unpack(int archive_fd)
{
	static const struct tree_visitor visitor = {.needed = ignore_name, .provided = ignore_name};
	const struct unpack_limits limits = LIMITS;
	struct unpack_result result;
	struct tree_result tree;
	struct err err = ERR_INIT;
	_cleanup_fd_ int root_fd = -1;
	int r;

	if (mkdirat(folder_fd, "root", 0755) < 0)
		abort();
	root_fd = openat(folder_fd, "root", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	r = unpack_layer(archive_fd, root_fd, &limits, NULL, NULL, &result, &err);
	if (r < 0 && (err.code != r || !err.text[0]))
		abort();
	if (r == 0 && (result.bytes > limits.bytes || result.entries > limits.entries))
		abort();
	/* Owners other than root's make files that only root can read: both is fine. */
	if (tree_walk(root_fd, &visitor, &tree, &err) == 0 && r == 0 && tree.bytes > limits.bytes * 512)
		abort();
	if (store_delete_tree(folder_fd, "root", &err) < 0) {
		(void)fprintf(stderr, "%s\n", err.text);
		abort();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_fd_ int archive_fd = memfd_create("archive", MFD_CLOEXEC);

	if (folder_fd < 0)
		make_folder();
	if (archive_fd < 0 || fd_write_all(archive_fd, data, size) < 0 || lseek(archive_fd, 0, SEEK_SET) < 0)
		abort();
	unpack(archive_fd);
	check_folder();
	return 0;
}
