/* Inclusive sum of every block, in place; the totals of the blocks go to TOTALS. */
extern "C" __global__ void scan(int *data, int *totals, int n)
{
	extern __shared__ int scratch[];
	int i = blockIdx.x * blockDim.x + threadIdx.x;

	scratch[threadIdx.x] = i < n ? data[i] : 0;
	__syncthreads();
	for (unsigned offset = 1; offset < blockDim.x; offset <<= 1) {
		int add = threadIdx.x >= offset ? scratch[threadIdx.x - offset] : 0;

		__syncthreads();
		scratch[threadIdx.x] += add;
		__syncthreads();
	}
	if (i < n)
		data[i] = scratch[threadIdx.x];
	if (threadIdx.x == blockDim.x - 1)
		totals[blockIdx.x] = scratch[threadIdx.x];
}
