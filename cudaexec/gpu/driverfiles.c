#include "cudaexec/gpu/driverfiles.h"

#include "cudaexec/gpu/capabilities.h"
#include "cudaexec/gpu/ldcache.h"
#include "cudaexec/gpu/rootfs.h"
#include "supervisor/str.h"
#include "supervisor/util.h"

#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>

#define GRAPHICS (CAPABILITY_GRAPHICS | CAPABILITY_DISPLAY)

/* What each library is for, and the number of its soname. */
static const struct {
	const char *base;
	unsigned capabilities, soname;
} known_libraries[] = {
	{"libnvidia-ml", CAPABILITY_UTILITY, 1},
	{"libnvidia-cfg", CAPABILITY_UTILITY, 1},
	{"libnvidia-nscq", CAPABILITY_UTILITY, 2},
	{"libcuda", CAPABILITY_COMPUTE, 1},
	{"libcudadebugger", CAPABILITY_COMPUTE, 1},
	{"libnvidia-opencl", CAPABILITY_COMPUTE, 1},
	{"libnvidia-gpucomp", CAPABILITY_COMPUTE, 0},
	{"libnvidia-ptxjitcompiler", CAPABILITY_COMPUTE, 1},
	{"libnvidia-fatbinaryloader", CAPABILITY_COMPUTE, 0},
	{"libnvidia-allocator", CAPABILITY_COMPUTE, 1},
	{"libnvidia-compiler", CAPABILITY_COMPUTE, 0},
	{"libnvidia-pkcs11", CAPABILITY_COMPUTE, 0},
	{"libnvidia-pkcs11-openssl3", CAPABILITY_COMPUTE, 0},
	{"libnvidia-nvvm", CAPABILITY_COMPUTE, 4},
	{"libnvidia-tileiras", CAPABILITY_COMPUTE, 0},
	{"libvdpau_nvidia", CAPABILITY_VIDEO, 1},
	{"libnvidia-encode", CAPABILITY_VIDEO, 1},
	{"libnvidia-opticalflow", CAPABILITY_VIDEO, 1},
	{"libnvcuvid", CAPABILITY_VIDEO, 1},
	{"libnvidia-eglcore", GRAPHICS, 0},
	{"libnvidia-glcore", GRAPHICS, 0},
	{"libnvidia-tls", GRAPHICS, 0},
	{"libnvidia-glsi", GRAPHICS, 0},
	{"libnvidia-fbc", GRAPHICS, 1},
	{"libnvidia-ifr", GRAPHICS, 1},
	{"libnvidia-rtcore", GRAPHICS, 0},
	{"libnvoptix", GRAPHICS, 1},
	{"libGLX_nvidia", GRAPHICS, 0},
	{"libEGL_nvidia", GRAPHICS, 0},
	{"libGLESv2_nvidia", GRAPHICS, 2},
	{"libGLESv1_CM_nvidia", GRAPHICS, 1},
	{"libnvidia-glvkspirv", GRAPHICS, 0},
	{"libnvidia-cbl", GRAPHICS, 0},
	{"libnvidia-ngx", CAPABILITY_NGX, 1},
};

static const struct {
	const char *name;
	unsigned capabilities;
} known_programs[] = {
	{"nvidia-smi", CAPABILITY_UTILITY},
	{"nvidia-debugdump", CAPABILITY_UTILITY},
	{"nvidia-persistenced", CAPABILITY_UTILITY},
	{"nvidia-cuda-mps-control", CAPABILITY_COMPUTE},
	{"nvidia-cuda-mps-server", CAPABILITY_COMPUTE},
};

#if defined(__x86_64__)
#define TRIPLET "x86_64-linux-gnu"
#else
#define TRIPLET "aarch64-linux-gnu"
#endif

static const char *const library_folders[] = {
	"/",
	"/usr/lib64",
	"/usr/lib/" TRIPLET,
	"/usr/lib64/nvidia/current",
	"/usr/lib/" TRIPLET "/nvidia/current",
	"/usr/lib/nvidia/current",
	"/lib64",
	"/lib/" TRIPLET,
	"/lib/" TRIPLET "/nvidia/current",
	"/usr/local/nvidia/lib64",
	"/usr/local/nvidia/lib",
	"/home/kubernetes/bin/nvidia/lib64",
	"/opt/bin",
	"/run/opengl-driver/lib",
};

static const char *const program_folders[] = {
	"/usr/bin", "/usr/sbin", "/bin", "/sbin", "/usr/lib/nvidia/current", "/usr/local/nvidia/bin", "/opt/bin",
};

/* Folders to search, each once. */
struct folders {
	char *paths[DRIVER_FOLDERS_MAX];
	unsigned count;
};

static void folders_done(struct folders *folders)
{
	for (unsigned i = 0; i < folders->count; i++)
		free(folders->paths[i]);
}

/* Adds LENGTH bytes of a path; more folders than the bound are not searched. */
static void folders_add(struct folders *folders, const char *path, size_t length)
{
	if (length == 0 || path[0] != '/' || folders->count == DRIVER_FOLDERS_MAX)
		return;
	for (unsigned i = 0; i < folders->count; i++)
		if (strlen(folders->paths[i]) == length && memcmp(folders->paths[i], path, length) == 0)
			return;
	folders->paths[folders->count] = strndup(path, length);
	if (folders->paths[folders->count])
		folders->count++;
}

/* Entries of the loader's cache that may belong to a driver add their folder. */
static bool visit_cache(void *context, const char *soname, const char *path)
{
	const char *slash = strrchr(path, '/');

	if (slash && slash > path && (strncmp(soname, "libcuda.so", 10) == 0 || strncmp(soname, "libnvidia-", 10) == 0))
		folders_add(context, path, (size_t)(slash - path));
	return true;
}

static void folders_collect(const struct driver_search *search, struct folders *folders)
{
	_cleanup_free_ char *cache = NULL;
	ssize_t size;

	for (const char *path = search->library_dirs; *path;) {
		size_t length = strcspn(path, ":");

		folders_add(folders, path, length);
		path += length + (path[length] == ':');
	}
	for (size_t i = 0; i < ARRAY_LEN(library_folders); i++)
		folders_add(folders, library_folders[i], strlen(library_folders[i]));
	size = rootfs_read(search->root_fd, "/etc/ld.so.cache", LDCACHE_BYTES_MAX, &cache, NULL);
	if (size > 0)
		(void)ldcache_each(cache, (size_t)size, visit_cache, folders, NULL); /* damaged: the rest will do */
}

/* True when NAME is lib<something>.so.<version>; gives the length of "lib<something>". */
static bool versioned_name(const char *name, const char *version, size_t *ret_base)
{
	const char *dot = strstr(name, ".so.");

	if (strncmp(name, "lib", 3) != 0 || !dot || strcmp(dot + 4, version) != 0 || strlen(name) >= DRIVER_NAME_MAX)
		return false;
	*ret_base = (size_t)(dot - name);
	return true;
}

int driver_files_library(const struct driver_files *files, const char *base)
{
	size_t length = strlen(base);

	for (unsigned i = 0; i < files->n_libraries; i++)
		if (strncmp(files->libraries[i].name, base, length) == 0 &&
		    strncmp(files->libraries[i].name + length, ".so.", 4) == 0)
			return (int)i;
	return -1;
}

static int take_library(struct driver_files *files, int root_fd, const char *folder, const char *name, size_t base,
			struct err *err)
{
	struct driver_file *file = &files->libraries[files->n_libraries];
	char path[PATH_MAX], base_name[DRIVER_NAME_MAX];
	struct stat st;

	memcpy(base_name, name, base);
	base_name[base] = '\0';
	if (driver_files_library(files, base_name) >= 0)
		return 0; /* an earlier folder has it */
	if (files->n_libraries == DRIVER_LIBRARIES_MAX)
		return err_set(err, -EOVERFLOW, "more than %d driver libraries", DRIVER_LIBRARIES_MAX);
	(void)snprintf(path, sizeof(path), "%s/%s", folder, name);
	*file = (struct driver_file){.fd = rootfs_open_at(root_fd, path, O_PATH)};
	if (file->fd < 0)
		return 0; /* a link that leads nowhere */
	if (fstat(file->fd, &st) < 0 || !S_ISREG(st.st_mode)) {
		fd_close(&file->fd);
		return 0;
	}
	(void)str_copy(file->name, sizeof(file->name), name);
	for (size_t i = 0; i < ARRAY_LEN(known_libraries); i++) {
		if (strcmp(known_libraries[i].base, base_name) == 0) {
			file->capabilities = known_libraries[i].capabilities;
			file->soname = known_libraries[i].soname;
		}
	}
	files->n_libraries++;
	return 0;
}

/* Takes the version from the first libcuda.so.X.Y[.Z] when the kernel did not say it. */
static void take_version(struct driver_files *files, const char *name)
{
	if (files->version[0] == '\0' && strncmp(name, "libcuda.so.", 11) == 0 && driver_version_valid(name + 11))
		(void)str_copy(files->version, sizeof(files->version), name + 11);
}

typedef int scan_visit(struct driver_files *files, int root_fd, const char *folder, const char *name, struct err *err);

static int scan(struct driver_files *files, int root_fd, const char *folder, scan_visit *visit, struct err *err)
{
	_cleanup_fd_ int fd = rootfs_open_at(root_fd, folder, O_RDONLY | O_DIRECTORY);
	_cleanup_dir_ DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
	int code = 0;

	if (!dir)
		return 0; /* not every folder is there */
	(void)take_fd(&fd);
	for (struct dirent *entry = readdir(dir); entry && code == 0; entry = readdir(dir))
		if (strncmp(entry->d_name, "lib", 3) == 0)
			code = visit(files, root_fd, folder, entry->d_name, err);
	return code;
}

static int visit_version(struct driver_files *files, int root_fd, const char *folder, const char *name, struct err *err)
{
	(void)root_fd;
	(void)folder;
	(void)err;
	take_version(files, name);
	return 0;
}

static int visit_library(struct driver_files *files, int root_fd, const char *folder, const char *name, struct err *err)
{
	size_t base;

	if (!versioned_name(name, files->version, &base))
		return 0;
	return take_library(files, root_fd, folder, name, base, err);
}

static bool link_known(const struct driver_files *files, const char *name)
{
	for (unsigned i = 0; i < files->n_links; i++)
		if (strcmp(files->links[i].name, name) == 0)
			return true;
	return false;
}

/* A name that leads to one of the libraries is a link to be made; chains and absolute targets come out the same. */
static int visit_link(struct driver_files *files, int root_fd, const char *folder, const char *name, struct err *err)
{
	char path[PATH_MAX];
	struct stat own, other;
	size_t base;

	if (!strstr(name, ".so") || strlen(name) >= DRIVER_NAME_MAX || versioned_name(name, files->version, &base) ||
	    link_known(files, name))
		return 0;
	(void)snprintf(path, sizeof(path), "%s/%s", folder, name);
	_cleanup_fd_ int fd = rootfs_open_at(root_fd, path, O_PATH);
	if (fd < 0 || fstat(fd, &own) < 0)
		return 0;
	for (unsigned i = 0; i < files->n_libraries; i++) {
		if (fstat(files->libraries[i].fd, &other) < 0 || own.st_dev != other.st_dev ||
		    own.st_ino != other.st_ino)
			continue;
		if (files->n_links == DRIVER_LINKS_MAX)
			return err_set(err, -EOVERFLOW, "more than %d links to driver libraries", DRIVER_LINKS_MAX);
		(void)str_copy(files->links[files->n_links].name, DRIVER_NAME_MAX, name);
		files->links[files->n_links++].library = i;
		break;
	}
	return 0;
}

static void find_programs(struct driver_files *files, int root_fd)
{
	for (size_t i = 0; i < ARRAY_LEN(known_programs); i++) {
		for (size_t k = 0; k < ARRAY_LEN(program_folders); k++) {
			char path[PATH_MAX];
			_cleanup_fd_ int fd = -1;
			struct driver_file *file = &files->programs[files->n_programs];
			struct stat st;

			(void)snprintf(path, sizeof(path), "%s/%s", program_folders[k], known_programs[i].name);
			fd = rootfs_open_at(root_fd, path, O_PATH);
			if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
				continue;
			*file = (struct driver_file){.capabilities = known_programs[i].capabilities,
						     .fd = take_fd(&fd)};
			(void)str_copy(file->name, sizeof(file->name), known_programs[i].name);
			files->n_programs++;
			break;
		}
	}
}

static int find_all(const struct driver_search *search, const struct folders *folders, struct driver_files *files,
		    struct err *err)
{
	int code = 0;

	for (unsigned i = 0; i < folders->count && files->version[0] == '\0'; i++)
		code = scan(files, search->root_fd, folders->paths[i], visit_version, err);
	if (files->version[0] == '\0')
		return err_set(err, -ENOENT, "no libcuda.so.VERSION in the driver root's library folders");
	for (unsigned i = 0; i < folders->count && code == 0; i++)
		code = scan(files, search->root_fd, folders->paths[i], visit_library, err);
	if (code == 0 && driver_files_library(files, "libcuda") < 0)
		return err_set(
			err, -ENOENT,
			"no libcuda.so.%s, the version of the loaded kernel module, in the driver root's library "
			"folders; install the matching user-space driver or set library_dirs",
			files->version);
	for (unsigned i = 0; i < folders->count && code == 0; i++)
		code = scan(files, search->root_fd, folders->paths[i], visit_link, err);
	if (code == 0)
		find_programs(files, search->root_fd);
	return code;
}

int driver_files_find(const struct driver_search *search, struct driver_files *ret_files, struct err *err)
{
	_cleanup_(folders_done) struct folders folders = {.count = 0};
	struct driver_files *files = calloc(1, sizeof(*files));
	int code;

	if (!files)
		return err_set(err, -ENOMEM, "no memory for the list of driver files");
	(void)str_copy(files->version, sizeof(files->version), search->version);
	folders_collect(search, &folders);
	code = find_all(search, &folders, files, err);
	if (code == 0)
		*ret_files = *files;
	else
		driver_files_done(files);
	free(files);
	return code;
}

void driver_files_done(struct driver_files *files)
{
	for (unsigned i = 0; i < files->n_libraries; i++)
		fd_close(&files->libraries[i].fd);
	for (unsigned i = 0; i < files->n_programs; i++)
		fd_close(&files->programs[i].fd);
	files->n_libraries = files->n_links = files->n_programs = 0;
}
