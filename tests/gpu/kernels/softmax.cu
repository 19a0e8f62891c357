/* One row of 32 or more columns for each warp; rows in grid stride. */
extern "C" __global__ void softmax(const float *in, float *out, int rows, int columns)
{
	int lane = threadIdx.x & 31;
	int warps = gridDim.x * blockDim.x >> 5;

	for (int row = (blockIdx.x * blockDim.x + threadIdx.x) >> 5; row < rows; row += warps) {
		const float *r = in + (long long)row * columns;
		float top = -3.402823466e38f, sum = 0.0f;

		for (int i = lane; i < columns; i += 32)
			top = fmaxf(top, r[i]);
		for (int mask = 16; mask > 0; mask >>= 1)
			top = fmaxf(top, __shfl_xor_sync(0xffffffffu, top, mask));
		for (int i = lane; i < columns; i += 32)
			sum += expf(r[i] - top);
		for (int mask = 16; mask > 0; mask >>= 1)
			sum += __shfl_xor_sync(0xffffffffu, sum, mask);
		for (int i = lane; i < columns; i += 32)
			out[(long long)row * columns + i] = expf(r[i] - top) / sum;
	}
}
