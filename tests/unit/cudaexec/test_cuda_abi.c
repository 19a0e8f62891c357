/* Our declarations of the CUDA driver API have the values, sizes and offsets of NVIDIA's header. */
#include "cuda_api.h"
#include "tests/unit/cudaexec/cuda_abi.h"

#include <check.h>

#define FACT(expression) {#expression, (unsigned long long)(expression)},

const struct abi_fact our_facts[] = {
#include "cuda_abi_facts.h"
};
const size_t our_fact_count = sizeof(our_facts) / sizeof(our_facts[0]);

START_TEST(facts_are_equal)
{
	ck_assert_uint_eq(our_fact_count, toolkit_fact_count);
	for (size_t i = 0; i < our_fact_count; i++)
		ck_assert_msg(our_facts[i].value == toolkit_facts[i].value, "%s is %llu here and %llu in cuda.h",
			      our_facts[i].name, our_facts[i].value, toolkit_facts[i].value);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("cuda_abi");
	TCase *tcase = tcase_create("header");

	tcase_add_test(tcase, facts_are_equal);
	suite_add_tcase(suite, tcase);
	return suite;
}

#include "tests/unit/main.h"
