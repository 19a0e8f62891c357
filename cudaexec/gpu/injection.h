/*
 * What must appear in a container so that CUDA works there: mounts of libraries, programs and device nodes, links,
 * copies of the driver's proc files, and the environment. A list is made for one set of GPUs and one set of driver
 * capabilities; nothing is mounted here.
 *
 * Every device node is compared with the device number it must have, so that a wrong or planted node is never handed to
 * a container.
 */
#ifndef FERRITE_CUDAEXEC_GPU_INJECTION_H
#define FERRITE_CUDAEXEC_GPU_INJECTION_H

#include "cudaexec/gpu/driverfiles.h"
#include "cudaexec/gpu/inventory.h"
#include "supervisor/err.h"
#include "supervisor/messages.h"

#define INJECTION_LIBRARIES "/usr/local/nvidia/lib64"
#define INJECTION_PROGRAMS  "/usr/local/nvidia/bin"
#define INJECTION_CUDAEXEC  "/usr/local/ferrite/bin/cudaexec"

#define INJECTION_WHY_MAX 96
#define INJECTION_ENV_MAX 64
/* All of them; what every instance gets has room beside them in a message. */
#define INJECTION_ENV_BYTES_MAX 6144

struct injection_item {
	enum sbx_item_kind kind;
	char *destination;
	char *content; /* link target or text; NULL for files and devices */
	int fd;	       /* O_PATH; -1 for links and texts */
	char why[INJECTION_WHY_MAX];
};

struct injection {
	struct injection_item items[SBX_ITEMS_MAX];
	unsigned count;
	char *env[INJECTION_ENV_MAX]; /* "K=V" beside those that every instance gets; of CDI devices */
	unsigned n_env;
	size_t env_bytes;
	bool by_cdi; /* the driver that was found without CDI has no part in it */
};

/* Where things come from; everything is borrowed. */
struct injection_source {
	enum gpu_kind kind;
	const struct driver_files *files; /* of the driver, also of the software device */
	const struct inventory *inventory;
	int host_fd;	 /* root with /proc of this machine */
	int dev_fd;	 /* root with /dev */
	int cudaexec_fd; /* the runner, -1: none */
};

/*
 * Makes the list for the GPUs of MASK. -ENOENT: a device node that is needed is missing (the text says what makes it);
 * -EPERM: a node is not what it must be; -EOVERFLOW; -ENOMEM. The caller ends with injection_done().
 */
int injection_build(const struct injection_source *source, uint64_t mask, unsigned capabilities,
		    struct injection *ret_injection, struct err *err);

/*
 * For those who make a list themselves. What has the same destination or name is replaced. Takes FD, also on failure.
 * Errors are -EOVERFLOW and -ENOMEM.
 */
int injection_add(struct injection *list, enum sbx_item_kind kind, const char *destination, const char *content, int fd,
		  const char *why, struct err *err);
int injection_set(struct injection *list, const char *variable, struct err *err);

/* The driver's proc files with the entries of these GPUs, and the runner of CUDA bundles. */
int injection_add_proc(struct injection *list, const struct injection_source *source, uint64_t mask, struct err *err);
int injection_add_cudaexec(struct injection *list, int cudaexec_fd, struct err *err);

void injection_done(struct injection *injection);

#endif
