/*
 * A file system root with an NVIDIA driver in it, made in a temporary folder: empty library files, links, programs,
 * device nodes, proc and sys texts. Calls abort the test when something cannot be made.
 */
#ifndef FERRITE_TESTS_FAKE_ROOT_H
#define FERRITE_TESTS_FAKE_ROOT_H

#define FAKE_VERSION "999.88.77"
#define FAKE_FOLDER  "/usr/lib/x86_64-linux-gnu/nvidia/current"

struct fake_root {
	char path[64];
};

/* Makes the tree; the caller ends with fake_root_remove(). */
void fake_root_make(struct fake_root *root);

/* Makes or replaces a file (with the folders above it), a link, a character device. PATH is inside the root. */
void fake_root_file(const struct fake_root *root, const char *path, const char *text);
void fake_root_link(const struct fake_root *root, const char *path, const char *target);
void fake_root_node(const struct fake_root *root, const char *path, unsigned major, unsigned minor);

void fake_root_delete(const struct fake_root *root, const char *path);

void fake_root_remove(struct fake_root *root);

#endif
