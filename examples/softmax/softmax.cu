/* Softmax of each row of a matrix: one block for each row, reductions by warp shuffles. */
#define WARP 32

struct add {
	__device__ static float of(float a, float b)
	{
		return a + b;
	}
};

struct larger {
	__device__ static float of(float a, float b)
	{
		return fmaxf(a, b);
	}
};

/* The reduction of VALUE over all threads of the block; every thread gets it. */
template <class Operation> __device__ static float reduce(float value, float *partial, float neutral)
{
	unsigned lane = threadIdx.x % WARP, warp = threadIdx.x / WARP;

	for (int distance = WARP / 2; distance > 0; distance /= 2)
		value = Operation::of(value, __shfl_xor_sync(0xffffffff, value, distance));
	__syncthreads();
	if (lane == 0)
		partial[warp] = value;
	__syncthreads();
	value = lane < blockDim.x / WARP ? partial[lane] : neutral;
	for (int distance = WARP / 2; distance > 0; distance /= 2)
		value = Operation::of(value, __shfl_xor_sync(0xffffffff, value, distance));
	return value;
}

extern "C" __global__ void softmax(const float *x, float *y, unsigned columns)
{
	__shared__ float partial[WARP];
	const float *in = x + (unsigned long long)blockIdx.x * columns;
	float *out = y + (unsigned long long)blockIdx.x * columns;
	float most = -INFINITY, sum = 0;

	for (unsigned i = threadIdx.x; i < columns; i += blockDim.x)
		most = fmaxf(most, in[i]);
	most = reduce<larger>(most, partial, -INFINITY);
	for (unsigned i = threadIdx.x; i < columns; i += blockDim.x) {
		out[i] = expf(in[i] - most);
		sum += out[i];
	}
	sum = reduce<add>(sum, partial, 0);
	for (unsigned i = threadIdx.x; i < columns; i += blockDim.x)
		out[i] /= sum;
}
