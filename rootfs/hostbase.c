#include "rootfs/hostbase.h"

#include "rootfs/beneath.h"
#include "rootfs/elf.h"
#include "rootfs/layers.h"
#include "supervisor/str.h"
#include "supervisor/util.h"

#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>

#define LIBRARY_BYTES_MAX (2 * GIB)

#if defined(__x86_64__)
#define MULTIARCH "x86_64-linux-gnu"
#else
#define MULTIARCH "aarch64-linux-gnu"
#endif

/* Where the loader of a glibc system looks without a cache: the multiarch and the classic directories. */
static const char *const directories[] = {
	"/lib/" MULTIARCH, "/usr/lib/" MULTIARCH, "/lib64", "/usr/lib64", "/lib", "/usr/lib",
};

/* What every bundle may load without naming it: the parts of the C library, and what it loads itself. */
static const char *const wanted_always[] = {"libc.so.6", "libm.so.6", "libdl.so.2", "libpthread.so.0", "librt.so.1"};
static const char *const wanted_if_there[] = {
	"libgcc_s.so.1", "libresolv.so.2", "libutil.so.1", "libnss_files.so.2", "libnss_dns.so.2", "libanl.so.1",
};

struct library {
	char name[ELF_NAME_MAX + 1];
	char path[256];	       /* on the host, where it was found */
	char destination[256]; /* in the layer, without the leading / */
	bool extra;	       /* for the second layer */
};

struct closure {
	struct library items[HOSTBASE_FILES_MAX];
	size_t count, n_base;
	bool extra; /* what is added now belongs to the second layer */
};

bool hostbase_is_driver_library(const char *name)
{
	static const char *const prefixes[] = {"libcuda.so", "libcudadebugger.so", "libnvidia-", "libnvcuvid.so",
					       "libnvoptix.so"};

	for (size_t i = 0; i < ARRAY_LEN(prefixes); i++)
		if (strncmp(name, prefixes[i], strlen(prefixes[i])) == 0)
			return true;
	return false;
}

static bool has(const struct closure *c, const char *name)
{
	for (size_t i = 0; i < c->count; i++)
		if (strcmp(c->items[i].name, name) == 0)
			return true;
	return false;
}

/* 1: PATH is a library for this machine, *ret describes it. */
static int read_library(const char *path, struct elf_file *ret)
{
	_cleanup_fd_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return 0;
	if (elf_read(fd, ret, NULL) != 1)
		return 0;
	if (ret->machine == elf_host_machine())
		return 1;
	elf_file_clear(ret);
	return 0;
}

/* The place of a file in the layer is where it is on the host, seen through the host's own directory links. */
static bool resolve_destination(const char *directory, const char *name, char *buffer, size_t size)
{
	char real[PATH_MAX];
	int n;

	if (!realpath(directory, real))
		return false;
	n = snprintf(buffer, size, "%s/%s", real + 1, name);
	return n > 0 && (size_t)n < size;
}

static int find_library(const char *name, struct library *ret, struct elf_file *ret_elf)
{
	for (size_t i = 0; i < ARRAY_LEN(directories); i++) {
		struct library found = {0};

		(void)str_copy(found.name, sizeof(found.name), name);
		(void)snprintf(found.path, sizeof(found.path), "%s/%s", directories[i], name);
		if (read_library(found.path, ret_elf) != 1)
			continue;
		if (resolve_destination(directories[i], name, found.destination, sizeof(found.destination))) {
			*ret = found;
			return 1;
		}
		elf_file_clear(ret_elf);
	}
	return 0;
}

static int add_library(struct closure *c, const char *name, const char *asker, struct err *err);

static int add_needed(struct closure *c, const struct elf_file *elf, const char *asker, struct err *err)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < elf->n_needed; i++)
		r = add_library(c, elf->needed[i], asker, err);
	return r;
}

/* Adds a library and what it needs. The depth is bounded by HOSTBASE_FILES_MAX: nothing is added twice. */
static int add_library(struct closure *c, const char *name, const char *asker, struct err *err)
{
	struct elf_file elf = {0};
	struct library library;
	int r;

	if (has(c, name) || hostbase_is_driver_library(name))
		return 0;
	if (strchr(name, '/') || strlen(name) > ELF_NAME_MAX || !find_library(name, &library, &elf))
		return err_set(err, ENOENT,
			       "library %.127s, which %s needs, is not on this host (base: host takes the libraries of "
			       "the host; put it among the files of the bundle, or use an image as base)",
			       name, asker);
	if (c->count >= HOSTBASE_FILES_MAX) {
		elf_file_clear(&elf);
		return err_set(err, E2BIG, "more than %d libraries of the host are needed", HOSTBASE_FILES_MAX);
	}
	library.extra = c->extra;
	c->items[c->count++] = library;
	r = add_needed(c, &elf, library.name, err);
	elf_file_clear(&elf);
	return r;
}

/* The loader stands where programs name it, which is no library directory on some systems. */
static int add_loader(struct closure *c, const char *path, struct err *err)
{
	struct library loader = {0};
	char directory[256];
	char *slash;

	(void)str_copy(loader.path, sizeof(loader.path), path);
	(void)str_copy(directory, sizeof(directory), path);
	slash = strrchr(directory, '/');
	if (!slash || slash == directory)
		return err_set(err, EINVAL, "the loader %s has an unexpected place", path);
	*slash = '\0';
	(void)str_copy(loader.name, sizeof(loader.name), path);
	if (!resolve_destination(directory, slash + 1, loader.destination, sizeof(loader.destination)))
		return err_sys(err, errno, "find the loader %s", path);
	for (size_t i = 0; i < c->count; i++)
		if (strcmp(c->items[i].destination, loader.destination) == 0)
			return 0;
	if (c->count >= HOSTBASE_FILES_MAX)
		return err_set(err, E2BIG, "more than %d libraries of the host are needed", HOSTBASE_FILES_MAX);
	c->items[c->count++] = loader;
	return 0;
}

static int add_program(struct closure *c, const char *path, bool with_loader, struct err *err)
{
	struct elf_file elf;
	int r;

	if (read_library(path, &elf) != 1)
		return 0;
	r = add_needed(c, &elf, path, err);
	if (r == 0 && with_loader && elf.interp[0])
		r = add_loader(c, elf.interp, err);
	elf_file_clear(&elf);
	return r;
}

static int add_base(struct closure *c, const char *runner, struct err *err)
{
	struct elf_file libc;
	struct library library;
	int r = 0;

	for (size_t i = 0; r == 0 && i < ARRAY_LEN(wanted_always); i++)
		r = add_library(c, wanted_always[i], "the C library", err);
	for (size_t i = 0; r == 0 && i < ARRAY_LEN(wanted_if_there); i++)
		if (find_library(wanted_if_there[i], &library, &libc)) {
			elf_file_clear(&libc);
			r = add_library(c, wanted_if_there[i], "the C library", err);
		}
	/* libc.so.6 is a program too: it names the loader. */
	if (r == 0 && find_library("libc.so.6", &library, &libc)) {
		r = libc.interp[0] ? add_loader(c, libc.interp, err) : 0;
		elf_file_clear(&libc);
	}
	return r < 0 || !runner ? r : add_program(c, runner, true, err);
}

static int resolve(const json_t *needed, const char *runner, struct closure *c, struct err *err)
{
	json_t *item;
	size_t i;
	int r = add_base(c, runner, err);

	c->n_base = c->count;
	c->extra = true;
	if (r < 0)
		return r;
	json_array_foreach((json_t *)needed, i, item)
	{
		r = add_library(c, json_string_value(item), "the image", err);
		if (r < 0)
			return r;
	}
	return 0;
}

int hostbase_check(const json_t *needed, const char *runner, struct err *err)
{
	_cleanup_free_ struct closure *c = calloc(1, sizeof(*c));

	return c ? resolve(needed, runner, c, err) : err_sys(err, ENOMEM, "find the libraries of the host");
}

/* --- making the layers -------------------------------------------------------------------------------------------- */

static int make_parents(int root_fd, char *path, struct err *err)
{
	for (char *slash = strchr(path, '/'); slash; slash = strchr(slash + 1, '/')) {
		int r;

		*slash = '\0';
		r = mkdirat(root_fd, path, 0755) < 0 && errno != EEXIST ? -errno : 0;
		if (r < 0)
			(void)err_sys(err, r, "make /%s in the host layer", path);
		*slash = '/';
		if (r < 0)
			return r;
	}
	return 0;
}

static int copy_bytes(int from_fd, int to_fd)
{
	for (;;) {
		ssize_t n = copy_file_range(from_fd, NULL, to_fd, NULL, 1 << 30, 0);
		char buffer[65536];

		if (n < 0) {
			/* Not between these file systems: by hand, from where it stands. */
			n = read(from_fd, buffer, sizeof(buffer));
			if (n > 0 && fd_write_all(to_fd, buffer, (size_t)n) < 0)
				return -errno;
		}
		if (n < 0 && errno != EINTR)
			return -errno;
		if (n == 0)
			return 0;
	}
}

static void note_source(struct hostbase *base, const char *path, const struct stat *st)
{
	struct hostbase_source *s = &base->sources[base->n_sources++];

	(void)str_copy(s->path, sizeof(s->path), path);
	s->device = st->st_dev;
	s->inode = st->st_ino;
	s->bytes = (uint64_t)st->st_size;
	s->changed_ns = (uint64_t)st->st_ctim.tv_sec * 1000000000u + (uint64_t)st->st_ctim.tv_nsec;
}

/* Adds a library to the layer's digest, and remembers what it was. */
static int digest_library(const struct library *library, struct hostbase *base, struct digest *digest, struct err *err)
{
	_cleanup_fd_ int fd = open(library->path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	char sum[DIGEST_TEXT_LENGTH + 1];
	struct stat st;
	int r;

	if (fd < 0 || fstat(fd, &st) < 0)
		return err_sys(err, errno, "open %s", library->path);
	if ((uint64_t)st.st_size > LIBRARY_BYTES_MAX)
		return err_set(err, EFBIG, "%s is too large", library->path);
	note_source(base, library->path, &st);
	r = digest_file(fd, sum, NULL, err);
	if (r < 0)
		return r;
	digest_add(digest, library->destination, strlen(library->destination) + 1);
	digest_add(digest, sum, sizeof(sum));
	return 0;
}

static int copy_library(struct library *library, int root_fd, struct err *err)
{
	_cleanup_fd_ int from_fd = open(library->path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	_cleanup_fd_ int to_fd = -1;
	int r = make_parents(root_fd, library->destination, err);

	if (r < 0)
		return r;
	if (from_fd < 0)
		return err_sys(err, errno, "open %s", library->path);
	to_fd = beneath_open(root_fd, library->destination, O_WRONLY | O_CREAT | O_EXCL, 0755);
	if (to_fd < 0)
		return err_sys(err, -to_fd, "make /%s in the host layer", library->destination);
	r = copy_bytes(from_fd, to_fd);
	if (r < 0)
		return err_sys(err, r, "copy %s to the host layer", library->path);
	if (fchmod(to_fd, 0755) < 0)
		return err_sys(err, errno, "make /%s in the host layer", library->destination);
	return 0;
}

static const struct {
	const char *path;
	mode_t mode;
	const char *text; /* NULL: a directory */
} skeleton[] = {
	{"dev", 0755, NULL},
	{"etc", 0755, NULL},
	{"proc", 0555, NULL},
	{"root", 0700, NULL},
	{"run", 0755, NULL},
	{"sys", 0555, NULL},
	{"tmp", 01777, NULL},
	{"usr", 0755, NULL},
	{"usr/lib", 0755, NULL},
	{"var", 0755, NULL},
	{"var/tmp", 01777, NULL},
	{"etc/passwd", 0644,
	 "root:x:0:0:root:/root:/usr/sbin/nologin\nnobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n"},
	{"etc/group", 0644, "root:x:0:\nnogroup:x:65534:\n"},
	{"etc/nsswitch.conf", 0644, "passwd: files\ngroup: files\nhosts: files dns\n"},
};

/* The host's own links from /lib and /lib64 into /usr: programs name their loader through them. */
static const char *const links[] = {"lib", "lib64"};

/* False for a directory: it is made with what is in it. */
static bool read_host_link(const char *name, char target[256])
{
	char path[16];
	ssize_t n;

	(void)snprintf(path, sizeof(path), "/%s", name);
	n = readlink(path, target, 255);
	target[MAX(n, 0)] = '\0';
	return n > 0;
}

static int make_links(int root_fd, struct err *err)
{
	char target[256];

	for (size_t i = 0; i < ARRAY_LEN(links); i++)
		if (read_host_link(links[i], target) && symlinkat(target, root_fd, links[i]) < 0)
			return err_sys(err, errno, "make /%s in the host layer", links[i]);
	return 0;
}

static int make_skeleton(int root_fd, struct err *err)
{
	for (size_t i = 0; i < ARRAY_LEN(skeleton); i++) {
		const char *path = skeleton[i].path, *text = skeleton[i].text;
		_cleanup_fd_ int fd = -1;

		if (!text && mkdirat(root_fd, path, 0755) < 0)
			return err_sys(err, errno, "make /%s in the host layer", path);
		fd = beneath_open(root_fd, path, text ? O_WRONLY | O_CREAT | O_EXCL : O_RDONLY | O_DIRECTORY, 0644);
		if (fd < 0 || (text && fd_write_all(fd, text, strlen(text)) < 0) || fchmod(fd, skeleton[i].mode) < 0)
			return err_sys(err, fd < 0 ? -fd : errno, "make /%s in the host layer", path);
	}
	return make_links(root_fd, err);
}

static void digest_skeleton(struct digest *digest)
{
	char target[256];

	for (size_t i = 0; i < ARRAY_LEN(skeleton); i++) {
		const char *text = skeleton[i].text ? skeleton[i].text : "";

		digest_add(digest, skeleton[i].path, strlen(skeleton[i].path) + 1);
		digest_add(digest, &skeleton[i].mode, sizeof(skeleton[i].mode));
		digest_add(digest, text, strlen(text) + 1);
	}
	for (size_t i = 0; i < ARRAY_LEN(links); i++)
		if (read_host_link(links[i], target))
			digest_add(digest, target, strlen(target) + 1);
}

static int name_layer(struct closure *c, bool extra, struct hostbase *base, struct err *err)
{
	_cleanup_(digest_release) struct digest *digest = digest_new();
	char sum[DIGEST_TEXT_LENGTH + 1];
	int r = digest ? 0 : err_sys(err, ENOMEM, "make the host layer");

	if (r == 0 && !extra)
		digest_skeleton(digest);
	for (size_t i = 0; r == 0 && i < c->count; i++)
		if (c->items[i].extra == extra)
			r = digest_library(&c->items[i], base, digest, err);
	if (r < 0)
		return r;
	digest_end(digest, sum);
	(void)snprintf(base->ids[base->n_ids], STORE_LAYER_ID_MAX, "host-%s", store_hex(sum));
	return 0;
}

static int fill_layer(struct closure *c, bool extra, int root_fd, struct err *err)
{
	/* mkdir obeys the umask. */
	int r = fchmod(root_fd, 0755) < 0 ? err_sys(err, errno, "make the host layer") : 0;

	if (r == 0 && !extra)
		r = make_skeleton(root_fd, err);
	for (size_t i = 0; r == 0 && i < c->count; i++)
		if (c->items[i].extra == extra)
			r = copy_library(&c->items[i], root_fd, err);
	return r;
}

static int put_layer(const struct store *store, const char *id, int work_fd, const struct store_layer *record,
		     struct err *err)
{
	_cleanup_fd_ int lock_fd = store_lock(store, err);

	if (lock_fd < 0)
		return lock_fd;
	/* Another worker may have made the same layer meanwhile, and a container may run on it: a whole one stays. */
	if (layers_verify(store, id, NULL) == 0)
		return 0;
	return store_layer_put(store, id, work_fd, "root", record, true, err);
}

static int make_layer(const struct store *store, struct closure *c, bool extra, const char *id, int work_fd,
		      struct err *err)
{
	_cleanup_(store_layer_clear) struct store_layer record = {0};
	_cleanup_fd_ int root_fd = -1;
	int r;

	if (work_fd < 0 || mkdirat(work_fd, "root", 0755) < 0)
		return err_sys(err, work_fd < 0 ? -work_fd : errno, "make the host layer");
	root_fd = beneath_open(work_fd, "root", O_RDONLY | O_DIRECTORY, 0);
	if (root_fd < 0)
		return err_sys(err, -root_fd, "make the host layer");
	r = fill_layer(c, extra, root_fd, err);
	if (r == 0)
		r = layers_record(root_fd, &record, err);
	if (r == 0 && syncfs(root_fd) < 0)
		r = err_sys(err, errno, "write the host layer to disk");
	return r < 0 ? r : put_layer(store, id, work_fd, &record, err);
}

/* Names a layer after what it will hold, and makes it unless the store has it whole. */
static int build_layer(const struct store *store, struct closure *c, bool extra, struct hostbase *base, struct err *err)
{
	_cleanup_fd_ int work_fd = -1;
	const char *id = base->ids[base->n_ids];
	char work[40];
	int r = name_layer(c, extra, base, err);

	if (r < 0)
		return r;
	if (layers_verify(store, id, NULL) < 0) {
		r = store_make_work(store, "host", work, err);
		if (r < 0)
			return r;
		work_fd = beneath_open(store->tmp_fd, work, O_RDONLY | O_DIRECTORY, 0);
		r = make_layer(store, c, extra, id, work_fd, err);
		(void)store_delete_tree(store->tmp_fd, work, NULL);
	}
	base->n_ids += r == 0;
	return r;
}

int hostbase_build(const struct store *store, const json_t *needed, const char *runner, struct hostbase *ret,
		   struct err *err)
{
	_cleanup_free_ struct closure *c = calloc(1, sizeof(*c));
	_cleanup_(hostbase_clear) struct hostbase base = {0};
	int r;

	base.sources = calloc(HOSTBASE_FILES_MAX, sizeof(*base.sources));
	if (!c || !base.sources)
		return err_sys(err, ENOMEM, "make the host layer");
	r = resolve(needed, runner, c, err);
	if (r == 0)
		r = build_layer(store, c, false, &base, err);
	if (r == 0 && c->count > c->n_base)
		r = build_layer(store, c, true, &base, err);
	if (r < 0)
		return r;
	*ret = base;
	base = (struct hostbase){0};
	return 0;
}

bool hostbase_is_current(const struct hostbase *base)
{
	for (size_t i = 0; i < base->n_sources; i++) {
		const struct hostbase_source *s = &base->sources[i];
		struct stat st;

		if (stat(s->path, &st) < 0 || st.st_dev != s->device || st.st_ino != s->inode ||
		    (uint64_t)st.st_size != s->bytes ||
		    (uint64_t)st.st_ctim.tv_sec * 1000000000u + (uint64_t)st.st_ctim.tv_nsec != s->changed_ns)
			return false;
	}
	return true;
}

void hostbase_clear(struct hostbase *base)
{
	free_ptr(&base->sources);
	*base = (struct hostbase){0};
}
