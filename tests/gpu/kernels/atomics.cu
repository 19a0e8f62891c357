/* result: max, min, exchanged?, swaps, or, and, xor, wrapped count, 64-bit sum (two words), float sum. */
extern "C" __global__ void atomics(const int *in, int *result, int n)
{
	int i = blockIdx.x * blockDim.x + threadIdx.x;

	if (i >= n)
		return;
	atomicMax(&result[0], in[i]);
	atomicMin(&result[1], in[i]);
	atomicExch(&result[2], 42);
	atomicCAS(&result[3], 0, 77);
	atomicOr(&result[4], in[i]);
	atomicAnd(&result[5], in[i]);
	atomicXor(&result[6], in[i]);
	atomicInc((unsigned *)&result[7], 9u);
	atomicAdd((unsigned long long *)&result[8], (unsigned long long)(long long)in[i]);
	atomicAdd((float *)&result[10], 1.0f);
	atomicAdd(&result[11], in[i]);
}
