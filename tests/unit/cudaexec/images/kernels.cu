/*
 * Kernels with parameters of every size, for the readers of module images. The images beside this file come from nvcc 13:
 *
 *	nvcc -ptx -arch=compute_75 -o kernels.ptx kernels.cu
 *	nvcc -cubin -arch=sm_75 -o kernels_sm75.cubin kernels.cu		(sm_90, sm_100 alike)
 *	nvcc -fatbin -gencode arch=compute_75,code=[compute_75,sm_75] -o kernels.fatbin kernels.cu
 *	nvcc -fatbin -gencode arch=compute_75,code=sm_75 -o kernels_machine.fatbin kernels.cu
 */
struct mixed {
	float a[3];
	char c;
};

__device__ __noinline__ static int helper(int *p, int x)
{
	return p[x] * x;
}

extern "C" __global__ void saxpy(unsigned n, float a, const float *x, float *y)
{
	unsigned i = blockIdx.x * blockDim.x + threadIdx.x;

	if (i < n)
		y[i] = a * x[i] + y[i];
}

extern "C" __global__ void every_size(char c, short s, double d, mixed m, unsigned long long *p)
{
	*p = c + s + (long long)d + m.c + (long long)m.a[1];
}

extern "C" __global__ void without(void)
{
}

extern "C" __global__ void with_helper(int *p)
{
	p[0] = helper(p, 3) + helper(p, 4);
}
