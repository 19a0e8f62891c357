/* The real cudaexec over pipes on the software device: what goes right, and everything that can go wrong. */
#include "supervisor/util.h"
#include "tests/unit/cudaexec/runner_help.h"

#include <string.h>

#include "tests/unit/main.h"

#define PTX_HEAD ".version 6.4\n.target sm_75\n.address_size 64\n"

/* Kernels for one purpose each. */
static const char kernels[] =
	PTX_HEAD ".visible .entry endless()\n{\nagain:\n\tbra again;\n}\n"
		 ".visible .entry outside(.param .u64 p)\n{\n"
		 "\t.reg .b64 %rd<3>;\n\t.reg .b32 %r<2>;\n"
		 "\tld.param.u64 %rd1, [p];\n\tcvta.to.global.u64 %rd2, %rd1;\n"
		 "\tmov.u32 %r1, 7;\n\tst.global.u32 [%rd2+268435456], %r1;\n\tret;\n}\n"
		 ".visible .entry nothing(.param .u64 p)\n{\n\tret;\n}\n"
		 ".visible .entry store(.param .u64 p, .param .u32 v)\n{\n"
		 "\t.reg .b64 %rd<3>;\n\t.reg .b32 %r<2>;\n"
		 "\tld.param.u64 %rd1, [p];\n\tcvta.to.global.u64 %rd2, %rd1;\n"
		 "\tld.param.u32 %r1, [v];\n\tst.global.u32 [%rd2], %r1;\n\tret;\n}\n"
		 ".visible .entry twice(.param .u64 p)\n{\n"
		 "\t.reg .b64 %rd<3>;\n\t.reg .b32 %r<3>;\n"
		 "\tld.param.u64 %rd1, [p];\n\tcvta.to.global.u64 %rd2, %rd1;\n"
		 "\tld.global.u32 %r1, [%rd2];\n\tadd.u32 %r2, %r1, %r1;\n\tst.global.u32 [%rd2], %r2;\n\tret;\n}\n";

#define SIZED(kernel) \
	"{'module':'k.ptx','inputs':[{'name':'n','datatype':'UINT64','shape':[],'default':4}]," \
	"'outputs':[{'name':'o','datatype':'UINT8','shape':['n']}],'launch':[{'kernel':'" kernel \
	"','grid':['ceildiv(n, 4096)'],'block':[32],'args':['o']}]}"
#define PLAIN(kernel) "{'module':'k.ptx','launch':[{'kernel':'" kernel "','grid':[1],'block':[32]}]}"

/* A folder with the kernels, an instance in it, its answers. */
struct fixture {
	char *folder;
	struct instance x;
	struct reply reply;
};

static void begin(struct fixture *f, const char *section, const char *const *environment)
{
	*f = (struct fixture){.folder = help_folder()};
	help_file(f->folder, "k.ptx", kernels, strlen(kernels));
	instance_start(&f->x, f->folder, section, environment);
}

static void ask(struct fixture *f, const char *headers, const char *body)
{
	reply_release(&f->reply);
	instance_ask(&f->x, headers, body, strlen(body), &f->reply);
}

static void expect(struct fixture *f, unsigned status, const char *text)
{
	ck_assert_msg(f->reply.status == status && strcmp(f->reply.body.bytes, text) == 0, "%u %s", f->reply.status,
		      f->reply.body.bytes);
}

/* The error object's message begins with the text. */
static void expect_error(struct fixture *f, unsigned status, const char *text)
{
	static const char front[] = "{\"error\":{\"message\":\"";

	ck_assert_msg(f->reply.status == status && strncmp(f->reply.body.bytes, front, strlen(front)) == 0 &&
			      strncmp(f->reply.body.bytes + strlen(front), text, strlen(text)) == 0,
		      "%u %s", f->reply.status, f->reply.body.bytes);
	ck_assert_str_eq(reply_header(&f->reply, "Content-Type"), "application/json");
}

static void end(struct fixture *f, int status, const char *logged)
{
	_cleanup_free_ char *log = NULL;
	int got = instance_end(&f->x, &log);

	ck_assert_msg(got == status, "exit status %d, log: %s", got, log);
	if (logged)
		ck_assert_msg(strstr(log, logged) != NULL, "log: %s", log);
	reply_release(&f->reply);
	help_folder_remove(f->folder);
}

#define JSON "Header_content_type: application/json\r\n"

START_TEST(launches_run_in_order)
{
	struct fixture f;

	begin(&f,
	      "{'module':'k.ptx','inputs':[{'name':'v','datatype':'UINT32','shape':[]}],"
	      "'outputs':[{'name':'o','datatype':'UINT32','shape':[2]}],'launch':["
	      "{'kernel':'store','grid':[1],'block':[1],'args':['o',{'value':'v+1','datatype':'UINT32'}]},"
	      "{'kernel':'twice','grid':[1],'block':[1],'args':['o']},"
	      "{'kernel':'twice','grid':[1],'block':[1],'args':['o']}]}",
	      NULL);
	for (int i = 0; i < 3; i++) {
		ask(&f, JSON, "{\"v\":4}");
		expect(&f, 200, "{\"o\":[20,0]}\n");
		ck_assert_ptr_nonnull(reply_header(&f.reply, "Ferrite-Gpu-Us"));
		ck_assert_str_eq(reply_header(&f.reply, "Content-Type"), "application/json");
	}
	ask(&f, JSON, "{\"v\":4294967295}");
	expect_error(&f, 400,
		     "launch 0 (kernel \\\"store\\\"): argument 1: v+1 is 4294967296, which does not fit UINT32\"}}");
	ask(&f, JSON, "{\"inputs\":[{\"name\":\"v\",\"datatype\":\"UINT32\",\"shape\":[],\"data\":[1]}]}");
	expect(&f, 200,
	       "{\"model_name\":\"test/function\",\"model_version\":\"1.0\",\"outputs\":[{\"name\":\"o\",\"datatype\":"
	       "\"UINT32\",\"shape\":[2],\"data\":[8,0]}]}\n");
	ask(&f, "Header_accept: application/octet-stream\r\nRequest_url: http://h/r/a/b?v=0\r\n", "");
	ck_assert_uint_eq(f.reply.status, 200);
	ck_assert_uint_eq(f.reply.body.length, 8);
	ck_assert_mem_eq(f.reply.body.bytes, "\4\0\0\0\0\0\0\0", 8);
	ask(&f, "Header_accept: */*\r\nRequest_url: http://h/r/a/b?w=0\r\n", "");
	expect_error(&f, 400, "unknown parameter \\\"w\\\" in the query");
	end(&f, 0, "msg=ready");
}
END_TEST

START_TEST(an_empty_tensor_skips_the_launch)
{
	struct fixture f;

	begin(&f, SIZED("outside"), NULL);
	ask(&f, JSON, "{\"n\":0}");
	expect(&f, 200, "{\"o\":[]}\n");
	end(&f, 0, NULL);
	begin(&f,
	      "{'module':'k.ptx','inputs':[{'name':'n','datatype':'UINT32','shape':[]}],'launch':[{'kernel':'endless',"
	      "'grid':['n/2'],'block':[1]}]}",
	      NULL);
	ask(&f, JSON, "{\"n\":1}");
	expect_error(&f, 400, "launch 0 (kernel \\\"endless\\\"): grid is 0x1x1, although no tensor is empty");
	end(&f, 0, NULL);
}
END_TEST

START_TEST(big_bodies_go_both_ways)
{
	enum { N = 3000000 };
	_cleanup_free_ char *body = malloc(N);
	struct fixture f;

	for (size_t i = 0; i < N; i++)
		body[i] = (char)(i * 7);
	begin(&f,
	      "{'module':'k.ptx','inputs':[{'name':'b','datatype':'UINT8','shape':['n']}],'outputs':[{'name':'b',"
	      "'datatype':'UINT8','shape':['n']}],'launch':[{'kernel':'nothing','grid':[1],'block':[1],'args':['b']}]}",
	      NULL);
	for (size_t n = N; n > 1; n /= 1000) {
		reply_release(&f.reply);
		instance_ask(&f.x,
			     "Header_content_type: application/octet-stream\r\nHeader_accept: "
			     "application/octet-stream\r\n",
			     body, n, &f.reply);
		ck_assert_uint_eq(f.reply.status, 200);
		ck_assert_uint_eq(f.reply.body.length, n);
		ck_assert_int_eq(memcmp(f.reply.body.bytes, body, n), 0);
	}
	end(&f, 0, NULL);
}
END_TEST

START_TEST(a_body_over_the_limit_is_413)
{
	struct fixture f;

	begin(&f, SIZED("nothing"), (const char *const[]){"FERRITE_BODY_MAX=16", NULL});
	ask(&f, JSON, "{\"n\":3             }");
	expect_error(&f, 413, "the body is larger than 16 bytes");
	ask(&f, JSON, "{\"n\":3        }");
	expect(&f, 200, "{\"o\":[0,0,0]}\n");
	instance_send(
		&f.x,
		"GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n8\r\n{\"n\":2  \r\n9\r\n        }\r\n0\r\n\r\n",
		strlen("GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n8\r\n{\"n\":2  \r\n9\r\n        "
		       "}\r\n0\r\n\r\n"));
	reply_release(&f.reply);
	ck_assert(instance_reply(&f.x, &f.reply));
	expect_error(&f, 413, "the body is larger than 16 bytes");
	end(&f, 0, NULL);
}
END_TEST

START_TEST(malformed_http_ends_the_instance)
{
	static const struct {
		const char *bytes;
		const char *error;
	} table[] = {
		{"hello\r\n\r\n", "malformed HTTP request: invalid HTTP method"},
		{"GET / HTTP/1.1\r\nno colon\r\n\r\n", "malformed HTTP request: invalid character in header"},
		{"GET / HTTP/1.1\r\nContent-Length: 2x\r\n\r\n",
		 "malformed HTTP request: invalid character in content-length header"},
		{"GET / HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n",
		 "malformed HTTP request: invalid character in content-length header"},
		{"HTTP/1.1 200 OK\r\n\r\n", "malformed HTTP request: "},
		{"\x16\x03\x01\x02", "malformed HTTP request: invalid HTTP method"},
	};

	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		struct fixture f;

		begin(&f, SIZED("nothing"), NULL);
		instance_send(&f.x, table[i].bytes, strlen(table[i].bytes));
		ck_assert(instance_reply(&f.x, &f.reply));
		expect_error(&f, 400, table[i].error);
		end(&f, 3, "cannot read a call");
	}
}
END_TEST

START_TEST(a_cut_call_is_no_call)
{
	static const char *const cuts[] = {"GET", "GET / HTTP/1.1\r\nA: b\r\n",
					   "GET / HTTP/1.1\r\nContent-Length: 5\r\n\r\n{}"};

	for (size_t i = 0; i < ARRAY_LEN(cuts); i++) {
		struct fixture f;

		begin(&f, SIZED("nothing"), NULL);
		instance_send(&f.x, cuts[i], strlen(cuts[i]));
		fd_close(&f.x.in_fd);
		ck_assert(instance_reply(&f.x, &f.reply));
		expect_error(&f, 400, "malformed HTTP request: the input ends within it");
		end(&f, 3, NULL);
	}
}
END_TEST

START_TEST(a_bundle_that_cannot_run_says_so_in_every_call)
{
	static const struct {
		const char *section;
		const char *environment;
		const char *error;
	} table[] = {
		{"{'modul':'k.ptx'}", NULL, "cuda.modul: unknown key \\\"modul\\\" (did you mean \\\"module\\\"?)\"}}"},
		{"not json", NULL, "cuda: JSON, line 1 column 3: "},
		{"{'module':'missing.ptx','launch':[{'kernel':'k','grid':[1],'block':[1]}]}", NULL,
		 "module: open missing.ptx: No such file or directory\"}}"},
		{"{'module':'bad.ptx','launch':[{'kernel':'k','grid':[1],'block':[1]}]}", NULL,
		 "module bad.ptx: cuModuleLoadDataEx: CUDA_ERROR_INVALID_PTX (218): "},
		{PLAIN("endles"), NULL,
		 "module k.ptx has no kernel \\\"endles\\\": cuModuleGetFunction: "
		 "CUDA_ERROR_NOT_FOUND (500): "},
		{"{'module':'k.cu','launch':[{'kernel':'k','grid':[1],'block':[1]}]}", NULL,
		 "module k.cu is source: it has to be compiled when the bundle is made\"}}"},
		{PLAIN("endless"), "LD_LIBRARY_PATH=/nonexistent", "CUDA driver libcuda.so.1: "},
		{"{'handler':'missing.so'}", NULL, "handler missing.so: No such file or directory\"}}"},
		{"{'handler':'k.ptx'}", NULL, "handler k.ptx is no shared object\"}}"},
		{"{'handler':'arm.so'}", NULL, "handler arm.so is built for aarch64, this machine is x86-64\"}}"},
		{"{'handler':'libwithout_call.so'}", NULL,
		 "handler libwithout_call.so does not define cudaexec_function_call()\"}}"},
		{"{'handler':'libwithout_version.so'}", NULL,
		 "handler libwithout_version.so was not built with cudaexec.h: it has no ABI version\"}}"},
		{"{'handler':'libnext_version.so'}", NULL,
		 "handler libnext_version.so was built for version 2 of cudaexec.h, this runner has 1\"}}"},
		{"{'handler':'libecho.so'}", "ECHO_INIT_FAILS=1",
		 "handler libecho.so: cudaexec_function_init() returned -1\"}}"},
	};
	/* The head of an ELF file for aarch64. */
	static const unsigned char arm[64] = {0x7f, 'E', 'L', 'F', 2, 1, 1, [16] = 3, [18] = 183, [20] = 1};
	static const char bad[] = PTX_HEAD ".visible .entry k()\n{\n\tmov.u32 %r1, ;\n\tret;\n}\n";
	struct fixture f = {.folder = help_folder()};

	help_file(f.folder, "k.ptx", kernels, strlen(kernels));
	help_file(f.folder, "bad.ptx", bad, strlen(bad));
	help_file(f.folder, "arm.so", arm, sizeof(arm));
	for (size_t i = 0; i < 4; i++) {
		static const char *const names[] = {"echo", "without_call", "without_version", "next_version"};
		char from[512], to[512];

		snprintf(from, sizeof(from), "%s/tests/unit/handlers/lib%s.so", help_build(), names[i]);
		snprintf(to, sizeof(to), "%s/lib%s.so", f.folder, names[i]);
		ck_assert_int_eq(symlink(from, to), 0);
	}
	instance_start(&f.x, f.folder, table[_i].section, (const char *const[]){table[_i].environment, NULL});
	for (int i = 0; i < 2; i++) {
		ask(&f, JSON, "{}");
		expect_error(&f, 500, table[_i].error);
	}
	if (strstr(table[_i].section, "bad.ptx"))
		ck_assert_msg(strstr(f.reply.body.bytes, "line 6") != NULL, "%s", f.reply.body.bytes);
	end(&f, 0, "the bundle cannot run");
}
END_TEST

START_TEST(an_endless_kernel_runs_out_of_budget)
{
	struct fixture f;

	begin(&f, PLAIN("endless"), (const char *const[]){"FERRITE_SOFTWARE_DEVICE_BUDGET=1000000", NULL});
	ask(&f, JSON, "{}");
	expect_error(&f, 500, "kernel \\\"endless\\\": CUDA_ERROR_LAUNCH_TIMEOUT (702): ");
	end(&f, 4, "the CUDA context is lost");
}
END_TEST

START_TEST(a_write_out_of_bounds_ends_the_instance)
{
	struct fixture f;

	begin(&f, SIZED("outside"), NULL);
	ask(&f, JSON, "{}");
	expect_error(&f, 500, "kernel \\\"outside\\\": CUDA_ERROR_ILLEGAL_ADDRESS (700): ");
	end(&f, 4, "the CUDA context is lost");
}
END_TEST

START_TEST(too_much_memory_is_507_and_nothing_more)
{
	struct fixture f;

	begin(&f, SIZED("nothing"), (const char *const[]){"FERRITE_SOFTWARE_DEVICE_MEMORY=67108864", NULL});
	ask(&f, JSON, "{\"n\":3}");
	expect(&f, 200, "{\"o\":[0,0,0]}\n");
	ask(&f, JSON, "{\"n\":70000000}");
	expect_error(&f, 507,
		     "the call needs 70000000 bytes of device memory: cuMemAlloc: CUDA_ERROR_OUT_OF_MEMORY (2): ");
	ask(&f, JSON, "{\"n\":4000000000000000000}");
	expect_error(&f, 400,
		     "launch 0 (kernel \\\"nothing\\\"): grid x, ceildiv(n, 4096), is 976562500000000, possible are "
		     "0 to 2147483647");
	ask(&f, JSON, "{\"n\":2}");
	expect(&f, 200, "{\"o\":[0,0]}\n");
	end(&f, 0, NULL);
}
END_TEST

/* What earlier calls left on the device must not stand in the way of a call that fits alone. */
START_TEST(buffers_of_earlier_calls_make_room)
{
	struct fixture f;

	begin(&f,
	      "{'module':'k.ptx','inputs':[{'name':'a','datatype':'UINT64','shape':[]},{'name':'b','datatype':'UINT64',"
	      "'shape':[]}],'outputs':[{'name':'s','datatype':'UINT8','shape':[4]}],'scratch':[{'name':'x','datatype':"
	      "'UINT8','shape':['a']},{'name':'y','datatype':'UINT8','shape':['b']}],'launch':[{'kernel':'nothing','"
	      "grid':"
	      "[1],'block':[1],'args':['s']}]}",
	      (const char *const[]){"FERRITE_SOFTWARE_DEVICE_MEMORY=67108864", NULL});
	for (int i = 0; i < 3; i++) {
		ask(&f, JSON, "{\"a\":50000000,\"b\":1}");
		expect(&f, 200, "{\"s\":[0,0,0,0]}\n");
		ask(&f, JSON, "{\"a\":1,\"b\":50000000}");
		expect(&f, 200, "{\"s\":[0,0,0,0]}\n");
	}
	end(&f, 0, NULL);
}
END_TEST

START_TEST(wrong_use_is_an_exit_status)
{
	struct fixture f;

	begin(&f, SIZED("nothing"), (const char *const[]){"FERRITE_BODY_MAX=many", NULL});
	end(&f, 2, "FERRITE_BODY_MAX is no size");
}
END_TEST

static void begin_echo(struct fixture *f)
{
	char folder[512];

	snprintf(folder, sizeof(folder), "%s/tests/unit/handlers", help_build());
	*f = (struct fixture){.folder = help_folder()};
	instance_start(&f->x, folder, "{'handler':'libecho.so'}", NULL);
}

START_TEST(a_handler_sees_the_whole_call)
{
	struct fixture f;

	begin_echo(&f);
	ask(&f,
	    "Method: PUT\r\nRoute: /p/:id\r\nRequest_url: http://h/r/a/p/7?q=%41+b&e\r\nHeader_x_foo: bar\r\n"
	    "Header_content_type: text/plain\r\nParam_id: 7\r\nFerrite-Timeout-Ms: 5000\r\nApp_key: hidden\r\n",
	    "the body");
	expect(&f, 201,
	       "request method=PUT\nrequest route=/p/:id\nrequest url=http://h/r/a/p/7?q=%41+b&e\nrequest call_id=t-1\n"
	       "request deadline=soon\nheader x-foo=bar\nheader content-type=text/plain\nparameter id=7\n"
	       "parameter q=A b\nparameter e=\nfound X-Foo=bar\nthe body");
	ck_assert_str_eq(reply_header(&f.reply, "X-Echo"), "yes");
	ck_assert_str_eq(reply_header(&f.reply, "Content-Type"), "text/plain");
	ask(&f, "", "");
	expect(&f, 201,
	       "request method=\nrequest route=\nrequest url=\nrequest call_id=t-1\nrequest deadline=none\n"
	       "found X-Foo=(none)\n");
	end(&f, 0, "fini was called");
}
END_TEST

START_TEST(a_handler_streams)
{
	struct fixture f;

	begin_echo(&f);
	ask(&f, "Request_url: http://h/r/a/b?do=stream\r\n", "");
	ck_assert_uint_eq(f.reply.status, 200);
	ck_assert_str_eq(reply_header(&f.reply, "Transfer-Encoding"), "chunked");
	ck_assert_uint_eq(f.reply.body.length, 200000);
	ck_assert_uint_eq(strspn(f.reply.body.bytes, "s"), 200000);
	ask(&f, "Request_url: http://h/r/a/b?do=flush\r\n", "");
	ck_assert_str_eq(reply_header(&f.reply, "Transfer-Encoding"), "chunked");
	expect(&f, 200, "late");
	ask(&f, "Request_url: http://h/r/a/b?do=bad\r\n", "");
	expect(&f, 200, "done\n");
	ask(&f, "Request_url: http://h/r/a/b?do=driver\r\n", "");
	ck_assert_msg(strstr(f.reply.body.bytes, "driver copied=yes\n") != NULL, "%s", f.reply.body.bytes);
	end(&f, 0, "a stray line on standard output");
}
END_TEST

START_TEST(a_handler_that_fails_is_500)
{
	struct fixture f;

	begin_echo(&f);
	ask(&f, "Request_url: http://h/r/a/b?do=fail\r\n", "");
	expect_error(&f, 500, "handler libecho.so: cudaexec_function_call() returned -61: No data available\"}}");
	ask(&f, "Request_url: http://h/r/a/b?do=other\r\n", "");
	expect_error(&f, 500, "handler libecho.so: cudaexec_function_call() returned 77\"}}");
	ask(&f, "Request_url: http://h/r/a/b?do=%0\r\n", "");
	expect_error(&f, 400, "query: ");
	instance_call(&f.x, "Request_url: http://h/r/a/b?do=break-stream\r\n", "", 0);
	reply_release(&f.reply);
	ck_assert_msg(!instance_reply(&f.x, &f.reply), "a broken stream looks complete");
	ck_assert_uint_eq(f.reply.status, 200);
	end(&f, 5, "a streamed answer was cut short");
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("cudaexec");
	TCase *all = tcase_create("all");

	tcase_set_timeout(all, 60);
	tcase_add_test(all, launches_run_in_order);
	tcase_add_test(all, an_empty_tensor_skips_the_launch);
	tcase_add_test(all, big_bodies_go_both_ways);
	tcase_add_test(all, a_body_over_the_limit_is_413);
	tcase_add_test(all, malformed_http_ends_the_instance);
	tcase_add_test(all, a_cut_call_is_no_call);
	tcase_add_loop_test(all, a_bundle_that_cannot_run_says_so_in_every_call, 0, 14);
	tcase_add_test(all, an_endless_kernel_runs_out_of_budget);
	tcase_add_test(all, a_write_out_of_bounds_ends_the_instance);
	tcase_add_test(all, too_much_memory_is_507_and_nothing_more);
	tcase_add_test(all, buffers_of_earlier_calls_make_room);
	tcase_add_test(all, wrong_use_is_an_exit_status);
	tcase_add_test(all, a_handler_sees_the_whole_call);
	tcase_add_test(all, a_handler_streams);
	tcase_add_test(all, a_handler_that_fails_is_500);
	suite_add_tcase(suite, all);
	return suite;
}
