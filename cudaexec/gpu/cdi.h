/*
 * Files of the Container Device Interface (versions 0.1.0 to 1.1.0): what a device needs in a container, as the maker
 * of a driver wrote it down, in YAML or JSON. A file that breaks a rule anywhere is not used at all; nothing in one is
 * executed.
 *
 * Ownership: cdi_load() fills a registry, cdi_done() frees it; specs and nodes that are handed out point into it. One
 * thread.
 */
#ifndef FERRITE_CUDAEXEC_GPU_CDI_H
#define FERRITE_CUDAEXEC_GPU_CDI_H

#include "rootfs/source_tree.h"
#include "supervisor/err.h"

#include <limits.h>
#include <stdint.h>

#define CDI_FILE_MAX	 (1u << 20)
#define CDI_FILES_MAX	 64
#define CDI_SELECTED_MAX 32
#define CDI_NAME_MAX	 192

/* A file that keeps all rules; the texts are those of its tree. */
struct cdi_spec {
	char file[PATH_MAX];
	unsigned priority; /* of its folder: the higher one counts */
	struct source_node *tree;
	const char *kind;		 /* "vendor/class" */
	const struct source_node *edits; /* for every device of the file; NULL: none */
};

struct cdi {
	struct cdi_spec *specs[CDI_FILES_MAX];
	unsigned n_specs;
};

/* Devices of a wish, each once. */
struct cdi_selection {
	struct {
		const struct cdi_spec *spec;
		const struct source_node *edits;
		char name[CDI_NAME_MAX]; /* "vendor/class=name" */
	} devices[CDI_SELECTED_MAX];
	unsigned count;
};

/* Reads and checks one file. -EINVAL: the text names file, line and rule; -ENOMEM. The caller frees the spec. */
int cdi_parse(const char *file, const char *text, size_t length, struct cdi_spec **ret_spec, struct err *err);

void cdi_spec_free(struct cdi_spec *spec);

/*
 * Reads all *.json and *.yaml files of FOLDERS (colons between, the lowest priority first) below ROOT_FD. Folders that
 * are not there are left out. A folder or file that others than root can change, and a file that is wrong, is left out
 * and NOTICE (may be NULL) hears why. -ENOMEM, -EOVERFLOW: more than CDI_FILES_MAX files.
 */
int cdi_load(int root_fd, const char *folders, void (*notice)(const char *text, const char *detail),
	     struct cdi *ret_cdi, struct err *err);

void cdi_done(struct cdi *cdi);

/*
 * Whether a wish (NVIDIA_VISIBLE_DEVICES) is a list of CDI names. nvidia.com/gpu=… is one only when a file defines that
 * kind: without one the driver is looked for without CDI.
 */
bool cdi_wanted(const struct cdi *cdi, const char *wish);

/*
 * Finds the devices. -EINVAL: malformed name; -ENODEV: in no file; -ENOTUNIQ: two files of the same priority define it;
 * -EOVERFLOW.
 */
int cdi_select(const struct cdi *cdi, const char *wish, struct cdi_selection *ret_selection, struct err *err);

#endif
