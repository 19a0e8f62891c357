/* How often each byte value stands in the data: counted per block in shared memory, then added up. */
extern "C" __global__ void histogram(const unsigned char *data, unsigned long long bytes, unsigned *counts)
{
	__shared__ unsigned mine[256];
	unsigned long long step = (unsigned long long)gridDim.x * blockDim.x;

	mine[threadIdx.x] = 0;
	__syncthreads();
	for (unsigned long long i = (unsigned long long)blockIdx.x * blockDim.x + threadIdx.x; i < bytes; i += step)
		atomicAdd(&mine[data[i]], 1u);
	__syncthreads();
	atomicAdd(&counts[threadIdx.x], mine[threadIdx.x]);
}
