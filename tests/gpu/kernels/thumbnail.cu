/* Bilinear scaling of an interleaved 8-bit image. */
extern "C" __global__ void thumbnail(const unsigned char *in, int in_width, int in_height, unsigned char *out,
				     int out_width, int out_height, int channels)
{
	int x = blockIdx.x * blockDim.x + threadIdx.x;
	int y = blockIdx.y * blockDim.y + threadIdx.y;

	if (x >= out_width || y >= out_height)
		return;
	float fx = ((float)x + 0.5f) * (float)in_width / (float)out_width - 0.5f;
	float fy = ((float)y + 0.5f) * (float)in_height / (float)out_height - 0.5f;
	int x0 = (int)floorf(fx), y0 = (int)floorf(fy);
	float ax = fx - (float)x0, ay = fy - (float)y0;
	int x1 = min(max(x0 + 1, 0), in_width - 1), y1 = min(max(y0 + 1, 0), in_height - 1);

	x0 = min(max(x0, 0), in_width - 1);
	y0 = min(max(y0, 0), in_height - 1);
	for (int c = 0; c < channels; c++) {
		float p00 = in[(y0 * in_width + x0) * channels + c], p10 = in[(y0 * in_width + x1) * channels + c];
		float p01 = in[(y1 * in_width + x0) * channels + c], p11 = in[(y1 * in_width + x1) * channels + c];
		float top = p00 + ax * (p10 - p00), bottom = p01 + ax * (p11 - p01);

		out[(y * out_width + x) * channels + c] = (unsigned char)__float2int_rn(top + ay * (bottom - top));
	}
}
