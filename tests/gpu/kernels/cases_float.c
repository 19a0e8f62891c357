/* Cases of floating point kernels. */
#include "tests/gpu/kernels/cases.h"

#include <math.h>
#include <string.h>

static unsigned blocks_for(uint32_t n, uint32_t threads)
{
	return n == 0 ? 1 : (n + threads - 1) / threads;
}

static void fill(struct array *array, struct random *random, float low, float high)
{
	for (size_t i = 0; i < array->bytes / sizeof(float); i++)
		((float *)array->host)[i] = random_float(random, low, high);
}

static uint32_t bits_of(float x)
{
	uint32_t bits;

	memcpy(&bits, &x, sizeof(bits));
	return bits;
}

bool case_vector_add(struct backend *backend, struct random *random, uint32_t n)
{
	struct case_memory memory = {.backend = backend};
	struct array *a = case_array(&memory, n, 4), *b = case_array(&memory, n, 4), *c = case_array(&memory, n, 4);
	int count = (int)n;
	bool good;

	fill(a, random, -100, 100);
	fill(b, random, -100, 100);
	good = case_upload(&memory) &&
	       CASE_LAUNCH(backend, "vector_add", blocks_for(n, 256), 1, 256, 1, 0, ARG(a->device), ARG(b->device),
			   ARG(c->device), ARG(count)) &&
	       case_download(&memory, c);
	for (uint32_t i = 0; good && i < n; i++)
		good = case_same(backend, "sum", i, bits_of(((float *)c->host)[i]),
				 bits_of(((float *)a->host)[i] + ((float *)b->host)[i]));
	return case_done(&memory, good);
}

bool case_saxpy(struct backend *backend, struct random *random, uint32_t n)
{
	struct case_memory memory = {.backend = backend};
	struct array *x = case_array(&memory, n, 4), *y = case_array(&memory, n, 4), *old = case_array(&memory, n, 4);
	float a = random_float(random, -3, 3);
	int count = (int)n;
	bool good;

	fill(x, random, -10, 10);
	fill(y, random, -10, 10);
	memcpy(old->host, y->host, y->bytes);
	good = case_upload(&memory) &&
	       CASE_LAUNCH(backend, "saxpy", 7, 1, 96, 1, 0, ARG(count), ARG(a), ARG(x->device), ARG(y->device)) &&
	       case_download(&memory, y);
	for (uint32_t i = 0; good && i < n; i++)
		good = case_same(backend, "y", i, bits_of(((float *)y->host)[i]),
				 bits_of(fmaf(a, ((float *)x->host)[i], ((float *)old->host)[i])));
	return case_done(&memory, good);
}

bool case_reduce_sum(struct backend *backend, struct random *random, uint32_t n)
{
	struct case_memory memory = {.backend = backend};
	struct array *in = case_array(&memory, n, 4), *out = case_array(&memory, 1, 4);
	double sum = 0, size = 0;
	int count = (int)n;
	bool good;

	fill(in, random, -1, 1);
	for (uint32_t i = 0; i < n; i++) {
		sum += (double)((float *)in->host)[i];
		size += fabs((double)((float *)in->host)[i]);
	}
	good = case_upload(&memory) &&
	       CASE_LAUNCH(backend, "reduce_sum", 13, 1, 256, 1, 0, ARG(in->device), ARG(out->device), ARG(count)) &&
	       case_download(&memory, out) &&
	       case_near(backend, "sum", 0, (double)*(float *)out->host, sum, 0, 1e-6 * size + 1e-30);
	return case_done(&memory, good);
}

bool case_sgemm(struct backend *backend, struct random *random, uint32_t n)
{
	struct case_memory memory = {.backend = backend};
	int m = (int)n, columns = (int)random_below(random, n + 20) + 1, depth = (int)random_below(random, n + 20) + 1;
	struct array *a = case_array(&memory, n * (size_t)depth, 4);
	struct array *b = case_array(&memory, (size_t)depth * (size_t)columns, 4);
	struct array *c = case_array(&memory, n * (size_t)columns, 4);
	bool good;

	fill(a, random, -1, 1);
	fill(b, random, -1, 1);
	good = case_upload(&memory) &&
	       CASE_LAUNCH(backend, "sgemm", blocks_for((uint32_t)columns, 16), blocks_for(n, 16), 16, 16, 0,
			   ARG(a->device), ARG(b->device), ARG(c->device), ARG(m), ARG(columns), ARG(depth)) &&
	       case_download(&memory, c);
	for (int i = 0; good && i < m; i++)
		for (int j = 0; good && j < columns; j++) {
			float sum = 0;

			/* The same order as on the device, and one rounding per step; zeros of the padding change
			 * nothing. */
			for (int k = 0; k < depth; k++)
				sum = fmaf(((float *)a->host)[i * depth + k], ((float *)b->host)[k * columns + j], sum);
			good = case_near(backend, "c", (size_t)(i * columns + j),
					 (double)((float *)c->host)[i * columns + j], (double)sum, 0,
					 3e-7 * (depth + 1)); /* not every compiler option fuses */
		}
	return case_done(&memory, good);
}

bool case_softmax(struct backend *backend, struct random *random, uint32_t n)
{
	struct case_memory memory = {.backend = backend};
	int rows = (int)n, columns = (int)random_below(random, 200) + 1;
	struct array *in = case_array(&memory, n * (size_t)columns, 4),
		     *out = case_array(&memory, n * (size_t)columns, 4);
	bool good;

	fill(in, random, -20, 20);
	good = case_upload(&memory) &&
	       CASE_LAUNCH(backend, "softmax", 5, 1, 128, 1, 0, ARG(in->device), ARG(out->device), ARG(rows),
			   ARG(columns)) &&
	       case_download(&memory, out);
	for (int r = 0; good && r < rows; r++) {
		const float *row = (const float *)in->host + r * columns;
		double top = -1e30, sum = 0;

		for (int i = 0; i < columns; i++)
			top = fmax(top, (double)row[i]);
		for (int i = 0; i < columns; i++)
			sum += exp((double)row[i] - top);
		for (int i = 0; good && i < columns; i++)
			good = case_near(backend, "p", (size_t)(r * columns + i),
					 (double)((float *)out->host)[r * columns + i], exp((double)row[i] - top) / sum,
					 2e-5, 1e-12);
	}
	return case_done(&memory, good);
}

bool case_layernorm(struct backend *backend, struct random *random, uint32_t n)
{
	struct case_memory memory = {.backend = backend};
	uint32_t rows = random_below(random, 6) + 1;
	struct array *in = case_array(&memory, (size_t)rows * n, 4), *out = case_array(&memory, (size_t)rows * n, 4);
	struct array *gain = case_array(&memory, n, 4), *bias = case_array(&memory, n, 4);
	float epsilon = 1e-3f;
	int columns = (int)n;
	bool good;

	fill(in, random, -1, 2);
	fill(gain, random, -2, 2);
	fill(bias, random, -2, 2);
	good = case_upload(&memory) &&
	       CASE_LAUNCH(backend, "layernorm", rows, 1, 192, 1, 0, ARG(in->device), ARG(gain->device),
			   ARG(bias->device), ARG(out->device), ARG(columns), ARG(epsilon)) &&
	       case_download(&memory, out);
	for (uint32_t r = 0; good && r < rows; r++) {
		const float *row = (const float *)in->host + (size_t)r * n;
		double sum = 0, square = 0, mean, scale;

		for (uint32_t i = 0; i < n; i++) {
			sum += (double)row[i];
			square += (double)row[i] * (double)row[i];
		}
		mean = sum / n;
		scale = 1 / sqrt(square / n - mean * mean + (double)epsilon);
		for (uint32_t i = 0; good && i < n; i++)
			good = case_near(backend, "out", r * n + i, (double)((float *)out->host)[(size_t)r * n + i],
					 ((double)row[i] - mean) * scale * (double)((float *)gain->host)[i] +
						 (double)((float *)bias->host)[i],
					 1e-4, 2e-4);
	}
	return case_done(&memory, good);
}

bool case_nbody(struct backend *backend, struct random *random, uint32_t n)
{
	struct case_memory memory = {.backend = backend};
	struct array *position = case_array(&memory, n, 16), *acceleration = case_array(&memory, n, 16);
	const float *p = position->host;
	float softening = 0.01f;
	int count = (int)n;
	bool good;

	fill(position, random, 0.1f, 2);
	good = case_upload(&memory) &&
	       CASE_LAUNCH(backend, "nbody", blocks_for(n, 64), 1, 64, 1, 64 * 16, ARG(position->device),
			   ARG(acceleration->device), ARG(count), ARG(softening)) &&
	       case_download(&memory, acceleration);
	for (uint32_t i = 0; good && i < n; i++) {
		double sum[3] = {0}, size = 0;

		for (uint32_t j = 0; j < n; j++) {
			double d[3], r = (double)softening, strength;

			for (int k = 0; k < 3; k++) {
				d[k] = (double)p[4 * j + (uint32_t)k] - (double)p[4 * i + (uint32_t)k];
				r += d[k] * d[k];
			}
			strength = (double)p[4 * j + 3] / (r * sqrt(r));
			for (int k = 0; k < 3; k++)
				sum[k] += d[k] * strength;
			size += strength * sqrt(r);
		}
		for (int k = 0; good && k < 3; k++)
			good = case_near(backend, "acceleration", 4 * i + (uint32_t)k,
					 (double)((float *)acceleration->host)[4 * i + (uint32_t)k], sum[k], 1e-5,
					 2e-6 * size);
	}
	return case_done(&memory, good);
}

bool case_device_call(struct backend *backend, struct random *random, uint32_t n)
{
	struct case_memory memory = {.backend = backend};
	struct array *in = case_array(&memory, n, 4), *out = case_array(&memory, n, 4);
	float p = random_float(random, 0.5f, 2.5f);
	int count = (int)n;
	bool good;

	fill(in, random, -6, 6);
	/* Large angles take the other way through the reduction of sin and cos. */
	for (uint32_t i = 0; i < n; i += 7)
		((float *)in->host)[i] *= 40000;
	good = case_upload(&memory) &&
	       CASE_LAUNCH(backend, "device_call", blocks_for(n, 128), 1, 128, 1, 0, ARG(in->device), ARG(out->device),
			   ARG(count), ARG(p)) &&
	       case_download(&memory, out);
	for (uint32_t i = 0; good && i < n; i++) {
		double x = (double)((float *)in->host)[i], tripled = (double)(((float *)in->host)[i] * 3.0f);
		double want = pow(fabs(x) + 0.5, (double)p) + tanh(x) + sin(x) * cos(tripled) + log(fabs(x) + 1);

		/* Fast approximations of sin and cos are no use for large angles. */
		if (fabs(x) < 10)
			good = case_near(backend, "out", i, (double)((float *)out->host)[i], want, 2e-4, 2e-4);
		else
			good = case_near(backend, "out", i, (double)((float *)out->host)[i], want, 1e-4, 2.0);
	}
	return case_done(&memory, good);
}

static double normal(double x)
{
	double k = 1.0 / (1.0 + 0.2316419 * fabs(x));
	double tail =
		0.3989422804014327 * exp(-0.5 * x * x) *
		(k * (0.31938153 + k * (-0.356563782 + k * (1.781477937 + k * (-1.821255978 + k * 1.330274429)))));

	return x > 0.0 ? 1.0 - tail : tail;
}

bool case_black_scholes(struct backend *backend, struct random *random, uint32_t n)
{
	struct case_memory memory = {.backend = backend};
	struct array *arrays[5];
	double *h[5], rate = 0.02, volatility = 0.3;
	int count = (int)n;
	bool good;

	for (int k = 0; k < 5; k++) {
		arrays[k] = case_array(&memory, n, 8);
		h[k] = arrays[k]->host;
	}
	for (uint32_t i = 0; i < n; i++) {
		h[0][i] = (double)random_float(random, 5, 30);
		h[1][i] = (double)random_float(random, 1, 100);
		h[2][i] = (double)random_float(random, 0.25f, 10);
	}
	good = case_upload(&memory) &&
	       CASE_LAUNCH(backend, "black_scholes", blocks_for(n, 128), 1, 128, 1, 0, ARG(arrays[0]->device),
			   ARG(arrays[1]->device), ARG(arrays[2]->device), ARG(arrays[3]->device),
			   ARG(arrays[4]->device), ARG(rate), ARG(volatility), ARG(count)) &&
	       case_download(&memory, arrays[3]) && case_download(&memory, arrays[4]);
	for (uint32_t i = 0; good && i < n; i++) {
		double root = volatility * sqrt(h[2][i]);
		double d1 = (log(h[0][i] / h[1][i]) + (rate + 0.5 * volatility * volatility) * h[2][i]) / root,
		       d2 = d1 - root;
		double discounted = h[1][i] * exp(-rate * h[2][i]);

		good = case_near(backend, "call", i, h[3][i], h[0][i] * normal(d1) - discounted * normal(d2), 1e-11,
				 1e-11) &&
		       case_near(backend, "put", i, h[4][i], discounted * normal(-d2) - h[0][i] * normal(-d1), 1e-11,
				 1e-11);
	}
	return case_done(&memory, good);
}
