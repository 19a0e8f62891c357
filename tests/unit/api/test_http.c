#include "api/http.h"

#include "supervisor/util.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "tests/unit/main.h"

static struct worker worker;
static struct http_shared shared;
static struct http_loop *loop;
static int client_fd;
static unsigned n_gone, n_complete;
static struct http_request *held;
static char received[1 << 20];

static void on_gone(struct http_request *request)
{
	ck_assert_ptr_eq(request, held);
	held = NULL;
	n_gone++;
}

static void reply_with_body(struct http_request *request)
{
	n_complete++;
	http_reply_buffer(request, 200, "text/x", request->body);
}

static bool on_data(struct http_request *request, const void *bytes, size_t length)
{
	(void)bytes;
	if (length > 0)
		http_reply_error(request, 413, "no more");
	return false;
}

/* /echo answers with the body, /hold waits, /stop refuses the first part, everything else is 404 at once. */
static void handle(struct http_request *request)
{
	request->gone = on_gone;
	if (strncmp(request->target, "/echo", 5) == 0) {
		held = request;
		http_collect(request, 0, reply_with_body);
	} else if (strncmp(request->target, "/hold", 5) == 0) {
		held = request;
		request->patient = strcmp(request->target, "/hold/patiently") == 0;
	} else if (strncmp(request->target, "/stop", 5) == 0) {
		held = request;
		http_stream(request, on_data, reply_with_body);
	} else {
		http_reply_header(request, "X-Good", "yes");
		http_reply_header(request, "X-Bad\r\nX-Evil", "no");
		http_reply_header(request, "X-Bad", "no\r\nX-Evil: 1");
		http_reply_header(request, "Content-Length", "1");
		http_reply(request, 404, NULL, "gone", 4);
	}
}

static void open_client(void)
{
	struct err err = ERR_INIT;
	int fds[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds), 0);
	ck_assert_int_eq(http_loop_adopt(loop, fds[0], true, &err), 0);
	client_fd = fds[1];
}

static void open_all(void)
{
	struct err err = ERR_INIT;

	shared = (struct http_shared){.limits = HTTP_LIMITS_DEFAULT, .handler = handle};
	shared.limits.body_bytes = 1000;
	shared.limits.header_bytes = 2000;
	n_gone = n_complete = 0;
	held = NULL;
	(void)signal(SIGPIPE, SIG_IGN);
	ck_assert_int_eq(worker_open(&worker, 0, NULL, &err), 0);
	ck_assert_int_eq(http_loop_open(&worker, &shared, NULL, &loop, &err), 0);
	open_client();
}

static void close_all(void)
{
	fd_close(&client_fd);
	http_loop_close(loop);
	worker_close(&worker);
	ck_assert_uint_eq(atomic_load(&shared.connections), 0);
	ck_assert_uint_eq(atomic_load(&shared.buffered), 0);
}

/* Everything the loop can do without new input. */
static void run(void)
{
	for (int i = 0; i < 20; i++)
		(void)event_base_loop(worker.base, EVLOOP_NONBLOCK);
}

static void send_text(const char *text)
{
	ck_assert_int_eq(fd_write_all(client_fd, text, strlen(text)), 0);
	run();
}

/* What came back so far; "" when nothing, NULL when the connection is closed without anything. */
static const char *take(void)
{
	size_t length = 0;
	ssize_t n = 0;

	while (length < sizeof(received) - 1 &&
	       (n = read(client_fd, received + length, sizeof(received) - 1 - length)) > 0)
		length += (size_t)n;
	received[length] = '\0';
	return length == 0 && n == 0 ? NULL : received;
}

static void expect(const char *start, const char *end)
{
	const char *got = take();

	ck_assert_ptr_nonnull(got);
	ck_assert_msg(strncmp(got, start, strlen(start)) == 0, "%s", got);
	ck_assert_msg(strlen(got) >= strlen(end) && strcmp(got + strlen(got) - strlen(end), end) == 0, "%s", got);
}

START_TEST(bodies_come_whole)
{
	send_text("POST /echo HTTP/1.1\r\nContent-Length: 5\r\n\r\nhe");
	ck_assert_str_eq(take(), "");
	send_text("llo");
	expect("HTTP/1.1 200 OK\r\n", "\r\n\r\nhello");
	send_text("DELETE /echo HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n");
	expect("HTTP/1.1 200 OK\r\n", "\r\n\r\nabc");
	send_text("HEAD /echo HTTP/1.1\r\n\r\n");
	expect("HTTP/1.1 200 OK\r\n", "Content-Length: 0\r\n\r\n");
	ck_assert_uint_eq(n_gone, 0);
}
END_TEST

START_TEST(sec_L3_every_split_of_the_input_gives_the_same_answers)
{
	static const char text[] =
		"POST /echo HTTP/1.1\r\nX: y\r\nContent-Length: 3\r\n\r\nabc"
		"GET /none HTTP/1.1\r\n\r\n"
		"PUT /echo HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\nT: 1\r\n\r\n";
	static char whole[4096];

	send_text(text);
	ck_assert_uint_lt(strlen(take()), sizeof(whole));
	strcpy(whole, received);
	for (size_t split = 1; split < sizeof(text) - 1; split++) {
		ck_assert_int_eq(fd_write_all(client_fd, text, split), 0);
		run();
		ck_assert_int_eq(fd_write_all(client_fd, text + split, sizeof(text) - 1 - split), 0);
		run();
		ck_assert_uint_eq(strlen(take()), strlen(whole));
	}
}
END_TEST

START_TEST(sec_L3_fields_of_the_answer_cannot_break_out)
{
	send_text("GET /none HTTP/1.1\r\n\r\n");
	expect("HTTP/1.1 404 Not Found\r\n", "\r\n\r\ngone");
	ck_assert_ptr_nonnull(strstr(received, "X-Good: yes\r\n"));
	ck_assert_ptr_null(strstr(received, "X-Evil"));
	ck_assert_ptr_nonnull(strstr(received, "Content-Length: 4\r\n"));
}
END_TEST

START_TEST(sec_L3_limits_are_kept)
{
	static const struct {
		const char *text, *status;
	} rows[] = {
		{"POST /echo HTTP/1.1\r\nContent-Length: 1001\r\n\r\n", "HTTP/1.1 413 "},
		{"POST /echo HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n", "HTTP/1.1 400 "},
		{"POST /echo HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "HTTP/1.1 400 "},
		{"POST /stop HTTP/1.1\r\nContent-Length: 1001\r\n\r\nx", "HTTP/1.1 413 "},
		{"NONSENSE\r\n\r\n", "HTTP/1.1 400 "},
		{"GET / HTTP/9.9\r\n\r\n", "HTTP/1.1 505 "},
		{"GET / HTTP/1.1\r\nno colon\r\n\r\n", "HTTP/1.1 400 "},
		{"GET / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", "HTTP/1.1 400 "},
	};

	static const char long_field[] =
		"X-Long: 0123456789012345678901234567890123456789012345678901234567890123456789\r\n";

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		send_text(rows[i].text);
		expect(rows[i].status, "}\n");
		/* A short body that nobody wants is read and thrown away, and the connection goes on. */
		ck_assert_int_eq(!strstr(received, "Connection: close\r\n"), strstr(rows[i].text, "/stop") != NULL);
		fd_close(&client_fd);
		run();
		open_client();
	}
	send_text("GET /none HTTP/1.1\r\n");
	for (int i = 0; i < 30; i++)
		(void)!write(client_fd, long_field, sizeof(long_field) - 1);
	run();
	expect("HTTP/1.1 431 ", "}\n");
}
END_TEST

START_TEST(a_chunked_body_over_the_limit_is_refused)
{
	send_text("POST /echo HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n");
	for (int i = 0; i < 11 && held; i++) {
		(void)!write(client_fd, "64\r\n", 4);
		for (int k = 0; k < 10; k++)
			(void)!write(client_fd, "0123456789", 10);
		(void)!write(client_fd, "\r\n", 2);
		run();
	}
	expect("HTTP/1.1 413 ", "}\n");
	ck_assert_uint_eq(n_gone, 1);
	ck_assert_uint_eq(n_complete, 0);
}
END_TEST

START_TEST(a_client_that_goes_is_noticed)
{
	send_text("POST /hold HTTP/1.1\r\n\r\n");
	ck_assert_ptr_nonnull(held);
	fd_close(&client_fd);
	run();
	ck_assert_uint_eq(n_gone, 1);
	ck_assert_uint_eq(atomic_load(&shared.connections), 0);
	open_client();
	send_text("POST /echo HTTP/1.1\r\nContent-Length: 10\r\n\r\nabc");
	fd_close(&client_fd);
	run();
	ck_assert_uint_eq(n_gone, 2);
	ck_assert_uint_eq(n_complete, 0);
}
END_TEST

START_TEST(a_patient_request_outlives_the_clients_side)
{
	send_text("POST /hold/patiently HTTP/1.1\r\n\r\n");
	ck_assert_int_eq(shutdown(client_fd, SHUT_WR), 0);
	run();
	ck_assert_uint_eq(n_gone, 0);
	ck_assert_ptr_nonnull(held);
	http_reply(held, 200, NULL, "late", 4);
	run();
	expect("HTTP/1.1 200 OK\r\n", "late");
	ck_assert_ptr_null(take());
}
END_TEST

START_TEST(requests_read_ahead_wait_their_turn)
{
	send_text("GET /hold HTTP/1.1\r\n\r\nPOST /echo HTTP/1.1\r\nContent-Length: 4\r\n\r\nnext");
	ck_assert_str_eq(take(), "");
	ck_assert_uint_eq(n_complete, 0);
	http_reply(held, 204, NULL, NULL, 0);
	run();
	expect("HTTP/1.1 204 No Content\r\n", "next");
	ck_assert_uint_eq(n_complete, 1);
	ck_assert_ptr_null(strstr(received, "204 No Content\r\nContent-Length"));
}
END_TEST

START_TEST(continue_is_said_when_the_body_is_wanted)
{
	send_text("POST /echo HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n");
	ck_assert_str_eq(take(), "HTTP/1.1 100 Continue\r\n\r\n");
	send_text("ok");
	expect("HTTP/1.1 200 OK\r\n", "ok");
	send_text("POST /none HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n");
	expect("HTTP/1.1 404 ", "gone");
	ck_assert_ptr_nonnull(strstr(received, "Connection: close\r\n"));
}
END_TEST

START_TEST(large_answers_wait_for_a_slow_reader)
{
	struct evbuffer *big = evbuffer_new();
	char block[4096];
	size_t total = 0;
	bool next = false;

	memset(block, 'b', sizeof(block));
	for (int i = 0; i < 500; i++)
		ck_assert_int_eq(evbuffer_add(big, block, sizeof(block)), 0);
	send_text("GET /hold HTTP/1.1\r\n\r\nGET /none HTTP/1.1\r\n\r\n");
	http_reply_header(held, "Content-Encoding", "gzip");
	http_reply_buffer(held, 200, NULL, big);
	evbuffer_free(big);
	for (const char *got = take(); got && *got; got = take()) {
		total += strlen(got);
		next |= strstr(got, "gone") != NULL;
		run();
	}
	ck_assert_uint_gt(total, 500 * sizeof(block));
	ck_assert(next);
}
END_TEST

START_TEST(draining_closes_what_is_idle)
{
	send_text("GET /hold HTTP/1.1\r\n\r\n");
	http_loop_drain(loop);
	ck_assert_uint_eq(atomic_load(&shared.connections), 1);
	http_reply(held, 200, NULL, "last", 4);
	run();
	expect("HTTP/1.1 200 OK\r\n", "last");
	ck_assert_uint_eq(atomic_load(&shared.connections), 0);
}
END_TEST

/* Repeats ACT until it says that all is over. It keeps the pauses short: only the rate can end the exchange early. */
static void until_it_ends(bool (*act)(void))
{
	struct http_limits limits = shared.limits;

	limits.body_us = limits.write_us = 500000;
	limits.rate = 100 << 20;
	http_loop_limit(loop, &limits);
	send_text("POST /echo HTTP/1.1\r\nContent-Length: 1000\r\n\r\n");
	for (int i = 0; i < 5000 && act(); i++) {
		(void)poll(NULL, 0, 5);
		run();
	}
}

static bool send_a_byte(void)
{
	(void)!write(client_fd, "x", 1);
	return held != NULL;
}

START_TEST(a_body_that_trickles_in_is_broken_off)
{
	until_it_ends(send_a_byte);
	expect("HTTP/1.1 408 ", "}\n");
	ck_assert_uint_eq(n_gone, 1);
	ck_assert_uint_eq(n_complete, 0);
}
END_TEST

/* A megabyte at a time is left to be read of an answer that has no end in sight. */
static bool read_a_little(void)
{
	static char block[4096];

	if (held) {
		struct evbuffer *big = evbuffer_new();

		for (int i = 0; i < (256 << 20) / (int)sizeof(block); i++)
			(void)evbuffer_add_reference(big, block, sizeof(block), NULL, NULL);
		http_reply_buffer(held, 200, NULL, big);
		evbuffer_free(big);
		held = NULL;
	}
	(void)!read(client_fd, received, 64 << 10);
	return atomic_load(&shared.connections) > 0;
}

START_TEST(an_answer_that_is_read_too_slowly_is_broken_off)
{
	until_it_ends(read_a_little);
	ck_assert_uint_eq(atomic_load(&shared.connections), 0);
}
END_TEST

START_TEST(large_headers_count_as_what_is_buffered)
{
	struct http_limits limits = shared.limits;

	limits.header_bytes = 64 << 10;
	limits.buffered_bytes = 1000;
	http_loop_limit(loop, &limits);
	send_text("GET /none HTTP/1.1\r\n");
	for (int i = 0; i < 300; i++)
		(void)!write(client_fd, "X: 0123456789\r\n", 15);
	run();
	expect("HTTP/1.1 503 ", "}\n");
	ck_assert_ptr_nonnull(strstr(received, "Retry-After: 1\r\n"));
}
END_TEST

static struct evbuffer *megabytes(size_t n)
{
	static char block[1 << 20];
	struct evbuffer *big = evbuffer_new();

	for (size_t i = 0; i < n; i++)
		(void)evbuffer_add_reference(big, block, sizeof(block), NULL, NULL);
	return big;
}

static void reply_megabytes(size_t n)
{
	struct evbuffer *big = megabytes(n);

	send_text("GET /hold HTTP/1.1\r\n\r\n");
	http_reply_buffer(held, 200, NULL, big);
	evbuffer_free(big);
}

START_TEST(answers_that_nobody_reads_are_bounded)
{
	struct http_limits limits = shared.limits;
	int slow_fd = client_fd;

	limits.buffered_bytes = 10 << 20;
	http_loop_limit(loop, &limits);
	reply_megabytes(8);
	ck_assert_uint_gt(atomic_load(&shared.buffered), 4 << 20);
	open_client();
	reply_megabytes(8);
	expect("HTTP/1.1 503 ", "\"Too many answers wait to be read, try again\"}}\n");
	ck_assert_ptr_null(strstr(received, "Content-Encoding"));
	ck_assert_ptr_nonnull(strstr(received, "Retry-After: 1\r\n"));
	(void)close(slow_fd);
	run();
	ck_assert_uint_eq(atomic_load(&shared.buffered), 0);
	reply_megabytes(8);
	ck_assert_ptr_nonnull(take());
	ck_assert_msg(strncmp(received, "HTTP/1.1 200 ", 13) == 0, "%.40s", received);
}
END_TEST

static int connect_to(const struct sockaddr_un *address, socklen_t length)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(connect(fd, (const struct sockaddr *)address, length), 0);
	run();
	return fd;
}

START_TEST(a_new_connection_takes_the_place_of_an_idle_one)
{
	struct http_limits limits = shared.limits;
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	socklen_t length = sizeof(address);
	int listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct err err = ERR_INIT;
	int idle_fd = client_fd, busy_fd;

	limits.connections = 2;
	http_loop_limit(loop, &limits);
	/* The kernel chooses a name. */
	ck_assert_int_eq(bind(listen_fd, (struct sockaddr *)&address, sizeof(sa_family_t)), 0);
	ck_assert_int_eq(getsockname(listen_fd, (struct sockaddr *)&address, &length), 0);
	ck_assert_int_eq(listen(listen_fd, 5), 0);
	ck_assert_int_eq(http_loop_listen(loop, listen_fd, true, &err), 0);
	/* Used once, then idle; and one whose request is under way. */
	send_text("GET /none HTTP/1.1\r\n\r\n");
	expect("HTTP/1.1 404 ", "gone");
	busy_fd = client_fd = connect_to(&address, length);
	send_text("GET /none HTTP/1.1\r\n");
	client_fd = connect_to(&address, length);
	send_text("GET /none HTTP/1.1\r\n\r\n");
	expect("HTTP/1.1 404 ", "gone");
	ck_assert_int_eq(read(idle_fd, received, 1), 0);
	/* Nobody is idle now: the next is told so. */
	send_text("GET /hold HTTP/1.1\r\n\r\n");
	(void)close(idle_fd);
	idle_fd = client_fd;
	client_fd = connect_to(&address, length);
	expect("HTTP/1.1 503 ", "\"Too many connections, try again\"}}\n");
	ck_assert_ptr_nonnull(strstr(received, "Retry-After: 1\r\n"));
	ck_assert_ptr_null(take());
	(void)close(busy_fd);
	(void)close(idle_fd);
	run();
	http_loop_drain(loop);
	(void)close(listen_fd);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("http");
	TCase *all = tcase_create("all");

	tcase_add_checked_fixture(all, open_all, close_all);
	tcase_add_test(all, bodies_come_whole);
	tcase_add_test(all, sec_L3_every_split_of_the_input_gives_the_same_answers);
	tcase_add_test(all, sec_L3_fields_of_the_answer_cannot_break_out);
	tcase_add_test(all, sec_L3_limits_are_kept);
	tcase_add_test(all, a_chunked_body_over_the_limit_is_refused);
	tcase_add_test(all, a_client_that_goes_is_noticed);
	tcase_add_test(all, a_patient_request_outlives_the_clients_side);
	tcase_add_test(all, requests_read_ahead_wait_their_turn);
	tcase_add_test(all, continue_is_said_when_the_body_is_wanted);
	tcase_add_test(all, large_answers_wait_for_a_slow_reader);
	tcase_add_test(all, draining_closes_what_is_idle);
	tcase_add_test(all, a_body_that_trickles_in_is_broken_off);
	tcase_add_test(all, an_answer_that_is_read_too_slowly_is_broken_off);
	tcase_add_test(all, large_headers_count_as_what_is_buffered);
	tcase_add_test(all, answers_that_nobody_reads_are_bounded);
	tcase_add_test(all, a_new_connection_takes_the_place_of_an_idle_one);
	suite_add_tcase(suite, all);
	return suite;
}
