/* The test kernels against their references, on the engine itself. (tests/gpu/test_kernels does it through a driver.)
 */
#include "supervisor/util.h"
#include "tests/unit/softdev/engine_backend.h"

#include "tests/unit/main.h"

static struct engine engine;

static void start(void)
{
	engine_start(&engine, 64 * MIB, 0);
}

static void stop(void)
{
	engine_stop(&engine);
}

static void run(const struct kernel_case *test, const char *variant)
{
	uint64_t seed = 0;

	random_bytes(&seed, sizeof(seed));
	ck_assert_msg(kernel_case_run(test, &engine.backend, seed, variant), "%s%s%s, seed 0x%llx: %s", test->name,
		      *variant ? " " : "", variant, (unsigned long long)seed, engine.backend.error);
}

START_TEST(kernel_is_right)
{
	run(&kernel_cases[_i], "");
}
END_TEST

START_TEST(kernel_with_other_options_is_right)
{
	static const char *const variants[] = {"fast", "debug"};
	size_t size = 0;

	for (size_t i = 0; i < ARRAY_LEN(variants); i++)
		if (kernel_ptx(kernel_cases[_i].name, variants[i], &size))
			run(&kernel_cases[_i], variants[i]);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("kernels");
	TCase *tests = tcase_create("kernels");

	tcase_set_timeout(tests, 120);
	tcase_add_checked_fixture(tests, start, stop);
	tcase_add_loop_test(tests, kernel_is_right, 0, (int)kernel_case_count);
	tcase_add_loop_test(tests, kernel_with_other_options_is_right, 0, (int)kernel_case_count);
	suite_add_tcase(suite, tests);
	return suite;
}
