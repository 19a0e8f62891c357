#include "api/spool.h"

#include "supervisor/util.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#define SPLICE_BYTES (1 << 20)

void spool_open(struct spool *spool, struct spool_totals *totals)
{
	*spool = (struct spool){.fd = -1, .totals = totals};
}

static _Atomic uint64_t *total_of(const struct spool *spool)
{
	return spool->fd >= 0 ? &spool->totals->files : &spool->totals->memory;
}

void spool_done(struct spool *spool)
{
	if (spool->counted > 0)
		atomic_fetch_sub(total_of(spool), spool->counted);
	if (spool->memory)
		evbuffer_free(spool->memory);
	if (spool->fd >= 0)
		atomic_fetch_sub(&spool->totals->open, 1);
	fd_close(&spool->fd);
	*spool = (struct spool){.fd = -1, .totals = spool->totals};
}

/* Not every file system can make a file that never had a name. */
static int make_file(const char *folder)
{
	char path[600];
	int fd = open(folder, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

	if (fd >= 0 || (errno != EOPNOTSUPP && errno != EISDIR && errno != ENOENT))
		return fd;
	(void)snprintf(path, sizeof(path), "%s/upload-XXXXXX", folder);
	fd = mkostemp(path, O_CLOEXEC);
	if (fd >= 0)
		(void)unlink(path);
	return fd;
}

static int failed(int code, const char *what, struct err *err)
{
	if (code == -EDQUOT || code == -EFBIG)
		code = -ENOSPC;
	return err_sys(err, -code, "%s", what);
}

static int copy_to_file(struct spool *spool, const struct spool_limits *limits, struct err *err)
{
	_cleanup_fd_ int fd = make_file(limits->folder);
	struct iovec parts[SPOOL_PARTS_MAX];
	int r = 0;

	if (fd < 0)
		return failed(-errno, "no file can be made in state_dir", err);
	if (atomic_fetch_add(&spool->totals->files, spool->counted) + spool->counted > limits->all_files)
		r = err_set(err, ENOBUFS, "too many bytes are being received");
	for (unsigned n; r == 0 && (n = spool_peek(spool, parts)) > 0;) {
		for (unsigned i = 0; r == 0 && i < n; i++) {
			r = fd_write_all(fd, parts[i].iov_base, parts[i].iov_len);
			spool->at += parts[i].iov_len;
		}
		if (r < 0)
			(void)failed(r, "state_dir cannot be written", err);
	}
	spool->at = 0;
	if (r < 0) {
		atomic_fetch_sub(&spool->totals->files, spool->counted);
		return err->code;
	}
	atomic_fetch_sub(&spool->totals->memory, spool->counted);
	spool->fd = take_fd(&fd);
	if (spool->memory)
		evbuffer_free(take_ptr(spool->memory));
	return 0;
}

/* What is in memory goes to a file, and the rest will. */
static int move_to_file(struct spool *spool, const struct spool_limits *limits, struct err *err)
{
	int r = -ENOBUFS;

	if (atomic_fetch_add(&spool->totals->open, 1) >= limits->all_open)
		(void)err_set(err, ENOBUFS, "too many bodies are being received");
	else
		r = copy_to_file(spool, limits, err);
	if (r < 0)
		atomic_fetch_sub(&spool->totals->open, 1);
	return r;
}

static bool needs_file(const struct spool *spool, const struct spool_limits *limits, size_t length)
{
	return spool->fd < 0 && (limits->in_memory == 0 || length + spool->length > limits->in_memory ||
				 length + atomic_load(&spool->totals->memory) > limits->all_memory);
}

static int append(struct spool *spool, const void *bytes, size_t length, struct err *err)
{
	int r;

	if (spool->fd >= 0) {
		r = fd_write_all(spool->fd, bytes, length);
		return r < 0 ? failed(r, "state_dir cannot be written", err) : 0;
	}
	if (!spool->memory)
		spool->memory = evbuffer_new();
	if (!spool->memory || evbuffer_add(spool->memory, bytes, length) < 0)
		return err_set(err, ENOMEM, "ferrite is out of memory");
	return 0;
}

int spool_add(struct spool *spool, const struct spool_limits *limits, const void *bytes, size_t length, struct err *err)
{
	int r = 0;

	if (length > limits->bytes - MIN(spool->length, limits->bytes))
		return err_set(err, EFBIG, "larger than %llu bytes", (unsigned long long)limits->bytes);
	if (needs_file(spool, limits, length))
		r = move_to_file(spool, limits, err);
	if (r < 0 || length == 0)
		return r;
	spool->counted += length;
	if (atomic_fetch_add(total_of(spool), length) + length > limits->all_files && spool->fd >= 0)
		return err_set(err, ENOBUFS, "too many bytes are being received");
	r = append(spool, bytes, length, err);
	if (r == 0)
		spool->length += length;
	return r;
}

int spool_take(struct spool *spool, struct evbuffer *buffer)
{
	size_t length = evbuffer_get_length(buffer);

	if (!spool->memory)
		spool->memory = evbuffer_new();
	if (!spool->memory || evbuffer_add_buffer(spool->memory, buffer) < 0)
		return -ENOMEM;
	spool->length += length;
	return 0;
}

void spool_rewind(struct spool *spool)
{
	spool->at = 0;
}

unsigned spool_peek(const struct spool *spool, struct iovec parts[SPOOL_PARTS_MAX])
{
	struct evbuffer_ptr at;
	int n;

	if (!spool->memory || spool->at == spool->length ||
	    evbuffer_ptr_set(spool->memory, &at, (size_t)spool->at, EVBUFFER_PTR_SET) < 0)
		return 0;
	n = evbuffer_peek(spool->memory, -1, &at, parts, SPOOL_PARTS_MAX);
	return (unsigned)MIN(MAX(n, 0), SPOOL_PARTS_MAX);
}

void spool_skip(struct spool *spool, uint64_t length)
{
	spool->at += length;
}

ssize_t spool_splice(struct spool *spool, int fd)
{
	loff_t at = (loff_t)spool->at;
	size_t length = (size_t)MIN(spool->length - spool->at, (uint64_t)SPLICE_BYTES);
	ssize_t n;

	do
		n = splice(spool->fd, &at, fd, NULL, length, SPLICE_F_NONBLOCK);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	/* Somebody cut a file that only we know. */
	if (n == 0)
		return -EIO;
	spool->at += (uint64_t)n;
	return n;
}
