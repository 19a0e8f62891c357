/* What kernels use beyond arithmetic; every kernel is checked by tests/unit/softdev/test_features.c. */
#include <cassert>
#include <cooperative_groups.h>
#include <cstdio>
#include <cuda/atomic>
#include <cuda_bf16.h>
#include <cuda_fp16.h>

namespace cg = cooperative_groups;

extern "C" __global__ void say(int n, const char *word)
{
	if (threadIdx.x < n)
		printf("block %d thread %u: %5.2f %s %llx %c %% %x\n", blockIdx.x, threadIdx.x, threadIdx.x * 0.5, word,
		       1ull << 40, 'A' + threadIdx.x, -1);
}

extern "C" __global__ void check_positive(const int *in)
{
	assert(in[threadIdx.x] > 0);
}

/* A list of nodes from the heap for every thread; result: the sum over its list. */
extern "C" __global__ void lists(int *out, int length)
{
	struct node {
		node *next;
		int value;
	} *head = nullptr;
	int sum = 0;

	for (int i = 0; i < length; i++) {
		node *n = (node *)malloc(sizeof(node));

		if (!n) {
			sum = -1000000;
			break;
		}
		n->next = head;
		n->value = i + threadIdx.x;
		head = n;
	}
	while (head) {
		node *next = head->next;

		sum += head->value;
		free(head);
		head = next;
	}
	out[blockIdx.x * blockDim.x + threadIdx.x] = sum;
}

extern "C" __global__ void block_votes(const int *in, int *out)
{
	int value = in[threadIdx.x];
	int count = __syncthreads_count(value), all = __syncthreads_and(value), any = __syncthreads_or(value);

	out[3 * threadIdx.x] = count;
	out[3 * threadIdx.x + 1] = all != 0;
	out[3 * threadIdx.x + 2] = any != 0;
}

/* Lanes go different ways, meet at __syncwarp, and read what their neighbour wrote before. */
extern "C" __global__ void diverge(int *out, int n)
{
	__shared__ int cells[1024];
	int t = threadIdx.x;

	if (t % 3 == 0) {
		for (int i = 0; i < t % 7; i++)
			atomicAdd(&cells[t], 0);
		cells[t] = t * 2;
	} else if (t % 3 == 1) {
		cells[t] = t * 3;
	} else {
		cells[t] = t * 5;
	}
	__syncwarp();
	int neighbour = cells[t ^ 1];
	int other = __shfl_sync(0xffffffffu, neighbour, (t + 5) & 31);
	int up = __shfl_up_sync(0xffffffffu, t, 3, 16);

	if (t < n)
		out[t] = neighbour + other * 1000 + up * 1000000;
}

/* Every thread of the grid adds once, under a lock that lanes of the same warp fight for. */
extern "C" __global__ void locked(int *lock, int *sum)
{
	bool done = false;

	while (!done) {
		if (atomicCAS(lock, 0, 1) == 0) {
			*(volatile int *)sum = *(volatile int *)sum + 1;
			__threadfence();
			atomicExch(lock, 0);
			done = true;
		}
	}
}

/* Neighbouring blocks exchange values after a barrier of the whole grid, several times. */
extern "C" __global__ void grid_steps(int *a, int *b, int steps)
{
	cg::grid_group grid = cg::this_grid();
	int n = gridDim.x * blockDim.x, i = blockIdx.x * blockDim.x + threadIdx.x;

	for (int s = 0; s < steps; s++) {
		b[i] = a[(i + 1) % n] + a[(i + n - 1) % n];
		grid.sync();
		int *t = a;

		a = b;
		b = t;
	}
}

static __device__ __noinline__ int twice(int x)
{
	return 2 * x;
}

static __device__ __noinline__ int square(int x)
{
	return x * x;
}

static __device__ __noinline__ int negate(int x)
{
	return -x;
}

__device__ int (*const table[])(int) = {twice, square, negate};

extern "C" __global__ void pointers(const int *which, int *out)
{
	int t = threadIdx.x;

	out[t] = table[which[t]](t) + 1;
}

static __device__ __noinline__ int fibonacci(int n)
{
	return n < 2 ? n : fibonacci(n - 1) + fibonacci(n - 2);
}

extern "C" __global__ void recursion(int *out)
{
	out[threadIdx.x] = fibonacci(threadIdx.x % 13);
}

static __device__ __noinline__ int forever(int n, int *p)
{
	if (p[n & 3] == 12345)
		return n;
	return forever(n + 1, p) + p[n & 1];
}

extern "C" __global__ void endless_recursion(int *out)
{
	out[0] = forever(threadIdx.x, out);
}

extern "C" __global__ void endless_loop(volatile int *out)
{
	while (out[0] == 0)
		;
}

extern "C" __global__ void typed_atomics(double *d, __half *h, __half2 *h2, unsigned *u, unsigned short *s, int *i)
{
	cuda::atomic_ref<int, cuda::thread_scope_device> counter(*i);

	atomicAdd(d, 0.5);
	atomicAdd(h, __float2half(1.0f));
	atomicAdd(h2, __floats2half2_rn(1.0f, 2.0f));
	atomicAdd_block(u, 1u);
	atomicAdd_system(u, 2u);
	atomicDec(u + 1, 5u);
	atomicCAS(s, (unsigned short)7, (unsigned short)9);
	counter.fetch_add(3, cuda::memory_order_relaxed);
	if (counter.load(cuda::memory_order_acquire) < 0)
		counter.store(0, cuda::memory_order_release);
}

extern "C" __global__ void halves(const float *in, float *out, int n)
{
	int t = threadIdx.x;
	__half a = __float2half(in[t]), b = __float2half(1.5f);
	__half2 pair = __hfma2(__half2half2(a), __half2half2(b), __floats2half2_rn(1.0f, 2.0f));
	__nv_bfloat16 c = __float2bfloat16(in[t]);

	if (t < n)
		out[t] = __half2float(__hadd(__hmul(a, b), a)) + __low2float(pair) + __high2float(pair) + (__hlt(a, b) ? 100.0f : 0.0f) +
			 __bfloat162float(c);
}

extern "C" __global__ void warp_ops(const int *in, unsigned *out)
{
	int t = threadIdx.x, value = in[t];
	int same;

	out[8 * t] = __match_any_sync(0xffffffffu, value);
	out[8 * t + 1] = __match_all_sync(0xffffffffu, value & 0, &same) + same;
	out[8 * t + 2] = __reduce_add_sync(0xffffffffu, value);
	out[8 * t + 3] = __reduce_max_sync(0xffffffffu, value);
	out[8 * t + 4] = __reduce_xor_sync(0xffffffffu, (unsigned)value);
	out[8 * t + 5] = t % 2 ? __activemask() : 0;
	out[8 * t + 6] = __dp4a(value, 0x01020304, 5);
	out[8 * t + 7] = __fns((unsigned)value, 0, 2);
}

__device__ int numbers[4] = {1, 2, 3, 4};
__device__ int *where = &numbers[2];
__constant__ double factors[2] = {0.5, 2.5};
__device__ char letters[] = "text";

extern "C" __global__ void variables(double *out)
{
	out[0] = *where + numbers[0] * factors[1] + letters[1];
	numbers[1]++;
}
