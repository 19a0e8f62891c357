#include "cudaexec/gpu/inventory.h"

#include "cudaexec/gpu/driverproc.h"
#include "cudaexec/gpu/rootfs.h"
#include "supervisor/str.h"
#include "supervisor/util.h"

#include <ctype.h>
#include <fcntl.h>
#include <string.h>

#define INFORMATION_MAX (16 * KIB)
#define GPUS_FOLDER	"/proc/driver/nvidia/gpus"

static const char *brand_name(nvmlBrandType_t brand)
{
	static const char *const names[] = {"", "quadro", "tesla", "nvs", "grid", "geforce", "titan"};

	return (unsigned)brand < ARRAY_LEN(names) ? names[brand] : "";
}

/* NVML writes 00000000:65:00.0, the proc folder is 0000:65:00.0. */
static void bus_id_from_nvml(const char *text, char *bus_id, size_t size)
{
	size_t length = strnlen(text, size - 1);

	if (length == strlen("00000000:00:00.0") && strncmp(text, "0000", 4) == 0) {
		text += 4;
		length -= 4;
	}
	for (size_t i = 0; i < length; i++)
		bus_id[i] = (char)tolower((unsigned char)text[i]);
	bus_id[length] = '\0';
}

/* The facts that a driver may not tell. */
static void read_optional(const struct nvml *nvml, nvmlDevice_t device, struct gpu *gpu)
{
	nvmlBrandType_t brand;
	nvmlPciInfo_t pci;
	unsigned minor;
	int major, minor_version;

	gpu->minor = -1;
	if (nvml->nvmlDeviceGetMinorNumber && nvml->nvmlDeviceGetMinorNumber(device, &minor) == NVML_SUCCESS &&
	    minor < 255)
		gpu->minor = (int)minor;
	if (nvml->nvmlDeviceGetPciInfo_v3 && nvml->nvmlDeviceGetPciInfo_v3(device, &pci) == NVML_SUCCESS)
		bus_id_from_nvml(pci.busId, gpu->bus_id, sizeof(gpu->bus_id));
	if (nvml->nvmlDeviceGetBrand && nvml->nvmlDeviceGetBrand(device, &brand) == NVML_SUCCESS)
		(void)str_copy(gpu->brand, sizeof(gpu->brand), brand_name(brand));
	if (nvml->nvmlDeviceGetCudaComputeCapability &&
	    nvml->nvmlDeviceGetCudaComputeCapability(device, &major, &minor_version) == NVML_SUCCESS)
		(void)snprintf(gpu->arch, sizeof(gpu->arch), "%d.%d", major, minor_version);
}

static int read_gpu(const struct nvml *nvml, unsigned index, struct gpu *gpu, struct err *err)
{
	nvmlDevice_t device;
	nvmlMemory_t memory;
	nvmlReturn_t result = nvml->nvmlDeviceGetHandleByIndex_v2(index, &device);

	if (result == NVML_SUCCESS)
		result = nvml->nvmlDeviceGetUUID(device, gpu->uuid, sizeof(gpu->uuid));
	if (result == NVML_SUCCESS)
		result = nvml->nvmlDeviceGetName(device, gpu->name, sizeof(gpu->name));
	if (result == NVML_SUCCESS)
		result = nvml->nvmlDeviceGetMemoryInfo(device, &memory);
	if (result != NVML_SUCCESS)
		return err_set(err, -EIO, "NVML: GPU %u does not answer (%d)", index, (int)result);
	gpu->memory_bytes = memory.total;
	read_optional(nvml, device, gpu);
	return 0;
}

int inventory_from_nvml(const struct nvml *nvml, struct inventory *ret_inventory, struct err *err)
{
	struct inventory inventory = {0};
	unsigned count = 0;
	int cuda, code;
	nvmlReturn_t result = nvml->nvmlDeviceGetCount_v2(&count);

	if (result != NVML_SUCCESS)
		return err_set(err, -EIO, "NVML: the number of GPUs cannot be read (%d)", (int)result);
	if (count == 0)
		return err_set(err, -ENODEV, "NVML finds no GPU");
	if (nvml->nvmlSystemGetDriverVersion)
		(void)nvml->nvmlSystemGetDriverVersion(inventory.driver_version, sizeof(inventory.driver_version));
	if (nvml->nvmlSystemGetCudaDriverVersion_v2 && nvml->nvmlSystemGetCudaDriverVersion_v2(&cuda) == NVML_SUCCESS)
		(void)snprintf(inventory.cuda_version, sizeof(inventory.cuda_version), "%d.%d", cuda / 1000,
			       cuda % 1000 / 10);
	inventory.count = MIN(count, GPUS_MAX);
	for (unsigned i = 0; i < inventory.count; i++) {
		code = read_gpu(nvml, i, &inventory.gpus[i], err);
		if (code < 0)
			return code;
	}
	*ret_inventory = inventory;
	return 0;
}

static int read_information(int host_fd, const char *bus_id, struct gpu *gpu)
{
	_cleanup_free_ char *text = NULL;
	char path[128], minor[8];
	uint64_t number;

	if (snprintf(path, sizeof(path), GPUS_FOLDER "/%s/information", bus_id) >= (int)sizeof(path) ||
	    rootfs_read(host_fd, path, INFORMATION_MAX, &text, NULL) < 0)
		return -ENOENT;
	gpu->minor = -1;
	if (!str_copy(gpu->bus_id, sizeof(gpu->bus_id), bus_id) ||
	    !driverproc_field(text, "GPU UUID", gpu->uuid, sizeof(gpu->uuid)))
		return -EBADMSG;
	if (!driverproc_field(text, "Model", gpu->name, sizeof(gpu->name)))
		(void)str_copy(gpu->name, sizeof(gpu->name), "NVIDIA GPU");
	if (driverproc_field(text, "Device Minor", minor, sizeof(minor)) && str_u64(minor, &number) && number < 255)
		gpu->minor = (int)number;
	return 0;
}

static int by_minor(const void *a, const void *b)
{
	const struct gpu *x = a, *y = b;

	return x->minor < y->minor ? -1 : x->minor > y->minor;
}

int inventory_from_proc(int host_fd, const char *driver_version, struct inventory *ret_inventory, struct err *err)
{
	_cleanup_fd_ int fd = rootfs_open_at(host_fd, GPUS_FOLDER, O_RDONLY | O_DIRECTORY);
	_cleanup_dir_ DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
	struct inventory inventory = {0};

	if (!dir)
		return err_set(err, -ENODEV, "no " GPUS_FOLDER);
	(void)take_fd(&fd);
	for (struct dirent *entry = readdir(dir); entry && inventory.count < GPUS_MAX; entry = readdir(dir)) {
		struct gpu gpu = {0};

		if (entry->d_name[0] != '.' && read_information(host_fd, entry->d_name, &gpu) == 0)
			inventory.gpus[inventory.count++] = gpu;
	}
	if (inventory.count == 0)
		return err_set(err, -ENODEV, "no GPU in " GPUS_FOLDER);
	qsort(inventory.gpus, inventory.count, sizeof(inventory.gpus[0]), by_minor);
	(void)str_copy(inventory.driver_version, sizeof(inventory.driver_version), driver_version);
	*ret_inventory = inventory;
	return 0;
}
