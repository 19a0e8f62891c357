#include "supervisor/ipc.h"
#include "supervisor/messages.h"
#include "supervisor/util.h"

#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#include "tests/unit/main.h"

static struct ipc_message message;
static int pair[2];

static unsigned open_fds(void)
{
	_cleanup_dir_ DIR *dir = opendir("/proc/self/fd");
	unsigned n = 0;

	while (readdir(dir))
		n++;
	return n;
}

static void set_up(void)
{
	ck_assert_int_eq(ipc_pair(pair, NULL), 0);
}

static void tear_down(void)
{
	fd_close(&pair[0]);
	fd_close(&pair[1]);
}

START_TEST(a_message_arrives_whole)
{
	struct ctl_hello hello = {1, 2};
	struct err err = ERR_INIT;
	size_t length = 0;

	ck_assert_int_eq(ipc_send(pair[0],
				  &(struct ipc_out){.type = CTL_HELLO,
						    .id = 77,
						    .deadline_us = 99,
						    .body = &hello,
						    .body_size = sizeof(hello),
						    .tail = "tail",
						    .tail_size = 4},
				  &err),
			 0);
	ck_assert_int_eq(ipc_receive(pair[1], &message, &err), 1);
	ck_assert_uint_eq(message.header.type, CTL_HELLO);
	ck_assert_uint_eq(message.header.id, 77);
	ck_assert_uint_eq(message.header.deadline_us, 99);
	ck_assert_mem_eq(message.payload, &hello, sizeof(hello));
	ck_assert_str_eq(ipc_tail(&message, sizeof(hello), &length), "tail");
	ck_assert_uint_eq(length, 4);
	ck_assert_int_eq(ipc_receive(pair[1], &message, &err), -EAGAIN);
	fd_close(&pair[0]);
	ck_assert_int_eq(ipc_receive(pair[1], &message, &err), 0);
	ck_assert_int_eq(ipc_send(pair[1], &(struct ipc_out){.type = CTL_READY}, &err), -EPIPE);
}
END_TEST

START_TEST(descriptors_travel_and_are_not_lost)
{
	int fds[IPC_FDS_MAX + 1];
	unsigned before;
	int null_fd = open("/dev/null", O_RDONLY | O_CLOEXEC), taken;
	struct err err = ERR_INIT;

	for (unsigned i = 0; i < ARRAY_LEN(fds); i++)
		fds[i] = null_fd;
	before = open_fds();
	for (unsigned n = 0; n <= IPC_FDS_MAX; n += 50) {
		ck_assert_int_eq(ipc_send(pair[0], &(struct ipc_out){.type = 9, .fds = fds, .n_fds = n}, &err), 0);
		ck_assert_int_eq(ipc_receive(pair[1], &message, &err), 1);
		ck_assert_uint_eq(message.n_fds, n);
		ck_assert_uint_eq(open_fds(), before + n);
		taken = ipc_message_take_fd(&message, 0);
		ck_assert_int_eq(taken >= 0, n > 0);
		ck_assert_int_eq(ipc_message_take_fd(&message, 0), -1);
		ck_assert_int_eq(ipc_message_take_fd(&message, n), -1);
		if (taken >= 0)
			ck_assert_int_eq(fcntl(taken, F_GETFD), FD_CLOEXEC);
		ipc_message_done(&message);
		ck_assert_uint_eq(open_fds(), before + (n > 0));
		fd_close(&taken);
	}
	ck_assert_int_eq(ipc_send(pair[0], &(struct ipc_out){.type = 9, .fds = fds, .n_fds = IPC_FDS_MAX + 1}, &err),
			 -EMSGSIZE);
	(void)close(null_fd);
}
END_TEST

START_TEST(sizes_are_bounded)
{
	static char big[IPC_PAYLOAD_MAX + 1];
	struct err err = ERR_INIT;
	size_t length;

	memset(big, 'x', sizeof(big));
	ck_assert_int_eq(
		ipc_send(pair[0], &(struct ipc_out){.type = 9, .tail = big, .tail_size = IPC_PAYLOAD_MAX}, &err), 0);
	ck_assert_int_eq(ipc_receive(pair[1], &message, &err), 1);
	ck_assert_uint_eq(strlen(ipc_tail(&message, 0, &length)), IPC_PAYLOAD_MAX);
	ck_assert_int_eq(
		ipc_send(pair[0], &(struct ipc_out){.type = 9, .tail = big, .tail_size = IPC_PAYLOAD_MAX + 1}, &err),
		-EMSGSIZE);
	ck_assert_int_eq(
		ipc_send(pair[0],
			 &(struct ipc_out){
				 .type = 9, .body = big, .body_size = 1, .tail = big, .tail_size = IPC_PAYLOAD_MAX},
			 &err),
		-EMSGSIZE);
	ck_assert_int_eq(ipc_send(pair[0], &(struct ipc_out){.type = 9, .body = big, .body_size = SIZE_MAX}, &err),
			 -EMSGSIZE);
	ck_assert_int_eq(
		ipc_send(pair[0],
			 &(struct ipc_out){.type = 9, .body = big, .body_size = 8, .tail = big, .tail_size = SIZE_MAX},
			 &err),
		-EMSGSIZE);
}
END_TEST

/* Sends bytes as they are, with descriptors, as a hostile peer would. */
static void send_raw(const void *bytes, size_t length, int fd, unsigned n_fds)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(253 * sizeof(int))];
	} control = {0};
	struct iovec part = {(void *)bytes, length};
	struct msghdr m = {.msg_iov = &part, .msg_iovlen = 1};

	if (n_fds > 0) {
		struct cmsghdr *c;

		m.msg_control = control.bytes;
		m.msg_controllen = CMSG_SPACE(n_fds * sizeof(int));
		c = CMSG_FIRSTHDR(&m);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(n_fds * sizeof(int));
		for (unsigned i = 0; i < n_fds; i++)
			memcpy(CMSG_DATA(c) + i * sizeof(int), &fd, sizeof(fd));
	}
	ck_assert_int_eq(sendmsg(pair[0], &m, 0), (ssize_t)length);
}

static void refuse_raw(const void *bytes, size_t length, unsigned n_fds, const char *what)
{
	unsigned before = open_fds();
	struct err err = ERR_INIT;
	int r;

	send_raw(bytes, length, pair[0], n_fds);
	r = ipc_receive(pair[1], &message, &err);
	ck_assert_msg(r == -EPROTO, "%s: %d", what, r);
	ck_assert_msg(open_fds() == before, "%s leaks descriptors", what);
	ck_assert_uint_eq(message.n_fds, 0);
}

START_TEST(sec_L1_malformed_messages_are_refused_and_leak_nothing)
{
	static char big[sizeof(struct ipc_header) + IPC_PAYLOAD_MAX + 1];
	const struct ipc_header good = {.magic = IPC_MAGIC, .type = 9};
	struct ipc_header bad = good;

	refuse_raw("x", 1, 0, "one byte");
	refuse_raw(&good, sizeof(good) - 1, 0, "a header that is too short");
	refuse_raw(&good, sizeof(good), 1, "a descriptor that was not announced");
	refuse_raw("", 0, 3, "nothing but descriptors");
	bad.magic++;
	refuse_raw(&bad, sizeof(bad), 0, "another layout");
	refuse_raw(&bad, sizeof(bad), 7, "another layout with descriptors");
	bad = good;
	bad.reserved = 1;
	refuse_raw(&bad, sizeof(bad), 0, "a reserved field that is set");
	bad = good;
	bad.length = 1;
	refuse_raw(&bad, sizeof(bad), 0, "a length that is too large");
	bad.length = UINT32_MAX;
	refuse_raw(&bad, sizeof(bad), 0, "a length of 4 GiB");
	bad = good;
	bad.n_fds = 2;
	refuse_raw(&bad, sizeof(bad), 1, "fewer descriptors than announced");
	bad.n_fds = 253;
	refuse_raw(&bad, sizeof(bad), 253, "more descriptors than fit");
	memcpy(big, &good, sizeof(good));
	bad = good;
	bad.length = IPC_PAYLOAD_MAX + 1;
	memcpy(big, &bad, sizeof(bad));
	refuse_raw(big, sizeof(big), 1, "more bytes than fit");
	refuse_raw(big, sizeof(good) + 1, 0, "a length that is too small");
	/* After all that the channel still works. */
	send_raw(&good, sizeof(good), -1, 0);
	ck_assert_int_eq(ipc_receive(pair[1], &message, NULL), 1);
}
END_TEST

START_TEST(sec_L1_rules_are_enforced)
{
	static const struct ipc_rule rules[] = {
		{CTL_HELLO, 0, 0, 8, 0, 1, "hello"}, {CTL_CHANNEL, 1, 2, 4, 10, 2 | 4, "channel"}, {0}};
	static const struct {
		uint16_t type;
		uint32_t length;
		unsigned n_fds;
		uint32_t state;
		const char *error; /* NULL: accepted */
	} cases[] = {
		{CTL_HELLO, 8, 0, 1, NULL},
		{CTL_HELLO, 8, 0, 2, "hello out of order"},
		{CTL_HELLO, 7, 0, 1, "hello has 7 bytes, expected 8 to 8"},
		{CTL_HELLO, 9, 0, 1, "hello has 9 bytes"},
		{CTL_HELLO, 8, 1, 1, "hello has 1 descriptors, expected 0 to 0"},
		{CTL_CHANNEL, 4, 1, 2, NULL},
		{CTL_CHANNEL, 14, 2, 4, NULL},
		{CTL_CHANNEL, 15, 1, 4, "channel has 15 bytes, expected 4 to 14"},
		{CTL_CHANNEL, 0, 1, 4, "channel has 0 bytes"},
		{CTL_CHANNEL, 4, 0, 4, "channel has 0 descriptors"},
		{CTL_CHANNEL, 4, 3, 4, "channel has 3 descriptors"},
		{CTL_PING, 0, 0, 1, "message of unknown type"},
		{0, 0, 0, 1, "message of unknown type 0"},
		{UINT16_MAX, 0, 0, 1, "message of unknown type 65535"},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct err err = ERR_INIT;
		int r;

		message.header = (struct ipc_header){.type = cases[i].type, .length = cases[i].length};
		message.n_fds = cases[i].n_fds;
		r = ipc_accept(&message, rules, cases[i].state, &err);
		ck_assert_msg(r == (cases[i].error ? -EPROTO : 0), "case %zu: %d", i, r);
		if (cases[i].error)
			ck_assert_msg(strstr(err.text, cases[i].error), "case %zu: %s", i, err.text);
	}
	message.n_fds = 0;
}
END_TEST

START_TEST(a_full_channel_says_so)
{
	static char block[64 * 1024];
	struct ipc_out out = {.type = 9, .tail = block, .tail_size = sizeof(block)};
	struct err err = ERR_INIT;
	unsigned sent = 0;
	int r;

	while ((r = ipc_send(pair[0], &out, &err)) == 0)
		ck_assert_uint_lt(++sent, 1000);
	ck_assert_int_eq(r, -EAGAIN);
	ck_assert_int_eq(ipc_send_wait(pair[0], &out, 20, &err), -EAGAIN);
	for (unsigned i = 0; i < sent; i++)
		ck_assert_int_eq(ipc_receive(pair[1], &message, &err), 1);
	ck_assert_int_eq(ipc_send_wait(pair[0], &out, 1000, &err), 0);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("ipc");
	TCase *tests = tcase_create("ipc");

	tcase_add_checked_fixture(tests, set_up, tear_down);
	tcase_add_test(tests, a_message_arrives_whole);
	tcase_add_test(tests, descriptors_travel_and_are_not_lost);
	tcase_add_test(tests, sizes_are_bounded);
	tcase_add_test(tests, sec_L1_malformed_messages_are_refused_and_leak_nothing);
	tcase_add_test(tests, sec_L1_rules_are_enforced);
	tcase_add_test(tests, a_full_channel_says_so);
	suite_add_tcase(suite, tests);
	return suite;
}
