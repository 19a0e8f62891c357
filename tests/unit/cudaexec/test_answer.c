#include "cudaexec/runner/answer.h"
#include "tests/unit/cudaexec/codec_help.h"

#include <math.h>

#include "tests/unit/main.h"

#define OUTPUTS \
	"'inputs':[{'name':'r','datatype':'UINT32','shape':[]},{'name':'c','datatype':'UINT32','shape':[]}]," \
	"'outputs':[{'name':'m','datatype':'FP32','shape':['r','c']},{'name':'s','datatype':'UINT64','shape':[]}]"

static const float matrix[] = {1, 2.5f, NAN, -INFINITY, 0.1f, 1e30f};
static const uint64_t number = UINT64_MAX;

/* Answers a call of the two outputs above. */
static int answer(const char *tensors, const char *text, const char *accept, const void *const *data,
		  struct answer *ret, struct err *err)
{
	_cleanup_(manifest_release) struct manifest *m = help_manifest(tensors);
	_cleanup_(request_release) struct request *r = NULL;
	_cleanup_free_ char *json = help_quote(text);
	struct request_source source = {
		.content_type = "application/json", .accept = accept, .body = json, .length = strlen(json)};
	struct answer_model model;
	int code;

	answer_model_set(&model, "demo/q:1.0");
	code = request_parse(m, &source, &r, err);
	ck_assert_msg(code == 0, "%s", err->text);
	return answer_build(r, data, &model, ret, err);
}

static void check(const char *text, const char *accept, const char *type, const char *expected)
{
	_cleanup_(answer_release) struct answer a = ANSWER_INIT;
	_cleanup_free_ char *quoted = help_quote(expected);
	struct err err = ERR_INIT;

	ck_assert_msg(answer(OUTPUTS, text, accept, (const void *[]){matrix, &number}, &a, &err) == 0, "%s", err.text);
	ck_assert_uint_eq(a.status, 200);
	ck_assert_str_eq(a.content_type, type);
	ck_assert_msg(a.length == strlen(quoted) + 1 && memcmp(a.bytes, quoted, a.length - 1) == 0, "%.*s",
		      (int)a.length, (const char *)a.bytes);
	ck_assert(!a.has_json_length);
}

START_TEST(shorthand_answers_are_nested)
{
	check("{'r':2,'c':3}", NULL, "application/json",
	      "{'m':[[1,2.5,'NaN'],['-Infinity',0.1,1e30]],'s':18446744073709551615}");
	check("{'r':3,'c':2}", "*/*", "application/json",
	      "{'m':[[1,2.5],['NaN','-Infinity'],[0.1,1e30]],'s':18446744073709551615}");
	check("{'r':0,'c':3}", NULL, "application/json", "{'m':[],'s':18446744073709551615}");
	check("{'r':2,'c':0}", NULL, "application/json", "{'m':[[],[]],'s':18446744073709551615}");
}
END_TEST

#define V2_IN \
	"'inputs':[{'name':'r','datatype':'UINT32','shape':[],'data':[1]},{'name':'c','datatype':'UINT32','shape':[1]" \
	"," \
	"'data':[2]}]"

START_TEST(v2_answers_are_flat)
{
	check("{" V2_IN "}", NULL, "application/json",
	      "{'model_name':'demo/q','model_version':'1.0','outputs':["
	      "{'name':'m','datatype':'FP32','shape':[1,2],'data':[1,2.5]},"
	      "{'name':'s','datatype':'UINT64','shape':[],'data':[18446744073709551615]}]}");
	check("{'id':'a\\\\b'," V2_IN ",'outputs':[{'name':'m'}]}", "application/json", "application/json",
	      "{'id':'a\\\\b','model_name':'demo/q','model_version':'1.0','outputs':["
	      "{'name':'m','datatype':'FP32','shape':[1,2],'data':[1,2.5]}]}");
}
END_TEST

START_TEST(binary_outputs_follow_the_json)
{
	static const char json[] = "{\"model_name\":\"demo/q\",\"model_version\":\"1.0\",\"outputs\":["
				   "{\"name\":\"s\",\"datatype\":\"UINT64\",\"shape\":[],\"parameters\":"
				   "{\"binary_data_size\":8}},{\"name\":\"m\",\"datatype\":\"FP32\",\"shape\":[1,2],"
				   "\"parameters\":{\"binary_data_size\":8}}]}";
	_cleanup_(answer_release) struct answer a = ANSWER_INIT;
	struct err err = ERR_INIT;

	ck_assert_int_eq(answer(OUTPUTS,
				"{" V2_IN ",'parameters':{'binary_data_output':true},'outputs':[{'name':'s'},"
				"{'name':'m'}]}",
				NULL, (const void *[]){&number, matrix}, &a, &err),
			 0);
	ck_assert_str_eq(a.content_type, "application/octet-stream");
	ck_assert(a.has_json_length);
	ck_assert_uint_eq(a.json_length, strlen(json));
	ck_assert_uint_eq(a.length, strlen(json) + 16);
	ck_assert_mem_eq(a.bytes, json, strlen(json));
	ck_assert_mem_eq((const char *)a.bytes + strlen(json), &number, 8);
	ck_assert_mem_eq((const char *)a.bytes + strlen(json) + 8, matrix, 8);
}
END_TEST

START_TEST(one_output_goes_as_bytes)
{
	_cleanup_(answer_release) struct answer a = ANSWER_INIT;
	struct err err = ERR_INIT;

	ck_assert_int_eq(answer(OUTPUTS, "{" V2_IN ",'outputs':[{'name':'m'}]}", "application/octet-stream",
				(const void *[]){matrix}, &a, &err),
			 0);
	ck_assert_str_eq(a.content_type, "application/octet-stream");
	ck_assert_uint_eq(a.length, 8);
	ck_assert_ptr_eq(a.bytes, matrix);
}
END_TEST

#define PICTURE "'outputs':[{'name':'p','datatype':'UINT8','shape':[54]}]"

START_TEST(pictures_go_to_who_shows_pictures)
{
	static const struct {
		const char *accept, *type;
	} table[] = {
		{"text/html,image/webp,*/*;q=0.8", "image/bmp"},	  {"image/*", "image/bmp"},
		{"application/octet-stream", "application/octet-stream"}, {"*/*", "application/json"},
		{"application/json,image/*", "application/json"},
	};
	uint8_t bmp[54] = "BM";

	bmp[14] = 40;
	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		_cleanup_(answer_release) struct answer a = ANSWER_INIT;
		struct err err = ERR_INIT;

		ck_assert_int_eq(answer(PICTURE, "{}", table[i].accept, (const void *[]){bmp}, &a, &err), 0);
		ck_assert_str_eq(a.content_type, table[i].type);
	}
	bmp[0] = 'X';
	for (size_t i = 0; i < 2; i++) {
		_cleanup_(answer_release) struct answer a = ANSWER_INIT;
		struct err err = ERR_INIT;

		ck_assert_int_eq(answer(PICTURE, "{}", table[i].accept, (const void *[]){bmp}, &a, &err), 0);
		ck_assert_str_eq(a.content_type, "application/json");
	}
}
END_TEST

START_TEST(brackets_are_bounded)
{
	_cleanup_(answer_release) struct answer a = ANSWER_INIT;
	struct err err = ERR_INIT;

	ck_assert_int_eq(answer(OUTPUTS, "{'r':4000000000,'c':0}", NULL, (const void *[]){matrix, &number}, &a, &err),
			 -EINVAL);
	ck_assert_str_eq(err.text, "output \"m\" is empty, but has more than 65536 rows");
	ck_assert_uint_eq(answer_status(-EINVAL), 400);
	ck_assert_uint_eq(answer_status(-ENOMEM), 507);
}
END_TEST

START_TEST(many_elements_are_printed)
{
	enum { N = 100000 };
	_cleanup_free_ uint8_t *data = malloc(N);
	_cleanup_(answer_release) struct answer a = ANSWER_INIT;
	struct err err = ERR_INIT;

	memset(data, 7, N);
	ck_assert_int_eq(answer("'outputs':[{'name':'p','datatype':'UINT8','shape':[100000]}]", "{}", NULL,
				(const void *[]){data}, &a, &err),
			 0);
	ck_assert_uint_eq(a.length, 2 * N - 1 + strlen("{\"p\":[]}\n"));
	ck_assert_mem_eq((const char *)a.bytes + a.length - 5, ",7]}\n", 5);
}
END_TEST

START_TEST(images_are_split)
{
	static const struct {
		const char *image, *name, *version;
	} table[] = {
		{"demo/saxpy:1.0.0", "demo/saxpy", "1.0.0"}, {"saxpy", "saxpy", "latest"},
		{"host:5000/a/b:x", "host:5000/a/b", "x"},   {"host:5000/a/b", "host:5000/a/b", "latest"},
		{"a/b@sha256:00ff", "a/b", "sha256:00ff"},
	};

	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		struct answer_model model;

		answer_model_set(&model, table[i].image);
		ck_assert_str_eq(model.name, table[i].name);
		ck_assert_str_eq(model.version, table[i].version);
	}
}
END_TEST

START_TEST(errors_are_json)
{
	_cleanup_(answer_release) struct answer a = ANSWER_INIT;
	static const char expected[] = "{\"error\":{\"message\":\"input \\\"x\\\": bad\"}}\n";

	answer_error(413, "input \"x\": bad", &a);
	ck_assert_uint_eq(a.status, 413);
	ck_assert_str_eq(a.content_type, "application/json");
	ck_assert_uint_eq(a.length, strlen(expected));
	ck_assert_mem_eq(a.bytes, expected, a.length);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("answer");
	TCase *all = tcase_create("all");

	tcase_add_test(all, shorthand_answers_are_nested);
	tcase_add_test(all, v2_answers_are_flat);
	tcase_add_test(all, binary_outputs_follow_the_json);
	tcase_add_test(all, one_output_goes_as_bytes);
	tcase_add_test(all, pictures_go_to_who_shows_pictures);
	tcase_add_test(all, brackets_are_bounded);
	tcase_add_test(all, many_elements_are_printed);
	tcase_add_test(all, images_are_split);
	tcase_add_test(all, errors_are_json);
	suite_add_tcase(suite, all);
	return suite;
}
