/*
 * A hostile peer: the input is a series of records, each a byte that says what to do and a length, sent over a real
 * channel. Received messages go through the rules of every receiver, and the tails through the parsers of lists.
 */
#include "supervisor/ipc.h"
#include "supervisor/messages.h"
#include "supervisor/str.h"
#include "supervisor/util.h"

#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>

#define LIST_MAX 64

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct ipc_rule rules[] = {
	{CTL_HELLO, 0, 0, sizeof(struct ctl_hello), 0, 1, "hello"},
	{CTL_CONFIG, 0, 0, sizeof(struct ctl_config), 65536, ~0u, "config"},
	{CTL_CHANNEL, 1, 1, sizeof(struct ctl_channel), 0, ~0u, "channel"},
	{CTL_READY, 0, 0, 0, 0, 2, "ready"},
	{CTL_STATUS, 0, 0, 0, PEER_MAX * sizeof(struct ctl_status_row), ~0u, "status"},
	{SBX_CREATE, 0, SBX_LAYERS_MAX, sizeof(struct sbx_create), IPC_PAYLOAD_MAX, ~0u, "create"},
	{0},
};

static void send_record(int fd, uint8_t what, const uint8_t *bytes, size_t length, int passed_fd)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(4 * sizeof(int))];
	} control = {0};
	struct ipc_header header = {.magic = IPC_MAGIC, .n_fds = what >> 1 & 3, .length = (uint32_t)length};
	struct iovec parts[2] = {{&header, sizeof(header)}, {(void *)bytes, length}};
	struct msghdr m = {.msg_iov = parts, .msg_iovlen = 2};
	unsigned n_fds = what >> 3 & 3;

	/* Half of the messages have a header that agrees with itself, so that the rules are reached. */
	if (what & 1) {
		if (length >= 2) {
			memcpy(&header.type, bytes, 2);
			parts[1] = (struct iovec){(void *)(bytes + 2), length - 2};
			header.length -= 2;
		}
		header.n_fds = (uint16_t)n_fds;
	} else {
		m.msg_iov = parts + 1;
		m.msg_iovlen = 1;
	}
	if (n_fds > 0) {
		struct cmsghdr *c;

		m.msg_control = control.bytes;
		m.msg_controllen = CMSG_SPACE(n_fds * sizeof(int));
		c = CMSG_FIRSTHDR(&m);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(n_fds * sizeof(int));
		for (unsigned i = 0; i < n_fds; i++)
			memcpy(CMSG_DATA(c) + i * sizeof(int), &passed_fd, sizeof(passed_fd));
	}
	(void)sendmsg(fd, &m, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static void use(struct ipc_message *m)
{
	char *list[LIST_MAX + 1];
	size_t length = 0;
	char *tail;

	for (uint32_t state = 1; state <= 4; state *= 2) {
		const struct ipc_rule *rule = rules;

		if (ipc_accept(m, rules, state, NULL) < 0)
			continue;
		while (rule->type != m->header.type)
			rule++;
		tail = ipc_tail(m, rule->size, &length);
		if (rule->size + length != m->header.length || tail[length] != '\0')
			abort();
		if (m->n_fds < rule->fds_min || m->n_fds > rule->fds_max)
			abort();
		(void)str_unpack(tail, length, m->header.id % LIST_MAX, list);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct ipc_message message;
	_cleanup_fd_ int null_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	int pair[2], first_free, after;

	if (ipc_pair(pair, NULL) < 0)
		return 0;
	first_free = fcntl(null_fd, F_DUPFD_CLOEXEC, 0);
	(void)close(first_free);
	while (size >= 3) {
		size_t length = MIN((size_t)data[1] | (size_t)data[2] << 8, size - 3);
		int r;

		send_record(pair[0], data[0], data + 3, length, null_fd);
		r = ipc_receive(pair[1], &message, NULL);
		if (r > 0) {
			use(&message);
			if (data[0] & 0x40)
				(void)close(ipc_message_take_fd(&message, 0));
			ipc_message_done(&message);
		}
		data += 3 + length;
		size -= 3 + length;
	}
	/* No descriptor may be left open. */
	after = fcntl(null_fd, F_DUPFD_CLOEXEC, 0);
	if (after != first_free)
		abort();
	(void)close(after);
	(void)close(pair[0]);
	(void)close(pair[1]);
	return 0;
}
