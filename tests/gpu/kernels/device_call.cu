static __device__ __noinline__ float shape(float x, float p)
{
	return powf(fabsf(x) + 0.5f, p) + tanhf(x);
}

extern "C" __global__ void device_call(const float *in, float *out, int n, float p)
{
	int i = blockIdx.x * blockDim.x + threadIdx.x;

	if (i >= n)
		return;
	float x = in[i];

	out[i] = shape(x, p) + sinf(x) * cosf(x * 3.0f) + logf(fabsf(x) + 1.0f);
}
