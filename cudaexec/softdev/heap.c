#include "cudaexec/softdev/heap.h"

#include <stdlib.h>

#define UNIT 32u /* bytes; a smaller request takes one */
#define USED 0x80000000u

/* The units form runs, free or used; the length of a run stands at its first unit, the words of the others are 0. */
struct heap {
	uint64_t base;
	uint32_t units;
	uint32_t rover; /* where the search goes on */
	uint32_t *runs;
};

struct heap *heap_new(uint64_t base, uint64_t bytes)
{
	struct heap *heap = calloc(1, sizeof(*heap));

	if (!heap || bytes / UNIT >= USED || bytes < UNIT) {
		free(heap);
		return NULL;
	}
	heap->base = base;
	heap->units = (uint32_t)(bytes / UNIT);
	heap->runs = calloc(heap->units, sizeof(uint32_t));
	if (!heap->runs) {
		free(heap);
		return NULL;
	}
	heap->runs[0] = heap->units;
	return heap;
}

void heap_free(struct heap *heap)
{
	if (!heap)
		return;
	free(heap->runs);
	free(heap);
}

/* Searches [from, until) for NEEDED units, joining free runs on the way; returns the unit, or UNITS. */
static uint32_t find_run(struct heap *heap, uint32_t from, uint32_t until, uint32_t needed)
{
	for (uint32_t at = from; at < until; at += heap->runs[at] & ~USED) {
		uint32_t next;

		if (heap->runs[at] & USED)
			continue;
		while ((next = at + heap->runs[at]) < heap->units && !(heap->runs[next] & USED)) {
			heap->runs[at] += heap->runs[next];
			heap->runs[next] = 0;
			if (heap->rover == next)
				heap->rover = at;
		}
		if (heap->runs[at] >= needed)
			return at;
	}
	return heap->units;
}

uint64_t heap_alloc(struct heap *heap, uint64_t size)
{
	uint32_t needed, at;

	if (size == 0 || size > (uint64_t)heap->units * UNIT)
		return 0;
	needed = (uint32_t)((size + UNIT - 1) / UNIT);
	at = find_run(heap, heap->rover, heap->units, needed);
	if (at == heap->units)
		at = find_run(heap, 0, heap->units, needed);
	if (at == heap->units)
		return 0;
	if (heap->runs[at] > needed)
		heap->runs[at + needed] = heap->runs[at] - needed;
	heap->runs[at] = needed | USED;
	heap->rover = at + needed < heap->units ? at + needed : 0;
	return heap->base + (uint64_t)at * UNIT;
}

bool heap_release(struct heap *heap, uint64_t address)
{
	uint64_t offset = address - heap->base;
	uint32_t unit = (uint32_t)(offset / UNIT);

	if (address < heap->base || offset % UNIT != 0 || offset / UNIT >= heap->units)
		return false;
	if (!(heap->runs[unit] & USED))
		return false;
	heap->runs[unit] &= ~USED;
	if (heap->rover > unit)
		heap->rover = unit;
	return true;
}
