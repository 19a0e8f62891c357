#include "api/answer.h"

#include "supervisor/util.h"

#include <string.h>

#include "tests/unit/main.h"

static struct evbuffer *body;
static struct answer answer;
static struct err err;
static size_t used;

static void open_answer(void)
{
	body = evbuffer_new();
	ck_assert_ptr_nonnull(body);
	answer_open(&answer, body, 64);
	err = ERR_INIT;
}

static void close_answer(void)
{
	answer_done(&answer);
	evbuffer_free(body);
}

/* Byte by byte: where a part ends must not matter. */
static int feed(const char *text)
{
	int r = 0;

	for (; *text && r == 0; text++)
		r = answer_feed(&answer, text, 1, &used, &err);
	return r;
}

START_TEST(an_answer_is_read)
{
	ck_assert_int_eq(
		feed("HTTP/1.1 100 Continue\r\nX-No: 1\r\n\r\nHTTP/1.1 404 Not Found\r\nContent-Type: text/x\r\n"
		     "Ferrite-Gpu-Us: 1234\r\nX-A: b\r\nX-Empty:\r\nContent-Length: 5\r\n\r\nhello"),
		1);
	ck_assert_uint_eq(answer.status, 404);
	ck_assert_uint_eq(evbuffer_get_length(body), 5);
	ck_assert(answer.has_gpu_us);
	ck_assert_uint_eq(answer.gpu_us, 1234);
	ck_assert_uint_eq(answer.n_headers, 4);
	for (unsigned i = 0; i < answer.n_headers; i++)
		ck_assert_str_ne(answer_header_name(&answer, i), "Ferrite-Gpu-Us");
	ck_assert_str_eq(answer_header_name(&answer, 0), "Content-Type");
	ck_assert_str_eq(answer_header_value(&answer, 0), "text/x");
	ck_assert_int_eq(answer_feed(&answer, "HTTP/1.1 200 OK\r\n", 17, &used, &err), 1);
	ck_assert_uint_eq(answer.status, 404);
}
END_TEST

START_TEST(chunks_and_the_end_of_output_end_an_answer)
{
	ck_assert_int_eq(
		feed("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX-Trailer: 1\r\n\r\n"), 1);
	ck_assert_uint_eq(evbuffer_get_length(body), 3);
	answer_done(&answer);
	answer_open(&answer, body, 64);
	ck_assert_int_eq(feed("HTTP/1.0 200 OK\r\n\r\nuntil the end"), 0);
	ck_assert_int_eq(answer_end(&answer, &err), 1);
}
END_TEST

START_TEST(what_is_no_answer_is_refused)
{
	ck_assert_int_eq(feed("hello world\n"), -EPROTO);
	ck_assert_ptr_nonnull(strstr(err.text, "no HTTP answer"));
	ck_assert_int_eq(answer_feed(&answer, "HTTP/1.1 200 OK\r\n\r\n", 19, &used, &err), -EPROTO);
}
END_TEST

START_TEST(a_broken_off_answer_is_refused)
{
	ck_assert_int_eq(feed("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc"), 0);
	ck_assert_int_eq(answer_end(&answer, &err), -EPROTO);
	answer_done(&answer);
	answer_open(&answer, body, 64);
	ck_assert_int_eq(answer_end(&answer, &err), -EPROTO);
	ck_assert_ptr_nonnull(strstr(err.text, "ended before"));
}
END_TEST

START_TEST(sizes_are_bounded)
{
	char line[64];
	int r = 0;

	ck_assert_int_eq(feed("HTTP/1.0 200 OK\r\n\r\n"), 0);
	for (int i = 0; i < 7 && r == 0; i++)
		r = feed("0123456789");
	ck_assert_int_eq(r, -EFBIG);
	answer_done(&answer);
	answer_open(&answer, body, 64);
	ck_assert_int_eq(feed("HTTP/1.0 200 OK\r\n"), 0);
	r = 0;
	for (int i = 0; i <= ANSWER_HEADERS_MAX && r == 0; i++) {
		(void)snprintf(line, sizeof(line), "X-%d: y\r\n", i);
		r = feed(line);
	}
	ck_assert_int_eq(r, -EFBIG);
	answer_done(&answer);
	answer_open(&answer, body, 64);
	r = feed("HTTP/1.0 200 OK\r\nX: ");
	for (int i = 0; i < 2 * ANSWER_HEADER_BYTES_MAX && r == 0; i++)
		r = feed("y");
	ck_assert_int_eq(r, -EFBIG);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("answer");
	TCase *all = tcase_create("all");

	tcase_add_checked_fixture(all, open_answer, close_answer);
	tcase_add_test(all, an_answer_is_read);
	tcase_add_test(all, chunks_and_the_end_of_output_end_an_answer);
	tcase_add_test(all, what_is_no_answer_is_refused);
	tcase_add_test(all, a_broken_off_answer_is_refused);
	tcase_add_test(all, sizes_are_bounded);
	suite_add_tcase(suite, all);
	return suite;
}
