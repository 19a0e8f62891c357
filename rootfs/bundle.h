/*
 * Function bundles: a folder with a function file becomes an OCI image archive.
 *
 * bundle_load() reads the function file and checks everything that can be seen without building: the files exist, the
 * entry point is executable and for this machine, the module or handler of a CUDA bundle is there. The build commands
 * of the file are the caller's to run before. bundle_write() then writes the archive: one layer with the files, an
 * image configuration, a manifest; equal folders give equal bytes (sorted entries, fixed times and owners). A `.cu`
 * module is compiled on the way with nvcc or clang.
 *
 * The library prints nothing and keeps no state; its temporary file is unlinked from the start and lies in $TMPDIR or
 * /tmp. Errors name the file and line of the function file where there is one.
 */
#ifndef FERRITE_ROOTFS_BUNDLE_H
#define FERRITE_ROOTFS_BUNDLE_H

#include "rootfs/funcfile.h"
#include "supervisor/err.h"

#include <stddef.h>
#include <stdint.h>

#define BUNDLE_LABEL_RUNTIME "io.ferrite.runtime" /* "exec" or "cuda" */
#define BUNDLE_LABEL_CUDA    "io.ferrite.cuda"	  /* canonical JSON of the section */
#define BUNDLE_LABEL_GPU     "io.ferrite.gpu"	  /* canonical JSON: count, memory (bytes), capabilities, … */
#define BUNDLE_LABEL_BASE    "io.ferrite.base"	  /* "host" or an image name; absent for scratch */
#define BUNDLE_LABEL_NETWORK "io.ferrite.network" /* "none", "bridge" or "host" */

#define BUNDLE_FOLDER	"/function" /* where files go by default, and the default working directory */
#define BUNDLE_CUDAEXEC "/usr/local/ferrite/bin/cudaexec" /* the entry point of CUDA bundles */

enum {
	BUNDLE_FILES_MAX = 65536, /* files and folders in one bundle */
	BUNDLE_DEPTH_MAX = 64,	  /* folders below each other */
};
#define BUNDLE_BYTES_MAX (8ull * 1024 * 1024 * 1024)

/* DONE of TOTAL bytes of the archive are written. */
typedef void (*bundle_progress)(void *user, uint64_t done, uint64_t total);

/*
 * Loads and checks the bundle in folder DIR. Beyond function_file_load(): fills base, workdir and entrypoint with their
 * defaults, and checks files. Returns 0 and a file that the caller frees, or a negative errno.
 */
int bundle_load(const char *dir, struct function_file **ret_file, struct err *err);

/*
 * The image name of a bundle: NAME when it is given (not NULL, not empty), else the file's `name`; a tag that is
 * missing is the file's `version`, else "latest". The buffer takes REFERENCE_TEXT_MAX bytes (rootfs/reference.h).
 */
int bundle_image_name(const struct function_file *file, const char *name, char *buffer, size_t size, struct err *err);

/*
 * Writes the archive of a loaded bundle to OUT_FD (file, pipe or socket) under the image name NAME (see
 * bundle_image_name(); NULL: the file's own). PROGRESS may be NULL. Returns 0 or a negative errno; on failure what was
 * written is no valid archive.
 */
int bundle_write(const struct function_file *file, const char *dir, const char *name, int out_fd,
		 bundle_progress progress, void *user, struct err *err);

/* The value of the io.ferrite.gpu label, or NULL when memory is short. The caller frees it. */
char *bundle_gpu_json(const struct function_gpu *gpu);

#endif
