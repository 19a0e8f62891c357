/* Cases of kernels on images and matrices. */
#include "tests/gpu/kernels/cases.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static unsigned blocks_for(uint32_t n, uint32_t threads)
{
	return n == 0 ? 1 : (n + threads - 1) / threads;
}

static int clamp(int x, int low, int high)
{
	return x < low ? low : x > high ? high : x;
}

bool case_mandelbrot(struct backend *backend, struct random *random, uint32_t n)
{
	struct case_memory memory = {.backend = backend};
	int width = (int)n, height = (int)random_below(random, n + 10) + 1, limit = (int)random_below(random, 300);
	struct array *image = case_array(&memory, n * (size_t)height, 4);
	float x0 = -2.2f, y0 = -1.3f, step = 3.0f / (float)(n + 1);
	bool good = case_upload(&memory) &&
		    CASE_LAUNCH(backend, "mandelbrot", blocks_for(n, 16), blocks_for((uint32_t)height, 8), 16, 8, 0,
				ARG(image->device), ARG(width), ARG(height), ARG(x0), ARG(y0), ARG(step), ARG(limit)) &&
		    case_download(&memory, image);

	for (int py = 0; good && py < height; py++)
		for (int px = 0; good && px < width; px++) {
			const uint8_t *got = (const uint8_t *)image->host + 4 * (py * width + px);
			float cx = fmaf((float)px, step, x0), cy = fmaf((float)py, step, y0), x = 0, y = 0;
			int i = 0;

			while (i < limit && x * x + y * y < 4.0f) {
				float next = cx + (x * x - y * y);

				y = fmaf(x + x, y, cy);
				x = next;
				i++;
			}
			good = case_same(backend, "image", (size_t)(py * width + px),
					 (uint32_t)(got[0] | got[1] << 8 | got[2] << 16) | (uint32_t)got[3] << 24,
					 (uint32_t)((i & 255) | ((i >> 2) & 255) << 8 | ((i * 7) & 255) << 16) |
						 255u << 24);
		}
	return case_done(&memory, good);
}

bool case_conv2d(struct backend *backend, struct random *random, uint32_t n)
{
	struct case_memory memory = {.backend = backend};
	int width = (int)n, height = (int)random_below(random, n + 10) + 1;
	struct array *in = case_array(&memory, n * (size_t)height, 4),
		     *out = case_array(&memory, n * (size_t)height, 4);
	const float *pixels = in->host;
	float weights[25];
	uint64_t address = 0;
	bool good;

	for (int i = 0; i < 25; i++)
		weights[i] = random_float(random, -1, 1);
	for (size_t i = 0; i < n * (size_t)height; i++)
		((float *)in->host)[i] = random_float(random, 0, 1);
	good = case_upload(&memory) && backend->variable(backend, "weights", &address) &&
	       backend->put(backend, address, weights, sizeof(weights)) &&
	       CASE_LAUNCH(backend, "conv2d", blocks_for(n, 32), blocks_for((uint32_t)height, 4), 32, 4, 0,
			   ARG(in->device), ARG(out->device), ARG(width), ARG(height)) &&
	       case_download(&memory, out);
	for (int y = 0; good && y < height; y++)
		for (int x = 0; good && x < width; x++) {
			float sum = 0;

			for (int j = 0; j < 5; j++)
				for (int i = 0; i < 5; i++)
					sum = fmaf(weights[j * 5 + i],
						   pixels[clamp(y + j - 2, 0, height - 1) * width +
							  clamp(x + i - 2, 0, width - 1)],
						   sum);
			good = case_near(backend, "out", (size_t)(y * width + x),
					 (double)((float *)out->host)[y * width + x], (double)sum, 0, 1e-30);
		}
	return case_done(&memory, good);
}

bool case_thumbnail(struct backend *backend, struct random *random, uint32_t n)
{
	struct case_memory memory = {.backend = backend};
	int width = (int)n, height = (int)random_below(random, n + 10) + 1, channels = (int)random_below(random, 4) + 1;
	int in_width = (int)random_below(random, 3 * n + 1) + 1, in_height = (int)random_below(random, 300) + 1;
	struct array *in = case_array(&memory, (size_t)(in_width * in_height * channels), 1);
	struct array *out = case_array(&memory, (size_t)(width * height * channels), 1);
	const uint8_t *pixels = in->host;
	bool good;

	for (int i = 0; i < in_width * in_height * channels; i++)
		((uint8_t *)in->host)[i] = (uint8_t)random_u32(random);
	good = case_upload(&memory) &&
	       CASE_LAUNCH(backend, "thumbnail", blocks_for(n, 16), blocks_for((uint32_t)height, 16), 16, 16, 0,
			   ARG(in->device), ARG(in_width), ARG(in_height), ARG(out->device), ARG(width), ARG(height),
			   ARG(channels)) &&
	       case_download(&memory, out);
	for (int i = 0; good && i < width * height * channels; i++) {
		int c = i % channels, x = i / channels % width, y = i / channels / width,
		    got = ((uint8_t *)out->host)[i];
		double fx = (x + 0.5) * in_width / width - 0.5, fy = (y + 0.5) * in_height / height - 0.5;
		double ax = fx - floor(fx), ay = fy - floor(fy), p[4], want;

		for (int k = 0; k < 4; k++)
			p[k] = pixels[(clamp((int)floor(fy) + k / 2, 0, in_height - 1) * in_width +
				       clamp((int)floor(fx) + k % 2, 0, in_width - 1)) *
					      channels +
				      c];
		want = p[0] + ax * (p[1] - p[0]);
		want += ay * (p[2] + ax * (p[3] - p[2]) - want);
		/* Rounded to a whole number from floats: half a step and what floats lose at large coordinates. */
		good = case_near(backend, "out", (size_t)i, got, want, 0, 0.52);
	}
	return case_done(&memory, good);
}

bool case_alpha_blend(struct backend *backend, struct random *random, uint32_t n)
{
	struct case_memory memory = {.backend = backend};
	struct array *over = case_array(&memory, n, 4), *under = case_array(&memory, n, 4),
		     *out = case_array(&memory, n, 4);
	const uint8_t *a = over->host, *b = under->host, *got = out->host;
	int count = (int)n;
	bool good;

	for (uint32_t i = 0; i < n; i++) {
		((uint32_t *)over->host)[i] = random_u32(random);
		((uint32_t *)under->host)[i] = random_u32(random);
	}
	good = case_upload(&memory) &&
	       CASE_LAUNCH(backend, "alpha_blend", blocks_for(n, 64), 1, 64, 1, 0, ARG(over->device),
			   ARG(under->device), ARG(out->device), ARG(count)) &&
	       case_download(&memory, out);
	for (uint32_t i = 0; good && i < 4 * n; i++) {
		int alpha = a[i | 3];

		good = case_same(backend, "out", i, got[i],
				 (i & 3) == 3 ? (uint64_t)(a[i] > b[i] ? a[i] : b[i])
					      : (uint64_t)((a[i] * alpha + b[i] * (255 - alpha) + 127) / 255));
	}
	return case_done(&memory, good);
}

bool case_transpose(struct backend *backend, struct random *random, uint32_t n)
{
	struct case_memory memory = {.backend = backend};
	int width = (int)n, height = (int)random_below(random, n + 40) + 1;
	struct array *in = case_array(&memory, n * (size_t)height, 4),
		     *out = case_array(&memory, n * (size_t)height, 4);
	bool good;

	for (size_t i = 0; i < n * (size_t)height; i++)
		((uint32_t *)in->host)[i] = random_u32(random);
	good = case_upload(&memory) &&
	       CASE_LAUNCH(backend, "transpose", blocks_for(n, 32), blocks_for((uint32_t)height, 32), 32, 8, 0,
			   ARG(in->device), ARG(out->device), ARG(width), ARG(height)) &&
	       case_download(&memory, out);
	for (int y = 0; good && y < height; y++)
		for (int x = 0; good && x < width; x++)
			good = case_same(backend, "out", (size_t)(x * height + y),
					 ((uint32_t *)out->host)[x * height + y],
					 ((uint32_t *)in->host)[y * width + x]);
	return case_done(&memory, good);
}
