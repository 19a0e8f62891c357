#include "cudaexec/softdev/memory.h"
#include "supervisor/util.h"

#include <pthread.h>
#include <string.h>
#include <sys/mman.h>

#define SLACK (64u << 20) /* more addresses than capacity, so that fragmentation does not eat the quota */

struct block {
	uint64_t base;
	uint64_t size;	/* as asked for */
	uint64_t pages; /* bytes of the whole pages; 0 for a host range */
};

struct device_memory {
	pthread_rwlock_t lock;
	uint8_t *reservation;
	uint64_t reserved;
	uint64_t capacity;
	uint64_t used;
	struct block *blocks; /* sorted by base */
	size_t count;
	size_t room;
};

static uint64_t round_up(uint64_t value, uint64_t align)
{
	return (value + align - 1) & ~(align - 1);
}

int device_memory_new(uint64_t capacity, struct device_memory **ret_memory, struct err *err)
{
	uint64_t pages = round_up(capacity, DEVICE_MEMORY_PAGE), reserved = 2 * pages + SLACK;
	struct device_memory *memory;
	void *reservation;

	if (capacity == 0 || capacity > (uint64_t)1 << 44)
		return err_set(err, EINVAL, "device memory: capacity %llu is out of range",
			       (unsigned long long)capacity);
	reservation = mmap(NULL, reserved, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (reservation == MAP_FAILED)
		return err_sys(err, errno, "device memory: reserve %llu bytes of addresses",
			       (unsigned long long)reserved);
	memory = calloc(1, sizeof(*memory));
	if (!memory) {
		(void)munmap(reservation, reserved);
		return err_set(err, ENOMEM, "device memory: out of memory");
	}
	memory->capacity = pages;
	memory->reserved = reserved;
	memory->reservation = reservation;
	pthread_rwlock_init(&memory->lock, NULL);
	*ret_memory = memory;
	return 0;
}

void device_memory_free(struct device_memory *memory)
{
	if (!memory)
		return;
	(void)munmap(memory->reservation, memory->reserved);
	pthread_rwlock_destroy(&memory->lock);
	free(memory->blocks);
	free(memory);
}

/* The number of blocks that begin at or below ADDRESS. */
static size_t blocks_until(const struct device_memory *memory, uint64_t address)
{
	size_t low = 0, high = memory->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (memory->blocks[middle].base <= address)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static bool insert_block(struct device_memory *memory, size_t at, struct block block)
{
	if (memory->count == memory->room) {
		size_t room = memory->room ? 2 * memory->room : 64;
		struct block *blocks =
			room <= DEVICE_MEMORY_BLOCKS_MAX ? reallocarray(memory->blocks, room, sizeof(*blocks)) : NULL;

		if (!blocks)
			return false;
		memory->blocks = blocks;
		memory->room = room;
	}
	memmove(memory->blocks + at + 1, memory->blocks + at, (memory->count - at) * sizeof(block));
	memory->blocks[at] = block;
	memory->count++;
	return true;
}

static void remove_block(struct device_memory *memory, size_t at)
{
	memory->count--;
	memmove(memory->blocks + at, memory->blocks + at + 1, (memory->count - at) * sizeof(*memory->blocks));
}

/* First fit: the lowest gap of the reservation that holds PAGES bytes; RET_AT is the place in the sorted list. */
static uint64_t find_gap(const struct device_memory *memory, uint64_t pages, uint64_t align, size_t *ret_at)
{
	uint64_t start = (uint64_t)memory->reservation, end = start + memory->reserved;
	size_t i = blocks_until(memory, start - 1);

	for (uint64_t from = round_up(start, align);; from = round_up(from, align)) {
		bool inside = i < memory->count && memory->blocks[i].base < end;
		uint64_t until = inside ? memory->blocks[i].base : end;

		if (from < until && until - from >= pages) {
			*ret_at = i;
			return from;
		}
		if (!inside)
			return 0;
		from = memory->blocks[i].base + memory->blocks[i].pages;
		i++;
	}
}

uint64_t device_memory_alloc(struct device_memory *memory, uint64_t size, uint64_t align)
{
	uint64_t address = 0, pages;
	size_t at = 0;

	if (size == 0 || size > memory->capacity || align > DEVICE_MEMORY_ALIGN_MAX || (align & (align - 1)) != 0)
		return 0;
	pages = round_up(size, DEVICE_MEMORY_PAGE);
	pthread_rwlock_wrlock(&memory->lock);
	if (memory->capacity - memory->used >= pages)
		address = find_gap(memory, pages, MAX(align, (uint64_t)DEVICE_MEMORY_PAGE), &at);
	if (address && mprotect((void *)address, pages, PROT_READ | PROT_WRITE) < 0)
		address = 0;
	if (address && !insert_block(memory, at, (struct block){address, size, pages})) {
		(void)mprotect((void *)address, pages, PROT_NONE);
		address = 0;
	}
	if (address)
		memory->used += pages;
	pthread_rwlock_unlock(&memory->lock);
	return address;
}

bool device_memory_release(struct device_memory *memory, uint64_t address)
{
	bool found = false;
	size_t i;

	pthread_rwlock_wrlock(&memory->lock);
	i = blocks_until(memory, address);
	if (i > 0 && memory->blocks[i - 1].base == address && memory->blocks[i - 1].pages > 0) {
		uint64_t pages = memory->blocks[i - 1].pages;

		/* A fresh mapping drops the contents and the access rights in one step. */
		found = mmap((void *)address, pages, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED,
			     -1, 0) != MAP_FAILED;
		if (found) {
			remove_block(memory, i - 1);
			memory->used -= pages;
		}
	}
	pthread_rwlock_unlock(&memory->lock);
	return found;
}

bool device_memory_add_host(struct device_memory *memory, void *host, uint64_t size)
{
	uint64_t base = (uint64_t)host;
	bool added = false;
	size_t i;

	if (size == 0 || base == 0 || base + size < base)
		return false;
	pthread_rwlock_wrlock(&memory->lock);
	i = blocks_until(memory, base);
	if ((i == 0 || memory->blocks[i - 1].base + memory->blocks[i - 1].size <= base) &&
	    (i == memory->count || base + size <= memory->blocks[i].base) &&
	    (base + size <= (uint64_t)memory->reservation || base >= (uint64_t)memory->reservation + memory->reserved))
		added = insert_block(memory, i, (struct block){base, size, 0});
	pthread_rwlock_unlock(&memory->lock);
	return added;
}

bool device_memory_remove_host(struct device_memory *memory, void *host)
{
	bool found;
	size_t i;

	pthread_rwlock_wrlock(&memory->lock);
	i = blocks_until(memory, (uint64_t)host);
	found = i > 0 && memory->blocks[i - 1].base == (uint64_t)host && memory->blocks[i - 1].pages == 0;
	if (found)
		remove_block(memory, i - 1);
	pthread_rwlock_unlock(&memory->lock);
	return found;
}

bool device_memory_find(struct device_memory *memory, uint64_t address, struct device_range *ret_range)
{
	bool found;
	size_t i;

	pthread_rwlock_rdlock(&memory->lock);
	i = blocks_until(memory, address);
	found = i > 0 && address - memory->blocks[i - 1].base < memory->blocks[i - 1].size;
	if (found)
		*ret_range = (struct device_range){memory->blocks[i - 1].base, memory->blocks[i - 1].size};
	pthread_rwlock_unlock(&memory->lock);
	return found;
}

bool device_memory_check(struct device_memory *memory, uint64_t address, uint64_t length)
{
	struct device_range range;

	return length == 0 ||
	       (device_memory_find(memory, address, &range) && length <= range.size - (address - range.base));
}

void device_memory_info(struct device_memory *memory, uint64_t *ret_free, uint64_t *ret_total)
{
	pthread_rwlock_rdlock(&memory->lock);
	*ret_free = memory->capacity - memory->used;
	*ret_total = memory->capacity;
	pthread_rwlock_unlock(&memory->lock);
}
