/*
 * The examples as they are: their function files, their modules against their launches, and every call of calls.json
 * and every test of func.yaml against the real cudaexec on the software device.
 */
#include "cudaexec/runner/manifest.h"
#include "rootfs/funcfile.h"
#include "supervisor/util.h"
#include "tests/unit/cudaexec/runner_help.h"

#include <fcntl.h>
#include <jansson.h>
#include <math.h>
#include <string.h>
#include <sys/wait.h>

#include "tests/unit/main.h"

static const char *const names[] = {"saxpy", "thumbnail", "mandelbrot", "softmax", "nbody", "handler", "hello"};

struct example {
	const char *name;
	char source[64];  /* in the repository */
	char built[4096]; /* the copy with what the compiler makes */
	struct function_file *file;
	struct instance x;
};

static void open_example(struct example *e, const char *name)
{
	struct err err = ERR_INIT;

	*e = (struct example){.name = name};
	snprintf(e->source, sizeof(e->source), "examples/%s", name);
	snprintf(e->built, sizeof(e->built), "%s/examples/%s", help_build(), name);
	ck_assert_msg(function_file_load(e->source, &e->file, &err) == 0, "%s", err.text);
}

static char *load(const struct example *e, const char *file, size_t *ret_length)
{
	char path[256], *bytes = NULL;
	struct err err = ERR_INIT;
	ssize_t n;

	snprintf(path, sizeof(path), "%s/%s", e->source, file);
	n = file_read(AT_FDCWD, path, MIB, &bytes, &err);
	ck_assert_msg(n >= 0, "%s", err.text);
	*ret_length = (size_t)n;
	return bytes;
}

START_TEST(modules_fit_their_launches)
{
	struct example e;

	open_example(&e, names[_i]);
	if (e.file->cuda && e.file->cuda->module) {
		_cleanup_(kernel_list_release) struct kernel_list *list = NULL;
		struct err err = ERR_INIT;
		size_t length;
		_cleanup_free_ char *image = load(&e, e.file->cuda->module, &length);

		ck_assert_msg(kernel_list_read(image, length, &list, &err) == 0, "%s", err.text);
		ck_assert_msg(manifest_check_kernels(e.file->cuda, list, &err) == 0, "%s", err.text);
	}
	function_file_free(e.file);
}
END_TEST

/* --- calls --- */

/* Equal, but for rounding in numbers. */
static bool same(const json_t *got, const json_t *wanted)
{
	const char *key;
	const json_t *value;

	if (json_is_number(got) && json_is_number(wanted))
		return fabs(json_number_value(got) - json_number_value(wanted)) <=
		       1e-5 * fmax(1, fabs(json_number_value(wanted)));
	if (json_typeof(got) != json_typeof(wanted))
		return false;
	if (json_is_array(got)) {
		for (size_t i = 0; i < json_array_size(got); i++)
			if (i >= json_array_size(wanted) || !same(json_array_get(got, i), json_array_get(wanted, i)))
				return false;
		return json_array_size(got) == json_array_size(wanted);
	}
	if (!json_is_object(got))
		return json_equal(got, wanted);
	json_object_foreach((json_t *)wanted, key, value) if (!json_object_get(got, key) ||
							      !same(json_object_get(got, key), value)) return false;
	return json_object_size(got) == json_object_size(wanted);
}

static char *call_body(const struct example *e, const json_t *call, size_t *ret_length)
{
	const char *text = json_string_value(json_object_get(call, "text"));
	const char *file = json_string_value(json_object_get(call, "file"));
	const json_t *json = json_object_get(call, "json");
	char *body;

	if (file)
		return load(e, file, ret_length);
	body = json ? json_dumps(json, JSON_COMPACT) : strdup(text ? text : "");
	*ret_length = strlen(body);
	return body;
}

/* The lines that the api makes of a request's query and headers. */
static void call_headers(const json_t *call, struct buffer *lines)
{
	const char *query = json_string_value(json_object_get(call, "query")), *key;
	const json_t *value;

	buffer_append_format(lines, "Method: POST\r\nRequest_url: http://127.0.0.1:8080/r/demo/x%s\r\n",
			     query ? query : "");
	if (json_object_get(call, "json"))
		buffer_append_text(lines, "Header_content_type: application/json\r\n");
	json_object_foreach(json_object_get(call, "headers"), key, value)
	{
		_cleanup_free_ char *name = strdup(key);

		for (char *at = name; *at; at++)
			*at = *at == '-' ? '_' : (char)(*at | 0x20);
		buffer_append_format(lines, "Header_%s: %s\r\n", name, json_string_value(value));
	}
	buffer_append(lines, "", 1);
}

static void run_check(const struct example *e, const char *script, const void *body, size_t length,
		      const struct reply *reply)
{
	char path[256], input[256], output[256];
	char *folder = help_folder();
	int status = -1;
	pid_t child;

	help_file(folder, "body", body, length);
	help_file(folder, "answer", reply->body.bytes, reply->body.length);
	snprintf(path, sizeof(path), "%s/%s", e->source, script);
	snprintf(input, sizeof(input), "%s/body", folder);
	snprintf(output, sizeof(output), "%s/answer", folder);
	child = fork();
	ck_assert_int_ge(child, 0);
	if (child == 0) {
		execlp("python3", "python3", "-B", path, input, output, NULL);
		_exit(127);
	}
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	help_folder_remove(folder);
	ck_assert_msg(status == 0, "%s says that the answer of %s is wrong", script, e->name);
}

static void check_call(struct example *e, const json_t *call)
{
	_cleanup_(buffer_release) struct buffer lines = BUFFER_INIT;
	const char *script = json_string_value(json_object_get(call, "check"));
	const json_t *expected = json_object_get(call, "expected_json");
	struct reply reply;
	size_t length;
	_cleanup_free_ char *body = call_body(e, call, &length);

	call_headers(call, &lines);
	instance_ask(&e->x, lines.bytes, body, length, &reply);
	ck_assert_msg(reply.status == 200, "%s: %u %s", e->name, reply.status, reply.body.bytes);
	if (expected) {
		json_t *got = json_loads(reply.body.bytes, 0, NULL);

		ck_assert_msg(got && same(got, expected), "%s: %s", e->name, reply.body.bytes);
		json_decref(got);
	} else {
		ck_assert_msg(script != NULL, "%s: nothing says what is right", e->name);
		run_check(e, script, body, length, &reply);
	}
	reply_release(&reply);
}

static void start(struct example *e)
{
	char image[256];

	snprintf(image, sizeof(image), "FERRITE_IMAGE=%s:%s", e->file->name, e->file->version);
	instance_start(&e->x, e->built, manifest_canonical(e->file->cuda), (const char *const[]){image, NULL});
}

static void finish(struct example *e)
{
	_cleanup_free_ char *log = NULL;
	int status = instance_end(&e->x, &log);

	ck_assert_msg(status == 0, "%s: exit status %d, %s", e->name, status, log);
	function_file_free(e->file);
}

/* All but hello, which is no CUDA bundle. */
START_TEST(calls_are_answered_right)
{
	struct example e;
	size_t length, i;
	_cleanup_free_ char *text = NULL;
	const json_t *call;
	json_t *calls;

	open_example(&e, names[_i]);
	text = load(&e, "calls.json", &length);
	calls = json_loads(text, 0, NULL);
	ck_assert_uint_gt(json_array_size(calls), 0);
	start(&e);
	json_array_foreach(calls, i, call) check_call(&e, call);
	json_decref(calls);
	finish(&e);
}
END_TEST

START_TEST(function_files_test_themselves)
{
	struct example e;

	open_example(&e, names[_i]);
	start(&e);
	for (size_t i = 0; i < e.file->n_tests; i++) {
		const struct function_test *t = &e.file->tests[i];
		struct reply reply;

		instance_ask(&e.x, "", t->in, strlen(t->in), &reply);
		ck_assert_str_eq(reply.body.bytes, t->out);
		reply_release(&reply);
	}
	finish(&e);
}
END_TEST

/* Runs hello as a function without a GPU is run: input on stdin, the answer on stdout. */
START_TEST(hello_greets)
{
	struct example e;
	char program[5000];

	open_example(&e, "hello");
	snprintf(program, sizeof(program), "%s/hello", e.built);
	ck_assert_uint_gt(e.file->n_tests, 0);
	for (size_t i = 0; i < e.file->n_tests; i++) {
		const struct function_test *t = &e.file->tests[i];
		char answer[512] = "";
		int in[2], out[2], status;
		pid_t child;

		ck_assert(pipe2(in, O_CLOEXEC) == 0 && pipe2(out, O_CLOEXEC) == 0);
		child = fork();
		ck_assert_int_ge(child, 0);
		if (child == 0) {
			if (dup2(in[0], 0) < 0 || dup2(out[1], 1) < 0)
				_exit(126);
			execl(program, "hello", NULL);
			_exit(127);
		}
		(void)close(in[0]);
		(void)close(out[1]);
		ck_assert_int_eq(fd_write_all(in[1], t->in, strlen(t->in)), 0);
		(void)close(in[1]);
		ck_assert_int_ge(read(out[0], answer, sizeof(answer) - 1), 0);
		(void)close(out[0]);
		ck_assert_int_eq(waitpid(child, &status, 0), child);
		ck_assert_int_eq(status, 0);
		ck_assert_str_eq(answer, t->out);
	}
	function_file_free(e.file);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("examples");
	TCase *all = tcase_create("all");

	tcase_set_timeout(all, 120);
	tcase_add_loop_test(all, modules_fit_their_launches, 0, (int)ARRAY_LEN(names));
	tcase_add_loop_test(all, calls_are_answered_right, 0, (int)ARRAY_LEN(names) - 1);
	tcase_add_loop_test(all, function_files_test_themselves, 0, (int)ARRAY_LEN(names) - 1);
	tcase_add_test(all, hello_greets);
	suite_add_tcase(suite, all);
	return suite;
}
