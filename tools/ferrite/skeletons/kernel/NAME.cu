/* nvcc -ptx -arch=sm_75 -o NAME.ptx NAME.cu */
extern "C" __global__ void scale(unsigned n, float factor, float *x)
{
	unsigned i = blockIdx.x * blockDim.x + threadIdx.x;

	if (i < n)
		x[i] *= factor;
}
