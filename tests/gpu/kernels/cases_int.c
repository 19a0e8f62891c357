/* Cases of integer kernels: all exact. */
#include "tests/gpu/kernels/cases.h"

#include <stdlib.h>
#include <string.h>

static unsigned blocks_for(uint32_t n, uint32_t threads)
{
	return n == 0 ? 1 : (n + threads - 1) / threads;
}

static void fill(struct array *array, struct random *random, uint32_t n)
{
	static const uint32_t edges[] = {0, 1, 0xffffffffu, 0x80000000u, 0x7fffffffu, 0xfffffffeu, 2, 10};

	for (uint32_t i = 0; i < n; i++)
		((uint32_t *)array->host)[i] =
			random_below(random, 8) == 0 ? edges[random_below(random, 8)] : random_u32(random);
}

bool case_reduce_tree(struct backend *backend, struct random *random, uint32_t n)
{
	struct case_memory memory = {.backend = backend};
	unsigned threads = 1u << (5 + random_below(random, 6)), blocks = blocks_for(n, threads);
	struct array *in = case_array(&memory, n, 4), *out = case_array(&memory, blocks, 4);
	int count = (int)n;
	bool good;

	fill(in, random, n);
	good = case_upload(&memory) &&
	       CASE_LAUNCH(backend, "reduce_tree", blocks, 1, threads, 1, 4 * threads, ARG(in->device),
			   ARG(out->device), ARG(count)) &&
	       case_download(&memory, out);
	for (uint32_t b = 0; good && b < blocks; b++) {
		uint32_t sum = 0;

		for (uint32_t i = b * threads; i < n && i < (b + 1) * threads; i++)
			sum += ((uint32_t *)in->host)[i];
		good = case_same(backend, "sum", b, ((uint32_t *)out->host)[b], sum);
	}
	return case_done(&memory, good);
}

bool case_histogram(struct backend *backend, struct random *random, uint32_t n)
{
	struct case_memory memory = {.backend = backend};
	struct array *data = case_array(&memory, n, 1), *bins = case_array(&memory, 256, 4);
	uint32_t want[256] = {0};
	int count = (int)n;
	bool good;

	for (uint32_t i = 0; i < n; i++)
		want[((uint8_t *)data->host)[i] = (uint8_t)(random_u32(random) & random_u32(random))]++;
	good = case_upload(&memory) &&
	       CASE_LAUNCH(backend, "histogram", 9, 1, 160, 1, 0, ARG(data->device), ARG(bins->device), ARG(count)) &&
	       case_download(&memory, bins);
	for (uint32_t i = 0; good && i < 256; i++)
		good = case_same(backend, "bins", i, ((uint32_t *)bins->host)[i], want[i]);
	return case_done(&memory, good);
}

bool case_scan(struct backend *backend, struct random *random, uint32_t n)
{
	struct case_memory memory = {.backend = backend};
	unsigned threads = 32u * (1 + random_below(random, 32)), blocks = blocks_for(n, threads);
	struct array *data = case_array(&memory, n, 4), *totals = case_array(&memory, blocks, 4);
	struct array *old = case_array(&memory, n, 4);
	int count = (int)n;
	bool good;

	fill(data, random, n);
	memcpy(old->host, data->host, data->bytes);
	good = case_upload(&memory) &&
	       CASE_LAUNCH(backend, "scan", blocks, 1, threads, 1, 4 * threads, ARG(data->device), ARG(totals->device),
			   ARG(count)) &&
	       case_download(&memory, data) && case_download(&memory, totals);
	for (uint32_t b = 0; good && b < blocks; b++) {
		uint32_t sum = 0;

		for (uint32_t i = b * threads; good && i < n && i < (b + 1) * threads; i++) {
			sum += ((uint32_t *)old->host)[i];
			good = case_same(backend, "data", i, ((uint32_t *)data->host)[i], sum);
		}
		good = good && case_same(backend, "totals", b, ((uint32_t *)totals->host)[b], sum);
	}
	return case_done(&memory, good);
}

static uint32_t reverse(uint32_t x)
{
	uint32_t r = 0;

	for (int i = 0; i < 32; i++)
		r |= (x >> i & 1) << (31 - i);
	return r;
}

bool case_votes(struct backend *backend, struct random *random, uint32_t n)
{
	struct case_memory memory = {.backend = backend};
	unsigned blocks = blocks_for(n, 96), warps = 3 * blocks;
	struct array *in = case_array(&memory, n, 4), *out = case_array(&memory, warps, 32);
	int count = (int)n;
	bool good;

	fill(in, random, n);
	if (random_below(random, 2))
		for (uint32_t i = 0; i < n; i++)
			((int *)in->host)[i] &= 0x7f;
	good = case_upload(&memory) &&
	       CASE_LAUNCH(backend, "votes", blocks, 1, 96, 1, 0, ARG(in->device), ARG(out->device), ARG(count)) &&
	       case_download(&memory, out);
	for (uint32_t w = 0; good && w < warps; w++) {
		uint32_t ballot = 0, any = 0, all = 1, want[8];

		for (uint32_t lane = 0; lane < 32; lane++) {
			int value = 32 * w + lane < n ? ((int *)in->host)[32 * w + lane] : 0;

			ballot |= (uint32_t)(value & 1) << lane;
			any |= value > 100;
			all &= value >= 0;
		}
		memcpy(want,
		       (uint32_t[]){ballot, any, all, (uint32_t)__builtin_ffs((int)ballot), reverse(ballot),
				    (uint32_t)__builtin_popcount(ballot), 0xffffffffu,
				    ballot ? (uint32_t)__builtin_clz(ballot) : 32},
		       sizeof(want));
		for (uint32_t k = 0; good && k < 8; k++)
			good = case_same(backend, "out", 8 * w + k, ((uint32_t *)out->host)[8 * w + k], want[k]);
	}
	return case_done(&memory, good);
}

bool case_atomics(struct backend *backend, struct random *random, uint32_t n)
{
	struct case_memory memory = {.backend = backend};
	struct array *in = case_array(&memory, n, 4), *result = case_array(&memory, 12, 4);
	int32_t *r = result->host, want[12], count = (int)n;
	const int32_t *values = in->host;
	uint64_t sum = 0;
	float floats = 0;
	bool good;

	fill(in, random, n);
	r[0] = INT32_MIN;
	r[1] = INT32_MAX;
	r[5] = -1;
	memcpy(want, r, sizeof(want));
	for (uint32_t i = 0; i < n; i++) {
		want[0] = values[i] > want[0] ? values[i] : want[0];
		want[1] = values[i] < want[1] ? values[i] : want[1];
		want[2] = 42;
		want[3] = 77;
		want[4] |= values[i];
		want[5] &= values[i];
		want[6] ^= values[i];
		want[7] = want[7] >= 9 ? 0 : want[7] + 1;
		sum += (uint64_t)(int64_t)values[i];
		floats += 1;
		want[11] = (int32_t)((uint32_t)want[11] + (uint32_t)values[i]);
	}
	memcpy(&want[8], &sum, sizeof(sum));
	memcpy(&want[10], &floats, sizeof(floats));
	good = case_upload(&memory) &&
	       CASE_LAUNCH(backend, "atomics", blocks_for(n, 128), 1, 128, 1, 0, ARG(in->device), ARG(result->device),
			   ARG(count)) &&
	       case_download(&memory, result);
	for (uint32_t i = 0; good && i < 12; i++)
		good = case_same(backend, "result", i, (uint32_t)r[i], (uint32_t)want[i]);
	return case_done(&memory, good);
}

static uint32_t mix(int32_t x, int32_t y)
{
	uint32_t ux = (uint32_t)x, uy = (uint32_t)y, h = ux * 2654435761u;
	int64_t wide = (int64_t)x * y;
	uint32_t bytes[8];

	for (int i = 0; i < 4; i++) {
		bytes[i] = ux >> (8 * i) & 255;
		bytes[4 + i] = uy >> (8 * i) & 255;
	}
	h ^= y != 0 && !(x == INT32_MIN && y == -1) ? (uint32_t)(x / y) ^ (uint32_t)(x % y) << 7 : 1u;
	h += uy != 0 ? ux / uy + ux % uy : 3u;
	h ^= (uint32_t)(wide >> 32) + (uint32_t)((uint64_t)ux * uy >> 32);
	h = (uint32_t)(((uint64_t)ux << 32 | h) << (uy & 31) >> 32);
	h ^= bytes[0] | bytes[4] << 8 | bytes[1] << 16 | bytes[5] << 24;
	h += (uint32_t)(wide >> 13) ^ (uint32_t)((uint64_t)wide % 1000003ull);
	h ^= (uint32_t)(x ? __builtin_clz(ux) : 32) << 3 | (uint32_t)__builtin_popcount(uy) << 11;
	h += (uint32_t)abs(x >> 1) + (uint32_t)(x < y ? x : y) + (uint32_t)(x > y ? x : y);
	return h ^ (uint32_t)(wide / 10);
}

bool case_integer_mix(struct backend *backend, struct random *random, uint32_t n)
{
	struct case_memory memory = {.backend = backend};
	struct array *a = case_array(&memory, n, 4), *b = case_array(&memory, n, 4), *out = case_array(&memory, n, 4);
	int count = (int)n;
	bool good;

	fill(a, random, n);
	fill(b, random, n);
	good = case_upload(&memory) &&
	       CASE_LAUNCH(backend, "integer_mix", blocks_for(n, 256), 1, 256, 1, 0, ARG(a->device), ARG(b->device),
			   ARG(out->device), ARG(count)) &&
	       case_download(&memory, out);
	for (uint32_t i = 0; good && i < n; i++)
		good = case_same(backend, "out", i, ((uint32_t *)out->host)[i],
				 mix(((int *)a->host)[i], ((int *)b->host)[i]));
	return case_done(&memory, good);
}

/* As in switch_local.cu, in unsigned arithmetic: the sums may overflow. */
static uint32_t walk(uint32_t x, uint32_t i)
{
	uint32_t table[16], r = 0;

	for (uint32_t j = 0; j < 16; j++)
		table[j] = j * x + (j ^ i);
	for (uint32_t j = 0; j < 8; j++) {
		uint32_t k = (uint32_t)((int32_t)x >> j) & 15;

		switch (k) {
		case 0:
			r += table[(x + j) & 15];
			break;
		case 1:
			r -= table[k];
			break;
		case 2:
			r ^= table[(k + j) & 15] << 1;
			break;
		case 3:
			r = r * 3 + 1;
			break;
		case 5:
			r += j;
			table[j] = r;
			break;
		case 7:
			r = ~r;
			break;
		case 9:
			r = r << 3 | r >> 29;
			break;
		case 12:
			table[(k + r) & 15] += r;
			break;
		default:
			r += k;
			break;
		}
	}
	return r + table[r & 15];
}

bool case_switch_local(struct backend *backend, struct random *random, uint32_t n)
{
	struct case_memory memory = {.backend = backend};
	struct array *in = case_array(&memory, n, 4), *out = case_array(&memory, n, 4);
	int count = (int)n;
	bool good;

	fill(in, random, n);
	good = case_upload(&memory) &&
	       CASE_LAUNCH(backend, "switch_local", blocks_for(n, 64), 1, 64, 1, 0, ARG(in->device), ARG(out->device),
			   ARG(count)) &&
	       case_download(&memory, out);
	for (uint32_t i = 0; good && i < n; i++)
		good = case_same(backend, "out", i, ((uint32_t *)out->host)[i], walk(((uint32_t *)in->host)[i], i));
	return case_done(&memory, good);
}
