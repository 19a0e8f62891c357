/* What the parser refuses, how launches fail, memory and its limits. */
#include "cudaexec/softdev/heap.h"
#include "supervisor/util.h"
#include "tests/unit/softdev/engine_backend.h"

#include <string.h>

#include "tests/unit/main.h"

#define HEAD "//\n.version 7.0\n.target sm_75\n.address_size 64\n"
/* A kernel with one pointer parameter in %rd1, and the number of the thread in %r1. */
#define KERNEL(body) \
	HEAD ".visible .entry k(.param .u64 data)\n{\n.reg .pred %p<9>; .reg .b32 %r<9>; .reg .b64 %rd<9>; .reg .f32 " \
	     "%f<9>;\n" \
	     "ld.param.u64 %rd1, [data]; mov.u32 %r1, %tid.x;\n" body "\nret;\n}\n"

static struct engine engine;
static struct backend *const backend = &engine.backend;

static void start(void)
{
	engine_start(&engine, 4 * MIB, 2);
}

static void stop(void)
{
	engine_stop(&engine);
}

/* Runs a KERNEL over BYTES of device memory (copied in and out); returns the status. */
static enum ptx_status run(const char *text, unsigned blocks, unsigned threads, void *data, size_t bytes)
{
	uint64_t address = backend->alloc(backend, bytes);
	struct kernel_arg arg = {&address, sizeof(address)};

	ck_assert(address != 0);
	ck_assert_msg(backend->load(backend, text, strlen(text)), "%s", backend->error);
	ck_assert(backend->put(backend, address, data, bytes));
	(void)backend->launch(backend, "k", (unsigned[]){blocks, 1, 1}, (unsigned[]){threads, 1, 1}, 0, &arg, 1);
	ck_assert(backend->get(backend, data, address, bytes));
	backend->release(backend, address);
	return engine.status;
}

/* --- parsing --------------------------------------------------------------------------------------------------------
 */

static enum ptx_status parse(const char *text, size_t length, struct ptx_log *log)
{
	struct ptx_program *program = NULL;
	enum ptx_status status;

	*log = PTX_LOG_INIT;
	status = ptx_parse(text, length, &program, log);
	if (status != PTX_OK)
		ck_assert_ptr_null(program);
	ptx_program_free(program);
	return status;
}

START_TEST(bad_texts_are_refused_with_a_line)
{
	static const struct {
		const char *text;
		enum ptx_status status;
		const char *says;
	} bad[] = {
		{"", PTX_INVALID_PTX, "line 1: expected .version"},
		{"\x7f"
		 "ELF",
		 PTX_INVALID_PTX, "line 1: expected .version"},
		{".version 10.0\n.target sm_75\n", PTX_UNSUPPORTED_PTX_VERSION, "PTX version 10.0 is newer"},
		{".version 9.0\n.target sm_120\n", PTX_NO_BINARY_FOR_GPU, "target sm_120 is newer"},
		{".version 7.0\n.target sm_75\n.address_size 32\n", PTX_INVALID_PTX,
		 ".address_size 32 is not supported"},
		{HEAD ".texref t;\n", PTX_INVALID_PTX, "line 5: unknown directive '.texref'"},
		{HEAD ".entry k() {\n", PTX_INVALID_PTX, "line 6: expected a name, found the end"},
		{HEAD ".entry k() { /* never ends", PTX_INVALID_PTX, "line 5: expected"},
		{HEAD ".entry k() {\nfrobnicate.u32 a, b;\n}", PTX_INVALID_PTX,
		 "line 6: unknown instruction 'frobnicate.u32'"},
		{HEAD ".entry k() {\nbra L;\n}", PTX_INVALID_PTX, "line 6: unknown label 'L'"},
		{HEAD ".entry k() {\n.reg .b32 a;\n.reg .b32 a;\n}", PTX_INVALID_PTX, "line 7: 'a' is defined twice"},
		{HEAD ".entry k() {}\n.entry k() {}", PTX_INVALID_PTX, "'k' is defined twice"},
		{HEAD ".entry k() {\n.reg .b32 %r<0>;\n}", PTX_INVALID_PTX, "line 6: register range of 0"},
		{HEAD ".entry k() {\n.reg .b32 %r<99999999>;\n}", PTX_INVALID_PTX, "line 6: register range"},
		{HEAD ".entry k() {\n.reg .b32 %r<5>;\nmov.u32 %r5, 1;\n}", PTX_INVALID_PTX,
		 "line 7: unknown name '%r5'"},
		{HEAD ".entry k() {\n.shared .b8 s[49153];\n}", PTX_INVALID_PTX,
		 "line 6: more than 49152 bytes of shared"},
		{HEAD ".entry k() {\n.local .b8 s[1000000];\n}", PTX_INVALID_PTX, "bytes of local memory"},
		{HEAD ".entry k(.param .align 4 .b8 p[4097]) {}\n", PTX_INVALID_PTX,
		 "line 5: more than 4096 bytes of parameters"},
		{HEAD ".global .b8 g[99999999999];\n", PTX_INVALID_PTX, "line 5: variable is too large"},
		{HEAD ".global .u32 g[2][1099511627776];\n", PTX_INVALID_PTX, "line 5: variable is too large"},
		{HEAD ".global .u32 g[2] = {1, 2, 3};\n", PTX_INVALID_PTX, "more initial values"},
		{HEAD ".global .align 3 .u32 g;\n", PTX_INVALID_PTX, "line 5: alignment is no power of two"},
		{HEAD ".extern .global .u32 g;\n", PTX_INVALID_PTX, "unresolved extern variable 'g'"},
		{HEAD ".extern .func f();\n", PTX_INVALID_PTX, "unresolved extern function 'f'"},
		{HEAD ".func f(.param .b32 a);\n.func f(.param .b64 a) {}\n", PTX_INVALID_PTX,
		 "'f' was declared differently"},
		{HEAD ".extern .func (.param .b32 r) malloc(.param .b64 n);\n", PTX_INVALID_PTX,
		 "unresolved extern function 'malloc'"},
		{HEAD ".global .u32 g = 0x123456789abcdef01;\n", PTX_INVALID_PTX, "line 5: "},
		{HEAD ".entry k() { \"unterminated\n }", PTX_INVALID_PTX, "line 5: "},
	};
	struct ptx_log log;

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		ck_assert_int_eq(parse(bad[i].text, strlen(bad[i].text), &log), bad[i].status);
		ck_assert_msg(strstr(log.text, bad[i].says), "\"%s\" instead of \"%s\"", log.text, bad[i].says);
	}
	ck_assert_int_eq(ptx_parse("", 0, &(struct ptx_program *){NULL}, NULL), PTX_INVALID_PTX);
}
END_TEST

START_TEST(nesting_is_bounded)
{
	_cleanup_free_ char *text = calloc(1, 300000);
	struct ptx_log log;
	size_t used;

	ck_assert_ptr_nonnull(text);
	(void)stpcpy(text, HEAD ".entry k() {");
	used = strlen(text);
	memset(text + used, '{', 200000);
	ck_assert_int_eq(parse(text, strlen(text), &log), PTX_INVALID_PTX);
	ck_assert_ptr_nonnull(strstr(log.text, "nested too deep"));
	memset(text + used, '{', 60);
	memset(text + used + 60, '}', 61);
	text[used + 121] = '\0';
	ck_assert_int_eq(parse(text, strlen(text), &log), PTX_OK);
}
END_TEST

START_TEST(kernels_and_parameters_are_listed)
{
	static const char text[] =
		HEAD ".visible .entry one(.param .u8 a, .param .u64 .ptr .global .align 16 b, .param .f32 c)\n"
		     ".maxntid 64, 2, 1\n.minnctapersm 2\n{ .shared .align 4 .b8 s[100]; ret; }\n"
		     ".entry two(.param .align 16 .b8 s[20], .param .u16 t) { .local .align 8 .b8 l[24]; ret; }\n"
		     ".entry three { ret; }\n.section .debug_str { L: .b8 1, 2\n.b32 L }\n\0\0";
	struct ptx_program *program = NULL;
	const struct ptx_kernel *kernel;

	ck_assert_int_eq(ptx_parse(text, sizeof(text), &program, NULL), PTX_OK);
	ck_assert_uint_eq(ptx_program_kernel_count(program), 3);
	ck_assert_uint_eq(ptx_program_version(program), 70);
	ck_assert_uint_eq(ptx_program_target(program), 75);
	kernel = ptx_program_find_kernel(program, "one");
	ck_assert_ptr_eq(kernel, ptx_program_kernel(program, 0));
	ck_assert_uint_eq(kernel->param_count, 3);
	ck_assert_uint_eq(kernel->param_bytes, 20);
	ck_assert_uint_eq(kernel->params[1].offset, 8);
	ck_assert_uint_eq(kernel->params[2].offset, 16);
	ck_assert_uint_eq(kernel->params[2].size, 4);
	ck_assert_str_eq(kernel->params[2].name, "c");
	ck_assert_uint_eq(kernel->shared_bytes, 100);
	ck_assert_uint_eq(kernel->threads_max, 128);
	kernel = ptx_program_find_kernel(program, "two");
	ck_assert_uint_eq(kernel->params[0].align, 16);
	ck_assert_uint_eq(kernel->params[1].offset, 20);
	ck_assert_uint_eq(kernel->param_bytes, 22);
	ck_assert_uint_eq(kernel->local_bytes, 32);
	ck_assert_uint_eq(ptx_program_find_kernel(program, "three")->param_count, 0);
	ck_assert_ptr_null(ptx_program_find_kernel(program, "four"));
	ck_assert_ptr_null(ptx_program_kernel(program, 3));
	ptx_program_free(program);
}
END_TEST

/* --- failing launches -----------------------------------------------------------------------------------------------
 */

START_TEST(failures_have_their_numbers)
{
	static const struct {
		const char *text;
		enum ptx_status status;
		const char *says;
	} kernels[] = {
		{KERNEL("mov.u64 %rd2, 16;\nld.global.u32 %r2, [%rd2];"), PTX_ILLEGAL_ADDRESS,
		 "line 10: 4 bytes at global address 0x10"},
		{KERNEL("st.global.u32 [%rd1+252], %r1;\nst.global.u32 [%rd1+256], %r1;"), PTX_ILLEGAL_ADDRESS,
		 "line 10: "},
		{KERNEL("ld.u32 %r2, [%rd1+-4];"), PTX_ILLEGAL_ADDRESS, "generic address"},
		{KERNEL("ld.global.v4.u32 {%r2, %r3, %r4, %r5}, [%rd1+232];"), PTX_MISALIGNED_ADDRESS, "16 bytes"},
		{KERNEL("ld.global.v2.u64 {%rd2, %rd3}, [%rd1+256];"), PTX_ILLEGAL_ADDRESS, "16 bytes"},
		{KERNEL("ld.global.u32 %r2, [%rd1+2];"), PTX_MISALIGNED_ADDRESS, "misaligned"},
		{KERNEL(".shared .b8 s[16];\nmov.u32 %r2, s; add.u32 %r2, %r2, 1000000;\nld.shared.u32 %r3, [%r2];"),
		 PTX_ILLEGAL_ADDRESS, "line 11: 4 bytes at shared address"},
		{KERNEL("mov.u32 %r2, -4;\nld.shared.u32 %r3, [%r2];"), PTX_ILLEGAL_ADDRESS, "shared address"},
		{KERNEL(".local .b8 l[64];\nst.local.u32 [l+64], %r1;"), PTX_ILLEGAL_ADDRESS, "local address"},
		{KERNEL("mov.u64 %rd2, 0xffffffffffffffff;\nst.local.u8 [%rd2], %r1;"), PTX_ILLEGAL_ADDRESS,
		 "local address"},
		{KERNEL("mov.u64 %rd2, data; ld.param.u64 %rd3, [%rd2+8];"), PTX_ILLEGAL_ADDRESS, "param address"},
		{KERNEL("atom.global.add.u64 %rd2, [%rd1+252], 1;"), PTX_ILLEGAL_ADDRESS, "8 bytes"},
		{KERNEL("atom.global.add.u64 %rd2, [%rd1+4], 1;"), PTX_MISALIGNED_ADDRESS, "8 bytes"},
		{KERNEL("setp.eq.u32 %p1, %r1, 33; @%p1 trap;"), PTX_ILLEGAL_INSTRUCTION,
		 "thread (33,0,0), line 9: trap"},
		{KERNEL("setp.eq.u32 %p1, %r1, 33;\n@%p1 bar.sync 0;\n@!%p1 bar.sync 1;"), PTX_LAUNCH_FAILED,
		 "waits at a barrier"},
		{KERNEL("bar.sync %r1;"), PTX_ILLEGAL_INSTRUCTION, "barrier"},
		{KERNEL("P: .callprototype _ ();\nmov.u64 %rd2, 77;\ncall %rd2, (), P;"), PTX_INVALID_PC,
		 "call of 0x4d"},
	};
	uint8_t data[256];

	for (size_t i = 0; i < ARRAY_LEN(kernels); i++) {
		memset(data, 0, sizeof(data));
		ck_assert_msg(run(kernels[i].text, 2, 64, data, sizeof(data)) == kernels[i].status, "%s\n%d %s",
			      kernels[i].text, engine.status, engine.log.text);
		ck_assert_msg(strstr(engine.log.text, kernels[i].says), "\"%s\" instead of \"%s\"", engine.log.text,
			      kernels[i].says);
		/* The device goes on. */
		ck_assert_int_eq(run(KERNEL("st.global.u32 [%rd1], 5;"), 1, 1, data, sizeof(data)), PTX_OK);
		ck_assert_int_eq(data[0], 5);
	}
}
END_TEST

START_TEST(bad_launches_do_not_start)
{
	static const char text[] = HEAD ".entry k(.param .u64 a) .maxntid 128, 1, 1 { .shared .b8 s[1000]; ret; }";
	const struct ptx_kernel *kernel;
	struct ptx_launch good = {.grid = {1, 1, 1}, .block = {32, 1, 1}, .params = &(uint64_t){0}, .param_bytes = 8},
			  bad;

	ck_assert(backend->load(backend, text, strlen(text)));
	kernel = ptx_program_kernel(engine.program, 0);
	ck_assert_int_eq(ptx_launch(engine.module, kernel, &good, NULL, NULL), PTX_OK);
#define TRY(expected, change) \
	bad = good; \
	bad.change; \
	ck_assert_int_eq(ptx_launch(engine.module, kernel, &bad, NULL, NULL), expected)
	TRY(PTX_INVALID_VALUE, grid[0] = 0);
	TRY(PTX_INVALID_VALUE, grid[1] = 65536);
	TRY(PTX_INVALID_VALUE, block[2] = 0);
	TRY(PTX_INVALID_VALUE, block[2] = 65);
	TRY(PTX_INVALID_VALUE, block[0] = 1025);
	TRY(PTX_LAUNCH_OUT_OF_RESOURCES, block[0] = 129);
	TRY(PTX_INVALID_VALUE, shared_bytes = 65536);
	TRY(PTX_OK, shared_bytes = 64536);
	TRY(PTX_INVALID_VALUE, param_bytes = 7);
	TRY(PTX_INVALID_VALUE, params = NULL);
#undef TRY
}
END_TEST

/* --- less usual code ------------------------------------------------------------------------------------------------
 */

START_TEST(blocks_have_registers_and_labels_of_their_own)
{
	uint32_t out[32] = {0};

	ck_assert_int_eq(
		run(KERNEL("mov.u32 %r2, 0; mul.wide.u32 %rd2, %r1, 4; add.u64 %rd2, %rd2, %rd1;\n"
			   "L: { .reg .pred p; .reg .b32 %r2; mov.u32 %r2, 3;\n"
			   "L: add.u32 %r1, %r1, 1; sub.u32 %r2, %r2, 1; setp.ne.u32 p, %r2, 0; @p bra L; bra END; }\n"
			   "END: add.u32 %r2, %r2, %r1; st.global.u32 [%rd2], %r2;"),
		    1, 32, out, sizeof(out)),
		PTX_OK);
	for (uint32_t i = 0; i < 32; i++)
		ck_assert_uint_eq(out[i], i + 3);
}
END_TEST

START_TEST(functions_take_registers)
{
	uint32_t out[32] = {0};

	ck_assert_int_eq(run(HEAD ".func (.reg .b32 sum, .reg .b64 product) both(.reg .b32 a, .reg .b32 b)\n"
				  "{ add.u32 sum, a, b; mul.wide.u32 product, a, b; ret; }\n"
				  ".entry k(.param .u64 data) { .reg .b32 %r<9>; .reg .b64 %rd<9>;\n"
				  "ld.param.u64 %rd1, [data]; mov.u32 %r1, %tid.x; mad.wide.u32 %rd2, %r1, 4, %rd1;\n"
				  "call (%r2, %rd3), both, (%r1, 7); cvt.u32.u64 %r3, %rd3; add.u32 %r2, %r2, %r3;\n"
				  "st.global.u32 [%rd2], %r2; }",
			     1, 32, out, sizeof(out)),
			 PTX_OK);
	for (uint32_t i = 0; i < 32; i++)
		ck_assert_uint_eq(out[i], i + 7 + 7 * i);
}
END_TEST

START_TEST(some_warps_may_meet_at_numbered_barriers)
{
	uint32_t out[128] = {0};

	/* Threads 64..127 produce and arrive; 0..63 wait for all 128 and consume. */
	ck_assert_int_eq(run(KERNEL(".shared .b32 s[64]; mul.wide.u32 %rd2, %r1, 4; add.u64 %rd2, %rd2, %rd1;\n"
				    "mov.u32 %r2, s; and.b32 %r3, %r1, 63; mad.lo.u32 %r2, %r3, 4, %r2; setp.lt.u32 "
				    "%p1, %r1, 64;\n"
				    "@%p1 bra CONSUME; mul.lo.u32 %r4, %r3, 3; st.shared.u32 [%r2], %r4; bar.arrive 3, "
				    "128; ret;\n"
				    "CONSUME: bar.sync 3, 128; ld.shared.u32 %r4, [%r2]; st.global.u32 [%rd2], %r4;"),
			     1, 128, out, sizeof(out)),
			 PTX_OK);
	for (uint32_t i = 0; i < 128; i++)
		ck_assert_uint_eq(out[i], i < 64 ? 3 * i : 0);
}
END_TEST

START_TEST(generic_addresses_reach_every_space)
{
	uint32_t out[64] = {0};

	ck_assert_int_eq(run(KERNEL(".shared .b32 s[64]; .local .b32 l[2]; mul.wide.u32 %rd2, %r1, 4; add.u64 %rd2, "
				    "%rd2, %rd1;\n"
				    "mov.u64 %rd3, s; cvta.shared.u64 %rd3, %rd3; mad.wide.u32 %rd3, %r1, 4, %rd3; "
				    "st.u32 [%rd3], %r1;\n"
				    "mov.u64 %rd4, l; cvta.local.u64 %rd4, %rd4; st.u32 [%rd4+4], %r1; ld.local.u32 "
				    "%r2, [l+4];\n"
				    "ld.u32 %r3, [%rd3]; add.u32 %r2, %r2, %r3; cvta.to.shared.u64 %rd5, %rd3; "
				    "ld.shared.u32 %r3, [%rd5];\n"
				    "add.u32 %r2, %r2, %r3; isspacep.shared %p1, %rd3; isspacep.local %p2, %rd4; "
				    "isspacep.global %p3, %rd1;\n"
				    "and.pred %p1, %p1, %p2; and.pred %p1, %p1, %p3; selp.u32 %r3, 1000, 0, %p1; "
				    "add.u32 %r2, %r2, %r3;\n"
				    "st.u32 [%rd2], %r2;"),
			     1, 64, out, sizeof(out)),
			 PTX_OK);
	for (uint32_t i = 0; i < 64; i++)
		ck_assert_uint_eq(out[i], 3 * i + 1000);
}
END_TEST

/* --- memory ---------------------------------------------------------------------------------------------------------
 */

START_TEST(memory_has_a_quota)
{
	uint64_t free_bytes = 0, total = 0, a, b;
	struct device_range range;

	device_memory_info(engine.memory, &free_bytes, &total);
	ck_assert_uint_eq(total, 4 * MIB);
	ck_assert_uint_eq(free_bytes, 4 * MIB);
	a = device_memory_alloc(engine.memory, 3 * MIB, 1);
	ck_assert(a != 0);
	ck_assert_uint_eq(device_memory_alloc(engine.memory, MIB + 1, 1), 0);
	b = device_memory_alloc(engine.memory, MIB, 1);
	ck_assert(b != 0);
	device_memory_info(engine.memory, &free_bytes, &total);
	ck_assert_uint_eq(free_bytes, 0);
	ck_assert_uint_eq(device_memory_alloc(engine.memory, 1, 1), 0);
	ck_assert_uint_eq(device_memory_alloc(engine.memory, 0, 1), 0);
	((uint8_t *)a)[100] = 7;
	ck_assert(device_memory_find(engine.memory, a + 100, &range) && range.base == a && range.size == 3 * MIB);
	ck_assert(device_memory_check(engine.memory, a, 3 * MIB) &&
		  !device_memory_check(engine.memory, a, 3 * MIB + 1));
	ck_assert(!device_memory_check(engine.memory, a + 3 * MIB - 1, 2) && device_memory_check(engine.memory, 0, 0));
	ck_assert(!device_memory_release(engine.memory, a + 1) && device_memory_release(engine.memory, a));
	ck_assert(!device_memory_release(engine.memory, a) && !device_memory_check(engine.memory, a, 1));
	a = device_memory_alloc(engine.memory, 5000, 1);
	ck_assert_msg(((uint8_t *)a)[100] == 0, "freed memory came back with its contents");
	ck_assert_uint_eq(device_memory_alloc(engine.memory, 4096, 2 * MIB) % (2 * MIB), 0);
	ck_assert_uint_eq(device_memory_alloc(engine.memory, 4096, 3), 0);
}
END_TEST

START_TEST(memory_is_first_fit_and_bounded)
{
	uint64_t blocks[64], hole;

	for (unsigned i = 0; i < 64; i++)
		blocks[i] = device_memory_alloc(engine.memory, 4096, 1);
	for (unsigned i = 0; i < 64; i += 2)
		ck_assert(device_memory_release(engine.memory, blocks[i]));
	hole = device_memory_alloc(engine.memory, 8192, 1);
	ck_assert_uint_gt(hole, blocks[63]);
	ck_assert_uint_eq(device_memory_alloc(engine.memory, 4000, 1), blocks[0]);
}
END_TEST

START_TEST(host_memory_can_be_shown_to_kernels)
{
	static uint32_t host[16];
	uint64_t address = (uint64_t)host, free_bytes = 0, total = 0;
	struct kernel_arg arg = {&address, sizeof(address)};
	static const char text[] = KERNEL("mad.wide.u32 %rd1, %r1, 4, %rd1; st.global.u32 [%rd1], %r1;");

	ck_assert(backend->load(backend, text, strlen(text)));
	ck_assert(!backend->launch(backend, "k", (unsigned[]){1, 1, 1}, (unsigned[]){16, 1, 1}, 0, &arg, 1));
	ck_assert_int_eq(engine.status, PTX_ILLEGAL_ADDRESS);
	ck_assert(device_memory_add_host(engine.memory, host, sizeof(host)));
	ck_assert(!device_memory_add_host(engine.memory, host + 4, 4));
	ck_assert(!device_memory_release(engine.memory, address));
	device_memory_info(engine.memory, &free_bytes, &total);
	ck_assert_uint_eq(free_bytes, total);
	ck_assert(backend->launch(backend, "k", (unsigned[]){1, 1, 1}, (unsigned[]){16, 1, 1}, 0, &arg, 1));
	ck_assert_uint_eq(host[15], 15);
	ck_assert(device_memory_remove_host(engine.memory, host) && !device_memory_remove_host(engine.memory, host));
	ck_assert(!backend->launch(backend, "k", (unsigned[]){1, 1, 1}, (unsigned[]){16, 1, 1}, 0, &arg, 1));
}
END_TEST

START_TEST(modules_count_against_the_quota)
{
	static const char text[] = HEAD ".global .b8 big[5000000];\n.entry k() { ret; }";
	uint64_t free_bytes = 0, total = 0;

	ck_assert(!backend->load(backend, text, strlen(text)));
	ck_assert_int_eq(engine.status, PTX_OUT_OF_MEMORY);
	device_memory_info(engine.memory, &free_bytes, &total);
	ck_assert_uint_eq(free_bytes, total);
}
END_TEST

START_TEST(heaps_reuse_and_join)
{
	struct heap *heap = heap_new(0x10000, 4096);
	uint64_t blocks[128], count = 0, big;

	while (count < 128 && (blocks[count] = heap_alloc(heap, 33)))
		count++;
	ck_assert_uint_eq(count, 64);
	ck_assert(!heap_release(heap, blocks[3] + 32) && !heap_release(heap, 5) && !heap_release(heap, 0x10000 + 4096));
	for (uint64_t i = 0; i < count; i++)
		ck_assert(heap_release(heap, blocks[i * 37 % 64]));
	ck_assert(!heap_release(heap, blocks[0]));
	big = heap_alloc(heap, 4096);
	ck_assert_uint_eq(big, 0x10000);
	ck_assert_uint_eq(heap_alloc(heap, 1), 0);
	ck_assert(heap_release(heap, big));
	ck_assert_uint_eq(heap_alloc(heap, 0), 0);
	ck_assert_uint_eq(heap_alloc(heap, UINT64_MAX), 0);
	heap_free(heap);
	ck_assert_ptr_null(heap_new(0x10000, 1));
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("engine");
	TCase *tests = tcase_create("engine");

	tcase_set_timeout(tests, 120);
	tcase_add_checked_fixture(tests, start, stop);
	tcase_add_test(tests, bad_texts_are_refused_with_a_line);
	tcase_add_test(tests, nesting_is_bounded);
	tcase_add_test(tests, kernels_and_parameters_are_listed);
	tcase_add_test(tests, failures_have_their_numbers);
	tcase_add_test(tests, bad_launches_do_not_start);
	tcase_add_test(tests, blocks_have_registers_and_labels_of_their_own);
	tcase_add_test(tests, functions_take_registers);
	tcase_add_test(tests, some_warps_may_meet_at_numbered_barriers);
	tcase_add_test(tests, generic_addresses_reach_every_space);
	tcase_add_test(tests, memory_has_a_quota);
	tcase_add_test(tests, memory_is_first_fit_and_bounded);
	tcase_add_test(tests, host_memory_can_be_shown_to_kernels);
	tcase_add_test(tests, modules_count_against_the_quota);
	tcase_add_test(tests, heaps_reuse_and_join);
	suite_add_tcase(suite, tests);
	return suite;
}
