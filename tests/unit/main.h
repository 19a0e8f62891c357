/* The main() of a unit test program: runs the suite that make_suite() returns and ends with the line of counts. */
#ifndef FERRITE_TESTS_UNIT_MAIN_H
#define FERRITE_TESTS_UNIT_MAIN_H

#include <check.h>
#include <stdio.h>

static Suite *make_suite(void);

int main(void)
{
	SRunner *runner = srunner_create(make_suite());
	int run, failed;

	srunner_run_all(runner, CK_ENV);
	run = srunner_ntests_run(runner);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	printf("%d passed, %d failed, 0 skipped\n", run - failed, failed);
	return failed == 0 ? 0 : 1;
}

#endif
