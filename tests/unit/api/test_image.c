#include "api/image.h"
#include "api/userspec.h"

#include "supervisor/util.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>

#include "tests/unit/main.h"

static const char passwd[] = "root:x:0:0:root:/root:/bin/sh\n"
			     "broken line\n"
			     "big:x:99999999999:1::/:\n"
			     "app:x:1000:2000:the app:/home/app:/bin/sh\n"
			     "1001:x:7:8::/seven:/bin/sh\n"
			     "negative:x:-1:5::/:\n"
			     "nohome:x:12:13\n";
static const char group[] = "wheel:x:10:root\nstaff:x:50:\n65000:x:3:\n";

START_TEST(users_are_strict)
{
	static const struct {
		const char *spec;
		uint32_t uid, gid;
		const char *home;
	} good[] = {
		{"", 0, 0, "/root"},
		{"root", 0, 0, "/root"},
		{"app", 1000, 2000, "/home/app"},
		{"1000", 1000, 2000, "/home/app"},
		{"1001", 1001, 0, "/"},
		{"app:staff", 1000, 50, "/home/app"},
		{"app:77", 1000, 77, "/home/app"},
		{"5:wheel", 5, 10, "/"},
		{"65534:65534", 65534, 65534, "/"},
		{"nohome", 12, 13, "/"},
		{":staff", 0, 50, "/root"},
		{"app:", 1000, 2000, "/home/app"},
		{"0007", 7, 8, "/seven"},
	};
	/* crun once took the number at the beginning of "1x", and what is left of an overflow. */
	static const char *const bad[] = {"1x",	    "+1",	  "-1",
					  " 1",	    "1 ",	  "0x0",
					  "65535",  "4294967296", "18446744073709551616",
					  "nobody", "big",	  "negative",
					  "app:x",  "app:1x",	  "app:65535",
					  "a:b:c",  "app:-1",	  "broken line",
					  "root\n"};

	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		struct userspec user;
		struct err err = ERR_INIT;

		ck_assert_msg(userspec_parse(good[i].spec, passwd, group, &user, &err) == 0, "%s: %s", good[i].spec,
			      err.text);
		ck_assert_msg(user.uid == good[i].uid && user.gid == good[i].gid, "%s: %u:%u", good[i].spec, user.uid,
			      user.gid);
		ck_assert_str_eq(user.home, good[i].home);
	}
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct userspec user = {.uid = 4711};
		struct err err = ERR_INIT;

		ck_assert_msg(userspec_parse(bad[i], passwd, group, &user, &err) == -EINVAL, "accepted \"%s\"", bad[i]);
		ck_assert_uint_eq(user.uid, 4711);
		ck_assert_str_ne(err.text, "");
	}
}
END_TEST

static char folder[] = "/tmp/ferrite-test-image-XXXXXX";
static int layers[2];

static void put(const char *name, const char *text)
{
	char path[128];
	int fd;

	(void)snprintf(path, sizeof(path), "%s/%s", folder, name);
	fd = open(path, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0644);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(fd_write_all(fd, text, strlen(text)), 0);
	(void)close(fd);
}

static void open_layers(void)
{
	char path[128];

	strcpy(folder + sizeof(folder) - 7, "XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(folder));
	for (int i = 0; i < 2; i++) {
		(void)snprintf(path, sizeof(path), "%s/%d", folder, i);
		ck_assert_int_eq(mkdir(path, 0755), 0);
		layers[i] = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
		ck_assert_int_ge(layers[i], 0);
	}
}

static void close_layers(void)
{
	char command[160];

	for (int i = 0; i < 2; i++)
		fd_close(&layers[i]);
	(void)snprintf(command, sizeof(command), "rm -r %s", folder);
	ck_assert_int_eq(system(command), 0);
}

static void make_folder(const char *name)
{
	char path[128];

	(void)snprintf(path, sizeof(path), "%s/%s", folder, name);
	ck_assert_int_eq(mkdir(path, 0755), 0);
}

START_TEST(the_topmost_layer_with_the_file_counts)
{
	struct userspec user;
	struct err err = ERR_INIT;

	make_folder("0/etc");
	put("0/etc/passwd", passwd);
	ck_assert_int_eq(userspec_resolve("app", layers, 2, &user, &err), 0);
	ck_assert_uint_eq(user.uid, 1000);
	make_folder("1/etc");
	put("1/etc/passwd", "app:x:42:43::/:\n");
	ck_assert_int_eq(userspec_resolve("app", layers, 2, &user, &err), 0);
	ck_assert_uint_eq(user.uid, 42);
	ck_assert_int_eq(userspec_resolve("app", layers, 1, &user, &err), 0);
	ck_assert_uint_eq(user.uid, 1000);
	ck_assert_int_eq(userspec_resolve("1x", layers, 2, &user, &err), -EINVAL);
}
END_TEST

START_TEST(links_stay_inside_the_image)
{
	struct userspec user;
	struct err err = ERR_INIT;
	char path[128];

	make_folder("1/etc");
	(void)snprintf(path, sizeof(path), "%s/1/etc/passwd", folder);
	/* The host has this file; the image does not. */
	ck_assert_int_eq(symlink("/etc/hostname", path), 0);
	ck_assert_int_lt(userspec_resolve("app", layers, 2, &user, &err), 0);
	(void)unlink(path);
	ck_assert_int_eq(symlink("/etc/users", path), 0);
	put("1/etc/users", "app:x:5:6::/:\n");
	ck_assert_int_eq(userspec_resolve("app", layers, 2, &user, &err), 0);
	ck_assert_uint_eq(user.uid, 5);
	(void)unlink(path);
	ck_assert_int_eq(mkfifo(path, 0644), 0);
	ck_assert_int_eq(userspec_resolve("app", layers, 2, &user, &err), -EINVAL);
}
END_TEST

static int make(const char *config, struct image **ret_image, struct err *err)
{
	int none[1] = {-1};

	*err = ERR_INIT;
	return image_make("name", "sha256:0", config, strlen(config), none, 0, ret_image, err);
}

START_TEST(configurations_are_interpreted)
{
	struct image *image = NULL;
	struct err err;

	ck_assert_int_eq(
		make("{\"config\":{\"Entrypoint\":[\"/a\",\"b\"],\"Cmd\":[\"c\"],\"Env\":[\"A=1\",\"NVIDIA_REQUIRE_CUDA"
		     "=cuda>=11\"],\"WorkingDir\":\"/w\",\"User\":\"5:6\",\"StopSignal\":\"SIGINT\",\"Labels\":null}}",
		     &image, &err),
		0);
	ck_assert_uint_eq(image->n_args, 3);
	ck_assert_str_eq(image->args[2], "c");
	ck_assert_uint_eq(image->n_env, 2);
	ck_assert_str_eq(image->workdir, "/w");
	ck_assert_uint_eq(image->uid, 5);
	ck_assert_uint_eq(image->gid, 6);
	ck_assert_uint_eq(image->stop_signal, SIGINT);
	ck_assert(!image->cuda);
	image_unref(image);
	ck_assert_int_eq(make("{\"config\":{\"Labels\":{\"io.ferrite.runtime\":\"cuda\",\"io.ferrite.cuda\":\"{}\","
			      "\"io.ferrite.gpu\":\"{\\\"memory\\\":\\\"64MiB\\\"}\"}}}",
			      &image, &err),
			 0);
	ck_assert(image->cuda);
	ck_assert_uint_eq(image->gpu.count, 1);
	ck_assert_uint_eq(image->gpu.memory_bytes, 64 * MIB);
	ck_assert_str_eq(image->workdir, "/");
	ck_assert_uint_eq(image->stop_signal, SIGTERM);
	image_unref(image);
}
END_TEST

START_TEST(bad_configurations_say_why)
{
	static const struct {
		const char *config, *text;
	} rows[] = {
		{"", "no JSON"},
		{"[]", "no JSON object"},
		{"{}", "no program"},
		{"{\"config\":5}", "no JSON object"},
		{"{\"config\":{\"Cmd\":\"x\"}}", "Cmd is no list"},
		{"{\"config\":{\"Cmd\":[5]}}", "Cmd holds"},
		{"{\"config\":{\"Cmd\":[\"x\"],\"User\":5}}", "User is no string"},
		{"{\"config\":{\"Cmd\":[\"x\"],\"User\":\"1x\"}}", "1x"},
		{"{\"config\":{\"Cmd\":[\"x\"],\"StopSignal\":\"SIGNO\"}}", "SIGNO"},
		{"{\"config\":{\"Labels\":{\"io.ferrite.runtime\":\"wasm\"}}}", "wasm"},
		{"{\"config\":{\"Labels\":{\"io.ferrite.runtime\":\"cuda\"}}}", "io.ferrite.cuda"},
		{"{\"config\":{\"Cmd\":[\"x\"],\"Labels\":{\"io.ferrite.gpu\":\"{\"}}}", "io.ferrite.gpu"},
		{"{\"config\":{\"Cmd\":[\"x\"],\"Labels\":{\"io.ferrite.gpu\":\"{\\\"cuont\\\":1}\"}}}", "count"},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct image *image = NULL;
		struct err err;

		ck_assert_msg(make(rows[i].config, &image, &err) < 0, "accepted %s", rows[i].config);
		ck_assert_msg(strstr(err.text, rows[i].text) != NULL, "%s: %s", rows[i].config, err.text);
	}
}
END_TEST

START_TEST(kept_images_are_replaced_and_forgotten)
{
	struct images images;
	struct image *first, *second, *found;
	struct err err;

	ck_assert_int_eq(images_open(&images, &err), 0);
	ck_assert_int_eq(make("{\"config\":{\"Cmd\":[\"1\"]}}", &first, &err), 0);
	ck_assert_int_eq(make("{\"config\":{\"Cmd\":[\"2\"]}}", &second, &err), 0);
	ck_assert_ptr_null(images_find(&images, "name"));
	images_keep(&images, first);
	images_keep(&images, second);
	found = images_find(&images, "name");
	ck_assert_ptr_eq(found, second);
	images_forget(&images);
	ck_assert_ptr_null(images_find(&images, "name"));
	/* Who holds one can still use it. */
	ck_assert_str_eq(found->args[0], "2");
	image_unref(found);
	image_unref(first);
	image_unref(second);
	images_close(&images);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("image");
	TCase *all = tcase_create("all"), *files = tcase_create("files");

	tcase_add_test(all, users_are_strict);
	tcase_add_test(all, configurations_are_interpreted);
	tcase_add_test(all, bad_configurations_say_why);
	tcase_add_test(all, kept_images_are_replaced_and_forgotten);
	tcase_add_checked_fixture(files, open_layers, close_layers);
	tcase_add_test(files, the_topmost_layer_with_the_file_counts);
	tcase_add_test(files, links_stay_inside_the_image);
	suite_add_tcase(suite, all);
	suite_add_tcase(suite, files);
	return suite;
}
