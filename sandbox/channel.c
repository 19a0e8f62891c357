#include "sandbox/channel.h"

#include "supervisor/util.h"

#include <fcntl.h>
#include <string.h>

#define QUEUE_MAX 4096
#define FDS_MAX	  5 /* the most that a message of ours carries */

struct channel_message {
	struct channel_message *next;
	struct ipc_out out;
	int fds[FDS_MAX];
	unsigned char body[];
};

static void message_free(struct channel_message *m)
{
	for (unsigned i = 0; i < m->out.n_fds; i++)
		fd_close(&m->fds[i]);
	free(m);
}

static struct channel_message *message_copy(const struct ipc_out *out)
{
	struct channel_message *m;

	if (out->n_fds > FDS_MAX)
		return NULL;
	m = malloc(sizeof(*m) + out->body_size + out->tail_size);
	if (!m)
		return NULL;
	m->next = NULL;
	m->out = *out;
	m->out.n_fds = 0;
	m->out.fds = m->fds;
	m->out.body = m->body;
	m->out.tail = m->body + out->body_size;
	if (out->body_size)
		memcpy(m->body, out->body, out->body_size);
	if (out->tail_size)
		memcpy(m->body + out->body_size, out->tail, out->tail_size);
	for (unsigned i = 0; i < out->n_fds; i++) {
		m->fds[i] = fcntl(out->fds[i], F_DUPFD_CLOEXEC, 3);
		if (m->fds[i] < 0) {
			message_free(m);
			return NULL;
		}
		m->out.n_fds++;
	}
	return m;
}

int channel_open(struct channel *channel, struct loop *loop, int fd, loop_callback *callback, void *context,
		 struct err *err)
{
	*channel = (struct channel){.fd = fd};
	return loop_add(loop, &channel->watch, fd, EPOLLIN, callback, context, err);
}

int channel_send(struct channel *channel, struct loop *loop, const struct ipc_out *out, struct err *err)
{
	struct channel_message *copy;
	int r = channel->first ? -EAGAIN : ipc_send(channel->fd, out, err);

	if (r != -EAGAIN)
		return r;
	if (channel->n_queued == QUEUE_MAX)
		return err_set(err, ENOBUFS, "the peer left %d messages unread", QUEUE_MAX);
	copy = message_copy(out);
	if (!copy)
		return err_sys(err, ENOMEM, "queue a message");
	if (channel->first)
		channel->last->next = copy;
	else
		channel->first = copy;
	channel->last = copy;
	return channel->n_queued++ == 0 ? loop_modify(loop, &channel->watch, EPOLLIN | EPOLLOUT, err) : 0;
}

int channel_flush(struct channel *channel, struct loop *loop, struct err *err)
{
	while (channel->first) {
		struct channel_message *m = channel->first;
		int r = ipc_send(channel->fd, &m->out, err);

		if (r == -EAGAIN)
			return 0;
		if (r < 0)
			return r;
		channel->first = m->next;
		channel->n_queued--;
		message_free(m);
	}
	return loop_modify(loop, &channel->watch, EPOLLIN, err);
}

void channel_close(struct channel *channel, struct loop *loop)
{
	if (channel->fd < 0)
		return;
	loop_remove(loop, &channel->watch);
	fd_close(&channel->fd);
	while (channel->first) {
		struct channel_message *m = channel->first;

		channel->first = m->next;
		message_free(m);
	}
	channel->n_queued = 0;
}
