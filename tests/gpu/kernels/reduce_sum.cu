extern "C" __global__ void reduce_sum(const float *in, float *out, int n)
{
	__shared__ float partial[32];
	float sum = 0.0f;

	for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x)
		sum += in[i];
	for (int offset = 16; offset > 0; offset >>= 1)
		sum += __shfl_down_sync(0xffffffffu, sum, offset);
	if ((threadIdx.x & 31) == 0)
		partial[threadIdx.x >> 5] = sum;
	__syncthreads();
	if (threadIdx.x < 32) {
		sum = threadIdx.x < (blockDim.x >> 5) ? partial[threadIdx.x] : 0.0f;
		for (int offset = 16; offset > 0; offset >>= 1)
			sum += __shfl_down_sync(0xffffffffu, sum, offset);
		if (threadIdx.x == 0)
			atomicAdd(out, sum);
	}
}
