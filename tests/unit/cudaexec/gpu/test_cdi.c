/* CDI files: every rule broken once, folders and priorities, and what NVIDIA's file brings into a container. */
#include "cudaexec/gpu/cdi_inject.h"
#include "cudaexec/gpu/wish.h"
#include "supervisor/str.h"
#include "supervisor/util.h"
#include "tests/unit/cudaexec/gpu/fake_root.h"

#include <check.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define GOLDEN "tests/fuzz/corpus/fuzz_cdi/nvidia.yaml"
#define LIB    "/usr/lib/x86_64-linux-gnu/"

static struct fake_root root;
static struct backend backend;
static char notices[4096];

static void notice(const char *text, const char *detail)
{
	size_t used = strlen(notices);

	(void)snprintf(notices + used, sizeof(notices) - used, "%s: %s\n", text, detail);
}

/* --- the parser --------------------------------------------------------------------------------------------------- */

static int parse(const char *text, struct err *err)
{
	struct cdi_spec *spec = NULL;
	int code = cdi_parse("f", text, strlen(text), &spec, err);

	cdi_spec_free(spec);
	return code;
}

/* A file of VERSION with one device that has these edits. */
static int parse_edits(const char *version, const char *edits, struct err *err)
{
	char text[2048];

	(void)snprintf(text, sizeof(text),
		       "{\"cdiVersion\": \"%s\", \"kind\": \"v.com/c\", \"devices\": [{\"name\": \"d\", "
		       "\"containerEdits\": %s}]}",
		       version, edits);
	return parse(text, err);
}

#define EDITS "\"containerEdits\": {\"env\": [\"A=1\"]}"

START_TEST(sec_K5_wrong_files)
{
	static const struct {
		const char *text, *part;
	} cases[] = {
		{"", "cdiVersion"},
		{"[]", "no list of keys and values"},
		{"{\"cdiVersion\": \"0.9.0\"}", "a version from 0.1.0 to 1.1.0"},
		{"{\"cdiVersion\": \"1.1\"}", "a version from"},
		{"{\"cdiVersion\": \"0.5.0\"}", "kind is missing"},
		{"{\"cdiVersion\": \"0.5.0\", \"kind\": \"v.com/c\"}", "devices is missing"},
		{"{\"cdiVersion\": \"0.5.0\", \"kind\": \"v.com/c\", \"devices\": []}", "at least one"},
		{"{\"cdiVersion\": \"0.5.0\", \"kind\": \"v.com/c\", \"devices\": {}}", "a list is expected"},
		{"{\"cdiVersion\": \"0.5.0\", \"kind\": \"v.com/c\", \"devices\": [{\"name\": \"d\"}]}",
		 "containerEdits is missing"},
		{"{\"cdiVersion\": \"0.5.0\", \"kind\": \"v.com/c\", \"devices\": [{\"name\": \"d\", "
		 "\"containerEdits\": {}}]}",
		 "without edits"},
		{"{\"cdiVersion\": \"0.5.0\", \"kind\": \"v.com/c\", \"devices\": [{" EDITS "}]}", "name is missing"},
		{"{\"cdiVersion\": \"0.5.0\", \"kind\": \"v.com/c\", \"devices\": [{\"name\": \"-d\", " EDITS "}]}",
		 "the name of a device"},
		{"{\"cdiVersion\": \"0.4.0\", \"kind\": \"v.com/c\", \"devices\": [{\"name\": \"0\", " EDITS "}]}",
		 "the name of a device"},
		{"{\"cdiVersion\": \"0.5.0\", \"kind\": \"v.com/c\", \"devices\": [{\"name\": \"d\", " EDITS "}, "
		 "{\"name\": \"d\", " EDITS "}]}",
		 "is there already"},
		{"{\"cdiVersion\": \"0.5.0\", \"kind\": \"c\", \"devices\": [{\"name\": \"d\", " EDITS "}]}",
		 "vendor/class"},
		{"{\"cdiVersion\": \"0.5.0\", \"kind\": \"1.com/c\", \"devices\": [{\"name\": \"d\", " EDITS "}]}",
		 "vendor/class"},
		{"{\"cdiVersion\": \"0.5.0\", \"kind\": \"v.com/c.d\", \"devices\": [{\"name\": \"d\", " EDITS "}]}",
		 "vendor/class"},
		{"{\"cdiVersion\": \"0.5.0\", \"kind\": \"v.com/c\", \"extra\": 1, \"devices\": [{\"name\": "
		 "\"d\", " EDITS "}]}",
		 "extra: no such field"},
		{"{\"cdiVersion\": \"0.5.0\", \"kind\": \"v.com/c\", \"annotations\": {}, \"devices\": [{\"name\": "
		 "\"d\", " EDITS "}]}",
		 "does not have this field yet"},
		{"cdiVersion: 0.5.0\nkind: &k v.com/c\n", "anchors"},
		{"cdiVersion: !x 0.5.0\n", "tags"},
		{"cdiVersion: 0.5.0\n---\nkind: v.com/c\n", "f:"},
		{"cdiVersion: 0.5.0\ncdiVersion: 0.5.0\n", "f:2"},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct err err = ERR_INIT;

		ck_assert_msg(parse(cases[i].text, &err) == -EINVAL, "%s: %d", cases[i].text, err.code);
		ck_assert_msg(strstr(err.text, cases[i].part) != NULL, "%s: %s", cases[i].text, err.text);
	}
}
END_TEST

START_TEST(sec_K5_wrong_edits)
{
	static const struct {
		const char *version, *edits, *part;
	} cases[] = {
		{"1.1.0", "{\"unknown\": 1}", "unknown: no such field"},
		{"1.1.0", "{\"env\": [\"A\"]}", "NAME=VALUE"},
		{"1.1.0", "{\"env\": [\"=1\"]}", "NAME=VALUE"},
		{"1.1.0", "{\"env\": [\"LD_PRELOAD=/x\"]}", "variable of the loader"},
		{"1.1.0", "{\"env\": [\"A=1\\n2\"]}", "control character"},
		{"1.1.0", "{\"env\": {}}", "a list is expected"},
		{"1.1.0", "{\"deviceNodes\": [{}]}", "path is missing"},
		{"1.1.0", "{\"deviceNodes\": [{\"path\": \"dev/x\"}]}", "an absolute path"},
		{"1.1.0", "{\"deviceNodes\": [{\"path\": \"/dev/../x\"}]}", "without empty parts"},
		{"1.1.0", "{\"deviceNodes\": [{\"path\": \"/dev//x\"}]}", "without empty parts"},
		{"0.4.0", "{\"deviceNodes\": [{\"path\": \"/dev/x\", \"hostPath\": \"/dev/y\"}]}", "field yet"},
		{"1.1.0", "{\"deviceNodes\": [{\"path\": \"/dev/x\", \"type\": \"z\"}]}", "b, c, u or p"},
		{"1.1.0", "{\"deviceNodes\": [{\"path\": \"/dev/x\", \"major\": -1}]}", "whole number"},
		{"1.1.0", "{\"deviceNodes\": [{\"path\": \"/dev/x\", \"major\": \"195\"}]}", "whole number"},
		{"1.1.0", "{\"deviceNodes\": [{\"path\": \"/dev/x\", \"uid\": 4294967296}]}", "whole number"},
		{"1.1.0", "{\"deviceNodes\": [{\"path\": \"/dev/x\", \"permissions\": \"rwx\"}]}", "letters of rwm"},
		{"1.1.0", "{\"mounts\": [{\"hostPath\": \"/x\"}]}", "containerPath is missing"},
		{"1.1.0", "{\"mounts\": [{\"containerPath\": \"/x\"}]}", "hostPath is missing"},
		{"1.1.0", "{\"mounts\": [{\"hostPath\": \"/\", \"containerPath\": \"/x\"}]}", "an absolute path"},
		{"0.3.0", "{\"mounts\": [{\"hostPath\": \"/x\", \"containerPath\": \"/x\", \"type\": \"b\"}]}",
		 "field yet"},
		{"1.1.0", "{\"hooks\": [{\"hookName\": \"early\", \"path\": \"/x\"}]}", "OCI hook"},
		{"1.1.0", "{\"hooks\": [{\"hookName\": \"prestart\", \"path\": \"x\"}]}", "an absolute path"},
		{"1.1.0", "{\"hooks\": [{\"hookName\": \"prestart\", \"path\": \"/x\", \"timeout\": 0}]}", "above 0"},
		{"1.1.0", "{\"hooks\": [{\"hookName\": \"prestart\", \"path\": \"/x\", \"env\": [\"LD_X=1\"]}]}",
		 "variable of the loader"},
		{"0.6.0", "{\"additionalGids\": [1]}", "field yet"},
		{"1.1.0", "{\"additionalGids\": [\"a\"]}", "whole number"},
		{"0.6.0", "{\"intelRdt\": {}}", "field yet"},
		{"1.0.0", "{\"intelRdt\": {\"schemata\": []}}", "field yet"},
		{"1.0.0", "{\"netDevices\": []}", "field yet"},
		{"1.1.0", "{\"netDevices\": [{\"name\": \"e\"}]}", "hostInterfaceName is missing"},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct err err = ERR_INIT;

		ck_assert_msg(parse_edits(cases[i].version, cases[i].edits, &err) == -EINVAL, "%s", cases[i].edits);
		ck_assert_msg(strstr(err.text, cases[i].part) != NULL, "%s: %s", cases[i].edits, err.text);
	}
	/* What was refused for its version only is right in a later one. */
	ck_assert_int_eq(parse_edits("1.1.0", "{\"intelRdt\": {\"schemata\": []}}", NULL), 0);
	ck_assert_int_eq(
		parse_edits("v0.5.0", "{\"deviceNodes\": [{\"path\": \"/dev/x\", \"hostPath\": \"/y\"}]}", NULL), 0);
	ck_assert_int_eq(parse_edits("0.7.0", "{\"additionalGids\": [1]}", NULL), 0);
}
END_TEST

/* --- folders ------------------------------------------------------------------------------------------------------ */

static void read_golden(char *text, size_t size)
{
	_cleanup_file_ FILE *file = fopen(GOLDEN, "re");

	ck_assert_msg(file != NULL, "run the test from the source folder");
	text[fread(text, 1, size - 1, file)] = '\0';
}

static void setup(void)
{
	char golden[8192];

	fake_root_make(&root);
	notices[0] = '\0';
	read_golden(golden, sizeof(golden));
	fake_root_file(&root, "/etc/cdi/nvidia.yaml", golden);
}

static void open_backend(void)
{
	struct backend_config config = {.mode = GPU_MODE_NVIDIA,
					.driver_root = "/",
					.cudaexec = "/bin/sh",
					.cdi_dirs = "/etc/cdi:/var/run/cdi",
					.notice = notice};
	struct err err = ERR_INIT;

	(void)str_copy(config.host_root, sizeof(config.host_root), root.path);
	ck_assert_msg(backend_open(&config, &backend, &err) == 0, "%s", err.text);
}

static void teardown(void)
{
	if (backend.files.n_libraries > 0)
		backend_close(&backend);
	fake_root_remove(&root);
}

static int select_device(const char *wish, struct cdi_selection *selection, struct err *err)
{
	ck_assert(cdi_wanted(&backend.cdi, wish));
	return cdi_select(&backend.cdi, wish, selection, err);
}

START_TEST(wanted_and_selected)
{
	struct cdi_selection selection;
	struct err err = ERR_INIT;

	open_backend();
	ck_assert_str_eq(notices, "");
	ck_assert(!cdi_wanted(&backend.cdi, ""));
	ck_assert(!cdi_wanted(&backend.cdi, "all"));
	ck_assert(!cdi_wanted(&backend.cdi, "nvidia.com/gpu=0,1"));
	ck_assert_int_eq(select_device(" nvidia.com/gpu=1 , nvidia.com/gpu=1", &selection, NULL), 0);
	ck_assert_uint_eq(selection.count, 1);
	ck_assert_uint_eq(cdi_mask(&selection, &backend.inventory), 2); /* node 5 is GPU 1 */
	ck_assert_int_eq(select_device("nvidia.com/gpu=all", &selection, NULL), 0);
	ck_assert_uint_eq(cdi_mask(&selection, &backend.inventory), 3);
	ck_assert_int_eq(select_device("nvidia.com/gpu=9", &selection, &err), -ENODEV);
	ck_assert_ptr_nonnull(strstr(err.text, "nvidia.com/gpu=9"));
	ck_assert_int_eq(select_device("other.com/x=1", &selection, &err), -ENODEV);
}
END_TEST

/* Without a file of that kind the names mean the driver that is found otherwise. */
START_TEST(native_names)
{
	fake_root_delete(&root, "/etc/cdi/nvidia.yaml");
	open_backend();
	ck_assert(!cdi_wanted(&backend.cdi, "nvidia.com/gpu=0"));
}
END_TEST

#define SPEC(variable) \
	"{\"cdiVersion\": \"0.5.0\", \"kind\": \"nvidia.com/gpu\", \"devices\": [{\"name\": \"0\", " \
	"\"containerEdits\": " \
	"{\"env\": [\"" variable "\"]}}]}"

START_TEST(priorities_and_conflicts)
{
	struct cdi_selection selection;
	struct err err = ERR_INIT;

	fake_root_file(&root, "/etc/cdi/second.json", SPEC("A=1"));
	fake_root_file(&root, "/etc/cdi/.hidden.json", SPEC("A=2"));
	fake_root_file(&root, "/etc/cdi/other.conf", SPEC("A=3"));
	fake_root_file(&root, "/etc/cdi/below/third.json", SPEC("A=4"));
	open_backend();
	ck_assert_uint_eq(backend.cdi.n_specs, 2);
	ck_assert_int_eq(select_device("nvidia.com/gpu=0", &selection, &err), -ENOTUNIQ);
	ck_assert_msg(strstr(err.text, "second.json") && strstr(err.text, "nvidia.yaml"), "%s", err.text);
	ck_assert_int_eq(select_device("nvidia.com/gpu=1", &selection, NULL), 0);
	backend_close(&backend);
	fake_root_file(&root, "/var/run/cdi/best.json", SPEC("A=5"));
	open_backend();
	ck_assert_int_eq(select_device("nvidia.com/gpu=0", &selection, NULL), 0);
	ck_assert_str_eq(selection.devices[0].spec->file, "/var/run/cdi/best.json");
}
END_TEST

START_TEST(sec_K5_files_that_are_not_used)
{
	char path[PATH_MAX];

	fake_root_file(&root, "/etc/cdi/wrong.yaml", "cdiVersion: 0.5.0\nnonsense\n");
	fake_root_link(&root, "/etc/cdi/link.json", "nvidia.yaml");
	fake_root_file(&root, "/etc/cdi/open.json", SPEC("A=1"));
	fake_root_file(&root, "/etc/cdi/foreign.json", SPEC("A=1"));
	(void)snprintf(path, sizeof(path), "%s/etc/cdi/open.json", root.path);
	ck_assert_int_eq(chmod(path, 0666), 0);
	(void)snprintf(path, sizeof(path), "%s/etc/cdi/foreign.json", root.path);
	ck_assert_int_eq(chown(path, 1000, 0), 0);
	fake_root_file(&root, "/var/run/cdi/good.json", SPEC("A=1"));
	(void)snprintf(path, sizeof(path), "%s/var/run/cdi", root.path);
	ck_assert_int_eq(chmod(path, 0777), 0);
	open_backend();
	ck_assert_uint_eq(backend.cdi.n_specs, 1);
	ck_assert_msg(strstr(notices, "/etc/cdi/wrong.yaml:3"), "%s", notices);
	ck_assert_msg(strstr(notices, "/etc/cdi/link.json"), "%s", notices);
	ck_assert_msg(strstr(notices, "/etc/cdi/open.json: can be changed by others"), "%s", notices);
	ck_assert_msg(strstr(notices, "/etc/cdi/foreign.json: can be changed by others"), "%s", notices);
	ck_assert_msg(strstr(notices, "/var/run/cdi: can be changed by others"), "%s", notices);
}
END_TEST

/* --- what is injected --------------------------------------------------------------------------------------------- */

static int inject(const char *wish, struct injection *injection, struct err *err)
{
	struct injection_source source = backend_source(&backend);
	struct cdi_selection selection;
	int code = select_device(wish, &selection, err);

	return code < 0 ? code : cdi_inject(&selection, &source, injection, err);
}

static const struct injection_item *item(const struct injection *injection, const char *destination)
{
	for (unsigned i = 0; i < injection->count; i++)
		if (strcmp(injection->items[i].destination, destination) == 0)
			return &injection->items[i];
	return NULL;
}

static bool sets(const struct injection *injection, const char *variable)
{
	for (unsigned i = 0; i < injection->n_env; i++)
		if (strcmp(injection->env[i], variable) == 0)
			return true;
	return false;
}

static void make_socket(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	_cleanup_fd_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	fake_root_file(&root, path, "");
	fake_root_delete(&root, path);
	ck_assert_int_lt(snprintf(address.sun_path, sizeof(address.sun_path), "%s%s", root.path, path),
			 (int)sizeof(address.sun_path));
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
}

START_TEST(golden)
{
	struct injection injection;
	struct err err = ERR_INIT;

	make_socket("/run/nvidia-persistenced/socket");
	open_backend();
	ck_assert_msg(inject("nvidia.com/gpu=1", &injection, &err) == 0, "%s", err.text);
	ck_assert_int_eq(item(&injection, LIB "libcuda.so.999.88.77")->kind, SBX_ITEM_FILE);
	ck_assert_str_eq(item(&injection, LIB "libcuda.so")->content, "libcuda.so.1");
	ck_assert_str_eq(item(&injection, LIB "libcuda.so.1")->content, "libcuda.so.999.88.77");
	ck_assert_int_eq(item(&injection, "/dev/nvidia5")->kind, SBX_ITEM_DEVICE);
	ck_assert_int_eq(item(&injection, "/dev/nvidiactl")->kind, SBX_ITEM_DEVICE);
	ck_assert_ptr_null(item(&injection, "/dev/nvidia0"));
	ck_assert_ptr_null(item(&injection, "/run/nvidia-persistenced/socket"));
	ck_assert_str_eq(item(&injection, "/proc/driver/nvidia/params")->content,
			 "ModifyDeviceFiles: 0\nDeviceFileUID: 0\n");
	ck_assert_ptr_nonnull(item(&injection, "/proc/driver/nvidia/gpus/0000:b3:00.0/information"));
	ck_assert_ptr_null(item(&injection, "/proc/driver/nvidia/gpus/0000:65:00.0/information"));
	ck_assert_ptr_nonnull(strstr(
		item(&injection, "/etc/nvidia/nvidia-application-profiles-rc.d/10-container.conf")->content, "0x20]"));
	ck_assert_ptr_nonnull(item(&injection, INJECTION_CUDAEXEC));
	ck_assert(sets(&injection, "NVIDIA_VISIBLE_DEVICES=void"));
	ck_assert(sets(&injection, "LD_LIBRARY_PATH=/usr/lib/x86_64-linux-gnu:/usr/lib/x86_64-linux-gnu/vdpau"));
	ck_assert_str_eq(item(&injection, "/dev/nvidia5")->why, "nvidia.com/gpu=1");
	injection_done(&injection);
}
END_TEST

/* A file with one device whose edits cannot be made here. */
static void expect_refusal(const char *edits, int code, const char *part)
{
	struct injection injection;
	struct err err = ERR_INIT;
	char text[1024];
	int found;

	(void)snprintf(text, sizeof(text),
		       "{\"cdiVersion\": \"1.1.0\", \"kind\": \"v.com/c\", \"devices\": [{\"name\": \"d\", "
		       "\"containerEdits\": %s}]}",
		       edits);
	fake_root_file(&root, "/etc/cdi/case.json", text);
	open_backend();
	ck_assert_str_eq(notices, "");
	found = inject("v.com/c=d", &injection, &err);
	ck_assert_msg(found == code && strstr(err.text, part), "%s: %d %s", edits, found, err.text);
	ck_assert_msg(strstr(err.text, "v.com/c=d (/etc/cdi/case.json)"), "%s", err.text);
	backend_close(&backend);
}

/* More than fits the answer to an attach; the sizes of files allow it. */
START_TEST(sec_K5_too_much)
{
	char edits[900] = "{\"env\": [\"A0=1\"";
	struct injection injection = {.count = 0};

	for (unsigned i = 1; i <= INJECTION_ENV_MAX; i++) {
		size_t used = strlen(edits);

		(void)snprintf(edits + used, sizeof(edits) - used, ",\"A%u=1\"", i);
	}
	(void)strcat(edits, "]}");
	expect_refusal(edits, -EOVERFLOW, "more than 64 variables");
	for (unsigned i = 0; i < 4; i++) {
		char variable[2000];

		(void)snprintf(variable, sizeof(variable), "LONG%u=%0*d", i, 1900, 0);
		ck_assert_int_eq(injection_set(&injection, variable, NULL), i < 3 ? 0 : -EOVERFLOW);
	}
	injection_done(&injection);
}
END_TEST

START_TEST(sec_K5_refusals)
{
	expect_refusal(
		"{\"hooks\": [{\"hookName\": \"prestart\", \"path\": \"/bin/sh\", \"args\": [\"sh\", \"-c\", \"x\"]}]}",
		-EOPNOTSUPP, "/bin/sh on the host");
	expect_refusal("{\"hooks\": [{\"hookName\": \"prestart\", \"path\": \"/x/nvidia-cdi-hook\", \"args\": [\"x\", "
		       "\"new\"]}]}",
		       -EOPNOTSUPP, "hook 'new'");
	expect_refusal(
		"{\"hooks\": [{\"hookName\": \"prestart\", \"path\": \"/x/nvidia-ctk\", \"args\": [\"x\", \"run\", "
		"\"chmod\"]}]}",
		-EOPNOTSUPP, "on the host");
	expect_refusal("{\"hooks\": [{\"hookName\": \"prestart\", \"path\": \"/x/nvidia-cdi-hook\", \"args\": [\"x\", "
		       "\"create-symlinks\", \"--link\", \"a::b\"]}]}",
		       -EINVAL, "TARGET::LINK");
	expect_refusal("{\"deviceNodes\": [{\"path\": \"/dev/none\"}]}", -ENOENT, "/dev/none");
	expect_refusal("{\"deviceNodes\": [{\"path\": \"/dev/nvidia0\", \"minor\": 7}]}", -EPERM, "195:0");
	expect_refusal("{\"deviceNodes\": [{\"path\": \"/dev/x\", \"hostPath\": \"/usr/bin/nvidia-smi\"}]}", -EPERM,
		       "no character device");
	expect_refusal("{\"deviceNodes\": [{\"path\": \"/etc/x\", \"hostPath\": \"/dev/nvidia0\"}]}", -EOPNOTSUPP,
		       "not below /dev");
	expect_refusal("{\"mounts\": [{\"hostPath\": \"/none\", \"containerPath\": \"/x\"}]}", -ENOENT, "/none");
	expect_refusal("{\"mounts\": [{\"hostPath\": \"/usr/bin\", \"containerPath\": \"/x\"}]}", -EOPNOTSUPP,
		       "no regular file");
	expect_refusal("{\"mounts\": [{\"hostPath\": \"/usr/bin/nvidia-smi\", \"containerPath\": \"/proc/1\"}]}",
		       -EOPNOTSUPP, "below /proc");
	expect_refusal("{\"additionalGids\": [0, 44]}", -EOPNOTSUPP, "additional groups");
	expect_refusal("{\"netDevices\": [{\"hostInterfaceName\": \"a\", \"name\": \"b\"}]}", -EOPNOTSUPP,
		       "netDevices");
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("cdi");
	TCase *parser = tcase_create("parser"), *folders = tcase_create("folders");

	tcase_add_test(parser, sec_K5_wrong_files);
	tcase_add_test(parser, sec_K5_wrong_edits);
	suite_add_tcase(suite, parser);
	tcase_add_checked_fixture(folders, setup, teardown);
	tcase_add_test(folders, wanted_and_selected);
	tcase_add_test(folders, native_names);
	tcase_add_test(folders, priorities_and_conflicts);
	tcase_add_test(folders, sec_K5_files_that_are_not_used);
	tcase_add_test(folders, golden);
	tcase_add_test(folders, sec_K5_too_much);
	tcase_add_test(folders, sec_K5_refusals);
	suite_add_tcase(suite, folders);
	return suite;
}

#include "tests/unit/main.h"
