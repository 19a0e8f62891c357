/*
 * The GPU side of this machine as ferrite-gpu found it at its start: a real driver or the software device, its files,
 * its GPUs, and why it is this one.
 *
 * Ownership: backend_open() fills, backend_close() releases. One thread.
 */
#ifndef FERRITE_CUDAEXEC_GPU_BACKEND_H
#define FERRITE_CUDAEXEC_GPU_BACKEND_H

#include "cudaexec/gpu/cdi.h"
#include "cudaexec/gpu/injection.h"

#include <limits.h>

enum gpu_mode { GPU_MODE_AUTO, GPU_MODE_NVIDIA, GPU_MODE_SOFTWARE, GPU_MODE_NONE, GPU_MODE_MAX };

extern const char *const gpu_mode_names[GPU_MODE_MAX];

struct backend_config {
	enum gpu_mode mode;
	char driver_root[PATH_MAX];			      /* "/" also asks NVIDIA_DRIVER_ROOT and DRIVER_ROOT */
	char dev_root[PATH_MAX];			      /* "": the host root, or NVIDIA_DEV_ROOT */
	char host_root[PATH_MAX];			      /* root with /proc and /sys: "/" but for tests */
	char library_dirs[PATH_MAX];			      /* colons between */
	char software_device_dir[PATH_MAX];		      /* "": beside this program */
	char cudaexec[PATH_MAX];			      /* "": beside this program */
	char cdi_dirs[PATH_MAX];			      /* colons between, the lowest priority first */
	void (*notice)(const char *text, const char *detail); /* NULL: nobody hears */
};

struct backend {
	enum gpu_mode mode;
	enum gpu_kind kind;
	char reason[ERR_TEXT_MAX]; /* why this kind, for people */
	char root[PATH_MAX];	   /* driver root or folder of the software device */
	struct driver_files files;
	struct inventory inventory;
	struct cdi cdi; /* empty when there is to be no GPU */
	int host_fd, dev_fd, cudaexec_fd;
};

/*
 * Looks for GPUs as the mode says. auto falls back to the software device; nvidia and software fail when theirs is not
 * there, none has no GPU. On failure the object holds nothing.
 */
int backend_open(const struct backend_config *config, struct backend *ret_backend, struct err *err);

/* What injection_build() needs. */
struct injection_source backend_source(const struct backend *backend);

void backend_close(struct backend *backend);

#endif
