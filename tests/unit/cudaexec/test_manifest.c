#include "cudaexec/runner/json_exact.h"
#include "cudaexec/runner/manifest.h"
#include "supervisor/util.h"

#include <string.h>

#include "tests/unit/main.h"

static const char saxpy[] =
	"{'module':'saxpy.ptx','inputs':[{'name':'a','datatype':'FP32','shape':[]},"
	"{'name':'x','datatype':'FP32','shape':['n']},{'name':'y','datatype':'FP32','shape':['n']}],"
	"'outputs':[{'name':'y','datatype':'FP32','shape':['n']}],'scratch':[],"
	"'launch':[{'kernel':'saxpy','grid':['ceildiv(n, 256)',1,1],'block':[256,1,1],'shared':0,"
	"'args':[{'value':'n','datatype':'UINT32'},'a','x','y']}]}";

/* JSON with single quotes, so that the tables can be read. */
static int parse(const char *text, struct manifest **ret_manifest, struct err *err)
{
	_cleanup_free_ char *json = strdup(text);

	for (char *at = json; *at; at++)
		if (*at == '\'')
			*at = '"';
	return manifest_parse_text(json, strlen(json), ret_manifest, err);
}

START_TEST(the_contract_example_is_read)
{
	_cleanup_(manifest_release) struct manifest *m = NULL;
	struct err err = ERR_INIT;
	int64_t n = 1000, value = 0;

	ck_assert_msg(parse(saxpy, &m, &err) == 0, "%s", err.text);
	ck_assert_str_eq(m->module, "saxpy.ptx");
	ck_assert_ptr_null(m->handler);
	ck_assert_int_eq(m->module_kind, MANIFEST_MODULE_PTX);
	ck_assert_uint_eq(m->n_tensors, 3);
	ck_assert_uint_eq(m->n_inputs, 3);
	ck_assert(m->tensors[0].is_scalar && m->tensors[0].symbol < 0);
	ck_assert(m->tensors[2].is_input && m->tensors[2].is_output && !m->tensors[2].is_scalar);
	ck_assert_uint_eq(m->n_outputs, 1);
	ck_assert_uint_eq(m->outputs[0], 2);
	ck_assert_uint_eq(m->n_symbols, 1);
	ck_assert_str_eq(m->symbols[0], "n");
	ck_assert_uint_eq(m->n_launches, 1);
	ck_assert_uint_eq(m->launches[0].n_args, 4);
	ck_assert_int_eq(m->launches[0].args[0].kind, MANIFEST_ARG_VALUE);
	ck_assert_int_eq(m->launches[0].args[0].datatype, DATATYPE_UINT32);
	ck_assert_int_eq(m->launches[0].args[1].kind, MANIFEST_ARG_SCALAR);
	ck_assert_int_eq(m->launches[0].args[3].kind, MANIFEST_ARG_TENSOR);
	ck_assert_uint_eq(m->launches[0].args[3].tensor, 2);
	ck_assert_int_eq(expr_eval(m->launches[0].grid[0], &n, &value, &err), 0);
	ck_assert_int_eq(value, 4);
}
END_TEST

START_TEST(missing_parts_have_their_defaults)
{
	_cleanup_(manifest_release) struct manifest *m = NULL;
	struct err err = ERR_INIT;
	int64_t none = 0, value = 0;

	ck_assert_msg(parse("{'module':'k/a.cubin','launch':[{'kernel':'k','grid':[2],'block':[3,4]}]}", &m, &err) == 0,
		      "%s", err.text);
	ck_assert_int_eq(m->module_kind, MANIFEST_MODULE_CUBIN);
	ck_assert_uint_eq(m->n_tensors + m->n_outputs + m->n_symbols, 0);
	ck_assert_int_eq(expr_eval(m->launches[0].grid[2], &none, &value, &err), 0);
	ck_assert_int_eq(value, 1);
	ck_assert_int_eq(expr_eval(m->launches[0].shared, &none, &value, &err), 0);
	ck_assert_int_eq(value, 0);
}
END_TEST

START_TEST(scalars_and_defaults_are_read)
{
	_cleanup_(manifest_release) struct manifest *m = NULL;
	struct err err = ERR_INIT;

	ck_assert_msg(parse("{'module':'a.fatbin','inputs':["
			    "{'name':'width','datatype':'UINT32','shape':[],'default':640},"
			    "{'name':'big','datatype':'UINT64','shape':[],'default':18446744073709551615},"
			    "{'name':'flag','datatype':'BOOL','shape':[],'default':true},"
			    "{'name':'center','datatype':'FP64','shape':[2],'default':[-0.5,'NaN']}],"
			    "'outputs':[{'name':'image','datatype':'UINT8','shape':['width','width * 2 + 54',4]}],"
			    "'scratch':[{'name':'tmp','datatype':'FP16','shape':[]}],"
			    "'launch':[{'kernel':'k','grid':[1],'block':['min(width,4)'],'shared':'width*4','args':"
			    "['image','tmp','flag',{'value':0.5,'datatype':'FP32'},{'value':true,'datatype':'BOOL'},"
			    "{'value':3,'datatype':'FP64'}]}]}",
			    &m, &err) == 0,
		      "%s", err.text);
	ck_assert_uint_eq(m->n_symbols, 2);
	ck_assert_int_eq(m->tensors[0].symbol, 0);
	ck_assert_int_eq(m->tensors[2].symbol, -1);
	ck_assert_str_eq(json_exact_digits(m->tensors[1].default_value), "18446744073709551615");
	ck_assert(!m->tensors[5].is_scalar && !m->tensors[5].is_output && !m->tensors[5].is_input);
	ck_assert_int_eq(m->launches[0].args[3].kind, MANIFEST_ARG_NUMBER);
	ck_assert(m->launches[0].args[4].number == 1);
	ck_assert_int_eq(m->launches[0].args[5].kind, MANIFEST_ARG_VALUE);
}
END_TEST

START_TEST(a_handler_stands_alone)
{
	_cleanup_(manifest_release) struct manifest *m = NULL;
	struct err err = ERR_INIT;

	ck_assert_int_eq(parse("{'handler':'libthumb.so'}", &m, &err), 0);
	ck_assert_str_eq(m->handler, "libthumb.so");
	ck_assert_ptr_null(m->module);
	ck_assert_str_eq(manifest_canonical(m), "{\"handler\":\"libthumb.so\"}");
}
END_TEST

START_TEST(canonical_text_is_stable)
{
	_cleanup_(manifest_release) struct manifest *first = NULL, *second = NULL, *third = NULL;
	struct err err = ERR_INIT;
	const char *text;

	ck_assert_int_eq(
		parse("{ 'launch':[{'block':[1],'grid':[1],'kernel':'k','args':['v']}],\n 'inputs': [ {'shape':[],"
		      "'name':'v','datatype':'UINT64','default':18446744073709551615} ], 'module':'a.ptx'}",
		      &first, &err),
		0);
	ck_assert_int_eq(
		parse("{'module':'a.ptx','inputs':[{'name':'v','default':18446744073709551615,'datatype':'UINT64',"
		      "'shape':[]}],'launch':[{'kernel':'k','grid':[1],'block':[1],'args':['v']}]}",
		      &second, &err),
		0);
	text = manifest_canonical(first);
	ck_assert_str_eq(text, manifest_canonical(second));
	ck_assert_int_eq(manifest_parse_text(text, strlen(text), &third, &err), 0);
	ck_assert_str_eq(manifest_canonical(third), text);
}
END_TEST

/* One fault each; every text begins with the place, which manifest_error_place() gives back. */
#define KERNEL	   "'launch':[{'kernel':'k','grid':[1],'block':[1]}]"
#define WITH(rest) "{'module':'a.ptx'," rest "," KERNEL "}"
#define LAUNCH(l)  "{'module':'a.ptx','inputs':[{'name':'x','datatype':'FP32','shape':['n']}],'launch':[{" l "}]}"
#define IN_X	   "{'name':'x','datatype':'FP32','shape':['n']}"

static const struct {
	const char *text;
	const char *place;
	const char *cause;
} bad[] = {
	{"[]", "cuda", "the section must be a mapping"},
	{"{}", "cuda", "needs a \"module\" (PTX, fatbin, cubin, cu) or a \"handler\" (library)"},
	{"{'modul':'a.ptx'," KERNEL "}", "cuda.modul", "unknown key \"modul\" (did you mean \"module\"?)"},
	{"{'a b: c':1}", "cuda", "unknown key \"a b: c\""},
	{"{'module':7}", "cuda.module", "must be a string"},
	{"{'module':''}", "cuda.module", "must not be empty"},
	{"{'module':'a.ptx','handler':'b.so'}", "cuda", "\"module\" and \"handler\" exclude each other"},
	{"{'module':'/a.ptx'}", "cuda.module", "must be a path below the bundle's folder, not an absolute one"},
	{"{'module':'x/../a.ptx'}", "cuda.module", "must not have empty, \".\" or \"..\" components"},
	{"{'module':'x//a.ptx'}", "cuda.module", "must not have empty, \".\" or \"..\" components"},
	{"{'handler':'x/'}", "cuda.handler", "must name a file, not a folder"},
	{"{'handler':'a\\nb'}", "cuda.handler", "has a control character or a backslash in it"},
	{"{'module':'a.txt'}", "cuda.module", "\"a.txt\" ends in none of .ptx .fatbin .cubin .cu"},
	{"{'module':'.ptx'}", "cuda.module", "\".ptx\" ends in none of .ptx .fatbin .cubin .cu"},
	{"{'handler':'b.so','outputs':[1]}", "cuda.outputs",
	 "belongs to kernel bundles; a handler reads requests and launches itself"},
	{"{'module':'a.ptx'}", "cuda", "\"launch\" is missing or empty: nothing would run"},
	{"{'module':'a.ptx','launch':[]}", "cuda", "\"launch\" is missing or empty: nothing would run"},
	{"{'module':'a.ptx','launch':{}}", "cuda.launch", "must be a list"},
	{WITH("'inputs':{}"), "cuda.inputs", "must be a list"},
	{WITH("'inputs':[1]"), "cuda.inputs[0]", "an input must be a mapping"},
	{WITH("'inputs':[{'datatype':'FP32','shape':[]}]"), "cuda.inputs[0]", "\"name\" is missing"},
	{WITH("'inputs':[{'name':'x','shape':[]}]"), "cuda.inputs[0]", "\"datatype\" is missing"},
	{WITH("'inputs':[{'name':'x','datatype':'FP32'}]"), "cuda.inputs[0].shape",
	 "is missing (a scalar has shape [])"},
	{WITH("'inputs':[{'name':'x','datatype':'FP32','shape':3}]"), "cuda.inputs[0].shape", "must be a list"},
	{WITH("'inputs':[{'name':'2x','datatype':'FP32','shape':[]}]"), "cuda.inputs[0].name",
	 "\"2x\" is no name: letters, digits and _, not a digit first"},
	{WITH("'inputs':[{'name':'x','datatype':'FP322','shape':[]}]"), "cuda.inputs[0].datatype",
	 "unknown datatype \"FP322\" (did you mean \"FP32\"?)"},
	{WITH("'inputs':[{'name':'x','datatype':'float','shape':[]}]"), "cuda.inputs[0].datatype",
	 "unknown datatype \"float\" (did you mean \"FP32\"?)"},
	{WITH("'inputs':[{'name':'x','datatype':'FP32','shape':['n'],'defualt':1}]"), "cuda.inputs[0].defualt",
	 "unknown key \"defualt\" (did you mean \"default\"?)"},
	{WITH("'inputs':[" IN_X "," IN_X "]"), "cuda.inputs[1]", "two inputs have the name \"x\""},
	{WITH("'inputs':[{'name':'x','datatype':'FP32','shape':['n+1']}]"), "cuda.inputs[0].shape[0]",
	 "a dimension of an input must be a number or a name"},
	{WITH("'inputs':[{'name':'x','datatype':'FP32','shape':[1,-1]}]"), "cuda.inputs[0].shape[1]",
	 "a dimension cannot be negative"},
	{WITH("'inputs':[{'name':'x','datatype':'FP32','shape':[1.5]}]"), "cuda.inputs[0].shape[0]",
	 "a dimension of an input must be a number or a name"},
	{WITH("'inputs':[{'name':'x','datatype':'FP32','shape':[1,1,1,1,1,1,1,1,1]}]"), "cuda.inputs[0].shape",
	 "9 dimensions, at most 8 are possible"},
	{WITH("'inputs':[{'name':'n','datatype':'FP32','shape':['n']}]"), "cuda.inputs[0]",
	 "\"n\" is the name of an input and of a dimension"},
	{WITH("'inputs':[{'name':'x','datatype':'UINT8','shape':[],'default':256}]"), "cuda.inputs[0].default",
	 "256 does not fit UINT8"},
	{WITH("'inputs':[{'name':'x','datatype':'UINT8','shape':[],'default':[1]}]"), "cuda.inputs[0].default",
	 "has 1 dimensions, the shape has 0"},
	{WITH("'inputs':[{'name':'x','datatype':'FP32','shape':[2],'default':[1,2,3]}]"), "cuda.inputs[0].default",
	 "dimension 0 is 3, the shape says 2"},
	{WITH("'inputs':[{'name':'x','datatype':'FP32','shape':['n'],'default':[1,'q']}]"), "cuda.inputs[0].default",
	 "element [1]: \"q\" is not a number, \"NaN\", \"Infinity\" or \"-Infinity\""},
	{WITH("'outputs':[{'name':'y','datatype':'FP32','shape':['n']}]"), "cuda.outputs[0].shape[0]",
	 "unbound name \"n\": no input has it"},
	{WITH("'inputs':[{'name':'x','datatype':'FP32','shape':['rows']}],"
	      "'outputs':[{'name':'y','datatype':'FP32','shape':['row*2']}]"),
	 "cuda.outputs[0].shape[0]", "unbound name \"row\": no input has it (did you mean \"rows\"?)"},
	{WITH("'inputs':[" IN_X "],'outputs':[{'name':'y','datatype':'FP32','shape':['x']}]"),
	 "cuda.outputs[0].shape[0]", "\"x\" is no integer: expressions use dimensions and scalar integers"},
	{WITH("'inputs':[" IN_X "],'outputs':[{'name':'x','datatype':'FP64','shape':['n']}]"), "cuda.outputs[0]",
	 "\"x\" is FP64 here and FP32 among the inputs"},
	{WITH("'inputs':[" IN_X "],'outputs':[{'name':'x','datatype':'FP32','shape':['n',1]}]"), "cuda.outputs[0]",
	 "\"x\" has 2 dimensions here and 1 among the inputs"},
	{WITH("'inputs':[" IN_X "],'outputs':[{'name':'x','datatype':'FP32','shape':['n+0']}]"), "cuda.outputs[0]",
	 "dimension 0 of \"x\" is n+0 here and n among the inputs"},
	{WITH("'inputs':[{'name':'x','datatype':'FP32','shape':[]}],"
	      "'outputs':[{'name':'x','datatype':'FP32','shape':[]}]"),
	 "cuda.outputs[0]", "the input \"x\" is a scalar, passed by value: it cannot be an output"},
	{WITH("'outputs':[{'name':'y','datatype':'FP32','shape':[1]},{'name':'y','datatype':'FP32','shape':[1]}]"),
	 "cuda.outputs[1]", "the name \"y\" is taken"},
	{WITH("'inputs':[" IN_X "],'outputs':[" IN_X "," IN_X "]"), "cuda.outputs[1]",
	 "two outputs have the name \"x\""},
	{WITH("'inputs':[" IN_X "],'scratch':[" IN_X "]"), "cuda.scratch[0]", "the name \"x\" is taken"},
	{WITH("'inputs':[" IN_X "],'scratch':[{'name':'n','datatype':'FP32','shape':[1]}]"), "cuda.scratch[0]",
	 "\"n\" is the name of a dimension already"},
	{WITH("'scratch':[{'name':'t','datatype':'FP32','shape':[1],'default':0}]"), "cuda.scratch[0].default",
	 "unknown key \"default\""},
	{LAUNCH("'grid':[1],'block':[1]"), "cuda.launch[0]", "\"kernel\" is missing"},
	{LAUNCH("'kernel':'k','block':[1]"), "cuda.launch[0]", "\"grid\" is missing"},
	{LAUNCH("'kernel':'k','grid':[1]"), "cuda.launch[0]", "\"block\" is missing"},
	{LAUNCH("'kernel':'k','grdi':[1],'block':[1]"), "cuda.launch[0].grdi",
	 "unknown key \"grdi\" (did you mean \"grid\"?)"},
	{LAUNCH("'kernel':'k','grid':1,'block':[1]"), "cuda.launch[0].grid",
	 "must be a list of one to three numbers or expressions"},
	{LAUNCH("'kernel':'k','grid':[1,1,1,1],'block':[1]"), "cuda.launch[0].grid",
	 "must be a list of one to three numbers or expressions"},
	{LAUNCH("'kernel':'k','grid':[],'block':[1]"), "cuda.launch[0].grid",
	 "must be a list of one to three numbers or expressions"},
	{LAUNCH("'kernel':'k','grid':[1,true],'block':[1]"), "cuda.launch[0].grid[1]",
	 "must be an integer or an expression"},
	{LAUNCH("'kernel':'k','grid':['ceildiv(n 256)'],'block':[1]"), "cuda.launch[0].grid[0]",
	 "expression has \"256)\" where \",\" or \")\" should stand"},
	{LAUNCH("'kernel':'k','grid':[0],'block':[1]"), "cuda.launch[0].grid[0]", "must be at least 1"},
	{LAUNCH("'kernel':'k','grid':[1],'block':[64,64]"), "cuda.launch[0].block",
	 "4096 threads in a block, at most 1024 are possible"},
	{LAUNCH("'kernel':'k','grid':[1],'block':[1],'shared':-1"), "cuda.launch[0].shared", "must not be negative"},
	{LAUNCH("'kernel':'k','grid':[1],'block':[1],'shared':'4*k'"), "cuda.launch[0].shared",
	 "unbound name \"k\": no input has it (did you mean \"n\"?)"},
	{LAUNCH("'kernel':'k','grid':[1],'block':[1],'args':'x'"), "cuda.launch[0].args", "must be a list"},
	{LAUNCH("'kernel':'k','grid':[1],'block':[1],'args':['x','n']"), "cuda.launch[0].args[1]",
	 "\"n\" is a dimension and has no datatype; write { value: n, datatype: UINT32 }"},
	{LAUNCH("'kernel':'k','grid':[1],'block':[1],'args':['weights']"), "cuda.launch[0].args[0]",
	 "no tensor or scalar \"weights\""},
	{LAUNCH("'kernel':'k','grid':[1],'block':[1],'args':[3]"), "cuda.launch[0].args[0]",
	 "must be a tensor's name or { value: ..., datatype: ... }: a bare value has no datatype"},
	{LAUNCH("'kernel':'k','grid':[1],'block':[1],'args':[{'value':1}]"), "cuda.launch[0].args[0]",
	 "\"datatype\" is missing"},
	{LAUNCH("'kernel':'k','grid':[1],'block':[1],'args':[{'datatype':'INT8'}]"), "cuda.launch[0].args[0]",
	 "\"value\" is missing"},
	{LAUNCH("'kernel':'k','grid':[1],'block':[1],'args':[{'value':1,'datatype':'INT'}]"),
	 "cuda.launch[0].args[0].datatype", "unknown datatype \"INT\" (did you mean \"INT8\"?)"},
	{LAUNCH("'kernel':'k','grid':[1],'block':[1],'args':[{'value':300,'datatype':'INT8'}]"),
	 "cuda.launch[0].args[0].value", "300 does not fit INT8"},
	{LAUNCH("'kernel':'k','grid':[1],'block':[1],'args':[{'value':0.5,'datatype':'INT8'}]"),
	 "cuda.launch[0].args[0].value", "0.5 does not fit INT8"},
	{LAUNCH("'kernel':'k','grid':[1],'block':[1],'args':[{'value':1,'datatype':'INT8','x':1}]"),
	 "cuda.launch[0].args[0].x", "unknown key \"x\""},
};

START_TEST(every_fault_is_named_with_its_place)
{
	struct err err = ERR_INIT;
	char place[128], expected[ERR_TEXT_MAX];
	struct manifest *m = NULL;

	ck_assert_msg(parse(bad[_i].text, &m, &err) < 0, "accepted: %s", bad[_i].text);
	ck_assert_ptr_null(m);
	snprintf(expected, sizeof(expected), "%s: %s", bad[_i].place, bad[_i].cause);
	ck_assert_str_eq(err.text, expected);
	ck_assert_str_eq(manifest_error_place(&err, place, sizeof(place)), bad[_i].place);
}
END_TEST

START_TEST(sizes_are_bounded)
{
	_cleanup_free_ char *text = malloc(MANIFEST_TEXT_MAX + 1);
	struct manifest *m = NULL;
	struct err err = ERR_INIT;
	size_t used;

	memset(text, ' ', MANIFEST_TEXT_MAX);
	ck_assert_int_eq(manifest_parse_text(text, MANIFEST_TEXT_MAX, &m, &err), -E2BIG);
	used = (size_t)sprintf(text, "{\"module\":\"a.ptx\",\"inputs\":[");
	for (int i = 0; i <= MANIFEST_TENSORS_MAX; i++)
		used += (size_t)sprintf(text + used, "%s{\"name\":\"x%d\",\"datatype\":\"FP32\",\"shape\":[]}",
					i ? "," : "", i);
	used += (size_t)sprintf(text + used, "]}");
	ck_assert_int_eq(manifest_parse_text(text, used, &m, &err), -E2BIG);
	ck_assert_str_eq(err.text, "cuda.inputs: more than 64 entries");
	used = (size_t)sprintf(text, "{\"module\":\"a.ptx\",\"inputs\":[");
	for (int i = 0; i < 17; i++) {
		used += (size_t)sprintf(text + used, "%s{\"name\":\"x%d\",\"datatype\":\"FP32\",\"shape\":[",
					i ? "," : "", i);
		for (int d = 0; d < 8; d++)
			used += (size_t)sprintf(text + used, "%s\"n%d\"", d ? "," : "", i * 8 + d);
		used += (size_t)sprintf(text + used, "]}");
	}
	used += (size_t)sprintf(text + used, "]}");
	ck_assert_int_eq(manifest_parse_text(text, used, &m, &err), -E2BIG);
	ck_assert_str_eq(err.text, "cuda.inputs[16].shape[0]: more than 128 dimension and scalar names");
	ck_assert_ptr_null(m);
}
END_TEST

static void check_kernels(const char *name, size_t n_params, size_t sizes[], const char *expected)
{
	_cleanup_(manifest_release) struct manifest *m = NULL;
	struct kernel_signature signature = {(char *)name, n_params, sizes};
	struct kernel_list list = {&signature, 1};
	struct err err = ERR_INIT;

	ck_assert_int_eq(parse(saxpy, &m, &err), 0);
	ck_assert_int_eq(manifest_check_kernels(m, &list, &err), expected ? -EINVAL : 0);
	if (expected)
		ck_assert_str_eq(err.text, expected);
}

START_TEST(launches_fit_the_kernel)
{
	check_kernels("saxpy", 4, (size_t[]){4, 4, 8, 8}, NULL);
	check_kernels("saxpi", 4, (size_t[]){4, 4, 8, 8},
		      "cuda.launch[0].kernel: the module has no kernel \"saxpy\" (did you mean \"saxpi\"?)");
	check_kernels("saxpy", 3, (size_t[]){4, 8, 8},
		      "cuda.launch[0].args: kernel \"saxpy\" takes 3 arguments, the launch gives it 4");
	check_kernels(
		"saxpy", 4, (size_t[]){8, 4, 8, 8},
		"cuda.launch[0].args[0]: parameter 0 of kernel \"saxpy\" has 8 bytes, a value of type UINT32 has 4");
	check_kernels("saxpy", 4, (size_t[]){4, 8, 8, 8},
		      "cuda.launch[0].args[1]: parameter 1 of kernel \"saxpy\" has 8 bytes, \"a\" (FP32) has 4");
	check_kernels(
		"saxpy", 4, (size_t[]){4, 4, 8, 4},
		"cuda.launch[0].args[3]: parameter 3 of kernel \"saxpy\" has 4 bytes, the device pointer of \"y\" has "
		"8");
}
END_TEST

START_TEST(only_our_errors_have_a_place)
{
	static const char *const texts[] = {"", "cuda", "open cuda: x", "read cuda.x", "file: cuda.x: y"};
	char place[16] = "x";

	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		struct err err = ERR_INIT;

		err_set(&err, EINVAL, "%s", texts[i]);
		ck_assert_str_eq(manifest_error_place(&err, place, sizeof(place)), "");
	}
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("manifest");
	TCase *all = tcase_create("all");

	tcase_add_test(all, the_contract_example_is_read);
	tcase_add_test(all, missing_parts_have_their_defaults);
	tcase_add_test(all, scalars_and_defaults_are_read);
	tcase_add_test(all, a_handler_stands_alone);
	tcase_add_test(all, canonical_text_is_stable);
	tcase_add_loop_test(all, every_fault_is_named_with_its_place, 0, (int)ARRAY_LEN(bad));
	tcase_add_test(all, sizes_are_bounded);
	tcase_add_test(all, launches_fit_the_kernel);
	tcase_add_test(all, only_our_errors_have_a_place);
	suite_add_tcase(suite, all);
	return suite;
}
