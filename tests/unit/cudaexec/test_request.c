#include "tests/unit/cudaexec/codec_help.h"

#include <math.h>

#include "tests/unit/main.h"

/*
 * Parses a body of a given form. The body is kept in a buffer of exactly its size, so that a sanitizer sees reads
 * behind it, and outlives the request.
 */
struct fixture {
	struct manifest *m;
	struct request *r;
	struct err err;
	void *body;
	int code;
};

static void parse(struct fixture *f, const char *tensors, struct request_source source)
{
	*f = (struct fixture){.m = help_manifest(tensors), .err = ERR_INIT};
	f->body = malloc(source.length ? source.length : 1);
	if (source.length)
		memcpy(f->body, source.body, source.length);
	source.body = f->body;
	f->code = request_parse(f->m, &source, &f->r, &f->err);
}

static void finish(struct fixture *f)
{
	f->r = request_free(f->r);
	f->m = manifest_free(f->m);
	free(f->body);
}

static void parse_json(struct fixture *f, const char *tensors, const char *text)
{
	_cleanup_free_ char *json = help_quote(text);

	parse(f, tensors,
	      (struct request_source){.content_type = "application/json", .body = json, .length = strlen(json)});
}

static void check_floats(const struct fixture *f, size_t tensor, const float *expected, size_t count)
{
	const struct request_tensor *t = &f->r->tensors[tensor];

	ck_assert_uint_eq(t->count, count);
	ck_assert_uint_eq(t->bytes, count * sizeof(float));
	for (size_t i = 0; i < count; i++) {
		float value;

		memcpy(&value, (const char *)t->data + i * sizeof(value), sizeof(value));
		ck_assert_msg(value == expected[i], "element %zu is %g", i, (double)value);
	}
}

START_TEST(shorthand_is_read)
{
	struct fixture f;

	parse_json(&f, SAXPY, "{'a':2,'x':[1,2,3],'y':[4,5,6]}");
	ck_assert_msg(f.code == 0, "%s", f.err.text);
	ck_assert_int_eq(f.r->form, REQUEST_SHORTHAND);
	check_floats(&f, 0, (float[]){2}, 1);
	check_floats(&f, 1, (float[]){1, 2, 3}, 3);
	check_floats(&f, 2, (float[]){4, 5, 6}, 3);
	ck_assert_int_eq(f.r->symbols[0], 3);
	ck_assert_uint_eq(f.r->n_outputs, 1);
	finish(&f);
}
END_TEST

START_TEST(v2_is_read)
{
	struct fixture f;

	parse_json(&f, SAXPY,
		   "{'id':'q7','parameters':{'x':1},'inputs':["
		   "{'name':'y','shape':[2],'datatype':'FP32','data':[4,5]},"
		   "{'name':'a','shape':[1],'datatype':'FP32','data':[2.5]},"
		   "{'name':'x','shape':[2],'datatype':'FP32','data':['NaN',-1e3],'parameters':{'later':7}}],"
		   "'outputs':[{'name':'y'}],'future':true}");
	ck_assert_msg(f.code == 0, "%s", f.err.text);
	ck_assert_int_eq(f.r->form, REQUEST_V2);
	ck_assert_str_eq(f.r->id, "q7");
	check_floats(&f, 0, (float[]){2.5f}, 1);
	check_floats(&f, 2, (float[]){4, 5}, 2);
	ck_assert(!f.r->outputs[0].binary);
	finish(&f);
}
END_TEST

#define MATRIX "'inputs':[{'name':'m','datatype':'INT16','shape':['rows',3]}],'outputs':[]"

START_TEST(v2_data_is_nested_or_flat)
{
	static const char *const bodies[] = {"[1,2,3,4,5,6]", "[[1,2,3],[4,5,6]]"};
	static const int16_t expected[] = {1, 2, 3, 4, 5, 6};

	for (size_t i = 0; i < ARRAY_LEN(bodies); i++) {
		struct fixture f;
		char text[256];

		sprintf(text, "{'inputs':[{'name':'m','shape':[2,3],'datatype':'INT16','data':%s}]}", bodies[i]);
		parse_json(&f, MATRIX, text);
		ck_assert_msg(f.code == 0, "%s", f.err.text);
		ck_assert_mem_eq(f.r->tensors[0].data, expected, sizeof(expected));
		finish(&f);
	}
}
END_TEST

/* A body of JSON and bytes. */
static void parse_binary(struct fixture *f, const char *tensors, const char *type, const char *text, const void *bytes,
			 size_t length)
{
	_cleanup_free_ char *json = help_quote(text), *body = malloc(strlen(text) + length + 1);
	char json_length[24];

	sprintf(json_length, "%zu", strlen(json));
	memcpy(body, json, strlen(json));
	if (length)
		memcpy(body + strlen(json), bytes, length);
	parse(f, tensors,
	      (struct request_source){
		      .content_type = type, .json_length = json_length, .body = body, .length = strlen(json) + length});
}

START_TEST(binary_inputs_are_taken_in_order)
{
	static const float data[] = {4, 5, 6, 1, 2, 3};
	static const char *const types[] = {"application/json", "application/octet-stream", NULL};

	for (size_t i = 0; i < ARRAY_LEN(types); i++) {
		struct fixture f;

		parse_binary(
			&f, SAXPY, types[i],
			"{'inputs':[{'name':'y','shape':[3],'datatype':'FP32','parameters':{'binary_data_size':12}},"
			"{'name':'a','shape':[1],'datatype':'FP32','data':[2]},"
			"{'name':'x','shape':[3],'datatype':'FP32','parameters':{'binary_data_size':12}}],"
			"'parameters':{'binary_data_output':true}}",
			data, sizeof(data));
		ck_assert_msg(f.code == 0, "%s", f.err.text);
		check_floats(&f, 1, data + 3, 3);
		check_floats(&f, 2, data, 3);
		ck_assert(f.r->outputs[0].binary);
		ck_assert_ptr_null(f.r->tensors[1].owned);
		finish(&f);
	}
}
END_TEST

START_TEST(one_output_may_differ_from_the_rest)
{
	struct fixture f;

	parse_json(&f,
		   "'outputs':[{'name':'p','datatype':'FP32','shape':[1]},{'name':'q','datatype':'FP32','shape':[1]}]",
		   "{'inputs':[],'parameters':{'binary_data_output':true},'outputs':[{'name':'q'},"
		   "{'name':'p','parameters':{'binary_data':false}}]}");
	ck_assert_msg(f.code == 0, "%s", f.err.text);
	ck_assert_uint_eq(f.r->n_outputs, 2);
	ck_assert(f.r->outputs[0].tensor == 1 && f.r->outputs[0].binary);
	ck_assert(f.r->outputs[1].tensor == 0 && !f.r->outputs[1].binary);
	finish(&f);
}
END_TEST

#define RAW \
	"'inputs':[{'name':'image','datatype':'UINT8','shape':['h','w',3]},{'name':'gain','datatype':'FP32','shape':[" \
	"]," \
	"'default':1.5},{'name':'flip','datatype':'BOOL','shape':[],'default':false}]," \
	"'outputs':[{'name':'out','datatype':'UINT8','shape':['h*2','w']}]"

START_TEST(raw_bytes_with_a_query)
{
	struct fixture f;

	parse(&f, RAW,
	      (struct request_source){.content_type = "application/octet-stream",
				      .accept = "application/octet-stream",
				      .query = "w=2&gain=-2.5e0&flip=true",
				      .body = "abcdefghijkl",
				      .length = 12});
	ck_assert_msg(f.code == 0, "%s", f.err.text);
	ck_assert_int_eq(f.r->form, REQUEST_RAW);
	ck_assert(f.r->accept_raw);
	ck_assert_uint_eq(f.r->tensors[0].dims[0], 2);
	ck_assert_uint_eq(f.r->tensors[0].dims[1], 2);
	ck_assert_mem_eq(f.r->tensors[0].data, "abcdefghijkl", 12);
	check_floats(&f, 1, (float[]){-2.5f}, 1);
	ck_assert_uint_eq(*(const uint8_t *)f.r->tensors[2].data, 1);
	ck_assert_uint_eq(f.r->tensors[3].bytes, 8);
	finish(&f);
}
END_TEST

START_TEST(raw_forms_are_told_by_type_and_length_header)
{
	static const struct request_source sources[] = {
		{.content_type = "image/bmp", .body = "abc", .length = 3},
		{.content_type = "application/x-www-form-urlencoded", .body = "abc", .length = 3},
		{.body = "abc", .length = 3},
		{.content_type = "application/json", .json_length = "0", .body = "abc", .length = 3},
	};

	for (size_t i = 0; i < ARRAY_LEN(sources); i++) {
		struct fixture f;

		parse(&f, "'inputs':[{'name':'b','datatype':'UINT8','shape':['n']}]", sources[i]);
		ck_assert_msg(f.code == 0, "%zu: %s", i, f.err.text);
		ck_assert_uint_eq(f.r->tensors[0].count, 3);
		finish(&f);
	}
}
END_TEST

START_TEST(json_is_recognised_without_a_type)
{
	static const char *const types[] = {NULL, "application/x-www-form-urlencoded",
					    "application/json; charset=utf-8"};

	for (size_t i = 0; i < ARRAY_LEN(types); i++) {
		struct fixture f;
		const char *body = " \n{\"a\":2,\"x\":[1],\"y\":[4]}";

		parse(&f, SAXPY,
		      (struct request_source){.content_type = types[i], .body = body, .length = strlen(body)});
		ck_assert_msg(f.code == 0, "%s", f.err.text);
		ck_assert_int_eq(f.r->form, REQUEST_SHORTHAND);
		finish(&f);
	}
}
END_TEST

#define DEFAULTS \
	"'inputs':[{'name':'w','datatype':'UINT32','shape':[],'default':4},{'name':'c','datatype':'FP64','shape':['k'" \
	"]," \
	"'default':[0.5,'Infinity']}],'outputs':[{'name':'o','datatype':'UINT8','shape':['w','k']}]"

START_TEST(a_call_without_a_body_takes_the_defaults)
{
	struct fixture f;

	parse(&f, DEFAULTS, (struct request_source){.query = "w=7", .accept = "*/*"});
	ck_assert_msg(f.code == 0, "%s", f.err.text);
	ck_assert_uint_eq(f.r->tensors[2].dims[0], 7);
	ck_assert_uint_eq(f.r->tensors[2].dims[1], 2);
	ck_assert(isinf(((const double *)f.r->tensors[1].data)[1]));
	finish(&f);
	parse_json(&f, DEFAULTS, "{}");
	ck_assert_msg(f.code == 0, "%s", f.err.text);
	ck_assert_uint_eq(f.r->tensors[2].count, 8);
	finish(&f);
}
END_TEST

START_TEST(every_64_bit_integer_is_exact)
{
	static const uint64_t expected[] = {0, 9223372036854775807u, 9223372036854775808u, 18446744073709551615u};
	static const char *const bodies[] = {
		"{'u':[0,9223372036854775807,9223372036854775808,18446744073709551615],'s':18446744073709551615}",
		"{'inputs':[{'name':'u','datatype':'UINT64','shape':[4],'data':[0,9223372036854775807,"
		"9223372036854775808,18446744073709551615]},{'name':'s','datatype':'UINT64','shape':[],"
		"'data':[18446744073709551615]}]}"};

	for (size_t i = 0; i < ARRAY_LEN(bodies); i++) {
		struct fixture f;

		parse_json(&f,
			   "'inputs':[{'name':'u','datatype':'UINT64','shape':['n']},"
			   "{'name':'s','datatype':'UINT64','shape':[]}]",
			   bodies[i]);
		ck_assert_msg(f.code == 0, "%s", f.err.text);
		ck_assert_mem_eq(f.r->tensors[0].data, expected, sizeof(expected));
		ck_assert_mem_eq(f.r->tensors[1].data, &expected[3], sizeof(uint64_t));
		finish(&f);
	}
}
END_TEST

START_TEST(empty_tensors_are_valid)
{
	static const struct {
		const char *body;
		uint64_t rows;
	} table[] = {
		{"{'m':[]}", 0},
		{"{'inputs':[{'name':'m','shape':[0,3],'datatype':'INT16','data':[]}]}", 0},
	};

	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		struct fixture f;

		parse_json(&f, MATRIX, table[i].body);
		ck_assert_msg(f.code == 0, "%s", f.err.text);
		ck_assert_uint_eq(f.r->tensors[0].dims[0], table[i].rows);
		ck_assert_uint_eq(f.r->tensors[0].dims[1], 3);
		ck_assert_uint_eq(f.r->tensors[0].bytes, 0);
		finish(&f);
	}
}
END_TEST

#define V2(input) "{'inputs':[" input "]}"
#define FLAGS	  "'inputs':[{'name':'f','datatype':'BOOL','shape':['n']}]"
#define TYPED(t)  "'inputs':[{'name':'v','datatype':'" t "','shape':['n']}]"
#define NARROW	  "'inputs':[{'name':'n','datatype':'INT32','shape':[]},{'name':'x','datatype':'FP32','shape':['n']}]"

static const struct {
	const char *tensors;
	const char *body;
	const char *error;
} bad_json[] = {
	{SAXPY, "[1]", "the JSON body must be an object"},
	{SAXPY, "{'a':2", "JSON, line 1 column 6: '}' expected near end of file"},
	{SAXPY, "{'a':2,'x':[1,2,3],'y':[4,5]}", "inputs \"x\" and \"y\" disagree: n is 3 in \"x\", but 2 in \"y\""},
	{SAXPY, "{'a':2,'x':[1,2,3]}", "input \"y\" is missing (FP32 [n])"},
	{SAXPY, "{'x':[1],'y':[1]}", "input \"a\" is missing (FP32 [])"},
	{SAXPY, "{'a':2,'x':[1],'y':[1],'zz':1}", "unknown input \"zz\""},
	{RAW, "{'imgae':2}", "unknown input \"imgae\" (did you mean \"image\"?)"},
	{SAXPY, "{'a':[2,3],'x':[1],'y':[1]}", "input \"a\": shape [2] given, [] declared"},
	{SAXPY, "{'a':2,'x':[[1]],'y':[1]}", "input \"x\": shape [1,1] given, [n] declared"},
	{SAXPY, "{'a':2,'x':5,'y':[1]}", "input \"x\": shape [] given, [n] declared"},
	{SAXPY, "{'a':'2','x':[1],'y':[1]}",
	 "input \"a\": \"2\" is not a number, \"NaN\", \"Infinity\" or \"-Infinity\""},
	{SAXPY, "{'a':null,'x':[1],'y':[1]}", "input \"a\": null is not a number"},
	{SAXPY, "{'a':{},'x':[1],'y':[1]}", "input \"a\": an object where a FP32 value should stand"},
	{SAXPY, "{'a':2,'x':[1,true],'y':[1,1]}", "input \"x\": element [1]: true is not a number"},
	{SAXPY, "{'a':2,'x':[1,1e39],'y':[1,1]}", "input \"x\": element [1]: 9.9999999999999994e+38 does not fit FP32"},
	{MATRIX, "{'m':[[1,2,3],[4,5]]}", "input \"m\": element [1]: an array of 2 where one of 3 should stand"},
	{MATRIX, "{'m':[[1,2,3],4]}", "input \"m\": element [1]: a single value where an array of 3 should stand"},
	{MATRIX, "{'m':[[1,2,3],[4,5,[6]]]}", "input \"m\": element [1][2]: an array where a INT16 value should stand"},
	{"'inputs':[{'name':'e','datatype':'INT8','shape':['h','w']}]", "{'e':[[],[1]]}",
	 "input \"e\": element [1]: an array of 1 where one of 0 should stand"},
	{MATRIX, "{'m':[[1,2],[3,4]]}", "input \"m\": shape [2,2] given, [rows,3] declared"},
	{MATRIX, "{'m':[[1,2,40000]]}", "input \"m\": element [0][2]: 40000 does not fit INT16"},
	{MATRIX, "{'m':[[[[[[[[[1]]]]]]]]]}", "input \"m\": arrays nested deeper than 8 dimensions"},
	{FLAGS, "{'f':[0,1,true,2]}", "input \"f\": element [3]: 2 does not fit BOOL"},
	{FLAGS, "{'f':['yes']}", "input \"f\": element [0]: \"yes\" is not true or false"},
	{TYPED("UINT8"), "{'v':[-1]}", "input \"v\": element [0]: -1 does not fit UINT8"},
	{TYPED("UINT8"), "{'v':[1.5]}", "input \"v\": element [0]: 1.5 does not fit UINT8"},
	{TYPED("INT64"), "{'v':[9223372036854775808]}",
	 "input \"v\": element [0]: 9223372036854775808 does not fit INT64"},
	{TYPED("UINT64"), "{'v':[18446744073709551616]}",
	 "input \"v\": element [0]: 18446744073709551616 does not fit UINT64"},
	{TYPED("UINT64"), "{'v':['18446744073709551615']}",
	 "input \"v\": element [0]: \"18446744073709551615\" is not an integer"},
	{TYPED("FP16"), "{'v':[65520]}", "input \"v\": element [0]: 65520 does not fit FP16"},
	{TYPED("BF16"), "{'v':[3.4e38]}", "input \"v\": element [0]: 3.4e+38 does not fit BF16"},
	{TYPED("INT8"), "{'v':['NaN']}", "input \"v\": element [0]: \"NaN\" is not an integer"},
	{NARROW, "{'n':3,'x':[1,2]}", "inputs \"n\" and \"x\" disagree: n is 3 in \"n\", but 2 in \"x\""},
	{NARROW, "{'x':[1,2],'n':-1}", "input \"n\" is -1, but the dimension of that name is 2"},
	{SAXPY, "{'inputs':[5]}", "each of \"inputs\" must be an object"},
	{SAXPY, "{'inputs':[{'shape':[]}]}", "each of \"inputs\" needs a \"name\""},
	{SAXPY, V2("{'name':'qq','shape':[1],'datatype':'FP32','data':[1]}"), "unknown input \"qq\""},
	{SAXPY, V2("{'name':'x','shape':[1],'datatype':'FP64','data':[1]}"),
	 "input \"x\": datatype FP64 given, FP32 declared"},
	{SAXPY, V2("{'name':'x','shape':[1],'data':[1]}"), "input \"x\": \"datatype\" is missing, FP32 declared"},
	{SAXPY, V2("{'name':'x','datatype':'FP32','data':[1]}"),
	 "input \"x\": \"shape\" must be an array of dimensions"},
	{SAXPY, V2("{'name':'x','shape':['1'],'datatype':'FP32','data':[1]}"),
	 "input \"x\": dimension 0 is no integer"},
	{SAXPY, V2("{'name':'x','shape':[-1],'datatype':'FP32','data':[1]}"),
	 "input \"x\": dimension 0 is negative: -1"},
	{SAXPY, V2("{'name':'x','shape':[18446744073709551616],'datatype':'FP32','data':[1]}"),
	 "input \"x\": dimension 0 overflows: 18446744073709551616"},
	{SAXPY, V2("{'name':'x','shape':[4611686018427387904],'datatype':'FP32','data':[1]}"),
	 "input \"x\": the size of shape [4611686018427387904] overflows"},
	{MATRIX, V2("{'name':'m','shape':[9223372036854775807,3],'datatype':'INT16','data':[1]}"),
	 "input \"m\": the size of shape [9223372036854775807,3] overflows"},
	{SAXPY, V2("{'name':'x','shape':[1,1,1,1,1,1,1,1,1],'datatype':'FP32','data':[1]}"),
	 "input \"x\": 9 dimensions, at most 8 are possible"},
	{SAXPY, V2("{'name':'x','shape':[3],'datatype':'FP32','data':[1,2]}"),
	 "input \"x\": the shape needs 3 values, \"data\" has 2"},
	{MATRIX, V2("{'name':'m','shape':[1000000000,3],'datatype':'INT16','data':[[1,2,3]]}"),
	 "input \"m\": shape [1000000000,3] needs 3000000000 values, the data has fewer"},
	{MATRIX, V2("{'name':'m','shape':[2,3],'datatype':'INT16','data':[[1,2,3]]}"),
	 "input \"m\": an array of 1 where one of 2 should stand"},
	{SAXPY, V2("{'name':'x','shape':[3],'datatype':'FP32'}"), "input \"x\": \"data\" is missing"},
	{SAXPY, V2("{'name':'x','shape':[3],'datatype':'FP32','data':7}"), "input \"x\": \"data\" must be an array"},
	{SAXPY,
	 V2("{'name':'a','shape':[],'datatype':'FP32','data':[1]},{'name':'a','shape':[],'datatype':'FP32','data':"
	    "[1]}"),
	 "input \"a\" is given twice"},
	{SAXPY, V2("{'name':'x','shape':[3],'datatype':'FP32','parameters':{'binary_data_size':12}}"),
	 "input \"x\": binary data needs the header Inference-Header-Content-Length"},
	{SAXPY, "{'inputs':[],'id':7}", "\"id\" must be a string"},
	{SAXPY, "{'inputs':[],'outputs':{}}", "\"outputs\" must be an array"},
	{SAXPY, "{'inputs':[],'outputs':[{'name':'z'}]}", "unknown output \"z\" (did you mean \"y\"?)"},
	{SAXPY, "{'inputs':[],'outputs':[{'name':'x'}]}", "unknown output \"x\" (did you mean \"y\"?)"},
	{SAXPY, "{'inputs':[],'outputs':[{'name':'y'},{'name':'y'}]}", "output \"y\" is asked for twice"},
	{SAXPY, "{'inputs':[],'outputs':[{'name':'y','parameters':{'binary_data':1}}]}",
	 "output \"y\": parameter \"binary_data\" must be true or false"},
	{SAXPY, "{'inputs':[],'parameters':[]}", "\"parameters\" must be an object"},
	{"'inputs':[{'name':'w','datatype':'INT32','shape':[]}],'outputs':[{'name':'o','datatype':'UINT8','shape':['w-"
	 "5']}]",
	 "{'w':3}", "output \"o\": dimension 0, w-5, is -2"},
	{"'inputs':[{'name':'w','datatype':'INT64','shape':[]}],'outputs':[{'name':'o','datatype':'UINT8','shape':['w*"
	 "w']}]",
	 "{'w':9223372036854775807}", "output \"o\": dimension 0: 64-bit overflow in \"w*w\""},
	{"'inputs':[{'name':'w','datatype':'INT64','shape':[]}],'outputs':[{'name':'o','datatype':'FP32','shape':['w','"
	 "w']}]",
	 "{'w':4000000000}", "output \"o\": the size of shape [4000000000,4000000000] overflows"},
	{"'inputs':[{'name':'w','datatype':'UINT64','shape':[]}],'scratch':[{'name':'o','datatype':'FP32','shape':['w']"
	 "}]",
	 "{'w':18446744073709551615}", "w is 18446744073709551615, more than the 64-bit signed range"},
};

START_TEST(wrong_json_names_tensor_and_values)
{
	struct fixture f;

	parse_json(&f, bad_json[_i].tensors, bad_json[_i].body);
	ck_assert_msg(f.code == -EINVAL, "%s gave %d", bad_json[_i].body, f.code);
	ck_assert_str_eq(f.err.text, bad_json[_i].error);
	ck_assert_ptr_null(f.r);
	finish(&f);
}
END_TEST

static const struct {
	const char *tensors;
	struct request_source source;
	const char *error;
} bad_raw[] = {
	{RAW,
	 {.content_type = "text/plain", .body = "x", .length = 1},
	 "Content-Type \"text/plain\": send application/json, application/octet-stream or an image"},
	{RAW, {.query = "w=1", .accept = "*/*"}, "input \"image\" is missing (UINT8 [h,w,3])"},
	{RAW,
	 {.content_type = "image/bmp", .body = "abc", .length = 3},
	 "input \"image\": the query must give more of its dimensions, such as ?h=..."},
	{RAW,
	 {.content_type = "image/bmp", .query = "h=2", .body = "abc", .length = 3},
	 "input \"image\": the body has 3 bytes, not a multiple of 6"},
	{RAW,
	 {.content_type = "image/bmp", .query = "h=2&w=1", .body = "abc", .length = 3},
	 "input \"image\": shape [2,1,3] needs 6 bytes, the body has 3"},
	{RAW,
	 {.content_type = "image/bmp", .query = "h=0", .body = "abc", .length = 3},
	 "input \"image\": the body has 3 bytes, not a multiple of 0"},
	{RAW,
	 {.content_type = "image/bmp", .query = "h=9223372036854775807&w=9", .body = "abc", .length = 3},
	 "input \"image\": its size overflows"},
	{RAW, {.query = "h=-1"}, "parameter \"h\": \"-1\" is no dimension"},
	{RAW, {.query = "h=18446744073709551615"}, "h is 18446744073709551615, more than the 64-bit signed range"},
	{RAW, {.query = "h=1&h=2"}, "h is 1 in the query, but 2 in the query"},
	{RAW, {.query = "gian=2"}, "unknown parameter \"gian\" in the query (did you mean \"gain\"?)"},
	{RAW, {.query = "image=2"}, "unknown parameter \"image\" in the query"},
	{RAW, {.query = "gain="}, "parameter \"gain\": \"\" is not a number"},
	{RAW, {.query = "gain=1x"}, "parameter \"gain\": \"1x\" is not a number"},
	{RAW, {.query = "gain=%201"}, "parameter \"gain\": \" 1\" is not a number"},
	{RAW, {.query = "gain=1&gain=1"}, "parameter \"gain\" is given twice in the query"},
	{RAW, {.query = "flip=2"}, "parameter \"flip\": 2 does not fit BOOL"},
	{RAW, {.query = "a=%0"}, "query: a '%' that is not followed by two hex digits of a byte above 00"},
	{SAXPY,
	 {.content_type = "application/octet-stream", .query = "a=1", .body = "1234", .length = 4},
	 "a raw body is one tensor, but the function needs \"x\" and \"y\": send JSON"},
	{DEFAULTS, {.body = "abc", .length = 3}, "a body of 3 bytes, but the function has no tensor for it"},
	{FLAGS,
	 {.content_type = "application/octet-stream", .body = "\0\1\2", .length = 3},
	 "input \"f\": element [2]: the byte 2 is no BOOL (0 or 1)"},
	{"'outputs':[{'name':'p','datatype':'INT8','shape':[1]},{'name':'q','datatype':'INT8','shape':[1]}]",
	 {.accept = "application/octet-stream"},
	 "Accept: application/octet-stream needs one output, there are 2: select one with \"outputs\" or accept "
	 "application/json"},
	{SAXPY, {.json_length = "x", .body = "{}", .length = 2}, "Inference-Header-Content-Length \"x\" is no number"},
	{SAXPY,
	 {.json_length = "3", .body = "{}", .length = 2},
	 "Inference-Header-Content-Length is 3, but the body has only 2 bytes"},
	{SAXPY, {.json_length = "2", .body = "{}", .length = 2}, "\"inputs\" must be an array"},
};

START_TEST(wrong_raw_calls_are_named)
{
	struct fixture f;

	parse(&f, bad_raw[_i].tensors, bad_raw[_i].source);
	ck_assert_msg(f.code == -EINVAL, "case %d gave %d", _i, f.code);
	ck_assert_str_eq(f.err.text, bad_raw[_i].error);
	finish(&f);
}
END_TEST

START_TEST(wrong_binary_sizes_are_named)
{
	static const struct {
		const char *size;
		size_t length;
		const char *error;
	} table[] = {
		{"8", 8, "input \"v\": binary_data_size is 8, the shape needs 12 bytes"},
		{"12", 8, "input \"v\": binary_data_size is 12, but only 8 bytes are left in the body"},
		{"12", 13, "1 bytes are left behind the binary data of the inputs"},
		{"-12", 12, "input \"v\": parameter \"binary_data_size\" must be a number of bytes"},
		{"'12'", 12, "input \"v\": parameter \"binary_data_size\" must be a number of bytes"},
		{"18446744073709551616", 12, "input \"v\": parameter \"binary_data_size\" must be a number of bytes"},
	};

	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		char text[256], bytes[16] = {0};
		struct fixture f;

		sprintf(text,
			"{'inputs':[{'name':'v','shape':[3],'datatype':'FP32','parameters':{'binary_data_size':%s}}]}",
			table[i].size);
		parse_binary(&f, TYPED("FP32"), "application/json", text, bytes, table[i].length);
		ck_assert_int_eq(f.code, -EINVAL);
		ck_assert_str_eq(f.err.text, table[i].error);
		finish(&f);
	}
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("request");
	TCase *all = tcase_create("all");

	tcase_add_test(all, shorthand_is_read);
	tcase_add_test(all, v2_is_read);
	tcase_add_test(all, v2_data_is_nested_or_flat);
	tcase_add_test(all, binary_inputs_are_taken_in_order);
	tcase_add_test(all, one_output_may_differ_from_the_rest);
	tcase_add_test(all, raw_bytes_with_a_query);
	tcase_add_test(all, raw_forms_are_told_by_type_and_length_header);
	tcase_add_test(all, json_is_recognised_without_a_type);
	tcase_add_test(all, a_call_without_a_body_takes_the_defaults);
	tcase_add_test(all, every_64_bit_integer_is_exact);
	tcase_add_test(all, empty_tensors_are_valid);
	tcase_add_loop_test(all, wrong_json_names_tensor_and_values, 0, (int)ARRAY_LEN(bad_json));
	tcase_add_loop_test(all, wrong_raw_calls_are_named, 0, (int)ARRAY_LEN(bad_raw));
	tcase_add_test(all, wrong_binary_sizes_are_named);
	suite_add_tcase(suite, all);
	return suite;
}
