/* Discovery and the injection list over a driver root made in a temporary folder, and the software device's list. */
#include "cudaexec/gpu/backend.h"
#include "cudaexec/gpu/capabilities.h"
#include "cudaexec/gpu/rootfs.h"
#include "supervisor/str.h"
#include "supervisor/util.h"
#include "tests/unit/cudaexec/gpu/fake_root.h"

#include <check.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#define LIB INJECTION_LIBRARIES "/"
#define V   "." FAKE_VERSION

static struct fake_root root;
static struct backend backend;

static struct backend_config config_make(enum gpu_mode mode)
{
	struct backend_config config = {.mode = mode, .driver_root = "/"};

	(void)str_copy(config.host_root, sizeof(config.host_root), root.path);
	(void)str_copy(config.cudaexec, sizeof(config.cudaexec), "/bin/sh");
	return config;
}

static void setup(void)
{
	struct backend_config config;
	struct err err = ERR_INIT;

	fake_root_make(&root);
	config = config_make(GPU_MODE_NVIDIA);
	ck_assert_msg(backend_open(&config, &backend, &err) == 0, "%s", err.text);
}

static void teardown(void)
{
	backend_close(&backend);
	fake_root_remove(&root);
}

/* One line per item: what golden lists are compared with. */
static void describe(const struct injection *injection, char *text, size_t size)
{
	static const char *const kinds[SBX_ITEM_MAX] = {"file", "device", "link", "text"};
	size_t used = 0;

	text[0] = '\0';
	for (unsigned i = 0; i < injection->count; i++) {
		const struct injection_item *item = &injection->items[i];
		char detail[64] = "";
		struct stat st;

		if (item->kind == SBX_ITEM_LINK)
			(void)snprintf(detail, sizeof(detail), " -> %s", item->content);
		if (item->kind == SBX_ITEM_DEVICE && fstat(item->fd, &st) == 0)
			(void)snprintf(detail, sizeof(detail), " %u:%u", major(st.st_rdev), minor(st.st_rdev));
		used += (size_t)snprintf(text + used, size - used, "%s %s%s\n", kinds[item->kind], item->destination,
					 detail);
		ck_assert_uint_lt(used, size);
	}
}

static bool has(const char *text, const char *line)
{
	char full[256];

	(void)snprintf(full, sizeof(full), "%s\n", line);
	return strstr(text, full) != NULL;
}

static void build(uint64_t mask, unsigned capabilities, char *text, size_t size)
{
	struct injection_source source = backend_source(&backend);
	struct injection injection;
	struct err err = ERR_INIT;

	ck_assert_msg(injection_build(&source, mask, capabilities, &injection, &err) == 0, "%s", err.text);
	describe(&injection, text, size);
	injection_done(&injection);
}

START_TEST(finds_driver)
{
	ck_assert_int_eq(backend.kind, GPU_KIND_NVIDIA);
	ck_assert_str_eq(backend.files.version, FAKE_VERSION);
	ck_assert_uint_eq(backend.files.n_libraries, 10);
	ck_assert_uint_eq(backend.inventory.count, 2); /* NVML is an empty file here: the proc files answer */
	ck_assert_str_eq(backend.inventory.gpus[0].uuid, "GPU-1111");
	ck_assert_int_eq(backend.inventory.gpus[1].minor, 5);
	ck_assert_str_eq(backend.inventory.gpus[1].bus_id, "0000:b3:00.0");
	ck_assert_str_eq(backend.inventory.gpus[1].name, "NVIDIA T4");
}
END_TEST

START_TEST(compute_golden)
{
	char text[8192];

	build(2, CAPABILITY_COMPUTE, text, sizeof(text));
	ck_assert(has(text, "file " LIB "libcuda.so" V));
	ck_assert(has(text, "file " LIB "libnvidia-ptxjitcompiler.so" V));
	ck_assert(has(text, "file " LIB "libnvidia-nvvm.so" V));
	ck_assert(has(text, "link " LIB "libcuda.so.1 -> libcuda.so" V));
	ck_assert(has(text, "link " LIB "libcuda.so -> libcuda.so.1"));
	ck_assert(has(text, "link " LIB "libnvidia-nvvm.so.4 -> libnvidia-nvvm.so" V));
	ck_assert(!strstr(text, "libnvidia-pkcs11-openssl3.so.1 "));
	ck_assert(!strstr(text, "libnvidia-ml"));
	ck_assert(!strstr(text, "998.1.2"));
	ck_assert(!strstr(text, "nvidia-smi"));
	ck_assert(has(text, "file " INJECTION_PROGRAMS "/nvidia-cuda-mps-control"));
	ck_assert(has(text, "device /dev/nvidiactl 195:255"));
	ck_assert(has(text, "device /dev/nvidia-uvm 507:0"));
	ck_assert(has(text, "device /dev/nvidia-uvm-tools 507:1"));
	ck_assert(has(text, "device /dev/nvidia5 195:5"));
	ck_assert(!strstr(text, "/dev/nvidia0"));
	ck_assert(!strstr(text, "modeset"));
	ck_assert(has(text, "text /proc/driver/nvidia/params"));
	ck_assert(has(text, "text /proc/driver/nvidia/gpus/0000:b3:00.0/information"));
	ck_assert(!strstr(text, "0000:65:00.0"));
	ck_assert(has(text, "file " INJECTION_CUDAEXEC));
}
END_TEST

START_TEST(utility_golden)
{
	char text[8192];

	build(1, CAPABILITY_UTILITY, text, sizeof(text));
	ck_assert(has(text, "file " LIB "libnvidia-ml.so" V));
	ck_assert(has(text, "link " LIB "libnvidia-ml.so.1 -> libnvidia-ml.so" V));
	ck_assert(has(text, "link " LIB "libnvidia-ml.so -> libnvidia-ml.so" V));
	ck_assert(has(text, "file " LIB "libnvidia-cfg.so" V));
	ck_assert(has(text, "file " INJECTION_PROGRAMS "/nvidia-smi"));
	ck_assert(!strstr(text, "libcuda"));
	ck_assert(has(text, "device /dev/nvidia0 195:0"));
}
END_TEST

START_TEST(default_golden)
{
	char text[8192];

	build(3, CAPABILITIES_DEFAULT, text, sizeof(text));
	ck_assert(has(text, "file " LIB "libcuda.so" V));
	ck_assert(has(text, "file " LIB "libnvidia-ml.so" V));
	ck_assert(has(text, "file " INJECTION_PROGRAMS "/nvidia-smi"));
	ck_assert(has(text, "file " INJECTION_PROGRAMS "/nvidia-cuda-mps-control"));
	ck_assert(has(text, "device /dev/nvidia0 195:0"));
	ck_assert(has(text, "device /dev/nvidia5 195:5"));
	ck_assert(!strstr(text, "libnvidia-eglcore"));
	ck_assert(!strstr(text, "libnvcuvid"));
	ck_assert(!strstr(text, "modeset"));
}
END_TEST

START_TEST(all_golden)
{
	char text[8192];

	build(3, CAPABILITIES_ALL, text, sizeof(text));
	ck_assert(has(text, "file " LIB "libnvidia-eglcore.so" V));
	ck_assert(has(text, "file " LIB "libnvidia-new.so" V)); /* a library that no table knows */
	ck_assert(has(text, "link " LIB "libnvidia-opticalflow.so -> libnvidia-opticalflow.so.1"));
	ck_assert(has(text, "device /dev/nvidia-modeset 195:254"));
	ck_assert(has(text, "device /dev/nvidia0 195:0"));
	ck_assert(has(text, "device /dev/nvidia5 195:5"));
}
END_TEST

START_TEST(no_gpus)
{
	char text[8192];

	build(0, CAPABILITIES_DEFAULT, text, sizeof(text));
	ck_assert(has(text, "file " LIB "libcuda.so" V));
	ck_assert(!strstr(text, "device "));
}
END_TEST

START_TEST(params_are_edited)
{
	struct injection_source source = backend_source(&backend);
	struct injection injection;
	bool seen = false;

	ck_assert_int_eq(injection_build(&source, 1, CAPABILITY_COMPUTE, &injection, NULL), 0);
	for (unsigned i = 0; i < injection.count; i++) {
		if (strcmp(injection.items[i].destination, "/proc/driver/nvidia/params") != 0)
			continue;
		seen = true;
		ck_assert_str_eq(injection.items[i].content, "ModifyDeviceFiles: 0\nDeviceFileUID: 0\n");
	}
	ck_assert(seen);
	injection_done(&injection);
}
END_TEST

static void expect_failure(int code, const char *part)
{
	struct injection_source source = backend_source(&backend);
	struct injection injection;
	struct err err = ERR_INIT;

	ck_assert_int_eq(injection_build(&source, 1, CAPABILITY_COMPUTE, &injection, &err), code);
	ck_assert_msg(strstr(err.text, part) != NULL, "%s", err.text);
}

START_TEST(bad_nodes)
{
	fake_root_node(&root, "/dev/nvidia0", 1, 3); /* somebody's null device under that name */
	expect_failure(-EPERM, "/dev/nvidia0 is not character device 195:0");
	fake_root_file(&root, "/dev/nvidia0", "");
	expect_failure(-EPERM, "/dev/nvidia0");
	fake_root_link(&root, "/dev/nvidia0", "/dev/nvidia5");
	expect_failure(-EPERM, "/dev/nvidia0");
	fake_root_delete(&root, "/dev/nvidia0");
	expect_failure(-ENOENT, "nvidia-modprobe");
	fake_root_node(&root, "/dev/nvidia0", 195, 0);
	fake_root_delete(&root, "/dev/nvidia-uvm");
	expect_failure(-ENOENT, "/dev/nvidia-uvm is missing");
	fake_root_file(&root, "/proc/devices", "Character devices:\n195 nvidia\n");
	expect_failure(-ENOENT, "no nvidia-uvm");
}
END_TEST

static void expect_no_backend(enum gpu_mode mode, int code, const char *part)
{
	struct backend_config config = config_make(mode);
	struct backend other;
	struct err err = ERR_INIT;

	ck_assert_int_eq(backend_open(&config, &other, &err), code);
	ck_assert_msg(strstr(err.text, part) != NULL, "%s", err.text);
}

START_TEST(no_driver)
{
	fake_root_file(&root, "/sys/module/nvidia/version", "1000.1.1\n");
	expect_no_backend(GPU_MODE_NVIDIA, -ENOENT, "no libcuda.so.1000.1.1");
	fake_root_delete(&root, "/sys/module/nvidia/version");
	fake_root_delete(&root, "/proc/driver/nvidia/version");
	expect_no_backend(GPU_MODE_NVIDIA, -ENODEV, "no NVIDIA kernel module");
}
END_TEST

START_TEST(other_root)
{
	struct backend_config config = config_make(GPU_MODE_NVIDIA);
	struct fake_root bare = {"/tmp/ferrite-gpu-host"};
	struct backend other;

	/* proc and sys of one tree, driver of another, as with a driver in a container */
	(void)str_copy(config.driver_root, sizeof(config.driver_root), root.path);
	(void)str_copy(config.dev_root, sizeof(config.dev_root), root.path);
	(void)snprintf(bare.path, sizeof(bare.path), "/tmp/ferrite-host-%d", (int)getpid());
	fake_root_file(&bare, "/proc/driver/nvidia/version", "NVRM version: " FAKE_VERSION "\n");
	fake_root_file(&bare, "/proc/driver/nvidia/gpus/0000:01:00.0/information",
		       "GPU UUID: GPU-9\nDevice Minor: 0\n");
	(void)str_copy(config.host_root, sizeof(config.host_root), bare.path);
	ck_assert_int_eq(backend_open(&config, &other, NULL), 0);
	ck_assert_str_eq(other.inventory.gpus[0].uuid, "GPU-9");
	ck_assert_uint_eq(other.files.n_libraries, 10);
	backend_close(&other);
	fake_root_remove(&bare);
}
END_TEST

START_TEST(library_dirs)
{
	struct backend_config config = config_make(GPU_MODE_NVIDIA);
	struct backend other;
	struct stat first, own;

	fake_root_file(&root, "/opt/special/libcuda.so." FAKE_VERSION, "special");
	(void)str_copy(config.library_dirs, sizeof(config.library_dirs), "/nowhere:/opt/special");
	ck_assert_int_eq(backend_open(&config, &other, NULL), 0);
	ck_assert_int_eq(fstat(other.files.libraries[driver_files_library(&other.files, "libcuda")].fd, &first), 0);
	ck_assert_int_eq(fstat(backend.files.libraries[driver_files_library(&backend.files, "libcuda")].fd, &own), 0);
	ck_assert_uint_eq((size_t)first.st_size, strlen("special"));
	ck_assert_uint_eq((size_t)own.st_size, 0);
	backend_close(&other);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("injection");
	TCase *tcase = tcase_create("fake root");

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, finds_driver);
	tcase_add_test(tcase, compute_golden);
	tcase_add_test(tcase, utility_golden);
	tcase_add_test(tcase, default_golden);
	tcase_add_test(tcase, all_golden);
	tcase_add_test(tcase, no_gpus);
	tcase_add_test(tcase, params_are_edited);
	tcase_add_test(tcase, bad_nodes);
	tcase_add_test(tcase, no_driver);
	tcase_add_test(tcase, other_root);
	tcase_add_test(tcase, library_dirs);
	suite_add_tcase(suite, tcase);
	return suite;
}

#include "tests/unit/main.h"
