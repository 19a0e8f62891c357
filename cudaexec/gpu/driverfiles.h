/*
 * The files of an NVIDIA driver below a root: which version, which libraries in which folders, which links, which
 * programs. Found once; the descriptors (O_PATH) are the sources of the mounts.
 *
 * Ownership: driver_files_find() fills the object, driver_files_done() closes and frees. One thread.
 */
#ifndef FERRITE_CUDAEXEC_GPU_DRIVERFILES_H
#define FERRITE_CUDAEXEC_GPU_DRIVERFILES_H

#include "cudaexec/gpu/driverproc.h"
#include "supervisor/err.h"

#include <stdbool.h>

#define DRIVER_LIBRARIES_MAX 96
#define DRIVER_LINKS_MAX     128
#define DRIVER_PROGRAMS_MAX  16
#define DRIVER_FOLDERS_MAX   64
#define DRIVER_NAME_MAX	     96

struct driver_file {
	char name[DRIVER_NAME_MAX]; /* of the file, without its folder */
	unsigned capabilities;	    /* enum capability: wanted by any of these; 0: only when everything is wanted */
	unsigned soname;	    /* number at the end of the soname, 0: the soname is the file's name */
	int fd;
};

/* A symbolic link beside a library that leads to it. */
struct driver_link {
	char name[DRIVER_NAME_MAX];
	unsigned library; /* index */
};

struct driver_files {
	char version[DRIVER_VERSION_MAX];
	struct driver_file libraries[DRIVER_LIBRARIES_MAX];
	unsigned n_libraries;
	struct driver_link links[DRIVER_LINKS_MAX];
	unsigned n_links;
	struct driver_file programs[DRIVER_PROGRAMS_MAX];
	unsigned n_programs;
};

struct driver_search {
	int root_fd;		  /* of the file system with the driver */
	const char *library_dirs; /* more folders, separated by colons, searched first; may be "" */
	const char *version;	  /* of the kernel module; "": take that of the first libcuda */
};

/*
 * Finds the driver. -ENOENT: no libcuda of that version, the text says what was looked for; -EOVERFLOW: more files than
 * a driver has.
 */
int driver_files_find(const struct driver_search *search, struct driver_files *ret_files, struct err *err);

/* The index of the library called BASE ("libcuda"), or -1. */
int driver_files_library(const struct driver_files *files, const char *base);

void driver_files_done(struct driver_files *files);

#endif
