/* What a peer does not read at once is kept, in order and with its descriptors, and not without end. */
#include "sandbox/channel.h"
#include "supervisor/util.h"

#include <fcntl.h>
#include <string.h>

#include "tests/unit/main.h"

#define BODY_BYTES 16384

static struct loop loop;
static struct channel channel;
static int peer_fd;
static struct ipc_message message;
static unsigned char body[BODY_BYTES];

static void on_event(struct loop *l, struct loop_watch *watch, uint32_t events)
{
	(void)watch;
	if (events & EPOLLOUT)
		ck_assert_int_eq(channel_flush(&channel, l, NULL), 0);
	l->stop = true;
}

static void set_up(void)
{
	int pair[2];

	ck_assert_int_eq(ipc_pair(pair, NULL), 0);
	ck_assert_int_eq(loop_open(&loop, NULL), 0);
	ck_assert_int_eq(channel_open(&channel, &loop, pair[0], on_event, NULL, NULL), 0);
	peer_fd = pair[1];
}

static void tear_down(void)
{
	channel_close(&channel, &loop);
	channel_close(&channel, &loop);
	loop_close(&loop);
	fd_close(&peer_fd);
}

static int send_number(uint64_t id)
{
	struct ipc_out out = {.type = 1, .id = id, .body = body, .body_size = sizeof(body)};

	return channel_send(&channel, &loop, &out, NULL);
}

START_TEST(messages_wait_in_order)
{
	const uint64_t count = 60;

	for (uint64_t id = 0; id < count; id++)
		ck_assert_int_eq(send_number(id), 0);
	ck_assert_uint_gt(channel.n_queued, 10);
	for (uint64_t id = 0; id < count; id++) {
		int r = ipc_receive(peer_fd, &message, NULL);

		while (r == -EAGAIN) {
			loop.stop = false;
			ck_assert_int_eq(loop_run(&loop, NULL), 0);
			r = ipc_receive(peer_fd, &message, NULL);
		}
		ck_assert_int_eq(r, 1);
		ck_assert_uint_eq(message.header.id, id);
		ck_assert_uint_eq(message.header.length, BODY_BYTES);
	}
	ck_assert_uint_eq(channel.n_queued, 0);
	ck_assert_int_eq(ipc_receive(peer_fd, &message, NULL), -EAGAIN);
}
END_TEST

START_TEST(queued_descriptors_are_kept)
{
	int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	uint64_t sent = 0;

	while (channel.n_queued == 0)
		ck_assert_int_eq(send_number(sent++), 0);
	ck_assert_int_eq(channel_send(&channel, &loop,
				      &(struct ipc_out){.type = 2, .fds = (int[]){null_fd, null_fd}, .n_fds = 2}, NULL),
			 0);
	fd_close(&null_fd);
	do {
		int r = ipc_receive(peer_fd, &message, NULL);

		if (r == -EAGAIN)
			ck_assert_int_eq(channel_flush(&channel, &loop, NULL), 0);
	} while (message.header.type != 2);
	ck_assert_uint_eq(message.n_fds, 2);
	ck_assert_int_eq(write(message.fds[1], "x", 1), 1);
	ipc_message_done(&message);
}
END_TEST

START_TEST(a_peer_that_never_reads_is_given_up)
{
	struct err err = ERR_INIT;
	int r = 0;
	unsigned n = 0;

	while (r == 0 && n++ < 10000)
		r = channel_send(&channel, &loop, &(struct ipc_out){.type = 1}, &err);
	ck_assert_int_eq(r, -ENOBUFS);
	ck_assert_uint_eq(channel.n_queued, 4096);
}
END_TEST

START_TEST(a_peer_that_is_gone_is_told)
{
	fd_close(&peer_fd);
	ck_assert_int_eq(send_number(1), -EPIPE);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("channel");
	TCase *all = tcase_create("all");

	tcase_add_checked_fixture(all, set_up, tear_down);
	tcase_add_test(all, messages_wait_in_order);
	tcase_add_test(all, queued_descriptors_are_kept);
	tcase_add_test(all, a_peer_that_never_reads_is_given_up);
	tcase_add_test(all, a_peer_that_is_gone_is_told);
	suite_add_tcase(suite, all);
	return suite;
}
