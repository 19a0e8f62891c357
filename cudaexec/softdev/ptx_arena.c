#include "cudaexec/softdev/ptx_arena.h"

#include <stdlib.h>
#include <string.h>

#define CHUNK 65536u
#define ALIGN 16u

struct ptx_arena_chunk {
	struct ptx_arena_chunk *next;
	size_t size;
	_Alignas(ALIGN) uint8_t bytes[];
};

void *ptx_arena_alloc(struct ptx_arena *arena, size_t size)
{
	struct ptx_arena_chunk *chunk;
	size_t room;

	if (size > SIZE_MAX / 2)
		return NULL;
	size = (size + ALIGN - 1) & ~(size_t)(ALIGN - 1);
	if (size > arena->left) {
		room = size > CHUNK / 4 ? size : CHUNK;
		chunk = calloc(1, sizeof(*chunk) + room);
		if (!chunk)
			return NULL;
		chunk->size = room;
		if (room != CHUNK && arena->chunks) {
			/* A large piece gets a chunk of its own behind the newest, which keeps its room. */
			chunk->next = arena->chunks->next;
			arena->chunks->next = chunk;
			return chunk->bytes;
		}
		chunk->next = arena->chunks;
		arena->chunks = chunk;
		arena->left = room;
	}
	arena->left -= size;
	return arena->chunks->bytes + arena->left;
}

void *ptx_arena_array(struct ptx_arena *arena, size_t count, size_t size)
{
	if (size != 0 && count > SIZE_MAX / 2 / size)
		return NULL;
	return ptx_arena_alloc(arena, count * size);
}

char *ptx_arena_text(struct ptx_arena *arena, const char *text, size_t length)
{
	char *copy = ptx_arena_alloc(arena, length + 1);

	if (copy)
		memcpy(copy, text, length);
	return copy;
}

void ptx_arena_free(struct ptx_arena *arena)
{
	struct ptx_arena_chunk *next;

	for (struct ptx_arena_chunk *chunk = arena->chunks; chunk; chunk = next) {
		next = chunk->next;
		free(chunk);
	}
	*arena = (struct ptx_arena){0};
}
