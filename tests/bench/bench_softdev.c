/*
 * The software device beside the same work as plain C (gcc -O3 for any x86-64 CPU), one thread each, interleaved.
 * Prints medians and their ratio.
 *
 * usage: bench_softdev [ROUNDS]
 */
#include "supervisor/util.h"
#include "tests/unit/softdev/engine_backend.h"

#include <math.h>
#include <string.h>

#define ROUNDS_MAX 101u
#define SIDE	   512
#define LENGTH	   (4 << 20)

struct work {
	struct engine engine;
	float *a, *b, *c;
	uint64_t da, db, dc;
};

static bool prepare(struct work *work, const char *kernel, size_t floats)
{
	size_t size = 0;
	const char *text = kernel_ptx(kernel, "", &size);
	struct random random = {1};
	struct backend *backend = &work->engine.backend;

	work->a = calloc(floats, sizeof(float));
	work->b = calloc(floats, sizeof(float));
	work->c = calloc(floats, sizeof(float));
	work->da = backend->alloc(backend, floats * sizeof(float));
	work->db = backend->alloc(backend, floats * sizeof(float));
	work->dc = backend->alloc(backend, floats * sizeof(float));
	if (!work->a || !work->b || !work->c || !work->dc || !backend->load(backend, text, size))
		return false;
	for (size_t i = 0; i < floats; i++) {
		work->a[i] = random_float(&random, -1, 1);
		work->b[i] = random_float(&random, -1, 1);
	}
	return backend->put(backend, work->da, work->a, floats * sizeof(float)) &&
	       backend->put(backend, work->db, work->b, floats * sizeof(float));
}

static void finish(struct work *work)
{
	struct backend *backend = &work->engine.backend;

	backend->release(backend, work->da);
	backend->release(backend, work->db);
	backend->release(backend, work->dc);
	free(work->a);
	free(work->b);
	free(work->c);
}

/* --- the three kernels, on both sides -------------------------------------------------------------------------------
 */

static void native_sgemm(struct work *work)
{
	for (int i = 0; i < SIDE; i++) {
		float *row = work->c + i * SIDE;

		memset(row, 0, SIDE * sizeof(float));
		for (int k = 0; k < SIDE; k++)
			for (int j = 0; j < SIDE; j++)
				row[j] += work->a[i * SIDE + k] * work->b[k * SIDE + j];
	}
}

static bool device_sgemm(struct work *work)
{
	int n = SIDE;

	return CASE_LAUNCH(&work->engine.backend, "sgemm", SIDE / 16, SIDE / 16, 16, 16, 0, ARG(work->da),
			   ARG(work->db), ARG(work->dc), ARG(n), ARG(n), ARG(n));
}

static const float left = -2.0f, low = -1.5f, step = 3.0f / SIDE;
static const int limit = 256;

static void native_mandelbrot(struct work *work)
{
	uint32_t *image = (uint32_t *)(void *)work->c;

	for (int py = 0; py < SIDE; py++)
		for (int px = 0; px < SIDE; px++) {
			float cx = left + step * (float)px, cy = low + step * (float)py, x = 0, y = 0;
			int n = 0;

			while (n < limit && x * x + y * y < 4.0f) {
				float next = x * x - y * y + cx;

				y = 2 * x * y + cy;
				x = next;
				n++;
			}
			image[py * SIDE + px] = (uint32_t)n;
		}
}

static bool device_mandelbrot(struct work *work)
{
	int n = SIDE;

	return CASE_LAUNCH(&work->engine.backend, "mandelbrot", SIDE / 16, SIDE / 16, 16, 16, 0, ARG(work->dc), ARG(n),
			   ARG(n), ARG(left), ARG(low), ARG(step), ARG(limit));
}

static void native_vector_add(struct work *work)
{
	for (int i = 0; i < LENGTH; i++)
		work->c[i] = work->a[i] + work->b[i];
}

static bool device_vector_add(struct work *work)
{
	int n = LENGTH;

	return CASE_LAUNCH(&work->engine.backend, "vector_add", LENGTH / 256, 1, 256, 1, 0, ARG(work->da),
			   ARG(work->db), ARG(work->dc), ARG(n));
}

static const struct {
	const char *name, *title;
	size_t floats;
	void (*native)(struct work *work);
	bool (*device)(struct work *work);
} kernels[] = {
	{"sgemm", "sgemm 512", SIDE *SIDE, native_sgemm, device_sgemm},
	{"mandelbrot", "mandelbrot 512", SIDE *SIDE, native_mandelbrot, device_mandelbrot},
	{"vector_add", "vector_add 4Mi", LENGTH, native_vector_add, device_vector_add},
};

static int by_value(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

static double median_ms(uint64_t *times, unsigned count)
{
	qsort(times, count, sizeof(*times), by_value);
	return (double)times[count / 2] / 1000.0;
}

int main(int argc, char **argv)
{
	unsigned rounds = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : 5;
	uint64_t native[ROUNDS_MAX], device[ROUNDS_MAX], start;
	static struct work work;

	rounds = MAX(1u, MIN(rounds, ROUNDS_MAX));
	engine_start(&work.engine, 128 * MIB, 1);
	for (size_t k = 0; k < ARRAY_LEN(kernels); k++) {
		double device_ms, native_ms;

		if (!prepare(&work, kernels[k].name, kernels[k].floats)) {
			fprintf(stderr, "%s: %s\n", kernels[k].title, work.engine.backend.error);
			return 1;
		}
		for (unsigned i = 0; i < rounds; i++) {
			start = clock_monotonic_us();
			kernels[k].native(&work);
			native[i] = clock_monotonic_us() - start;
			start = clock_monotonic_us();
			if (!kernels[k].device(&work)) {
				fprintf(stderr, "%s: %s\n", kernels[k].title, work.engine.backend.error);
				return 1;
			}
			device[i] = clock_monotonic_us() - start;
		}
		device_ms = median_ms(device, rounds);
		native_ms = median_ms(native, rounds);
		printf("%-16s software device %8.2f ms   native C %8.2f ms   ratio %.2f\n", kernels[k].title, device_ms,
		       native_ms, device_ms / native_ms);
		finish(&work);
	}
	engine_stop(&work.engine);
	return 0;
}
