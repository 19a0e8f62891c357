extern "C" __global__ void integer_mix(const int *a, const int *b, unsigned *out, int n)
{
	int i = blockIdx.x * blockDim.x + threadIdx.x;

	if (i >= n)
		return;
	int x = a[i], y = b[i];
	unsigned ux = (unsigned)x, uy = (unsigned)y;
	unsigned h = ux * 2654435761u;
	long long wide = (long long)x * y;

	h ^= y != 0 && !(x == (int)0x80000000 && y == -1) ? (unsigned)(x / y) ^ (unsigned)(x % y) << 7 : 1u;
	h += uy != 0 ? ux / uy + ux % uy : 3u;
	h ^= (unsigned)__mulhi(x, y) + __umulhi(ux, uy);
	h = __funnelshift_l(h, ux, uy & 31);
	h ^= __byte_perm(ux, uy, 0x5140);
	h += (unsigned)(wide >> 13) ^ (unsigned)((unsigned long long)wide % 1000003ull);
	h ^= (unsigned)__clz(x) << 3 | (unsigned)__popc(uy) << 11;
	h += (unsigned)abs(x >> 1) + (unsigned)min(x, y) + (unsigned)max(x, y);
	out[i] = h ^ (unsigned)(wide / 10);
}
