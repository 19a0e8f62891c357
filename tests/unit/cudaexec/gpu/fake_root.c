#include "tests/unit/cudaexec/gpu/fake_root.h"

#include "supervisor/util.h"

#include <check.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

static void full_path(const struct fake_root *root, const char *path, char *full)
{
	ck_assert_int_lt(snprintf(full, PATH_MAX, "%s%s", root->path, path), PATH_MAX);
	for (char *slash = strchr(full + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		ck_assert(mkdir(full, 0755) == 0 || errno == EEXIST);
		*slash = '/';
	}
	(void)unlink(full);
}

void fake_root_file(const struct fake_root *root, const char *path, const char *text)
{
	char full[PATH_MAX];
	_cleanup_file_ FILE *file = NULL;

	full_path(root, path, full);
	file = fopen(full, "we");
	ck_assert_ptr_nonnull(file);
	ck_assert_int_ge(fputs(text, file), 0);
}

void fake_root_link(const struct fake_root *root, const char *path, const char *target)
{
	char full[PATH_MAX];

	full_path(root, path, full);
	ck_assert_int_eq(symlink(target, full), 0);
}

void fake_root_node(const struct fake_root *root, const char *path, unsigned major_number, unsigned minor_number)
{
	char full[PATH_MAX];

	full_path(root, path, full);
	ck_assert_int_eq(mknod(full, S_IFCHR | 0666, makedev(major_number, minor_number)), 0);
}

void fake_root_delete(const struct fake_root *root, const char *path)
{
	char full[PATH_MAX];

	ck_assert_int_lt(snprintf(full, PATH_MAX, "%s%s", root->path, path), PATH_MAX);
	ck_assert_int_eq(unlink(full), 0);
}

static void make_libraries(const struct fake_root *root)
{
	static const char *const names[] = {"libcuda",
					    "libnvidia-ml",
					    "libnvidia-cfg",
					    "libnvidia-ptxjitcompiler",
					    "libnvidia-nvvm",
					    "libnvcuvid",
					    "libnvidia-opticalflow",
					    "libnvidia-eglcore",
					    "libnvidia-new",
					    "libnvidia-pkcs11-openssl3"};
	char path[PATH_MAX];

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		(void)snprintf(path, sizeof(path), FAKE_FOLDER "/%s.so." FAKE_VERSION, names[i]);
		fake_root_file(root, path, "");
	}
	/* Debian's way: versioned file in a folder of its own, alternatives beside the other libraries. */
	fake_root_link(root, FAKE_FOLDER "/libcuda.so.1", "libcuda.so." FAKE_VERSION);
	fake_root_link(root, "/etc/alternatives/glx--libcuda.so.1", FAKE_FOLDER "/libcuda.so.1");
	fake_root_link(root, "/usr/lib/x86_64-linux-gnu/libcuda.so.1", "/etc/alternatives/glx--libcuda.so.1");
	fake_root_link(root, "/usr/lib/x86_64-linux-gnu/libnvidia-ml.so",
		       "nvidia/current/libnvidia-ml.so." FAKE_VERSION);
	/* Left over from an older driver: not to be taken. */
	fake_root_file(root, "/usr/lib/x86_64-linux-gnu/libcuda.so.998.1.2", "");
	fake_root_file(root, "/usr/lib/x86_64-linux-gnu/libnvidia-cfg.so.998.1.2", "");
}

void fake_root_make(struct fake_root *root)
{
	(void)strcpy(root->path, "/tmp/ferrite-gpu-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(root->path));
	make_libraries(root);
	fake_root_file(root, "/usr/bin/nvidia-smi", "");
	fake_root_file(root, "/usr/bin/nvidia-cuda-mps-control", "");
	fake_root_file(root, "/sys/module/nvidia/version", FAKE_VERSION "\n");
	fake_root_file(root, "/proc/driver/nvidia/version", "NVRM version: NVIDIA UNIX  " FAKE_VERSION "  x\n");
	fake_root_file(root, "/proc/driver/nvidia/params", "ModifyDeviceFiles: 1\nDeviceFileUID: 0\n");
	fake_root_file(root, "/proc/driver/nvidia/registry", "Binary: \"\"\n");
	fake_root_file(root, "/proc/devices", "Character devices:\n195 nvidia\n507 nvidia-uvm\n\nBlock devices:\n");
	fake_root_file(root, "/proc/driver/nvidia/gpus/0000:65:00.0/information",
		       "Model: NVIDIA T4\nGPU UUID: GPU-1111\nDevice Minor: 0\n");
	/* The minor is not the index. */
	fake_root_file(root, "/proc/driver/nvidia/gpus/0000:b3:00.0/information",
		       "Model: NVIDIA T4\nGPU UUID: GPU-2222\nDevice Minor: 5\n");
	fake_root_node(root, "/dev/nvidiactl", 195, 255);
	fake_root_node(root, "/dev/nvidia0", 195, 0);
	fake_root_node(root, "/dev/nvidia5", 195, 5);
	fake_root_node(root, "/dev/nvidia-modeset", 195, 254);
	fake_root_node(root, "/dev/nvidia-uvm", 507, 0);
	fake_root_node(root, "/dev/nvidia-uvm-tools", 507, 1);
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

void fake_root_remove(struct fake_root *root)
{
	(void)nftw(root->path, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}
