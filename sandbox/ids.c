#include "sandbox/ids.h"

#include "supervisor/util.h"

#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>

#define FILE_NAME   "ids"
#define FILE_MAGIC  "ferids1"
#define BOOT_ID	    "/proc/sys/kernel/random/boot_id"
#define LOCK_NAP_NS 10000000

struct ids_file {
	char magic[8];
	char boot_id[40];
	uint32_t uid_base, first, count;
	uint32_t reserved;
	uint8_t leased[];
};

static size_t file_size(uint32_t count)
{
	return sizeof(struct ids_file) + count;
}

static int lock(int fd, uint64_t wait_us, struct err *err)
{
	uint64_t end = clock_monotonic_us() + wait_us;

	while (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		if (errno != EWOULDBLOCK)
			return err_sys(err, errno, "lock the id leases");
		if (clock_monotonic_us() >= end)
			return err_set(err, EBUSY, "another ferrite-sandbox uses these id leases");
		(void)nanosleep(&(struct timespec){.tv_nsec = LOCK_NAP_NS}, NULL);
	}
	return 0;
}

static int open_file(int directory_fd, uint32_t count, uint64_t wait_us, struct err *err)
{
	_cleanup_fd_ int fd = openat(directory_fd, FILE_NAME, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	struct stat st;
	int r;

	if (fd < 0)
		return err_sys(err, errno, "open the id leases");
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_uid != geteuid() || st.st_nlink != 1)
		return err_set(err, EPERM, "the id leases are no file of ours");
	r = lock(fd, wait_us, err);
	if (r < 0)
		return r;
	if (posix_fallocate(fd, 0, (off_t)file_size(count)) != 0)
		return err_sys(err, ENOSPC, "size the id leases");
	return take_fd(&fd);
}

int ids_open(struct ids *ids, int directory_fd, uint32_t uid_base, uint32_t first, uint32_t count, uint64_t wait_us,
	     struct err *err)
{
	_cleanup_free_ char *boot_id = NULL;
	_cleanup_fd_ int fd = open_file(directory_fd, count, wait_us, err);
	struct ids_file *file;
	int r = fd;

	if (r < 0)
		return r;
	r = (int)file_read(AT_FDCWD, BOOT_ID, sizeof(file->boot_id) - 1, &boot_id, err);
	if (r < 0)
		return r;
	file = mmap(NULL, file_size(count), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (file == MAP_FAILED)
		return err_sys(err, errno, "map the id leases");
	if (memcmp(file->magic, FILE_MAGIC, sizeof(file->magic)) != 0 || strcmp(file->boot_id, boot_id) != 0 ||
	    file->uid_base != uid_base || file->first != first || file->count != count) {
		memset(file, 0, file_size(count));
		memcpy(file->magic, FILE_MAGIC, sizeof(file->magic));
		memcpy(file->boot_id, boot_id, strlen(boot_id) + 1);
		file->uid_base = uid_base;
		file->first = first;
		file->count = count;
	}
	*ids = (struct ids){take_fd(&fd), file, first, count, uid_base};
	return 0;
}

unsigned ids_leased(const struct ids *ids)
{
	unsigned n = 0;

	for (uint32_t i = 0; i < ids->count; i++)
		n += ids->file->leased[i] != 0;
	return n;
}

unsigned ids_sweep(struct ids *ids)
{
	unsigned n = ids_leased(ids);

	memset(ids->file->leased, 0, ids->count);
	return n;
}

int ids_lease(struct ids *ids, uint32_t *ret_block, struct err *err)
{
	uint8_t *free_block = memchr(ids->file->leased, 0, ids->count);

	if (!free_block)
		return err_set(err, EUSERS, "all %u id ranges are in use (ids_blocks)", ids->count);
	*free_block = 1;
	*ret_block = ids->first + (uint32_t)(free_block - ids->file->leased);
	return 0;
}

void ids_release(struct ids *ids, uint32_t block)
{
	ids->file->leased[block - ids->first] = 0;
}

uint32_t ids_base(const struct ids *ids, uint32_t block)
{
	return ids->uid_base + block * IDS_PER_BLOCK;
}

void ids_close(struct ids *ids)
{
	if (ids->file)
		(void)munmap(ids->file, file_size(ids->count));
	ids->file = NULL;
	fd_close(&ids->fd);
}
