#include "api/loglimit.h"

#include "tests/unit/main.h"

#define START_US 1000000000

static unsigned allowed(struct loglimit *limit, unsigned tries, uint64_t now_us)
{
	unsigned n = 0;

	for (unsigned i = 0; i < tries; i++)
		n += loglimit_allows(limit, now_us);
	return n;
}

START_TEST(a_burst_then_a_trickle)
{
	struct loglimit limit = {0};

	ck_assert_uint_eq(allowed(&limit, LOGLIMIT_BURST + 7, START_US), LOGLIMIT_BURST);
	ck_assert_uint_eq(limit.dropped, 7);
	/* Less than one line's time, again and again, adds up. */
	ck_assert_uint_eq(allowed(&limit, 1, START_US + 1000000 / LOGLIMIT_PER_SEC - 1), 0);
	ck_assert_uint_eq(allowed(&limit, 2, START_US + 1000000 / LOGLIMIT_PER_SEC), 1);
	ck_assert_uint_eq(allowed(&limit, 1000, START_US + 1000000 + 1000000 / LOGLIMIT_PER_SEC), LOGLIMIT_PER_SEC);
	/* A long silence earns one burst, not more. */
	ck_assert_uint_eq(allowed(&limit, 1000, START_US + (uint64_t)86400 * 1000000), LOGLIMIT_BURST);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("loglimit");
	TCase *all = tcase_create("all");

	tcase_add_test(all, a_burst_then_a_trickle);
	suite_add_tcase(suite, all);
	return suite;
}
