extern "C" __global__ void alpha_blend(const uchar4 *over, const uchar4 *under, uchar4 *out, int n)
{
	int i = blockIdx.x * blockDim.x + threadIdx.x;

	if (i >= n)
		return;
	uchar4 a = over[i], b = under[i];
	int alpha = a.w, rest = 255 - alpha;

	out[i] = make_uchar4((a.x * alpha + b.x * rest + 127) / 255, (a.y * alpha + b.y * rest + 127) / 255,
			     (a.z * alpha + b.z * rest + 127) / 255, max(a.w, b.w));
}
