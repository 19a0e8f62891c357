#include "cudaexec/gpu/injection.h"

#include "cudaexec/gpu/capabilities.h"
#include "cudaexec/gpu/driverproc.h"
#include "cudaexec/gpu/rootfs.h"
#include "supervisor/util.h"

#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#define NVIDIA_MAJOR	195u
#define MINOR_CONTROL	255u
#define MINOR_MODESET	254u
#define MINOR_UVM	0u
#define MINOR_UVM_TOOLS 1u
#define PROC_TEXT_MAX	(64 * KIB)
#define PROC_FOLDER	"/proc/driver/nvidia"

static struct injection_item *find(struct injection *list, const char *destination)
{
	for (unsigned i = 0; i < list->count; i++)
		if (strcmp(list->items[i].destination, destination) == 0)
			return &list->items[i];
	return NULL;
}

static void item_done(struct injection_item *item)
{
	free(item->destination);
	free(item->content);
	fd_close(&item->fd);
}

int injection_add(struct injection *list, enum sbx_item_kind kind, const char *destination, const char *content, int fd,
		  const char *why, struct err *err)
{
	struct injection_item item = {kind, strdup(destination), content ? strdup(content) : NULL, fd, ""};
	struct injection_item *place = find(list, destination);

	if ((!place && list->count == SBX_ITEMS_MAX) || !item.destination || (content && !item.content)) {
		bool full = !place && list->count == SBX_ITEMS_MAX;

		free(item.destination);
		free(item.content);
		fd_close(&item.fd);
		return full ? err_set(err, -EOVERFLOW, "more than %d things to inject", SBX_ITEMS_MAX)
			    : err_set(err, -ENOMEM, "no memory for %s", destination);
	}
	(void)snprintf(item.why, sizeof(item.why), "%s", why);
	if (place)
		item_done(place);
	else
		place = &list->items[list->count++];
	*place = item;
	return 0;
}

static int add_file(struct injection *list, const char *folder, const char *name, int fd, const char *why,
		    struct err *err)
{
	char destination[PATH_MAX];
	int copy = fcntl(fd, F_DUPFD_CLOEXEC, 3);

	if (copy < 0)
		return err_sys(err, errno, "duplicate the descriptor of %s", name);
	(void)snprintf(destination, sizeof(destination), "%s%s%s", folder, name[0] ? "/" : "", name);
	return injection_add(list, SBX_ITEM_FILE, destination, NULL, copy, why, err);
}

static bool present(struct injection *list, const char *destination)
{
	return find(list, destination) != NULL;
}

/* A link beside the libraries, unless something has that name. */
static int add_link(struct injection *list, const char *name, const char *target, const char *why, struct err *err)
{
	char destination[PATH_MAX];

	(void)snprintf(destination, sizeof(destination), INJECTION_LIBRARIES "/%s", name);
	return present(list, destination) ? 0 : injection_add(list, SBX_ITEM_LINK, destination, target, -1, why, err);
}

static bool wanted(const struct driver_file *file, unsigned capabilities)
{
	return (file->capabilities & capabilities) || capabilities == CAPABILITIES_ALL;
}

/* Adds a library or program with the capabilities that want it. */
static int add_wanted(struct injection *list, const char *folder, const struct driver_file *file, unsigned capabilities,
		      struct err *err)
{
	char why[INJECTION_WHY_MAX] = "for ", names[CAPABILITIES_TEXT_MAX];

	if (!(file->capabilities & capabilities))
		return add_file(list, folder, file->name, file->fd, "every driver capability is asked for", err);
	capabilities_text(file->capabilities & capabilities, names);
	(void)strcat(why, names);
	return add_file(list, folder, file->name, file->fd, why, err);
}

static int add_soname(struct injection *list, const struct driver_file *file, struct err *err)
{
	const char *so = strstr(file->name, ".so.");
	char soname[DRIVER_NAME_MAX + 16];

	if (file->soname == 0 || !so)
		return 0;
	(void)snprintf(soname, sizeof(soname), "%.*s.so.%u", (int)(so - file->name), file->name, file->soname);
	return add_link(list, soname, file->name, "the name that programs are linked with", err);
}

static int add_libraries(struct injection *list, const struct driver_files *files, unsigned capabilities,
			 struct err *err)
{
	int code = 0;

	for (unsigned i = 0; i < files->n_libraries && code == 0; i++)
		if (wanted(&files->libraries[i], capabilities))
			code = add_wanted(list, INJECTION_LIBRARIES, &files->libraries[i], capabilities, err);
	for (unsigned i = 0; i < files->n_libraries && code == 0; i++)
		if (wanted(&files->libraries[i], capabilities))
			code = add_soname(list, &files->libraries[i], err);
	for (unsigned i = 0; i < files->n_links && code == 0; i++) {
		const struct driver_file *file = &files->libraries[files->links[i].library];

		if (wanted(file, capabilities))
			code = add_link(list, files->links[i].name, file->name, "this machine has the link too", err);
	}
	/* Programs open the bare name too, whether the host has that link or not. */
	if (code == 0 && present(list, INJECTION_LIBRARIES "/libcuda.so.1"))
		code = add_link(list, "libcuda.so", "libcuda.so.1", "programs open this name too", err);
	if (code == 0 && present(list, INJECTION_LIBRARIES "/libnvidia-opticalflow.so.1"))
		code = add_link(list, "libnvidia-opticalflow.so", "libnvidia-opticalflow.so.1",
				"programs open this name too", err);
	return code;
}

static int add_programs(struct injection *list, const struct driver_files *files, unsigned capabilities,
			struct err *err)
{
	int code = 0;

	for (unsigned i = 0; i < files->n_programs && code == 0; i++)
		if (wanted(&files->programs[i], capabilities))
			code = add_wanted(list, INJECTION_PROGRAMS, &files->programs[i], capabilities, err);
	return code;
}

/* Adds a node after comparing its device number. */
static int add_node(struct injection *list, int dev_fd, const char *path, unsigned major_number, unsigned minor_number,
		    bool needed, const char *why, struct err *err)
{
	_cleanup_fd_ int fd = rootfs_open_at(dev_fd, path, O_PATH);
	struct stat st;

	if (fd == -ENOENT && !needed)
		return 0;
	if (fd == -ENOENT)
		return err_set(err, -ENOENT,
			       "%s is missing on this machine; make it as root with: nvidia-modprobe -u -c 0", path);
	if (fd < 0 || fstat(fd, &st) < 0)
		return err_sys(err, fd < 0 ? fd : errno, "open %s", path);
	if (!S_ISCHR(st.st_mode) || st.st_rdev != makedev(major_number, minor_number))
		return err_set(err, -EPERM, "%s is not character device %u:%u; it is not handed to a container", path,
			       major_number, minor_number);
	return injection_add(list, SBX_ITEM_DEVICE, path, NULL, take_fd(&fd), why, err);
}

static int add_gpu_nodes(struct injection *list, const struct injection_source *source, uint64_t mask, struct err *err)
{
	int code = 0;

	for (unsigned i = 0; i < source->inventory->count && code == 0; i++) {
		const struct gpu *gpu = &source->inventory->gpus[i];
		char path[32], why[INJECTION_WHY_MAX];

		if (!(mask >> i & 1))
			continue;
		(void)snprintf(why, sizeof(why), "GPU %u, %.64s", i, gpu->uuid);
		if (gpu->minor < 0)
			return err_set(err, -ENODEV, "the driver does not say the device node of GPU %u (%s)", i,
				       gpu->uuid);
		(void)snprintf(path, sizeof(path), "/dev/nvidia%d", gpu->minor);
		code = add_node(list, source->dev_fd, path, NVIDIA_MAJOR, (unsigned)gpu->minor, true, why, err);
	}
	return code;
}

static int add_nodes(struct injection *list, const struct injection_source *source, uint64_t mask,
		     unsigned capabilities, struct err *err)
{
	_cleanup_free_ char *devices = NULL;
	unsigned uvm;
	int code;

	if (mask == 0)
		return 0; /* driver files only */
	if (rootfs_read(source->host_fd, "/proc/devices", PROC_TEXT_MAX, &devices, err) < 0)
		return err_wrap(err, "look for the driver's device numbers");
	if (!driverproc_major(devices, "nvidia-uvm", &uvm))
		return err_set(err, -ENOENT,
			       "the kernel has no nvidia-uvm device; load the module as root with: nvidia-modprobe -u "
			       "-c 0");
	code = add_node(list, source->dev_fd, "/dev/nvidiactl", NVIDIA_MAJOR, MINOR_CONTROL, true,
			"every use of the driver opens it", err);
	if (code == 0)
		code = add_node(list, source->dev_fd, "/dev/nvidia-uvm", uvm, MINOR_UVM, true,
				"every CUDA context opens it", err);
	if (code == 0)
		code = add_node(list, source->dev_fd, "/dev/nvidia-uvm-tools", uvm, MINOR_UVM_TOOLS, false,
				"profilers and debuggers open it", err);
	if (code == 0 && (capabilities & CAPABILITY_DISPLAY))
		code = add_node(list, source->dev_fd, "/dev/nvidia-modeset", NVIDIA_MAJOR, MINOR_MODESET, false,
				"for display", err);
	return code == 0 ? add_gpu_nodes(list, source, mask, err) : code;
}

/* A copy of a proc file; what is not there is left out. */
static int add_proc_copy(struct injection *list, int host_fd, const char *path, struct err *err)
{
	_cleanup_free_ char *text = NULL;

	if (rootfs_read(host_fd, path, PROC_TEXT_MAX, &text, NULL) < 0)
		return 0;
	return injection_add(list, SBX_ITEM_TEXT, path, text, -1, "a copy: the driver's other proc files are hidden",
			     err);
}

int injection_add_proc(struct injection *list, const struct injection_source *source, uint64_t mask, struct err *err)
{
	_cleanup_free_ char *params = NULL, *edited = NULL;
	int code = 0;

	if (rootfs_read(source->host_fd, PROC_FOLDER "/params", PROC_TEXT_MAX, &params, NULL) >= 0) {
		edited = driverproc_rewrite_params(params);
		code = edited ? injection_add(list, SBX_ITEM_TEXT, PROC_FOLDER "/params", edited, -1,
					      "a copy with ModifyDeviceFiles 0: libraries shall make no nodes", err)
			      : err_set(err, -ENOMEM, "no memory for the driver's parameters");
	}
	if (code == 0)
		code = add_proc_copy(list, source->host_fd, PROC_FOLDER "/version", err);
	if (code == 0)
		code = add_proc_copy(list, source->host_fd, PROC_FOLDER "/registry", err);
	for (unsigned i = 0; i < source->inventory->count && code == 0; i++) {
		char path[PATH_MAX];

		if (!(mask >> i & 1) || source->inventory->gpus[i].bus_id[0] == '\0')
			continue;
		(void)snprintf(path, sizeof(path), PROC_FOLDER "/gpus/%s/information",
			       source->inventory->gpus[i].bus_id);
		code = add_proc_copy(list, source->host_fd, path, err);
	}
	return code;
}

int injection_add_cudaexec(struct injection *list, int cudaexec_fd, struct err *err)
{
	return add_file(list, INJECTION_CUDAEXEC, "", cudaexec_fd, "the program that runs CUDA bundles", err);
}

int injection_build(const struct injection_source *source, uint64_t mask, unsigned capabilities,
		    struct injection *ret_injection, struct err *err)
{
	struct injection *list = calloc(1, sizeof(*list));
	int code = 0;

	if (!list)
		return err_set(err, -ENOMEM, "no memory for the list of mounts");
	if (source->kind != GPU_KIND_NONE)
		code = add_libraries(list, source->files, capabilities, err);
	if (code == 0 && source->kind == GPU_KIND_NVIDIA) {
		code = add_programs(list, source->files, capabilities, err);
		if (code == 0)
			code = add_nodes(list, source, mask, capabilities, err);
		if (code == 0)
			code = injection_add_proc(list, source, mask, err);
	}
	if (code == 0 && source->cudaexec_fd >= 0)
		code = injection_add_cudaexec(list, source->cudaexec_fd, err);
	if (code == 0)
		*ret_injection = *list;
	else
		injection_done(list);
	free(list);
	return code;
}

int injection_set(struct injection *list, const char *variable, struct err *err)
{
	size_t name = strcspn(variable, "=") + 1;
	unsigned i = 0;
	char *copy;

	while (i < list->n_env && strncmp(list->env[i], variable, name) != 0)
		i++;
	if (i == INJECTION_ENV_MAX || list->env_bytes + strlen(variable) >= INJECTION_ENV_BYTES_MAX)
		return err_set(err, -EOVERFLOW, "more than %d variables or %d bytes to set", INJECTION_ENV_MAX,
			       INJECTION_ENV_BYTES_MAX);
	copy = strdup(variable);
	if (!copy)
		return err_set(err, -ENOMEM, "no memory for a variable");
	if (i == list->n_env)
		list->n_env++;
	else
		free(list->env[i]);
	list->env[i] = copy;
	list->env_bytes += strlen(copy) + 1;
	return 0;
}

void injection_done(struct injection *injection)
{
	for (unsigned i = 0; i < injection->count; i++)
		item_done(&injection->items[i]);
	for (unsigned i = 0; i < injection->n_env; i++)
		free(injection->env[i]);
	injection->count = injection->n_env = 0;
}
