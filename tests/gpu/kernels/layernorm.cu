extern "C" __global__ void layernorm(const float *in, const float *gain, const float *bias, float *out, int columns,
				     float epsilon)
{
	__shared__ float sums[32], squares[32];
	const float *row = in + (long long)blockIdx.x * columns;
	float sum = 0.0f, square = 0.0f;
	int lane = threadIdx.x & 31, warp = threadIdx.x >> 5;

	for (int i = threadIdx.x; i < columns; i += blockDim.x) {
		sum += row[i];
		square += row[i] * row[i];
	}
	for (int offset = 16; offset > 0; offset >>= 1) {
		sum += __shfl_down_sync(0xffffffffu, sum, offset);
		square += __shfl_down_sync(0xffffffffu, square, offset);
	}
	if (lane == 0) {
		sums[warp] = sum;
		squares[warp] = square;
	}
	__syncthreads();
	sum = 0.0f;
	square = 0.0f;
	for (unsigned i = 0; i < blockDim.x >> 5; i++) {
		sum += sums[i];
		square += squares[i];
	}
	float mean = sum / (float)columns;
	float scale = rsqrtf(square / (float)columns - mean * mean + epsilon);

	for (int i = threadIdx.x; i < columns; i += blockDim.x)
		out[(long long)blockIdx.x * columns + i] = (row[i] - mean) * scale * gain[i] + bias[i];
}
