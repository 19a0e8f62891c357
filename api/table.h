/*
 * An intrusive hash table: nodes are embedded in their owners, the table owns only its bucket array. Not thread safe;
 * each user has its own lock. Growing happens on insertion; when there is no memory for it the chains get longer, so
 * insertion never fails after table_open().
 */
#ifndef FERRITE_API_TABLE_H
#define FERRITE_API_TABLE_H

#include "supervisor/err.h"

#include <stddef.h>
#include <stdint.h>

struct table_node {
	struct table_node *next;
	uint64_t hash;
};

struct table {
	struct table_node **buckets;
	size_t n_buckets; /* a power of two */
	size_t count;
};

int table_open(struct table *table, struct err *err);
void table_close(struct table *table);

void table_insert(struct table *table, struct table_node *node, uint64_t hash);
void table_remove(struct table *table, struct table_node *node);

/* The chain that may hold HASH: walk it with table_next() and compare keys. */
struct table_node *table_first(const struct table *table, uint64_t hash);
struct table_node *table_next(const struct table_node *node, uint64_t hash);

/* Any node, or NULL when the table is empty: for emptying it. */
struct table_node *table_any(const struct table *table);

/* Hash of bytes; seeded once per process, so that names from outside cannot be chosen to collide. */
uint64_t table_hash(const void *bytes, size_t length);
/* Hash of a number chosen by our own programs. */
uint64_t table_hash_u64(uint64_t value);

#define TABLE_OWNER(node, type, member) ((type *)(void *)((char *)(node)-offsetof(type, member)))

#endif
