// Kernels of the driver API tests. api_kernels.ptx beside this file is made from it: make ptx
#include <stdio.h>

extern "C" { __device__ int counter = 7; }
extern "C" { __constant__ float table[4] = {1.0f, 2.0f, 3.0f, 4.0f}; }

extern "C" __global__ void add1(int *p, int n)
{
	int i = blockIdx.x * blockDim.x + threadIdx.x;
	if (i < n)
		p[i] += 1;
}

// Parameters of several sizes: 8, 4, 1, 8 bytes with padding between.
extern "C" __global__ void fill(double *p, unsigned n, unsigned char shift, long long k)
{
	unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
	if (i < n)
		p[i] = (double)(k << shift);
}

extern "C" __global__ void spin(volatile int *p)
{
	while (*p == 0) {
	}
}

extern "C" __global__ void wild(int *p)
{
	p[1ll << 40] = 1;
}

extern "C" __global__ void bump(int n)
{
	if (threadIdx.x == 0)
		atomicAdd(&counter, n);
}

extern "C" __global__ void reverse(int *out)
{
	extern __shared__ int s[];
	s[threadIdx.x] = out[threadIdx.x];
	__syncthreads();
	out[threadIdx.x] = s[blockDim.x - 1 - threadIdx.x];
}

extern "C" __global__ void __launch_bounds__(64) narrow(float *out)
{
	out[threadIdx.x] = table[threadIdx.x % 4];
}

extern "C" __global__ void hello(int n)
{
	printf("hello %d\n", n);
}
