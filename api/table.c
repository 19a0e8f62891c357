#include "api/table.h"

#include "supervisor/util.h"

#include <pthread.h>
#include <string.h>

#define BUCKETS_MIN 64

int table_open(struct table *table, struct err *err)
{
	*table = (struct table){.buckets = calloc(BUCKETS_MIN, sizeof(struct table_node *)), .n_buckets = BUCKETS_MIN};
	return table->buckets ? 0 : err_sys(err, ENOMEM, "hash table");
}

void table_close(struct table *table)
{
	free(table->buckets);
	*table = (struct table){0};
}

static void grow(struct table *table)
{
	size_t n = table->n_buckets * 2;
	struct table_node **buckets = calloc(n, sizeof(struct table_node *));

	if (!buckets)
		return;
	for (size_t i = 0; i < table->n_buckets; i++)
		while (table->buckets[i]) {
			struct table_node *node = table->buckets[i];

			table->buckets[i] = node->next;
			node->next = buckets[node->hash & (n - 1)];
			buckets[node->hash & (n - 1)] = node;
		}
	free(table->buckets);
	table->buckets = buckets;
	table->n_buckets = n;
}

void table_insert(struct table *table, struct table_node *node, uint64_t hash)
{
	if (table->count >= table->n_buckets)
		grow(table);
	node->hash = hash;
	node->next = table->buckets[hash & (table->n_buckets - 1)];
	table->buckets[hash & (table->n_buckets - 1)] = node;
	table->count++;
}

void table_remove(struct table *table, struct table_node *node)
{
	struct table_node **at = &table->buckets[node->hash & (table->n_buckets - 1)];

	while (*at && *at != node)
		at = &(*at)->next;
	if (*at) {
		*at = node->next;
		node->next = NULL;
		table->count--;
	}
}

static struct table_node *same_hash(struct table_node *node, uint64_t hash)
{
	while (node && node->hash != hash)
		node = node->next;
	return node;
}

struct table_node *table_first(const struct table *table, uint64_t hash)
{
	return same_hash(table->buckets[hash & (table->n_buckets - 1)], hash);
}

struct table_node *table_next(const struct table_node *node, uint64_t hash)
{
	return same_hash(node->next, hash);
}

struct table_node *table_any(const struct table *table)
{
	for (size_t i = 0; table->count > 0 && i < table->n_buckets; i++)
		if (table->buckets[i])
			return table->buckets[i];
	return NULL;
}

static uint64_t seed;

static void make_seed(void)
{
	random_bytes(&seed, sizeof(seed));
}

uint64_t table_hash_u64(uint64_t value)
{
	value ^= value >> 32;
	value *= 0xd6e8feb86659fd93u;
	value ^= value >> 32;
	value *= 0xd6e8feb86659fd93u;
	return value ^ (value >> 32);
}

uint64_t table_hash(const void *bytes, size_t length)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	const unsigned char *at = bytes;
	uint64_t hash;

	(void)pthread_once(&once, make_seed);
	hash = seed ^ table_hash_u64(length);
	for (; length >= sizeof(uint64_t); length -= sizeof(uint64_t), at += sizeof(uint64_t)) {
		uint64_t word;

		memcpy(&word, at, sizeof(word));
		hash = table_hash_u64(hash ^ word);
	}
	if (length > 0) {
		uint64_t word = 0;

		memcpy(&word, at, length);
		hash = table_hash_u64(hash ^ word);
	}
	return hash;
}
