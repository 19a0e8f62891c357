#include "rootfs/store.h"

#include "rootfs/beneath.h"
#include "rootfs/document.h"
#include "rootfs/names.h"
#include "supervisor/str.h"
#include "supervisor/util.h"

#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

#define RECORD_MAX   (8 * 1024 * 1024)
#define VERIFIED_MAX (4 * 1024 * 1024)
#define DELETE_DEPTH 512
#define SPARE_BYTES  (64 * 1024) /* beside as much as the index takes */

static const char layout_text[] = "{\"imageLayoutVersion\":\"1.0.0\"}";

int store_write_file(const struct store *store, int dir_fd, const char *name, const char *text, size_t length,
		     struct err *err)
{
	_cleanup_fd_ int fd = -1;
	uint64_t number;
	char fresh[32];
	int r;

	random_bytes(&number, sizeof(number));
	(void)snprintf(fresh, sizeof(fresh), "file-%016llx", (unsigned long long)number);
	fd = beneath_open(store->tmp_fd, fresh, O_WRONLY | O_CREAT | O_EXCL, 0644);
	if (fd < 0)
		return err_sys(err, -fd, "make %s in the store", name);
	r = fd_write_all(fd, text, length);
	if (r == 0 && fsync(fd) < 0)
		r = -errno;
	if (r == 0 && renameat(store->tmp_fd, fresh, dir_fd, name) < 0)
		r = -errno;
	if (r < 0)
		(void)unlinkat(store->tmp_fd, fresh, 0);
	if (r == 0 && fsync(dir_fd) < 0)
		r = -errno;
	return r < 0 ? err_sys(err, r, "write %s in the store", name) : 0;
}

bool store_spare_use(const struct store *store)
{
	return unlinkat(store->dir_fd, "spare", 0) == 0;
}

void store_spare_keep(const struct store *store)
{
	_cleanup_fd_ int fd = beneath_open(store->dir_fd, "spare", O_WRONLY | O_CREAT, 0600);
	struct stat index, spare;
	off_t wanted = SPARE_BYTES;

	if (fd < 0 || fstat(fd, &spare) < 0)
		return;
	if (fstatat(store->dir_fd, "index.json", &index, AT_SYMLINK_NOFOLLOW) == 0)
		wanted += index.st_size;
	if (spare.st_size < wanted && fallocate(fd, 0, 0, wanted) < 0)
		(void)unlinkat(store->dir_fd, "spare", 0);
}

static int open_folder(int dir_fd, const char *name, int *ret_fd, struct err *err)
{
	int fd;

	if (mkdirat(dir_fd, name, 0755) < 0 && errno != EEXIST)
		return err_sys(err, errno, "make the directory %s in the store", name);
	fd = beneath_open(dir_fd, name, O_RDONLY | O_DIRECTORY, 0);
	if (fd < 0)
		return err_sys(err, -fd, "open the directory %s in the store", name);
	*ret_fd = fd;
	return 0;
}

static int delete_tree(int dir_fd, const char *name, unsigned depth, struct err *err);

/* Returns how many entries were deleted. */
static int delete_entries(DIR *dir, unsigned depth, struct err *err)
{
	int n = 0;

	rewinddir(dir);
	for (struct dirent *d = readdir(dir); d; d = readdir(dir)) {
		int r;

		if (strcmp(d->d_name, ".") == 0 || strcmp(d->d_name, "..") == 0)
			continue;
		r = delete_tree(dirfd(dir), d->d_name, depth + 1, err);
		if (r < 0)
			return r;
		n++;
	}
	return n;
}

/* What somebody else deletes at the same time is deleted. */
static int delete_tree(int dir_fd, const char *name, unsigned depth, struct err *err)
{
	_cleanup_dir_ DIR *dir = NULL;
	int fd, n;

	if (unlinkat(dir_fd, name, 0) == 0 || errno == ENOENT)
		return 0;
	if (errno != EISDIR && errno != EPERM)
		return err_sys(err, errno, "delete %s", name);
	if (depth > DELETE_DEPTH)
		return err_sys(err, ELOOP, "delete %s", name);
	fd = beneath_open(dir_fd, name, O_RDONLY | O_DIRECTORY, 0);
	if (fd == -ENOENT)
		return 0;
	dir = fd < 0 ? NULL : fdopendir(fd);
	if (!dir)
		return err_sys(err, fd < 0 ? -fd : errno, "delete %s", name);
	/* A file system may leave entries out of a list that shrinks while it is read: then it is read again. */
	do {
		n = delete_entries(dir, depth, err);
		if (n < 0)
			return n;
		if (unlinkat(dir_fd, name, AT_REMOVEDIR) == 0 || errno == ENOENT)
			return 0;
	} while (errno == ENOTEMPTY && n > 0);
	return err_sys(err, errno, "delete %s", name);
}

int store_delete_tree(int dir_fd, const char *name, struct err *err)
{
	return delete_tree(dir_fd, name, 0, err);
}

/* What a predecessor left: nothing in tmp/ is referenced by anything. */
static int empty_tmp(const struct store *store, struct err *err)
{
	_cleanup_fd_ int fd = beneath_open(store->tmp_fd, "", O_RDONLY | O_DIRECTORY, 0);
	_cleanup_dir_ DIR *dir = fd < 0 ? NULL : fdopendir(fd);

	if (!dir)
		return err_sys(err, fd < 0 ? -fd : errno, "read tmp in the store");
	(void)take_fd(&fd);
	for (struct dirent *d = readdir(dir); d; d = readdir(dir)) {
		int r = 0;

		if (strcmp(d->d_name, ".") != 0 && strcmp(d->d_name, "..") != 0)
			r = store_delete_tree(store->tmp_fd, d->d_name, err);
		if (r < 0)
			return r;
	}
	return 0;
}

static int read_boot_id(struct store *store, struct err *err)
{
	_cleanup_free_ char *text = NULL;
	ssize_t n = file_read(AT_FDCWD, "/proc/sys/kernel/random/boot_id", sizeof(store->boot_id), &text, err);

	if (n < 0)
		return (int)n;
	text[strcspn(text, "\n")] = '\0';
	(void)str_copy(store->boot_id, sizeof(store->boot_id), text);
	return 0;
}

/* First line: boot id; then a layer id per line. Anything unexpected only means that layers are checked again. */
static int read_verified(struct store *store, struct err *err)
{
	_cleanup_free_ char *text = NULL;
	char *rest, *line;
	int r = read_boot_id(store, err);

	if (r < 0)
		return r;
	store->verified = json_object();
	if (!store->verified)
		return err_sys(err, ENOMEM, "open the store");
	if (file_read(store->dir_fd, "verified", VERIFIED_MAX, &text, NULL) < 0)
		return 0;
	rest = text;
	line = strsep(&rest, "\n");
	if (strcmp(line, store->boot_id) != 0)
		return unlinkat(store->dir_fd, "verified", 0) < 0 ? err_sys(err, errno, "delete verified") : 0;
	while ((line = strsep(&rest, "\n")))
		if (*line)
			(void)json_object_set_new(store->verified, line, json_true());
	return 0;
}

bool store_is_verified(const struct store *store, const char *id)
{
	return json_object_get(store->verified, id) != NULL;
}

void store_mark_verified(struct store *store, const char *id)
{
	char line[2 * STORE_LAYER_ID_MAX];
	_cleanup_fd_ int fd = -1;
	struct stat st;

	if (store_is_verified(store, id) || json_object_set_new(store->verified, id, json_true()) < 0)
		return;
	/* Losing the note costs a check after a restart, nothing else. */
	fd = beneath_open(store->dir_fd, "verified", O_WRONLY | O_CREAT | O_APPEND, 0644);
	if (fd < 0 || fstat(fd, &st) < 0)
		return;
	(void)snprintf(line, sizeof(line), "%s%s%s\n", st.st_size == 0 ? store->boot_id : "",
		       st.st_size == 0 ? "\n" : "", id);
	(void)fd_write_all(fd, line, strlen(line));
}

int store_lock(const struct store *store, struct err *err)
{
	_cleanup_fd_ int fd = beneath_open(store->dir_fd, "lock", O_RDWR | O_CREAT, 0644);
	int r;

	if (fd < 0)
		return err_sys(err, -fd, "open the lock of the store");
	do
		r = flock(fd, LOCK_EX);
	while (r < 0 && errno == EINTR);
	return r < 0 ? err_sys(err, errno, "lock the store") : take_fd(&fd);
}

int store_make_work(const struct store *store, const char *prefix, char name[40], struct err *err)
{
	uint64_t number;

	for (int i = 0; i < 16; i++) {
		random_bytes(&number, sizeof(number));
		(void)snprintf(name, 40, "%.16s-%016llx", prefix, (unsigned long long)number);
		if (mkdirat(store->tmp_fd, name, 0700) == 0)
			return 0;
		if (errno != EEXIST)
			break;
	}
	return err_sys(err, errno, "make a working directory in the store");
}

const char *store_hex(const char *digest)
{
	return digest + 7;
}

bool store_blob_exists(const struct store *store, const char *digest)
{
	struct stat st;

	return fstatat(store->blobs_fd, store_hex(digest), &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode);
}

ssize_t store_blob_read(const struct store *store, const char *digest, size_t max, char **ret_text, struct err *err)
{
	_cleanup_free_ char *text = NULL;
	char found[DIGEST_TEXT_LENGTH + 1];
	ssize_t n = file_read(store->blobs_fd, store_hex(digest), max, &text, err);

	if (n < 0) {
		err_wrap(err, "read %s from the store", digest);
		return n;
	}
	digest_bytes(text, (size_t)n, found);
	if (strcmp(found, digest) != 0)
		return err_set(err, EUCLEAN, "%s has changed on disk (it is %s now): import the image again", digest,
			       found);
	*ret_text = take_ptr(text);
	return n;
}

/* --- layers ------------------------------------------------------------------------------------------------------- */

static void record_name(const char *id, char name[STORE_LAYER_ID_MAX + 8])
{
	(void)snprintf(name, STORE_LAYER_ID_MAX + 8, "%s.json", id);
}

void store_layer_clear(struct store_layer *layer)
{
	document_release(&layer->needed);
	document_release(&layer->provided);
}

int store_layer_read(const struct store *store, const char *id, struct store_layer *ret, struct err *err)
{
	_cleanup_(store_layer_clear) struct store_layer layer = {0};
	_cleanup_free_ char *text = NULL;
	_cleanup_json_ json_t *json = NULL;
	char name[STORE_LAYER_ID_MAX + 8];
	const char *tree = NULL;
	json_int_t bytes = 0, entries = 0;
	int opaque = 0;
	struct stat st;
	ssize_t n;

	record_name(id, name);
	if (fstatat(store->layers_fd, id, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISDIR(st.st_mode))
		return err_set(err, ENOENT, "layer %s is not unpacked in the store", id);
	n = file_read(store->layers_fd, name, RECORD_MAX, &text, err);
	if (n < 0)
		return (int)n;
	json = document_parse("record of a layer", text, (size_t)n, err);
	if (!json)
		return err && err->code ? err->code : -EINVAL;
	if (json_unpack(json, "{s:s, s:I, s:I, s:b, s:O, s:O}", "tree", &tree, "bytes", &bytes, "entries", &entries,
			"opaque", &opaque, "needed", &layer.needed, "provided", &layer.provided) < 0 ||
	    !str_copy(layer.tree, sizeof(layer.tree), tree))
		return err_set(err, EUCLEAN, "the record of layer %s is damaged: import the image again", id);
	layer.bytes = (uint64_t)bytes;
	layer.entries = (uint64_t)entries;
	layer.opaque = opaque != 0;
	*ret = layer;
	layer = (struct store_layer){0};
	return 0;
}

int store_layer_open(const struct store *store, const char *id, struct err *err)
{
	_cleanup_fd_ int fd = beneath_open(store->layers_fd, id, O_RDONLY | O_DIRECTORY, 0);

	if (fd < 0)
		return err_sys(err, -fd, "open layer %s", id);
	if (flock(fd, LOCK_SH | LOCK_NB) < 0)
		return err_sys(err, errno, "lock layer %s", id);
	return take_fd(&fd);
}

static int write_record(const struct store *store, const char *id, const struct store_layer *layer, struct err *err)
{
	char name[STORE_LAYER_ID_MAX + 8];
	_cleanup_free_ char *text = NULL;
	_cleanup_json_ json_t *json =
		json_pack("{s:s, s:I, s:I, s:b, s:O, s:O}", "tree", layer->tree, "bytes", (json_int_t)layer->bytes,
			  "entries", (json_int_t)layer->entries, "opaque", layer->opaque, "needed", layer->needed,
			  "provided", layer->provided);

	record_name(id, name);
	text = json ? document_text(json) : NULL;
	if (!text)
		return err_sys(err, ENOMEM, "write the record of a layer");
	return store_write_file(store, store->layers_fd, name, text, strlen(text), err);
}

int store_layer_put(const struct store *store, const char *id, int work_fd, const char *name,
		    const struct store_layer *layer, bool replace, struct err *err)
{
	char old[STORE_LAYER_ID_MAX + 8];
	struct stat st;
	int r;

	if (fstatat(store->layers_fd, id, &st, AT_SYMLINK_NOFOLLOW) == 0) {
		if (!replace)
			return 0;
		(void)snprintf(old, sizeof(old), "old-%s", id);
		if (renameat(store->layers_fd, id, work_fd, old) < 0)
			return err_sys(err, errno, "replace layer %s", id);
	}
	r = write_record(store, id, layer, err);
	if (r == 0 && renameat(work_fd, name, store->layers_fd, id) < 0)
		r = err_sys(err, errno, "put layer %s into the store", id);
	if (r == 0 && fsync(store->layers_fd) < 0)
		r = err_sys(err, errno, "put layer %s into the store", id);
	return r;
}

/* --- opening ------------------------------------------------------------------------------------------------------ */

static int open_folders(struct store *store, struct err *err)
{
	_cleanup_fd_ int blobs = -1;
	int r = open_folder(store->dir_fd, "blobs", &blobs, err);

	if (r == 0)
		r = open_folder(blobs, "sha256", &store->blobs_fd, err);
	if (r == 0)
		r = open_folder(store->dir_fd, "layers", &store->layers_fd, err);
	if (r == 0)
		r = open_folder(store->dir_fd, "tmp", &store->tmp_fd, err);
	return r;
}

int store_open(const char *path, struct store *ret_store, struct err *err)
{
	_cleanup_(store_close) struct store store = STORE_INIT;
	int r;

	store.dir_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (store.dir_fd < 0)
		return err_sys(err, errno, "open the image store %s", path);
	r = open_folders(&store, err);
	if (r == 0 && faccessat(store.dir_fd, "oci-layout", F_OK, 0) < 0)
		r = store_write_file(&store, store.dir_fd, "oci-layout", layout_text, sizeof(layout_text) - 1, err);
	if (r == 0)
		r = store_names_load(&store, err);
	if (r == 0)
		r = read_verified(&store, err);
	if (r == 0)
		r = empty_tmp(&store, err);
	if (r < 0)
		return r;
	store_spare_keep(&store);
	*ret_store = store;
	store = STORE_INIT;
	return 0;
}

void store_close(struct store *store)
{
	fd_close(&store->blobs_fd);
	fd_close(&store->layers_fd);
	fd_close(&store->tmp_fd);
	fd_close(&store->dir_fd);
	store_names_free(store);
	document_release(&store->verified);
}
