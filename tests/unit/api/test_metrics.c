#include "api/metrics.h"

#include "supervisor/util.h"

#include <string.h>

#include "tests/unit/main.h"

static struct err err;

static struct function *function_of(const char *app)
{
	char app_document[128], route[256];
	struct function *function;

	(void)snprintf(app_document, sizeof(app_document), "{\"name\":\"%s\"}", app);
	(void)snprintf(route, sizeof(route), "{\"app_name\":\"%s\",\"path\":\"/p\",\"image\":\"i\"}", app);
	ck_assert_int_eq(function_make(app_document, route, &function, &err), 0);
	return function;
}

static void count(struct metrics *metrics, const char *app, enum record_outcome outcome, int start, int64_t us)
{
	struct function *function = function_of(app);
	struct record *record = record_new(function, "id");

	record->outcome = outcome;
	record->start = start;
	record->queue_us = record->start_us = record->run_us = us;
	record->bytes_in = 2;
	record->bytes_out = 3;
	metrics_count(metrics, record);
	record_free(record);
	function_unref(function);
}

static bool has_line(const struct text *text, const char *line)
{
	const char *at = strstr(text->data, line);

	return at && (at == text->data || at[-1] == '\n') && at[strlen(line)] == '\n';
}

#define expect(text, line) ck_assert_msg(has_line(text, line), "no line %s in\n%s", line, (text)->data)

START_TEST(the_loops_are_added_up)
{
	static struct metrics loops[2];
	const struct metrics *list[] = {&loops[0], &loops[1]};
	struct text text = {0};

	count(&loops[0], "one", RECORD_SUCCESS, RECORD_START_HOT, 100);
	count(&loops[1], "one", RECORD_SUCCESS, RECORD_START_HOT, 101);
	count(&loops[1], "one", RECORD_TIMEOUT, RECORD_START_COLD, 61000000);
	count(&loops[0], "two", RECORD_REFUSED, RECORD_UNKNOWN, RECORD_UNKNOWN);
	metrics_write(list, 2, &text);
	expect(&text, "ferrite_calls_total{app=\"one\",outcome=\"success\"} 2");
	expect(&text, "ferrite_calls_total{app=\"one\",outcome=\"timeout\"} 1");
	expect(&text, "ferrite_calls_total{app=\"two\",outcome=\"success\"} 0");
	expect(&text, "ferrite_calls_total{app=\"two\",outcome=\"refused\"} 1");
	expect(&text, "ferrite_calls_total{app=\"_other\",outcome=\"success\"} 0");
	ck_assert_ptr_null(strstr(text.data, "outcome=\"oom\""));
	expect(&text, "ferrite_call_input_bytes_total 8");
	expect(&text, "ferrite_call_output_bytes_total 12");
	/* A bound belongs to its bucket; what is longer than all of them is in the last one only. */
	expect(&text, "ferrite_call_run_seconds_bucket{le=\"0.0001\"} 1");
	expect(&text, "ferrite_call_run_seconds_bucket{le=\"0.00025\"} 2");
	expect(&text, "ferrite_call_run_seconds_bucket{le=\"60\"} 2");
	expect(&text, "ferrite_call_run_seconds_bucket{le=\"+Inf\"} 3");
	expect(&text, "ferrite_call_run_seconds_sum 61.000201");
	expect(&text, "ferrite_call_run_seconds_count 3");
	expect(&text, "ferrite_call_start_seconds_bucket{kind=\"hot\",le=\"+Inf\"} 2");
	expect(&text, "ferrite_call_start_seconds_sum{kind=\"cold\"} 61.000000");
	expect(&text, "ferrite_call_start_seconds_count{kind=\"warm\"} 0");
	text_done(&text);
}
END_TEST

START_TEST(the_number_of_labels_is_bounded)
{
	static struct metrics metrics;
	const struct metrics *list[] = {&metrics};
	struct text text = {0};
	unsigned lines = 0;

	for (unsigned i = 0; i < 3 * METRICS_APPS_MAX; i++) {
		char app[32];

		(void)snprintf(app, sizeof(app), "app-%u", i);
		count(&metrics, app, RECORD_ERROR, RECORD_UNKNOWN, RECORD_UNKNOWN);
	}
	/* An app of that name is one of the others. */
	count(&metrics, "_other", RECORD_ERROR, RECORD_UNKNOWN, RECORD_UNKNOWN);
	metrics_write(list, 1, &text);
	for (const char *at = text.data; (at = strstr(at, "ferrite_calls_total{")) != NULL; at++)
		lines++;
	ck_assert_uint_eq(lines, 2 * (METRICS_APPS_MAX + 1));
	expect(&text, "ferrite_calls_total{app=\"app-0\",outcome=\"error\"} 1");
	expect(&text, "ferrite_calls_total{app=\"_other\",outcome=\"error\"} 201");
	text_done(&text);
}
END_TEST

START_TEST(labels_are_escaped)
{
	struct text text = {0};

	metrics_label(&text, "a\"b\\c\nd");
	ck_assert_str_eq(text.data, "\"a\\\"b\\\\c\\nd\"");
	text_done(&text);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("metrics");
	TCase *all = tcase_create("all");

	tcase_add_test(all, the_loops_are_added_up);
	tcase_add_test(all, the_number_of_labels_is_bounded);
	tcase_add_test(all, labels_are_escaped);
	suite_add_tcase(suite, all);
	return suite;
}
