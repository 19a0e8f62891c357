/* The store without its server: names, documents, layers, and what damage does to them. */
#include "rootfs/gc.h"
#include "rootfs/store.h"
#include "supervisor/str.h"
#include "supervisor/util.h"

#include <fcntl.h>
#include <ftw.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "tests/unit/main.h"

static char folder[64];
static struct store store = STORE_INIT;

static void make_store(void)
{
	struct err err = ERR_INIT;

	(void)strcpy(folder, "/tmp/ferrite-test-store-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(folder));
	ck_assert_msg(store_open(folder, &store, &err) == 0, "%s", err.text);
}

static int delete_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static void delete_store(void)
{
	store_close(&store);
	ck_assert_int_eq(nftw(folder, delete_one, 16, FTW_DEPTH | FTW_PHYS), 0);
}

static void reopen(void)
{
	struct err err = ERR_INIT;

	store_close(&store);
	ck_assert_msg(store_open(folder, &store, &err) == 0, "%s", err.text);
}

static void digest_of(const char *text, char digest[DIGEST_TEXT_LENGTH + 1])
{
	digest_bytes(text, strlen(text), digest);
}

static int set(const char *name, const char *content)
{
	struct store_name value = {.size = strlen(content), .manifest_size = strlen(content)};

	digest_of(content, value.digest);
	return store_set_names(&store, (char *const[]){(char *)name}, 1, &value, NULL);
}

static const struct store_name *find(const char *text)
{
	struct reference reference;

	ck_assert_int_eq(reference_parse(text, &reference, NULL), 0);
	return store_find(&store, &reference);
}

START_TEST(names_are_kept_over_a_restart)
{
	char one[DIGEST_TEXT_LENGTH + 1], by_digest[200];
	struct store_name value = {.size = 7, .manifest_size = 3};

	digest_of("one", one);
	(void)str_copy(value.digest, sizeof(value.digest), one);
	ck_assert_int_eq(store_set_names(&store, (char *const[]){(char[]){"b:1"}, (char[]){"a:1"}, (char[]){"b:1"}}, 3,
					 &value, NULL),
			 0);
	ck_assert_int_eq(set("a:2", "two"), 0);
	reopen();
	ck_assert_uint_eq(store.n_names, 3);
	ck_assert_str_eq(store.names[0].name, "a:1");
	ck_assert_str_eq(store.names[2].name, "b:1");
	ck_assert_str_eq(find("a:1")->digest, one);
	ck_assert_uint_eq(find("b:1")->size, 7);
	ck_assert_uint_eq(find("b:1")->manifest_size, 3);
	ck_assert_ptr_null(find("a"));
	(void)snprintf(by_digest, sizeof(by_digest), "b@%s", one);
	ck_assert_str_eq(find(by_digest)->name, "b:1");
	(void)snprintf(by_digest, sizeof(by_digest), "a:2@%s", one);
	ck_assert_str_eq(find(by_digest)->name, "a:1");
	(void)snprintf(by_digest, sizeof(by_digest), "c@%s", one);
	ck_assert_ptr_null(find(by_digest));
	/* A name moves, one goes. */
	ck_assert_int_eq(set("b:1", "two"), 0);
	ck_assert_int_eq(store_remove_name(&store, "a:1", NULL), 0);
	ck_assert_int_eq(store_remove_name(&store, "a:1", NULL), -ENOENT);
	reopen();
	ck_assert_uint_eq(store.n_names, 2);
	ck_assert_str_eq(find("b:1")->digest, find("a:2")->digest);
}
END_TEST

START_TEST(the_number_of_names_is_bounded)
{
	char *names[STORE_NAMES_MAX + 1];
	struct store_name value = {.size = 1};
	struct err err = ERR_INIT;

	digest_of("x", value.digest);
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		ck_assert_int_gt(asprintf(&names[i], "name%zu:1", i), 0);
	ck_assert_int_eq(store_set_names(&store, names, ARRAY_LEN(names), &value, &err), -ENOSPC);
	ck_assert_msg(strstr(err.text, "names already"), "%s", err.text);
	ck_assert_uint_eq(store.n_names, 0);
	ck_assert_int_eq(store_set_names(&store, names, STORE_NAMES_MAX, &value, &err), 0);
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		free(names[i]);
	reopen();
	ck_assert_uint_eq(store.n_names, STORE_NAMES_MAX);
}
END_TEST

static const char *const damaged[] = {
	"",
	"{",
	"[]",
	"{}",
	"{\"manifests\":{}}",
	"{\"manifests\":[1]}",
	"{\"manifests\":[{\"digest\":\"sha256:12\",\"size\":1,\"annotations\":{}}]}",
};

START_TEST(a_damaged_index_is_refused_not_emptied)
{
	struct err err = ERR_INIT;
	char path[128];
	_cleanup_free_ char *text = NULL;

	(void)snprintf(path, sizeof(path), "%s/index.json", folder);
	ck_assert_int_eq(set("a:1", "one"), 0);
	store_close(&store);
	{
		_cleanup_fd_ int fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);

		ck_assert_int_eq(fd_write_all(fd, damaged[_i], strlen(damaged[_i])), 0);
	}
	ck_assert_int_lt(store_open(folder, &store, &err), 0);
	ck_assert_msg(strstr(err.text, "index.json"), "%s", err.text);
	ck_assert_int_ge((int)file_read(AT_FDCWD, path, 4096, &text, NULL), 0);
	ck_assert_str_eq(text, damaged[_i]);
	ck_assert_int_eq(unlink(path), 0);
	reopen();
	ck_assert_uint_eq(store.n_names, 0);
}
END_TEST

static void put_blob(const char *content)
{
	char digest[DIGEST_TEXT_LENGTH + 1];

	digest_of(content, digest);
	ck_assert_int_eq(store_write_file(&store, store.blobs_fd, store_hex(digest), content, strlen(content), NULL),
			 0);
}

START_TEST(sec_J6_blobs_are_checked_when_they_are_read)
{
	char digest[DIGEST_TEXT_LENGTH + 1];
	_cleanup_free_ char *text = NULL;
	struct err err = ERR_INIT;
	_cleanup_fd_ int fd = -1;

	digest_of("content", digest);
	ck_assert_int_eq((int)store_blob_read(&store, digest, 100, &text, &err), -ENOENT);
	put_blob("content");
	ck_assert(store_blob_exists(&store, digest));
	ck_assert_int_eq((int)store_blob_read(&store, digest, 6, &text, &err), -EFBIG);
	ck_assert_int_eq((int)store_blob_read(&store, digest, 7, &text, &err), 7);
	ck_assert_str_eq(text, "content");
	fd = openat(store.blobs_fd, store_hex(digest), O_WRONLY | O_CLOEXEC);
	ck_assert_int_eq((int)pwrite(fd, "C", 1, 0), 1);
	free(take_ptr(text));
	ck_assert_int_eq((int)store_blob_read(&store, digest, 100, &text, &err), -EUCLEAN);
	ck_assert_msg(strstr(err.text, "has changed on disk"), "%s", err.text);
}
END_TEST

static void put_layer(const char *id, const char *content)
{
	struct store_layer layer = {.tree = "sha256:t", .bytes = 5, .needed = json_array(), .provided = json_array()};
	_cleanup_fd_ int work_fd = -1;
	_cleanup_fd_ int lock_fd = store_lock(&store, NULL);
	char work[40];

	ck_assert_int_ge(lock_fd, 0);
	ck_assert_int_eq(store_make_work(&store, "test", work, NULL), 0);
	work_fd = openat(store.tmp_fd, work, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ck_assert_int_eq(mkdirat(work_fd, "l", 0755), 0);
	{
		_cleanup_fd_ int dir_fd = openat(work_fd, "l", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

		ck_assert_int_eq(store_write_file(&store, dir_fd, "f", content, strlen(content), NULL), 0);
	}
	ck_assert_int_eq(store_layer_put(&store, id, work_fd, "l", &layer, false, NULL), 0);
	store_layer_clear(&layer);
}

START_TEST(sweeping_spares_what_is_used)
{
	struct gc_result result;
	struct store_layer layer;
	_cleanup_fd_ int in_use_fd = -1;

	put_blob("alone");
	put_layer("aaaa", "a");
	put_layer("bbbb", "b");
	put_layer("host-1", "h");
	in_use_fd = store_layer_open(&store, "bbbb", NULL);
	ck_assert_int_ge(in_use_fd, 0);
	ck_assert_int_eq(gc_sweep(&store, NULL, &result, NULL), 0);
	ck_assert(result.blobs == 1 && result.layers == 1 && result.busy == 1);
	ck_assert_uint_eq(result.bytes, 5 + 5);
	ck_assert_int_eq(store_layer_read(&store, "aaaa", &layer, NULL), -ENOENT);
	ck_assert_int_eq(store_layer_read(&store, "bbbb", &layer, NULL), 0);
	store_layer_clear(&layer);
	/* A copy of the descriptor holds it as well. */
	{
		_cleanup_fd_ int copy_fd = fcntl(in_use_fd, F_DUPFD_CLOEXEC, 0);

		ck_assert_int_ge(copy_fd, 0);
		fd_close(&in_use_fd);
		ck_assert_int_eq(gc_sweep(&store, NULL, &result, NULL), 0);
		ck_assert(result.layers == 0 && result.busy == 1);
	}
	json_t *kept = json_pack("{s:b}", "host-2", 1);
	ck_assert_int_eq(gc_sweep(&store, kept, &result, NULL), 0);
	json_decref(kept);
	ck_assert(result.layers == 2 && result.busy == 0);
	/* Rubbish and records are gone after the next start. */
	reopen();
	ck_assert_int_eq(faccessat(store.layers_fd, "bbbb.json", F_OK, 0), -1);
	ck_assert_int_eq(faccessat(store.tmp_fd, result.rubbish, F_OK, 0), -1);
}
END_TEST

START_TEST(checked_layers_are_remembered_for_this_boot)
{
	char path[128];
	_cleanup_fd_ int fd = -1;

	ck_assert(!store_is_verified(&store, "aaaa"));
	store_mark_verified(&store, "aaaa");
	store_mark_verified(&store, "bbbb");
	reopen();
	ck_assert(store_is_verified(&store, "aaaa") && store_is_verified(&store, "bbbb"));
	(void)snprintf(path, sizeof(path), "%s/verified", folder);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	ck_assert_int_eq((int)pwrite(fd, "xxxx", 4, 0), 4);
	reopen();
	ck_assert(!store_is_verified(&store, "aaaa"));
}
END_TEST

START_TEST(deep_trees_are_deleted)
{
	_cleanup_fd_ int fd = fcntl(store.tmp_fd, F_DUPFD_CLOEXEC, 0);

	ck_assert_int_eq(symlinkat("/etc", store.tmp_fd, "link"), 0);
	for (int i = 0; i < 200; i++) {
		int next;

		ck_assert_int_eq(mkdirat(fd, "d", 0700), 0);
		next = openat(fd, "d", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		ck_assert_int_ge(next, 0);
		(void)close(fd);
		fd = next;
	}
	ck_assert_int_eq(symlinkat("/etc", fd, "link"), 0);
	ck_assert_int_eq(store_delete_tree(store.tmp_fd, "d", NULL), 0);
	ck_assert_int_eq(store_delete_tree(store.tmp_fd, "link", NULL), 0);
	ck_assert_int_eq(store_delete_tree(store.tmp_fd, "nothing", NULL), 0);
	ck_assert_int_eq(access("/etc/passwd", F_OK), 0);
	ck_assert_int_eq(faccessat(store.tmp_fd, "d", F_OK, 0), -1);
}
END_TEST

/* Several delete the same tree at the same time: it is gone, and none of them calls that an error. */
START_TEST(trees_are_deleted_together)
{
	enum { FOLDERS = 40, FILES = 40, PROCESSES = 4 };
	char path[64];
	int status;

	ck_assert_int_eq(mkdirat(store.tmp_fd, "d", 0700), 0);
	for (int i = 0; i < FOLDERS * FILES; i++) {
		(void)snprintf(path, sizeof(path), "d/%d", i % FOLDERS);
		ck_assert(mkdirat(store.tmp_fd, path, 0700) == 0 || errno == EEXIST);
		(void)snprintf(path, sizeof(path), "d/%d/%d", i % FOLDERS, i);
		ck_assert_int_eq(mkdirat(store.tmp_fd, path, 0700), 0);
	}
	for (int i = 0; i < PROCESSES; i++) {
		pid_t pid = fork();

		ck_assert_int_ge(pid, 0);
		if (pid == 0)
			_exit(store_delete_tree(store.tmp_fd, "d", NULL) == 0 ? 0 : 1);
	}
	for (int i = 0; i < PROCESSES; i++) {
		ck_assert_int_gt(wait(&status), 0);
		ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	}
	ck_assert_int_eq(faccessat(store.tmp_fd, "d", F_OK, 0), -1);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("store");
	TCase *all = tcase_create("all");

	tcase_add_checked_fixture(all, make_store, delete_store);
	tcase_add_test(all, names_are_kept_over_a_restart);
	tcase_add_test(all, the_number_of_names_is_bounded);
	tcase_add_loop_test(all, a_damaged_index_is_refused_not_emptied, 0, (int)ARRAY_LEN(damaged));
	tcase_add_test(all, sec_J6_blobs_are_checked_when_they_are_read);
	tcase_add_test(all, sweeping_spares_what_is_used);
	tcase_add_test(all, checked_layers_are_remembered_for_this_boot);
	tcase_add_test(all, deep_trees_are_deleted);
	tcase_add_test(all, trees_are_deleted_together);
	suite_add_tcase(suite, all);
	return suite;
}
