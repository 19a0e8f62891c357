#include "supervisor/ipc.h"

#include "supervisor/util.h"

#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

int ipc_pair(int ret_fds[2], struct err *err)
{
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ret_fds) < 0)
		return err_sys(err, errno, "make a channel");
	return 0;
}

int ipc_send(int fd, const struct ipc_out *out, struct err *err)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(IPC_FDS_MAX * sizeof(int))];
	} control;
	struct ipc_header header = {
		.magic = IPC_MAGIC,
		.type = out->type,
		.n_fds = (uint16_t)out->n_fds,
		.length = (uint32_t)(out->body_size + out->tail_size),
		.id = out->id,
		.deadline_us = out->deadline_us,
	};
	struct iovec parts[3] = {
		{&header, sizeof(header)},
		{(void *)out->body, out->body_size},
		{(void *)out->tail, out->tail_size},
	};
	struct msghdr m = {.msg_iov = parts, .msg_iovlen = 3};

	if (out->body_size > IPC_PAYLOAD_MAX || out->tail_size > IPC_PAYLOAD_MAX - out->body_size ||
	    out->n_fds > IPC_FDS_MAX)
		return err_set(err, EMSGSIZE, "message %u is too large: %zu bytes, %u descriptors", out->type,
			       out->body_size + out->tail_size, out->n_fds);
	if (out->n_fds > 0) {
		struct cmsghdr *c;

		memset(&control, 0, sizeof(control));
		m.msg_control = control.bytes;
		m.msg_controllen = CMSG_SPACE(out->n_fds * sizeof(int));
		c = CMSG_FIRSTHDR(&m);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(out->n_fds * sizeof(int));
		memcpy(CMSG_DATA(c), out->fds, out->n_fds * sizeof(int));
	}
	for (;;) {
		if (sendmsg(fd, &m, MSG_NOSIGNAL | MSG_DONTWAIT) >= 0)
			return 0;
		if (errno == EINTR)
			continue;
		/* A full buffer of the peer shows as ENOBUFS or EAGAIN; both mean "not now". */
		return err_sys(err, errno == ENOBUFS ? EAGAIN : errno, "send message %u", out->type);
	}
}

int ipc_send_wait(int fd, const struct ipc_out *out, int timeout_ms, struct err *err)
{
	uint64_t end = clock_monotonic_us() + (uint64_t)timeout_ms * 1000;

	for (;;) {
		struct pollfd p = {.fd = fd, .events = POLLOUT};
		int r = ipc_send(fd, out, err);
		uint64_t now = clock_monotonic_us();

		if (r != -EAGAIN || now >= end)
			return r;
		(void)poll(&p, 1, (int)((end - now) / 1000) + 1);
	}
}

static void keep_fds(struct msghdr *m, struct ipc_message *message)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
		unsigned n;

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		n = (unsigned)((c->cmsg_len - CMSG_LEN(0)) / sizeof(int));
		for (unsigned i = 0; i < n; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(fd));
			if (message->n_fds < IPC_FDS_MAX)
				message->fds[message->n_fds++] = fd;
			else
				(void)close(fd);
		}
	}
}

int ipc_receive(int fd, struct ipc_message *message, struct err *err)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(IPC_FDS_MAX * sizeof(int))];
	} control;
	struct iovec parts[2] = {
		{&message->header, sizeof(message->header)},
		{message->payload, IPC_PAYLOAD_MAX},
	};
	struct msghdr m = {
		.msg_iov = parts, .msg_iovlen = 2, .msg_control = control.bytes, .msg_controllen = sizeof(control)};
	ssize_t n;

	IPC_MESSAGE_INIT(message);
	do
		n = recvmsg(fd, &m, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	if (n < 0 && (errno == ECONNRESET || errno == EPIPE))
		return 0;
	if (n < 0)
		return errno == EAGAIN ? -EAGAIN : err_sys(err, errno, "receive a message");
	keep_fds(&m, message);
	if (n == 0 && message->n_fds == 0)
		return 0;
	if ((size_t)n < sizeof(message->header) || message->header.magic != IPC_MAGIC ||
	    message->header.reserved != 0 || (m.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) ||
	    message->header.length != (size_t)n - sizeof(message->header) || message->header.n_fds != message->n_fds) {
		ipc_message_done(message);
		return err_set(err, EPROTO, "malformed message of %zd bytes", n);
	}
	message->payload[message->header.length] = '\0';
	return 1;
}

int ipc_accept(const struct ipc_message *message, const struct ipc_rule *rules, uint32_t state, struct err *err)
{
	const struct ipc_header *h = &message->header;

	for (const struct ipc_rule *rule = rules; rule->type != 0; rule++) {
		if (rule->type != h->type)
			continue;
		if (!(rule->states & state))
			return err_set(err, EPROTO, "%s out of order", rule->name);
		if (h->length < rule->size || h->length - rule->size > rule->tail_max)
			return err_set(err, EPROTO, "%s has %u bytes, expected %u to %u", rule->name, h->length,
				       rule->size, rule->size + rule->tail_max);
		if (message->n_fds < rule->fds_min || message->n_fds > rule->fds_max)
			return err_set(err, EPROTO, "%s has %u descriptors, expected %u to %u", rule->name,
				       message->n_fds, rule->fds_min, rule->fds_max);
		return 0;
	}
	return err_set(err, EPROTO, "message of unknown type %u", h->type);
}

int ipc_message_take_fd(struct ipc_message *message, unsigned index)
{
	int fd = -1;

	if (index < message->n_fds) {
		fd = message->fds[index];
		message->fds[index] = -1;
	}
	return fd;
}

void ipc_message_done(struct ipc_message *message)
{
	for (unsigned i = 0; i < message->n_fds; i++)
		fd_close(&message->fds[i]);
	message->n_fds = 0;
}

char *ipc_tail(struct ipc_message *message, size_t size, size_t *ret_length)
{
	*ret_length = message->header.length - size;
	return (char *)message->payload + size;
}
