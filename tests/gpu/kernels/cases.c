#include "tests/gpu/kernels/cases.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The PTX is part of the program, so that it runs from any folder. */
#define EMBED(symbol, file) \
	__asm__(".section .rodata\n" \
		"ptx_" #symbol ": .incbin \"tests/gpu/kernels/" file "\"\n" \
		"ptx_" #symbol "_end: .byte 0\n" \
		".previous\n"); \
	extern const char ptx_##symbol[], ptx_##symbol##_end[];
/* clang-format off: it moves these at every run */
#define KERNELS(X) \
	X(vector_add, 5000) \
	X(saxpy, 5000) \
	X(reduce_sum, 100000) \
	X(reduce_tree, 5000) \
	X(sgemm, 200) \
	X(histogram, 100000) \
	X(mandelbrot, 150) \
	X(conv2d, 150) \
	X(thumbnail, 150) \
	X(softmax, 300) \
	X(layernorm, 2000) \
	X(scan, 5000) \
	X(nbody, 600) \
	X(alpha_blend, 5000) \
	X(transpose, 300) \
	X(device_call, 5000) \
	X(black_scholes, 3000) \
	X(votes, 5000) \
	X(atomics, 5000) \
	X(integer_mix, 5000) \
	X(switch_local, 5000)
#define VARIANTS(X) \
	X(softmax, fast) \
	X(device_call, fast) \
	X(layernorm, fast) \
	X(sgemm, debug) \
	X(device_call, debug) \
	X(histogram, debug) \
	X(switch_local, debug)
/* clang-format on */

#define X(name, max) EMBED(name, #name ".ptx")
KERNELS(X)
#undef X
#define X(name, variant) EMBED(name##_##variant, #name "." #variant ".ptx")
VARIANTS(X)
#undef X

const struct kernel_case kernel_cases[] = {
#define X(name, max) {#name, case_##name, max},
	KERNELS(X)
#undef X
};
const unsigned kernel_case_count = sizeof(kernel_cases) / sizeof(kernel_cases[0]);

static const struct {
	const char *name, *variant, *text, *end;
} texts[] = {
#define X(name, max) {#name, "", ptx_##name, ptx_##name##_end},
	KERNELS(X)
#undef X
#define X(name, variant) {#name, #variant, ptx_##name##_##variant, ptx_##name##_##variant##_end},
		VARIANTS(X)
#undef X
};

const char *kernel_ptx(const char *name, const char *variant, size_t *ret_size)
{
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		if (strcmp(texts[i].name, name) == 0 && strcmp(texts[i].variant, variant) == 0) {
			*ret_size = (size_t)(texts[i].end - texts[i].text);
			return texts[i].text;
		}
	return NULL;
}

/* --- random numbers -------------------------------------------------------------------------------------------------
 */

uint32_t random_u32(struct random *random)
{
	uint64_t x = random->state += 0x9e3779b97f4a7c15ull;

	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ull;
	x = (x ^ x >> 27) * 0x94d049bb133111ebull;
	return (uint32_t)((x ^ x >> 31) >> 16);
}

uint32_t random_below(struct random *random, uint32_t bound)
{
	return random_u32(random) % bound;
}

float random_float(struct random *random, float low, float high)
{
	return low + (high - low) * ((float)(random_u32(random) >> 8) / 16777216.0f);
}

/* --- memory and comparisons -----------------------------------------------------------------------------------------
 */

bool case_fail(struct backend *backend, const char *format, ...)
{
	va_list list;

	va_start(list, format);
	(void)vsnprintf(backend->error, sizeof(backend->error), format, list);
	va_end(list);
	return false;
}

struct array *case_array(struct case_memory *memory, size_t count, size_t size)
{
	struct array *array = &memory->arrays[memory->count++];

	array->bytes = count * size > 0 ? count * size : 1;
	array->host = calloc(1, array->bytes);
	array->device = memory->backend->alloc(memory->backend, array->bytes);
	memory->failed |= !array->host || !array->device;
	return array;
}

bool case_upload(struct case_memory *memory)
{
	for (unsigned i = 0; i < memory->count && !memory->failed; i++)
		memory->failed = !memory->backend->put(memory->backend, memory->arrays[i].device,
						       memory->arrays[i].host, memory->arrays[i].bytes);
	return !memory->failed;
}

bool case_download(struct case_memory *memory, struct array *array)
{
	return memory->backend->get(memory->backend, array->host, array->device, array->bytes);
}

bool case_done(struct case_memory *memory, bool result)
{
	for (unsigned i = 0; i < memory->count; i++) {
		free(memory->arrays[i].host);
		memory->backend->release(memory->backend, memory->arrays[i].device);
	}
	return result;
}

bool case_same(struct backend *backend, const char *what, size_t i, uint64_t got, uint64_t want)
{
	return got == want || case_fail(backend, "%s[%zu] is 0x%llx instead of 0x%llx", what, i,
					(unsigned long long)got, (unsigned long long)want);
}

bool case_near(struct backend *backend, const char *what, size_t i, double got, double want, double relative,
	       double absolute)
{
	return fabs(got - want) <= relative * fabs(want) + absolute ||
	       case_fail(backend, "%s[%zu] is %.9g instead of %.9g", what, i, got, want);
}

bool kernel_case_run(const struct kernel_case *test, struct backend *backend, uint64_t seed, const char *variant)
{
	static const uint32_t sizes[] = {0, 1, 2, 31, 32, 33, 64, 100, 255, 256, 257, 1023, 1024, 1025, 4097, 65537};
	struct random random = {seed};
	char reason[512];
	size_t size = 0;
	const char *text = kernel_ptx(test->name, variant, &size);

	if (!text)
		return case_fail(backend, "no PTX");
	if (!backend->load(backend, text, size))
		return false;
	for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]) + 2; i++) {
		uint32_t n = i < sizeof(sizes) / sizeof(sizes[0]) ? sizes[i] : random_below(&random, test->n_max) + 1;

		if (n > test->n_max || test->run(backend, &random, n))
			continue;
		memcpy(reason, backend->error, sizeof(reason));
		return case_fail(backend, "size %u: %.400s", n, reason);
	}
	return true;
}
