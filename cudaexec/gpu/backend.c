#include "cudaexec/gpu/backend.h"

#include "cudaexec/gpu/capabilities.h"
#include "cudaexec/gpu/rootfs.h"
#include "supervisor/str.h"
#include "supervisor/util.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysinfo.h>

#define VERSION_TEXT_MAX    (4 * KIB)
#define SOFTWARE_MEMORY_MIN GIB

const char *const gpu_mode_names[GPU_MODE_MAX] = {"auto", "nvidia", "software", "none"};

static const struct backend empty = {.host_fd = -1, .dev_fd = -1, .cudaexec_fd = -1};

/* The version of the loaded kernel module, "" when there is none. */
static void kernel_version(int host_fd, char *version, size_t size)
{
	_cleanup_free_ char *module = NULL, *proc = NULL;

	version[0] = '\0';
	if (rootfs_read(host_fd, "/sys/module/nvidia/version", VERSION_TEXT_MAX, &module, NULL) > 0) {
		module[strcspn(module, " \n")] = '\0';
		if (driver_version_valid(module) && str_copy(version, size, module))
			return;
	}
	if (rootfs_read(host_fd, "/proc/driver/nvidia/version", VERSION_TEXT_MAX, &proc, NULL) > 0)
		(void)driverproc_version(proc, version, size);
}

static const char *setting_or_environment(const char *setting, const char *default_value, const char *first,
					  const char *second)
{
	const char *text = NULL;

	if (strcmp(setting, default_value) != 0)
		return setting;
	text = getenv(first);
	if ((!text || text[0] != '/') && second)
		text = getenv(second);
	return text && text[0] == '/' ? text : default_value;
}

/* Fills the inventory; NVML first, the proc files when it cannot be had. */
static int read_inventory(struct backend *backend, struct err *err)
{
	int index = driver_files_library(&backend->files, "libnvidia-ml");
	struct err nvml_err = ERR_INIT;
	struct nvml nvml = {0};
	char path[32];
	int code;

	if (index >= 0) {
		(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", backend->files.libraries[index].fd);
		code = nvml_open(path, &nvml, &nvml_err);
		if (code == 0)
			code = inventory_from_nvml(&nvml, &backend->inventory, &nvml_err);
		nvml_close(&nvml);
		if (code == 0)
			return 0;
	} else {
		(void)err_set(&nvml_err, -ENOENT, "the driver has no libnvidia-ml");
	}
	if (inventory_from_proc(backend->host_fd, backend->files.version, &backend->inventory, NULL) == 0)
		return 0;
	return err_set(err, -ENODEV, "%s", nvml_err.text);
}

static int open_nvidia(const struct backend_config *config, struct backend *backend, struct err *err)
{
	const char *root = setting_or_environment(config->driver_root, "/", "NVIDIA_DRIVER_ROOT", "DRIVER_ROOT");
	const char *dev = setting_or_environment(config->dev_root, "", "NVIDIA_DEV_ROOT", NULL);
	_cleanup_fd_ int root_fd = -1;
	char version[DRIVER_VERSION_MAX];
	int code;

	kernel_version(backend->host_fd, version, sizeof(version));
	if (version[0] == '\0')
		return err_set(err, -ENODEV, "no NVIDIA kernel module is loaded (no /proc/driver/nvidia/version)");
	root_fd = rootfs_open(strcmp(root, "/") == 0 ? config->host_root : root, err);
	if (root_fd < 0)
		return root_fd;
	backend->dev_fd = rootfs_open(dev[0] ? dev : config->host_root, err);
	if (backend->dev_fd < 0)
		return backend->dev_fd;
	code = driver_files_find(&(struct driver_search){root_fd, config->library_dirs, version}, &backend->files, err);
	if (code == 0)
		code = read_inventory(backend, err);
	if (code < 0)
		return code;
	backend->kind = GPU_KIND_NVIDIA;
	(void)str_copy(backend->root, sizeof(backend->root), root);
	(void)snprintf(backend->reason, sizeof(backend->reason), "NVIDIA driver %s", backend->files.version);
	return 0;
}

/* The folder of this program. */
static bool own_folder(char *folder, size_t size)
{
	ssize_t length = readlink("/proc/self/exe", folder, size - 1);
	char *slash;

	if (length <= 0)
		return false;
	folder[length] = '\0';
	slash = strrchr(folder, '/');
	if (slash)
		*slash = '\0';
	return slash != NULL;
}

/* Installed: PREFIX/libexec/ferrite beside PREFIX/lib/ferrite. In a build folder: libexec beside lib/ferrite. */
static bool software_folder(const struct backend_config *config, char *path, size_t size)
{
	static const char *const candidates[] = {"../../lib/ferrite/software-device", "../lib/ferrite/software-device"};
	char own[PATH_MAX], library[2 * PATH_MAX];

	if (config->software_device_dir[0])
		return str_copy(path, size, config->software_device_dir);
	if (!own_folder(own, sizeof(own)))
		return false;
	for (size_t i = 0; i < ARRAY_LEN(candidates); i++) {
		(void)snprintf(library, sizeof(library), "%s/%s/libcuda.so.1", own, candidates[i]);
		if (access(library, R_OK) != 0)
			continue;
		(void)snprintf(library, sizeof(library), "%s/%s", own, candidates[i]);
		return realpath(library, own) && str_copy(path, size, own);
	}
	return false;
}

static int take_software_library(struct driver_files *files, const char *folder, const char *name,
				 unsigned capabilities, struct err *err)
{
	struct driver_file *file = &files->libraries[files->n_libraries];
	char path[PATH_MAX];
	struct stat st;

	if (snprintf(path, sizeof(path), "%s/%s", folder, name) >= (int)sizeof(path))
		return err_set(err, -ENAMETOOLONG, "software device folder %s", folder);
	*file = (struct driver_file){.capabilities = capabilities, .fd = open(path, O_PATH | O_CLOEXEC)};
	if (file->fd < 0)
		return err_sys(err, errno, "software device: open %s", path);
	files->n_libraries++;
	if (fstat(file->fd, &st) < 0 || !S_ISREG(st.st_mode))
		return err_set(err, -EINVAL, "software device: %s is no regular file", path);
	(void)str_copy(file->name, sizeof(file->name), name);
	return 0;
}

/* Each process has a device of its own out of its container's memory; half of the machine's may be given away so. */
static uint64_t software_memory(void)
{
	struct sysinfo info;

	if (sysinfo(&info) < 0)
		return SOFTWARE_MEMORY_MIN;
	return MAX((uint64_t)info.totalram * info.mem_unit / 2, SOFTWARE_MEMORY_MIN);
}

static int open_software(const struct backend_config *config, struct backend *backend, struct err *err)
{
	int code;

	if (!software_folder(config, backend->root, sizeof(backend->root)))
		return err_set(
			err, -ENOENT,
			"the software device is not where it is looked for: set software_device_dir to the folder "
			"with its libcuda.so.1");
	code = take_software_library(&backend->files, backend->root, "libcuda.so.1", CAPABILITY_COMPUTE, err);
	if (code == 0)
		code = take_software_library(&backend->files, backend->root, "libnvidia-ml.so.1", CAPABILITY_UTILITY,
					     err);
	if (code == 0)
		code = read_inventory(backend, err);
	if (code < 0)
		return code;
	(void)str_copy(backend->files.version, sizeof(backend->files.version), FERRITE_VERSION);
	for (unsigned i = 0; i < backend->inventory.count; i++)
		backend->inventory.gpus[i].memory_bytes = software_memory();
	backend->kind = GPU_KIND_SOFTWARE;
	return 0;
}

/* What auto does when there is no real GPU, or what was asked for. */
static int open_mode(const struct backend_config *config, struct backend *backend, struct err *err)
{
	struct err why = ERR_INIT;
	int code;

	switch (config->mode) {
	case GPU_MODE_NVIDIA:
		return open_nvidia(config, backend, err);
	case GPU_MODE_SOFTWARE:
		(void)str_copy(backend->reason, sizeof(backend->reason), "the configuration asks for it");
		return open_software(config, backend, err);
	case GPU_MODE_AUTO:
		code = open_nvidia(config, backend, &why);
		if (code == 0)
			return 0;
		driver_files_done(&backend->files);
		(void)snprintf(backend->reason, sizeof(backend->reason), "no NVIDIA GPU can be used: %.400s", why.text);
		code = open_software(config, backend, err);
		return code < 0 ? err_wrap(err, "%s; and the software device cannot be used", backend->reason) : 0;
	default:
		(void)str_copy(backend->reason, sizeof(backend->reason), "the configuration switches GPUs off");
		return 0;
	}
}

/* The runner is not needed by images that bring their own program, so its absence is no error here. */
static void open_cudaexec(const struct backend_config *config, struct backend *backend)
{
	char path[PATH_MAX + 16];
	struct stat st;

	if (config->cudaexec[0]) {
		(void)snprintf(path, sizeof(path), "%s", config->cudaexec);
	} else {
		if (!own_folder(path, PATH_MAX))
			return;
		(void)strcat(path, "/cudaexec");
	}
	backend->cudaexec_fd = open(path, O_PATH | O_CLOEXEC);
	if (backend->cudaexec_fd >= 0 && (fstat(backend->cudaexec_fd, &st) < 0 || !S_ISREG(st.st_mode)))
		fd_close(&backend->cudaexec_fd);
}

int backend_open(const struct backend_config *config, struct backend *ret_backend, struct err *err)
{
	struct backend *backend = malloc(sizeof(*backend));
	int code;

	if (!backend)
		return err_set(err, -ENOMEM, "no memory for the inventory of GPUs");
	*backend = empty;
	backend->mode = config->mode;
	code = backend->host_fd = rootfs_open(config->host_root, err);
	if (code >= 0)
		code = open_mode(config, backend, err);
	if (code >= 0 && config->mode != GPU_MODE_NONE)
		code = cdi_load(backend->host_fd, config->cdi_dirs, config->notice, &backend->cdi, err);
	if (code >= 0)
		open_cudaexec(config, backend);
	if (code >= 0)
		*ret_backend = *backend;
	else
		backend_close(backend);
	free(backend);
	return code < 0 ? code : 0;
}

struct injection_source backend_source(const struct backend *backend)
{
	return (struct injection_source){
		.kind = backend->kind,
		.files = &backend->files,
		.inventory = &backend->inventory,
		.host_fd = backend->host_fd,
		.dev_fd = backend->dev_fd,
		.cudaexec_fd = backend->cudaexec_fd,
	};
}

void backend_close(struct backend *backend)
{
	driver_files_done(&backend->files);
	cdi_done(&backend->cdi);
	fd_close(&backend->host_fd);
	fd_close(&backend->dev_fd);
	fd_close(&backend->cudaexec_fd);
	*backend = empty;
}
