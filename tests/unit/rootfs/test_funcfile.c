#include "rootfs/funcfile.h"
#include "supervisor/util.h"

#include <string.h>

#include "tests/unit/main.h"

static struct function_file *parse(const char *name, const char *text, struct err *err)
{
	struct function_file *file = NULL;

	(void)function_file_parse(name, text, strlen(text), &file, err);
	return file;
}

static const char whole[] =
	"name: demo/x\n"
	"version: 1.0\n"
	"path: /x\n"
	"type: async\n"
	"format: http\n"
	"memory: 1GiB\n"
	"timeout: 1m30s\n"
	"idle_timeout: 5\n"
	"max_concurrency: 3\n"
	"jwt_key: k\n"
	"config: { A: $B, N: 1, E: }\n"
	"headers: { X-A: b }\n"
	"runtime: exec\n"
	"base: debian:12\n"
	"entrypoint: ./run  --fast\n"
	"cmd: [a b, c]\n"
	"env: { K: v, T: true }\n"
	"workdir: /w\n"
	"user: 1000:1000\n"
	"network: host\n"
	"gpu: { memory: 512MiB, capabilities: 'compute,video', on_pressure: fail, isolation: exclusive,\n"
	"       sm_percent: 50, warm: 2 }\n"
	"files:\n"
	"  - a\n"
	"  - { from: b, to: /c, mode: 0700 }\n"
	"tests:\n"
	"  - name: t\n"
	"    in: i\n"
	"    out: \"o\\n\"\n"
	"    err: e\n"
	"    env: { Q: r }\n";

START_TEST(every_key_is_read)
{
	struct err err = ERR_INIT;
	struct function_file *f = parse("func.yaml", whole, &err);

	ck_assert_msg(f != NULL, "%s", err.text);
	ck_assert_str_eq(f->name, "demo/x");
	ck_assert_str_eq(f->version, "1.0");
	ck_assert_str_eq(f->type, "async");
	ck_assert_str_eq(f->format, "http");
	ck_assert(f->has_memory && f->memory_mib == 1024);
	ck_assert(f->has_timeout && f->timeout_s == 90);
	ck_assert(f->has_idle_timeout && f->idle_timeout_s == 5);
	ck_assert(f->has_max_concurrency && f->max_concurrency == 3);
	ck_assert_uint_eq(f->config.count, 3);
	ck_assert_str_eq(f->config.items[0].value, "$B");
	ck_assert_str_eq(f->config.items[1].value, "1");
	ck_assert_str_eq(f->config.items[2].value, "");
	ck_assert_str_eq(f->headers.items[0].key, "X-A");
	ck_assert_uint_eq(f->entrypoint.count, 2);
	ck_assert_str_eq(f->entrypoint.items[1], "--fast");
	ck_assert_str_eq(f->cmd.items[0], "a b");
	ck_assert_str_eq(f->env.items[1], "T=true");
	ck_assert_str_eq(f->base, "debian:12");
	ck_assert_str_eq(f->user, "1000:1000");
	ck_assert(f->has_network && f->network == FUNCTION_NETWORK_HOST);
	ck_assert_uint_eq(f->gpu.count, 1);
	ck_assert_uint_eq(f->gpu.memory_bytes, 512 * MIB);
	ck_assert_int_eq((int)f->gpu.on_pressure, FUNCTION_PRESSURE_FAIL);
	ck_assert_int_eq((int)f->gpu.isolation, FUNCTION_ISOLATION_EXCLUSIVE);
	ck_assert(f->gpu.sm_percent == 50 && f->gpu.warm == 2);
	ck_assert_uint_eq(f->n_files, 2);
	ck_assert_str_eq(f->files[0].from, "a");
	ck_assert_ptr_null(f->files[0].to);
	ck_assert_uint_eq(f->files[1].mode, 0700);
	ck_assert_uint_eq(f->n_tests, 1);
	ck_assert_str_eq(f->tests[0].out, "o\n");
	ck_assert_str_eq(f->tests[0].env.items[0].value, "r");
	ck_assert_uint_eq(function_file_line(f, "files[1].mode"), 25);
	ck_assert_uint_eq(function_file_line(f, "tests[0].nothing"), 27);
	ck_assert_uint_eq(function_file_line(f, "nothing"), 0);
	(void)function_file_free(f);
}
END_TEST

START_TEST(defaults_follow_the_runtime)
{
	struct err err = ERR_INIT;
	struct function_file *f = parse("func.yaml", "name: x\nentrypoint: [x]\n", &err);

	ck_assert_msg(f != NULL, "%s", err.text);
	ck_assert_int_eq((int)f->runtime, FUNCTION_RUNTIME_EXEC);
	ck_assert_uint_eq(f->gpu.count, 0);
	ck_assert_str_eq(f->gpu.capabilities, "compute,utility");
	ck_assert(!f->has_network && f->network == FUNCTION_NETWORK_BRIDGE);
	ck_assert(!f->has_memory && !f->has_timeout);
	ck_assert_ptr_null(f->files);
	(void)function_file_free(f);
	f = parse("func.yml", "runtime: cuda\ncuda: { handler: libx.so }\n", &err);
	ck_assert_msg(f != NULL, "%s", err.text);
	ck_assert_uint_eq(f->gpu.count, 1);
	ck_assert_int_eq((int)f->network, FUNCTION_NETWORK_NONE);
	ck_assert_str_eq(f->cuda->handler, "libx.so");
	(void)function_file_free(f);
	f = parse("func.yaml", "", &err);
	ck_assert_msg(f != NULL, "%s", err.text);
	(void)function_file_free(f);
}
END_TEST

/* What fn, with Docker, makes an image for, and a file that only speaks of one. */
static const char *const about_images[] = {
	"name: x\n",
	"name: x\nbuild: [make]\npath: /y\n",
	"name: x\nruntime: go\nentrypoint: ./func\nbuild:\n  - go build\n",
	"name: x\nruntime: node:6\ncmd: x\n",
	"name: x\nruntime: lambda-nodejs4.3\n",
	"name: x\nruntime: docker\n",
};

START_TEST(files_about_images_are_told_apart)
{
	struct err err = ERR_INIT;
	struct function_file *f = parse("func.yaml", about_images[_i], &err);

	ck_assert_msg(f != NULL, "%s", err.text);
	ck_assert_int_eq((int)f->runtime, FUNCTION_RUNTIME_IMAGE);
	(void)function_file_free(f);
}
END_TEST

static const struct {
	const char *name, *before, *after;
} bumps[] = {
	{"func.yaml", "# 0.0.9\nname: x # a\nversion: 0.0.9   # b\npath: /0.0.9\n",
	 "# 0.0.9\nname: x # a\nversion: 0.0.10   # b\npath: /0.0.9\n"},
	{"func.yaml", "name: x\nversion:\n  '1.2.3'\n", "name: x\nversion:\n  '1.2.4'\n"},
	{"func.yml", "{path: /1.1.1, name: x, version: 1.1.1}", "{path: /1.1.1, name: x, version: 1.1.2}"},
	{"func.json", "{\"path\":\"/0.0.1\",\"version\":\"0.0.1\",\"name\":\"x\"}",
	 "{\"path\":\"/0.0.1\",\"version\":\"0.0.2\",\"name\":\"x\"}"},
	{"func.yaml", "path: /y\r\nname: x\r\nmemory: 64\r\n", "path: /y\r\nname: x\r\nversion: 0.0.1\nmemory: 64\r\n"},
	{"func.yaml", "name: x", "name: x\nversion: 0.0.1\n"},
};

START_TEST(a_version_is_raised_in_place)
{
	_cleanup_free_ char *after = NULL, *version = NULL;
	struct err err = ERR_INIT;
	int r = function_file_bump(bumps[_i].name, bumps[_i].before, strlen(bumps[_i].before), &after, &version, &err);

	ck_assert_msg(r == 0, "%s", err.text);
	ck_assert_str_eq(after, bumps[_i].after);
	ck_assert_ptr_nonnull(strstr(after, version));
}
END_TEST

static const struct {
	const char *name, *text, *error;
} not_bumped[] = {
	{"func.yaml", "name: x\nversion: '1.0'\n", "func.yaml:2: version \"1.0\" is not of the form MAJOR.MINOR.PATCH"},
	{"func.yaml", "version: 1.0.0-rc1\n", "not of the form"},
	{"func.yaml", "version: 1..0\n", "not of the form"},
	{"func.yaml", "version: 1.0.18446744073709551615\n", "not of the form"},
	{"func.json", "{\"name\": \"x\"}", "func.json has no version: give it one"},
	{"func.yaml", "version: \"1.0.\\x31\"\n", "cannot be changed in place"},
	{"func.yaml", "memroy: 1\n", "unknown key"},
};

START_TEST(what_cannot_be_raised_is_left)
{
	char *after = NULL, *version = NULL;
	struct err err = ERR_INIT;
	const char *text = not_bumped[_i].text;

	ck_assert_int_eq(function_file_bump(not_bumped[_i].name, text, strlen(text), &after, &version, &err), -EINVAL);
	ck_assert_msg(strstr(err.text, not_bumped[_i].error), "%s", err.text);
	ck_assert(!after && !version);
}
END_TEST

START_TEST(json_is_read_like_yaml)
{
	struct err err = ERR_INIT;
	struct function_file *f =
		parse("func.json",
		      "{\n\t\"name\": \"demo\\/x\",\n\t\"memory\": 64,\n\t\"config\": {\"A\": true},\n"
		      "\t\"entrypoint\": [\"a\\u00e4\\n\"]\n}\n",
		      &err);

	ck_assert_msg(f != NULL, "%s", err.text);
	ck_assert_str_eq(f->name, "demo/x");
	ck_assert_uint_eq(f->memory_mib, 64);
	ck_assert_str_eq(f->config.items[0].value, "true");
	ck_assert_str_eq(f->entrypoint.items[0], "a\xc3\xa4\n");
	(void)function_file_free(f);
	ck_assert_ptr_null(parse("func.json", "name: x\n", &err));
	ck_assert_msg(strstr(err.text, "func.json is no valid JSON: line 1"), "%s", err.text);
}
END_TEST

static const struct {
	const char *text, *error;
} bad[] = {
	{"name: x\nmemroy: 1\n", "func.yaml:2: unknown key \"memroy\"; did you mean \"memory\"?"},
	{"zzzzzzzz: 1\n", "func.yaml:1: unknown key \"zzzzzzzz\""},
	{"gpu:\n  memroy: 1\n", "func.yaml:2: unknown key \"memroy\" in gpu; did you mean \"memory\"?"},
	{"tests:\n  - nmae: x\n", "func.yaml:2: unknown key \"nmae\" in tests[0]; did you mean \"name\"?"},
	{"files:\n  - {fron: x}\n", "func.yaml:2: unknown key \"fron\" in files[0]; did you mean \"from\"?"},
	{"name: x\nname: y\n", "func.yaml:2: key \"name\" stands twice (first in line 1)"},
	{"name: Upper\n", "func.yaml:1: name: image name"},
	{"name: [a]\n", "name: a text is expected"},
	{"version: a b\n", "version: a version such as 1.0.0"},
	{"version: a:b\n", "version: a version such as"},
	{"path: /a?b\n", "path: a path such as /hello"},
	{"type: later\n", "func.yaml:1: type: sync or async is expected, not \"later\""},
	{"format: json\n", "format: default or http is expected"},
	{"memory: 0\n", "memory: host memory in whole MiB"},
	{"memory: -1\n", "memory: host memory"},
	{"memory: 1KiB\n", "memory: host memory"},
	{"memory: 1MB\n", "memory: host memory"},
	{"memory: 99999999999999999999\n", "memory: host memory"},
	{"memory: 17592186044416\n", "memory: host memory"},
	{"timeout: 1.5s\n", "timeout: a time in whole seconds"},
	{"timeout: 500ms\n", "timeout: a time in whole seconds"},
	{"timeout: s\n", "timeout: a time in whole seconds"},
	{"timeout: 9999999999\n", "timeout: a time in whole seconds"},
	{"timeout: 900000h\n", "timeout: a time in whole seconds"},
	{"timeout: ''\n", "timeout: a time in whole seconds"},
	{"max_concurrency: 0\n", "max_concurrency: a number from 1 to"},
	{"config: [a]\n", "config: names with a text each"},
	{"config: { a: [1] }\n", "config: one text per name"},
	{"entrypoint: a 'b c'\n", "entrypoint: a list of texts where quotes are needed"},
	{"entrypoint: { a: b }\n", "entrypoint: a command"},
	{"cmd: [[a]]\n", "cmd: a text"},
	{"env: [A]\n", "env: NAME=VALUE"},
	{"env: { 'A=B': c }\n", "env: a name without ="},
	{"env: x\n", "env: a list of NAME=VALUE"},
	{"workdir: w\n", "workdir: an absolute path"},
	{"files: a\n", "files: a list of files"},
	{"files: [/etc/passwd]\n", "files[0]: a path below"},
	{"files: [{to: /x}]\n", "files[0]: the key from is expected"},
	{"files: [{from: x, to: y}]\n", "files[0].to: an absolute path"},
	{"files: [{from: x, mode: 999}]\n", "files[0].mode: permissions such as 0755"},
	{"files: [{from: x, mode: 010000}]\n", "permissions"},
	{"gpu: 1\n", "gpu: a list of keys and values"},
	{"gpu: { count: 65 }\n", "gpu.count: a number from 0 to 64"},
	{"gpu: { memory: lots }\n", "gpu.memory: device memory such as 512MiB"},
	{"gpu: { capabilities: 'compute,magic' }\n", "gpu.capabilities: compute, utility"},
	{"gpu: { on_pressure: explode }\n", "gpu.on_pressure: wait or fail is expected, not \"explode\""},
	{"gpu: { isolation: none }\n", "gpu.isolation: interpose, exclusive, remote or mig"},
	{"gpu: { sm_percent: 101 }\n", "gpu.sm_percent: a number from 1 to 100"},
	{"network: wifi\n", "network: none, bridge or host"},
	{"runtime: exce\n", "func.yaml:1: runtime: exec, cuda or a runtime of fn (go, node, ruby, python"},
	{"runtime: 'node:'\n", "not \"node:\""},
	{"runtime: node\n", "func.yaml:1: runtime node needs the key name"},
	{"name: x\nruntime: go\nfiles: [a]\n",
	 "func.yaml:3: files has no effect here: ferrite does not make the image of "
	 "runtime go"},
	{"name: x\nuser: y\n", "func.yaml:2: user has no effect here: ferrite does not make the image, it runs"},
	{"runtime: cuda\n", "func.yaml: runtime cuda needs the key cuda"},
	{"cuda: { handler: x.so }\n", "func.yaml:1: the key cuda needs runtime: cuda"},
	{"runtime: cuda\ncmd: [x]\ncuda: { handler: x.so }\n", "func.yaml:2: cmd has no meaning with runtime cuda"},
	{"runtime: cuda\ngpu: { count: 0 }\ncuda: { handler: x.so }\n", "func.yaml:2: gpu.count: runtime cuda needs"},
	{"runtime: cuda\ncuda:\n  modul: x.ptx\n", "func.yaml:3: cuda"},
	{"runtime: cuda\ncuda:\n  module: x.ptx\n  launch:\n    - kernel: k\n      grdi: [1]\n",
	 "func.yaml:6: cuda.launch[0]"},
	{"a: &x 1\n", "func.yaml:1: anchors"},
	{"name: *x\n", "aliases (*name) are not used"},
	{"name: !!str x\n", "tags (!name) are not used"},
	{"name: x\n---\nname: y\n", "more than one document"},
	{"- a\n", "no list of keys and values"},
	{"name: [\n", "func.yaml:"},
	{"name: \"\\0\"\n", "zero byte"},
	{"name: x\n\tversion: 1\n", "func.yaml:"},
	{"\xff\xfe", "func.yaml"},
	{"a: [[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]\n", "nested too deep"},
	{"? [a]\n: b\n", "a key is a plain word"},
};

START_TEST(errors_name_line_and_cause)
{
	struct err err = ERR_INIT;

	ck_assert_ptr_null(parse("func.yaml", bad[_i].text, &err));
	ck_assert_int_lt(err.code, 0);
	ck_assert_msg(strstr(err.text, bad[_i].error), "\"%s\" gives \"%s\", expected is \"%s\"", bad[_i].text,
		      err.text, bad[_i].error);
}
END_TEST

START_TEST(numbers_of_the_section_are_exact)
{
	static const char text[] = "runtime: cuda\n"
				   "cuda:\n"
				   "  module: m.ptx\n"
				   "  inputs:\n"
				   "    - { name: big, datatype: UINT64, shape: [], default: 18446744073709551615 }\n"
				   "    - { name: low, datatype: INT64, shape: [], default: -9223372036854775808 }\n"
				   "    - { name: f, datatype: FP64, shape: [], default: 1e-3 }\n"
				   "    - { name: i, datatype: FP32, shape: [], default: -.inf }\n"
				   "    - { name: q, datatype: FP32, shape: [], default: .nan }\n"
				   "    - { name: b, datatype: BOOL, shape: [], default: true }\n"
				   "  outputs: [{ name: y, datatype: FP32, shape: ['4'] }]\n"
				   "  launch: [{ kernel: k, grid: [1, 1, 1], block: [1, 1, 1], args: [y] }]\n";
	struct err err = ERR_INIT;
	struct function_file *f = parse("func.yaml", text, &err);
	const char *canonical;

	ck_assert_msg(f != NULL, "%s", err.text);
	canonical = manifest_canonical(f->cuda);
	ck_assert_msg(strstr(canonical, "\"default\":18446744073709551615"), "%s", canonical);
	ck_assert_msg(strstr(canonical, "\"default\":-9223372036854775808"), "%s", canonical);
	ck_assert_msg(strstr(canonical, "\"default\":\"-Infinity\""), "%s", canonical);
	ck_assert_msg(strstr(canonical, "\"default\":\"NaN\""), "%s", canonical);
	ck_assert_msg(strstr(canonical, "\"default\":true"), "%s", canonical);
	(void)function_file_free(f);
}
END_TEST

START_TEST(sizes_are_bounded)
{
	_cleanup_free_ char *text = calloc(1, FUNCTION_FILE_MAX + 2);
	struct function_file *file = NULL;
	struct err err = ERR_INIT;

	memset(text, '#', FUNCTION_FILE_MAX + 1);
	ck_assert_int_eq(function_file_parse("func.yaml", text, FUNCTION_FILE_MAX + 1, &file, &err), -E2BIG);
	/* A list that is too long, and a text that is. */
	(void)strcpy(text, "cmd: [");
	for (int i = 0; i < 1100; i++)
		(void)strcpy(text + 6 + 2 * i, "a,");
	(void)strcpy(text + 6 + 2200, "a]");
	ck_assert_ptr_null(parse("func.yaml", text, &err));
	ck_assert_msg(strstr(err.text, "at most 1024"), "%s", err.text);
	memset(text, 'x', 70000);
	memcpy(text, "jwt_key: ", 9);
	text[70000] = '\0';
	ck_assert_ptr_null(parse("func.yaml", text, &err));
	ck_assert_msg(strstr(err.text, "longer than 65536"), "%s", err.text);
	memset(text, '[', 100000);
	text[100000] = '\0';
	ck_assert_ptr_null(parse("func.yaml", text, &err));
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("funcfile");
	TCase *all = tcase_create("all");

	tcase_add_test(all, every_key_is_read);
	tcase_add_test(all, defaults_follow_the_runtime);
	tcase_add_loop_test(all, files_about_images_are_told_apart, 0, (int)ARRAY_LEN(about_images));
	tcase_add_loop_test(all, a_version_is_raised_in_place, 0, (int)ARRAY_LEN(bumps));
	tcase_add_loop_test(all, what_cannot_be_raised_is_left, 0, (int)ARRAY_LEN(not_bumped));
	tcase_add_test(all, json_is_read_like_yaml);
	tcase_add_loop_test(all, errors_name_line_and_cause, 0, (int)ARRAY_LEN(bad));
	tcase_add_test(all, numbers_of_the_section_are_exact);
	tcase_add_test(all, sizes_are_bounded);
	suite_add_tcase(suite, all);
	return suite;
}
