#include "api/peers.h"

#include "supervisor/util.h"

#include <fcntl.h>
#include <string.h>

#include "tests/unit/main.h"

static struct worker worker;
static struct peers *peers;
static int other_fd;
static struct ipc_message *message;
static struct err err;
static unsigned n_done, n_early, n_events, n_lost;
static int code;

static void on_event(void *context, enum peer peer, struct ipc_message *m)
{
	(void)context;
	ck_assert_int_eq(peer, PEER_ROOTFS);
	ck_assert_uint_eq(m->header.type, RFS_CHANGED);
	n_events++;
}

static bool announces;

static void on_opened(void *context, struct peers *opened, enum peer peer)
{
	(void)context;
	if (announces)
		peers_tell(opened, peer, &(struct ipc_out){.type = RFS_GC});
}

static void on_lost(void *context, enum peer peer)
{
	(void)context;
	(void)peer;
	n_lost++;
}

static void on_done(struct peer_request *request)
{
	n_done++;
	code = request->reply ? 0 : request->failure.code;
	peer_request_done(request);
}

static void on_early(struct peer_request *request)
{
	ck_assert_ptr_nonnull(request->reply);
	n_early++;
}

static struct peer_request removal(bool repeatable)
{
	return (struct peer_request){.worker = &worker,
				     .done = on_done,
				     .received = on_early,
				     .expects = RFS_REMOVED,
				     .repeatable = repeatable,
				     .out = {.type = RFS_REMOVE, .tail = "x", .tail_size = 2}};
}

static void run(void)
{
	for (int i = 0; i < 10; i++)
		(void)event_base_loop(worker.base, EVLOOP_NONBLOCK);
}

static void connect_rootfs(void)
{
	int fds[2];

	ck_assert_int_eq(ipc_pair(fds, &err), 0);
	ck_assert_int_eq(peers_channel(peers, PEER_ROOTFS, fds[0], &err), 0);
	other_fd = fds[1];
}

static void open_all(void)
{
	static const struct peers_events events = {.event = on_event, .opened = on_opened, .lost = on_lost};

	n_done = n_early = n_events = n_lost = 0;
	announces = false;
	code = 1;
	message = malloc(sizeof(*message));
	ck_assert_ptr_nonnull(message);
	ck_assert_int_eq(worker_open(&worker, 0, NULL, &err), 0);
	ck_assert_int_eq(peers_open(&worker, &events, NULL, &peers, &err), 0);
	connect_rootfs();
}

static void close_all(void)
{
	fd_close(&other_fd);
	peers_close(peers);
	worker_close(&worker);
	free(message);
}

/* What the other end got; its id. */
static uint64_t expect_request(uint16_t type)
{
	ck_assert_int_eq(ipc_receive(other_fd, message, &err), 1);
	ck_assert_uint_eq(message->header.type, type);
	return message->header.id;
}

static void answer(uint16_t type, uint64_t id, const void *body, size_t size)
{
	ck_assert_int_eq(
		ipc_send(other_fd, &(struct ipc_out){.type = type, .id = id, .body = body, .body_size = size}, &err),
		0);
	run();
}

START_TEST(replies_find_their_requests)
{
	struct peer_request first = removal(false), second = removal(false);
	const struct rfs_removed body = {.blobs = 1};
	const struct msg_failed failed = {.code = -ENOENT, .phase = "name", .text = "not there"};
	uint64_t id;

	peers_send(peers, PEER_ROOTFS, &first);
	peers_send(peers, PEER_ROOTFS, &second);
	id = expect_request(RFS_REMOVE);
	answer(MSG_FAILED, expect_request(RFS_REMOVE), &failed, sizeof(failed));
	ck_assert_uint_eq(n_done, 1);
	ck_assert_int_eq(code, -ENOENT);
	ck_assert_str_eq(second.failure.text, "not there");
	ck_assert_str_eq(second.phase, "name");
	ck_assert_uint_eq(n_early, 0);
	answer(RFS_REMOVED, id, &body, sizeof(body));
	ck_assert_uint_eq(n_done, 2);
	ck_assert_int_eq(code, 0);
	ck_assert_uint_eq(n_early, 1);
}
END_TEST

START_TEST(a_server_cannot_claim_not_to_be_there)
{
	struct peer_request request = removal(false);
	const struct msg_failed failed = {.code = -EHOSTDOWN};

	peers_send(peers, PEER_ROOTFS, &request);
	answer(MSG_FAILED, expect_request(RFS_REMOVE), &failed, sizeof(failed));
	ck_assert_int_eq(code, -EIO);
}
END_TEST

START_TEST(a_lost_server_fails_what_it_had)
{
	struct peer_request request = removal(false);

	peers_send(peers, PEER_ROOTFS, &request);
	fd_close(&other_fd);
	run();
	ck_assert_uint_eq(n_lost, 1);
	ck_assert_uint_eq(n_done, 1);
	ck_assert_int_eq(code, -ECONNRESET);
	ck_assert(!peers_connected(peers, PEER_ROOTFS));
}
END_TEST

START_TEST(what_may_be_repeated_goes_to_the_next_server)
{
	struct peer_request sent = removal(true), early = removal(false);
	const struct rfs_removed body = {0};
	uint64_t id;

	peers_send(peers, PEER_ROOTFS, &sent);
	fd_close(&other_fd);
	run();
	/* One that comes while there is no server waits too. */
	peers_send(peers, PEER_ROOTFS, &early);
	run();
	ck_assert_uint_eq(n_done, 0);
	connect_rootfs();
	id = expect_request(RFS_REMOVE);
	answer(RFS_REMOVED, expect_request(RFS_REMOVE), &body, sizeof(body));
	answer(RFS_REMOVED, id, &body, sizeof(body));
	ck_assert_uint_eq(n_done, 2);
	ck_assert_int_eq(code, 0);
}
END_TEST

/* A request that ends whoever gets it must not be handed on for ever. */
START_TEST(nothing_is_repeated_twice)
{
	struct peer_request request = removal(true);

	peers_send(peers, PEER_ROOTFS, &request);
	fd_close(&other_fd);
	run();
	connect_rootfs();
	ck_assert_uint_eq(n_done, 0);
	(void)expect_request(RFS_REMOVE);
	fd_close(&other_fd);
	run();
	ck_assert_uint_eq(n_done, 1);
	ck_assert_int_eq(code, -ECONNRESET);
}
END_TEST

/* A long name from outside fails alone: at the other end it would cost the channel of everybody. */
START_TEST(what_the_server_would_not_take_is_not_sent)
{
	static char tail[RFS_TAIL_MAX + 1];
	struct peer_request request = removal(false);
	const struct rfs_removed body = {0};

	memset(tail, 'x', sizeof(tail) - 1);
	request.out.tail = tail;
	request.out.tail_size = sizeof(tail);
	peers_send(peers, PEER_ROOTFS, &request);
	run();
	ck_assert_uint_eq(n_done, 1);
	ck_assert_int_eq(code, -EMSGSIZE);
	request = removal(false);
	request.out.tail = tail + 1;
	request.out.tail_size = RFS_TAIL_MAX;
	peers_send(peers, PEER_ROOTFS, &request);
	answer(RFS_REMOVED, expect_request(RFS_REMOVE), &body, sizeof(body));
	ck_assert_uint_eq(n_done, 2);
	ck_assert_int_eq(code, 0);
}
END_TEST

/* A loop may have several reasons to end at once; the second must not make its mailbox a ring. */
START_TEST(a_loop_may_be_stopped_twice)
{
	worker_stop(&worker);
	worker_stop(&worker);
	worker_run(&worker);
}
END_TEST

START_TEST(a_server_that_does_not_come_is_given_up)
{
	struct peer_request request = removal(true);
	uint64_t begin = clock_monotonic_us();

	peers_send(peers, PEER_GPU, &request);
	while (n_done == 0)
		(void)event_base_loop(worker.base, EVLOOP_ONCE);
	ck_assert_int_eq(code, -EHOSTDOWN);
	ck_assert_uint_ge(clock_monotonic_us() - begin, PEER_WAIT_US);
	ck_assert_ptr_nonnull(strstr(request.failure.text, "ferrite-gpu is not running"));
}
END_TEST

START_TEST(a_full_channel_delays_but_loses_nothing)
{
	enum { COUNT = 600 };
	static struct peer_request requests[COUNT];
	static char tail[4096];
	const struct rfs_removed body = {0};

	memset(tail, 'x', sizeof(tail) - 1);
	for (int i = 0; i < COUNT; i++) {
		requests[i] = removal(false);
		requests[i].out.tail = tail;
		requests[i].out.tail_size = sizeof(tail);
		peers_send(peers, PEER_ROOTFS, &requests[i]);
	}
	for (int i = 0; i < COUNT; i++) {
		if (ipc_receive(other_fd, message, &err) == -EAGAIN) {
			run();
			ck_assert_int_eq(ipc_receive(other_fd, message, &err), 1);
		}
		answer(RFS_REMOVED, message->header.id, &body, sizeof(body));
	}
	ck_assert_uint_eq(n_done, COUNT);
	ck_assert_int_eq(code, 0);
}
END_TEST

static void tell(uint64_t number)
{
	struct gpu_release body = {.grant = number};

	peers_tell(peers, PEER_ROOTFS,
		   &(struct ipc_out){.type = GPU_RELEASE, .body = &body, .body_size = sizeof(body)});
}

/* However long the peer does not read: what it was told arrives, in order, and before later requests. */
START_TEST(what_is_told_is_not_lost)
{
	enum { COUNT = 3000 };
	const struct rfs_removed removed = {0};
	struct peer_request request = removal(false);

	for (uint64_t i = 0; i < COUNT; i++)
		tell(i);
	peers_send(peers, PEER_ROOTFS, &request);
	run();
	for (uint64_t i = 0; i < COUNT; i++) {
		if (ipc_receive(other_fd, message, &err) == -EAGAIN) {
			run();
			ck_assert_int_eq(ipc_receive(other_fd, message, &err), 1);
		}
		ck_assert_uint_eq(message->header.type, GPU_RELEASE);
		ck_assert_uint_eq(((struct gpu_release *)message->payload)->grant, i);
	}
	answer(RFS_REMOVED, expect_request(RFS_REMOVE), &removed, sizeof(removed));
	ck_assert_uint_eq(n_done, 1);
	ck_assert_uint_eq(n_lost, 0);
}
END_TEST

START_TEST(a_peer_that_is_deaf_for_good_is_given_up)
{
	unsigned n = 0;

	while (n_lost == 0 && n < 3 * PEER_QUEUE_MAX) {
		for (unsigned i = 0; i < 100; i++, n++)
			tell(n);
		run();
	}
	ck_assert_uint_eq(n_lost, 1);
	ck_assert_uint_ge(n, PEER_QUEUE_MAX);
	ck_assert(!peers_connected(peers, PEER_ROOTFS));
	/* A peer that is not there needs to be told nothing. */
	tell(1);
	fd_close(&other_fd);
	connect_rootfs();
	ck_assert_int_eq(ipc_receive(other_fd, message, &err), -EAGAIN);
}
END_TEST

/* What is said when a channel opens comes before the requests that waited for it. */
START_TEST(announcements_come_first)
{
	const struct rfs_removed removed = {0};
	struct peer_request request = removal(false);

	fd_close(&other_fd);
	run();
	peers_send(peers, PEER_ROOTFS, &request);
	announces = true;
	connect_rootfs();
	ck_assert_int_eq(ipc_receive(other_fd, message, &err), 1);
	ck_assert_uint_eq(message->header.type, RFS_GC);
	answer(RFS_REMOVED, expect_request(RFS_REMOVE), &removed, sizeof(removed));
	ck_assert_uint_eq(n_done, 1);
}
END_TEST

START_TEST(events_are_handed_on)
{
	ck_assert_int_eq(ipc_send(other_fd, &(struct ipc_out){.type = RFS_CHANGED, .tail = "n", .tail_size = 2}, &err),
			 0);
	run();
	ck_assert_uint_eq(n_events, 1);
}
END_TEST

/* Each costs the server its channel, and the request its answer. */
START_TEST(a_server_that_breaks_the_rules_is_dropped)
{
	static const struct {
		uint16_t type;
		uint64_t id_offset;
		size_t size;
	} rows[] = {
		{RFS_REMOVED, 1, sizeof(struct rfs_removed)},	/* no such request */
		{RFS_REMOVED, 0, 3},				/* wrong size */
		{RFS_IMPORTED, 0, sizeof(struct rfs_imported)}, /* not the reply that is due */
		{SBX_EXITED, 0, sizeof(struct sbx_exited)},	/* another server's event */
		{RFS_OPENED, 0, sizeof(struct rfs_opened)},	/* without its descriptors */
		{9999, 0, 0},
	};
	static const char zeros[1024];

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct peer_request request = removal(false);

		n_done = n_lost = 0;
		peers_send(peers, PEER_ROOTFS, &request);
		answer(rows[i].type, expect_request(RFS_REMOVE) + rows[i].id_offset, zeros, rows[i].size);
		ck_assert_msg(n_lost == 1, "row %zu was accepted", i);
		ck_assert_uint_eq(n_done, 1);
		ck_assert_int_eq(code, -ECONNRESET);
		fd_close(&other_fd);
		connect_rootfs();
	}
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("peers");
	TCase *all = tcase_create("all");

	tcase_set_timeout(all, 60);
	tcase_add_checked_fixture(all, open_all, close_all);
	tcase_add_test(all, replies_find_their_requests);
	tcase_add_test(all, a_server_cannot_claim_not_to_be_there);
	tcase_add_test(all, a_lost_server_fails_what_it_had);
	tcase_add_test(all, what_may_be_repeated_goes_to_the_next_server);
	tcase_add_test(all, nothing_is_repeated_twice);
	tcase_add_test(all, what_the_server_would_not_take_is_not_sent);
	tcase_add_test(all, a_loop_may_be_stopped_twice);
	tcase_add_test(all, a_server_that_does_not_come_is_given_up);
	tcase_add_test(all, a_full_channel_delays_but_loses_nothing);
	tcase_add_test(all, what_is_told_is_not_lost);
	tcase_add_test(all, a_peer_that_is_deaf_for_good_is_given_up);
	tcase_add_test(all, announcements_come_first);
	tcase_add_test(all, events_are_handed_on);
	tcase_add_test(all, a_server_that_breaks_the_rules_is_dropped);
	suite_add_tcase(suite, all);
	return suite;
}
