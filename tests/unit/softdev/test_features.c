/* What kernels do beyond arithmetic (features.cu), and how launches fail. */
#include "supervisor/util.h"
#include "tests/unit/softdev/engine_backend.h"

#include <math.h>
#include <string.h>

#include "tests/unit/main.h"

__asm__(".section .rodata\n"
	"ptx_features: .incbin \"tests/gpu/kernels/features.ptx\"\n"
	"ptx_features_end: .byte 0\n"
	".previous\n");
extern const char ptx_features[], ptx_features_end[];

static struct engine engine;
static struct backend *const backend = &engine.backend;

static void start(void)
{
	engine_start(&engine, 64 * MIB, 2);
	ck_assert_msg(backend->load(backend, ptx_features, (size_t)(ptx_features_end - ptx_features)), "%s",
		      backend->error);
}

static void stop(void)
{
	engine_stop(&engine);
}

/* Allocates SIZE bytes on the device with a copy of DATA (or zeros). */
static uint64_t on_device(const void *data, size_t size)
{
	uint64_t address = backend->alloc(backend, size);

	ck_assert(address != 0);
	if (data)
		ck_assert(backend->put(backend, address, data, size));
	return address;
}

static void fetch(void *to, uint64_t from, size_t size)
{
	ck_assert(backend->get(backend, to, from, size));
}

#define LAUNCH(kernel, blocks, threads, ...) CASE_LAUNCH(backend, kernel, blocks, 1, threads, 1, 0, __VA_ARGS__)
#define RUN(...)			     ck_assert_msg(LAUNCH(__VA_ARGS__), "%s", backend->error)
#define FAILS(expected, ...) \
	do { \
		ck_assert(!LAUNCH(__VA_ARGS__)); \
		ck_assert_msg(engine.status == (expected), "%d: %s", engine.status, engine.log.text); \
	} while (0)

START_TEST(printf_writes_formatted_lines)
{
	uint64_t word = on_device("word", 5);
	_cleanup_free_ char *text = NULL;
	size_t length = 0;
	int n = 2;

	RUN("say", 1, 32, ARG(n), ARG(word));
	text = ptx_device_take_output(engine.device, &length);
	ck_assert_str_eq(text, "block 0 thread 0:  0.00 word 10000000000 A % ffffffff\n"
			       "block 0 thread 1:  0.50 word 10000000000 B % ffffffff\n");
	ck_assert_uint_eq(length, strlen(text));
	ck_assert_ptr_null(ptx_device_take_output(engine.device, &length));
}
END_TEST

START_TEST(printf_of_bad_memory_is_an_illegal_address)
{
	uint64_t word = 0x1000;
	int n = 1;

	FAILS(PTX_ILLEGAL_ADDRESS, "say", 1, 1, ARG(n), ARG(word));
}
END_TEST

START_TEST(output_is_bounded)
{
	uint64_t word = on_device("word", 5);
	_cleanup_free_ char *text = NULL;
	size_t length = 0;
	int n = 1024;

	RUN("say", 100, 1024, ARG(n), ARG(word));
	text = ptx_device_take_output(engine.device, &length);
	ck_assert_uint_le(length, PTX_PRINTF_BYTES);
	ck_assert_uint_gt(length, PTX_PRINTF_BYTES - 200);
	ck_assert_int_eq(text[length - 1], '\n');
}
END_TEST

START_TEST(assertions_fail_with_their_text)
{
	int values[64];
	_cleanup_free_ char *text = NULL;
	size_t length = 0;
	uint64_t in;

	for (int i = 0; i < 64; i++)
		values[i] = i == 37 ? 0 : 1;
	in = on_device(values, sizeof(values));
	FAILS(PTX_ASSERT, "check_positive", 1, 64, ARG(in));
	text = ptx_device_take_output(engine.device, &length);
	ck_assert_ptr_nonnull(strstr(text, "features.cu:"));
	ck_assert_ptr_nonnull(
		strstr(text, "block: [0,0,0], thread: [37,0,0] Assertion `in[threadIdx.x] > 0` failed.\n"));
	ck_assert_ptr_nonnull(strstr(engine.log.text, "thread (37,0,0)"));
}
END_TEST

START_TEST(malloc_gives_and_takes)
{
	int out[1024], length = 20;
	uint64_t memory = on_device(NULL, sizeof(out));

	for (int round = 0; round < 3; round++) {
		RUN("lists", 8, 128, ARG(memory), ARG(length));
		fetch(out, memory, sizeof(out));
		for (int i = 0; i < 1024; i++)
			ck_assert_int_eq(out[i], 20 * 19 / 2 + 20 * (i % 128));
	}
	/* Nothing is left when the heap is empty, and the kernel hears of it. */
	length = 1000000;
	RUN("lists", 1, 1, ARG(memory), ARG(length));
	fetch(out, memory, sizeof(out));
	ck_assert_int_lt(out[0], 0);
	ck_assert_int_eq(ptx_device_set_heap(engine.device, 1234567), PTX_INVALID_VALUE);
	ck_assert_uint_eq(ptx_device_heap(engine.device), PTX_HEAP_DEFAULT);
}
END_TEST

START_TEST(barriers_reduce)
{
	int in[100], out[300], count = 0;
	uint64_t a, b = on_device(NULL, sizeof(out));

	for (int i = 0; i < 100; i++)
		count += (in[i] = i % 3 != 0);
	a = on_device(in, sizeof(in));
	RUN("block_votes", 1, 100, ARG(a), ARG(b));
	fetch(out, b, sizeof(out));
	for (int i = 0; i < 100; i++) {
		ck_assert_int_eq(out[3 * i], count);
		ck_assert_int_eq(out[3 * i + 1], 0);
		ck_assert_int_eq(out[3 * i + 2], 1);
	}
}
END_TEST

START_TEST(lanes_diverge_and_meet)
{
	int out[96], n = 96, cells[96];
	uint64_t memory = on_device(NULL, sizeof(out));

	RUN("diverge", 1, 96, ARG(memory), ARG(n));
	fetch(out, memory, sizeof(out));
	for (int t = 0; t < 96; t++)
		cells[t] = t * (t % 3 == 0 ? 2 : t % 3 == 1 ? 3 : 5);
	for (int t = 0; t < 96; t++) {
		int other = (t & ~31) | ((t + 5) & 31), up = t % 16 < 3 ? t : t - 3;

		ck_assert_int_eq(out[t], cells[t ^ 1] + cells[other ^ 1] * 1000 + up * 1000000);
	}
}
END_TEST

START_TEST(lanes_can_fight_for_a_lock)
{
	uint64_t lock = on_device(NULL, 4), sum = on_device(NULL, 4);
	int total = 0;

	RUN("locked", 6, 96, ARG(lock), ARG(sum));
	fetch(&total, sum, sizeof(total));
	ck_assert_int_eq(total, 6 * 96);
}
END_TEST

START_TEST(a_grid_can_wait_for_all_its_blocks)
{
	enum { N = 12 * 64, STEPS = 5 };
	int a[N], b[N], got[N], steps = STEPS;
	uint64_t da, db = on_device(NULL, sizeof(b));

	for (int i = 0; i < N; i++)
		a[i] = i * 7 % 13;
	da = on_device(a, sizeof(a));
	engine.cooperative = true;
	RUN("grid_steps", 12, 64, ARG(da), ARG(db), ARG(steps));
	for (int s = 0; s < STEPS; s++) {
		for (int i = 0; i < N; i++)
			b[i] = a[(i + 1) % N] + a[(i + N - 1) % N];
		memcpy(a, b, sizeof(a));
	}
	fetch(got, STEPS % 2 ? db : da, sizeof(got));
	ck_assert_mem_eq(got, a, sizeof(a));
	FAILS(PTX_COOPERATIVE_LAUNCH_TOO_LARGE, "grid_steps", 1025, 64, ARG(da), ARG(db), ARG(steps));
}
END_TEST

START_TEST(functions_have_addresses)
{
	int which[64], out[64];
	uint64_t a, b = on_device(NULL, sizeof(out));

	for (int i = 0; i < 64; i++)
		which[i] = i * 5 % 3;
	a = on_device(which, sizeof(which));
	RUN("pointers", 1, 64, ARG(a), ARG(b));
	fetch(out, b, sizeof(out));
	for (int i = 0; i < 64; i++)
		ck_assert_int_eq(out[i], 1 + (which[i] == 0 ? 2 * i : which[i] == 1 ? i * i : -i));
}
END_TEST

START_TEST(functions_may_call_themselves)
{
	static const int numbers[] = {0, 1, 1, 2, 3, 5, 8, 13, 21, 34, 55, 89, 144};
	uint64_t out = on_device(NULL, 40 * 4);
	int got[40];

	RUN("recursion", 1, 40, ARG(out));
	fetch(got, out, sizeof(got));
	for (int i = 0; i < 40; i++)
		ck_assert_int_eq(got[i], numbers[i % 13]);
	FAILS(PTX_HARDWARE_STACK_ERROR, "endless_recursion", 1, 32, ARG(out));
	ck_assert_ptr_nonnull(strstr(engine.log.text, "no stack left"));
	RUN("recursion", 1, 40, ARG(out));
}
END_TEST

START_TEST(a_budget_ends_endless_kernels)
{
	uint64_t out = on_device(NULL, 4);

	engine.budget = 100000;
	FAILS(PTX_LAUNCH_TIMEOUT, "endless_loop", 4, 64, ARG(out));
	ck_assert_ptr_nonnull(strstr(engine.log.text, "instruction budget of 100000"));
	engine.budget = 1;
	FAILS(PTX_LAUNCH_TIMEOUT, "endless_loop", 1, 1, ARG(out));
	/* A kernel that needs less runs. */
	engine.budget = 100000;
	out = on_device(NULL, 40 * 4);
	RUN("recursion", 1, 1, ARG(out));
}
END_TEST

START_TEST(atomics_have_types)
{
	struct {
		double d;
		uint16_t h[2];
		uint16_t h2[2];
		uint32_t u[2];
		uint16_t s[2];
		int32_t i;
	} values = {.u = {0, 3}, .s = {7, 7}};
	uint64_t at = on_device(&values, sizeof(values)), d = at, h = at + 8, h2 = at + 12, u = at + 16, s = at + 24,
		 i = at + 28;

	RUN("typed_atomics", 2, 50, ARG(d), ARG(h), ARG(h2), ARG(u), ARG(s), ARG(i));
	fetch(&values, at, sizeof(values));
	ck_assert_double_eq(values.d, 50);
	ck_assert_uint_eq(values.h[0], 0x5640); /* 100 */
	ck_assert_uint_eq(values.h[1], 0);
	ck_assert_uint_eq(values.h2[0], 0x5640); /* 100 */
	ck_assert_uint_eq(values.h2[1], 0x5a40); /* 200 */
	ck_assert_uint_eq(values.u[0], 300);
	ck_assert_uint_eq(values.u[1], (3 + 6 * 100 - 100) % 6);
	ck_assert_uint_eq(values.s[0], 9);
	ck_assert_uint_eq(values.s[1], 7);
	ck_assert_int_eq(values.i, 300);
}
END_TEST

START_TEST(half_floats_compute)
{
	float in[32], out[32];
	uint64_t a, b = on_device(NULL, sizeof(out));
	int n = 32;

	for (int i = 0; i < 32; i++)
		in[i] = (float)i * 0.25f - 4;
	a = on_device(in, sizeof(in));
	RUN("halves", 1, 32, ARG(a), ARG(b), ARG(n));
	fetch(out, b, sizeof(out));
	/* Quarters of this size are exact in every format. */
	for (int i = 0; i < 32; i++)
		ck_assert_float_eq(out[i], in[i] * 1.5f + in[i] + (in[i] * 1.5f + 1) + (in[i] * 1.5f + 2) +
						   (in[i] < 1.5f ? 100.0f : 0.0f) + in[i]);
}
END_TEST

START_TEST(warps_talk)
{
	int in[64];
	uint32_t out[64][8];
	uint64_t a, b = on_device(NULL, sizeof(out));

	for (int i = 0; i < 64; i++)
		in[i] = (i * i) % 17 - 3;
	a = on_device(in, sizeof(in));
	RUN("warp_ops", 1, 64, ARG(a), ARG(b));
	fetch(out, b, sizeof(out));
	for (int i = 0; i < 64; i++) {
		uint32_t same = 0, x = 0, second = UINT32_MAX, bits = (uint32_t)in[i];
		int first = i & ~31, sum = 0, top = in[first], dot = 5;

		for (int j = 0; j < 32; j++) {
			same |= (uint32_t)(in[first + j] == in[i]) << j;
			sum += in[first + j];
			top = MAX(top, in[first + j]);
			x ^= (uint32_t)in[first + j];
		}
		for (int j = 0; j < 4; j++)
			dot += (int8_t)(bits >> (8 * j)) * (4 - j);
		if (bits & (bits - 1))
			second = (uint32_t)__builtin_ctz(bits & (bits - 1));
		ck_assert_uint_eq(out[i][0], same);
		ck_assert_uint_eq(out[i][1], 0); /* all bits set, plus 1 */
		ck_assert_int_eq((int)out[i][2], sum);
		ck_assert_int_eq((int)out[i][3], top);
		ck_assert_uint_eq(out[i][4], x);
		ck_assert(i % 2 == 0 ? out[i][5] == 0 : out[i][5] >> (i & 31) & 1);
		ck_assert_int_eq((int)out[i][6], dot);
		ck_assert_uint_eq(out[i][7], second);
	}
}
END_TEST

START_TEST(variables_have_initial_values)
{
	uint64_t out = on_device(NULL, 8), address = 0, size = 0;
	double got = 0;
	int numbers[4];

	RUN("variables", 1, 1, ARG(out));
	fetch(&got, out, sizeof(got));
	ck_assert_double_eq(got, 3 + 1 * 2.5 + 'e');
	ck_assert(ptx_module_global(engine.module, "numbers", &address, &size));
	ck_assert_uint_eq(size, sizeof(numbers));
	fetch(numbers, address, sizeof(numbers));
	ck_assert_mem_eq(numbers, ((int[]){1, 3, 3, 4}), sizeof(numbers));
	ck_assert(ptx_module_global(engine.module, "factors", &address, &size));
	ck_assert_uint_eq(size, 16);
	ck_assert(!ptx_module_global(engine.module, "nothing", &address, &size));
	/* A second module has variables of its own. */
	ck_assert(backend->load(backend, ptx_features, (size_t)(ptx_features_end - ptx_features)));
	ck_assert(ptx_module_global(engine.module, "numbers", &address, &size));
	fetch(numbers, address, sizeof(numbers));
	ck_assert_int_eq(numbers[1], 2);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("features");
	TCase *tests = tcase_create("features");

	tcase_set_timeout(tests, 120);
	tcase_add_checked_fixture(tests, start, stop);
	tcase_add_test(tests, printf_writes_formatted_lines);
	tcase_add_test(tests, printf_of_bad_memory_is_an_illegal_address);
	tcase_add_test(tests, output_is_bounded);
	tcase_add_test(tests, assertions_fail_with_their_text);
	tcase_add_test(tests, malloc_gives_and_takes);
	tcase_add_test(tests, barriers_reduce);
	tcase_add_test(tests, lanes_diverge_and_meet);
	tcase_add_test(tests, lanes_can_fight_for_a_lock);
	tcase_add_test(tests, a_grid_can_wait_for_all_its_blocks);
	tcase_add_test(tests, functions_have_addresses);
	tcase_add_test(tests, functions_may_call_themselves);
	tcase_add_test(tests, a_budget_ends_endless_kernels);
	tcase_add_test(tests, atomics_have_types);
	tcase_add_test(tests, half_floats_compute);
	tcase_add_test(tests, warps_talk);
	tcase_add_test(tests, variables_have_initial_values);
	suite_add_tcase(suite, tests);
	return suite;
}
