/*
 * The files of a bundle: what the function file's `files` (or the whole folder) brings to which place of the image.
 * Inside of the bundler only.
 */
#ifndef FERRITE_ROOTFS_BUNDLE_FILES_H
#define FERRITE_ROOTFS_BUNDLE_FILES_H

#include "rootfs/funcfile.h"
#include "supervisor/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum bundle_kind { BUNDLE_FILE, BUNDLE_DIRECTORY, BUNDLE_LINK };

struct bundle_file {
	enum bundle_kind kind;
	char *to;     /* in the image, without the leading / */
	char *from;   /* below the folder; NULL for directories and generated files */
	char *text;   /* of generated files; of links where they point */
	size_t bytes; /* of the file */
	uint32_t mode;
	unsigned line; /* of the function file, 0: none */
};

struct bundle_files {
	struct bundle_file *items; /* sorted by place after bundle_files_collect() */
	size_t count;
	uint64_t bytes;
};

/* Collects and sorts. DIR_FD is the folder. The caller clears the list. */
int bundle_files_collect(const struct function_file *file, int dir_fd, struct bundle_files *ret, struct err *err);
void bundle_files_clear(struct bundle_files *files);

/* The file at an absolute path of the image, or NULL. */
struct bundle_file *bundle_files_find(const struct bundle_files *files, const char *path);

/* Opens a file of the folder for reading; it never leads out of it. */
int bundle_files_open(int dir_fd, const struct bundle_file *file, struct err *err);

/* Adds a generated file at an absolute path and keeps the order. Takes TEXT (malloc), also on failure. */
int bundle_files_add(struct bundle_files *files, const char *path, char *text, size_t length, struct err *err);

/*
 * An absolute path from a directory and a path that may be relative to it, without "." and "..". False when it is too
 * long or leads above the root.
 */
bool bundle_path(const char *directory, const char *path, char *buffer, size_t size);

#endif
