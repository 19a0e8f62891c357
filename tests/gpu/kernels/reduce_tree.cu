extern "C" __global__ void reduce_tree(const int *in, int *out, int n)
{
	extern __shared__ int scratch[];
	int i = blockIdx.x * blockDim.x + threadIdx.x;

	scratch[threadIdx.x] = i < n ? in[i] : 0;
	__syncthreads();
	for (unsigned stride = blockDim.x / 2; stride > 0; stride >>= 1) {
		if (threadIdx.x < stride)
			scratch[threadIdx.x] += scratch[threadIdx.x + stride];
		__syncthreads();
	}
	if (threadIdx.x == 0)
		out[blockIdx.x] = scratch[0];
}
